// Compiled for AVX-512, whatever the rest is compiled for: no header with inline functions that other files share may
// be used here, for the linker might keep this file's copy of them.
#include "norm_kernels.h"

#if defined(__AVX512F__)
#include "vectors.h"

namespace mindvoxel::norm {
namespace {

using namespace vectors;

constexpr int64_t kBlock = 64 * vectors::kLanes;  // so many are summed in f32, the blocks in double

__mmask16 Negative(Vec x) { return _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ); }

template <Act kAct>
Vec Activate(Vec z, Vec leak) {
  if constexpr (kAct == Act::kElu) return _mm512_mask_mov_ps(z, Negative(z), ExpMinusOne(z));
  if constexpr (kAct == Act::kLeaky) return _mm512_mask_mul_ps(z, Negative(z), z, leak);
  return z;
}

// g times the derivative, given the activation's result.
template <Act kAct>
Vec BackFromResult(Vec g, Vec y, Vec leak) {
  if constexpr (kAct == Act::kElu) return _mm512_mask_fmadd_ps(g, Negative(y), y, g);
  if constexpr (kAct == Act::kLeaky) return _mm512_mask_mul_ps(g, Negative(y), g, leak);
  return g;
}

// The affine part in registers.
struct Line {
  explicit Line(const Affine &a)
      : mean(_mm512_loadu_ps(a.mean)),
        scale(_mm512_loadu_ps(a.scale)),
        shift(_mm512_loadu_ps(a.shift)),
        leak(Set(a.leak)) {}
  Vec Centred(Vec x) const { return _mm512_sub_ps(x, mean); }
  Vec Scaled(Vec centred) const { return _mm512_fmadd_ps(centred, scale, shift); }
  Vec mean, scale, shift, leak;
};

// Adds up vectors in f32 within a block and in double from block to block.
class Sum {
 public:
  void Add(Vec value) { block_ = _mm512_add_ps(block_, value); }
  void AddProduct(Vec a, Vec b) { block_ = _mm512_fmadd_ps(a, b, block_); }
  void MoveTo(double *lanes) {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(block_));
    const __m512d high = _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(block_), 1)));
    _mm512_storeu_pd(lanes, _mm512_add_pd(_mm512_loadu_pd(lanes), low));
    _mm512_storeu_pd(lanes + 8, _mm512_add_pd(_mm512_loadu_pd(lanes + 8), high));
    block_ = _mm512_setzero_ps();
  }

 private:
  Vec block_ = _mm512_setzero_ps();
};

// Calls step(i, mask) for every vector, two sets of sums in turn, and `flush` after every block.
template <class Step>
void Blocks(int64_t count, Sums *sums, Step step) {
  for (int64_t start = 0; start < count; start += kBlock) {
    const int64_t end = start + kBlock < count ? start + kBlock : count;
    Sum first[2], second[2];
    int64_t i = start;
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
      step(i, static_cast<__mmask16>(0xFFFF), first[0], second[0]);
      step(i + kLanes, static_cast<__mmask16>(0xFFFF), first[1], second[1]);
    }
    for (; i < end; i += kLanes) step(i, Tail(end - i), first[0], second[0]);
    for (Sum &sum : first) sum.MoveTo(sums->first);
    for (Sum &sum : second) sum.MoveTo(sums->second);
  }
}

template <class Step>
void Vectors(int64_t count, Step step) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) step(i, static_cast<__mmask16>(0xFFFF));
  if (i < count) step(i, Tail(count - i));
}

void Store(float *to, __mmask16 mask, Vec value, bool past_caches) {
  if (past_caches && mask == 0xFFFF) {
    _mm512_stream_ps(to, value);
  } else {
    _mm512_mask_storeu_ps(to, mask, value);
  }
}

template <Act kAct, Act kLast>
void ApplyTo(const float *x, const float *residual, bool spread, int64_t count, const Affine &affine, float *y,
             bool past_caches) {
  const Line line(affine);
  const auto activated = [&](int64_t i, __mmask16 mask) {
    return Activate<kAct>(line.Scaled(line.Centred(_mm512_maskz_loadu_ps(mask, x + i))), line.leak);
  };
  if (residual == nullptr) {
    Vectors(count, [&](int64_t i, __mmask16 mask) { Store(y + i, mask, activated(i, mask), past_caches); });
  } else {
    Vectors(count, [&](int64_t i, __mmask16 mask) {
      const Vec more = spread ? Set(residual[i / kLanes]) : _mm512_maskz_loadu_ps(mask, residual + i);
      const Vec sum = _mm512_add_ps(activated(i, mask), more);
      Store(y + i, mask, Activate<kLast>(sum, line.leak), past_caches);
    });
  }
  if (past_caches) _mm_sfence();  // other threads read it
}

