// What losses over classes need of the softmax, without keeping it: sums over all voxels, and their gradient.
#pragma once

#include <cstdint>

namespace mindvoxel::softmax {

constexpr int64_t kMostClasses = 32;

// Sums of one stretch of voxels: -log p of the label; then for every class p where it is the label, p, and 1 where it
// is the label. A label that is no class adds to the sums of p alone.
struct Sums {
  double cross_entropy = 0;
  double overlap[kMostClasses] = {}, probability[kMostClasses] = {}, truth[kMostClasses] = {};
};

// logits of class c at logits + c * stride; `count` voxels.
void Measure(const float *logits, int64_t stride, int64_t classes, const int32_t *label, int64_t count, Sums *sums);

// The gradient of slope * cross entropy + sum over c of (of_overlap[c] * overlap[c] + of_probability[c] * p[c]).
struct Slopes {
  float cross_entropy;
  const float *overlap, *probability;
};
void Gradient(const float *logits, int64_t stride, int64_t classes, const int32_t *label, int64_t count,
              const Slopes &slopes, float *result);

bool IsBuilt();

}  // namespace mindvoxel::softmax
