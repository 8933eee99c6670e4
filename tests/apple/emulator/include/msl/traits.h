// tests/apple/emulator/include/msl/traits.h -- MSL's basic types, type traits and numeric limits, without a C++ library
#pragma once

#include "bfloat.h"

using half = _Float16;
using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned int;
using ulong = unsigned long;
using size_t = __SIZE_TYPE__;
using ptrdiff_t = __PTRDIFF_TYPE__;
using uintptr_t = __UINTPTR_TYPE__;
using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long;

namespace metal {

using ::bfloat;
using ::half;
using ::ptrdiff_t;
using ::size_t;
using ::uchar;
using ::uint;
using ::ulong;
using ::ushort;

template <class T, T V>
struct integral_constant {
  static constexpr T value = V;
  using value_type = T;
  using type = integral_constant;
  constexpr operator T() const { return V; }
  constexpr T operator()() const { return V; }
};
template <bool B>
using bool_constant = integral_constant<bool, B>;
using true_type = bool_constant<true>;
using false_type = bool_constant<false>;

template <bool B, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
  using type = T;
};
template <bool B, class T = void>
using enable_if_t = typename enable_if<B, T>::type;

template <bool B, class T, class F>
struct conditional {
  using type = T;
};
template <class T, class F>
struct conditional<false, T, F> {
  using type = F;
};
template <bool B, class T, class F>
using conditional_t = typename conditional<B, T, F>::type;

template <class T>
struct type_identity {
  using type = T;
};

template <class T>
using remove_reference_t = __remove_reference_t(T);
template <class T>
using remove_cv_t = __remove_cv(T);
template <class T>
using remove_pointer_t = __remove_pointer(T);
template <class T>
using make_unsigned_t = __make_unsigned(T);
template <class T>
using make_signed_t = __make_signed(T);
#define MSL_TRANSFORM(name)   \
  template <class T>          \
  struct name {               \
    using type = name##_t<T>; \
  };
MSL_TRANSFORM(remove_reference)
MSL_TRANSFORM(remove_cv)
MSL_TRANSFORM(remove_pointer)
MSL_TRANSFORM(make_unsigned)
MSL_TRANSFORM(make_signed)
#undef MSL_TRANSFORM
template <class T>
using remove_addrspace_t = T;  // address spaces are gone when this is read: strict.py looks at them
template <class T>
struct remove_addrspace {
  using type = T;
};
template <class T>
using decay_t = __decay(T);

template <class A, class B>
struct is_same : bool_constant<__is_same(A, B)> {};
template <class A, class B>
inline constexpr bool is_same_v = __is_same(A, B);
template <class A, class B>
struct is_convertible : bool_constant<__is_convertible(A, B)> {};
template <class A, class B>
inline constexpr bool is_convertible_v = __is_convertible(A, B);
template <class T, class... A>
struct is_constructible : bool_constant<__is_constructible(T, A...)> {};
template <class T, class... A>
inline constexpr bool is_constructible_v = __is_constructible(T, A...);

template <class T>
inline constexpr bool is_half_like = is_same_v<remove_cv_t<T>, half> || is_same_v<remove_cv_t<T>, bfloat>;
template <class T>
inline constexpr bool is_integral_v = __is_integral(T);
template <class T>
inline constexpr bool is_floating_point_v = is_same_v<remove_cv_t<T>, float> || is_half_like<T>;
template <class T>
inline constexpr bool is_arithmetic_v = is_integral_v<T> || is_floating_point_v<T>;
template <class T>
inline constexpr bool is_signed_v = is_floating_point_v<T> || (is_integral_v<T> && __is_signed(T));
template <class T>
inline constexpr bool is_unsigned_v = is_integral_v<T> && __is_unsigned(T);
template <class T>
inline constexpr bool is_pointer_v = __is_pointer(T);
template <class T>
inline constexpr bool is_reference_v = __is_reference(T);
template <class T>
inline constexpr bool is_void_v = __is_void(T);
template <class T>
inline constexpr bool is_enum_v = __is_enum(T);
template <class T>
inline constexpr bool is_class_v = __is_class(T);
template <class T>
inline constexpr bool is_const_v = __is_const(T);
template <class T>
inline constexpr bool is_scalar_v = is_arithmetic_v<T> || is_pointer_v<T> || is_enum_v<T>;
#define MSL_TRAIT(name) \
  template <class T>    \
  struct name : bool_constant<name##_v<T>> {};
