// The flags of the program.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace mindvoxel {

struct Options {
  std::filesystem::path bundle, input, output;
  std::string device;  ///< cpu or ascend
  int device_id = 0;
  std::string precision = "f32";  ///< f32 or bf16
  std::size_t threads = 1;
  bool tta = false;
  bool fallback_cpu = false;
  bool network_stage = false;  ///< raw windows in and out
  bool self_test = false;
  bool overwrite = false;
  std::filesystem::path report;  ///< beside output/report.json; empty: none
};

/// None where --help has been printed.  Throws InputError, in one sentence, for flags that are unknown, lack, or
/// contradict each other.
std::optional<Options> parse_options(int argc, const char* const* argv);

}  // namespace mindvoxel
