#include "winograd.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "arena.h"
#include "port.h"
#include "strips.h"

namespace mindvoxel {
namespace {

using winograd::kLanes;
using winograd::Variant;

// Transforming the weights costs as much as this many rows of products, forward or one way back.
constexpr double kWeightRows = 170;
// Every thread sums its own gradient of the transformed weights: many threads with many channels would take gigabytes.
constexpr int64_t kMostWeightBytes = 512 << 20;
// How much cheaper than direct summation it must look; bf16 sums twice as fast, but is no way to multiply points in.
constexpr double kLeastGain = 1.3, kLeastGainBf16 = 2.6;
// Six outputs at a time move more data through the caches: they must save a tenth of the products.
constexpr double kSixShare = 0.9;

// The convolution that computes the gradient of `c`'s source from that of its result: weights turned around.
Case GradientCase(const Case &c) {
  Case back = c;
  back.src = c.dst;
  back.dst = c.src;
  back.has_bias = false;
  std::swap(back.weights[0], back.weights[1]);
  std::swap(back.src_blocked, back.dst_blocked);
  std::swap(back.src_first, back.dst_first);
  for (std::size_t i = 0; i + 2 < c.src.size(); i++) {
    back.window.pad_begin[i] = c.weights[i + 2] - 1 - c.window.pad_begin[i];
    back.window.pad_end[i] = c.weights[i + 2] - 1 - c.window.pad_end[i];
  }
  return back;
}

// f32 weights (O, I, k...) as they lie in memory when read as (k..., slow, fast), with O or I as the fast one.
Desc TapsFirstDesc(const Dims &dims, bool outputs_fast) {
  Dims strides(dims.size());
  strides[outputs_fast ? 0 : 1] = 1;
  strides[outputs_fast ? 1 : 0] = dims[outputs_fast ? 0 : 1];
  int64_t stride = dims[0] * dims[1];
  for (std::size_t i = dims.size() - 1; i >= 2; i--) {
    strides[i] = stride;
    stride *= dims[i];
  }
  return Desc(dims, Type::f32, strides);
}

float *Floats(const memory &m) { return static_cast<float *>(m.get_data_handle()); }

// Two tensors are blocked already.
Source Blocked(const Input &port, Source src) { return src.second != nullptr ? src : Floats(port.Bring(src.first)); }

class WinogradForward : public Forward {
 public:
  // `flip`: the weights come as those of the convolution whose data gradient this is.
  WinogradForward(const Case &c, const Variant &variant, bool flip)
      : strips_(c, variant),
        flip_(flip),
        keeps_weights_(c.keeps_weights),
        src_(SrcDesc(c), BlockedDesc(c.src, Type::f32)),
        dst_(DstPort(c)) {
    Dims dims = c.weights;
    if (flip) std::swap(dims[0], dims[1]);
    weights_ = Input(PlainDesc(dims, Type::f32), TapsFirstDesc(dims, !flip));
  }

  void Run(Source src, const float *weights, const float *bias, float *dst) override {
    Arena::Scope scope;
    RunBlocked(Blocked(src_, src), weights, bias, dst);
  }

  // The same with a source that is blocked already.
  void RunBlocked(Source src, const float *weights, const float *bias, Pieces<float> dst) {
    Arena::Scope scope;
    const float *factors = Factors(weights);
    if (dst.second != nullptr) return Compute(src, factors, bias, dst);
    const memory room = dst_.Room(dst.first);
    Compute(src, factors, bias, Floats(room));
    dst_.Deliver(room, dst.first);
  }

 private:
  static Output DstPort(const Case &c) { return {DstDesc(c), BlockedDesc(c.dst, Type::f32)}; }

  // The transformed weights.
  const float *Factors(const float *weights) {
    if (kept_) return Floats(kept_->get());
    const Desc desc({strips_.points() * strips_.weights_stride()}, Type::f32, memory::format_tag::a);
    std::optional<Kept> own;
    if (keeps_weights_) own.emplace(desc);
    float *factors = Floats(own ? own->get() : Arena::Get().Take(desc));
    const float *taps_first = Floats(weights_.Bring(weights));
#pragma omp parallel num_threads(NumThreads())
    strips_.Weights(taps_first, flip_, factors);
    kept_ = std::move(own);
    return factors;
  }

