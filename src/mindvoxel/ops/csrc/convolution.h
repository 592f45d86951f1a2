// Convolution and transposed convolution in 1 to 3 space axes, forward and backward, on oneDNN primitives.
#pragma once

#include <memory>

#include "onednn.h"

namespace mindvoxel {

enum class Precision { kF32, kBf16 };  // of the factors; sums and results are always f32

// One convolution. `weights` is (O, I, k...) whatever the order in memory: (O, I, ...) for a convolution and
// (I, O, ...) for a transposed one, as MindSpore keeps them.
struct Case {
  bool transposed = false;
  bool has_bias = false;
  bool src_blocked = false, dst_blocked = false;  // the caller's layout: BlockedDesc() or PlainDesc()
  Precision precision = Precision::kF32;
  bool keeps_weights = false;  // the kernel is for weights that stay as they are: what it makes of them it keeps
  // Where src or dst is two blocked tensors that its channels are split over: those of the first; else 0.
  int64_t src_first = 0, dst_first = 0;
  Dims src, weights, dst;
  Window window;
};

// The caller's descriptions of the two tensors.
inline Desc CallerDesc(const Dims &dims, bool blocked) {
  return blocked ? BlockedDesc(dims, Type::f32) : PlainDesc(dims, Type::f32);
}
inline Desc SrcDesc(const Case &c) { return CallerDesc(c.src, c.src_blocked); }
inline Desc DstDesc(const Case &c) { return CallerDesc(c.dst, c.dst_blocked); }

// The numbers of a tensor: one tensor, or two that its channels are split over.
template <class Float>
struct Pieces {
  Pieces(Float *whole = nullptr, Float *rest = nullptr) : first(whole), second(rest) {}
  Float *first, *second;
};
using Source = Pieces<const float>;

// dst = conv(src, weights) + bias; all tensors dense f32. `bias` is null without one.
class Forward {
 public:
  virtual ~Forward() = default;
  virtual void Run(Source src, const float *weights, const float *bias, float *dst) = 0;
};

// The gradients of a loss from diff_dst; only those that were asked for are computed.
struct Gradients {
  Pieces<float> src;
  float *weights = nullptr, *bias = nullptr;
};
class Backward {
 public:
  virtual ~Backward() = default;
  virtual void Run(Source src, const float *weights, const float *diff_dst, const Gradients &out) = 0;
};

// The sums of a blocked tensor by channel.
void SumChannels(const Dims &dims, const float *blocked, float *sums);

// The fastest known way for this case...
std::unique_ptr<Forward> MakeForward(const Case &c);
std::unique_ptr<Backward> MakeBackward(const Case &c, bool data, bool weights);
// ...and oneDNN's own convolution, which the other ways are made of.
std::unique_ptr<Forward> MakeDirectForward(const Case &c);
std::unique_ptr<Backward> MakeDirectBackward(const Case &c, bool data, bool weights);

}  // namespace mindvoxel
