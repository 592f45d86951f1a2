// A 1^3 kernel from blocked channels to a few plain ones: reads its tensors once.
#pragma once

#include <memory>

#include "convolution.h"

namespace mindvoxel {

bool IsBlockedHead(const Case &c);

std::unique_ptr<Forward> MakeHeadForward(const Case &c);
std::unique_ptr<Backward> MakeHeadBackward(const Case &c);

}  // namespace mindvoxel
