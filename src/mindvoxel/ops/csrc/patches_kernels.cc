// Compiled for AVX-512, whatever the rest is compiled for: no header with inline functions that other files share may
// be used here, for the linker might keep this file's copy of them.
#include "patches_kernels.h"

#if defined(__AVX512F__)
#include "vectors.h"

namespace mindvoxel::patches {
namespace {

using vectors::Set;
using vectors::Tail;
using vectors::Vec;

// ROWS x BLOCKS sums in registers.
template <int ROWS, int BLOCKS>
void MultiplyTile(const float *const *lines, int64_t terms, int64_t first, int64_t step, const float *b,
                  const float *bias, float *const *out, int64_t out_step, bool past_caches) {
  Vec sum[ROWS][BLOCKS];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < BLOCKS; v++) sum[r][v] = bias == nullptr ? Set(0) : _mm512_loadu_ps(bias + v * kLanes);
  }
  for (int64_t t = 0; t < terms; t++) {
    const float *a = lines[t] + first * step;
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) _mm_prefetch(a + (ROWS + r) * step, _MM_HINT_T0);  // too many lines to foresee
    for (int k = 0; k < kLanes; k++, b += BLOCKS * kLanes) {
      Vec factor[BLOCKS];
#pragma GCC unroll 2
      for (int v = 0; v < BLOCKS; v++) factor[v] = _mm512_loadu_ps(b + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; r++) {
        const Vec value = Set(a[r * step + k]);
#pragma GCC unroll 2
        for (int v = 0; v < BLOCKS; v++) sum[r][v] = _mm512_fmadd_ps(value, factor[v], sum[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < BLOCKS; v++) {
      float *to = out[v] + (first + r) * out_step;
      if (past_caches) {
        _mm512_stream_ps(to, sum[r][v]);
      } else {
        _mm512_storeu_ps(to, sum[r][v]);
      }
    }
  }
}

template <int ROWS, int BLOCKS>
void MultiplyRows(const float *const *lines, int64_t terms, int64_t first, int64_t step, int64_t count, const float *b,
                  const float *bias, float *const *out, int64_t out_step, bool past_caches) {
  for (; count - first >= ROWS; first += ROWS) {
    MultiplyTile<ROWS, BLOCKS>(lines, terms, first, step, b, bias, out, out_step, past_caches);
  }
  if constexpr (ROWS > 1) {
    constexpr int kNext = ROWS == 12 ? 8 : ROWS / 2;
    if (first < count) {
      MultiplyRows<kNext, BLOCKS>(lines, terms, first, step, count, b, bias, out, out_step, past_caches);
    }
  }
}

template <int BLOCKS>
void AccumulateHalf(const float *a, const float *const *b, const Walk &walk, float *sum) {
  constexpr int kHalf = kLanes / 2;
  Vec part[kHalf][BLOCKS];
#pragma GCC unroll 8
  for (int i = 0; i < kHalf; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < BLOCKS; v++) part[i][v] = _mm512_loadu_ps(sum + (i * BLOCKS + v) * kLanes);
  }
  for (int64_t row = 0; row < walk.rows; row++) {
    for (int64_t w = 0; w < walk.count; w++) {
      const float *values = a + row * walk.a_row + w * kLanes;
      Vec factor[BLOCKS];
#pragma GCC unroll 2
      for (int v = 0; v < BLOCKS; v++) factor[v] = _mm512_loadu_ps(b[v] + row * walk.b_row + w * walk.b_step);
#pragma GCC unroll 8
      for (int i = 0; i < kHalf; i++) {
        const Vec value = Set(values[i]);
#pragma GCC unroll 2
        for (int v = 0; v < BLOCKS; v++) part[i][v] = _mm512_fmadd_ps(value, factor[v], part[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kHalf; i++) {
#pragma GCC unroll 2
    for (int v = 0; v < BLOCKS; v++) _mm512_storeu_ps(sum + (i * BLOCKS + v) * kLanes, part[i][v]);
  }
}

template <int BLOCKS>
void AccumulateBoth(const float *a, const float *const *b, const Walk &walk, float *sum) {
  constexpr int kHalf = kLanes / 2;
  AccumulateHalf<BLOCKS>(a, b, walk, sum);
  AccumulateHalf<BLOCKS>(a + kHalf, b, walk, sum + kHalf * BLOCKS * kLanes);
}

// The transposed of 16 vectors, in place.
void Transpose(Vec (&x)[kLanes]) {
  Vec y[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4) {
    const auto as_double = [&](int j) { return _mm512_castps_pd(y[i + j]); };
    x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(as_double(0), as_double(2)));
    x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(as_double(0), as_double(2)));
    x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(as_double(1), as_double(3)));
    x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(as_double(1), as_double(3)));
  }
  for (int i = 0; i < 4; i++) {
    const Vec low = _mm512_shuffle_f32x4(x[i], x[i + 4], 0x88), high = _mm512_shuffle_f32x4(x[i], x[i + 4], 0xdd);
    const Vec low2 = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x88);
    const Vec high2 = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xdd);
    y[i] = _mm512_shuffle_f32x4(low, low2, 0x88);
    y[i + 4] = _mm512_shuffle_f32x4(high, high2, 0x88);
    y[i + 8] = _mm512_shuffle_f32x4(low, low2, 0xdd);
    y[i + 12] = _mm512_shuffle_f32x4(high, high2, 0xdd);
  }
  for (int i = 0; i < kLanes; i++) x[i] = y[i];
}