  void Compute(Source src, const float *factors, const float *bias, Pieces<float> dst) {
    const Shape &s = strips_.shape();
    const int64_t points = strips_.points(), row = s.in[2] * kLanes;
    const int64_t source = points * strips_.source_stride(), result = points * strips_.result_stride();
    float *zeros = TakeFloats(row);
    std::memset(zeros, 0, static_cast<std::size_t>(row) * sizeof(float));
    float *work = TakeFloats((source + result) * NumThreads());
#pragma omp parallel num_threads(NumThreads())
    {
      float *mine = work + (source + result) * omp_get_thread_num();
      std::memset(mine, 0, static_cast<std::size_t>(source) * sizeof(float));
#pragma omp for schedule(dynamic)
      for (int64_t g = 0; g < strips_.groups(); g++) {
        strips_.Source(src, zeros, g, mine);
        for (int64_t p = 0; p < points; p++) MultiplyPoint(g, p, factors, mine, mine + source);
        strips_.Result(mine + source, bias, g, dst);
      }
    }
  }

  void MultiplyPoint(int64_t g, int64_t point, const float *factors, const float *source, float *result) const {
    const Shape &s = strips_.shape();
    for (int64_t i = 0; i < strips_.InGroup(g); i++) {
      winograd::Multiply(source + point * strips_.source_stride() + i * strips_.padded_width() * s.channels_in,
                         s.step * s.channels_in, s.out[2], factors + point * strips_.weights_stride(), strips_.depth(),
                         s.channels_out, result + point * strips_.result_stride() + i * s.out[2] * s.channels_out);
    }
  }

  Strips strips_;
  bool flip_, keeps_weights_;
  Input src_, weights_;
  Output dst_;
  std::optional<Kept> kept_;
};

class WinogradWeights {
 public:
  WinogradWeights(const Case &c, const Variant &variant)
      : dst_(c.dst),
        strips_(c, variant),
        src_(SrcDesc(c), BlockedDesc(c.src, Type::f32)),
        diff_weights_(PlainDesc(c.weights, Type::f32), TapsFirstDesc(c.weights, true)) {}

  // `diff_dst` is blocked.
  void Run(Source src, const float *diff_dst, const Gradients &out) {
    Arena::Scope scope;
    const Source blocked = Blocked(src_, src);
    const memory room = diff_weights_.Room(out.weights);
    Compute(blocked, diff_dst, Floats(room));
    diff_weights_.Deliver(room, out.weights);
    if (out.bias != nullptr) SumChannels(dst_, diff_dst, out.bias);
  }

 private:
  void Compute(Source src, const float *diff_dst, float *diff_weights) {
    const Shape &s = strips_.shape();
    const int64_t points = strips_.points(), row = std::max(s.in[2], s.out[2]) * kLanes;
    const int64_t source = points * strips_.source_stride(), result = points * strips_.result_stride();
    const int64_t sums = points * strips_.weights_stride(), share = source + result + sums;
    float *zeros = TakeFloats(row);
    std::memset(zeros, 0, static_cast<std::size_t>(row) * sizeof(float));
    float *work = TakeFloats(share * NumThreads());
#pragma omp parallel num_threads(NumThreads())
    {
      float *mine = work + share * omp_get_thread_num();
      std::memset(mine, 0, static_cast<std::size_t>(share) * sizeof(float));
#pragma omp for schedule(static)
      for (int64_t g = 0; g < strips_.groups(); g++) {
        strips_.Source(src, zeros, g, mine);
        strips_.Gradient(diff_dst, zeros, g, mine + source);
        for (int64_t p = 0; p < points; p++) {
          winograd::Accumulate(mine + p * strips_.source_stride(), strips_.padded_width() * s.channels_in,
                               s.step * s.channels_in, mine + source + p * strips_.result_stride(), strips_.InGroup(g),
                               s.out[2], strips_.depth(), s.channels_out,
                               mine + source + result + p * strips_.weights_stride());
        }
      }
      AddShares(work + source + result, share, sums);
      strips_.WeightsGradient(work + source + result, diff_weights);
    }
  }

  // Adds every thread's sums to the first one's, always in the same order.
  static void AddShares(float *first, int64_t share, int64_t sums) {
    const int threads = omp_get_num_threads();
#pragma omp for schedule(static)
    for (int64_t i = 0; i < sums; i++) {
      for (int t = 1; t < threads; t++) first[i] += first[i + t * share];
    }
  }

