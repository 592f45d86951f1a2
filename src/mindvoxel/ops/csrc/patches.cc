#include "patches.h"

#include <omp.h>

#include <algorithm>
#include <vector>

#include "arena.h"
#include "patches_kernels.h"
#include "stores.h"

namespace mindvoxel {
namespace {

using patches::kLanes;

// The coarse and the fine side; a missing leading axis has size 1. A tap is a voxel of a patch. Weights lie as (coarse
// channels, fine channels, taps) whether the convolution is transposed or not.
class Grid {
 public:
  explicit Grid(const Case &c) {
    const Dims &small = c.transposed ? c.src : c.dst;
    batch = small[0];
    coarse_channels = small[1];
    fine_channels = c.transposed ? c.dst[1] : c.src[1];
    for (std::size_t axis = 5 - small.size(), i = 2; i < small.size(); axis++, i++) {
      size[axis] = small[i];
      patch[axis] = c.weights[i];
    }
  }

  int64_t taps() const { return patch[0] * patch[1] * patch[2]; }
  int64_t voxels() const { return size[0] * size[1] * size[2]; }
  int64_t rows() const { return batch * size[0] * size[1]; }

  // Row r of the coarse side: where its line of channels `block` begins.
  int64_t Coarse(int64_t r, int64_t block) const {
    const int64_t plane = size[0] * size[1];
    return ((r / plane * (coarse_channels / kLanes) + block) * plane + r % plane) * size[2] * kLanes;
  }
  // The first fine voxel that row r meets at a tap.
  int64_t Fine(int64_t r, int64_t tap, int64_t block) const {
    const int64_t plane = size[0] * size[1], image = r / plane;
    const int64_t depth = r % plane / size[1] * patch[0] + tap / (patch[1] * patch[2]);
    const int64_t height = r % size[1] * patch[1] + tap / patch[2] % patch[1];
    const int64_t line = image * (fine_channels / kLanes) + block;
    return (((line * size[0] * patch[0] + depth) * size[1] * patch[1] + height) * size[2] * patch[2] + tap % patch[2]) *
           kLanes;
  }
  int64_t fine_step() const { return patch[2] * kLanes; }

