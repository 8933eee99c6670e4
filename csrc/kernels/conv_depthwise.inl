// csrc/kernels/conv_depthwise.inl -- depthwise tiles of one output row: a kernel row of weights stays in registers
#pragma once

#include "kernels/conv_channels.inl"

namespace nhwc {
namespace {

/// kInside: the columns of an input row follow each other by x_step; else every (row, column) has its pointer.
template <class T, int KW, int S, int PX, bool kInside, bool kTail>
NHWC_INLINE void depthwise_row_vector(const DepthwiseRow<T>& t, int64_t ch, int n) {
  constexpr int columns = (PX - 1) * S + KW;
  Vec<T> acc[PX][1];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] = Vec<T>{};
  for (int64_t r = 0; r < t.rows; ++r) {
    const T* w = t.w[r] + ch;
    Vec<T> wv[KW];
    NHWC_UNROLL for (int k = 0; k < KW; ++k) wv[k] = load(w + k * t.w_step);
    const T* const* at = kInside ? t.x + r : t.x + r * columns;
    const T* x = at[0] + ch;
    NHWC_UNROLL for (int j = 0; j < columns; ++j) {
      if (!kInside) x = at[j] + ch;
      const Vec<T> v = kTail ? load_n(x, n) : load(x);
      if (kInside) x += t.x_step;
      NHWC_UNROLL for (int p = 0; p < PX; ++p) {
        const int k = j - p * S;
        if (k >= 0 && k < KW) acc[p][0] = fma(v, wv[k], acc[p][0]);
      }
    }
  }
  T* y[PX];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) y[p] = t.y + p * t.y_step;
  finish_tile<T, PX, 1>({y, ch, t.bias ? t.bias + ch : nullptr, t.lo, t.hi, n, t.pixels}, acc);
}

template <class T, int KW, int S, int PX, bool kInside>
void depthwise_row(const DepthwiseRow<T>& t) {
  constexpr int lanes = kLanes<T>;
  int64_t ch = 0;
  for (; ch + lanes <= t.n; ch += lanes) depthwise_row_vector<T, KW, S, PX, kInside, false>(t, ch, lanes);
  if (ch < t.n) depthwise_row_vector<T, KW, S, PX, kInside, true>(t, ch, static_cast<int>(t.n - ch));
}

}  // namespace
}  // namespace nhwc
