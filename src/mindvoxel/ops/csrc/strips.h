// How Winograd's way cuts a convolution into pieces, and the way of a piece to points and back.
#pragma once

#include <cstdint>

#include "convolution.h"
#include "winograd_kernels.h"

namespace mindvoxel {

// The sizes of a convolution with 2 or 3 space axes (depth, height, width); a missing depth is 1.
struct Shape {
  explicit Shape(const Case &c);

  int64_t images, channels_in, channels_out;
  int64_t first_in, first_out;  // channels of the first of the tensors that source or result is split over
  int64_t in[3], out[3], taps[3], pad[3];
  int64_t step;  // stride along the width; along the other axes it is 1
};

// A strip is as many rows of the result as the variant computes at a time along depth and height (4 x 4 or 6 x 6, and
// 1 x 4 or 1 x 6 where the kernel has no depth), whole along the width. Threads work on groups of strips, so that the
// points of a group stay in the core's cache. Tensors are blocked (N, C/16, D, H, W, 16), points are (point, strip,
// width, C).
class Strips {
 public:
  Strips(const Case &c, const winograd::Variant &variant);

  int64_t groups() const { return (count_ + group_ - 1) / group_; }
  int64_t InGroup(int64_t g) const;
  int64_t points() const { return variant_.points(); }
  const Shape &shape() const { return shape_; }

  int64_t padded_width() const { return (shape_.out[2] - 1) * shape_.step + shape_.taps[2]; }  // of a source row
  int64_t depth() const { return shape_.taps[2] * shape_.channels_in; }                        // factors in one sum
  // Floats from one point to the next. The odd lines keep their addresses from falling on the same cache sets.
  int64_t source_stride() const { return group_ * padded_width() * shape_.channels_in + winograd::kLanes; }
  int64_t result_stride() const { return group_ * shape_.out[2] * shape_.channels_out + winograd::kLanes; }
  int64_t weights_stride() const { return depth() * shape_.channels_out; }

  // B^T of the group's source rows; rows outside are read from `zeros`. `points` must be zero at first: columns of
  // padding are never written.
  void Source(mindvoxel::Source src, const float *zeros, int64_t g, float *points) const;
  // A of the group's rows of the result's gradient.
  void Gradient(const float *diff_dst, const float *zeros, int64_t g, float *points) const;
  // A^T of the group's products, plus bias.
  void Result(const float *points, const float *bias, int64_t g, Pieces<float> dst) const;

  // G of all weights, given (k..., I, O) -> (points, blocks of O, taps along the width, I, block). `flip` turns the
  // taps around along every axis. To be called by every thread of a parallel region, as the next.
  void Weights(const float *weights, bool flip, float *points) const;
  // G^T: (points, taps along the width, I, O) -> (k..., I, O).
  void WeightsGradient(const float *points, float *diff_weights) const;

 private:
  struct Place {
    int64_t image, depth, height;  // of a strip's first row of the result
  };
  Place Locate(int64_t strip) const;
  bool PassesCaches(Pieces<float> dst) const;

  Shape shape_;
  const winograd::Variant &variant_;
  int64_t strips_depth_, strips_height_, count_;
  int64_t group_;  // strips that a thread takes at a time
};

}  // namespace mindvoxel
