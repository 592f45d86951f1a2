// Raw windows in, raw logits out: for those who prepare windows themselves.
#pragma once

#include <filesystem>
#include <vector>

#include "bundle.h"
#include "engine.h"
#include "report.h"

namespace mindvoxel {

/// One window file and where its logits go.
struct WindowFile {
  std::filesystem::path input, output;  ///< output: FOLDER/STEM_0.bin
};

/// A .bin file, or all of a folder in the order of their names.
///
/// Each must be exactly one input of the network, float32, little-endian.  Throws InputError for none, another size or
/// type, or where `output` is the folder of the windows.
std::vector<WindowFile> find_windows(const Bundle& bundle, const std::filesystem::path& input,
                                     const std::filesystem::path& output);

/// Compute them one after the other; a case of the report each.
void run_windows(const Bundle& bundle, const std::vector<WindowFile>& windows, Engine& engine, Report& report);

}  // namespace mindvoxel
