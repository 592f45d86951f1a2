// What itk::ResampleImageFilter computes: the weights along an axis, and a volume on another grid of the world.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "volume.h"

namespace mindvoxel {

/// What each voxel of an axis contributes to each voxel of the resized axis.
struct AxisWeights {
  std::size_t size = 0, new_size = 0;
  std::vector<std::size_t> first;  ///< of each new voxel, the first old one that contributes
  std::vector<std::size_t> begin;  ///< where its weights begin in `values`; one more than there are new voxels
  std::vector<float> values;
};

/// Unit vectors resampled, as data/resample.py has it.  order: 1 linear, 3 cubic B-spline with 12 voxels of the edge.
AxisWeights axis_weights(std::size_t size, std::size_t new_size, int order);

/// A grid in the world.
struct WorldGrid {
  Shape shape{0, 0, 0};
  Geometry geometry;
};

/// `voxels` (D, H, W) on the grid `from` -> on the grid `to`, 0 outside.  order: linear or nearest.
std::vector<float> resample_world(const std::vector<float>& voxels, const WorldGrid& from, const WorldGrid& to,
                                  const std::string& order, std::size_t threads);

}  // namespace mindvoxel