MSL_TRAIT(is_integral)
MSL_TRAIT(is_floating_point)
MSL_TRAIT(is_arithmetic)
MSL_TRAIT(is_signed)
MSL_TRAIT(is_unsigned)
MSL_TRAIT(is_pointer)
MSL_TRAIT(is_reference)
MSL_TRAIT(is_void)
MSL_TRAIT(is_enum)
MSL_TRAIT(is_class)
MSL_TRAIT(is_const)
MSL_TRAIT(is_scalar)
#undef MSL_TRAIT

template <class... B>
struct _disjunction : bool_constant<(B::value || ...)> {};
template <class... B>
struct _conjunction : bool_constant<(B::value && ...)> {};
template <class... B>
using disjunction = _disjunction<B...>;
template <class... B>
using conjunction = _conjunction<B...>;
template <class B>
struct negation : bool_constant<!B::value> {};

template <class T>
T&& declval() noexcept;
template <class T>
constexpr remove_reference_t<T>&& move(T&& t) {
  return static_cast<remove_reference_t<T>&&>(t);
}
template <class T>
constexpr T&& forward(remove_reference_t<T>& t) {
  return static_cast<T&&>(t);
}
template <class T>
constexpr void swap(T& a, T& b) {
  T c = a;
  a = b;
  b = c;
}

template <class T>
struct numeric_limits {
  static constexpr bool is_specialized = false;
};
template <class T>
  requires is_integral_v<T>
struct numeric_limits<T> {
  static constexpr bool is_specialized = true, is_integer = true, is_signed = is_signed_v<T>, is_exact = true;
  static constexpr bool has_infinity = false, has_quiet_NaN = false;
  static constexpr int digits = int(sizeof(T)) * 8 - is_signed;
  static constexpr T max() { return T(is_signed ? (1ul << (digits - 1)) - 1 + (1ul << (digits - 1)) : ~0ul); }
  static constexpr T min() { return is_signed ? T(T(-1) - max()) : T(0); }
  static constexpr T lowest() { return min(); }
  static constexpr T infinity() { return T(0); }
};
template <>
struct numeric_limits<bool> {
  static constexpr bool is_specialized = true, is_integer = true, is_signed = false;
  static constexpr int digits = 1;
  static constexpr bool max() { return true; }
  static constexpr bool min() { return false; }
  static constexpr bool lowest() { return false; }
};

// The smallest and largest numbers of a format, and its epsilon, from the bits of the exponent and the mantissa.
#define MSL_FLOAT_LIMITS(T, Bits, mantissa, largest, smallest, inf, nan)                                    \
  template <>                                                                                               \
  struct numeric_limits<T> {                                                                                \
    static constexpr bool is_specialized = true, is_integer = false, is_signed = true, has_infinity = true; \
    static constexpr bool has_quiet_NaN = true, is_iec559 = true;                                           \
    static constexpr int digits = mantissa + 1;                                                             \
    static constexpr T max() { return __builtin_bit_cast(T, Bits(largest)); }                               \
    static constexpr T lowest() { return -max(); }                                                          \
    static constexpr T min() { return __builtin_bit_cast(T, Bits(smallest)); }                              \
    static constexpr T infinity() { return __builtin_bit_cast(T, Bits(inf)); }                              \
    static constexpr T quiet_NaN() { return __builtin_bit_cast(T, Bits(nan)); }                             \
    static constexpr T signaling_NaN() { return quiet_NaN(); }                                              \
    static constexpr T epsilon() { return T(1.0f / float(1 << mantissa)); }                                 \
    static constexpr T denorm_min() { return __builtin_bit_cast(T, Bits(1)); }                              \
  };
MSL_FLOAT_LIMITS(float, uint, 23, 0x7f7fffffu, 0x00800000u, 0x7f800000u, 0x7fc00000u)
MSL_FLOAT_LIMITS(half, ushort, 10, 0x7bffu, 0x0400u, 0x7c00u, 0x7e00u)
MSL_FLOAT_LIMITS(bfloat, ushort, 7, 0x7f7fu, 0x0080u, 0x7f80u, 0x7fc0u)
#undef MSL_FLOAT_LIMITS

}  // namespace metal
