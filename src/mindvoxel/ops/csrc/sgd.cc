// Stochastic gradient descent with momentum: one pass over weights, momenta and gradients, on every core.

#include <algorithm>
#include <cstring>
#include <vector>

#include "call.h"

namespace mindvoxel {
namespace {

constexpr int64_t kChunk = 1 << 16;

struct Rule {
  float rate, momentum, decay;
  bool nesterov;
};

struct Chunk {
  Rule rule;
  float *weights, *momenta;
  const float *gradients;
  int64_t count;
};

void Step(const Chunk &c) {
  const Rule r = c.rule;
  const float of_gradient = r.nesterov ? 1.F : 0.F, of_momentum = r.nesterov ? r.momentum : 1.F;
  for (int64_t i = 0; i < c.count; i++) {
    const float gradient = c.gradients[i] + r.decay * c.weights[i];
    const float momentum = r.momentum * c.momenta[i] + gradient;
    c.momenta[i] = momentum;
    c.weights[i] -= r.rate * (of_gradient * gradient + of_momentum * momentum);
  }
}

// rate, [momentum, whether Nesterov's, weight decay of every tensor...], weights..., momenta..., gradients... -> [1].
// Weights and momenta are changed in place.
void RunSgdStep(const Tensors &t) {
  for (int i = 0; i < t.count; i++) Require(std::strcmp(t.types[i], "float32") == 0, "tensors must be float32");
  Require(t.count > 3 && t.count % 3 == 0, "there must be as many momenta and gradients as weights");
  const int num = t.count / 3 - 1;
  Require(t.ranks[1] == 1 && t.shapes[1][0] == num + 2, "there must be a weight decay for every tensor");
  const float *numbers = t.In(1);
  std::vector<Chunk> chunks;
  for (int i = 0; i < num; i++) {
    const int weights = 2 + i, momenta = weights + num, gradients = momenta + num;
    const Dims shape = t.Shape(weights);
    Require(t.Shape(momenta) == shape && t.Shape(gradients) == shape, "momenta and gradients must fit the weights");
    const Rule rule{*t.In(0), numbers[0], numbers[2 + i], numbers[1] != 0};
    int64_t size = 1;
    for (const int64_t length : shape) size *= length;
    for (int64_t at = 0; at < size; at += kChunk) {
      const int64_t count = std::min(kChunk, size - at);
      chunks.push_back({rule, t.Out(weights) + at, t.Out(momenta) + at, t.In(gradients) + at, count});
    }
  }
#pragma omp parallel for schedule(static)
  for (const Chunk &chunk : chunks) Step(chunk);
  *t.Out(t.count - 1) = 1;
}

}  // namespace
}  // namespace mindvoxel

MINDVOXEL_API int SgdStep(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("SgdStep", [&] { mindvoxel::RunSgdStep({n, data, ranks, shapes, types}); });
}
