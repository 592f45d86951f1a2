// The convolutions as MindSpore calls them (ops.Custom, func_type="aot"), and OpenVINO's model in the C++ program
// (ascend310_infer/src/cpu_operators.cc) in the same way; and the functions that set the library up.
//
// Every operator's last input is an int64 tensor that holds what shapes do not tell:
//   [transposed, strides..., padding before..., padding after..., source blocked, result blocked,
//    source in two tensors],
// strides and padding one number per space axis. A blocked tensor has its channels in groups of 16:
// (N, C/16, space..., 16), under the shape (N, C, space...).

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
bool keeps_weights = false;
Cache<Forward> forwards;
Cache<Backward> backwards;

// Which of the tensors is the last input: the only one of int64.
int FindGeometry(const Tensors &t) {
  const auto is = [&](int i, const char *type) { return std::strcmp(t.types[i], type) == 0; };
  int found = 0;
  while (found < t.count && !is(found, "int64")) found++;
  Require(found > 1 && found < t.count, "the last input must be int64");
  for (int i = 0; i < t.count; i++) Require(i == found || is(i, "float32"), "tensors must be float32");
  return found;
}

// Whether the source is the first two inputs.
bool IsJoined(const Tensors &t, int geometry) {
  const int64_t *numbers = static_cast<const int64_t *>(t.data[geometry]);
  return t.ranks[geometry] == 1 && t.shapes[geometry][0] > 0 && numbers[t.shapes[geometry][0] - 1] != 0;
}

void ReadGeometry(const Tensors &t, int i, Case *c) {
  const std::size_t axes = c->src.size() - 2;
  Require(t.ranks[i] == 1 && t.shapes[i][0] == static_cast<int64_t>(4 + 3 * axes),
          "the last input must hold 4 + 3 numbers per space axis");
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

// `weights`: which tensor they are; the source is those before.
Case ReadCase(const Tensors &t, int weights, int dst, int geometry) {
  Case c;
  c.src = t.Shape(0);
  c.weights = t.Shape(weights);
  c.dst = t.Shape(dst);
  c.precision = precision;
  Require(c.src.size() >= 3 && c.weights.size() == c.src.size(), "tensors must have 3 to 5 axes");
  ReadGeometry(t, geometry, &c);
  if (c.transposed) std::swap(c.weights[0], c.weights[1]);
  if (weights == 1) return c;
  Dims rest = t.Shape(1);
  Require(rest.size() == c.src.size() && c.src_blocked, "the two tensors of the source must be blocked, of one rank");
  c.src_first = c.src[1];
  c.src[1] += rest[1];
  rest[1] = c.src[1];
  Require(rest == c.src && c.src_first % 16 == 0 && c.src_first > 0, "the two tensors of the source do not fit");
  return c;
}

Source ReadSource(const Tensors &t, int weights) { return {t.In(0), weights == 2 ? t.In(1) : nullptr}; }

// x, [its further channels], weights, [bias], geometry -> y
void RunForward(const Tensors &t) {
  const int geometry = FindGeometry(t), y = geometry + 1, weights = IsJoined(t, geometry) ? 2 : 1;
  const bool has_bias = geometry == weights + 2;
  Require(t.count == y + 1 && (has_bias || geometry == weights + 1), "forward has too many or too few inputs");
  Case c = ReadCase(t, weights, y, geometry);
  c.has_bias = has_bias;
  Check(c);
  Require(!has_bias || t.Shape(weights + 1) == Dims{c.dst[1]},
          "the bias must hold one number a channel of the result");
  Key key = MakeKey(c);
  if (keeps_weights) {  // a kernel for these alone
    c.keeps_weights = true;
    key.push_back(static_cast<int64_t>(reinterpret_cast<std::intptr_t>(t.In(weights))));
  }
  Forward &kernel = forwards.Find(key, [&] { return MakeForward(c); });
  kernel.Run(ReadSource(t, weights), t.In(weights), has_bias ? t.In(weights + 1) : nullptr, t.Out(y));
}

// x, [its further channels], weights, dy, geometry -> [dx, [that of its further channels]], [dw, [db]]
void RunBackward(const Tensors &t, bool data, bool with_weights) {
  const int geometry = FindGeometry(t), first = geometry + 1, weights = IsJoined(t, geometry) ? 2 : 1;
  const int bias = first + (data ? weights : 0) + (with_weights ? 1 : 0);
  Require(geometry == weights + 2 && (t.count == bias || (with_weights && t.count == bias + 1)),
          "backward has too many or too few tensors");
  Case c = ReadCase(t, weights, weights + 1, geometry);
  c.has_bias = t.count > bias;
  Check(c);
  Gradients out;
  for (int i = 0; data && i < weights; i++) {
    Require(t.Shape(first + i) == t.Shape(i), "the source's gradient must have its shape");
    (i == 0 ? out.src.first : out.src.second) = t.Out(first + i);
  }
  Require(!with_weights || t.Shape(bias - 1) == t.Shape(weights), "the weights' gradient must have their shape");
  if (with_weights) out.weights = t.Out(bias - 1);
  Require(!c.has_bias || t.Shape(bias) == Dims{c.dst[1]}, "the bias must hold one number a channel of the result");
  if (c.has_bias) out.bias = t.Out(bias);
  Key key = MakeKey(c);
  key.push_back(data);
  key.push_back(with_weights);
  Backward &kernel = backwards.Find(key, [&] { return MakeBackward(c, data, with_weights); });
  kernel.Run(ReadSource(t, weights), t.In(weights), t.In(weights + 1), out);
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

// Counted up when what these functions take or give changes, as in library.py and the C++ program's cpu_library.cc.
MINDVOXEL_API int mindvoxel_interface() { return 5; }

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

// Cores of all later calls, one or more, in the place of those that were counted; kernels are made anew for them.
MINDVOXEL_API void mindvoxel_set_threads(int threads) {
  const std::lock_guard<std::mutex> lock(mindvoxel::mutex);
  mindvoxel::SetThreads(threads);
  mindvoxel::forwards.Clear();
  mindvoxel::backwards.Clear();
}

// Messages of failed calls go there, in the failing thread, in the place of stderr.
MINDVOXEL_API void mindvoxel_tell(void (*tell)(const char *message)) {
  const std::lock_guard<std::mutex> lock(mindvoxel::mutex);
  mindvoxel::tell = tell;
}

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

// Whether weights at one address never change from now on, as in a program that only infers: what kernels make of them
// is then kept, which takes memory.
MINDVOXEL_API void mindvoxel_keep_weights(int on) {
  const std::lock_guard<std::mutex> lock(mindvoxel::mutex);
  mindvoxel::keeps_weights = on != 0;
  mindvoxel::forwards.Clear();
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
