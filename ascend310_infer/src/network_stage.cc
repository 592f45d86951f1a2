#include "network_stage.h"

#include <algorithm>
#include <fstream>

#include "errors.h"
#include "files.h"
#include "stop.h"
#include "text.h"

namespace mindvoxel {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> bin_files(const fs::path& input) {
  std::error_code fault;
  if (fs::is_regular_file(input, fault)) {
    if (input.extension() != ".bin") {
      throw InputError(input.string() + " must be named NAME.bin; give the windows that ending");
    }
    return {input};
  }
  if (!fs::is_directory(input, fault)) {
    throw InputError(input.string() + ": no such file or folder; name a .bin file or a folder of them");
  }
  std::vector<fs::path> found;
  const fs::directory_iterator entries(input, fault);
  if (fault) throw InputError(input.string() + " cannot be looked into (" + fault.message() + "); may you read it?");
  for (const auto& entry : entries) {
    if (!entry.is_regular_file(fault) || entry.path().filename().string()[0] == '.') continue;
    if (entry.path().extension() != ".bin") {
      throw InputError(entry.path().string() + " lies among the windows and is no .bin file; take it out");
    }
    found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) throw InputError(input.string() + " holds no .bin file; name a folder of windows");
  return found;
}

void read_floats(const fs::path& path, std::vector<float>& values) {
  std::ifstream file(path, std::ios::binary);
  const auto bytes = static_cast<std::streamsize>(values.size() * sizeof(float));
  file.read(reinterpret_cast<char*>(values.data()), bytes);
  if (file.gcount() != bytes) throw WorkError(path.string() + " cannot be read whole; is the disk sound?");
}

}  // namespace

std::vector<WindowFile> find_windows(const Bundle& bundle, const fs::path& input, const fs::path& output) {
  const std::uintmax_t bytes = num_values(bundle.input_shape) * sizeof(float);
  std::vector<WindowFile> windows;
  for (const fs::path& path : bin_files(input)) {
    std::error_code fault;
    const std::uintmax_t found = fs::file_size(path, fault);
    if (fault || found != bytes) {
      throw InputError(text(path.string(), " has ", fault ? 0 : found, " bytes, and ", in_brackets(bundle.input_shape),
                            " float32 values are ", bytes, "; give one whole window a file"));
    }
    windows.push_back({path, output / (path.stem().string() + "_0.bin")});
  }
  std::error_code fault;  // an output that is not there yet is no equal
  if (fs::equivalent(windows[0].input.parent_path().empty() ? "." : windows[0].input.parent_path(), output, fault)) {
    throw InputError("--output " + output.string() + " holds the windows; name another folder");
  }
  return windows;
}

void run_windows(const Bundle& bundle, const std::vector<WindowFile>& windows, Engine& engine, Report& report) {
  std::vector<float> window(num_values(bundle.input_shape)), logits(num_values(bundle.output_shape));
  TimedEngine timed(engine, report.call_s);
  for (const WindowFile& file : windows) {
    stop_if_told();
    CaseReport one;
    one.name = file.input.stem().string();
    Clock clock;
    read_floats(file.input, window);
    one.seconds[kRead] = clock.lap();
    timed.run(window.data(), logits.data());
    one.calls = 1;
    one.seconds[kNetwork] = clock.lap();
    write_bytes(file.output, logits.data(), logits.size() * sizeof(float));
    one.seconds[kWrite] = clock.lap();
    report.cases.push_back(one);
  }
}

}  // namespace mindvoxel