  Dims dst_;
  Strips strips_;
  Input src_;
  Output diff_weights_;
};

const Variant *VariantOf(const Case &c, int outputs) {
  const Shape s(c);
  return winograd::FindVariant(s.taps[0], s.taps[1], outputs);
}

// Rows of products at each point.
double Rows(const Case &c, const Variant &variant) {
  const Shape s(c);
  const auto ceil_divide = [](int64_t size, int64_t unit) { return (size + unit - 1) / unit; };
  const int64_t strips = ceil_divide(s.out[0], variant.outputs_depth) * ceil_divide(s.out[1], variant.outputs_height);
  return static_cast<double>(s.images * s.out[2] * strips);
}

// 6 outputs at a time where that saves enough. With a kernel of 5 the relative rounding error is 3e-5 instead of the
// 4e-6 of 4 outputs: they are taken where bf16, whose own is 2e-3, was asked for.
const Variant &ForwardVariant(const Case &c) {
  const Variant &four = *VariantOf(c, 4), &six = *VariantOf(c, 6);
  if (six.taps_height == 5 && c.precision != Precision::kBf16) return four;
  const auto cost = [&](const Variant &v) { return v.points() * (Rows(c, v) + kWeightRows); };
  return cost(six) < kSixShare * cost(four) ? six : four;
}

class WinogradBackward : public Backward {
 public:
  WinogradBackward(const Case &c, bool data, bool weights) : diff_dst_(DstDesc(c), BlockedDesc(c.dst, Type::f32)) {
    if (data) data_.emplace(GradientCase(c), ForwardVariant(GradientCase(c)), true);
    if (weights) weights_.emplace(c, *VariantOf(c, 4));
  }

  void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) override {
    Arena::Scope scope;
    const memory gradient = diff_dst_.Bring(diff_dst);
    if (data_) data_->RunBlocked(Floats(gradient), weights, nullptr, out.src);
    if (weights_) weights_->Run(src, Floats(gradient), out);
  }

 private:
  Input diff_dst_;
  std::optional<WinogradForward> data_;
  std::optional<WinogradWeights> weights_;
};

bool IsPossible(const Case &c, bool data) {
  if (c.transposed || c.src.size() < 4 || !HasAvx512()) return false;
  if (c.src[1] % kLanes != 0 || c.dst[1] % kLanes != 0) return false;
  for (std::size_t i = 0; i + 2 < c.src.size(); i++) {
    const bool may_step = !data && i + 3 == c.src.size();  // the width, where nothing is transformed
    if (c.window.strides[i] != 1 && !may_step) return false;
    const int64_t most = c.weights[i + 2] - 1;  // more padding would make the gradient's padding negative
    if (data && (c.window.pad_begin[i] > most || c.window.pad_end[i] > most)) return false;
  }
  return VariantOf(c, 4) != nullptr;
}

}  // namespace

bool WantsWinograd(const Case &c, bool data) {
  if (!IsPossible(c, data)) return false;
  const bool is_bf16 = c.precision == Precision::kBf16;
  if (is_bf16 && HasAmx()) return false;
  const Shape s(c);
  const Variant &variant = *VariantOf(c, 4);
  const int64_t weight_bytes = variant.points() * s.taps[2] * s.channels_in * s.channels_out * 4;
  if (weight_bytes * NumThreads() > kMostWeightBytes) return false;
  const int64_t voxels = s.images * s.out[0] * s.out[1] * s.out[2];
  const auto direct = static_cast<double>(voxels * s.taps[0] * s.taps[1]) / variant.points();
  const double rows = Rows(c, variant) + (c.keeps_weights ? 0 : kWeightRows);
  return direct >= rows * (is_bf16 ? kLeastGainBf16 : kLeastGain);
}

std::unique_ptr<Forward> MakeWinogradForward(const Case &c) {
  return std::make_unique<WinogradForward>(c, ForwardVariant(c), false);
}

std::unique_ptr<Backward> MakeWinogradBackward(const Case &c, bool data, bool weights) {
  return std::make_unique<WinogradBackward>(c, data, weights);
}

}  // namespace mindvoxel
