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

/// Two vectors whose segments of 2 * S lanes are to be summed become one with segments of S lanes, taken in turn from a
/// and b.
template <class T, int S>
NHWC_INLINE Vec<T> add_halves(Vec<T> a, Vec<T> b) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> low = {};
  NHWC_UNROLL for (int l = 0; l < lanes; ++l) low[l] = (l / S % 2) * lanes + l / (2 * S) * (2 * S) + l % S;
  return permute2<T>(a, b, low) + permute2<T>(a, b, low + S);
}

/// Lane l of the result is the sum of the lanes of v[l]; as many vectors as lanes, or fewer by powers of two with
/// segments of S lanes.
template <class T, int S>
NHWC_INLINE Vec<T> sum_vectors(const Vec<T> (&v)[S]) {
  if constexpr (S == 1) {
    return v[0];
  } else {
    Vec<T> half[S / 2];
    NHWC_UNROLL for (int i = 0; i < S / 2; ++i) half[i] = add_halves<T, S / 2>(v[i], v[i + S / 2]);
    return sum_vectors<T, S / 2>(half);
  }
}

/// Sums the lanes of mr * outputs accumulators, readable up to whole vectors of sums, adds the bias, clamps and stores;
/// one copy for all tiles.
template <class T>
__attribute__((noinline)) void finish_dot(const DotTile<T>& t, int64_t y_offset, const Vec<T>* acc, int mr,
                                          int outputs) {
  constexpr int lanes = kLanes<T>;
  const auto row = [&](int m) { return (t.y_step ? t.y[0] + m * t.y_step : t.y[m]) + y_offset; };
  const bool adjacent = row(mr - 1) - row(0) == (mr - 1) * outputs;  // rows are at least so far apart
  for (int first = 0, n = mr * outputs; first < n; first += lanes) {
    const int here = n - first < lanes ? n - first : lanes;
    Vec<T> sum = sum_vectors<T, lanes>(*reinterpret_cast<const Vec<T>(*)[lanes]>(acc + first)) + load(t.bias + first);
    sum = min_keep_nan(max_keep_nan(sum, set1(t.lo)), set1(t.hi));
    if (adjacent) {
      store_n(row(0) + first, sum, here);
      continue;
    }
    T out[lanes];
    store(out, sum);
    for (int i = 0; i < here; ++i) row((first + i) / outputs)[(first + i) % outputs] = out[i];
  }
}

template <class T, int MR, int O, bool kEven>
NHWC_INLINE void one_dot(const DotTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[MR][O];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = Vec<T>{};
  const int64_t whole = t.k / lanes * lanes;
  const int rest = static_cast<int>(t.k - whole);
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    const TilePixels<T, MR, kEven> a(t, tap, a_offset);
    for (int64_t k = 0; k < whole; k += lanes) {
      Vec<T> b[O];
      NHWC_UNROLL for (int j = 0; j < O; ++j) b[j] = load(w + j * t.w_step + k);
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = load(&a.at(m, k));
        NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(x, b[j], acc[m][j]);
      }
    }
    if (rest == 0) continue;
    NHWC_UNROLL for (int m = 0; m < MR; ++m) {
      const Vec<T> x = load_n(&a.at(m, whole), rest);
      NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(x, load(w + j * t.w_step + whole), acc[m][j]);
    }
  }
  constexpr int whole_sums = (MR * O + lanes - 1) / lanes * lanes;
  Vec<T> sums[whole_sums];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int i = MR * O; i < whole_sums; ++i) sums[i] = Vec<T>{};
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) sums[m * O + j] = acc[m][j];
  finish_dot(t, y_offset, sums, MR, O);
}

template <class T, int MR, int O>
void dot_tile(const DotTile<T>& t) {
  one_dot<T, MR, O, false>(t, t.a_offset, t.y_offset);
}
template <class T, int MR, int O>
void even_dots(const DotTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step) one_dot<T, MR, O, true>(t, a, y);
}

}  // namespace
}  // namespace nhwc
