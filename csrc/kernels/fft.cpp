// csrc/kernels/fft.cpp -- the levels of a transform in an order that stays in the caches; knows no instruction set
#include "kernels/fft.h"

#include <cmath>

namespace nhwc {
namespace {

constexpr int64_t kLeafFloats = 8192;  // 32 KB: what of a transform goes level by level, in L1

int64_t level_floats(int64_t n) { return n / 4 * 6; }

bool leaf(const FftKernels& k, int64_t n, int64_t inner) { return n <= 16 || n * inner * 2 * k.lanes <= kLeafFloats; }

}  // namespace

int64_t fft_twiddle_floats(int64_t n) {
  int64_t floats = 0;
  for (; n > 4; n /= 4) floats += level_floats(n);
  return floats;
}

void fft_twiddles(int64_t n, float* twiddles) {
  if (n <= 4) return;
  // An eighth of the circle is computed, in the table's own w; the rest are its reflections.
  for (int64_t j = 0; j <= n / 8; ++j) {
    const double angle = 2 * 3.14159265358979323846 * static_cast<double>(j) / static_cast<double>(n);
    twiddles[j * 6] = static_cast<float>(std::cos(angle));
    twiddles[j * 6 + 1] = -static_cast<float>(std::sin(angle));
  }
  const auto root = [&](int64_t k, float* to) {
    const int64_t quadrant = k / (n / 4), j = k % (n / 4), low = j <= n / 8 ? j : n / 4 - j;
    const float a = twiddles[low * 6], b = -twiddles[low * 6 + 1], c = j <= n / 8 ? a : b, s = j <= n / 8 ? b : a;
    const float cosine[] = {c, -s, -c, s}, sine[] = {s, c, -s, -c};
    to[0] = cosine[quadrant];
    to[1] = -sine[quadrant];
  };
  for (int64_t j = n / 8 + 1; j < n / 4; ++j) root(j, twiddles + j * 6);
  for (int64_t j = 0; j < n / 4; ++j) {
    root(2 * j, twiddles + j * 6 + 2);
    root(3 * j, twiddles + j * 6 + 4);
  }
  // Longer levels hold the roots of the shorter ones.
  for (int64_t m = n / 4; m > 4; m /= 4) {
    const float* longer = twiddles;
    twiddles += level_floats(4 * m);
    for (int64_t j = 0; j < m / 4; ++j)
      for (int i = 0; i < 6; ++i) twiddles[j * 6 + i] = longer[j * 24 + i];
  }
}

int64_t fft_position(int64_t f, int64_t n) {
  int64_t at = 0;
  for (; n >= 4; f /= 4) {
    n /= 4;
    at += f % 4 * n;
  }
  return n == 2 ? at + f % 2 : at;
}

void fft_forward(const FftKernels& k, float* x, int64_t n, int64_t stride, int64_t inner, const float* twiddles) {
  FftLevel l{x, n, stride, inner, 1, twiddles};
  if (!leaf(k, n, inner)) {
    k.forward(l);
    for (int64_t r = 0; r < 4; ++r)
      fft_forward(k, x + r * (n / 4) * stride * 2 * k.lanes, n / 4, stride, inner, twiddles + level_floats(n));
    return;
  }
  for (; l.n > 4; l.n /= 4, l.count *= 4) {
    k.forward(l);
    l.twiddles += level_floats(l.n);
  }
  (l.n == 4 ? k.forward_last : k.radix2)(l);
}

void fft_inverse(const FftKernels& k, float* x, int64_t n, int64_t stride, int64_t inner, const float* twiddles) {
  FftLevel l{x, n, stride, inner, 1, twiddles};
  if (!leaf(k, n, inner)) {
    for (int64_t r = 0; r < 4; ++r)
      fft_inverse(k, x + r * (n / 4) * stride * 2 * k.lanes, n / 4, stride, inner, twiddles + level_floats(n));
    k.inverse(l);
    return;
  }
  const float* tables[16];
  int levels = 0;
  for (; l.n > 4; l.n /= 4, l.count *= 4) {
    tables[levels++] = l.twiddles;
    l.twiddles += level_floats(l.n);
  }
  (l.n == 4 ? k.inverse_first : k.radix2)(l);
  while (levels > 0) {
    l.n *= 4;
    l.count /= 4;
    l.twiddles = tables[--levels];
    k.inverse(l);
  }
}

}  // namespace nhwc
