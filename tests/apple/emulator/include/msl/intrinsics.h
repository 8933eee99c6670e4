// tests/apple/emulator/include/msl/intrinsics.h -- compiler intrinsics of Apple's own headers that published kernels
// use
#pragma once

#include "matrix.h"

// MLX's kernels build functions for bfloat out of these. Ours do not.

#define __METAL_MAYBE_FAST_MATH__ false
#define __METAL_FAST_MATH__ false
#define __METAL_PRECISE_MATH__ false

#define MSL_ALIAS1(name, function)     \
  template <class T>                   \
  inline T __metal_##name(T x, bool) { \
    return metal::function(x);         \
  }
#define MSL_ALIAS2(name, function)          \
  template <class T>                        \
  inline T __metal_##name(T x, T y, bool) { \
    return metal::function(x, y);           \
  }
#define MSL_ALIAS3(name, function)               \
  template <class T>                             \
  inline T __metal_##name(T x, T y, T z, bool) { \
    return metal::function(x, y, z);             \
  }
MSL_ALIAS1(acos, acos);
MSL_ALIAS1(acosh, acosh);
MSL_ALIAS1(asin, asin);
MSL_ALIAS1(asinh, asinh);
MSL_ALIAS1(atan, atan);
MSL_ALIAS1(atanh, atanh);
MSL_ALIAS1(ceil, ceil);
MSL_ALIAS1(cos, cos);
MSL_ALIAS1(cosh, cosh);
MSL_ALIAS1(cospi, cospi);
MSL_ALIAS1(exp, exp);
MSL_ALIAS1(exp10, exp10);
MSL_ALIAS1(exp2, exp2);
MSL_ALIAS1(fabs, fabs);
MSL_ALIAS1(floor, floor);
MSL_ALIAS1(fract, fract);
MSL_ALIAS1(log, log);
MSL_ALIAS1(log10, log10);
MSL_ALIAS1(log2, log2);
MSL_ALIAS1(rint, rint);
MSL_ALIAS1(round, round);
MSL_ALIAS1(rsqrt, rsqrt);
MSL_ALIAS1(sin, sin);
MSL_ALIAS1(sinh, sinh);
MSL_ALIAS1(sinpi, sinpi);
MSL_ALIAS1(sqrt, sqrt);
MSL_ALIAS1(tan, tan);
MSL_ALIAS1(tanh, tanh);
MSL_ALIAS1(tanpi, tanpi);
MSL_ALIAS1(trunc, trunc);
MSL_ALIAS2(atan2, atan2);
MSL_ALIAS2(divide, divide);
MSL_ALIAS2(fmax, fmax);
MSL_ALIAS2(fmin, fmin);
MSL_ALIAS2(fmod, fmod);
MSL_ALIAS2(pow, pow);
MSL_ALIAS2(powr, powr);
MSL_ALIAS3(fmax3, max3);
MSL_ALIAS3(fmin3, min3);
MSL_ALIAS3(fmedian3, median3);
#undef MSL_ALIAS1
#undef MSL_ALIAS2
#undef MSL_ALIAS3

inline float __metal_fma(float x, float y, float z) { return metal::fma(x, y, z); }
inline float __metal_nextafter(float x, float y) { return metal::nextafter(x, y); }
inline float __metal_ldexp(float x, int e, bool) { return metal::ldexp(x, e); }
inline float __metal_frexp(float x, int* e) { return metal::frexp(x, *e); }
inline int __metal_ilogb(float x) { return metal::ilogb(x); }
inline ushort __metal_get_simdgroup_size(ushort) { return msl::kSimdWidth; }

#define MSL_SIMD1(name)               \
  template <class T>                  \
  inline T __metal_simd_##name(T x) { \
    return metal::simd_##name(x);     \
  }
#define MSL_SIMD2(name)                          \
  template <class T>                             \
  inline T __metal_simd_##name(T x, ushort by) { \
    return metal::simd_##name(x, by);            \
  }
MSL_SIMD1(sum);
MSL_SIMD1(product);
MSL_SIMD1(max);
MSL_SIMD1(min);
MSL_SIMD1(prefix_exclusive_product);
MSL_SIMD1(prefix_exclusive_sum);
MSL_SIMD1(prefix_inclusive_product);
MSL_SIMD1(prefix_inclusive_sum);
MSL_SIMD2(broadcast);
MSL_SIMD2(shuffle);
MSL_SIMD2(shuffle_down);
MSL_SIMD2(shuffle_up);
MSL_SIMD2(shuffle_xor);
MSL_SIMD2(shuffle_rotate_down);
MSL_SIMD2(shuffle_rotate_up);
#undef MSL_SIMD1
#undef MSL_SIMD2
template <class T>
inline T __metal_simd_shuffle_and_fill_down(T x, T fill, ushort by, ushort) {
  return metal::simd_shuffle_and_fill_down(x, fill, by);
}
template <class T>
inline T __metal_simd_shuffle_and_fill_up(T x, T fill, ushort by, ushort) {
  return metal::simd_shuffle_and_fill_up(x, fill, by);
}
template <class T>
inline T __metal_simd_xor(T x) {
  return T(metal::simd_xor(uint(x)));
}
