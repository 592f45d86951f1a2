// The inner loops of patches.cc and head.cc, in AVX-512, on blocked tensors: a "line" is 16 channels of neighbouring
// voxels, its "step" the number of floats from one voxel to the next.
#pragma once

#include <cstdint>

namespace mindvoxel::patches {

constexpr int kLanes = 16;

// Blocks of output channels that are treated together.
inline int64_t BlocksAtOnce(int64_t channels) { return channels % (2 * kLanes) == 0 ? 2 : 1; }

// For `count` voxels: out(voxel) = bias + sum over the `terms` lines of line(voxel) * b. b is (terms, 16, blocks, 16),
// out and bias are `blocks` lines and vectors, 1 or 2 of them; bias may be null. `past_caches`: `out`, whose vectors
// all begin at a multiple of 64 bytes, is written straight to memory.
void Multiply(const float *const *lines, int64_t terms, int64_t step, int64_t count, const float *b, int64_t blocks,
              const float *bias, float *const *out, int64_t out_step, bool past_caches);

// sum(i, :) += sum over rows and voxels of a(voxel)[i] * b(voxel), for the 16 channels i of a. b is `blocks` lines, 1
// or 2; sum is (16, blocks, 16). A row begins `a_row` or `b_row` floats after the one before.
struct Walk {
  int64_t rows, count, a_row, b_row, b_step;
};
void Accumulate(const float *a, const float *const *b, int64_t blocks, const Walk &walk, float *sum);

// A convolution with a kernel of 1 to `classes` (1 to 4) plain channels of `stride` floats each. x are the lines of the
// `blocks` blocks of channels, `count` voxels; w is (classes, blocks, 16).
constexpr int64_t kMostClasses = 4;
struct Head {
  int64_t classes, blocks, stride, count;
};
void HeadForward(const Head &h, const float *const *x, const float *w, const float *bias, float *y);
void HeadData(const Head &h, const float *dy, const float *w, float *const *dx);
// Adds to dw (classes, blocks, 16) and db (classes, 16 lanes).
void HeadWeights(const Head &h, const float *const *x, const float *dy, float *dw, float *db);

bool IsBuilt();

}  // namespace mindvoxel::patches
