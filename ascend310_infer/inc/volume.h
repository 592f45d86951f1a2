// Voxels that never travel without their geometry; reading and writing through ITK.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace mindvoxel {

using Shape = std::array<std::size_t, 3>;  ///< (D, H, W), axes (z, y, x)
using Spacing = std::array<double, 3>;     ///< mm between voxel centres along (z, y, x)

/// Where a grid lies in the world, as ITK has it.
struct Geometry {
  Spacing spacing_mm{1, 1, 1};
  std::array<double, 3> origin_mm{0, 0, 0};                    ///< world position of voxel 0: (x, y, z), LPS
  std::array<double, 9> direction{1, 0, 0, 0, 1, 0, 0, 0, 1};  ///< direction cosines, row by row, axes (x, y, z)
};

inline std::size_t num_voxels(const Shape& shape) { return shape[0] * shape[1] * shape[2]; }

/// Channels on one grid, (C, D, H, W), contiguous.
struct Image {
  std::vector<float> voxels;
  std::size_t channels = 0;
  Shape shape{0, 0, 0};

  float* channel(std::size_t c) { return voxels.data() + c * num_voxels(shape); }
  const float* channel(std::size_t c) const { return voxels.data() + c * num_voxels(shape); }
};

/// A scan as it was read.
struct Scan {
  Image image;
  Geometry geometry;
};

/// Labels (D, H, W) on the grid of a scan: values of the data set.
struct Labels {
  std::vector<std::int16_t> voxels;
  Shape shape{0, 0, 0};
  Geometry geometry;
  bool fit_uint8 = false;  ///< whether all values of the data set do, of this scan or not: all masks have one type
};

/// Read a case: one file of one or several channels (3-D, 4-D, several values a voxel, or 2-D as one slice), or a file
/// for each channel, all on one grid.
///
/// spacing_mm: taken where a file knows none.  Throws InputError where a file is missing, truncated, of other
/// dimensions, without a spacing above 0, on axes that are not at right angles, or holds a value that is not finite.
Scan read_scan(const std::vector<std::filesystem::path>& files, const std::optional<Spacing>& spacing_mm);

/// Write labels compressed, beside their place first, then renamed; uint8 where they fit, else int16.
///
/// The type follows the suffix: .mha, .nii.gz, .nii or .nrrd.  Throws WorkError where it cannot be written.
void write_labels(const std::filesystem::path& path, const Labels& labels);

}  // namespace mindvoxel
