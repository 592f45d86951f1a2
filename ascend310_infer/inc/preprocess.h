// From a scan to what the network sees, and what is needed to come back.
#pragma once

#include <array>
#include <cstddef>

#include "bundle.h"
#include "volume.h"

namespace mindvoxel {

/// How one case lies on the network's grid.
struct Grid {
  Shape source_shape{0, 0, 0};  ///< of the scan, its own axes
  Geometry geometry;            ///< of the scan
  std::array<std::size_t, 3> axes{0, 1, 2};
  /// planned: the box that was kept, network axes; scan: of the resampled grid
  Shape crop_start{0, 0, 0}, crop_shape{0, 0, 0};
  Shape shape{0, 0, 0};         ///< of the preprocessed image; scan: of the resampled grid before its crop
  Spacing spacing_mm{1, 1, 1};  ///< of the preprocessed image, network axes
};

/// A case as a network takes it.
struct Prepared {
  Image image;
  Grid grid;
};

/// threads: of the processor that may be used.  The scan's voxels are given up on the way, for the memory.
/// Throws InputError for a scan of another number of channels, or one without contrast.
Prepared preprocess(const Bundle& bundle, Scan scan, std::size_t threads);

/// The axis that is resampled apart, -1: none (data/preprocess.py, anisotropic_axis).
int anisotropic_axis(const Spacing& old_mm, const Spacing& new_mm, const std::string& rule);

/// V-Net's way back: a probability (D, H, W) on grid.crop_shape -> on the scan's grid, 0 outside, by ITK.  order:
/// linear or nearest.
std::vector<float> restore_scan(const std::vector<float>& probability, const Grid& grid, const std::string& order,
                                std::size_t threads);

}  // namespace mindvoxel