// The gradient of the sum that `last` was taken of.
template <Act kLast>
Vec OfSum(const float *y, const float *dy, int64_t i, __mmask16 mask, Vec leak) {
  const Vec g = _mm512_maskz_loadu_ps(mask, dy + i);
  if constexpr (kLast == Act::kNone) return g;
  return BackFromResult<kLast>(g, _mm512_maskz_loadu_ps(mask, y + i), leak);
}

// The gradient of z.
template <Act kAct>
Vec OfAffine(Vec g, Vec centred, const Line &line) {
  if constexpr (kAct == Act::kNone) return g;
  const Vec z = line.Scaled(centred);
  // leaky ReLU keeps the sign
  return BackFromResult<kAct>(g, kAct == Act::kElu ? Activate<kAct>(z, line.leak) : z, line.leak);
}

template <Act kAct, Act kLast>
void GatherFrom(const float *x, const float *y, const float *dy, int64_t count, const Affine &affine, Sums *sums,
                float *residual_gradient) {
  const Line line(affine);
  Blocks(count, sums, [&](int64_t i, __mmask16 mask, Sum &first, Sum &second) {
    const Vec centred = line.Centred(_mm512_maskz_loadu_ps(mask, x + i));
    const Vec g = OfSum<kLast>(y, dy, i, mask, line.leak);
    if (residual_gradient != nullptr) _mm512_mask_storeu_ps(residual_gradient + i, mask, g);
    const Vec dz = OfAffine<kAct>(g, centred, line);  // 0 in lanes beyond the end
    first.Add(dz);
    second.AddProduct(dz, centred);
  });
}

template <Act kAct, Act kLast>
void DeliverTo(const float *x, const float *y, const float *dy, int64_t count, const Affine &affine,
               const Correction &correction, float *dx) {
  const Line line(affine);
  const Vec offset = _mm512_loadu_ps(correction.offset), slope = _mm512_loadu_ps(correction.slope);
  Vectors(count, [&](int64_t i, __mmask16 mask) {
    const Vec centred = line.Centred(_mm512_maskz_loadu_ps(mask, x + i));
    const Vec dz = OfAffine<kAct>(OfSum<kLast>(y, dy, i, mask, line.leak), centred, line);
    const Vec inner = _mm512_sub_ps(_mm512_fnmadd_ps(centred, slope, dz), offset);
    _mm512_mask_storeu_ps(dx + i, mask, _mm512_mul_ps(inner, line.scale));
  });
}

template <Act kAct, Act kLast>
constexpr Kernels Make() {
  return {ApplyTo<kAct, kLast>, GatherFrom<kAct, kLast>, DeliverTo<kAct, kLast>};
}

template <Act kAct>
constexpr Kernels kRow[kActs] = {Make<kAct, Act::kNone>(), Make<kAct, Act::kElu>(), Make<kAct, Act::kLeaky>()};

}  // namespace

void Moments(const float *x, int64_t count, const float *shift, Sums *sums) {
  const Vec from = _mm512_loadu_ps(shift);
  Blocks(count, sums, [&](int64_t i, __mmask16 mask, Sum &first, Sum &second) {
    const Vec value = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), from);
    first.Add(value);
    second.AddProduct(value, value);
  });
}

const Kernels *Find(Act act, Act last) {
  const int column = static_cast<int>(last);
  if (act == Act::kElu) return &kRow<Act::kElu>[column];
  if (act == Act::kLeaky) return &kRow<Act::kLeaky>[column];
  return &kRow<Act::kNone>[column];
}

}  // namespace mindvoxel::norm

#else

namespace mindvoxel::norm {

void Moments(const float *, int64_t, const float *, Sums *) {}
const Kernels *Find(Act, Act) { return nullptr; }

}  // namespace mindvoxel::norm

#endif
