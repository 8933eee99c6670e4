// metal/common/math.h -- functions of float32 that Metal lacks, or whose bounds it leaves wide
// The formulas are those of csrc/kernels/elementwise_math.inl, so that a chain gives the same on both devices, less the
// choices there that change no result (log1p, erfc); errors are in units in the last place. Written out rather than
// taken from Metal's library: what is measured in the emulator is what runs. Polynomials: Cephes (exp, sin, cos, tanh),
// SLEEF (atan, asin), N. Juffa (log, erf, erfinv, the reduction of large angles).
#pragma once

#include <metal_stdlib>

namespace math {

constant float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which its low bits then hold

inline uint bits(float x) { return as_type<uint>(x); }
inline float from_bits(uint b) { return as_type<float>(b); }
inline float abs(float x) { return from_bits(bits(x) & 0x7fffffffu); }
inline float copysign(float x, float s) { return from_bits((bits(x) & 0x7fffffffu) | (bits(s) & 0x80000000u)); }
inline float fma(float a, float b, float c) { return metal::fma(a, b, c); }
inline float sqrt(float x) { return metal::precise::sqrt(x); }
/// 2^n for n in [-126, 127].
inline float power_of_two(int n) { return from_bits(uint(n + 127) << 23); }

/// x = n * log(2) + r with |r| <= log(2) / 2; x inside +-105 so that n is small.
struct ExpParts {
  int n;
  float r;
};
inline ExpParts split_exp(float x) {
  float t = x * 1.44269504088896341f + kRound;
  float n = t - kRound;
  float r = fma(n, -0.693359375f, x);  // exact: the constant has 10 bits
  r = fma(n, 2.12194440e-4f, r);
  return {int(bits(t) - bits(kRound)), r};
}
/// (exp(r) - 1 - r) / r^2.
inline float exp_tail(float r) {
  float p = 1.9875691500e-4f;
  p = fma(p, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  return fma(p, r, 5.0000001201e-1f);
}
inline float clamp_keep_nan(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

/// 1 ulp. The power of two is applied in two steps, so that subnormal results are rounded once.
inline float exp(float x) {
  ExpParts s = split_exp(clamp_keep_nan(x, -105.0f, 90.0f));
  float y = fma(exp_tail(s.r), s.r * s.r, s.r) + 1.0f;
  const int first = s.n >> 1;
  return y * power_of_two(first) * power_of_two(s.n - first);
}

/// 2 ulp.
inline float expm1(float x) {
  ExpParts s = split_exp(clamp_keep_nan(x, -25.0f, 89.0f));
  float p = fma(exp_tail(s.r), s.r * s.r, s.r);
  float scale = power_of_two(s.n - 1);  // half the scale: it exists for n = 128 too
  float y = 2.0f * (p * scale + (scale - 0.5f));
  return x == 0.0f ? x : y;
}

/// log(m * 2^e) for m = 1 + f in [2/3, 4/3): e and f of a positive normal x.
inline float log_of(float f, float e) {
  float s = f * f;
  float r = -0.130310059f, t = 0.140869141f;
  r = fma(r, s, -0.121483512f);
  t = fma(t, s, 0.139814854f);
  r = fma(r, s, -0.166846126f);
  t = fma(t, s, 0.200120345f);
  r = fma(r, s, -0.249996200f);
  r = fma(t, f, r);
  r = fma(r, f, 0.333331972f);
  r = fma(r, f, -0.5f);
  r = fma(r, s, e * -2.12194440e-4f);
  return fma(e, 0.693359375f, r + f);
}
struct LogParts {
  float f, e;
};
inline LogParts split_log(float x) {
  bool tiny = x < 1.17549435e-38f;
  float scaled = tiny ? x * 8388608.0f : x;
  uint e = (bits(scaled) - bits(0.666666667f)) & 0xff800000u;
  float f = from_bits(bits(scaled) - e) - 1.0f;
  return {f, float(int(e)) * 1.1920928955078125e-7f - (tiny ? 23.0f : 0.0f)};
}
/// What no formula gives: log(0) = -inf, log(inf) = inf, log(negative) = NaN.
inline float log_edges(float x, float y) {
  y = x == INFINITY ? INFINITY : y;
  y = x == 0.0f ? -INFINITY : y;
  return x >= 0.0f ? y : NAN;
}
/// 1 ulp.
inline float log(float x) {
  LogParts s = split_log(x);
  return log_edges(x, log_of(s.f, s.e));
}
/// 2 ulp: the exponent is added unscaled, so whole powers of two are exact.
inline float log2(float x) {
  LogParts s = split_log(x);
  float l = log_of(s.f, 0.0f);
  return log_edges(x, fma(l, 1.44269504f, fma(l, 1.92596299e-8f, s.e)));
}
/// 2 ulp.
inline float log10(float x) {
  LogParts s = split_log(x);
  float y = fma(log_of(s.f, 0.0f), 0.434294482f, s.e * 2.48745664e-4f);
  return log_edges(x, fma(s.e, 0.30078125f, y));
}
/// 2 ulp: log(u) with u = 1 + x rounded, corrected by what the rounding lost.
inline float log1p(float x) {
  float u = 1.0f + x;
  LogParts s = split_log(u);
  float lost = (x - (u - 1.0f)) / u;  // exact below 2^24, beyond too little to matter
  float y = log_of(s.f, s.e) + lost;
  y = abs(x) < 5.9604644775390625e-8f ? x : y;
  return log_edges(u, x == -1.0f ? -INFINITY : y);
}

/// 2 ulp.
inline float tanh(float x) {
  float a = abs(x), z = x * x;
  float p = -5.70498872745e-3f;
  p = fma(p, z, 2.06390887954e-2f);
  p = fma(p, z, -5.37397155531e-2f);
  p = fma(p, z, 1.33314422036e-1f);
  p = fma(p, z, -3.33332819422e-1f);
  float small = fma(p * z, a, a);
  float large = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return x == x ? copysign(a < 0.625f ? small : large, x) : x;
}
/// 3 ulp, subnormal results included.
inline float sigmoid(float x) {
  float e = exp(-abs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}
inline float silu(float x) { return x * sigmoid(x); }

/// Of |x|: erf where it is below `kErfSplit` as factor - 1 of x, and 1 - erf above.
constant float kErfSplit = 0.927734375f;
inline float erf_small(float s) {
  float r = -5.96761703e-4f;
  r = fma(r, s, 4.99119423e-3f);
  r = fma(r, s, -2.67681349e-2f);
  r = fma(r, s, 1.12819925e-1f);
  r = fma(r, s, -3.76125336e-1f);
  return fma(r, s, 1.28379166e-1f);
}
/// The fit ends at 4, where 1 - erf is below half a unit of 1; beyond, the polynomial falls, and the result with it.
inline float erfc_large(float t) {
  float s = t * t;
  float r = fma(-1.72853470e-5f, t, 3.83197126e-4f);
  float u = fma(-3.88396438e-3f, t, 2.42546219e-2f);
  r = fma(r, s, u);
  r = fma(r, t, -1.06777877e-1f);
  r = fma(r, t, -6.34846687e-1f);
  r = fma(r, t, -1.28717512e-1f);
  return exp(fma(r, t, -t));
}
/// 2 ulp.
inline float erf(float x) {
  float t = abs(x);
  float large = copysign(1.0f - erfc_large(t), x);
  float small = fma(erf_small(x * x), x, x);
  return t > kErfSplit ? large : small;
}
/// x * Phi(x); the absolute error is within 2 ulp of max(|x| / 2, the result).
inline float gelu(float x) { return 0.5f * x * (1.0f + erf(x * 0.707106781f)); }

/// 3 ulp.
inline float erfinv(float x) {
  float t = log(fma(x, 0.0f - x, 1.0f));
  float p = 3.03697567e-10f;
  p = fma(p, t, 2.93243101e-8f);
  p = fma(p, t, 1.22150334e-6f);
  p = fma(p, t, 2.84108955e-5f);
  p = fma(p, t, 3.93552968e-4f);
  p = fma(p, t, 3.02698812e-3f);
  p = fma(p, t, 4.83185798e-3f);
  p = fma(p, t, -2.64646143e-1f);
  p = fma(p, t, 8.40016484e-1f);
  float q = 5.43877832e-9f;
  q = fma(q, t, 1.43286059e-7f);
  q = fma(q, t, 1.22775396e-6f);
  q = fma(q, t, 1.12962631e-7f);
  q = fma(q, t, -5.61531961e-5f);
  q = fma(q, t, -1.47697705e-4f);
  q = fma(q, t, 2.31468701e-3f);
  q = fma(q, t, 1.15392562e-2f);
  q = fma(q, t, -2.32015476e-1f);
  q = fma(q, t, 8.86226892e-1f);
  float y = x * (abs(t) > 6.125f ? p : q);
  return abs(x) == 1.0f ? x * INFINITY : y;
}

/// 2 / pi, from the second bit on: bits enough for the largest float.
constant uint kTwoOverPi[] = {0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u};
/// x = q * pi / 2 + r, |r| <= pi / 4; of q only the low bits mean something.
struct TrigParts {
  int q;
  float r;
};
/// By 64 bits of the product of x and as many bits of 2 / pi as matter (Payne and Hanek); x is finite and at least 2.
inline TrigParts split_far(float x) {
  const uint mantissa = (bits(x) << 8) | 0x80000000u;
  const uint e = ((bits(x) >> 23) & 0xffu) - 126u, word = e >> 5, shift = e & 31u;
  uint high = word ? kTwoOverPi[word - 1] : 0, middle = kTwoOverPi[word], low = kTwoOverPi[word + 1];
  if (shift) {
    high = (high << shift) | (middle >> (32 - shift));
    middle = (middle << shift) | (low >> (32 - shift));
    low = (low << shift) | (kTwoOverPi[word + 2] >> (32 - shift));
  }
  ulong product = ulong(mantissa) * low;  // becomes x * 2 / pi modulo 4, with 62 bits of fraction
  product = ulong(mantissa) * middle + (product >> 32);
  product += ulong(mantissa * high) << 32;
  const int q = int((product + (1ul << 61)) >> 62);
  const long fraction = long(product << 2) >> 2;  // in [-2^61, 2^61): of the nearest integer
  const float near = float(fraction), rest = float(fraction - long(near));
  const float kHigh = 3.4061217e-19f, kLow = -9.4783964e-27f;  // pi / 2 * 2^-62
  const float r = near * kHigh, lost = fma(near, kHigh, -r);
  const float exact = r + (lost + fma(rest, kHigh, near * kLow));
  const bool negative = bits(x) >> 31;
  return {negative ? -q : q, negative ? -exact : exact};
}
inline TrigParts split_trig(float x) {
  if (abs(x) > 71476.0f) {
    if (abs(x) == INFINITY) return {0, NAN};
    return split_far(x);
  }
  const float t = fma(x, 0.636619772f, kRound), k = t - kRound;
  float r = fma(k, -1.57079601e+00f, x);  // pi / 2 in three parts
  r = fma(k, -3.13916473e-07f, r);
  r = fma(k, -5.39030253e-15f, r);
  return {int(bits(t) - bits(kRound)), r};
}
inline float sin_part(float r) {
  const float z = r * r;
  float p = fma(-1.9515295891e-4f, z, 8.3321608736e-3f);
  p = fma(p, z, -1.6666654611e-1f);
  return fma(p * z, r, r);
}
inline float cos_part(float r) {
  const float z = r * r;
  float p = fma(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  p = fma(p, z, 4.166664568298827e-2f);
  return fma(p, z * z, fma(-0.5f, z, 1.0f));
}
inline float sin(float x) {
  TrigParts t = split_trig(x);
  float y = (t.q & 1) ? cos_part(t.r) : sin_part(t.r);
  y = from_bits(bits(y) ^ (uint(t.q & 2) << 30));
  return x == 0.0f ? x : y;
}
inline float cos(float x) {
  TrigParts t = split_trig(x);
  float y = (t.q & 1) ? sin_part(t.r) : cos_part(t.r);
  return from_bits(bits(y) ^ (uint((t.q + 1) & 2) << 30));
}
/// 4 ulp.
inline float tan(float x) {
  TrigParts t = split_trig(x);
  float s = sin_part(t.r), c = cos_part(t.r);
  float y = (t.q & 1) ? -c / s : s / c;
  return x == 0.0f ? x : y;
}

/// 3 ulp.
inline float arctan(float x) {
  float a = abs(x);
  float t = a > 1.0f ? 1.0f / a : a, s = t * t;
  float p = 0.00282363896258175373077393f;
  p = fma(p, s, -0.0159569028764963150024414f);
  p = fma(p, s, 0.0425049886107444763183594f);
  p = fma(p, s, -0.0748900920152664184570312f);
  p = fma(p, s, 0.106347933411598205566406f);
  p = fma(p, s, -0.142027363181114196777344f);
  p = fma(p, s, 0.199926957488059997558594f);
  p = fma(p, s, -0.333331018686294555664062f);
  p = fma(p * s, t, t);
  return copysign(a > 1.0f ? 1.57079632679489662f - p : p, x);
}
/// asin of v in [0, 1/2] for v = |x|, or of sqrt((1 - |x|) / 2) where |x| is larger.
inline float arcsin_part(float a) {
  float s = a < 0.5f ? a * a : (1.0f - a) * 0.5f;
  float v = a < 0.5f ? a : sqrt(s);
  float u = 0.4197454825e-1f;
  u = fma(u, s, 0.2424046025e-1f);
  u = fma(u, s, 0.4547423869e-1f);
  u = fma(u, s, 0.7495029271e-1f);
  u = fma(u, s, 0.1666677296e+0f);
  return fma(u * s, v, v);
}
/// 3 ulp.
inline float arcsin(float x) {
  float a = abs(x), u = arcsin_part(a);
  return copysign(a < 0.5f ? u : 1.57079632679489662f - 2.0f * u, x);
}
/// 3 ulp.
inline float arccos(float x) {
  float a = abs(x), u = arcsin_part(a);
  float near_zero = 1.57079632679489662f - copysign(u, x);
  float near_one = x < 0.0f ? 3.14159265358979324f - 2.0f * u : 2.0f * u;
  return a < 0.5f ? near_zero : near_one;
}
/// 4 ulp. Above 87 by the square of exp(|x| / 2), which overflows only where the result does.
inline float sinh(float x) {
  float a = abs(x), m = expm1(a);
  float h = exp(0.5f * a);
  float y = a > 87.0f ? 0.5f * h * h : 0.5f * (m + m / (m + 1.0f));
  return copysign(y, x);
}
inline float cosh(float x) {
  float a = abs(x), e = exp(a);
  float h = exp(0.5f * a);
  return a > 87.0f ? 0.5f * h * h : 0.5f * e + 0.5f / e;
}

}  // namespace math
