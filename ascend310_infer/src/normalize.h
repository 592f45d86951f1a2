// Intensity rules (data/normalize.py).
#pragma once

#include <cstddef>
#include <vector>

#include "bundle.h"

namespace mindvoxel {

/// Scale one channel in place.  mask: where zscore_mask looks, one value a voxel; of other schemes not looked at.
/// Throws InputError where rgb meets a value that is not in [0, 255].
void normalize(const Normalization& rule, std::vector<float>& voxels, const std::vector<unsigned char>& mask,
               std::size_t threads);

/// Linear to [0, 1] by the smallest and the largest value.  Throws InputError for a constant array.
void rescale_unit(std::vector<float>& voxels);

/// (x − mean) / deviation, with both taken over the voxels above 0 and applied to all.  Throws InputError where these
/// are constant.
void zscore_positive(std::vector<float>& voxels);

}  // namespace mindvoxel
