// csrc/kernels/conv_direct.inl -- the register tile of the implicit GEMM: mr pixels x NV vectors of output channels
#pragma once

#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

/// Bias, clamp and store of one vector; `n` lanes of it are wanted.
template <class T>
NHWC_INLINE void finish_vector(T* y, Vec<T> v, const T* bias, T lo, T hi, bool add, int n) {
  constexpr int lanes = kLanes<T>;
  if (n <= 0) return;
  const bool whole = n >= lanes;
  if (add) v += whole ? load(y) : load_n(y, n);
  if (bias) v += whole ? load(bias) : load_n(bias, n);
  v = min_keep_nan(max_keep_nan(v, set1(lo)), set1(hi));
  if (whole)
    store(y, v);
  else
    store_n(y, v, n);
}

template <class T, int MR, int NV>
void direct_tile(const DirectTile<T>& t) {
  constexpr int lanes = kLanes<T>;
  constexpr int64_t kAhead = 4096 / sizeof(T);  // weights beyond L2: 4 KB of prefetch gains 5-45 % (facts-cpu.md)
  Vec<T> acc[MR][NV];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<T>{};
  const int64_t step = t.w_step;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    const T* a[MR];
    NHWC_UNROLL for (int m = 0; m < MR; ++m) a[m] = t.a[tap * MR + m] + t.a_offset;
    for (int64_t k = 0; k < t.k; ++k) {
      Vec<T> b[NV];
      NHWC_UNROLL for (int v = 0; v < NV; ++v) {
        b[v] = load(w + v * lanes);
        __builtin_prefetch(w + v * lanes + kAhead);
      }
      w += step;
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = set1(a[m][k]);
        NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, b[v], acc[m][v]);
      }
    }
  }
  NHWC_UNROLL for (int m = 0; m < MR; ++m) {
    T* y = t.y[m] + t.y_offset;
    NHWC_UNROLL for (int v = 0; v < NV; ++v) finish_vector(
        y + v * lanes, acc[m][v], t.bias ? t.bias + v * lanes : nullptr, t.lo, t.hi, t.add, t.n - v * lanes);
  }
}

}  // namespace
}  // namespace nhwc
