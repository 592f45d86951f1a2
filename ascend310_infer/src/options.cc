#include "options.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <vector>

#include "errors.h"
#include "machine.h"

namespace mindvoxel {
namespace {

constexpr std::size_t kMostThreads = 1024;

void require(bool good, const std::string& otherwise) {
  if (!good) throw InputError(otherwise);
}

void check(const Options& options) {
  const bool files = !options.input.empty() && !options.output.empty();
  if (options.self_test) {
    require(options.input.empty() && options.output.empty() && !options.network_stage && !options.tta,
            "--self_test takes the bundle's own reference case; leave --input, --output, --stage and --tta out");
  } else {
    require(files, "--input and --output are needed, or --self_test alone");
  }
  require(!(options.network_stage && options.tta), "--stage network computes windows as they are; leave --tta out");
  require(options.device == "cpu" || options.fallback_cpu || options.precision == "f32",
          "--precision bf16 is of the CPU; leave it out");
  require(options.device == "ascend" || !options.fallback_cpu,
          "--fallback cpu goes with --device ascend; leave it out");
}

/// Both --data_path and --data-path name a flag, as in the Python commands.
std::string with_underscores(const std::string& word) {
  if (word.size() < 3 || word.rfind("--", 0) != 0) return word;
  std::string changed = word;
  const std::size_t end = std::min(word.find('='), word.size());
  for (std::size_t i = 2; i < end; ++i) changed[i] = word[i] == '-' ? '_' : word[i];
  return changed;
}

}  // namespace

std::optional<Options> parse_options(int argc, const char* const* argv) {
  Options options;
  options.threads = available_cores();
  std::string fallback, stage;
  CLI::App app("Segment scans, or classify photos, with a bundle that export.py --file_format BUNDLE made.", "infer");
  app.add_option("--bundle", options.bundle, "folder with deploy.json and model files")->required();
  app.add_option("--input", options.input,
                 "a scan or a folder of scans: MetaImage, NIfTI or NRRD; of a classifier JPEG or PNG");
  app.add_option("--output", options.output,
                 "folder of masks, CASE with the type of its image, or of predictions.csv; and report.json");
  app.add_option("--device", options.device, "cpu (OpenVINO) or ascend (MindSpore)")
      ->required()
      ->check(CLI::IsMember({"cpu", "ascend"}));
  app.add_option("--device_id", options.device_id, "number of the Ascend card")->check(CLI::Range(0, 1023));
  app.add_option("--precision", options.precision, "in which the CPU multiplies: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--threads", options.threads, "of the processor; as many as it gives if not set")
      ->check(CLI::Range(std::size_t{1}, kMostThreads));
  app.add_flag("--tta", options.tta, "windows mirrored along every axis, too");
  app.add_option("--fallback", fallback, "cpu: where the Ascend cannot be used, the CPU is")
      ->check(CLI::IsMember({"cpu"}));
  app.add_option("--stage", stage, "network: windows as raw float32 .bin files in, logits out")
      ->check(CLI::IsMember({"network"}));
  app.add_flag("--self_test", options.self_test, "compute the bundle's reference case and compare");
  app.add_option("--report", options.report, "the report, as JSON, here too");
  app.add_flag("--overwrite", options.overwrite, "files of --output that are there are made anew");
  std::vector<std::string> words;
  for (int i = argc - 1; i > 0; --i) words.push_back(with_underscores(argv[i]));  // CLI11 wants them backwards
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw InputError(std::string(error.what()) + "; see infer --help");
  }
  options.fallback_cpu = !fallback.empty();
  options.network_stage = !stage.empty();
  check(options);
  return options;
}

}  // namespace mindvoxel
