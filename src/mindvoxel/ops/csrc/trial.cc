#include "trial.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "convolution.h"

namespace mindvoxel {
namespace {

constexpr int kRounds = 15;  // in turn, and the fastest of each counts, so that other programs' work does not

/// Forward and backward of one layer in one precision, timed round by round.
class Trial {
 public:
  explicit Trial(Precision precision)
      : forward_(MakeForward(Layer(precision))), backward_(MakeBackward(Layer(precision), true, true)) {}

  void Round() {
    const auto start = std::chrono::steady_clock::now();
    forward_->Run(x_.data(), w_.data(), nullptr, y_.data());
    backward_->Run(x_.data(), w_.data(), y_.data(), {dx_.data(), dw_.data(), nullptr});
    Stream().wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best_ = std::min(best_, took.count());
  }

  double best() const { return best_; }

 private:
  static constexpr std::size_t kSource = 32 * 24 * 24 * 24, kResult = 64 * 12 * 12 * 12, kTaps = 64 * 32 * 27;

  static Case Layer(Precision precision) {
    Case c;
    c.precision = precision;
    c.src = {1, 32, 24, 24, 24};
    c.dst = {1, 64, 12, 12, 12};
    c.weights = {64, 32, 3, 3, 3};
    c.window = {{2, 2, 2}, {1, 1, 1}, {1, 1, 1}};
    c.src_blocked = c.dst_blocked = true;
    return c;
  }

  decltype(MakeForward(Case())) forward_;
  decltype(MakeBackward(Case(), true, true)) backward_;
  std::vector<float> x_ = std::vector<float>(kSource, 0.5F), y_ = std::vector<float>(kResult), dx_ = x_;
  std::vector<float> w_ = std::vector<float>(kTaps, 0.25F), dw_ = std::vector<float>(kTaps);
  double best_ = 1e9;
};

}  // namespace

double Bf16Speedup() {
  Trial f32(Precision::kF32), bf16(Precision::kBf16);
  for (int round = 0; round < kRounds; round++) {
    f32.Round();
    bf16.Round();
  }
  return f32.best() / bf16.best();
}

}  // namespace mindvoxel
