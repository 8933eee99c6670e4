// tests/apple/emulator/include/strict/traits.h -- MSL's type traits and limits, declared for strict.py
#pragma once

namespace metal {
template <class T, T V>
struct integral_constant {
  static constexpr constant T value = V;
};
template <bool B, class T = void>
struct enable_if {};
template <class T>
struct enable_if<true, T> {
  typedef T type;
};
template <bool B, class T = void>
using enable_if_t = typename enable_if<B, T>::type;
template <bool B, class T, class F>
struct conditional {
  typedef T type;
};
template <class T, class F>
struct conditional<false, T, F> {
  typedef F type;
};
template <bool B, class T, class F>
using conditional_t = typename conditional<B, T, F>::type;
template <class A, class B>
constexpr constant bool is_same_v = __is_same(A, B);
template <class A, class B>
struct is_same : integral_constant<bool, __is_same(A, B)> {};
template <class T>
constexpr constant bool is_integral_v = __is_integral(T);
template <class T>
constexpr constant bool is_floating_point_v = __is_same(T, float) || __is_same(T, half) || __is_same(T, bfloat);
template <class T>
constexpr constant bool is_arithmetic_v = is_integral_v<T> || is_floating_point_v<T>;
template <class T>
constexpr constant bool is_signed_v = is_floating_point_v<T> || T(-1) < T(0);
template <class T>
constexpr constant bool is_unsigned_v = is_integral_v<T> && !(T(-1) < T(0));
template <class T>
struct is_integral : integral_constant<bool, is_integral_v<T>> {};
template <class T>
struct is_floating_point : integral_constant<bool, is_floating_point_v<T>> {};
template <class T>
using make_unsigned_t = __make_unsigned(T);
template <class T>
using make_signed_t = __make_signed(T);
template <class T>
struct numeric_limits {
  static constexpr T max();
  static constexpr T min();
  static constexpr T lowest();
  static constexpr T infinity();
  static constexpr T quiet_NaN();
  static constexpr T epsilon();
};
}  // namespace metal
