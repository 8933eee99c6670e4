// csrc/base/visit_dtype.h -- from a Dtype to the C++ type that stores it
#pragma once

#include <type_traits>

#include "base/half.h"
#include "nhwc/dtype.h"

namespace nhwc {

template <class T>
inline constexpr bool is_half_v = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;

/// The type arithmetic is done in: float for the half types.
template <class T>
using Compute = std::conditional_t<is_half_v<T>, float, T>;

/// Between any two element types; a float outside an integer's range gives some value, not undefined behaviour.
template <class To, class From>
inline To convert(From v) {
  if constexpr (is_half_v<From>) {
    return convert<To>(static_cast<float>(v));
  } else if constexpr (is_half_v<To>) {
    return To(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if constexpr (std::is_same_v<To, uint64_t>) {
      if (v >= From(0x1p63)) return v < From(0x1p64) ? static_cast<uint64_t>(v) : 0;
    }
    if (!(v >= From(-0x1p63) && v < From(0x1p63))) return static_cast<To>(INT64_MIN);
    return static_cast<To>(static_cast<int64_t>(v));
  } else {
    return static_cast<To>(v);
  }
}

/// Calls f with a null pointer of the stored type: visit_dtype(t, [&]<class T>(T*) { ... }).
template <class F>
decltype(auto) visit_dtype(Dtype t, F&& f) {
  switch (t) {
    case Dtype::bool_:
      return f(static_cast<bool*>(nullptr));
    case Dtype::uint8:
      return f(static_cast<uint8_t*>(nullptr));
    case Dtype::uint16:
      return f(static_cast<uint16_t*>(nullptr));
    case Dtype::uint32:
      return f(static_cast<uint32_t*>(nullptr));
    case Dtype::uint64:
      return f(static_cast<uint64_t*>(nullptr));
    case Dtype::int8:
      return f(static_cast<int8_t*>(nullptr));
    case Dtype::int16:
      return f(static_cast<int16_t*>(nullptr));
    case Dtype::int32:
      return f(static_cast<int32_t*>(nullptr));
    case Dtype::int64:
      return f(static_cast<int64_t*>(nullptr));
    case Dtype::float16:
      return f(static_cast<Float16*>(nullptr));
    case Dtype::bfloat16:
      return f(static_cast<BFloat16*>(nullptr));
    case Dtype::float32:
      return f(static_cast<float*>(nullptr));
    default:
      return f(static_cast<double*>(nullptr));
  }
}

/// The same over the four floating types only.
template <class F>
decltype(auto) visit_floating(Dtype t, F&& f) {
  switch (t) {
    case Dtype::float16:
      return f(static_cast<Float16*>(nullptr));
    case Dtype::bfloat16:
      return f(static_cast<BFloat16*>(nullptr));
    case Dtype::float32:
      return f(static_cast<float*>(nullptr));
    default:
      return f(static_cast<double*>(nullptr));
  }
}

}  // namespace nhwc
