// oneDNN behind one face: 2.x builds a primitive from an operation descriptor, 3.x directly from its arguments.
#pragma once

#include <cstdint>
#include <dnnl.hpp>
#include <optional>
#include <utility>

#if DNNL_CPU_RUNTIME != DNNL_RUNTIME_OMP
#error "this oneDNN is not built with OpenMP, which the operator needs"
#endif

namespace mindvoxel {

using dnnl::memory;
using Dims = memory::dims;
using Desc = memory::desc;
using Type = memory::data_type;

// The engine and the stream of this library. The first call lifts the instruction-set limit that
// ONEDNN_MAX_CPU_ISA sets for MindSpore's own oneDNN, so it must come before any primitive is made.
dnnl::engine &Engine();
dnnl::stream &Stream();

// Whether the processor multiplies bf16 pairs natively (AVX512-BF16 or AMX).
bool HasBf16();
bool HasAvx512();
bool HasAmx();
// "avx2", "avx512", "avx512_bf16" or "amx": what oneDNN will use.
const char *IsaName();

// Cores that this process may use: what SetThreads was given; else the smallest of OMP_NUM_THREADS, the affinity mask
// and the cgroup's CPU quota, counted at the first call.
int NumThreads();
void SetThreads(int threads);

// Layouts by the place of the channels, for 3 to 5 axes (N, C, spatial...).
Desc PlainDesc(const Dims &dims, Type type);         // NC[D][H]W
Desc ChannelsLastDesc(const Dims &dims, Type type);  // N[D][H]WC
Desc BlockedDesc(const Dims &dims, Type type);       // N(C/16)[D][H]W16c
Desc AnyDesc(const Dims &dims, Type type);           // oneDNN chooses
Desc SwappedWeights(const Dims &dims);               // f32 weights stored (I, O, spatial...), described as (O, I, ...)

// What a convolution or a deconvolution is described by, in oneDNN's terms.
struct Window {
  Dims strides, pad_begin, pad_end;
};

inline dnnl::primitive_attr Attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // so that all primitives share one arena
  return attr;
}

// P is convolution_* or deconvolution_*; `bias` may be an empty descriptor.
template <class P>
typename P::primitive_desc ForwardDesc(dnnl::algorithm algorithm, const Desc &src, const Desc &weights,
                                       const Desc &bias, const Desc &dst, const Window &w) {
  const auto kind = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
  return {Engine(), kind, algorithm, src, weights, bias, dst, w.strides, w.pad_begin, w.pad_end, Attributes()};
#else
  typename P::desc desc(kind, algorithm, src, weights, bias, dst, w.strides, w.pad_begin, w.pad_end);
  return {desc, Attributes(), Engine()};
#endif
}

template <class P, class Hint>
typename P::primitive_desc BackwardDataDesc(dnnl::algorithm algorithm, const Desc &diff_src, const Desc &weights,
                                            const Desc &diff_dst, const Window &w, const Hint &hint) {
#if DNNL_VERSION_MAJOR >= 3
  return {Engine(), algorithm, diff_src, weights, diff_dst, w.strides, w.pad_begin, w.pad_end, hint, Attributes()};
#else
  typename P::desc desc(algorithm, diff_src, weights, diff_dst, w.strides, w.pad_begin, w.pad_end);
  return {desc, Attributes(), Engine(), hint};
#endif
}

template <class P, class Hint>
typename P::primitive_desc BackwardWeightsDesc(dnnl::algorithm algorithm, const Desc &src, const Desc &diff_weights,
                                               const Desc &diff_bias, const Desc &diff_dst, const Window &w,
                                               const Hint &hint) {
#if DNNL_VERSION_MAJOR >= 3
  return {Engine(),  algorithm,   src,       diff_weights, diff_bias,   diff_dst,
          w.strides, w.pad_begin, w.pad_end, hint,         Attributes()};
#else
  typename P::desc desc(algorithm, src, diff_weights, diff_bias, diff_dst, w.strides, w.pad_begin, w.pad_end);
  return {desc, Attributes(), Engine(), hint};
#endif
}

}  // namespace mindvoxel
