// Which windows cover an image, how much each of their voxels counts, and their mirror images.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "volume.h"

namespace mindvoxel {

/// First voxels of the windows that cover one axis of `size` >= `window` >= 1 voxels; the last ends with the axis.
///
/// spread: evenly, with a step of at most window * (1 - overlap) (nnU-Net); else exactly that step, cut to a whole
/// number, and the last window moved back to end with the axis (NVIDIA).  overlap: in [0, 1).
std::vector<std::size_t> window_starts(std::size_t size, std::size_t window, double overlap, bool spread);

/// First voxels (z, y, x) of windows of shape `window` that cover an image of `shape`, the last axis fastest.
std::vector<Shape> window_boxes(const Shape& shape, const Shape& window, double overlap, bool spread);

/// Weight of each voxel of a window, (D, H, W), above 0; its largest is 1.
///
/// gaussian: deviation 1/8 of the axis around its middle, at least 1e-3 (V-Net).  nnunet: the same around voxel n / 2;
/// zeros become the smallest weight that is none.  nvidia: the cube root of a Gaussian.  constant: 1.
std::vector<float> blend_weight(const Shape& window, const std::string& blend);

/// All combinations of mirrored axes, the unmirrored first; each says of (z, y, x) which are mirrored.
///
/// axes: of the window, which has `num_axes`: axis 0 of a window of 2 is y.
std::vector<std::array<bool, 3>> flips(const std::vector<std::size_t>& axes, std::size_t num_axes);

}  // namespace mindvoxel
