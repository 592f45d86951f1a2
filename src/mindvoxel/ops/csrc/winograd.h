// Convolutions of stride 1 by Winograd's way: along depth and height 4 x 4 outputs at a time are computed as products
// in transformed space, (4 + r - 1)^2 of them instead of 16 r^2, or 6 x 6 as (6 + r - 1)^2 instead of 36 r^2; along the
// width taps are summed as usual.
//
// By 4 outputs 5^3 kernels need 6.25 times fewer multiplications and 3^3 kernels 4 times fewer, by 6 outputs 9 and 5
// times, all in f32; the rounding error is some ten times that of direct summation, a hundredth of that of bf16 at most.
#pragma once

#include <memory>

#include "convolution.h"

namespace mindvoxel {

// Whether this way is possible and expected to be the fastest for the case; `data`: for the gradient of the source too.
// A stride along the width alone is possible without that gradient.
bool WantsWinograd(const Case &c, bool data);

std::unique_ptr<Forward> MakeWinogradForward(const Case &c);
std::unique_ptr<Backward> MakeWinogradBackward(const Case &c, bool data, bool weights);

}  // namespace mindvoxel
