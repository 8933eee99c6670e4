// csrc/kernels/elementwise_unary.inl -- y[i] = f(x[i]), and conversions between dtypes
#pragma once

#include "base/visit_dtype.h"
#include "kernels/elementwise.h"
#include "kernels/elementwise_math.inl"
#include "simd/vector.h"

// y may be x itself: no iteration depends on another, which the compiler's overlap check would not grant.
#if defined(__clang__)
#define NHWC_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define NHWC_INDEPENDENT _Pragma("GCC ivdep")
#endif
#define NHWC_NOINLINE __attribute__((noinline))

namespace nhwc {
namespace {

constexpr int64_t kHalfBlock =
    512;  // half types pass through this many floats at a time: 2 KiB, in L1 with their source

template <class H>
NHWC_INLINE void widen_run(const H* x, float* y, int64_t n) {
  constexpr int64_t step = kLanes<float>;
  int64_t i = 0;
  for (; i + step <= n; i += step) store(y + i, widen(x + i));
  if (i == n) return;
  H tail[step] = {};
  float wide[step];
  __builtin_memcpy(tail, x + i, static_cast<size_t>(n - i) * sizeof(H));
  store(wide, widen(tail));
  __builtin_memcpy(y + i, wide, static_cast<size_t>(n - i) * sizeof(float));
}
template <class H>
NHWC_INLINE void narrow_run(const float* x, H* y, int64_t n) {
  constexpr int64_t step = kLanes<float>;
  int64_t i = 0;
  for (; i + step <= n; i += step) narrow(y + i, load(x + i));
  if (i == n) return;
  H tail[step];
  float wide[step] = {};
  __builtin_memcpy(wide, x + i, static_cast<size_t>(n - i) * sizeof(float));
  narrow(tail, load(wide));
  __builtin_memcpy(y + i, tail, static_cast<size_t>(n - i) * sizeof(H));
}

template <UnaryKind K, class T>
NHWC_INLINE auto unary_real(T x) {
  using enum UnaryKind;
  if constexpr (K == sqrt)
    return math::sqrt(x);
  else if constexpr (K == rsqrt)
    return T(1) / math::sqrt(x);
  else if constexpr (K == reciprocal)
    return T(1) / x;
  else if constexpr (K == exp)
    return math::exp(x);
  else if constexpr (K == expm1)
    return math::expm1(x);
  else if constexpr (K == log)
    return math::log(x);
  else if constexpr (K == log1p)
    return math::log1p(x);
  else if constexpr (K == log2)
    return math::log2(x);
  else if constexpr (K == log10)
    return math::log10(x);
  else if constexpr (K == sin)
    return math::sin(x);
  else if constexpr (K == cos)
    return math::cos(x);
  else if constexpr (K == tan)
    return math::tan(x);
  else if constexpr (K == arcsin)
    return math::arcsin(x);
  else if constexpr (K == arccos)
    return math::arccos(x);
  else if constexpr (K == arctan)
    return math::arctan(x);
  else if constexpr (K == sinh)
    return math::sinh(x);
  else if constexpr (K == cosh)
    return math::cosh(x);
  else if constexpr (K == tanh)
    return math::tanh(x);
  else if constexpr (K == sigmoid)
    return math::sigmoid(x);
  else if constexpr (K == erf)
    return math::erf(x);
  else if constexpr (K == erfinv)
    return math::erfinv(x);
  else if constexpr (K == silu)
    return math::silu(x);
  else if constexpr (K == gelu)
    return math::gelu(x);
  else if constexpr (K == leaky_relu)
    return x < T(0) ? x * T(0.01) : x;
  else if constexpr (K == floor)
    return math::floor(x);
  else if constexpr (K == ceil)
    return math::ceil(x);
  else if constexpr (K == round)
    return math::round(x);
  else if constexpr (K == abs)
    return math::abs(x);
}

/// Kinds that exist for floating types only; ops/ casts the others first.
constexpr bool needs_float(UnaryKind k) {
  return (k >= UnaryKind::sqrt && k <= UnaryKind::erfinv) || k == UnaryKind::leaky_relu || k == UnaryKind::silu ||
         k == UnaryKind::gelu;
}

template <UnaryKind K, class T>
NHWC_INLINE auto unary_one(T x) {
  using enum UnaryKind;
  constexpr bool real = std::is_floating_point_v<T>;
  if constexpr (K == logical_not)
    return x == T(0);
  else if constexpr (K == isnan)
    return x != x;
  else if constexpr (K == isinf)
    return real && math::abs(static_cast<std::conditional_t<real, T, float>>(x)) ==
                       std::conditional_t<real, T, float>(__builtin_inf());
  else if constexpr (K == isfinite)
    return x - x == T(0);
  else if constexpr (K == negative) {
    if constexpr (real)
      return -x;
    else
      return static_cast<T>(std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(x));
  } else if constexpr (K == sign)
    return static_cast<T>((x > T(0)) - (x < T(0)));
  else if constexpr (K == square) {
    if constexpr (real)
      return x * x;
    else
      return static_cast<T>(uint64_t(x) * uint64_t(x));  // unsigned: wraps
  } else if constexpr (K == relu)
    return x < T(0) ? T(0) : x;
  else if constexpr (K == relu6) {
    T y = x < T(0) ? T(0) : x;
    return y > T(6) ? T(6) : y;
  } else if constexpr (K == bitwise_invert) {
    if constexpr (real)
      return x;  // never tabled
    else
      return static_cast<T>(~x);
  } else if constexpr (real)
    return unary_real<K>(x);
  else if constexpr (K == abs)
    return static_cast<T>(x < T(0) ? std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(x)
                                   : static_cast<std::make_unsigned_t<T>>(x));
  else
    return x;  // floor, ceil, round
}

/// sin, cos and tan of what is beyond the vectorised reduction.
template <UnaryKind K>
NHWC_INLINE float trig_far(float x) {
  if constexpr (K == UnaryKind::sin)
    return __builtin_sinf(x);
  else if constexpr (K == UnaryKind::cos)
    return __builtin_cosf(x);
  else
    return __builtin_tanf(x);
}
template <UnaryKind K>
void trig_loop(const void* xv, void* yv, int64_t n) {
  constexpr int64_t kBlock = 512;
  auto x = static_cast<const float*>(xv);
  auto y = static_cast<float*>(yv);
  for (int64_t b = 0; b < n; b += kBlock) {
    const int64_t e = n - b < kBlock ? n : b + kBlock;
    int far = 0;
    for (int64_t i = b; i < e; ++i) far |= math::abs(x[i]) > math::kTrigLimit;
    if (far) {
      for (int64_t i = b; i < e; ++i)
        y[i] = math::abs(x[i]) > math::kTrigLimit ? trig_far<K>(x[i]) : unary_real<K>(x[i]);
    } else {
      NHWC_INDEPENDENT for (int64_t i = b; i < e; ++i) y[i] = unary_real<K>(x[i]);
    }
  }
}

template <UnaryKind K, class T>
void unary_loop(const void* xv, void* yv, int64_t n) {
  using R = decltype(unary_one<K>(T()));
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<R*>(yv);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = unary_one<K>(x[i]);
}

template <UnaryKind K>
constexpr auto float_loop() {
  if constexpr (K == UnaryKind::sin || K == UnaryKind::cos || K == UnaryKind::tan)
    return &trig_loop<K>;
  else
    return &unary_loop<K, float>;
}

/// A float32 kernel on half types, block by block; one body for all kinds, since the conversions dwarf the call.
template <class H, bool GivesBool>
NHWC_NOINLINE void unary_half_with(ElementwiseKernels::Unary kernel, const void* xv, void* yv, int64_t n) {
  float buffer[kHalfBlock];
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t m = n - i < kHalfBlock ? n - i : kHalfBlock;
    widen_run(static_cast<const H*>(xv) + i, buffer, m);
    if constexpr (GivesBool) {
      kernel(buffer, static_cast<bool*>(yv) + i, m);
    } else {
      kernel(buffer, buffer, m);
      narrow_run(buffer, static_cast<H*>(yv) + i, m);
    }
  }
}

template <UnaryKind K, class H>
void unary_half(const void* x, void* y, int64_t n) {
  unary_half_with<H, gives_bool(K)>(float_loop<K>(), x, y, n);
}

/// bool arrays are bytes 0 or 1: most functions leave them.
template <UnaryKind K>
void unary_bool(const void* xv, void* yv, int64_t n) {
  auto x = static_cast<const uint8_t*>(xv);
  auto y = static_cast<uint8_t*>(yv);
  using enum UnaryKind;
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) {
    if constexpr (K == logical_not || K == bitwise_invert)
      y[i] = x[i] ^ 1;
    else if constexpr (K == isnan || K == isinf)
      y[i] = 0;
    else if constexpr (K == isfinite)
      y[i] = 1;
    else
      y[i] = x[i];
  }
}

