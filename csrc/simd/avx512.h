// csrc/simd/avx512.h -- vectors of 512 bits: AVX-512 F, BW, DQ, VL
#pragma once

// GCC 12 takes the undefined pass-through operand of its own masked intrinsics for a mistake of ours.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include "base/cpu_features.h"

namespace nhwc {
namespace {
constexpr Isa kIsa = Isa::avx512;
constexpr int kVectorBytes = 64;
constexpr bool kFreeMasks = true;  // store_n is one instruction
constexpr bool kStreams = true;
constexpr bool kManyPointers = false;
}  // namespace
}  // namespace nhwc

#include "simd/vector.h"

namespace nhwc {
namespace {

/// The first n lanes, 0 <= n <= kLanes; the others are zero. Reads nothing beyond them.
NHWC_INLINE Vec<float> load_n(const float* p, int n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
NHWC_INLINE Vec<double> load_n(const double* p, int n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
}
NHWC_INLINE void store_n(float* p, Vec<float> v, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
NHWC_INLINE void store_n(double* p, Vec<double> v, int n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
}

/// v with p[0..n) from lane `at` on.
NHWC_INLINE Vec<float> insert_n(Vec<float> v, const float* p, int at, int n) {
  return _mm512_mask_loadu_ps(v, static_cast<__mmask16>(((1u << n) - 1) << at), p - at);
}
/// p[0..n) = the lanes of v from `at` on.
NHWC_INLINE void extract_n(float* p, Vec<float> v, int at, int n) {
  _mm512_mask_storeu_ps(p - at, static_cast<__mmask16>(((1u << n) - 1) << at), v);
}

/// p[0..C) again and again.
template <int C>
NHWC_INLINE Vec<float> repeat(const float* p) {
  if constexpr (C == kLanes<float>) return load(p);
  if constexpr (C == 8) return _mm512_broadcast_f32x8(_mm256_loadu_ps(p));
  if constexpr (C == 4) return _mm512_broadcast_f32x4(_mm_loadu_ps(p));
  if constexpr (C == 2) {
    double both;
    __builtin_memcpy(&both, p, sizeof(both));
    return _mm512_castpd_ps(_mm512_set1_pd(both));
  }
}

NHWC_INLINE void stream(float* p, Vec<float> v) { _mm512_stream_ps(p, v); }
template <>
[[maybe_unused]] void end_streams<float>() {
  _mm_sfence();
}

NHWC_INLINE Vec<float> in_register(Vec<float> v) {
  asm("" : "+v"(v));  // no instruction
  return v;
}

NHWC_INLINE bool has_nan(Vec<float> v) { return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0; }

/// Where an operand is NaN, or both are zero, these give the second.
NHWC_INLINE Vec<float> max_keep_nan(Vec<float> x, Vec<float> lo) { return _mm512_max_ps(lo, x); }
NHWC_INLINE Vec<float> min_keep_nan(Vec<float> x, Vec<float> hi) { return _mm512_min_ps(hi, x); }
NHWC_INLINE Vec<double> max_keep_nan(Vec<double> x, Vec<double> lo) { return _mm512_max_pd(lo, x); }
NHWC_INLINE Vec<double> min_keep_nan(Vec<double> x, Vec<double> hi) { return _mm512_min_pd(hi, x); }

NHWC_INLINE Vec<float> widen(const Float16* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
NHWC_INLINE Vec<float> widen(const BFloat16* p) {
  __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
/// The first n lanes, 0 <= n <= kLanes; the others are zero.
NHWC_INLINE __m256i load_halves(const void* p, int n) {
  return _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), p);
}
NHWC_INLINE Vec<float> widen_n(const Float16* p, int n) { return _mm512_cvtph_ps(load_halves(p, n)); }
NHWC_INLINE Vec<float> widen_n(const BFloat16* p, int n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_halves(p, n)), 16));
}
NHWC_INLINE void narrow(Float16* p, Vec<float> v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
NHWC_INLINE void narrow(BFloat16* p, Vec<float> v) {
  __m512i x = _mm512_castps_si512(v);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(x, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(0x7fff)), odd);
  __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  r = _mm512_mask_or_epi32(r, nan, x, _mm512_set1_epi32(0x400000));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16)));
}

}  // namespace
}  // namespace nhwc
