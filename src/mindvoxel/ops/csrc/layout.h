// Which layout a pass computes in. oneDNN's own choice is nearly always best; the exceptions were measured.
#pragma once

#include "convolution.h"

namespace mindvoxel {

enum class Pass { kForward, kData, kWeights };

// The description in which `pass` is to take or give a tensor of these dims.
Desc ComputeDesc(const Case &c, Pass pass, const Dims &dims, Type type);

}  // namespace mindvoxel
