// metal/common/convert.h -- from one element type to another, as the CPU converts
#pragma once

#include <metal_stdlib>

/// The type that a value is computed in: float for the half types.
template <typename T>
struct compute {
  typedef T type;
};
template <>
struct compute<half> {
  typedef float type;
};
template <>
struct compute<bfloat> {
  typedef float type;
};
template <typename T>
using compute_t = typename compute<T>::type;

/// A float outside the range gives the least integer, as x86 has it.
inline long float_to_long(float x) {
  return x >= -9223372036854775808.0f && x < 9223372036854775808.0f ? long(x) : long(1ul << 63);
}
inline int float_to_int(float x) { return x >= -2147483648.0f && x < 2147483648.0f ? int(x) : int(1u << 31); }
inline ulong float_to_ulong(float x) {
  const float high = 9223372036854775808.0f;
  return x >= high ? ulong(float_to_long(x - high)) + (1ul << 63) : ulong(float_to_long(x));
}

/// Half types go by way of float.
template <typename To>
struct converter {
  template <typename From>
  static To of(From x) {
    return To(x);
  }
};
template <>
struct converter<bool> {
  template <typename From>
  static bool of(From x) {
    return x != From(0);
  }
};
/// To integers: wraps between them; those below 32 bits take a float by way of int.
#define NHWC_TO_INTEGER(To, by)                            \
  template <>                                              \
  struct converter<To> {                                   \
    template <typename From>                               \
    static To of(From x) {                                 \
      return To(x);                                        \
    }                                                      \
    static To of(float x) { return To(float_to_##by(x)); } \
  };
NHWC_TO_INTEGER(uchar, int)
NHWC_TO_INTEGER(ushort, int)
NHWC_TO_INTEGER(uint, long)
NHWC_TO_INTEGER(ulong, ulong)
NHWC_TO_INTEGER(char, int)
NHWC_TO_INTEGER(short, int)
NHWC_TO_INTEGER(int, int)
NHWC_TO_INTEGER(long, long)
#undef NHWC_TO_INTEGER

template <typename To, typename From>
inline To convert(From x) {
  return To(converter<compute_t<To> >::of(compute_t<From>(x)));
}
