// csrc/base/half.h -- float16 and bfloat16 as storage: bits, and conversion to and from float32
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace nhwc {

/// IEEE binary16; round to nearest even, NaN stays NaN.
struct Float16 {
  uint16_t bits;
  Float16() = default;
  constexpr explicit Float16(float f) : bits(from_float(f)) {}
  constexpr operator float() const { return to_float(bits); }

  static constexpr uint16_t from_float(float f) {
    uint32_t x = std::bit_cast<uint32_t>(f);
    uint32_t sign = (x >> 16) & 0x8000u;
    x &= 0x7fffffffu;
    if (x > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
    if (x >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to inf
    if (x < 0x38800000u) {  // subnormal: adding 0.5 puts the wanted bits last, rounded by the FPU
      float m = std::bit_cast<float>(x) + 0.5f;
      return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(m) - 0x3f000000u));
    }
    x += 0xc8000fffu + ((x >> 13) & 1u);
    return static_cast<uint16_t>(sign | (x >> 13));
  }
  static constexpr float to_float(uint16_t h) {
    uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
    uint32_t e = (h >> 10) & 31u, m = h & 0x3ffu;
    if (e == 31) return std::bit_cast<float>(sign | 0x7f800000u | (m << 13));
    if (e == 0) {
      float v = static_cast<float>(m) * 0x1p-24f;
      return sign ? -v : v;
    }
    return std::bit_cast<float>(sign | ((e + 112u) << 23) | (m << 13));
  }
};

/// The upper half of a float32; round to nearest even, NaN stays NaN.
struct BFloat16 {
  uint16_t bits;
  BFloat16() = default;
  constexpr explicit BFloat16(float f) : bits(from_float(f)) {}
  constexpr operator float() const { return to_float(bits); }

  static constexpr uint16_t from_float(float f) {
    uint32_t x = std::bit_cast<uint32_t>(f);
    if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((x >> 16) | 0x40u);
    return static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
  }
  static constexpr float to_float(uint16_t h) { return std::bit_cast<float>(static_cast<uint32_t>(h) << 16); }
};

}  // namespace nhwc
