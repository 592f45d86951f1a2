// The functions that MindSpore calls (ops.Custom, func_type="aot") and those that Python sets the library up with.
//
// Every operator's last input is an int64 tensor that holds what shapes do not tell:
//   [transposed, strides..., padding before..., padding after..., source blocked, result blocked], strides and padding
// one number per space axis. A blocked tensor has its channels in groups of 16: (N, C/16, space..., 16), under the
// shape (N, C, space...).

#include <cstring>
#include <string>

#include "arena.h"
#include "cache.h"
#include "call.h"
#include "convolution.h"
#include "trial.h"

namespace mindvoxel {
namespace {

Precision precision = Precision::kF32;
Cache<Forward> forwards;
Cache<Backward> backwards;

void ReadGeometry(const Tensors &t, int i, Case *c) {
  const std::size_t axes = c->src.size() - 2;
  Require(std::strcmp(t.types[i], "int64") == 0, "the last input must be int64");
  Require(t.ranks[i] == 1 && t.shapes[i][0] == static_cast<int64_t>(3 + 3 * axes),
          "the last input must hold 3 + 3 numbers per space axis");
  const auto *numbers = static_cast<const int64_t *>(t.data[i]);
  c->transposed = numbers[0] != 0;
  c->window.strides.assign(numbers + 1, numbers + 1 + axes);
  c->window.pad_begin.assign(numbers + 1 + axes, numbers + 1 + 2 * axes);
  c->window.pad_end.assign(numbers + 1 + 2 * axes, numbers + 1 + 3 * axes);
  c->src_blocked = numbers[1 + 3 * axes] != 0;
  c->dst_blocked = numbers[2 + 3 * axes] != 0;
}

// The size along one axis that the larger side must have for the smaller side to be `small`.
bool Fits(int64_t large, int64_t small, int64_t kernel, int64_t stride, int64_t padding) {
  return large + padding >= kernel && (large + padding - kernel) / stride + 1 == small;
}

void Check(const Case &c) {
  const std::size_t rank = c.src.size();
  Require(rank >= 3 && rank <= 5 && c.weights.size() == rank && c.dst.size() == rank, "tensors must have 3 to 5 axes");
  Require(c.src[0] == c.dst[0], "batch sizes differ");
  Require(c.weights[0] == c.dst[1] && c.weights[1] == c.src[1], "weights do not match the channels");
  Require((!c.src_blocked || c.src[1] % 16 == 0) && (!c.dst_blocked || c.dst[1] % 16 == 0),
          "channels of a blocked tensor must be a multiple of 16");
  for (std::size_t i = 2; i < rank; i++) {
    const int64_t stride = c.window.strides[i - 2], padding = c.window.pad_begin[i - 2] + c.window.pad_end[i - 2];
    Require(stride > 0 && c.window.pad_begin[i - 2] >= 0 && c.window.pad_end[i - 2] >= 0, "bad stride or padding");
    const bool fits = c.transposed ? Fits(c.dst[i], c.src[i], c.weights[i], stride, padding)
                                   : Fits(c.src[i], c.dst[i], c.weights[i], stride, padding);
    Require(fits, "sizes do not match kernel, stride and padding");
  }
}

Case ReadCase(const Tensors &t, int src, int weights, int dst, int geometry) {
  for (int i = 0; i < t.count; i++) {
    Require(i == geometry || std::strcmp(t.types[i], "float32") == 0, "tensors must be float32");
  }
  Case c;
  c.src = t.Shape(src);
  c.weights = t.Shape(weights);
  c.dst = t.Shape(dst);
  c.precision = precision;
  Require(c.src.size() >= 3 && c.weights.size() == c.src.size(), "tensors must have 3 to 5 axes");
  ReadGeometry(t, geometry, &c);
  if (c.transposed) std::swap(c.weights[0], c.weights[1]);
  return c;
}

// x, weights, [bias], geometry -> y
void RunForward(const Tensors &t) {
  Require(t.count == 4 || t.count == 5, "forward takes 3 or 4 inputs and gives 1 output");
  const bool has_bias = t.count == 5;
  const int y = t.count - 1;
  Case c = ReadCase(t, 0, 1, y, y - 1);
  c.has_bias = has_bias;
  Check(c);
  Require(!has_bias || t.Shape(2) == Dims{c.dst[1]}, "the bias must hold one number a channel of the result");
  Forward &kernel = forwards.Find(MakeKey(c), [&] { return MakeForward(c); });
  kernel.Run(t.In(0), t.In(1), has_bias ? t.In(2) : nullptr, t.Out(y));
}

// x, weights, dy, geometry -> [dx], [dw, [db]]
void RunBackward(const Tensors &t, bool data, bool weights) {
  const int first = 4, num_outputs = t.count - first;
  const int least = (data ? 1 : 0) + (weights ? 1 : 0);
  Require(num_outputs == least || (weights && num_outputs == least + 1), "wrong number of outputs");
  Case c = ReadCase(t, 0, 1, 2, 3);
  c.has_bias = num_outputs > least;
  Check(c);
  Gradients out;
  int next = first;
  if (data) out.src = t.Out(next++);
  if (weights) out.weights = t.Out(next++);
  if (c.has_bias) out.bias = t.Out(next);
  Require(!data || t.Shape(first) == t.Shape(0), "the source's gradient must have its shape");
  Require(!weights || t.Shape(first + (data ? 1 : 0)) == t.Shape(1), "the weights' gradient must have their shape");
  Require(!c.has_bias || t.Shape(next) == Dims{c.dst[1]}, "the bias must hold one number a channel of the result");
  Key key = MakeKey(c);
  key.push_back(data);
  key.push_back(weights);
  Backward &kernel = backwards.Find(key, [&] { return MakeBackward(c, data, weights); });
  kernel.Run(t.In(0), t.In(1), t.In(2), out);
}

}  // namespace
}  // namespace mindvoxel

