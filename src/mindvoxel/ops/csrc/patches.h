// Convolutions whose kernel is as large as their stride, so that every coarse voxel meets a patch of fine voxels of its
// own: matrix products between blocked tensors, without any copy.
#pragma once

#include <memory>

#include "convolution.h"

namespace mindvoxel {

// Both tensors blocked, kernel and stride equal, no padding, nothing left over at the borders.
bool IsPatchwise(const Case &c);

std::unique_ptr<Forward> MakePatchwiseForward(const Case &c);
std::unique_ptr<Backward> MakePatchwiseBackward(const Case &c);

}  // namespace mindvoxel
