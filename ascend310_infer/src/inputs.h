// What --input names: a file, the channel files of a case, or a folder of images.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "volume.h"

namespace mindvoxel {

/// A scan: its name, and the file of all channels or one for each.
struct Case {
  std::string name;
  std::vector<std::filesystem::path> files;
};

/// The cases that `input` names, by name; none of their files has been read.
///
/// A file is one case, with the other channels of it beside it where they are all there by nnU-Net's names CASE_0000,
/// CASE_0001 …; a folder is taken by these names where all of its images have them, else a case a file.
/// Throws InputError where nothing is found, a file is no image, a channel's file lacks, two images have one name, or a
/// mask lies among the scans.
std::vector<Case> find_cases(const std::filesystem::path& input, std::size_t num_channels);

/// Read the headers of all cases.  Throws InputError that counts those at fault and tells the first few.
void check_headers(const std::vector<Case>& cases, std::size_t num_channels, const std::optional<Spacing>& spacing_mm);

/// Where the labels of a case go: output/NAME with the type of its image in one file (.mhd becomes .mha).
/// Throws InputError where `output` is the folder of the scan.
std::filesystem::path mask_path(const Case& one, const std::filesystem::path& output);

}  // namespace mindvoxel
