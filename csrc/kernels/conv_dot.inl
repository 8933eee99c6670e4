// csrc/kernels/conv_dot.inl -- few output channels: vectors run along the input channels and are summed at the end
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

/// Halves are added to halves, in the same order always.
template <class T>
NHWC_INLINE T sum_lanes(Vec<T> v) {
  constexpr int lanes = kLanes<T>;
  NHWC_UNROLL for (int half = lanes / 2; half > 0; half /= 2) {
    Vec<IntOf<T>> index = {};
    NHWC_UNROLL for (int i = 0; i < lanes; ++i) index[i] = i ^ half;
    v += permute<T>(v, index);
  }
  return v[0];
}

/// Sums the lanes, adds the bias, clamps and stores; one copy for all tiles.
template <class T>
__attribute__((noinline)) void finish_dot(const DotTile<T>& t, const Vec<T>* acc, int mr, int outputs) {
  for (int m = 0; m < mr; ++m)
    for (int j = 0; j < outputs; ++j) {
      T v = sum_lanes<T>(acc[m * outputs + j]);
      if (t.bias) v += t.bias[j];
      v = t.lo > v ? t.lo : v;
      t.y[m][t.y_offset + j] = t.hi < v ? t.hi : v;
    }
}

template <class T, int MR, int O>
void dot_tile(const DotTile<T>& t) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[MR][O];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = Vec<T>{};
  const int64_t whole = t.k / lanes * lanes;
  const int rest = static_cast<int>(t.k - whole);
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    const T* a[MR];
    NHWC_UNROLL for (int m = 0; m < MR; ++m) a[m] = t.a[tap * MR + m] + t.a_offset;
    for (int64_t k = 0; k < whole; k += lanes) {
      Vec<T> b[O];
      NHWC_UNROLL for (int j = 0; j < O; ++j) b[j] = load(w + j * t.w_step + k);
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = load(a[m] + k);
        NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(x, b[j], acc[m][j]);
      }
    }
    if (rest == 0) continue;
    NHWC_UNROLL for (int m = 0; m < MR; ++m) {
      const Vec<T> x = load_n(a[m] + whole, rest);
      NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(x, load(w + j * t.w_step + whole), acc[m][j]);
    }
  }
  Vec<T> sums[MR * O];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) sums[m * O + j] = acc[m][j];
  finish_dot(t, sums, MR, O);
}

}  // namespace
}  // namespace nhwc
