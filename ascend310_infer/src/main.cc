// infer: scans to masks, or photos to classes, by a deployment bundle, without Python.
#include <iostream>
#include <new>

#include "bundle.h"
#include "each.h"
#include "engine.h"
#include "errors.h"
#include "files.h"
#include "machine.h"
#include "options.h"
#include "report.h"
#include "stop.h"
#include "task.h"
#include "text.h"

namespace mindvoxel {
namespace {

constexpr int kDone = 0, kWorkFailed = 1, kBadInput = 2, kSignal = 128;

std::unique_ptr<Engine> load_engine(const Bundle& bundle, const Options& options) {
  const EngineOptions how{options.device_id, options.precision, options.threads};
  if (options.device == "cpu") return load_openvino(bundle, how);
  try {
    return load_mindspore(bundle, how);
  } catch (const std::exception& error) {
    if (!options.fallback_cpu) throw;
    std::cerr << "warning: the CPU is used instead of the Ascend: " << one_line(error.what()) << std::endl;
    return load_openvino(bundle, how);
  }
}

/// Throws InputError where one of the files is there, unless it may be replaced.
void refuse_existing(const Task& task, const Options& options) {
  if (options.overwrite) return;
  for (const std::filesystem::path& path : task.outputs) {
    if (std::filesystem::exists(path)) {
      throw InputError(path.string() + " is there already; name another --output, or say --overwrite");
    }
  }
}

void finish(Report& report, const Options& options, Clock& clock) {
  report.total_s = clock.lap();
  report.peak_memory_mb = peak_memory_mb();
  print_table(report, std::cout);
  if (!options.output.empty()) write_report(report, options.output / "report.json");
  if (!options.report.empty()) write_report(report, options.report);
}

void make_folders(const Options& options) {
  if (std::filesystem::is_directory(options.report)) {
    throw InputError("--report " + options.report.string() + " is a folder; name a file");
  }
  if (!options.output.empty()) make_folder(options.output);
  if (!options.report.empty()) make_folder(std::filesystem::absolute(options.report).parent_path());
}

void run(const Options& options) {
  Clock clock, load_clock;
  const Bundle bundle = read_bundle(options.bundle);
  const Task task = task_of(bundle, options);
  refuse_existing(task, options);
  make_folders(options);
  Report report;
  report.bundle = options.bundle.string();
  report.tta = options.tta;
  report.threads = options.threads;
  load_clock.lap();
  const std::unique_ptr<Engine> engine = load_engine(bundle, options);
  report.load_s = load_clock.lap();
  report.engine = engine->describe();
  task.run(*engine, report);
  finish(report, options, clock);
  throw_faults(report);
}

int fail(const std::string& message, int status) {
  std::cerr << "error: " << one_line(message) << std::endl;
  return status;
}

}  // namespace
}  // namespace mindvoxel

int main(int argc, char** argv) {
  using namespace mindvoxel;
  try {
    const std::optional<Options> options = parse_options(argc, argv);
    if (!options) return kDone;
    note_signals();
    run(*options);
    std::cout.flush();
    if (!std::cout) {
      return fail("the table cannot be written to standard output; is its disk full, or its reader gone?", kWorkFailed);
    }
    return kDone;
  } catch (const Stopped& told) {
    return fail("told to end; what was written is whole, and --overwrite makes it anew", kSignal + told.signal);
  } catch (const InputError& error) {
    return fail(error.what(), kBadInput);
  } catch (const std::bad_alloc&) {
    return fail("there is not enough memory; take a machine with more", kWorkFailed);
  } catch (const std::exception& error) {
    return fail(error.what(), kWorkFailed);
  }
}