constexpr int index(Dtype t) { return static_cast<int>(t); }

/// The stronger sets fill in floats only; table.cpp takes the rest from the baseline.
constexpr bool kEveryDtype = kIsa == Isa::baseline;

template <UnaryKind K>
void fill_unary(ElementwiseKernels& k) {
  auto& row = k.unary[static_cast<int>(K)];
  if constexpr (kEveryDtype && !needs_float(K)) {
    row[index(Dtype::bool_)] = &unary_bool<K>;
    row[index(Dtype::uint8)] = &unary_loop<K, uint8_t>;
    row[index(Dtype::uint16)] = &unary_loop<K, uint16_t>;
    row[index(Dtype::uint32)] = &unary_loop<K, uint32_t>;
    row[index(Dtype::uint64)] = &unary_loop<K, uint64_t>;
    row[index(Dtype::int8)] = &unary_loop<K, int8_t>;
    row[index(Dtype::int16)] = &unary_loop<K, int16_t>;
    row[index(Dtype::int32)] = &unary_loop<K, int32_t>;
    row[index(Dtype::int64)] = &unary_loop<K, int64_t>;
  }
  if constexpr (K != UnaryKind::bitwise_invert) {
    row[index(Dtype::float16)] = &unary_half<K, Float16>;
    row[index(Dtype::bfloat16)] = &unary_half<K, BFloat16>;
    row[index(Dtype::float32)] = float_loop<K>();
    row[index(Dtype::float64)] = &unary_loop<K, double>;
  }
}

