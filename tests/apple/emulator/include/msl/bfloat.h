// tests/apple/emulator/include/msl/bfloat.h -- MSL's bfloat, with the conversions that MSL allows and no others
#pragma once

// The compiler's own __bf16 converts from float without being asked, and not at all to half; Metal's does the opposite.

struct bfloat {
  __bf16 held;

  bfloat() = default;
  template <class T>
    requires(__is_integral(T) || __is_floating_point(T))
  explicit constexpr bfloat(T x) : held(static_cast<__bf16>(static_cast<float>(x))) {}

  /// To a wider type without a word, to any other by a cast.
  template <class T>
    requires __is_same
  (T, float) constexpr operator T() const {
    return static_cast<float>(held);
  }
  template <class T>
    requires(!__is_same(T, float) && (__is_integral(T) || __is_floating_point(T)))
  explicit constexpr operator T() const {
    return static_cast<T>(static_cast<float>(held));
  }
  constexpr bfloat operator-() const { return bfloat(-float(held)); }
  constexpr bfloat operator+() const { return *this; }
  constexpr bool operator!() const { return float(held) == 0; }
  constexpr bfloat& operator++() { return *this = bfloat(float(held) + 1); }
  constexpr bfloat operator++(int) {
    const bfloat before = *this;
    ++*this;
    return before;
  }
};

namespace msl {
template <class T>
inline constexpr bool is_number = __is_integral(T) || __is_floating_point(T);
template <class T>
struct with_bfloat {
  using type = bfloat;  // of an operation with an integer
};
template <>
struct with_bfloat<float> {
  using type = float;
};
template <>
struct with_bfloat<_Float16> {
  using type = float;
};
}  // namespace msl

#define MSL_BFLOAT_OPERATOR(op)                                                             \
  constexpr bfloat operator op(bfloat a, bfloat b) { return bfloat(float(a) op float(b)); } \
  template <class T>                                                                        \
    requires msl::is_number<T>                                                              \
  constexpr auto operator op(bfloat a, T b) {                                               \
    return typename msl::with_bfloat<T>::type(float(a) op float(b));                        \
  }                                                                                         \
  template <class T>                                                                        \
    requires msl::is_number<T>                                                              \
  constexpr auto operator op(T a, bfloat b) {                                               \
    return typename msl::with_bfloat<T>::type(float(a) op float(b));                        \
  }                                                                                         \
  template <class T>                                                                        \
    requires(msl::is_number<T> || __is_same(T, bfloat))                                     \
  constexpr bfloat& operator op## = (bfloat & a, T b) {                                     \
    return a = bfloat(float(a) op float(b));                                                \
  }                                                                                         \
  template <class T>                                                                        \
    requires msl::is_number<T>                                                              \
  constexpr T& operator op## = (T & a, bfloat b) {                                          \
    return a = T(float(a) op float(b));                                                     \
  }
MSL_BFLOAT_OPERATOR(+)
MSL_BFLOAT_OPERATOR(-)
MSL_BFLOAT_OPERATOR(*)
MSL_BFLOAT_OPERATOR(/)
#undef MSL_BFLOAT_OPERATOR

#define MSL_BFLOAT_COMPARISON(op)                                                 \
  constexpr bool operator op(bfloat a, bfloat b) { return float(a) op float(b); } \
  template <class T>                                                              \
    requires msl::is_number<T>                                                    \
  constexpr bool operator op(bfloat a, T b) {                                     \
    return float(a) op float(b);                                                  \
  }                                                                               \
  template <class T>                                                              \
    requires msl::is_number<T>                                                    \
  constexpr bool operator op(T a, bfloat b) {                                     \
    return float(a) op float(b);                                                  \
  }
MSL_BFLOAT_COMPARISON(<)
MSL_BFLOAT_COMPARISON(>)
MSL_BFLOAT_COMPARISON(<=)
MSL_BFLOAT_COMPARISON(>=)
MSL_BFLOAT_COMPARISON(==)
MSL_BFLOAT_COMPARISON(!=)
#undef MSL_BFLOAT_COMPARISON
