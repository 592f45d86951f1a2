// A short measurement on this machine, for the precision that Python calls "auto".
#pragma once

namespace mindvoxel {

// How many times as fast the forward and backward pass of a convolution with a stride run in bf16 as in f32; some ten
// ms. Those without a stride are computed in f32 where that is faster, by Winograd's way, whatever the precision.
double Bf16Speedup();

}  // namespace mindvoxel
