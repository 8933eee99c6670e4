// csrc/kernels/fft.h -- complex transforms of many columns at once; a vector holds the same point of `lanes` columns
// A point is [2][lanes] floats: real parts, imaginary parts. Forward transforms leave the frequencies in the order of
// fft_position, which inverse ones expect: nothing is permuted. n is a power of two, at least 4; nothing is divided by
// n. Errors, relative in L2, are about 1e-7 * log2(n) at most and grow like its root (tests/kernels/test_fft.cpp).
#pragma once

#include <cstdint>

namespace nhwc {

/// The butterflies of one level: `count` blocks of n points one after another. Point j of a block is
/// x + j * stride * 2 * lanes, and so are `inner` points that follow it there, transformed alike.
struct FftLevel {
  float* x;
  int64_t n, stride, inner, count;
  const float* twiddles;  // [n / 4][6]: w, w^2, w^3 of w = exp(-2 pi i j / n)
};

/// dst[i * dst_step + l] = src[i * src_step + l] * scale for i < count, l < n <= lanes.
struct FftCopy {
  const float* src;
  int64_t src_step, count;
  int n;
  float scale;
  float* dst;
  int64_t dst_step;
};

/// Spectra as rows of a matrix product. Frequency pairs (f, -f) are at points at[2 * i] and at[2 * i + 1], equal where
/// f is its own negative. Row i of `rows` is pitch floats; its parts, `part` floats apart: re, im, -im of f, and re,
/// im, -re of -f. Of a result: re, im of f, and re, im of -f.
struct FftRows {
  float* x;
  const int32_t* at;
  int64_t count;
  float* rows;
  int64_t pitch, part;
};

struct FftKernels {
  int lanes;
  void (*forward)(const FftLevel&);       // radix 4
  void (*forward_last)(const FftLevel&);  // n = 4
  void (*radix2)(const FftLevel&);        // n = 2: the same in both directions
  void (*inverse_first)(const FftLevel&);
  void (*inverse)(const FftLevel&);
  void (*copy)(const FftCopy&);
  /// The same + bias[l], clamped to [lo, hi]; false where some src * scale is not finite.
  bool (*finish)(const FftCopy&, const float* bias, float lo, float hi);
  /// The bits of the largest |x|, which order like numbers, with inf and NaN above all others.
  uint32_t (*peak)(const float* x, int64_t n);
  /// x[p] *= w[p] for n points.
  void (*multiply)(float* x, const float* w, int64_t n);
  void (*to_rows)(const FftRows&);
  void (*from_rows)(const FftRows&);
};

/// Floats of the twiddles of a transform; fills them.
int64_t fft_twiddle_floats(int64_t n);
void fft_twiddles(int64_t n, float* twiddles);
/// Where frequency f of n is after a forward transform.
int64_t fft_position(int64_t f, int64_t n);

/// In place; point j is x + j * stride * 2 * lanes, and `inner` points that follow it are transformed alike.
void fft_forward(const FftKernels& k, float* x, int64_t n, int64_t stride, int64_t inner, const float* twiddles);
void fft_inverse(const FftKernels& k, float* x, int64_t n, int64_t stride, int64_t inner, const float* twiddles);

}  // namespace nhwc
