// csrc/kernels/elementwise_binary.inl -- y[i] = f(a[i], b[i]) and y[i] = c[i] ? a[i] : b[i]
#pragma once

#include "kernels/elementwise_unary.inl"

namespace nhwc {
namespace {

/// A NaN on either side stays.
template <class T>
NHWC_INLINE T max_of(T a, T b) {
  return a != a ? a : (a > b ? a : b);
}
template <class T>
NHWC_INLINE T min_of(T a, T b) {
  return a != a ? a : (a < b ? a : b);
}

/// log(exp(a) + exp(b)); equal infinities give themselves.
template <class T>
NHWC_INLINE T log_add_exp(T a, T b) {
  T hi = a > b ? a : b, lo = a > b ? b : a;
  T y = hi + math::log1p(math::exp(lo - hi));
  y = math::abs(hi) == T(__builtin_inf()) ? hi : y;
  return a != a ? a : (b != b ? b : y);
}

template <BinaryKind K, class T>
NHWC_INLINE T binary_real(T a, T b) {
  using enum BinaryKind;
  constexpr bool f32 = std::is_same_v<T, float>;
  if constexpr (K == add)
    return a + b;
  else if constexpr (K == subtract)
    return a - b;
  else if constexpr (K == multiply)
    return a * b;
  else if constexpr (K == divide)
    return a / b;
  else if constexpr (K == floor_divide)
    return math::floor(a / b);
  else if constexpr (K == remainder) {
    T r;
    if constexpr (f32)
      r = __builtin_fmodf(a, b);
    else
      r = __builtin_fmod(a, b);
    return r != T(0) && (r < T(0)) != (b < T(0)) ? r + b : r;
  } else if constexpr (K == power) {
    if constexpr (f32)
      return __builtin_powf(a, b);
    else
      return __builtin_pow(a, b);
  } else if constexpr (K == arctan2) {
    if constexpr (f32)
      return __builtin_atan2f(a, b);
    else
      return __builtin_atan2(a, b);
  } else
    return log_add_exp(a, b);
}

/// Wraps around; a division by zero gives 0; a quotient is rounded down and a remainder has the divisor's sign.
template <BinaryKind K, class T>
NHWC_INLINE T binary_integer(T a, T b) {
  using enum BinaryKind;
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (K == add)
    return static_cast<T>(uint64_t(a) + uint64_t(b));
  else if constexpr (K == subtract)
    return static_cast<T>(uint64_t(a) - uint64_t(b));
  else if constexpr (K == multiply)
    return static_cast<T>(uint64_t(a) * uint64_t(b));
  else if constexpr (K == floor_divide) {
    if (b == T(0)) return T(0);
    if constexpr (is_signed) {
      if (b == T(-1)) return static_cast<T>(-uint64_t(a));  // the least integer has no quotient: wraps
      T q = static_cast<T>(a / b), r = static_cast<T>(a % b);
      return static_cast<T>(q - (r != 0 && (r < 0) != (b < 0)));
    } else
      return static_cast<T>(a / b);
  } else if constexpr (K == remainder) {
    if (b == T(0)) return T(0);
    if constexpr (is_signed) {
      if (b == T(-1)) return T(0);
      T r = static_cast<T>(a % b);
      return static_cast<T>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
    } else
      return static_cast<T>(a % b);
  } else if constexpr (K == power) {  // negative exponents give 0, as in MLX
    if constexpr (is_signed)
      if (b < T(0)) return T(0);
    uint64_t result = 1, base = uint64_t(a);
    for (auto e = static_cast<std::make_unsigned_t<T>>(b); e != 0; e = static_cast<std::make_unsigned_t<T>>(e >> 1)) {
      if (e & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  } else if constexpr (K == bitwise_and)
    return static_cast<T>(a & b);
  else if constexpr (K == bitwise_or)
    return static_cast<T>(a | b);
  else
    return static_cast<T>(a ^ b);
}

template <BinaryKind K, class T>
NHWC_INLINE auto binary_one(T a, T b) {
  using enum BinaryKind;
  if constexpr (K == equal)
    return a == b;
  else if constexpr (K == not_equal)
    return a != b;
  else if constexpr (K == less)
    return a < b;
  else if constexpr (K == less_equal)
    return a <= b;
  else if constexpr (K == greater)
    return a > b;
  else if constexpr (K == greater_equal)
    return a >= b;
  else if constexpr (K == logical_and)
    return static_cast<bool>((a != T(0)) & (b != T(0)));
  else if constexpr (K == logical_or)
    return static_cast<bool>((a != T(0)) | (b != T(0)));
  else if constexpr (K == maximum)
    return max_of(a, b);
  else if constexpr (K == minimum)
    return min_of(a, b);
  else if constexpr (std::is_floating_point_v<T>)
    return binary_real<K>(a, b);
  else
    return binary_integer<K>(a, b);
}

template <BinaryKind K, class T>
void binary_loop(const void* av, const void* bv, void* yv, int64_t n) {
  auto a = static_cast<const T*>(av), b = static_cast<const T*>(bv);
  auto y = static_cast<decltype(binary_one<K>(T(), T()))*>(yv);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = binary_one<K>(a[i], b[i]);
}
template <BinaryKind K>
void scalar_left_loop(const void* av, const void* bv, void* yv, int64_t n) {
  const float a = *static_cast<const float*>(av);
  auto b = static_cast<const float*>(bv);
  auto y = static_cast<decltype(binary_one<K>(a, a))*>(yv);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = binary_one<K>(a, b[i]);
}
template <BinaryKind K>
void scalar_right_loop(const void* av, const void* bv, void* yv, int64_t n) {
  const float b = *static_cast<const float*>(bv);
  auto a = static_cast<const float*>(av);
  auto y = static_cast<decltype(binary_one<K>(b, b))*>(yv);
  if constexpr (K == BinaryKind::power) {
    if (b == 2.0f) {  // exactly what pow gives, vectorised
      NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = a[i] * a[i];
      return;
    }
  }
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = binary_one<K>(a[i], b);
}

/// As unary_half_with.
template <class H, bool GivesBool>
NHWC_NOINLINE void binary_half_with(ElementwiseKernels::Binary kernel, const void* av, const void* bv, void* yv,
                                    int64_t n) {
  float a[kHalfBlock], b[kHalfBlock];
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t m = n - i < kHalfBlock ? n - i : kHalfBlock;
    widen_run(static_cast<const H*>(av) + i, a, m);
    widen_run(static_cast<const H*>(bv) + i, b, m);
    if constexpr (GivesBool) {
      kernel(a, b, static_cast<bool*>(yv) + i, m);
    } else {
      kernel(a, b, a, m);
      narrow_run(a, static_cast<H*>(yv) + i, m);
    }
  }
}

template <BinaryKind K, class H>
void binary_half(const void* a, const void* b, void* y, int64_t n) {
  binary_half_with<H, gives_bool(K)>(&binary_loop<K, float>, a, b, y, n);
}

/// Bytes 0 or 1, with the arithmetic that MLX gives booleans: or, exclusive or, and.
template <BinaryKind K>
void binary_bool(const void* av, const void* bv, void* yv, int64_t n) {
  using enum BinaryKind;
  auto a = static_cast<const uint8_t*>(av), b = static_cast<const uint8_t*>(bv);
  auto y = static_cast<uint8_t*>(yv);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const uint8_t p = a[i], q = b[i];
    if constexpr (K == add || K == maximum || K == logical_or || K == bitwise_or)
      y[i] = p | q;
    else if constexpr (K == subtract || K == not_equal || K == bitwise_xor)
      y[i] = p ^ q;
    else if constexpr (K == equal)
      y[i] = p ^ q ^ 1;
    else if constexpr (K == less)
      y[i] = (p ^ 1) & q;
    else if constexpr (K == less_equal)
      y[i] = (p ^ 1) | q;
    else if constexpr (K == greater || K == remainder)
      y[i] = p & (q ^ 1);
    else if constexpr (K == greater_equal || K == power)
      y[i] = p | (q ^ 1);
    else
      y[i] = p & q;
  }
}

constexpr bool is_bitwise(BinaryKind k) { return k >= BinaryKind::bitwise_and && k <= BinaryKind::bitwise_xor; }
/// Kinds that exist for floating types only.
constexpr bool needs_float(BinaryKind k) {
  return k == BinaryKind::divide || k == BinaryKind::logaddexp || k == BinaryKind::arctan2;
}
/// Bits decide, not their meaning: one kernel serves the signed and the unsigned type.
constexpr bool ignores_sign(BinaryKind k) {
  using enum BinaryKind;
  return k == add || k == subtract || k == multiply || k == equal || k == not_equal || k == logical_and ||
         k == logical_or || is_bitwise(k);
}

template <BinaryKind K, class Signed, class Unsigned>
void fill_integers(ElementwiseKernels& k, Dtype s, Dtype u) {
  auto& row = k.binary[static_cast<int>(K)];
  row[index(u)] = &binary_loop<K, Unsigned>;
  if constexpr (ignores_sign(K))
    row[index(s)] = row[index(u)];
  else
    row[index(s)] = &binary_loop<K, Signed>;
}

template <BinaryKind K>
void fill_binary(ElementwiseKernels& k) {
  auto& row = k.binary[static_cast<int>(K)];
  if constexpr (kEveryDtype && !needs_float(K)) {
    row[index(Dtype::bool_)] = &binary_bool<K>;
    fill_integers<K, int8_t, uint8_t>(k, Dtype::int8, Dtype::uint8);
    fill_integers<K, int16_t, uint16_t>(k, Dtype::int16, Dtype::uint16);
    fill_integers<K, int32_t, uint32_t>(k, Dtype::int32, Dtype::uint32);
    fill_integers<K, int64_t, uint64_t>(k, Dtype::int64, Dtype::uint64);
  }
  if constexpr (!is_bitwise(K)) {
    row[index(Dtype::float16)] = &binary_half<K, Float16>;
    row[index(Dtype::bfloat16)] = &binary_half<K, BFloat16>;
    row[index(Dtype::float32)] = &binary_loop<K, float>;
    row[index(Dtype::float64)] = &binary_loop<K, double>;
    k.scalar_left[static_cast<int>(K)][index(Dtype::float32)] = &scalar_left_loop<K>;
    k.scalar_right[static_cast<int>(K)][index(Dtype::float32)] = &scalar_right_loop<K>;
  }
}

template <class T>
void select_loop(const void* cv, const void* av, const void* bv, void* yv, int64_t n) {
  auto c = static_cast<const uint8_t*>(cv);
  auto a = static_cast<const T*>(av), b = static_cast<const T*>(bv);
  auto y = static_cast<T*>(yv);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    const T p = a[i], q = b[i];  // both are read: a blend, not a branch
    y[i] = c[i] ? p : q;
  }
}

}  // namespace
}  // namespace nhwc
