// The box around what is not empty, and the mask of what is not (data/crop.py).
#pragma once

#include <array>
#include <vector>

#include "volume.h"

namespace mindvoxel {

struct Box {
  Shape start{0, 0, 0}, shape{0, 0, 0};
};

/// The smallest box that holds every voxel of (C, D, H, W) that is not 0, or is above 0, in any channel; the whole
/// image where there is no such voxel.
Box nonzero_box(const Image& image, bool positive, std::size_t threads);

/// (D, H, W), 1 where any of the channels is not 0, and in the holes in there.
std::vector<unsigned char> nonzero_mask(const std::vector<std::vector<float>>& channels, const Shape& shape,
                                        std::size_t threads);

/// Axis i of the result is axis axes[i] of `voxels` (D, H, W), of which only `box` stays; the box has the old axes.
std::vector<float> cut(const float* voxels, const Shape& shape, const Box& box, const std::array<std::size_t, 3>& axes,
                       std::size_t threads);

}  // namespace mindvoxel