using mindvoxel::Tensors;

MINDVOXEL_API int ConvForward(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("ConvForward", [&] { mindvoxel::RunForward({n, data, ranks, shapes, types}); });
}

MINDVOXEL_API int ConvBackward(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *, void *) {
  return mindvoxel::Guarded("ConvBackward", [&] {
    mindvoxel::RunBackward({n, data, ranks, shapes, types}, true, true);
  });
}

MINDVOXEL_API int ConvBackwardData(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *,
                                   void *) {
  return mindvoxel::Guarded("ConvBackwardData", [&] {
    mindvoxel::RunBackward({n, data, ranks, shapes, types}, true, false);
  });
}

MINDVOXEL_API int ConvBackwardWeights(int n, void **data, int *ranks, int64_t **shapes, const char **types, void *,
                                      void *) {
  return mindvoxel::Guarded("ConvBackwardWeights", [&] {
    mindvoxel::RunBackward({n, data, ranks, shapes, types}, false, true);
  });
}

// Counted up when what the operators take or give changes (library.py).
MINDVOXEL_API int mindvoxel_interface() { return 3; }

// Non-zero if oneDNN works, and is the one that this library was compiled against: another copy in the process
// (MindSpore brings its own) could otherwise answer in its place.
MINDVOXEL_API int mindvoxel_usable() {
  const dnnl_version_t *found = dnnl_version();
  if (found->major != DNNL_VERSION_MAJOR || found->minor != DNNL_VERSION_MINOR) return 0;
  if (found->cpu_runtime != DNNL_CPU_RUNTIME) return 0;
  return mindvoxel::Guarded("start", [] { mindvoxel::Engine(); }) == 0;
}

MINDVOXEL_API int mindvoxel_has_bf16() { return mindvoxel::HasBf16() ? 1 : 0; }
MINDVOXEL_API const char *mindvoxel_isa() { return mindvoxel::IsaName(); }
MINDVOXEL_API int mindvoxel_num_threads() { return mindvoxel::NumThreads(); }

MINDVOXEL_API const char *mindvoxel_onednn_version() {
  static const std::string text = std::to_string(dnnl_version()->major) + "." + std::to_string(dnnl_version()->minor) +
                                  "." + std::to_string(dnnl_version()->patch);
  return text.c_str();
}

// Factors of all later calls: 1 is bf16, 0 is f32. Returns 0, or 1 where the processor has no bf16.
MINDVOXEL_API int mindvoxel_set_bf16(int on) {
  if (on != 0 && !mindvoxel::HasBf16()) return 1;
  const std::lock_guard<std::mutex> lock(mindvoxel::mutex);
  mindvoxel::precision = on != 0 ? mindvoxel::Precision::kBf16 : mindvoxel::Precision::kF32;
  return 0;
}

// See trial.h; 0 if the trial failed.
MINDVOXEL_API double mindvoxel_bf16_speedup() {
  double speedup = 0;
  mindvoxel::Guarded("trial", [&] { speedup = mindvoxel::Bf16Speedup(); });
  return speedup;
}

// Gives the working memory and all kernels back; the next call makes them anew.
MINDVOXEL_API void mindvoxel_release() {
  const std::lock_guard<std::mutex> lock(mindvoxel::mutex);
  mindvoxel::forwards.Clear();
  mindvoxel::backwards.Clear();
  mindvoxel::Arena::Get().Release();
}
