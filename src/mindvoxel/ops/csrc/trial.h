// A short measurement on this machine, for the precision that Python calls "auto".
#pragma once

namespace mindvoxel {

// How many times as fast a typical convolution's forward and backward pass run in bf16 as in f32; some ten ms.
double Bf16Speedup();

}  // namespace mindvoxel