  int64_t batch, coarse_channels, fine_channels, size[3] = {1, 1, 1}, patch[3] = {1, 1, 1};
};

// Weights for one direction: visit(place in (groups, taps, channels summed, block), place in memory).
template <class Visit>
void ForEachWeight(const Grid &g, bool to_fine, Visit visit) {
  const int64_t in = to_fine ? g.coarse_channels : g.fine_channels;
  const int64_t out = to_fine ? g.fine_channels : g.coarse_channels;
  const int64_t block = patches::BlocksAtOnce(out) * kLanes, taps = g.taps();
#pragma omp parallel for schedule(static) num_threads(NumThreads())
  for (int64_t o = 0; o < out; o++) {
    for (int64_t tap = 0; tap < taps; tap++) {
      for (int64_t i = 0; i < in; i++) {
        const int64_t coarse = to_fine ? i : o, fine = to_fine ? o : i;
        visit(((o / block * taps + tap) * in + i) * block + o % block, (coarse * g.fine_channels + fine) * taps + tap);
      }
    }
  }
}

float *Packed(const Grid &g, bool to_fine, const float *weights) {
  float *packed = TakeFloats(g.coarse_channels * g.fine_channels * g.taps());
  ForEachWeight(g, to_fine, [=](int64_t to, int64_t from) { packed[to] = weights[from]; });
  return packed;
}

// fine = coarse * weights + bias, tap by tap.
void ToFine(const Grid &g, const float *coarse, const float *weights, const float *bias, float *fine) {
  Arena::Scope scope;
  const float *packed = Packed(g, true, weights);
  const int64_t in = g.coarse_channels, blocks = patches::BlocksAtOnce(g.fine_channels), block = blocks * kLanes;
  const bool past_caches = GoesPastCaches(fine, g.batch * g.fine_channels * g.voxels() * g.taps());
#pragma omp parallel for schedule(static) num_threads(NumThreads())
  for (int64_t r = 0; r < g.rows(); r++) {
    std::vector<const float *> lines(in / kLanes);
    for (std::size_t i = 0; i < lines.size(); i++) lines[i] = coarse + g.Coarse(r, static_cast<int64_t>(i));
    for (int64_t o = 0; o < g.fine_channels; o += block) {
      for (int64_t tap = 0; tap < g.taps(); tap++) {
        float *out[2] = {fine + g.Fine(r, tap, o / kLanes), nullptr};
        if (blocks == 2) out[1] = fine + g.Fine(r, tap, o / kLanes + 1);
        const float *of_tap = packed + (o / block * g.taps() + tap) * in * block;
        patches::Multiply(lines.data(), in / kLanes, kLanes, g.size[2], of_tap, blocks,
                          bias == nullptr ? nullptr : bias + o, out, g.fine_step(), past_caches);
      }
    }
  }
}

// coarse = sum over taps of fine * weights, + bias.
void ToCoarse(const Grid &g, const float *fine, const float *weights, const float *bias, float *coarse) {
  Arena::Scope scope;
  const float *packed = Packed(g, false, weights);
  const int64_t in = g.fine_channels / kLanes, terms = g.taps() * in;
  const int64_t blocks = patches::BlocksAtOnce(g.coarse_channels), block = blocks * kLanes;
#pragma omp parallel for schedule(static) num_threads(NumThreads())
  for (int64_t r = 0; r < g.rows(); r++) {
    std::vector<const float *> lines(terms);
    for (int64_t t = 0; t < terms; t++) lines[t] = fine + g.Fine(r, t / in, t % in);
    for (int64_t o = 0; o < g.coarse_channels; o += block) {
      float *out[2] = {coarse + g.Coarse(r, o / kLanes), nullptr};
      if (blocks == 2) out[1] = coarse + g.Coarse(r, o / kLanes + 1);
      patches::Multiply(lines.data(), terms, g.fine_step(), g.size[2], packed + o * terms * kLanes, blocks,
                        bias == nullptr ? nullptr : bias + o, out, kLanes, false);
    }
  }
}

// The sums of weights = coarse^T * fine of one plane of rows, packed as for ToFine.
void AddWeights(const Grid &g, const float *coarse, const float *fine, int64_t first_row, float *sums) {
  const int64_t blocks = patches::BlocksAtOnce(g.fine_channels), block = blocks * kLanes;
  const patches::Walk walk{g.size[1], g.size[2], g.size[2] * kLanes,
                           g.patch[1] * g.size[2] * g.patch[2] * kLanes, g.fine_step()};
  for (int64_t o = 0; o < g.fine_channels; o += block) {
    for (int64_t tap = 0; tap < g.taps(); tap++) {
      const float *lines[2] = {fine + g.Fine(first_row, tap, o / kLanes), nullptr};
      if (blocks == 2) lines[1] = fine + g.Fine(first_row, tap, o / kLanes + 1);
      float *sum = sums + (o / block * g.taps() + tap) * g.coarse_channels * block;
      for (int64_t i = 0; i < g.coarse_channels; i += kLanes) {
        patches::Accumulate(coarse + g.Coarse(first_row, i / kLanes), lines, blocks, walk, sum + i * block);
      }
    }
  }
}

void WeightsGradient(const Grid &g, const float *coarse, const float *fine, float *weights) {
  Arena::Scope scope;
  const int64_t all = g.coarse_channels * g.fine_channels * g.taps();
  float *sums = TakeFloats(all * NumThreads());
  int threads = 1;
#pragma omp parallel num_threads(NumThreads())
  {
    float *mine = sums + all * omp_get_thread_num();
    std::fill_n(mine, all, 0.0F);
#pragma omp single
    threads = omp_get_num_threads();
#pragma omp for schedule(static)
    for (int64_t plane = 0; plane < g.batch * g.size[0]; plane++) AddWeights(g, coarse, fine, plane * g.size[1], mine);
  }
  ForEachWeight(g, true, [=](int64_t from, int64_t to) {
    float sum = sums[from];
    for (int t = 1; t < threads; t++) sum += sums[from + t * all];  // always in the same order
    weights[to] = sum;
  });
}

class PatchwiseForward : public Forward {
 public:
  explicit PatchwiseForward(const Case &c) : transposed_(c.transposed), grid_(c) {}

  void Run(Source src, const float *weights, const float *bias, float *dst) override {
    (transposed_ ? ToFine : ToCoarse)(grid_, src.first, weights, bias, dst);
  }

 private:
  bool transposed_;
  Grid grid_;
};

class PatchwiseBackward : public Backward {
 public:
  explicit PatchwiseBackward(const Case &c) : transposed_(c.transposed), dst_(c.dst), grid_(c) {}

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    if (out.src.first != nullptr) {
      (transposed_ ? ToCoarse : ToFine)(grid_, diff_dst, weights, nullptr, out.src.first);
    }
    if (out.weights != nullptr) {
      WeightsGradient(grid_, transposed_ ? src.first : diff_dst, transposed_ ? diff_dst : src.first, out.weights);
    }
    if (out.bias != nullptr) SumChannels(dst_, diff_dst, out.bias);
  }

 private:
  bool transposed_;
  Dims dst_;
  Grid grid_;
};

}  // namespace

bool IsPatchwise(const Case &c) {
  if (!c.src_blocked || !c.dst_blocked || !HasAvx512() || !patches::IsBuilt()) return false;
  for (std::size_t i = 0; i + 2 < c.src.size(); i++) {
    const int64_t step = c.window.strides[i];
    if (c.weights[i + 2] != step || c.window.pad_begin[i] != 0 || c.window.pad_end[i] != 0) return false;
    if (c.transposed ? c.dst[i + 2] != c.src[i + 2] * step : c.src[i + 2] != c.dst[i + 2] * step) return false;
  }
  return true;
}

std::unique_ptr<Forward> MakePatchwiseForward(const Case &c) { return std::make_unique<PatchwiseForward>(c); }

std::unique_ptr<Backward> MakePatchwiseBackward(const Case &c) { return std::make_unique<PatchwiseBackward>(c); }

}  // namespace mindvoxel
