// metal/common/binary.h -- the binary kinds of kinds.inc, each a function of its name, and select
// A kind has a body for float (half types are widened first), for integers and for bool, where it exists for them.
#pragma once

#include "common/unary.h"

namespace op {

/// fmod is exact; the result has the divisor's sign.
inline float float_remainder(float a, float b) {
  const float r = metal::fmod(a, b);
  return r != 0.0f && (r < 0.0f) != (b < 0.0f) ? r + b : r;
}
/// log(exp(a) + exp(b)); equal infinities give themselves.
inline float log_add_exp(float a, float b) {
  const float high = a > b ? a : b, low = a > b ? b : a;
  const float y = math::abs(high) == INFINITY ? high : high + math::log1p(math::exp(low - high));
  return a != a ? a : (b != b ? b : y);
}

/// A division by zero gives 0; a quotient is rounded down and a remainder has the divisor's sign. The least integer
/// divided by -1 wraps.
template <typename T>
inline T integer_floor_divide(T a, T b) {
  typedef wrapping_t<T> W;
  if (b == T(0)) return T(0);
  if (T(-1) < T(0) && b == T(-1)) return T(W(0) - W(a));
  const T q = T(a / b), r = T(a % b);
  return T(q - T(r != T(0) && (r < T(0)) != (b < T(0))));
}
template <typename T>
inline T integer_remainder(T a, T b) {
  if (b == T(0) || (T(-1) < T(0) && b == T(-1))) return T(0);
  const T r = T(a % b);
  return T(r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r);
}
/// Negative exponents give 0.
template <typename T>
inline T integer_power(T a, T b) {
  typedef wrapping_t<T> W;
  if (b < T(0)) return T(0);
  W result = 1, base = W(a);
  for (ulong e = ulong(b); e != 0; e >>= 1) {
    if (e & 1) result *= base;
    base *= base;
  }
  return T(result);
}

inline float divide(float a, float b) { return a / b; }
inline float arctan2(float a, float b) { return metal::precise::atan2(a, b); }
inline float logaddexp(float a, float b) { return log_add_exp(a, b); }

/// For float, for integers (T is the type, W wraps), for bool: or, exclusive or, and, as in MLX.
#define NHWC_KIND(name, of_float, of_integer, of_bool)     \
  inline float name(float a, float b) { return of_float; } \
  template <typename T>                                    \
  inline T name(T a, T b) {                                \
    typedef wrapping_t<T> W;                               \
    (void)W(0);                                            \
    return T(of_integer);                                  \
  }                                                        \
  inline bool name(bool a, bool b) { return of_bool; }
NHWC_KIND(add, a + b, W(a) + W(b), a || b)
NHWC_KIND(subtract, a - b, W(a) - W(b), a != b)
NHWC_KIND(multiply, a* b, W(a) * W(b), a&& b)
NHWC_KIND(floor_divide, metal::floor(a / b), integer_floor_divide(a, b), a&& b)
NHWC_KIND(remainder, float_remainder(a, b), integer_remainder(a, b), a && !b)
NHWC_KIND(power, metal::precise::pow(a, b), integer_power(a, b), a || !b)
NHWC_KIND(maximum, a != a ? a : (a > b ? a : b), a > b ? a : b, a || b)
NHWC_KIND(minimum, a != a ? a : (a < b ? a : b), a < b ? a : b, a&& b)
NHWC_KIND(bitwise_and, a, a& b, a&& b)
NHWC_KIND(bitwise_or, a, a | b, a || b)
NHWC_KIND(bitwise_xor, a, a ^ b, a != b)
#undef NHWC_KIND

#define NHWC_COMPARISON(name, expression) \
  template <typename T>                   \
  inline bool name(T a, T b) {            \
    return expression;                    \
  }
NHWC_COMPARISON(equal, a == b)
NHWC_COMPARISON(not_equal, a != b)
NHWC_COMPARISON(less, a < b)
NHWC_COMPARISON(less_equal, a <= b)
NHWC_COMPARISON(greater, a > b)
NHWC_COMPARISON(greater_equal, a >= b)
NHWC_COMPARISON(logical_and, a != T(0) && b != T(0))
NHWC_COMPARISON(logical_or, a != T(0) || b != T(0))
#undef NHWC_COMPARISON

template <typename T>
inline T select(bool c, T a, T b) {
  return c ? a : b;
}

}  // namespace op
