// csrc/simd/neonbf16.h -- vectors of 128 bits with dot products of bfloat16 pairs: as in neon.h, and FEAT_BF16
#pragma once

#include <cstring>

#include "simd/neon.h"

namespace nhwc {
namespace {

/// kLanes<float> pairs of adjacent bfloat16 values.
using Pairs = bfloat16x8_t;

NHWC_INLINE const bfloat16_t* native(const BFloat16* p) { return reinterpret_cast<const bfloat16_t*>(p); }
NHWC_INLINE bfloat16_t* native(BFloat16* p) { return reinterpret_cast<bfloat16_t*>(p); }

/// No alignment needed.
NHWC_INLINE Pairs load_pairs(const BFloat16* p) { return vld1q_bf16(native(p)); }
/// (p[0], p[1]), which a product repeats by itself.
NHWC_INLINE Vec<float> set1_pair(const BFloat16* p) {
  float pair;
  std::memcpy(&pair, p, sizeof pair);
  return vsetq_lane_f32(pair, vdupq_n_f32(0), 0);
}
/// lanes[i] = acc[i] + the products of the two members of a and b[i], in float32; subnormal numbers count as zero.
NHWC_INLINE Vec<float> dot(Vec<float> acc, Vec<float> a, Pairs b) {
  // As vbfdotq_laneq_f32, which clang (19) makes two instructions of, and the first keeps a pipe from multiplying.
  asm("bfdot %0.4s, %1.8h, %2.2h[0]" : "+w"(acc) : "w"(b), "w"(a));
  return acc;
}

/// Rounds to nearest even.
NHWC_INLINE void narrow_sum(BFloat16* p, Vec<float> v) { vst1_bf16(native(p), vcvt_bf16_f32(v)); }
NHWC_INLINE void narrow_sums(BFloat16* p, Vec<float> first, Vec<float> second) {
  vst1q_bf16(native(p), vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(first), second));
}
/// The first n lanes, 0 <= n <= kLanes.
NHWC_INLINE void narrow_sum_n(BFloat16* p, Vec<float> v, int n) {
  BFloat16 whole[kLanes<float>];
  narrow_sum(whole, v);
  for (int i = 0; i < n; ++i) p[i] = whole[i];
}

/// to[2 * i] = even[i], to[2 * i + 1] = odd[i] for i < n, 0 <= n <= kLanes.
NHWC_INLINE void interleave_n(const BFloat16* even, const BFloat16* odd, BFloat16* to, int n) {
  for (int i = 0; i < n; ++i) {
    to[2 * i] = even[i];
    to[2 * i + 1] = odd[i];
  }
}

}  // namespace
}  // namespace nhwc
