// csrc/base/dtype.cpp -- names and promotion of element types
#include "nhwc/dtype.h"

#include <algorithm>

namespace nhwc {

std::string_view name(Dtype t) {
  static constexpr std::string_view names[kDtypeCount] = {"bool",     "uint8",   "uint16", "uint32", "uint64",
                                                          "int8",     "int16",   "int32",  "int64",  "float16",
                                                          "bfloat16", "float32", "float64"};
  return names[static_cast<int>(t)];
}

namespace {

// An unsigned and a signed integer: the signed type of twice the unsigned's size where that is needed; beyond 64 bits,
// float32.
Dtype promote_mixed_sign(Dtype u, Dtype s) {
  if (size_of(s) > size_of(u)) return s;
  switch (u) {
    case Dtype::uint8:
      return Dtype::int16;
    case Dtype::uint16:
      return Dtype::int32;
    case Dtype::uint32:
      return Dtype::int64;
    default:
      return Dtype::float32;
  }
}

}  // namespace

Dtype promote_types(Dtype a, Dtype b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);
  if (a == Dtype::bool_) return b;
  if (is_floating(b)) {
    if (a == Dtype::float16 && b == Dtype::bfloat16) return Dtype::float32;
    return b;
  }
  if (is_unsigned(a) && is_signed_integer(b)) return promote_mixed_sign(a, b);
  return b;
}

}  // namespace nhwc
