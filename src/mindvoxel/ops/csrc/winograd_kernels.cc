// Compiled for AVX-512, whatever the rest is compiled for: no header with inline functions that other files share may
// be used here, for the linker might keep this file's copy of them.
#include "winograd_kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#include "winograd_matrices.h"

namespace mindvoxel::winograd {
namespace {

using Vec = __m512;

// How many positions ahead the source is asked for: its rows are too many streams for the processor to foresee.
constexpr int kAhead = 2;

// The matrices by name, with the transposed ones, as types: so that every coefficient is a constant in the code.
template <class F>
struct InputOf {
  static constexpr int kRows = F::kPoints, kColumns = F::kPoints;
  static constexpr float At(int i, int j) { return F::kInput[i][j]; }
};
template <class F>
struct WeightsOf {
  static constexpr int kRows = F::kPoints, kColumns = F::kTaps;
  static constexpr float At(int i, int j) { return F::kWeights[i][j]; }
};
template <class F>
struct OutputOf {
  static constexpr int kRows = F::kOutputs, kColumns = F::kPoints;
  static constexpr float At(int i, int j) { return F::kOutput[i][j]; }
};
template <class M>
struct Transposed {
  static constexpr int kRows = M::kColumns, kColumns = M::kRows;
  static constexpr float At(int i, int j) { return M::At(j, i); }
};

template <class M>
inline void Apply(const Vec *in, Vec *out) {
#pragma GCC unroll 10
  for (int i = 0; i < M::kRows; i++) {
    Vec sum = _mm512_setzero_ps();
#pragma GCC unroll 10
    for (int j = 0; j < M::kColumns; j++) {
      if (M::At(i, j) != 0) sum += M::At(i, j) * in[j];
    }
    out[i] = sum;
  }
}

template <class D, class H>
void ScatterWith(const float *const *rows, int64_t row_step, int64_t count, float *points, int64_t point_stride,
                 int64_t point_step) {
  for (int64_t w = 0; w < count; w++) {
    Vec half[D::kColumns][H::kRows];
    for (int d = 0; d < D::kColumns; d++) {
      Vec in[H::kColumns];
      for (int h = 0; h < H::kColumns; h++) {
        const float *from = rows[d * H::kColumns + h] + w * row_step;
        in[h] = _mm512_loadu_ps(from);
        _mm_prefetch(from + kAhead * row_step, _MM_HINT_T0);
      }
      Apply<H>(in, half[d]);
    }
    float *to = points + w * point_step;
    for (int h = 0; h < H::kRows; h++) {
      Vec in[D::kColumns], out[D::kRows];
      for (int d = 0; d < D::kColumns; d++) in[d] = half[d][h];
      Apply<D>(in, out);
      for (int d = 0; d < D::kRows; d++) _mm512_storeu_ps(to + (d * H::kRows + h) * point_stride, out[d]);
    }
  }
}

template <class D, class H>
void GatherWith(const float *points, int64_t point_stride, int64_t point_step, int64_t count, float *const *rows,
                int64_t row_step, const float *bias, bool past_caches) {
  const Vec add = bias == nullptr ? _mm512_setzero_ps() : _mm512_loadu_ps(bias);
  for (int64_t w = 0; w < count; w++) {
    const float *from = points + w * point_step;
    Vec half[D::kRows][H::kColumns];
    for (int h = 0; h < H::kColumns; h++) {
      Vec in[D::kColumns], out[D::kRows];
      for (int d = 0; d < D::kColumns; d++) in[d] = _mm512_loadu_ps(from + (d * H::kColumns + h) * point_stride);
      Apply<D>(in, out);
      for (int d = 0; d < D::kRows; d++) half[d][h] = out[d];
    }
    for (int d = 0; d < D::kRows; d++) {
      Vec out[H::kRows];
      Apply<H>(half[d], out);
      for (int h = 0; h < H::kRows; h++) {
        float *row = rows[d * H::kRows + h];
        if (row == nullptr) continue;
        if (past_caches) {
          _mm512_stream_ps(row + w * row_step, out[h] + add);
        } else {
          _mm512_storeu_ps(row + w * row_step, out[h] + add);
        }
      }
    }
  }
  if (past_caches) _mm_sfence();  // other threads read it
}

template <class D, class H>
constexpr Variant MakeVariant() {
  return {D::kOutputs,
          H::kOutputs,
          D::kTaps,
          H::kTaps,
          ScatterWith<InputOf<D>, InputOf<H>>,
          ScatterWith<WeightsOf<D>, WeightsOf<H>>,
          ScatterWith<Transposed<OutputOf<D>>, Transposed<OutputOf<H>>>,
          GatherWith<OutputOf<D>, OutputOf<H>>,
          GatherWith<Transposed<WeightsOf<D>>, Transposed<WeightsOf<H>>>};
}

// ROWS x VECS sums in registers; 16 of them hide the latency of the multiply-add. `depth` is even.
template <int ROWS, int VECS>
void MultiplyTile(const float *a, int64_t a_step, const float *b, int64_t depth, int64_t channels, float *result) {
  Vec sum[ROWS][VECS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < VECS; v++) sum[r][v] = _mm512_setzero_ps();
  }
  for (int64_t k = 0; k < depth; k += 2) {  // two at a time: neighbours come from different banks of the cache
    Vec factor[2][VECS];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
#pragma GCC unroll 2
      for (int v = 0; v < VECS; v++) factor[i][v] = _mm512_loadu_ps(b + ((k + i) * VECS + v) * kLanes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
      for (int i = 0; i < 2; i++) {
        const Vec value = _mm512_set1_ps(a[r * a_step + k + i]);
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) sum[r][v] = _mm512_fmadd_ps(value, factor[i][v], sum[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < VECS; v++) _mm512_storeu_ps(result + r * channels + v * kLanes, sum[r][v]);
  }
}

template <int ROWS, int VECS>
void MultiplyRows(const float *a, int64_t a_step, int64_t rows, const float *b, int64_t depth, int64_t channels,
                  float *result) {
  while (rows >= ROWS) {
    MultiplyTile<ROWS, VECS>(a, a_step, b, depth, channels, result);
    a += ROWS * a_step;
    result += ROWS * channels;
    rows -= ROWS;
  }
  if constexpr (ROWS > 1) {
    if (rows > 0) MultiplyRows<ROWS / 2, VECS>(a, a_step, rows, b, depth, channels, result);
  }
}

template <int TAPS, int VECS>
void AccumulateTile(const float *a, int64_t a_strip, int64_t a_step, const float *b, int64_t strips, int64_t rows,
                    int64_t channels, float *sum) {
  Vec part[TAPS][VECS];
#pragma GCC unroll 16
  for (int i = 0; i < TAPS; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < VECS; v++) part[i][v] = _mm512_loadu_ps(sum + i * channels + v * kLanes);
  }
  for (int64_t strip = 0; strip < strips; strip++) {
    const float *values = a + strip * a_strip;
    for (int64_t row = 0; row < rows; row++) {
      Vec factor[VECS];
#pragma GCC unroll 2
      for (int v = 0; v < VECS; v++) factor[v] = _mm512_loadu_ps(b + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < TAPS; i++) {
        const Vec value = _mm512_set1_ps(values[i]);
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) part[i][v] = _mm512_fmadd_ps(value, factor[v], part[i][v]);
      }
      values += a_step;
      b += channels;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < TAPS; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < VECS; v++) _mm512_storeu_ps(sum + i * channels + v * kLanes, part[i][v]);
  }
}

template <int TAPS, int VECS>
void AccumulateAll(const float *a, int64_t a_strip, int64_t a_step, const float *b, int64_t strips, int64_t rows,
                   int64_t depth, int64_t channels, float *sum) {
  for (int64_t k = 0; k < depth; k += TAPS) {
    for (int64_t c = 0; c < channels; c += VECS * kLanes) {
      AccumulateTile<TAPS, VECS>(a + k, a_strip, a_step, b + c, strips, rows, channels, sum + k * channels + c);
    }
  }
}

}  // namespace