// Calls work(first voxel, voxels) for every 16 voxels.
template <class Work>
void Sixteens(int64_t count, Work work) {
  for (int64_t v = 0; v < count; v += kLanes) work(v, count - v < kLanes ? static_cast<int>(count - v) : kLanes);
}

template <int CLASSES>
void DataOf(const Head &h, const float *dy, const float *w, float *const *dx) {
  for (int64_t b = 0; b < h.blocks; b++) {
    Vec factor[CLASSES];
    for (int o = 0; o < CLASSES; o++) factor[o] = _mm512_loadu_ps(w + (o * h.blocks + b) * kLanes);
    for (int64_t v = 0; v < h.count; v++) {
      Vec sum = Set(0);
#pragma GCC unroll 4
      for (int o = 0; o < CLASSES; o++) sum = _mm512_fmadd_ps(Set(dy[o * h.stride + v]), factor[o], sum);
      _mm512_storeu_ps(dx[b] + v * kLanes, sum);
    }
  }
}

template <int CLASSES>
void WeightsOf(const Head &h, const float *const *x, const float *dy, float *dw) {
  for (int64_t b = 0; b < h.blocks; b++) {
    Vec sum[CLASSES][2];
    for (auto &pair : sum) pair[0] = pair[1] = Set(0);
    for (int64_t v = 0; v < h.count; v++) {
      const Vec value = _mm512_loadu_ps(x[b] + v * kLanes);
#pragma GCC unroll 4
      for (int o = 0; o < CLASSES; o++) {
        sum[o][v % 2] = _mm512_fmadd_ps(Set(dy[o * h.stride + v]), value, sum[o][v % 2]);
      }
    }
    for (int o = 0; o < CLASSES; o++) {
      float *to = dw + (o * h.blocks + b) * kLanes;
      _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_add_ps(sum[o][0], sum[o][1])));
    }
  }
}

}  // namespace

void Multiply(const float *const *lines, int64_t terms, int64_t step, int64_t count, const float *b, int64_t blocks,
              const float *bias, float *const *out, int64_t out_step, bool past_caches) {
  if (blocks == 2) {
    MultiplyRows<12, 2>(lines, terms, 0, step, count, b, bias, out, out_step, past_caches);
  } else {
    MultiplyRows<16, 1>(lines, terms, 0, step, count, b, bias, out, out_step, past_caches);
  }
  if (past_caches) _mm_sfence();  // other threads read it
}

void Accumulate(const float *a, const float *const *b, int64_t blocks, const Walk &walk, float *sum) {
  if (blocks == 2) {
    AccumulateBoth<2>(a, b, walk, sum);
  } else {
    AccumulateBoth<1>(a, b, walk, sum);
  }
}

void HeadForward(const Head &h, const float *const *x, const float *w, const float *bias, float *y) {
  Sixteens(h.count, [&](int64_t first, int voxels) {
    for (int64_t o = 0; o < h.classes; o++) {
      Vec product[kLanes];
      for (Vec &p : product) p = Set(0);
      for (int64_t b = 0; b < h.blocks; b++) {
        const Vec factor = _mm512_loadu_ps(w + (o * h.blocks + b) * kLanes);
        const float *from = x[b] + first * kLanes;
        for (int i = 0; i < voxels; i++) {
          product[i] = _mm512_fmadd_ps(_mm512_loadu_ps(from + i * kLanes), factor, product[i]);
        }
      }
      Transpose(product);
      for (int half = kLanes / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) product[i] = _mm512_add_ps(product[i], product[i + half]);
      }
      const Vec sum = bias == nullptr ? product[0] : _mm512_add_ps(product[0], Set(bias[o]));
      _mm512_mask_storeu_ps(y + o * h.stride + first, Tail(voxels), sum);
    }
  });
}

void HeadData(const Head &h, const float *dy, const float *w, float *const *dx) {
  if (h.classes == 1) DataOf<1>(h, dy, w, dx);
  if (h.classes == 2) DataOf<2>(h, dy, w, dx);
  if (h.classes == 3) DataOf<3>(h, dy, w, dx);
  if (h.classes == 4) DataOf<4>(h, dy, w, dx);
}

void HeadWeights(const Head &h, const float *const *x, const float *dy, float *dw, float *db) {
  if (h.classes == 1) WeightsOf<1>(h, x, dy, dw);
  if (h.classes == 2) WeightsOf<2>(h, x, dy, dw);
  if (h.classes == 3) WeightsOf<3>(h, x, dy, dw);
  if (h.classes == 4) WeightsOf<4>(h, x, dy, dw);
  for (int64_t o = 0; o < h.classes; o++) {
    Vec sum = _mm512_loadu_ps(db + o * kLanes);
    Sixteens(h.count, [&](int64_t first, int voxels) {
      sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(Tail(voxels), dy + o * h.stride + first));
    });
    _mm512_storeu_ps(db + o * kLanes, sum);
  }
}

bool IsBuilt() { return true; }

}  // namespace mindvoxel::patches

#else

namespace mindvoxel::patches {

void Multiply(const float *const *, int64_t, int64_t, int64_t, const float *, int64_t, const float *, float *const *,
              int64_t, bool) {}
void Accumulate(const float *, const float *const *, int64_t, const Walk &, float *) {}
void HeadForward(const Head &, const float *const *, const float *, const float *, float *) {}
void HeadData(const Head &, const float *, const float *, float *const *) {}
void HeadWeights(const Head &, const float *const *, const float *, float *, float *) {}
bool IsBuilt() { return false; }

}  // namespace mindvoxel::patches

#endif
