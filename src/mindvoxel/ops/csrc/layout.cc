#include "layout.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace mindvoxel {
namespace {

constexpr int64_t kFewChannels = 4;      // blocked layouts pad channels to 16, so that few channels waste most of them
constexpr int64_t kLargeKernelVox = 28;  // more than 3x3x3

bool WantsChannelsLast(const Case &c, Pass pass) {
  const int64_t kernel_vox = std::accumulate(c.weights.begin() + 2, c.weights.end(), int64_t{1}, std::multiplies<>());
  const bool unit_stride = std::all_of(c.window.strides.begin(), c.window.strides.end(), [](auto s) { return s == 1; });
  if (c.transposed) return false;
  if (kernel_vox == 1 && std::min(c.src[1], c.dst[1]) <= kFewChannels) return true;
  if (pass == Pass::kData) return c.dst[1] <= kFewChannels;
  if (!unit_stride || kernel_vox < kLargeKernelVox || std::min(c.src[1], c.dst[1]) < 16) return false;
  // Large kernels: forward in bf16 and the weights' gradient in f32 run 7 to 20 % faster on channels-last tensors.
  return (pass == Pass::kForward) == (c.precision == Precision::kBf16);
}

}  // namespace

Desc ComputeDesc(const Case &c, Pass pass, const Dims &dims, Type type) {
  return WantsChannelsLast(c, pass) ? ChannelsLastDesc(dims, type) : AnyDesc(dims, type);
}

}  // namespace mindvoxel
