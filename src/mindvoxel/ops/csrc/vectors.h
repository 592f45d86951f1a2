// 16 floats at a time. Only for files that are compiled for AVX-512: all is local to them, so that the linker cannot
// give it to others.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mindvoxel::vectors {
namespace {

using Vec = __m512;
constexpr int64_t kLanes = 16;

Vec Set(float value) { return _mm512_set1_ps(value); }

__mmask16 Tail(int64_t left) { return left >= kLanes ? 0xFFFF : static_cast<__mmask16>((1U << left) - 1U); }

// exp(z) - 1 for z <= 0: with z = n ln 2 + r and |r| <= ln 2 / 2 it is 2^n (e^r - 1) + (2^n - 1), the bracket a Taylor
// polynomial of degree 7. Relative error below 3e-7, absolute below 1.2e-7; -1 below -87.
[[maybe_unused]] Vec ExpMinusOne(Vec z) {
  z = _mm512_max_ps(Set(-87.F), z);  // in this order what is not a number stays
  const Vec n = _mm512_roundscale_ps(_mm512_mul_ps(z, Set(1.44269504F)), _MM_FROUND_TO_NEAREST_INT);
  Vec r = _mm512_fnmadd_ps(n, Set(0.693145752F), z);  // ln 2 in two parts
  r = _mm512_fnmadd_ps(n, Set(1.42860677e-6F), r);
  Vec p = Set(1 / 5040.F);
  constexpr float kFactors[] = {1 / 720.F, 1 / 120.F, 1 / 24.F, 1 / 6.F, 1 / 2.F, 1.F};
  for (const float factor : kFactors) p = _mm512_fmadd_ps(p, r, Set(factor));
  const Vec power = _mm512_scalef_ps(Set(1), n);
  return _mm512_fmadd_ps(_mm512_mul_ps(p, r), power, _mm512_sub_ps(power, Set(1)));
}

}  // namespace
}  // namespace mindvoxel::vectors
