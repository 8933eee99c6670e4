// csrc/include/nhwc/dtype.h -- element types, their sizes, names and promotion
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nhwc {

enum class Dtype : uint8_t {
  bool_,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  float16,
  bfloat16,
  float32,
  float64,
};
inline constexpr int kDtypeCount = 13;

/// Bytes of one element.
constexpr size_t size_of(Dtype t) {
  constexpr uint8_t sizes[kDtypeCount] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(t)];
}

constexpr bool is_floating(Dtype t) { return t >= Dtype::float16; }
constexpr bool is_unsigned(Dtype t) { return t >= Dtype::uint8 && t <= Dtype::uint64; }
constexpr bool is_signed_integer(Dtype t) { return t >= Dtype::int8 && t <= Dtype::int64; }
constexpr bool is_integer(Dtype t) { return t >= Dtype::uint8 && t <= Dtype::int64; }
constexpr bool is_half(Dtype t) { return t == Dtype::float16 || t == Dtype::bfloat16; }

/// The Python name: "float32", "bool" ...
std::string_view name(Dtype t);

/// The type in which two arrays of types `a` and `b` are combined (MLX's table).
Dtype promote_types(Dtype a, Dtype b);

/// `t` where it is a float, else float32: the result type of sqrt, exp, mean ...
constexpr Dtype to_floating(Dtype t) { return is_floating(t) ? t : Dtype::float32; }

}  // namespace nhwc
