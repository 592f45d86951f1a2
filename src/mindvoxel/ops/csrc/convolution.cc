#include "convolution.h"

#include <functional>
#include <numeric>
#include <vector>

#include "fold.h"
#include "head.h"
#include "joined.h"
#include "layout.h"
#include "norm_kernels.h"
#include "patches.h"
#include "winograd.h"

namespace mindvoxel {
namespace {

// One kernel for the gradient of the source and another for those of weights and bias.
class SplitBackward : public Backward {
 public:
  SplitBackward(std::unique_ptr<Backward> data, std::unique_ptr<Backward> weights)
      : data_(std::move(data)), weights_(std::move(weights)) {}

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    if (data_) data_->Run(src, weights, diff_dst, {out.src, nullptr, nullptr});
    if (weights_) weights_->Run(src, weights, diff_dst, {nullptr, out.weights, out.bias});
  }

 private:
  std::unique_ptr<Backward> data_, weights_;
};

Case InF32(Case c) {
  c.precision = Precision::kF32;
  return c;
}

}  // namespace

void SumChannels(const Dims &dims, const float *blocked, float *sums) {
  using norm::kLanes;
  const int64_t blocks = dims[1] / kLanes, count = dims[0] * blocks;
  const int64_t size = kLanes * std::accumulate(dims.begin() + 2, dims.end(), int64_t{1}, std::multiplies<>());
  std::vector<norm::Sums> parts(count);
#pragma omp parallel for schedule(static) num_threads(NumThreads())
  for (int64_t i = 0; i < count; i++) {
    const float zeros[kLanes] = {};
    norm::Moments(blocked + i * size, size, zeros, &parts[i]);
  }
  for (int64_t c = 0; c < dims[1]; c++) {
    double sum = 0;
    for (int64_t n = 0; n < dims[0]; n++) sum += parts[n * blocks + c / kLanes].first[c % kLanes];
    sums[c] = static_cast<float>(sum);
  }
}

std::unique_ptr<Forward> MakeForward(const Case &c) {
  if (c.src_first > 0) return WantsWinograd(c, false) ? MakeWinogradForward(c) : MakeJoinedForward(c);
  if (IsBlockedHead(c)) return MakeHeadForward(c);
  if (IsHead(c)) return MakeDirectForward(InF32(c));
  if (IsPatchwise(c)) return MakePatchwiseForward(c);
  if (const auto fold = ChooseFold(c)) return MakeFoldedForward(c, *fold);
  if (WantsWinograd(c, false)) return MakeWinogradForward(c);
  return MakeDirectForward(c);
}

std::unique_ptr<Backward> MakeBackward(const Case &c, bool data, bool weights) {
  if (c.src_first > 0) {
    return WantsWinograd(c, data) ? MakeWinogradBackward(c, data, weights) : MakeJoinedBackward(c, data, weights);
  }
  if (IsBlockedHead(c)) return MakeHeadBackward(c);
  if (IsHead(c)) return MakeDirectBackward(InF32(c), data, weights);
  if (IsPatchwise(c)) return MakePatchwiseBackward(c);
  if (WantsWinograd(c, data)) return MakeWinogradBackward(c, data, weights);
  if (weights && c.precision == Precision::kBf16 && !HasAmx()) {
    // In AVX512-BF16 the weights' gradient takes 1 to 4 times as long as in f32, the source's half as long.
    return std::make_unique<SplitBackward>(data ? MakeBackward(c, true, false) : nullptr,
                                           MakeBackward(InF32(c), false, true));
  }
  const auto fold = weights ? ChooseFold(c) : std::nullopt;
  if (!fold) return MakeDirectBackward(c, data, weights);
  return std::make_unique<SplitBackward>(data ? MakeDirectBackward(c, true, false) : nullptr,
                                         MakeFoldedWeights(c, *fold));
}

}  // namespace mindvoxel
