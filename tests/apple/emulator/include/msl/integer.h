// tests/apple/emulator/include/msl/integer.h -- MSL's integer functions, as_type, arrays
#pragma once

#include "math.h"

namespace metal {

// `expression` of an unsigned x that has `bits` bits.
#define MSL_BITS(name, expression)                    \
  template <math_int T>                               \
  constexpr T name(T value) {                         \
    constexpr int bits = int(sizeof(T)) * 8;          \
    const ulong x = ulong(make_unsigned_t<T>(value)); \
    (void)bits;                                       \
    return T(expression);                             \
  }                                                   \
  template <math_int T, int N>                        \
  constexpr vec<T, N> name(const vec<T, N>& v) {      \
    return each(v, [](T x) { return name(x); });      \
  }
MSL_BITS(popcount, __builtin_popcountl(x))
MSL_BITS(clz, x ? __builtin_clzl(x) - (64 - bits) : bits)
MSL_BITS(ctz, x ? __builtin_ctzl(x) : bits)
MSL_BITS(reverse_bits, __builtin_bitreverse64(x) >> (64 - bits))
#undef MSL_BITS

template <math_int T>
constexpr T mulhi(T a, T b) {
  using wide = conditional_t<is_signed_v<T>, __int128, unsigned __int128>;
  return T((wide(a) * wide(b)) >> (sizeof(T) * 8));
}
template <math_int T>
constexpr T mul24(T a, T b) {
  return T(a * b);
}
template <math_int T>
constexpr T mad24(T a, T b, T c) {
  return T(a * b + c);
}
template <math_int T>
constexpr T madhi(T a, T b, T c) {
  return T(mulhi(a, b) + c);
}
template <math_int T>
constexpr T rotate(T a, T by) {
  constexpr uint bits = uint(sizeof(T)) * 8;
  const uint s = uint(by) % bits;
  using U = make_unsigned_t<T>;
  return s ? T(U(U(a) << s) | U(U(a) >> (bits - s))) : a;
}
template <math_int T>
constexpr T addsat(T a, T b) {
  T r = 0;
  if (__builtin_add_overflow(a, b, &r)) r = a < T(0) ? numeric_limits<T>::min() : numeric_limits<T>::max();
  return r;
}
template <math_int T>
constexpr T subsat(T a, T b) {
  T r = 0;
  if (__builtin_sub_overflow(a, b, &r)) r = a < b ? numeric_limits<T>::min() : numeric_limits<T>::max();
  return r;
}
template <math_int T>
constexpr make_unsigned_t<T> absdiff(T a, T b) {
  using U = make_unsigned_t<T>;
  return a < b ? U(U(b) - U(a)) : U(U(a) - U(b));
}
template <math_int T>
constexpr T hadd(T a, T b) {
  return T((__int128(a) + __int128(b)) >> 1);
}
template <math_int T>
constexpr T rhadd(T a, T b) {
  return T((__int128(a) + __int128(b) + 1) >> 1);
}
template <math_int T>
constexpr T extract_bits(T value, uint offset, uint bits) {
  if (bits == 0) return T(0);
  const uint width = uint(sizeof(T)) * 8;
  return T(T(make_unsigned_t<T>(value) << (width - offset - bits)) >> (width - bits));
}
template <math_int T>
constexpr T insert_bits(T base, T insert, uint offset, uint bits) {
  using U = make_unsigned_t<T>;
  const U mask = bits >= sizeof(T) * 8 ? U(~U(0)) : U(((U(1) << bits) - 1) << offset);
  return T((U(base) & U(~mask)) | (U(U(insert) << offset) & mask));
}

template <class T, size_t N>
struct array {
  T d[N];
  constexpr T& operator[](size_t i) { return d[i]; }
  constexpr const T& operator[](size_t i) const { return d[i]; }
  constexpr size_t size() const { return N; }
  constexpr T* data() { return d; }
  constexpr const T* data() const { return d; }
  constexpr T* begin() { return d; }
  constexpr T* end() { return d + N; }
  constexpr const T* begin() const { return d; }
  constexpr const T* end() const { return d + N; }
};

}  // namespace metal

/// The same bits as another type of the same size.
template <class To, class From>
inline To as_type(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "as_type needs types of the same size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
namespace metal {
using ::as_type;
}

constexpr half operator""h(long double x) { return half(x); }
constexpr half operator"" H(long double x) { return half(x); }
constexpr bfloat operator"" bf(long double x) { return bfloat(float(x)); }

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define HUGE_VALF __builtin_huge_valf()
#define MAXFLOAT 3.402823466e+38f
#define FLT_MAX 3.402823466e+38f
#define FLT_MIN 1.175494351e-38f
#define FLT_EPSILON 1.1920928955e-07f
#define HALF_MAX half(65504.0f)
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define LONG_MAX 9223372036854775807l
#define LONG_MIN (-9223372036854775807l - 1)
#define ULONG_MAX 18446744073709551615ul
#define CHAR_BIT 8
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_PI_4_F 0.78539816339744830962f
#define M_1_PI_F 0.31830988618379067154f
#define M_2_PI_F 0.63661977236758134308f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LOG10E_F 0.43429448190325182765f
#define M_LN2_F 0.69314718055994530942f
#define M_LN10_F 2.30258509299404568402f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.70710678118654752440f
