// Whether every number of many tensors is finite: one pass over all gradients, on every core.

#include <algorithm>
#include <cstring>
#include <vector>

#include "call.h"

namespace mindvoxel {
namespace {

constexpr int64_t kChunk = 1 << 16;

struct Chunk {
  const uint32_t *bits;
  int64_t count;
};

bool IsFinite(const Chunk &chunk) {
  constexpr uint32_t kExponent = 0x7F800000U;  // all ones in infinity and in what is not a number
  uint32_t bad = 0;
  for (int64_t i = 0; i < chunk.count; i++) bad |= static_cast<uint32_t>((chunk.bits[i] & kExponent) == kExponent);
  return bad == 0;
}

// tensors... -> 1 where all are finite, else 0
void RunAllFinite(const Tensors &t) {
  const int last = t.count - 1;
  Require(last >= 1 && t.ranks[last] == 1 && t.shapes[last][0] == 1, "the result is one number");
  std::vector<Chunk> chunks;
  for (int i = 0; i < t.count; i++) {
    Require(std::strcmp(t.types[i], "float32") == 0, "tensors must be float32");
    if (i == last) break;
    int64_t size = 1;
    for (int axis = 0; axis < t.ranks[i]; axis++) size *= t.shapes[i][axis];
    const auto *bits = static_cast<const uint32_t *>(t.data[i]);
    for (int64_t at = 0; at < size; at += kChunk) chunks.push_back({bits + at, std::min(kChunk, size - at)});
  }
  int bad = 0;
#pragma omp parallel for schedule(static) reduction(+ : bad)
  for (const Chunk &chunk : chunks) bad += IsFinite(chunk) ? 0 : 1;
  *t.Out(last) = bad == 0 ? 1.F : 0.F;
}

}  // namespace
}  // namespace mindvoxel

MINDVOXEL_API int AllFinite(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("AllFinite", [&] { mindvoxel::RunAllFinite({n, data, ranks, shapes, types}); });
}
