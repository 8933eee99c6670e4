// metal/common/unary.h -- the unary kinds of kinds.inc, each a function of its name
// A kind has a body for float (half types are widened first), for integers and for bool, where it exists for them.
#pragma once

#include "common/math.h"

namespace op {

/// Integers are added, subtracted and multiplied in this type, where overflow wraps.
template <typename T>
using wrapping_t = metal::conditional_t<sizeof(T) == 8, ulong, uint>;

#define NHWC_FLOAT_KIND(name, expression) \
  inline float name(float x) { return expression; }
NHWC_FLOAT_KIND(sqrt, metal::precise::sqrt(x))
NHWC_FLOAT_KIND(rsqrt, 1.0f / metal::precise::sqrt(x))
NHWC_FLOAT_KIND(reciprocal, 1.0f / x)
NHWC_FLOAT_KIND(exp, math::exp(x))
NHWC_FLOAT_KIND(expm1, math::expm1(x))
NHWC_FLOAT_KIND(log, math::log(x))
NHWC_FLOAT_KIND(log1p, math::log1p(x))
NHWC_FLOAT_KIND(log2, math::log2(x))
NHWC_FLOAT_KIND(log10, math::log10(x))
NHWC_FLOAT_KIND(sin, math::sin(x))
NHWC_FLOAT_KIND(cos, math::cos(x))
NHWC_FLOAT_KIND(tan, math::tan(x))
NHWC_FLOAT_KIND(arcsin, math::arcsin(x))
NHWC_FLOAT_KIND(arccos, math::arccos(x))
NHWC_FLOAT_KIND(arctan, math::arctan(x))
NHWC_FLOAT_KIND(sinh, math::sinh(x))
NHWC_FLOAT_KIND(cosh, math::cosh(x))
NHWC_FLOAT_KIND(tanh, math::tanh(x))
NHWC_FLOAT_KIND(sigmoid, math::sigmoid(x))
NHWC_FLOAT_KIND(erf, math::erf(x))
NHWC_FLOAT_KIND(erfinv, math::erfinv(x))
NHWC_FLOAT_KIND(leaky_relu, x < 0.0f ? x * 0.01f : x)
NHWC_FLOAT_KIND(silu, math::silu(x))
NHWC_FLOAT_KIND(gelu, math::gelu(x))
#undef NHWC_FLOAT_KIND

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
NHWC_KIND(relu, x < 0.0f ? 0.0f : x, x < T(0) ? T(0) : x, x)
NHWC_KIND(relu6, x < 0.0f ? 0.0f : (x > 6.0f ? 6.0f : x), x < T(0) ? T(0) : (x > T(6) ? T(6) : x), x)
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
