// Convolutions of stride 1 by Winograd's way: along depth and height m x m outputs at a time, m being 4 or 6, are
// computed as products in transformed space, (m + r - 1)^2 of them instead of m^2 r^2 for a kernel of r taps; along
// the width taps are summed as usual.
//
// With 4 outputs 5^3 kernels need 6.25 times fewer multiplications and 3^3 kernels 4 times fewer, with 6 outputs 9 and
// 5 times, all in f32. The rounding error is some ten times that of direct summation, with 6 outputs of a kernel of 5 a
// hundred times (winograd_matrices.h), which is still far below that of bf16.
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