/// As convert() of visit_dtype.h, in steps that vectorise: integers up to 32 bits by way of int32, which wraps to the
/// narrower ones; a float outside the range gives some value.
template <class To, class From>
NHWC_INLINE To cast_one(From x) {
  if constexpr (std::is_same_v<To, bool>)
    return x != From(0);
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if constexpr (sizeof(To) < 4 || std::is_same_v<To, int32_t>)
      return static_cast<To>(static_cast<int32_t>(x));
    else if constexpr (std::is_same_v<To, uint64_t>)
      return x >= From(0x1p63) ? static_cast<uint64_t>(static_cast<int64_t>(x - From(0x1p63))) + (uint64_t(1) << 63)
                               : static_cast<uint64_t>(static_cast<int64_t>(x));
    else
      return static_cast<To>(static_cast<int64_t>(x));
  } else
    return static_cast<To>(x);
}

template <class To, class From>
void cast_loop(const void* xv, void* yv, int64_t n) {
  auto x = static_cast<const From*>(xv);
  auto y = static_cast<To*>(yv);
  NHWC_INDEPENDENT for (int64_t i = 0; i < n; ++i) y[i] = cast_one<To>(x[i]);
}

/// To and from half types by way of float32; `kernel` converts between that and the other type.
template <class H>
NHWC_NOINLINE void cast_from_half(ElementwiseKernels::Unary kernel, size_t size, const void* xv, void* yv, int64_t n) {
  float buffer[kHalfBlock];
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t m = n - i < kHalfBlock ? n - i : kHalfBlock;
    widen_run(static_cast<const H*>(xv) + i, buffer, m);
    kernel(buffer, static_cast<char*>(yv) + static_cast<size_t>(i) * size, m);
  }
}
template <class H>
NHWC_NOINLINE void cast_to_half(ElementwiseKernels::Unary kernel, size_t size, const void* xv, void* yv, int64_t n) {
  float buffer[kHalfBlock];
  for (int64_t i = 0; i < n; i += kHalfBlock) {
    const int64_t m = n - i < kHalfBlock ? n - i : kHalfBlock;
    kernel(static_cast<const char*>(xv) + static_cast<size_t>(i) * size, buffer, m);
    narrow_run(buffer, static_cast<H*>(yv) + i, m);
  }
}
template <class H>
void widen_half(const void* x, void* y, int64_t n) {
  widen_run(static_cast<const H*>(x), static_cast<float*>(y), n);
}
template <class H>
void narrow_half(const void* x, void* y, int64_t n) {
  narrow_run(static_cast<const float*>(x), static_cast<H*>(y), n);
}
template <class To, class From>
void cast_half(const void* x, void* y, int64_t n) {
  if constexpr (is_half_v<From> && is_half_v<To>)
    cast_from_half<From>(&narrow_half<To>, sizeof(To), x, y, n);
  else if constexpr (is_half_v<From>)
    cast_from_half<From>(&cast_loop<To, float>, sizeof(To), x, y, n);
  else
    cast_to_half<To>(&cast_loop<float, From>, sizeof(From), x, y, n);
}

