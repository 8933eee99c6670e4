// csrc/kernels/conv_diagonal.inl -- the register tile of small groups: a vector of neighbouring groups x MR pixels
// Inputs are multiplied as they lie in memory, where a permutation for each product would take as long as the product:
// a vector of weights is a diagonal of every group, from each of its inputs to the output d further on, in a circle.
// Sums stay in the lanes of their inputs until the end, and move to their outputs one lane at a time.
#pragma once

#include "kernels/conv_diagonal.h"
#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

/// For groups of c: the lane before each, the last of a group before its first.
struct LanesBefore {
  int32_t of[kDiagonals + 1][kLanes<float>] = {};
  constexpr LanesBefore() {
    for (int c = 1; c <= kDiagonals; ++c)
      for (int l = 0; l < kLanes<float>; ++l) of[c][l] = (l % c == 0 ? l + c - 1 : l - 1) % kLanes<float>;
  }
};
constexpr LanesBefore kLanesBefore{};

/// Diagonals 0 to D - 1 of the weights at `w`, before those that y holds; kLast: there are none behind them.
template <int D, bool kLast, int MR>
NHWC_INLINE void add_diagonals(const DiagonalRow& t, int64_t at, const float* w, const float*& ahead,
                               Vec<float> (&y)[MR]) {
  constexpr int lanes = kLanes<float>;
  Vec<float> acc[MR][D];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int d = 0; d < D; ++d) acc[m][d] = Vec<float>{};
  const int64_t w_tap = t.c * lanes;
  for (int64_t r = 0; r < t.n_rows; ++r) {
    const float *x = t.rows[r] + at * t.x_step, *wt = w + t.ids[r] * t.w_row;
    for (int64_t k = 0; k < t.columns; ++k, x += t.x_tap, wt += w_tap) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += t.ahead_step;
      Vec<float> b[D];
      NHWC_UNROLL for (int d = 0; d < D; ++d) b[d] = load(wt + d * lanes);
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<float> v = in_register(load(x + m * t.x_step));
        NHWC_UNROLL for (int d = 0; d < D; ++d) acc[m][d] = fma(v, b[d], acc[m][d]);
      }
    }
  }
  const Vec<int32_t> before = load(kLanesBefore.of[t.c]);
  NHWC_UNROLL for (int d = D - 1; d >= 0; --d) NHWC_UNROLL for (int m = 0; m < MR; ++m) y[m] =
      kLast && d == D - 1 ? acc[m][d] : lookup(y[m], before) + acc[m][d];
}

/// The outputs of a tile, `left` at most.
template <int MR>
NHWC_INLINE void store_diagonals(const DiagonalRow& t, int64_t at, int64_t left, const Vec<float> (&y)[MR]) {
  const bool part = t.n < kLanes<float>;
  const Vec<float> lo = set1(t.lo), hi = set1(t.hi);
  const Vec<float> bias = !t.bias ? -Vec<float>{} : part ? load_n(t.bias, t.n) : load(t.bias);
  float* to = t.y + at * t.y_step;
  NHWC_UNROLL for (int m = 0; m < MR; ++m, to += t.y_step) {
    if (m >= left) return;
    Vec<float> v = y[m] + bias;
    if (t.residual) v += part ? load_n(to + t.residual, t.n) : load(to + t.residual);
    v = min_keep_nan(max_keep_nan(v, lo), hi);
    part ? store_n(to, v, t.n) : store(to, v);
  }
}

template <int MR>
void diagonal_row(const DiagonalRow& t) {
  const int64_t before = t.c > 4 ? t.c / 2 : 0;  // diagonals that are left for a second pass
  const float *const w = t.w + before * kLanes<float>, *ahead = t.ahead;
  for (int64_t at = 0; at < t.pixels; at += MR) {
    Vec<float> y[MR];
    if (t.c - before == 4)
      add_diagonals<4, true>(t, at, w, ahead, y);
    else if (t.c - before == 3)
      add_diagonals<3, true>(t, at, w, ahead, y);
    else
      add_diagonals<2, true>(t, at, w, ahead, y);
    if (before == 4)
      add_diagonals<4, false>(t, at, t.w, ahead, y);
    else if (before == 3)
      add_diagonals<3, false>(t, at, t.w, ahead, y);
    else if (before == 2)
      add_diagonals<2, false>(t, at, t.w, ahead, y);
    store_diagonals(t, at, t.pixels - at, y);
  }
}

[[maybe_unused]] void diagonal_copy(const DiagonalCopy& t) {
  constexpr int lanes = kLanes<float>;
  const float* x = t.x;
  float* to = t.to;
  for (int64_t i = 0; i < t.pixels; ++i, x += t.x_step, to += lanes) {
    for (int64_t v = 0; v < t.vectors - 1; ++v) store(to + v * t.to_step, load(x + v * t.n));
    store(to + (t.vectors - 1) * t.to_step, load_n(x + (t.vectors - 1) * t.n, t.last));
  }
}

template <int... I>
DiagonalKernels make_diagonal_kernels(std::integer_sequence<int, I...>) {
  DiagonalKernels k{};
  if constexpr (sizeof...(I) > 0) k.copy = diagonal_copy;
  ((k.row[least_diagonal_rows(kIsa) + I] = diagonal_row<least_diagonal_rows(kIsa) + I>), ...);
  return k;
}

}  // namespace
}  // namespace nhwc
