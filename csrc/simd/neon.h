// csrc/simd/neon.h -- vectors of 128 bits: Advanced SIMD of AArch64, which every such processor has
#pragma once

#include <arm_neon.h>

#include "base/cpu_features.h"

namespace nhwc {
namespace {
constexpr Isa kIsa = Isa::neon;
constexpr int kVectorBytes = 16;
constexpr bool kFreeMasks = false;
constexpr bool kStreams = false;
constexpr bool kManyPointers = true;  // 31 general registers
}  // namespace
}  // namespace nhwc

#include "simd/vector.h"

namespace nhwc {
namespace {

/// The first n lanes, 0 <= n <= kLanes; the others are zero. Reads nothing beyond them.
NHWC_INLINE Vec<float> load_n(const float* p, int n) {
  if (n >= 4) return load(p);
  const float32x2_t none = vdup_n_f32(0);
  if (n == 3) return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, none, 0));
  if (n == 2) return vcombine_f32(vld1_f32(p), none);
  return n == 1 ? vcombine_f32(vld1_lane_f32(p, none, 0), none) : vcombine_f32(none, none);
}
NHWC_INLINE Vec<double> load_n(const double* p, int n) {
  if (n >= 2) return load(p);
  return n == 1 ? vcombine_f64(vld1_f64(p), vdup_n_f64(0)) : vdupq_n_f64(0);
}
NHWC_INLINE void store_n(float* p, Vec<float> v, int n) {
  if (n >= 4) return store(p, v);
  if (n >= 2) vst1_f32(p, vget_low_f32(v));
  if (n == 3) vst1q_lane_f32(p + 2, v, 2);
  if (n == 1) vst1q_lane_f32(p, v, 0);
}
NHWC_INLINE void store_n(double* p, Vec<double> v, int n) {
  if (n >= 2) return store(p, v);
  if (n == 1) vst1q_lane_f64(p, v, 0);
}

/// Byte indices of the lanes of 32 bits that `lanes` names; one that is out of range gives a zero.
NHWC_INLINE uint8x16_t bytes_of(int32x4_t lanes) {
  return vreinterpretq_u8_s32(vmlaq_n_s32(vdupq_n_s32(0x03020100), lanes, 0x04040404));
}
NHWC_INLINE Vec<float> lookup(Vec<float> v, Vec<int32_t> index) {
  return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), bytes_of(index)));
}
NHWC_INLINE Vec<float> lookup2(Vec<float> a, Vec<float> b, Vec<int32_t> index) {
  return vreinterpretq_f32_u8(vqtbl2q_u8({{vreinterpretq_u8_f32(a), vreinterpretq_u8_f32(b)}}, bytes_of(index)));
}

/// v, whose lanes from `at` on are zero, with p[0..n) there.
NHWC_INLINE Vec<float> insert_n(Vec<float> v, const float* p, int at, int n) {
  if (at == 0) return load_n(p, n);
  const int32x4_t from = vsubq_s32(int32x4_t{0, 1, 2, 3}, vdupq_n_s32(at));
  // Of a lane before `at` the index is negative: its bytes are out of range.
  const uint32x4_t rest = vreinterpretq_u32_f32(lookup(load_n(p, n), from));
  return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(v), rest));
}
/// p[0..n) = the lanes of v from `at` on.
NHWC_INLINE void extract_n(float* p, Vec<float> v, int at, int n) {
  store_n(p, at == 0 ? v : lookup(v, vaddq_s32(int32x4_t{0, 1, 2, 3}, vdupq_n_s32(at))), n);
}

/// Multiplications take a lane for all of theirs: a load that repeats it would cost some cores a vector operation, and
/// clang chains such loads by the addresses that they increment.
NHWC_INLINE Vec<float> splat(const float* p) {
  float s = *p;
  asm("" : "+w"(s));  // no instruction
  return vdupq_n_f32(s);
}
NHWC_INLINE Vec<double> splat(const double* p) {
  double s = *p;
  asm("" : "+w"(s));
  return vdupq_n_f64(s);
}

/// p[0..C) again and again.
template <int C>
NHWC_INLINE Vec<float> repeat(const float* p) {
  if constexpr (C == kLanes<float>) return load(p);
  if constexpr (C == 2) return vcombine_f32(vld1_f32(p), vld1_f32(p));
}

NHWC_INLINE Vec<float> in_register(Vec<float> v) {
  asm("" : "+w"(v));  // no instruction
  return v;
}

NHWC_INLINE bool has_nan(Vec<float> v) { return vminvq_u32(vceqq_f32(v, v)) == 0; }

NHWC_INLINE Vec<float> max_keep_nan(Vec<float> x, Vec<float> lo) { return vbslq_f32(vcgtq_f32(lo, x), lo, x); }
NHWC_INLINE Vec<float> min_keep_nan(Vec<float> x, Vec<float> hi) { return vbslq_f32(vcltq_f32(hi, x), hi, x); }

NHWC_INLINE Vec<float> widen(const Float16* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))); }
NHWC_INLINE Vec<float> widen(const BFloat16* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(&p->bits), 16)); }
NHWC_INLINE void narrow(Float16* p, Vec<float> v) { vst1_u16(&p->bits, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
NHWC_INLINE void narrow(BFloat16* p, Vec<float> v) {
  const uint32x4_t x = vreinterpretq_u32_f32(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(x, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(x, vdupq_n_u32(0x7fff)), odd);
  const uint32x4_t quiet = vorrq_u32(x, vdupq_n_u32(0x400000));
  vst1_u16(&p->bits, vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16));
}

}  // namespace
}  // namespace nhwc
