// csrc/simd/amx.h -- the matrix unit: eight tiles of up to 16 rows of 64 bytes; with the vectors of avx512bf16.h
#pragma once

#include "simd/avx512bf16.h"

namespace nhwc {
namespace {

// In assembly: the compilers' intrinsics take the number of a tile as a token, which no template has.

/// Rows and bytes of a row of each tile; as LDTILECFG reads it.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
inline void set_shapes(const TileShapes& s) { asm volatile("ldtilecfg %0" : : "m"(s)); }
inline void release_tiles() { asm volatile("tilerelease"); }

template <int T>
NHWC_INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
/// Rows `step` bytes apart.
template <int T>
NHWC_INLINE void load_tile(const void* p, int64_t step) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(step), "i"(T) : "memory");
}
template <int T>
NHWC_INLINE void store_tile(void* p, int64_t step) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(step), "i"(T) : "memory");
}
/// sums[m][n] += the products of the pairs a[m][k] and b[k][n]; subnormal numbers count as zero.
template <int kSums, int kA, int kB>
NHWC_INLINE void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kA), "i"(kB));
}

/// The bfloat16 number next to v, as float32; of two that are as near the larger. NaN may become zero: what is left of
/// v without it is NaN then.
NHWC_INLINE Vec<float> nearest_bf16(Vec<float> v) {
  const __m512i up = _mm512_add_epi32((__m512i)v, _mm512_set1_epi32(0x8000));
  return (__m512)_mm512_and_si512(up, _mm512_set1_epi32(static_cast<int>(0xffff0000)));
}
/// p[2 * i] = even[i], p[2 * i + 1] = odd[i] of lanes that are bfloat16 numbers. NaN may have any bits in both.
NHWC_INLINE void store_pairs(BFloat16* p, Vec<float> even, Vec<float> odd) {
  const __m512i low = _mm512_srli_epi32((__m512i)even, 16);
  _mm512_storeu_si512(p, _mm512_or_si512(low, (__m512i)odd));
}
/// The first n lanes of first and second, one after the other, 0 <= n <= 2 * kLanes; rounds to nearest even.
NHWC_INLINE void narrow_sums_n(BFloat16* p, Vec<float> first, Vec<float> second, int n) {
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  _mm512_mask_storeu_epi16(p, static_cast<__mmask32>((uint64_t(1) << n) - 1), both);
}
/// to[i] = from[i] for i < n, 0 <= n <= 2 * kLanes; zeros beyond, to width.
NHWC_INLINE void copy_padded(const BFloat16* from, BFloat16* to, int n, int width) {
  const auto mask = [](int lanes) { return static_cast<__mmask32>((uint64_t(1) << lanes) - 1); };
  _mm512_mask_storeu_epi16(to, mask(width), _mm512_maskz_loadu_epi16(mask(n), from));
}

}  // namespace
}  // namespace nhwc
