#include "convolution.h"

#include "fold.h"
#include "layout.h"
#include "winograd.h"

namespace mindvoxel {
namespace {

// One kernel for the gradient of the source and another for those of weights and bias.
class SplitBackward : public Backward {
 public:
  SplitBackward(std::unique_ptr<Backward> data, std::unique_ptr<Backward> weights)
      : data_(std::move(data)), weights_(std::move(weights)) {}

  void Run(const float *src, const float *weights, const float *diff_dst, const Gradients &out) override {
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

std::unique_ptr<Forward> MakeForward(const Case &c) {
  if (IsHead(c)) return MakeDirectForward(InF32(c));
  if (const auto fold = ChooseFold(c)) return MakeFoldedForward(c, *fold);
  if (WantsWinograd(c, false)) return MakeWinogradForward(c);
  return MakeDirectForward(c);
}

std::unique_ptr<Backward> MakeBackward(const Case &c, bool data, bool weights) {
  if (IsHead(c)) return MakeDirectBackward(InF32(c), data, weights);
  if (WantsWinograd(c, data)) return MakeWinogradBackward(c, data, weights);
  const auto fold = weights ? ChooseFold(c) : std::nullopt;
  if (!fold) return MakeDirectBackward(c, data, weights);
  return std::make_unique<SplitBackward>(data ? MakeDirectBackward(c, true, false) : nullptr,
                                         MakeFoldedWeights(c, *fold));
}

}  // namespace mindvoxel
