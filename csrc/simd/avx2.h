// csrc/simd/avx2.h -- vectors of 256 bits: AVX2, FMA, F16C
#pragma once

#include <immintrin.h>

#include "base/cpu_features.h"

namespace nhwc {
namespace {
constexpr Isa kIsa = Isa::avx2;
constexpr int kVectorBytes = 32;
constexpr bool kFreeMasks = false;
constexpr bool kStreams = false;
constexpr bool kManyPointers = false;
}  // namespace
}  // namespace nhwc

#include "simd/vector.h"

namespace nhwc {
namespace {

NHWC_INLINE __m256i lane_mask(const float*, int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
NHWC_INLINE __m256i lane_mask(const double*, int n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
/// The first n lanes, 0 <= n <= kLanes; the others are zero. Reads nothing beyond them.
NHWC_INLINE Vec<float> load_n(const float* p, int n) { return _mm256_maskload_ps(p, lane_mask(p, n)); }
NHWC_INLINE Vec<double> load_n(const double* p, int n) { return _mm256_maskload_pd(p, lane_mask(p, n)); }
NHWC_INLINE void store_n(float* p, Vec<float> v, int n) { _mm256_maskstore_ps(p, lane_mask(p, n), v); }
NHWC_INLINE void store_n(double* p, Vec<double> v, int n) { _mm256_maskstore_pd(p, lane_mask(p, n), v); }

NHWC_INLINE __m256i lane_mask(int at, int n) {
  return _mm256_andnot_si256(lane_mask(static_cast<const float*>(nullptr), at),
                             lane_mask(static_cast<const float*>(nullptr), at + n));
}
/// v, whose lanes from `at` on are zero, with p[0..n) there.
NHWC_INLINE Vec<float> insert_n(Vec<float> v, const float* p, int at, int n) {
  return _mm256_or_ps(v, _mm256_maskload_ps(p - at, lane_mask(at, n)));
}
/// p[0..n) = the lanes of v from `at` on.
NHWC_INLINE void extract_n(float* p, Vec<float> v, int at, int n) { _mm256_maskstore_ps(p - at, lane_mask(at, n), v); }

/// p[0..C) again and again.
template <int C>
NHWC_INLINE Vec<float> repeat(const float* p) {
  if constexpr (C == kLanes<float>) return load(p);
  if constexpr (C == 4) return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
  if constexpr (C == 2) {
    double both;
    __builtin_memcpy(&both, p, sizeof(both));
    return _mm256_castpd_ps(_mm256_set1_pd(both));
  }
}

NHWC_INLINE Vec<float> in_register(Vec<float> v) {
  asm("" : "+x"(v));  // no instruction
  return v;
}

NHWC_INLINE bool has_nan(Vec<float> v) { return _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)) != 0; }

/// Where an operand is NaN, or both are zero, these give the second.
NHWC_INLINE Vec<float> max_keep_nan(Vec<float> x, Vec<float> lo) { return _mm256_max_ps(lo, x); }
NHWC_INLINE Vec<float> min_keep_nan(Vec<float> x, Vec<float> hi) { return _mm256_min_ps(hi, x); }
NHWC_INLINE Vec<double> max_keep_nan(Vec<double> x, Vec<double> lo) { return _mm256_max_pd(lo, x); }
NHWC_INLINE Vec<double> min_keep_nan(Vec<double> x, Vec<double> hi) { return _mm256_min_pd(hi, x); }

NHWC_INLINE Vec<float> widen(const Float16* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
NHWC_INLINE Vec<float> widen(const BFloat16* p) {
  __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
NHWC_INLINE void narrow(Float16* p, Vec<float> v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
NHWC_INLINE void narrow(BFloat16* p, Vec<float> v) {
  __m256i x = _mm256_castps_si256(v);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
  __m256i r = _mm256_add_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(0x7fff)), odd);
  __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  r = _mm256_blendv_epi8(r, _mm256_or_si256(x, _mm256_set1_epi32(0x400000)), nan);
  r = _mm256_srli_epi32(r, 16);
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(r, r), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}

}  // namespace
}  // namespace nhwc
