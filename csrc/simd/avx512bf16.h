// csrc/simd/avx512bf16.h -- vectors of 512 bits with dot products of bfloat16 pairs: AVX-512 as in avx512.h, and BF16
#pragma once

#include <cstring>

#include "simd/avx512.h"

namespace nhwc {
namespace {

/// kLanes<float> pairs of adjacent bfloat16 values.
using Pairs = __m512bh;

/// No alignment needed.
NHWC_INLINE Pairs load_pairs(const BFloat16* p) { return (Pairs)_mm512_loadu_si512(p); }
/// All lanes (p[0], p[1]).
NHWC_INLINE Pairs set1_pair(const BFloat16* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  return (Pairs)_mm512_set1_epi32(pair);
}
/// lanes[i] = acc[i] + the products of the two members of a[i] and b[i], in float32; subnormal numbers count as zero.
NHWC_INLINE Vec<float> dot(Vec<float> acc, Pairs a, Pairs b) { return _mm512_dpbf16_ps(acc, a, b); }

/// Rounds to nearest even; subnormal numbers become zero.
NHWC_INLINE void narrow_sum(BFloat16* p, Vec<float> v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(v));
}
NHWC_INLINE void narrow_sums(BFloat16* p, Vec<float> first, Vec<float> second) {
  _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}
/// The first n lanes, 0 <= n <= kLanes.
NHWC_INLINE void narrow_sum_n(BFloat16* p, Vec<float> v, int n) {
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh(v));
}

/// bfloat16 that is rounded by the processor's instruction, where that gives the same bits.
struct NativeBFloat16 {
  BFloat16 value;
};
NHWC_INLINE Vec<float> widen(const NativeBFloat16* p) { return widen(&p->value); }

/// Whether a lane holds a subnormal number.
NHWC_INLINE bool any_subnormal(Vec<float> v) { return _mm512_fpclass_ps_mask(v, 0x20) != 0; }

/// to[2 * i] = even[i], to[2 * i + 1] = odd[i] for i < n, 0 <= n <= kLanes.
NHWC_INLINE void interleave_n(const BFloat16* even, const BFloat16* odd, BFloat16* to, int n) {
  const __mmask16 some = static_cast<__mmask16>((1u << n) - 1);
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, odd));
  _mm512_mask_storeu_epi32(to, some, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

}  // namespace
}  // namespace nhwc
