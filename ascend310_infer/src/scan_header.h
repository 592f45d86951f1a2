// What the files of a case say of it, without their voxels.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "volume.h"

namespace mindvoxel {

struct ScanHeader {
  std::size_t channels = 0;
  Shape shape{0, 0, 0};
  Geometry geometry;
};

/// As read_scan, without reading the voxels: quick, and damage among compressed voxels goes unseen.
ScanHeader read_scan_header(const std::vector<std::filesystem::path>& files, const std::optional<Spacing>& spacing_mm);

}  // namespace mindvoxel
