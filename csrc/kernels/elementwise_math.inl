// csrc/kernels/elementwise_math.inl -- functions of float32 that the compiler can vectorise: no branches, no tables, no
// calls Every function is meant for a loop over contiguous floats. Both sides of a condition are computed and one is
// chosen; errors are in units in the last place, measured over all of float32 against double
// (tests/backend/test_math.cpp). The double overloads are libm's. Polynomials: Cephes (exp, sin, cos, tanh), SLEEF
// (atan, asin), N. Juffa (log, erf, erfinv).
#pragma once

#include <cstdint>

#include "simd/vector.h"

namespace nhwc {
namespace {
namespace math {

constexpr float kInf = __builtin_inff();
constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which its low bits then hold
constexpr double kRoundDouble = 0x1.8p52;

NHWC_INLINE uint32_t bits(float x) { return __builtin_bit_cast(uint32_t, x); }
NHWC_INLINE float from_bits(uint32_t b) { return __builtin_bit_cast(float, b); }
NHWC_INLINE float abs(float x) { return from_bits(bits(x) & 0x7fffffffu); }
NHWC_INLINE double abs(double x) { return __builtin_fabs(x); }
NHWC_INLINE float copysign(float x, float s) { return from_bits((bits(x) & 0x7fffffffu) | (bits(s) & 0x80000000u)); }
NHWC_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }
NHWC_INLINE double sqrt(double x) { return __builtin_sqrt(x); }
/// 2^n for n in [-126, 127].
NHWC_INLINE float power_of_two(int32_t n) { return from_bits(static_cast<uint32_t>(n + 127) << 23); }

/// Half to even. Written out because the baseline has no rounding instruction; 2^23 and above are integers already.
NHWC_INLINE float round(float x) {
  float a = abs(x), r = (a + 0x1p23f) - 0x1p23f;
  return a < 0x1p23f ? copysign(r, x) : x;
}
NHWC_INLINE float floor(float x) {
  float r = round(x);
  return copysign(r > x ? r - 1.0f : r, x);
}
NHWC_INLINE float ceil(float x) {
  float r = round(x);
  return copysign(r < x ? r + 1.0f : r, x);
}
NHWC_INLINE double round(double x) { return __builtin_rint(x); }
NHWC_INLINE double floor(double x) { return __builtin_floor(x); }
NHWC_INLINE double ceil(double x) { return __builtin_ceil(x); }

/// x = n * log(2) + r with |r| <= log(2) / 2; x inside +-105 so that n is small.
struct ExpParts {
  int32_t n;
  float r;
};
NHWC_INLINE ExpParts split_exp(float x) {
  float t = x * 1.44269504088896341f + kRound;
  float n = t - kRound;
  float r = x - n * 0.693359375f;  // exact: the constant has 10 bits
  r = r + n * 2.12194440e-4f;
  return {static_cast<int32_t>(bits(t) - bits(kRound)), r};
}
/// (exp(r) - 1 - r) / r^2.
NHWC_INLINE float exp_tail(float r) {
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  return p * r + 5.0000001201e-1f;
}
NHWC_INLINE float clamp_keep_nan(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

/// 1 ulp. The power of two is applied in two steps, so that subnormal results are rounded once.
NHWC_INLINE float exp(float x) {
  ExpParts s = split_exp(clamp_keep_nan(x, -105.0f, 90.0f));
  float y = exp_tail(s.r) * (s.r * s.r) + s.r + 1.0f;
  int32_t half = s.n >> 1;
  return y * power_of_two(half) * power_of_two(s.n - half);
}

/// 2 ulp.
NHWC_INLINE float expm1(float x) {
  ExpParts s = split_exp(clamp_keep_nan(x, -25.0f, 89.0f));
  float p = exp_tail(s.r) * (s.r * s.r) + s.r;
  float half = power_of_two(s.n - 1);  // half the scale: it exists for n = 128 too
  float y = 2.0f * (p * half + (half - 0.5f));
  return x == 0.0f ? x : y;
}

/// log(m * 2^e) for m = 1 + f in [2/3, 4/3): e and f of a positive normal x.
NHWC_INLINE float log_of(float f, float e) {
  float s = f * f;
  float r = -0.130310059f, t = 0.140869141f;
  r = r * s - 0.121483512f;
  t = t * s + 0.139814854f;
  r = r * s - 0.166846126f;
  t = t * s + 0.200120345f;
  r = r * s - 0.249996200f;
  r = t * f + r;
  r = r * f + 0.333331972f;
  r = r * f - 0.5f;
  r = r * s + e * -2.12194440e-4f;
  return r + f + e * 0.693359375f;
}
struct LogParts {
  float f, e;
};
NHWC_INLINE LogParts split_log(float x) {
  bool tiny = x < 0x1p-126f;
  float scaled = tiny ? x * 0x1p23f : x;
  uint32_t e = (bits(scaled) - bits(0.666666667f)) & 0xff800000u;
  float f = from_bits(bits(scaled) - e) - 1.0f;
  return {f, static_cast<float>(static_cast<int32_t>(e)) * 0x1p-23f - (tiny ? 23.0f : 0.0f)};
}
/// What no formula gives: log(0) = -inf, log(inf) = inf, log(negative) = NaN.
NHWC_INLINE float log_edges(float x, float y) {
  y = x == kInf ? kInf : y;
  y = x == 0.0f ? -kInf : y;
  return x >= 0.0f ? y : __builtin_nanf("");
}
/// 1 ulp.
NHWC_INLINE float log(float x) {
  LogParts s = split_log(x);
  return log_edges(x, log_of(s.f, s.e));
}
/// 2 ulp: the exponent is added unscaled, so whole powers of two are exact.
NHWC_INLINE float log2(float x) {
  LogParts s = split_log(x);
  float l = log_of(s.f, 0.0f);
  return log_edges(x, l * 1.44269504f + (l * 1.92596299e-8f + s.e));
}
/// 2 ulp.
NHWC_INLINE float log10(float x) {
  LogParts s = split_log(x);
  float y = log_of(s.f, 0.0f) * 0.434294482f + s.e * 2.48745664e-4f;
  return log_edges(x, s.e * 0.30078125f + y);
}
/// 2 ulp: log(u) with u = 1 + x rounded, corrected by what the rounding lost.
NHWC_INLINE float log1p(float x) {
  float u = 1.0f + x;
  LogParts s = split_log(u);
  float lost = (u >= 2.0f ? 1.0f - (u - x) : x - (u - 1.0f)) / u;
  float y = log_of(s.f, s.e) + lost;
  y = abs(x) < 0x1p-24f ? x : y;
  return log_edges(u, x == -1.0f ? -kInf : y);
}

/// 2 ulp.
NHWC_INLINE float tanh(float x) {
  float a = abs(x), z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float small = p * z * a + a;
  float large = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return x == x ? copysign(a < 0.625f ? small : large, x) : x;
}
/// 3 ulp, subnormal results included.
NHWC_INLINE float sigmoid(float x) {
  float e = exp(-abs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
NHWC_INLINE float silu(float x) { return x * sigmoid(x); }

/// Of |x|: erf where it is below `kErfSplit` as factor - 1 of x, and 1 - erf above.
constexpr float kErfSplit = 0.927734375f;
NHWC_INLINE float erf_small(float s) {
  float r = -5.96761703e-4f;
  r = r * s + 4.99119423e-3f;
  r = r * s - 2.67681349e-2f;
  r = r * s + 1.12819925e-1f;
  r = r * s - 3.76125336e-1f;
  return r * s + 1.28379166e-1f;
}
NHWC_INLINE float erfc_large(float t) {
  t = t > 4.0f ? 4.0f : t;
  float s = t * t;
  float r = -1.72853470e-5f * t + 3.83197126e-4f;
  float u = -3.88396438e-3f * t + 2.42546219e-2f;
  r = r * s + u;
  r = r * t - 1.06777877e-1f;
  r = r * t - 6.34846687e-1f;
  r = r * t - 1.28717512e-1f;
  return exp(r * t - t);
}
/// 2 ulp.
NHWC_INLINE float erf(float x) {
  float t = abs(x);
  float large = copysign(1.0f - erfc_large(t), x);
  float small = erf_small(x * x) * x + x;
  return t > kErfSplit ? large : small;
}
/// x * Phi(x); the absolute error is within 2 ulp of max(|x| / 2, the result).
NHWC_INLINE float gelu(float x) { return 0.5f * x * (1.0f + erf(x * 0.707106781f)); }

/// 3 ulp.
NHWC_INLINE float erfinv(float x) {
  float t = log(x * (0.0f - x) + 1.0f);
  float p = 3.03697567e-10f;
  p = p * t + 2.93243101e-8f;
  p = p * t + 1.22150334e-6f;
  p = p * t + 2.84108955e-5f;
  p = p * t + 3.93552968e-4f;
  p = p * t + 3.02698812e-3f;
  p = p * t + 4.83185798e-3f;
  p = p * t - 2.64646143e-1f;
  p = p * t + 8.40016484e-1f;
  float q = 5.43877832e-9f;
  q = q * t + 1.43286059e-7f;
  q = q * t + 1.22775396e-6f;
  q = q * t + 1.12962631e-7f;
  q = q * t - 5.61531961e-5f;
  q = q * t - 1.47697705e-4f;
  q = q * t + 2.31468701e-3f;
  q = q * t + 1.15392562e-2f;
  q = q * t - 2.32015476e-1f;
  q = q * t + 8.86226892e-1f;
  float y = x * (abs(t) > 6.125f ? p : q);
  return abs(x) == 1.0f ? x * kInf : y;
}

/// |x| up to which the reduction below keeps sin and cos within 2 ulp; loops take libm for what is larger.
constexpr float kTrigLimit = 1e6f;
/// x = q * pi / 2 + r, |r| <= pi / 4: in double, where a product of q and the constant's 33 bits is exact.
struct TrigParts {
  int32_t q;
  float r;
};
NHWC_INLINE TrigParts split_trig(float x) {
  double d = x;
  double k = (d * 0.63661977236758134308 + kRoundDouble) - kRoundDouble;
  double r = d - k * 1.57079632673412561417e+00;
  r = r - k * 6.07710050650619224932e-11;
  return {static_cast<int32_t>(k), static_cast<float>(r)};
}
NHWC_INLINE float sin_part(float r) {
  float z = r * r;
  float p = -1.9515295891e-4f * z + 8.3321608736e-3f;
  p = p * z - 1.6666654611e-1f;
  return p * z * r + r;
}
NHWC_INLINE float cos_part(float r) {
  float z = r * r;
  float p = 2.443315711809948e-5f * z - 1.388731625493765e-3f;
  p = p * z + 4.166664568298827e-2f;
  return p * (z * z) - 0.5f * z + 1.0f;
}
NHWC_INLINE float sin(float x) {
  TrigParts t = split_trig(x);
  float y = (t.q & 1) ? cos_part(t.r) : sin_part(t.r);
  y = from_bits(bits(y) ^ (static_cast<uint32_t>(t.q & 2) << 30));
  return x == 0.0f ? x : y;
}
NHWC_INLINE float cos(float x) {
  TrigParts t = split_trig(x);
  float y = (t.q & 1) ? sin_part(t.r) : cos_part(t.r);
  return from_bits(bits(y) ^ (static_cast<uint32_t>((t.q + 1) & 2) << 30));
}
/// 4 ulp.
NHWC_INLINE float tan(float x) {
  TrigParts t = split_trig(x);
  float s = sin_part(t.r), c = cos_part(t.r);
  float y = (t.q & 1) ? -c / s : s / c;
  return x == 0.0f ? x : y;
}

/// 3 ulp.
NHWC_INLINE float arctan(float x) {
  float a = abs(x);
  float t = a > 1.0f ? 1.0f / a : a, s = t * t;
  float p = 0.00282363896258175373077393f;
  p = p * s - 0.0159569028764963150024414f;
  p = p * s + 0.0425049886107444763183594f;
  p = p * s - 0.0748900920152664184570312f;
  p = p * s + 0.106347933411598205566406f;
  p = p * s - 0.142027363181114196777344f;
  p = p * s + 0.199926957488059997558594f;
  p = p * s - 0.333331018686294555664062f;
  p = p * s * t + t;
  return copysign(a > 1.0f ? 1.57079632679489662f - p : p, x);
}
/// asin of v in [0, 1/2] for v = |x|, or of sqrt((1 - |x|) / 2) where |x| is larger.
NHWC_INLINE float arcsin_part(float a) {
  float s = a < 0.5f ? a * a : (1.0f - a) * 0.5f;
  float v = a < 0.5f ? a : sqrt(s);
  float u = 0.4197454825e-1f;
  u = u * s + 0.2424046025e-1f;
  u = u * s + 0.4547423869e-1f;
  u = u * s + 0.7495029271e-1f;
  u = u * s + 0.1666677296e+0f;
  return u * s * v + v;
}
/// 3 ulp.
NHWC_INLINE float arcsin(float x) {
  float a = abs(x), u = arcsin_part(a);
  return copysign(a < 0.5f ? u : 1.57079632679489662f - 2.0f * u, x);
}
/// 3 ulp.
NHWC_INLINE float arccos(float x) {
  float a = abs(x), u = arcsin_part(a);
  float near_zero = 1.57079632679489662f - copysign(u, x);
  float near_one = x < 0.0f ? 3.14159265358979324f - 2.0f * u : 2.0f * u;
  return a < 0.5f ? near_zero : near_one;
}
/// 4 ulp. Above 87 by the square of exp(|x| / 2), which overflows only where the result does.
NHWC_INLINE float sinh(float x) {
  float a = abs(x), m = expm1(a);
  float h = exp(0.5f * a);
  float y = a > 87.0f ? 0.5f * h * h : 0.5f * (m + m / (m + 1.0f));
  return copysign(y, x);
}
NHWC_INLINE float cosh(float x) {
  float a = abs(x), e = exp(a);
  float h = exp(0.5f * a);
  return a > 87.0f ? 0.5f * h * h : 0.5f * e + 0.5f / e;
}

NHWC_INLINE double exp(double x) { return __builtin_exp(x); }
NHWC_INLINE double expm1(double x) { return __builtin_expm1(x); }
NHWC_INLINE double log(double x) { return __builtin_log(x); }
NHWC_INLINE double log2(double x) { return __builtin_log2(x); }
NHWC_INLINE double log10(double x) { return __builtin_log10(x); }
NHWC_INLINE double log1p(double x) { return __builtin_log1p(x); }
NHWC_INLINE double tanh(double x) { return __builtin_tanh(x); }
NHWC_INLINE double sigmoid(double x) {
  double e = __builtin_exp(-__builtin_fabs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}
NHWC_INLINE double silu(double x) { return x * sigmoid(x); }
NHWC_INLINE double erf(double x) { return __builtin_erf(x); }
NHWC_INLINE double gelu(double x) { return 0.5 * x * __builtin_erfc(-x * 0.70710678118654752440); }
NHWC_INLINE double sin(double x) { return __builtin_sin(x); }
NHWC_INLINE double cos(double x) { return __builtin_cos(x); }
NHWC_INLINE double tan(double x) { return __builtin_tan(x); }
NHWC_INLINE double arctan(double x) { return __builtin_atan(x); }
NHWC_INLINE double arcsin(double x) { return __builtin_asin(x); }
NHWC_INLINE double arccos(double x) { return __builtin_acos(x); }
NHWC_INLINE double sinh(double x) { return __builtin_sinh(x); }
NHWC_INLINE double cosh(double x) { return __builtin_cosh(x); }
/// The float32 value refined by two Newton steps on erf; relative 1e-15 inside, and where 1 - |x| is small as exact as
/// erfc.
NHWC_INLINE double erfinv(double x) {
  double a = __builtin_fabs(x);
  if (!(a < 1.0)) return a == 1.0 ? x * __builtin_inf() : __builtin_nan("");
  double c = 1.0 - a;  // exact for a >= 1/2
  double l = -__builtin_log(c * (1.0 + a));
  double g = 2.0 / (3.14159265358979324 * 0.147) - 0.5 * l;  // Winitzki's first guess
  double y = __builtin_sqrt(__builtin_fabs(__builtin_sqrt(g * g + l / 0.147) - g));
  for (int i = 0; i < 4; ++i) {
    double e = a < 0.5 ? a - __builtin_erf(y) : __builtin_erfc(y) - c;
    double d = e / (1.12837916709551257 * __builtin_exp(-y * y));
    y += d / (1.0 - y * d);  // Halley: the second derivative is -2 y times the first
  }
  return x < 0 ? -y : y;
}

}  // namespace math
}  // namespace
}  // namespace nhwc
