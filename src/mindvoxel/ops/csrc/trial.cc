#include "trial.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "convolution.h"

namespace mindvoxel {
namespace {

constexpr int kRounds = 5;  // the fastest counts, so that other programs' work does not

double Seconds(Precision precision) {
  Case c;
  c.precision = precision;
  c.src = c.dst = {1, 32, 24, 24, 24};
  c.weights = {32, 32, 3, 3, 3};
  c.window = {{1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
  const auto forward = MakeForward(c);
  const auto backward = MakeBackward(c, true, true);
  const std::size_t voxels = 32 * 24 * 24 * 24, taps = 32 * 32 * 27;
  std::vector<float> x(voxels, 0.5F), y(voxels), dx(voxels), w(taps, 0.25F), dw(taps);
  double best = 1e9;
  for (int round = 0; round < kRounds; round++) {
    const auto start = std::chrono::steady_clock::now();
    forward->Run(x.data(), w.data(), nullptr, y.data());
    backward->Run(x.data(), w.data(), y.data(), {dx.data(), dw.data(), nullptr});
    Stream().wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

}  // namespace

double Bf16Speedup() { return Seconds(Precision::kF32) / Seconds(Precision::kBf16); }

}  // namespace mindvoxel
