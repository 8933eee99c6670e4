// csrc/simd/baseline.h -- vectors of 128 bits with what every processor of the architecture has
#pragma once

#include "base/cpu_features.h"

namespace nhwc {
namespace {
constexpr Isa kIsa = Isa::baseline;
constexpr int kVectorBytes = 16;
constexpr bool kFreeMasks = false;
constexpr bool kStreams = false;
constexpr bool kManyPointers = false;
}  // namespace
}  // namespace nhwc

#include "simd/vector.h"

namespace nhwc {
namespace {

/// The first n lanes, 0 <= n <= kLanes; the others are zero. Reads nothing beyond them.
template <class T>
NHWC_INLINE Vec<T> load_n(const T* p, int n) {
  Vec<T> v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
template <class T>
NHWC_INLINE void store_n(T* p, Vec<T> v, int n) {
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

/// p[0..C) again and again.
template <int C>
NHWC_INLINE Vec<float> repeat(const float* p) {
  if constexpr (C == kLanes<float>) return load(p);
  if constexpr (C == 2) return Vec<float>{p[0], p[1], p[0], p[1]};
}

typedef uint32_t U32x4 __attribute__((vector_size(16)));

/// The low or high 16 bits of every lane hold a half.
NHWC_INLINE U32x4 load_u16(const uint16_t* p) { return U32x4{p[0], p[1], p[2], p[3]}; }
NHWC_INLINE void store_u16(uint16_t* p, U32x4 v) {
  NHWC_UNROLL for (int i = 0; i < 4; ++i) p[i] = static_cast<uint16_t>(v[i]);
}

NHWC_INLINE Vec<float> widen(const BFloat16* p) { return reinterpret_cast<Vec<float>>(load_u16(&p->bits) << 16); }
NHWC_INLINE void narrow(BFloat16* p, Vec<float> v) {
  U32x4 x = reinterpret_cast<U32x4>(v);
  U32x4 rounded = (x + 0x7fffu + ((x >> 16) & 1u)) >> 16;
  U32x4 quiet = (x >> 16) | 0x40u;
  store_u16(&p->bits, (x & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}
/// Scaling the exponent by a multiplication makes subnormals and normals one case; inf and NaN are patched.
NHWC_INLINE Vec<float> widen(const Float16* p) {
  U32x4 h = load_u16(&p->bits);
  U32x4 magnitude = (h & 0x7fffu) << 13;
  U32x4 scaled = reinterpret_cast<U32x4>(reinterpret_cast<Vec<float>>(magnitude) * 0x1p112f);
  U32x4 special = magnitude | 0x7f800000u;
  U32x4 v = (h & 0x7c00u) == 0x7c00u ? special : scaled;
  return reinterpret_cast<Vec<float>>(v | ((h & 0x8000u) << 16));
}
/// The same steps as Float16::from_float, for four lanes.
NHWC_INLINE void narrow(Float16* p, Vec<float> v) {
  U32x4 x = reinterpret_cast<U32x4>(v);
  U32x4 sign = (x >> 16) & 0x8000u;
  x &= 0x7fffffffu;
  U32x4 normal = (x + 0xc8000fffu + ((x >> 13) & 1u)) >> 13;
  U32x4 small = reinterpret_cast<U32x4>(reinterpret_cast<Vec<float>>(x) + 0.5f) - 0x3f000000u;
  U32x4 r = x < 0x38800000u ? small : normal;
  r = x >= 0x477ff000u ? U32x4{} + 0x7c00u : r;
  r = x > 0x7f800000u ? U32x4{} + 0x7e00u : r;
  store_u16(&p->bits, r | sign);
}

}  // namespace
}  // namespace nhwc
