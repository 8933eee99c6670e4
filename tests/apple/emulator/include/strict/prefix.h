// tests/apple/emulator/include/strict/prefix.h -- declares MSL's library in C++ for OpenCL, whose address spaces are
// clang-format off: its answer for lists of macros changes with every run
// real
#pragma once

// Only declarations: strict.py checks types with them, nothing runs. Overloads are as Metal has them, so what is
// ambiguous there is ambiguous here.

#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define device __global
#define threadgroup __local
#define constant __constant
#ifdef MSL_LOOSE_THREAD
#define thread
#else
#define thread __private
#endif
#define METAL_FUNC inline __attribute__((always_inline))

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long uint64_t;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

/// Converts to float unasked. From float too, which Metal refuses and the emulator's own bfloat as well: here a choice
/// between a bfloat in memory and a value becomes a float.
struct bfloat {
  ushort held;
  bfloat() = default;
  bfloat(const bfloat&) = default;
  bfloat(const constant bfloat& other);
  bfloat(float);
  explicit bfloat(half);
  explicit bfloat(int);
  explicit bfloat(uint);
  explicit bfloat(long);
  explicit bfloat(ulong);
  explicit bfloat(short);
  explicit bfloat(ushort);
  explicit bfloat(char);
  explicit bfloat(uchar);
  explicit bfloat(bool);
  operator float() const;
  operator float() const constant;
  explicit operator half() const;
  bfloat operator-() const;
};
#define MSL_BFLOAT(op)                    \
  bfloat operator op(bfloat a, bfloat b); \
  float operator op(bfloat a, float b);   \
  float operator op(float a, bfloat b);
MSL_BFLOAT(+)
MSL_BFLOAT(-)
MSL_BFLOAT(*) MSL_BFLOAT(/)
#define MSL_BFLOAT_ASSIGN(op)                                   \
  device bfloat& operator op(device bfloat&, bfloat);           \
  threadgroup bfloat& operator op(threadgroup bfloat&, bfloat); \
  thread bfloat& operator op(thread bfloat&, bfloat);
    MSL_BFLOAT_ASSIGN(+=) MSL_BFLOAT_ASSIGN(-=) MSL_BFLOAT_ASSIGN(*=) MSL_BFLOAT_ASSIGN(/=)

        namespace metal {
  template <class T, int N>
  using vec = T __attribute__((ext_vector_type(N)));
}
#define MSL_VECTORS(T)                                \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4))); \
  template <class... A>                               \
  T##2 msl_make_##T##2(A...);                         \
  template <class... A>                               \
  T##3 msl_make_##T##3(A...);                         \
  template <class... A>                               \
  T##4 msl_make_##T##4(A...);
MSL_VECTORS(float)
MSL_VECTORS(half)
MSL_VECTORS(char) MSL_VECTORS(uchar) MSL_VECTORS(short) MSL_VECTORS(ushort) MSL_VECTORS(int) MSL_VECTORS(uint)
    MSL_VECTORS(long) MSL_VECTORS(ulong)
    // Comparisons give vectors of int here.
    typedef int4 bool4;
typedef int3 bool3;
typedef int2 bool2;
template <class V, class... A>
V msl_make(A...);
template <class T, int N>
struct msl_packed {
  T d[N];
  operator metal::vec<T, N>() const;
};
typedef msl_packed<float, 3> packed_float3;
typedef msl_packed<float, 4> packed_float4;
typedef msl_packed<half, 4> packed_half4;

template <class To, class From>
To as_type(From from);
template <class T>
threadgroup T* msl_shared();

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define FLT_MAX 3.402823466e+38f
#define FLT_MIN 1.175494351e-38f
#define FLT_EPSILON 1.1920928955e-07f
#define MAXFLOAT 3.402823466e+38f
#define HALF_MAX 65504.0h
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_E_F 2.71828182845904523536f
#define M_LN2_F 0.69314718055994530942f
#define M_LOG2E_F 1.44269504088896340736f
#define M_SQRT1_2_F 0.70710678118654752440f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define is_function_constant_defined(name) (msl_is_defined(&name))
bool msl_is_defined(const constant void*);

#include "functions.h"
#include "simdgroup.h"
#include "traits.h"