const Variant *FindVariant(int64_t taps_depth, int64_t taps_height, int outputs) {
  static constexpr Variant kVariants[] = {MakeVariant<F45, F45>(), MakeVariant<F65, F65>(), MakeVariant<F43, F43>(),
                                          MakeVariant<F63, F63>(), MakeVariant<F11, F43>(), MakeVariant<F11, F63>()};
  for (const Variant &variant : kVariants) {
    if (variant.taps_depth != taps_depth || variant.taps_height != taps_height) continue;
    if (variant.outputs_height == outputs) return &variant;
  }
  return nullptr;
}

void Multiply(const float *a, int64_t a_step, int64_t rows, const float *b, int64_t depth, int64_t channels,
              float *result) {
  const int64_t vectors = ChannelVectors(channels), block = vectors * kLanes;
  for (int64_t c = 0; c < channels; c += block, b += depth * block) {
    if (vectors == 2) {
      MultiplyRows<8, 2>(a, a_step, rows, b, depth, channels, result + c);
    } else {
      MultiplyRows<16, 1>(a, a_step, rows, b, depth, channels, result + c);
    }
  }
}

void Accumulate(const float *a, int64_t a_strip, int64_t a_step, const float *b, int64_t strips, int64_t rows,
                int64_t depth, int64_t channels, float *sum) {
  if (ChannelVectors(channels) == 2) {
    AccumulateAll<8, 2>(a, a_strip, a_step, b, strips, rows, depth, channels, sum);
  } else {
    AccumulateAll<16, 1>(a, a_strip, a_step, b, strips, rows, depth, channels, sum);
  }
}

}  // namespace mindvoxel::winograd

#else  // another processor: winograd.cc asks for a variant first, and nothing else is called

namespace mindvoxel::winograd {
const Variant *FindVariant(int64_t, int64_t, int) { return nullptr; }
void Multiply(const float *, int64_t, int64_t, const float *, int64_t, int64_t, float *) {}
void Accumulate(const float *, int64_t, int64_t, const float *, int64_t, int64_t, int64_t, int64_t, float *) {}
}  // namespace mindvoxel::winograd
#endif
