// tests/apple/emulator/include/msl/math.h -- MSL's math, relational and integer functions
#pragma once

#include "vec.h"

// As in Metal, these are for float and half: of a bfloat, functions of one argument return a float. Arguments must
// agree in type, which is what Metal's overloads come to. `fast` and `precise` give the same results here: fast-math is
// not modelled.

namespace metal {

template <class T>
concept math_float = is_same_v<T, float> || is_same_v<T, half>;
template <class T>
concept math_int = is_integral_v<T> && !is_same_v<T, bool>;
template <class T>
concept math_number = math_float<T> || math_int<T>;
template <class T>
using same = typename type_identity<T>::type;  // an argument that another one decides the type of

// One argument: `expression` of a float x.
#define MSL_MATH1(name, expression)                \
  template <math_float T>                          \
  inline T name(T value) {                         \
    const float x = float(value);                  \
    return T(expression);                          \
  }                                                \
  template <math_float T, int N>                   \
  inline vec<T, N> name(const vec<T, N>& v) {      \
    return each(v, [](T x) { return name(x); });   \
  }                                                \
  template <class T>                               \
    requires is_same_v<T, bfloat>                  \
  inline float name(T value) {                     \
    return name(float(value));                     \
  }                                                \
  template <class T, int N, int... I>              \
  inline auto name(const swizzle<T, N, I...>& v) { \
    return name(as_vec(v));                        \
  }
#define MSL_MATH2(name, concept_, expression)                           \
  template <concept_ T>                                                 \
  inline T name(T x, T y) {                                             \
    return T(expression);                                               \
  }                                                                     \
  template <concept_ T, int N>                                          \
  inline vec<T, N> name(const vec<T, N>& a, const same<vec<T, N>>& b) { \
    vec<T, N> r;                                                        \
    for (int i = 0; i < N; ++i) r.d[i] = name(a.d[i], b.d[i]);          \
    return r;                                                           \
  }                                                                     \
  template <class T>                                                    \
    requires is_same_v<T, bfloat>                                       \
  inline float name(T x, T y) {                                         \
    return name(float(x), float(y));                                    \
  }                                                                     \
  template <class A, class B>                                           \
    requires(is_swizzle<A> || is_swizzle<B>)                            \
  inline auto name(const A& a, const B& b) {                            \
    return name(vec_pair_t<A, B>(a), vec_pair_t<A, B>(b));              \
  }
#define MSL_MATH3(name, concept_, expression)                                                     \
  template <concept_ T>                                                                           \
  inline T name(T x, T y, T z) {                                                                  \
    return T(expression);                                                                         \
  }                                                                                               \
  template <concept_ T, int N>                                                                    \
  inline vec<T, N> name(const vec<T, N>& a, const same<vec<T, N>>& b, const same<vec<T, N>>& c) { \
    vec<T, N> r;                                                                                  \
    for (int i = 0; i < N; ++i) r.d[i] = name(a.d[i], b.d[i], c.d[i]);                            \
    return r;                                                                                     \
  }                                                                                               \
  template <class A, class B, class C>                                                            \
    requires(is_swizzle<A> || is_swizzle<B> || is_swizzle<C>)                                     \
  inline auto name(const A& a, const B& b, const C& c) {                                          \
    using V = vec_pair_t<vec_pair_t<A, B>, C>;                                                    \
    return name(V(a), V(b), V(c));                                                                \
  }

inline constexpr float kPi = 3.14159265358979323846f;

#define MSL_LIBM(name) MSL_MATH1(name, __builtin_##name##f(x))
MSL_LIBM(acos)
MSL_LIBM(acosh)
MSL_LIBM(asin)
MSL_LIBM(asinh)
MSL_LIBM(atan)
MSL_LIBM(atanh)
MSL_LIBM(ceil)
MSL_LIBM(cos)
MSL_LIBM(cosh)
MSL_LIBM(exp)
MSL_LIBM(exp2)
MSL_LIBM(fabs)
MSL_LIBM(floor)
MSL_LIBM(log)
MSL_LIBM(log2)
MSL_LIBM(log10)
MSL_LIBM(rint)
MSL_LIBM(round)
MSL_LIBM(sin)
MSL_LIBM(sinh)
MSL_LIBM(sqrt)
MSL_LIBM(tan)
MSL_LIBM(tanh)
MSL_LIBM(trunc)
#undef MSL_LIBM
MSL_MATH1(exp10, float(__builtin_exp2(double(x) * double(3.3219280948873623L))))
MSL_MATH1(rsqrt, 1.0f / __builtin_sqrtf(x))
MSL_MATH1(sinpi, float(__builtin_sin(double(3.14159265358979323846L) * double(x))))
MSL_MATH1(cospi, float(__builtin_cos(double(3.14159265358979323846L) * double(x))))
MSL_MATH1(tanpi, float(__builtin_tan(double(3.14159265358979323846L) * double(x))))
MSL_MATH1(fract, x - __builtin_floorf(x) < 1.0f ? x - __builtin_floorf(x) : 0.99999994f)
MSL_MATH2(atan2, math_float, __builtin_atan2f(float(x), float(y)))
MSL_MATH2(pow, math_float, __builtin_powf(float(x), float(y)))
MSL_MATH2(powr, math_float, __builtin_powf(float(x), float(y)))
MSL_MATH2(fmod, math_float, __builtin_fmodf(float(x), float(y)))
MSL_MATH2(divide, math_float, x / y)
MSL_MATH2(fmax, math_float, (x < y || x != x) ? y : x)
MSL_MATH2(fmin, math_float, (y < x || x != x) ? y : x)
MSL_MATH3(fma, math_float, __builtin_fmaf(float(x), float(y), float(z)))

template <math_float T>
inline T sincos(T x, T& cosine) {
  cosine = cos(x);
  return sin(x);
}
template <math_float T>
inline T modf(T x, T& whole) {
  whole = trunc(x);
  return x - whole;
}

MSL_MATH2(copysign, math_float, __builtin_copysignf(float(x), float(y)))
MSL_MATH2(fdim, math_float, x > y ? x - y : T(0))
MSL_MATH2(nextafter, math_float, __builtin_nextafterf(float(x), float(y)))
MSL_MATH2(step, math_float, y < x ? T(0) : T(1))
MSL_MATH1(sign, x > 0 ? 1.0f : x < 0 ? -1.0f : x == 0 ? x : 0.0f)
MSL_MATH1(saturate, x > 0 ? (x < 1 ? x : 1.0f) : 0.0f)
MSL_MATH3(mix, math_float, x + (y - x) * z)

template <math_float T>
inline T smoothstep(T low, T high, T x) {
  const T t = saturate((x - low) / (high - low));
  return t * t * (T(3) - T(2) * t);
}
template <math_float T>
inline T ldexp(T x, int exponent) {
  return T(__builtin_ldexpf(float(x), exponent));
}
template <math_float T>
inline T frexp(T x, int& exponent) {
  return T(__builtin_frexpf(float(x), &exponent));
}
template <math_float T>
inline int ilogb(T x) {
  return __builtin_ilogbf(float(x));
}

// Where only float and half versions exist, another type of argument finds the nearer of them.
template <class A, class B>
using nearer = conditional_t<is_same_v<A, half> || is_same_v<B, half>,
                             conditional_t<is_integral_v<A> || is_integral_v<B>, half, float>, float>;
#define MSL_MIXED(name)                                                    \
  template <class A, class B>                                              \
    requires(!is_same_v<A, B> && is_arithmetic_v<A> && is_arithmetic_v<B>) \
  inline nearer<A, B> name(A x, B y) {                                     \
    return name(nearer<A, B>(x), nearer<A, B>(y));                         \
  }
MSL_MIXED(atan2)
MSL_MIXED(pow)
MSL_MIXED(powr)
MSL_MIXED(fmod)
MSL_MIXED(divide)
MSL_MIXED(fmax)
MSL_MIXED(fmin)
MSL_MIXED(copysign)
#undef MSL_MIXED

// The greater and lesser of two, which for floats is fmax and fmin; integers of one type.
MSL_MATH2(max, math_number, (x < y || x != x) ? y : x)
MSL_MATH2(min, math_number, (y < x || x != x) ? y : x)
MSL_MATH3(max3, math_number, max(x, max(y, z)))
MSL_MATH3(min3, math_number, min(x, min(y, z)))
MSL_MATH3(median3, math_number, max(min(x, y), min(max(x, y), z)))
MSL_MATH3(clamp, math_number, min(max(x, y), z))

template <math_number T>
inline T abs(T x) {
  if constexpr (math_float<T>)
    return T(__builtin_fabsf(float(x)));
  else
    return x < T(0) ? T(-x) : x;
}
template <math_number T, int N>
inline vec<T, N> abs(const vec<T, N>& v) {
  return each(v, [](T x) { return abs(x); });
}

#define MSL_CLASS(name, expression)              \
  template <math_float T>                        \
  inline bool name(T x) {                        \
    return expression;                           \
  }                                              \
  template <math_float T, int N>                 \
  inline vec<bool, N> name(const vec<T, N>& v) { \
    return each(v, [](T x) { return name(x); }); \
  }                                              \
  template <class T>                             \
    requires is_same_v<T, bfloat>                \
  inline bool name(T x) {                        \
    return name(float(x));                       \
  }
MSL_CLASS(isnan, x != x)
MSL_CLASS(isinf, __builtin_fabsf(float(x)) == __builtin_inff())
MSL_CLASS(isfinite, __builtin_fabsf(float(x)) < __builtin_inff())
MSL_CLASS(isnormal, isfinite(x) && __builtin_fabsf(float(x)) >= float(numeric_limits<T>::min()))
MSL_CLASS(signbit, __builtin_signbitf(float(x)) != 0)
#undef MSL_CLASS

template <int N>
inline bool all(const vec<bool, N>& v) {
  bool r = true;
  for (int i = 0; i < N; ++i) r = r && v.d[i];
  return r;
}
template <int N>
inline bool any(const vec<bool, N>& v) {
  bool r = false;
  for (int i = 0; i < N; ++i) r = r || v.d[i];
  return r;
}

/// b where c, else a.
template <class T>
  requires is_arithmetic_v<T>
constexpr T select(T a, same<T> b, bool c) {
  return c ? b : a;
}
template <class T, int N>
constexpr vec<T, N> select(const vec<T, N>& a, const same<vec<T, N>>& b, const vec<bool, N>& c) {
  vec<T, N> r;
  for (int i = 0; i < N; ++i) r.d[i] = c.d[i] ? b.d[i] : a.d[i];
  return r;
}

template <class A, class B, int N>
  requires(is_swizzle<A> || is_swizzle<B>)
constexpr auto select(const A& a, const B& b, const vec<bool, N>& c) {
  return select(vec_pair_t<A, B>(a), vec_pair_t<A, B>(b), c);
}

template <class T, int N>
inline T dot(const vec<T, N>& a, const same<vec<T, N>>& b) {
  T sum = a.d[0] * b.d[0];
  for (int i = 1; i < N; ++i) sum += a.d[i] * b.d[i];
  return sum;
}
template <class A, class B>
  requires(is_swizzle<A> || is_swizzle<B>)
inline auto dot(const A& a, const B& b) {
  return dot(vec_pair_t<A, B>(a), vec_pair_t<A, B>(b));
}
template <math_float T, int N>
inline T length_squared(const vec<T, N>& a) {
  return dot(a, a);
}
template <math_float T, int N>
inline T length(const vec<T, N>& a) {
  return sqrt(dot(a, a));
}
template <math_float T, int N>
inline vec<T, N> normalize(const vec<T, N>& a) {
  return a * rsqrt(dot(a, a));
}

// Names, not namespace aliases: published kernels add functions to either.
#define MSL_SAME_IN(space)                                                                                         \
  namespace space {                                                                                                \
  using metal::abs, metal::acos, metal::acosh, metal::asin, metal::asinh, metal::atan, metal::atan2, metal::atanh, \
      metal::ceil, metal::clamp, metal::cos, metal::cosh, metal::cospi, metal::divide, metal::exp, metal::exp10,   \
      metal::exp2, metal::fabs, metal::floor, metal::fma, metal::fmax, metal::fmin, metal::fmod, metal::fract,     \
      metal::isfinite, metal::isinf, metal::isnan, metal::log, metal::log10, metal::log2, metal::max, metal::min,  \
      metal::modf, metal::pow, metal::powr, metal::rint, metal::round, metal::rsqrt, metal::sign, metal::sin,      \
      metal::sincos, metal::sinh, metal::sinpi, metal::sqrt, metal::tan, metal::tanh, metal::tanpi, metal::trunc;  \
  }
MSL_SAME_IN(precise)
MSL_SAME_IN(fast)
#undef MSL_SAME_IN

}  // namespace metal
