// metal/common/unary.h -- the unary kinds of kinds.inc, each a function of its name
// A kind has a body for float (half types are widened first), for integers and for bool, where it exists for them.
#pragma once

#include "common/math.h"

namespace op {

/// Integers are added, subtracted and multiplied in this type, where overflow wraps.
template <typename T>
using wrapping_t = metal::conditional_t<sizeof(T) == 8, ulong, uint>;

inline float sqrt(float x) { return metal::precise::sqrt(x); }
inline float rsqrt(float x) { return 1.0f / metal::precise::sqrt(x); }
inline float reciprocal(float x) { return 1.0f / x; }
inline float exp(float x) { return math::exp(x); }
inline float expm1(float x) { return math::expm1(x); }
inline float log(float x) { return math::log(x); }
inline float log1p(float x) { return math::log1p(x); }
inline float log2(float x) { return math::log2(x); }
inline float log10(float x) { return math::log10(x); }
inline float sin(float x) { return math::sin(x); }
inline float cos(float x) { return math::cos(x); }
inline float tan(float x) { return math::tan(x); }
inline float arcsin(float x) { return math::arcsin(x); }
inline float arccos(float x) { return math::arccos(x); }
inline float arctan(float x) { return math::arctan(x); }
inline float sinh(float x) { return math::sinh(x); }
inline float cosh(float x) { return math::cosh(x); }
inline float tanh(float x) { return math::tanh(x); }
inline float sigmoid(float x) { return math::sigmoid(x); }
inline float erf(float x) { return math::erf(x); }
inline float erfinv(float x) { return math::erfinv(x); }
inline float leaky_relu(float x) { return x < 0.0f ? x * 0.01f : x; }
inline float silu(float x) { return math::silu(x); }
inline float gelu(float x) { return math::gelu(x); }

/// Kinds of all types: for float, for integers (T is the type, W wraps), for bool.
#define NHWC_KIND(name, of_float, of_integer, of_bool) \
  inline float name(float x) { return of_float; }      \
  template <typename T>                                \
  inline T name(T x) {                                 \
    typedef wrapping_t<T> W;                           \
    (void)W(0);                                        \
    return T(of_integer);                              \
  }                                                    \
  inline bool name(bool x) { return of_bool; }
NHWC_KIND(abs, math::abs(x), x < T(0) ? W(0) - W(x) : W(x), x)
NHWC_KIND(negative, -x, W(0) - W(x), x)
NHWC_KIND(sign, float(x > 0.0f) - float(x < 0.0f), int(x > T(0)) - int(x < T(0)), x)
NHWC_KIND(square, x* x, W(x) * W(x), x)
NHWC_KIND(floor, metal::floor(x), x, x)
NHWC_KIND(ceil, metal::ceil(x), x, x)
NHWC_KIND(round, metal::rint(x), x, x)
NHWC_KIND(relu, x < 0.0f ? 0.0f : x, metal::max(x, T(0)), x)
NHWC_KIND(relu6, x < 0.0f ? 0.0f : (x > 6.0f ? 6.0f : x), metal::clamp(x, T(0), T(6)), x)
NHWC_KIND(bitwise_invert, x, ~x, !x)
#undef NHWC_KIND

#define NHWC_PREDICATE(name, of_float, of_other) \
  inline bool name(float x) { return of_float; } \
  template <typename T>                          \
  inline bool name(T x) {                        \
    return of_other;                             \
  }
NHWC_PREDICATE(logical_not, x == 0.0f, x == T(0))
NHWC_PREDICATE(isnan, x != x, false)
NHWC_PREDICATE(isinf, math::abs(x) == INFINITY, false)
NHWC_PREDICATE(isfinite, x - x == 0.0f, true)
#undef NHWC_PREDICATE

}  // namespace op