/// Bytes are only moved: the same for every type of that size.
template <class T>
void copy_loop(const void* x, void* y, int64_t n) {
  __builtin_memmove(y, x, static_cast<size_t>(n) * sizeof(T));
}

template <class From, class To>
constexpr ElementwiseKernels::Unary cast_kernel() {
  if constexpr (std::is_same_v<From, To>)
    return &copy_loop<From>;
  else if constexpr (is_half_v<From> && std::is_same_v<To, float>)
    return &widen_half<From>;
  else if constexpr (is_half_v<To> && std::is_same_v<From, float>)
    return &narrow_half<To>;
  else if constexpr (is_half_v<From> || is_half_v<To>)
    return &cast_half<To, From>;
  else if constexpr (std::is_integral_v<From> && std::is_integral_v<To> && !std::is_same_v<From, bool> &&
                     !std::is_same_v<To, bool>) {
    if constexpr (sizeof(To) == sizeof(From))
      return &copy_loop<From>;
    else if constexpr (sizeof(To) < sizeof(From))
      return &cast_loop<std::make_unsigned_t<To>, std::make_unsigned_t<From>>;
    else
      return &cast_loop<std::make_unsigned_t<To>, From>;
  } else
    return &cast_loop<To, From>;
}

template <class From>
void fill_cast(ElementwiseKernels& k, Dtype from) {
  auto& row = k.cast[index(from)];
  row[index(Dtype::bool_)] = cast_kernel<From, bool>();
  row[index(Dtype::uint8)] = cast_kernel<From, uint8_t>();
  row[index(Dtype::uint16)] = cast_kernel<From, uint16_t>();
  row[index(Dtype::uint32)] = cast_kernel<From, uint32_t>();
  row[index(Dtype::uint64)] = cast_kernel<From, uint64_t>();
  row[index(Dtype::int8)] = cast_kernel<From, int8_t>();
  row[index(Dtype::int16)] = cast_kernel<From, int16_t>();
  row[index(Dtype::int32)] = cast_kernel<From, int32_t>();
  row[index(Dtype::int64)] = cast_kernel<From, int64_t>();
  row[index(Dtype::float16)] = cast_kernel<From, Float16>();
  row[index(Dtype::bfloat16)] = cast_kernel<From, BFloat16>();
  row[index(Dtype::float32)] = cast_kernel<From, float>();
  row[index(Dtype::float64)] = cast_kernel<From, double>();
}

}  // namespace
}  // namespace nhwc
