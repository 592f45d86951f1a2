// Whether every number of many tensors is finite, and their Euclidean norm: one pass over all gradients, on every core.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "call.h"

namespace mindvoxel {
namespace {

constexpr int64_t kChunk = 1 << 16;

struct Chunk {
  const float *values;
  int64_t count;
};

bool IsFinite(const Chunk &chunk) {
  constexpr uint32_t kExponent = 0x7F800000U;  // all ones in infinity and in what is not a number
  const auto *bits = reinterpret_cast<const uint32_t *>(chunk.values);
  uint32_t bad = 0;
  for (int64_t i = 0; i < chunk.count; i++) bad |= static_cast<uint32_t>((bits[i] & kExponent) == kExponent);
  return bad == 0;
}

// Always in the same order, in lanes that the compiler can make vectors of.
double SumOfSquares(const Chunk &chunk) {
  constexpr int64_t kLanes = 8;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= chunk.count; i += kLanes) {
    for (int64_t k = 0; k < kLanes; k++) {
      const double value = chunk.values[i + k];
      lanes[k] += value * value;
    }
  }
  for (; i < chunk.count; i++) lanes[0] += static_cast<double>(chunk.values[i]) * chunk.values[i];
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// All inputs, in pieces of at most kChunk numbers; the one output is one number.
std::vector<Chunk> Split(const Tensors &t) {
  const int last = t.count - 1;
  Require(last >= 1 && t.ranks[last] == 1 && t.shapes[last][0] == 1, "the result is one number");
  std::vector<Chunk> chunks;
  for (int i = 0; i < t.count; i++) {
    Require(std::strcmp(t.types[i], "float32") == 0, "tensors must be float32");
    if (i == last) break;
    int64_t size = 1;
    for (int axis = 0; axis < t.ranks[i]; axis++) size *= t.shapes[i][axis];
    for (int64_t at = 0; at < size; at += kChunk) chunks.push_back({t.In(i) + at, std::min(kChunk, size - at)});
  }
  return chunks;
}

// tensors... -> 1 where all are finite, else 0
void RunAllFinite(const Tensors &t) {
  int bad = 0;
  const std::vector<Chunk> chunks = Split(t);
#pragma omp parallel for schedule(static) reduction(+ : bad)
  for (const Chunk &chunk : chunks) bad += IsFinite(chunk) ? 0 : 1;
  *t.Out(t.count - 1) = bad == 0 ? 1.F : 0.F;
}

// tensors... -> the norm of all numbers; not finite where one of them is not
void RunGlobalNorm(const Tensors &t) {
  const std::vector<Chunk> chunks = Split(t);
  std::vector<double> sums(chunks.size());
#pragma omp parallel for schedule(static)
  for (std::size_t i = 0; i < chunks.size(); i++) sums[i] = SumOfSquares(chunks[i]);
  double total = 0;
  for (const double sum : sums) total += sum;
  *t.Out(t.count - 1) = static_cast<float>(std::sqrt(total));
}

}  // namespace
}  // namespace mindvoxel

MINDVOXEL_API int AllFinite(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("AllFinite", [&] { mindvoxel::RunAllFinite({n, data, ranks, shapes, types}); });
}

MINDVOXEL_API int GlobalNorm(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("GlobalNorm", [&] { mindvoxel::RunGlobalNorm({n, data, ranks, shapes, types}); });
}
