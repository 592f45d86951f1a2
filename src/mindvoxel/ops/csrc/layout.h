// Which layout a pass computes in. oneDNN's own choice is nearly always best; the exceptions were measured.
#pragma once

#include "convolution.h"

namespace mindvoxel {

enum class Pass { kForward, kData, kWeights };

// A 1^3 kernel without padding from or to few channels: a matrix product that reads its tensors once, so that any conversion, of layout
// or to bf16, would cost more than it.
bool IsHead(const Case &c);

// The description in which `pass` is to take or give a tensor of these dims.
Desc ComputeDesc(const Case &c, Pass pass, const Dims &dims, Type type);

}  // namespace mindvoxel
