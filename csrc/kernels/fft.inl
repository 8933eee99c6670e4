// csrc/kernels/fft.inl -- butterflies on vectors of columns, and what brings columns in and out of them
#pragma once

#include "kernels/conv_direct.inl"
#include "kernels/fft.h"

namespace nhwc {
namespace {

constexpr int kFftLanes = kLanes<float>;
constexpr int64_t kPoint = 2 * kFftLanes;

struct Point {
  Vec<float> re, im;
};
NHWC_INLINE Point load_point(const float* p) { return {load(p), load(p + kFftLanes)}; }
NHWC_INLINE void store_point(float* p, Point a) {
  store(p, a.re);
  store(p + kFftLanes, a.im);
}
NHWC_INLINE Point plus(Point a, Point b) { return {a.re + b.re, a.im + b.im}; }
NHWC_INLINE Point minus(Point a, Point b) { return {a.re - b.re, a.im - b.im}; }
/// a + i b, a - i b.
NHWC_INLINE Point plus_i(Point a, Point b) { return {a.re - b.im, a.im + b.re}; }
NHWC_INLINE Point minus_i(Point a, Point b) { return {a.re + b.im, a.im - b.re}; }
NHWC_INLINE Point times(Point a, Vec<float> re, Vec<float> im) {
  return {a.re * re - a.im * im, a.re * im + a.im * re};
}

/// Twiddles of one butterfly; of an inverse transform, their conjugates.
template <bool kInverse>
struct Twiddles {
  NHWC_INLINE explicit Twiddles(const float* t) {
    NHWC_UNROLL for (int r = 0; r < 3; ++r) {
      re[r] = set1(t[2 * r]);
      im[r] = set1(kInverse ? -t[2 * r + 1] : t[2 * r + 1]);
    }
  }
  NHWC_INLINE Point turn(Point a, int r) const { return times(a, re[r - 1], im[r - 1]); }
  Vec<float> re[3], im[3];
};

template <bool kInverse, bool kTurn>
void fft_radix4(const FftLevel& l) {
  const int64_t quarter = l.n / 4, q = quarter * l.stride * kPoint;
  float* block = l.x;
  for (int64_t b = 0; b < l.count; ++b, block += l.n * l.stride * kPoint) {
    for (int64_t j = 0; j < quarter; ++j) {
      static constexpr float kOne[6] = {1, 0, 1, 0, 1, 0};
      const Twiddles<kInverse> t(kTurn ? l.twiddles + 6 * j : kOne);
      float* x = block + j * l.stride * kPoint;
      for (int64_t i = 0; i < l.inner; ++i, x += kPoint) {
        Point p[4];
        NHWC_UNROLL for (int r = 0; r < 4; ++r) p[r] = load_point(x + r * q);
        if (kInverse && kTurn) NHWC_UNROLL for (int r = 1; r < 4; ++r) p[r] = t.turn(p[r], r);
        const Point s02 = plus(p[0], p[2]), d02 = minus(p[0], p[2]), s13 = plus(p[1], p[3]), d13 = minus(p[1], p[3]);
        p[0] = plus(s02, s13);
        p[1] = kInverse ? plus_i(d02, d13) : minus_i(d02, d13);
        p[2] = minus(s02, s13);
        p[3] = kInverse ? minus_i(d02, d13) : plus_i(d02, d13);
        if (!kInverse && kTurn) NHWC_UNROLL for (int r = 1; r < 4; ++r) p[r] = t.turn(p[r], r);
        NHWC_UNROLL for (int r = 0; r < 4; ++r) store_point(x + r * q, p[r]);
      }
    }
  }
}

void fft_radix2(const FftLevel& l) {
  const int64_t half = l.stride * kPoint;
  for (int64_t b = 0; b < l.count; ++b) {
    float* x = l.x + 2 * b * half;
    for (int64_t i = 0; i < l.inner; ++i, x += kPoint) {
      const Point a = load_point(x), c = load_point(x + half);
      store_point(x, plus(a, c));
      store_point(x + half, minus(a, c));
    }
  }
}

void fft_copy(const FftCopy& c) {
  const Vec<float> scale = set1(c.scale);
  for (int64_t i = 0; i < c.count; ++i) {
    const float* src = c.src + i * c.src_step;
    float* dst = c.dst + i * c.dst_step;
    if (c.n == kFftLanes)
      store(dst, load(src) * scale);
    else
      store_n(dst, load_n(src, c.n) * scale, c.n);
  }
}

/// Bits without the sign order like magnitudes.
NHWC_INLINE Vec<int32_t> magnitude(Vec<float> x) { return reinterpret_cast<Vec<int32_t>>(x) & 0x7fffffff; }

NHWC_INLINE int32_t largest(Vec<int32_t> v) {
  int32_t top = 0;
  for (int l = 0; l < kFftLanes; ++l) top = v[l] > top ? v[l] : top;
  return top;
}

bool fft_finish(const FftCopy& c, const float* bias_at, float low, float high) {
  const Vec<float> scale = set1(c.scale), bias = load_n(bias_at, c.n), lo = set1(low), hi = set1(high);
  Vec<int32_t> top = {};
  for (int64_t i = 0; i < c.count; ++i) {
    const float* src = c.src + i * c.src_step;
    float* dst = c.dst + i * c.dst_step;
    const Vec<float> x = (c.n == kFftLanes ? load(src) : load_n(src, c.n)) * scale;
    const Vec<int32_t> bits = magnitude(x);
    top = bits > top ? bits : top;
    const Vec<float> y = min_keep_nan(max_keep_nan(x + bias, lo), hi);
    if (c.n == kFftLanes)
      store(dst, y);
    else
      store_n(dst, y, c.n);
  }
  return largest(top) < 0x7f800000;
}

uint32_t fft_peak(const float* x, int64_t n) {
  Vec<int32_t> top = {};
  int64_t i = 0;
  for (; i + kFftLanes <= n; i += kFftLanes) {
    const Vec<int32_t> bits = magnitude(load(x + i));
    top = bits > top ? bits : top;
  }
  const Vec<int32_t> bits = magnitude(load_n(x + i, static_cast<int>(n - i)));
  return static_cast<uint32_t>(largest(bits > top ? bits : top));
}

void fft_multiply(float* x, const float* w, int64_t n) {
  for (int64_t p = 0; p < n; ++p, x += kPoint, w += kPoint) {
    const Point a = load_point(w);
    store_point(x, times(load_point(x), a.re, a.im));
  }
}

void fft_to_rows(const FftRows& r) {
  float* row = r.rows;
  for (int64_t i = 0; i < r.count; ++i, row += r.pitch) {
    const Point a = load_point(r.x + r.at[2 * i] * kPoint), b = load_point(r.x + r.at[2 * i + 1] * kPoint);
    const Vec<float> parts[6] = {a.re, a.im, -a.im, b.re, b.im, -b.re};
    NHWC_UNROLL for (int p = 0; p < 6; ++p) store(row + p * r.part, parts[p]);
  }
}

void fft_from_rows(const FftRows& r) {
  const float* row = r.rows;
  for (int64_t i = 0; i < r.count; ++i, row += r.pitch) {
    store_point(r.x + r.at[2 * i] * kPoint, {load(row), load(row + r.part)});
    if (r.at[2 * i + 1] != r.at[2 * i])
      store_point(r.x + r.at[2 * i + 1] * kPoint, {load(row + 2 * r.part), load(row + 3 * r.part)});
  }
}

constexpr FftKernels make_fft_kernels() {
  return {kFftLanes,
          fft_radix4<false, true>,
          fft_radix4<false, false>,
          fft_radix2,
          fft_radix4<true, false>,
          fft_radix4<true, true>,
          fft_copy,
          fft_finish,
          fft_peak,
          fft_multiply,
          fft_to_rows,
          fft_from_rows};
}

}  // namespace
}  // namespace nhwc
