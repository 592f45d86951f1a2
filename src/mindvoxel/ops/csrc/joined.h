// A convolution of a source in two tensors by a way that wants one: copies.
#pragma once

#include <memory>

#include "convolution.h"

namespace mindvoxel {

std::unique_ptr<Forward> MakeJoinedForward(const Case &c);
std::unique_ptr<Backward> MakeJoinedBackward(const Case &c, bool data, bool weights);

}  // namespace mindvoxel
