// tests/apple/emulator/include/strict/functions.h -- MSL's math and integer functions, declared for strict.py
// clang-format off: its answer for lists of macros changes with every run
#pragma once

#define MSL_FLOATS(M, name) \
  M(name, float)            \
  M(name, float2) M(name, float3) M(name, float4) M(name, half) M(name, half2) M(name, half3) M(name, half4)
#define MSL_INTS(M, name)                                                                                            \
  M(name, char)                                                                                                      \
  M(name, uchar)                                                                                                     \
  M(name, short) M(name, ushort) M(name, int) M(name, uint) M(name, long) M(name, ulong) M(name, int2) M(name, int3) \
      M(name, int4) M(name, uint2) M(name, uint3) M(name, uint4)
#define MSL_ONE(name, T) T name(T);
#define MSL_TWO(name, T) T name(T, T);
#define MSL_THREE(name, T) T name(T, T, T);
#define MSL_TEST(name, T) bool name(T);

namespace metal {
#define MSL_EVERYWHERE(name) MSL_FLOATS(MSL_ONE, name)
#define MSL_MATH                                                                                                     \
  MSL_EVERYWHERE(acos)                                                                                               \
  MSL_EVERYWHERE(acosh)                                                                                              \
  MSL_EVERYWHERE(asin) MSL_EVERYWHERE(asinh) MSL_EVERYWHERE(atan) MSL_EVERYWHERE(atanh) MSL_EVERYWHERE(ceil)         \
      MSL_EVERYWHERE(cos) MSL_EVERYWHERE(cosh) MSL_EVERYWHERE(cospi) MSL_EVERYWHERE(exp) MSL_EVERYWHERE(exp2)        \
          MSL_EVERYWHERE(exp10) MSL_EVERYWHERE(fabs) MSL_EVERYWHERE(floor) MSL_EVERYWHERE(fract) MSL_EVERYWHERE(log) \
              MSL_EVERYWHERE(log2) MSL_EVERYWHERE(log10) MSL_EVERYWHERE(rint) MSL_EVERYWHERE(round)                  \
                  MSL_EVERYWHERE(rsqrt) MSL_EVERYWHERE(sin) MSL_EVERYWHERE(sinh) MSL_EVERYWHERE(sinpi)               \
                      MSL_EVERYWHERE(sqrt) MSL_EVERYWHERE(tan) MSL_EVERYWHERE(tanh) MSL_EVERYWHERE(tanpi)            \
                          MSL_EVERYWHERE(trunc) MSL_FLOATS(MSL_TWO, atan2) MSL_FLOATS(MSL_TWO, pow)                  \
                              MSL_FLOATS(MSL_TWO, powr) MSL_FLOATS(MSL_TWO, fmod) MSL_FLOATS(MSL_TWO, divide)        \
                                  MSL_FLOATS(MSL_TWO, fmax) MSL_FLOATS(MSL_TWO, fmin) MSL_FLOATS(MSL_THREE, fma)
MSL_MATH
namespace precise {
MSL_MATH
}
namespace fast {
MSL_MATH
}
MSL_FLOATS(MSL_ONE, sign)
MSL_FLOATS(MSL_ONE, saturate)
MSL_FLOATS(MSL_TWO, copysign)
MSL_FLOATS(MSL_TWO, fdim)
MSL_FLOATS(MSL_TWO, nextafter)
MSL_FLOATS(MSL_TWO, step)
MSL_FLOATS(MSL_THREE, mix)
MSL_FLOATS(MSL_THREE, smoothstep)
MSL_TEST(isnan, float)
MSL_TEST(isnan, half)
MSL_TEST(isinf, float)
MSL_TEST(isinf, half)
MSL_TEST(isfinite, float)
MSL_TEST(isfinite, half)
MSL_TEST(signbit, float)
MSL_TEST(signbit, half)
float ldexp(float, int);
half ldexp(half, int);
float frexp(float, thread int&);
float modf(float, thread float&);
float sincos(float, thread float&);
#define MSL_NUMBERS(M, name) MSL_FLOATS(M, name) MSL_INTS(M, name)
MSL_NUMBERS(MSL_ONE, abs)
MSL_NUMBERS(MSL_TWO, max)
MSL_NUMBERS(MSL_TWO, min)
MSL_NUMBERS(MSL_THREE, clamp)
MSL_NUMBERS(MSL_THREE, max3)
MSL_NUMBERS(MSL_THREE, min3)
MSL_NUMBERS(MSL_THREE, median3)
MSL_INTS(MSL_ONE, popcount)
MSL_INTS(MSL_ONE, clz)
MSL_INTS(MSL_ONE, ctz)
MSL_INTS(MSL_ONE, reverse_bits)
MSL_INTS(MSL_TWO, mulhi)
MSL_INTS(MSL_TWO, rotate)
MSL_INTS(MSL_TWO, addsat)
MSL_INTS(MSL_TWO, subsat)
MSL_INTS(MSL_TWO, absdiff)
MSL_INTS(MSL_TWO, hadd)
MSL_INTS(MSL_TWO, rhadd)
template <class T>
T extract_bits(T, uint, uint);
template <class T>
T insert_bits(T, T, uint, uint);
template <class T, class C>
T select(T a, T b, C c);
template <class V>
bool any(V v);
template <class V>
bool all(V v);
template <class T, int N>
T dot(vec<T, N> a, vec<T, N> b);
template <class T, int N>
T length(vec<T, N> a);
template <class T, size_t N>
struct array {
  T d[N];
  thread T& operator[](size_t i) thread;
  const thread T& operator[](size_t i) const thread;
  const constant T& operator[](size_t i) const constant;
  const device T& operator[](size_t i) const device;
};
using ::as_type;
}  // namespace metal
