// csrc/kernels/conv_direct.inl -- the register tile of the implicit GEMM: mr pixels x NV vectors of output channels
#pragma once

#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

/// Where a tile goes and what is done to it on the way: y[m][0..n) = clamp(acc (+ y) (+ bias)) for m < rows.
template <class T>
struct TileEnd {
  T* const* y;
  int64_t y_offset;
  const T* bias;  // n values, or nullptr
  T lo, hi;
  int n, rows;
  bool add = false;
};

/// The end of tiles that are cut off or added to what is there; one copy for all of them, where unrolling would cost
/// most of a kernel's size.
template <class T>
__attribute__((noinline)) void finish_part(const TileEnd<T>& e, const Vec<T>* acc, int vectors) {
  constexpr int lanes = kLanes<T>;
  for (int m = 0; m < e.rows; ++m) {
    for (int v = 0, n = e.n; v < vectors && n > 0; ++v, n -= lanes) {
      const int lanes_here = n < lanes ? n : lanes;
      T* y = e.y[m] + e.y_offset + v * lanes;
      Vec<T> x = acc[m * vectors + v];
      if (e.add) x += load_n(y, lanes_here);
      if (e.bias) x += load_n(e.bias + v * lanes, lanes_here);
      store_n(y, min_keep_nan(max_keep_nan(x, set1(e.lo)), set1(e.hi)), lanes_here);
    }
  }
}

template <class T, int MR, int NV>
NHWC_INLINE void finish_tile(const TileEnd<T>& e, const Vec<T> (&acc)[MR][NV]) {
  constexpr int lanes = kLanes<T>;
  if (e.n < NV * lanes || e.rows < MR || e.add) {
    Vec<T> part[MR * NV];  // a copy: an accumulator whose address is taken would live in memory
    NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) part[m * NV + v] = acc[m][v];
    finish_part(e, part, NV);
    return;
  }
  Vec<T> bias[NV];  // -0 changes nothing, +0 would change -0
  NHWC_UNROLL for (int v = 0; v < NV; ++v) bias[v] = e.bias ? load(e.bias + v * lanes) : -Vec<T>{};
  const Vec<T> lo = set1(e.lo), hi = set1(e.hi);
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v)
      store(e.y[m] + e.y_offset + v * lanes, min_keep_nan(max_keep_nan(acc[m][v] + bias[v], lo), hi));
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
  finish_tile<T, MR, NV>({t.y, t.y_offset, t.bias, t.lo, t.hi, t.n, MR, t.add}, acc);
}

}  // namespace
}  // namespace nhwc
