// The inner loops of winograd.cc, in AVX-512. Lanes are 16 channels; "points" are what a transform turns voxels into.
#pragma once

#include <cstdint>

namespace mindvoxel::winograd {

constexpr int kLanes = 16;

// rows -> points: for `count` positions, apply the transform to one vector from each row and store one per point.
// Rows and points of the two axes are numbered depth * (number along the height) + height.
using Scatter = void (*)(const float *const *rows, int64_t row_step, int64_t count, float *points, int64_t point_stride,
                         int64_t point_step);
// points -> rows, the other way round; null rows are left out, `bias` (16 numbers or null) is added. `past_caches`: the
// rows, whose vectors all begin at a multiple of 64 bytes, are written straight to memory.
using Gather = void (*)(const float *points, int64_t point_stride, int64_t point_step, int64_t count,
                        float *const *rows, int64_t row_step, const float *bias, bool past_caches);

// F(m, r) along depth and height: m outputs at a time of a kernel with r taps, through m + r - 1 points.
struct Variant {
  int outputs_depth, outputs_height;
  int taps_depth, taps_height;
  Scatter input;            // B^T: (m + r - 1)^2 rows of the source -> points
  Scatter weights;          // G:   r^2 taps -> points
  Scatter gradient;         // A:   m^2 rows of the output's gradient -> points
  Gather output;            // A^T: points -> m^2 rows of the output
  Gather weights_gradient;  // G^T: points -> r^2 taps

  int points_depth() const { return outputs_depth + taps_depth - 1; }
  int points_height() const { return outputs_height + taps_height - 1; }
  int points() const { return points_depth() * points_height(); }
};

// For kernels 5x5xk, 3x3xk and 1x3xk, with 4 or 6 outputs at a time; null for others, and where the library was built
// for another processor.
const Variant *FindVariant(int64_t taps_depth, int64_t taps_height, int outputs);

// Vectors of output channels that Multiply treats together: 2 where the number of channels allows.
inline int64_t ChannelVectors(int64_t channels) { return channels % (2 * kLanes) == 0 ? 2 : 1; }

// result(row, :) = sum over k < depth of a[row * a_step + k] * b(k, :). b is (channels / block, depth, block) with
// block = 16 * ChannelVectors(channels); result is (rows, channels).
void Multiply(const float *a, int64_t a_step, int64_t rows, const float *b, int64_t depth, int64_t channels,
              float *result);

// sum(k, :) += sum over strips and rows of a[strip * a_strip + row * a_step + k] * b(strip, row, :), for k < depth, a
// multiple of 16. b is (strips, rows, channels), sum is (depth, channels).
void Accumulate(const float *a, int64_t a_strip, int64_t a_step, const float *b, int64_t strips, int64_t rows,
                int64_t depth, int64_t channels, float *sum);

}  // namespace mindvoxel::winograd
