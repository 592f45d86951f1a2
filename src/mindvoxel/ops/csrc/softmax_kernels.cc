// Compiled for AVX-512, whatever the rest is compiled for: no header with inline functions that other files share may
// be used here, for the linker might keep this file's copy of them.
#include "softmax.h"

#if defined(__AVX512F__)
#include "vectors.h"

namespace mindvoxel::softmax {
namespace {

using namespace vectors;

// The softmax of 16 voxels.
struct Voxels {
  Voxels(const float *logits, int64_t stride, int64_t classes, __mmask16 mask) {
    for (int64_t c = 0; c < classes; c++) p[c] = _mm512_maskz_loadu_ps(mask, logits + c * stride);
    largest = p[0];
    for (int64_t c = 1; c < classes; c++) largest = _mm512_max_ps(p[c], largest);
    total = _mm512_setzero_ps();
    for (int64_t c = 0; c < classes; c++) {
      p[c] = _mm512_add_ps(ExpMinusOne(_mm512_sub_ps(p[c], largest)), Set(1));
      total = _mm512_add_ps(total, p[c]);
    }
    for (int64_t c = 0; c < classes; c++) p[c] = _mm512_div_ps(p[c], total);
  }

  Vec p[kMostClasses];
  Vec largest, total;  // log p = logit - largest - log(total)
};

__mmask16 Is(__m512i label, int64_t c, __mmask16 mask) {
  return _mm512_mask_cmpeq_epi32_mask(mask, label, _mm512_set1_epi32(static_cast<int>(c)));
}

double Add(__mmask16 mask, Vec value) {
  float lanes[kLanes];
  _mm512_storeu_ps(lanes, _mm512_maskz_mov_ps(mask, value));
  double sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

Vec Log(Vec x) {
  float lanes[kLanes];
  _mm512_storeu_ps(lanes, x);
  for (float &lane : lanes) lane = __builtin_logf(lane);
  return _mm512_loadu_ps(lanes);
}

}  // namespace

void Measure(const float *logits, int64_t stride, int64_t classes, const int32_t *label, int64_t count, Sums *sums) {
  Vec overlap[kMostClasses], probability[kMostClasses], loss = _mm512_setzero_ps();
  for (int64_t c = 0; c < classes; c++) overlap[c] = probability[c] = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += kLanes) {
    const __mmask16 mask = Tail(count - i);
    const Voxels voxels(logits + i, stride, classes, mask);
    const Vec rest = _mm512_add_ps(voxels.largest, Log(voxels.total));
    const __m512i truth = _mm512_maskz_loadu_epi32(mask, label + i);
    for (int64_t c = 0; c < classes; c++) {
      const __mmask16 here = Is(truth, c, mask);
      const Vec logit = _mm512_maskz_loadu_ps(mask, logits + c * stride + i);
      loss = _mm512_mask_add_ps(loss, here, loss, _mm512_sub_ps(rest, logit));
      overlap[c] = _mm512_mask_add_ps(overlap[c], here, overlap[c], voxels.p[c]);
      probability[c] = _mm512_mask_add_ps(probability[c], mask, probability[c], voxels.p[c]);
      sums->truth[c] += __builtin_popcount(here);
    }
  }
  sums->cross_entropy += Add(0xFFFF, loss);
  for (int64_t c = 0; c < classes; c++) {
    sums->overlap[c] += Add(0xFFFF, overlap[c]);
    sums->probability[c] += Add(0xFFFF, probability[c]);
  }
}

// dp_c = of_probability_c + [c is the label] of_overlap_c; dlogit_c = p_c (dp_c - sum of p dp) + slope (p_c - [label])
void Gradient(const float *logits, int64_t stride, int64_t classes, const int32_t *label, int64_t count,
              const Slopes &slopes, float *result) {
  const Vec slope = Set(slopes.cross_entropy);
  for (int64_t i = 0; i < count; i += kLanes) {
    const __mmask16 mask = Tail(count - i);
    const Voxels voxels(logits + i, stride, classes, mask);
    const __m512i truth = _mm512_maskz_loadu_epi32(mask, label + i);
    Vec dp[kMostClasses], mean = _mm512_setzero_ps();
    __mmask16 known = 0;
    for (int64_t c = 0; c < classes; c++) {
      const __mmask16 here = Is(truth, c, mask);
      known = static_cast<__mmask16>(known | here);
      const Vec other = Set(slopes.probability[c]);
      dp[c] = _mm512_mask_add_ps(other, here, other, Set(slopes.overlap[c]));
      mean = _mm512_fmadd_ps(voxels.p[c], dp[c], mean);
    }
    for (int64_t c = 0; c < classes; c++) {
      const Vec from_loss = _mm512_maskz_mul_ps(known, slope, voxels.p[c]);
      Vec d = _mm512_fmadd_ps(voxels.p[c], _mm512_sub_ps(dp[c], mean), from_loss);
      d = _mm512_mask_sub_ps(d, Is(truth, c, mask), d, slope);
      _mm512_mask_storeu_ps(result + c * stride + i, mask, d);
    }
  }
}

bool IsBuilt() { return true; }

}  // namespace mindvoxel::softmax

#else

namespace mindvoxel::softmax {

void Measure(const float *, int64_t, int64_t, const int32_t *, int64_t, Sums *) {}
void Gradient(const float *, int64_t, int64_t, const int32_t *, int64_t, const Slopes &, float *) {}
bool IsBuilt() { return false; }

}  // namespace mindvoxel::softmax

#endif
