// csrc/kernels/conv_depthwise.inl -- depthwise tiles of one output row: segments of a kernel row stay in registers
#pragma once

#include "kernels/conv_channels.inl"

namespace nhwc {
namespace {

/// KW adjacent taps: every column is loaded once. kInside: the columns follow each other by x_step; else each has its
/// pointer.
template <class T, int KW, int S, int PX, bool kInside, bool kTail>
NHWC_INLINE void add_segments(const DepthwiseTaps<T>& e, int64_t x_step, int64_t w_step, int64_t x_offset, int64_t ch,
                              int n, Vec<T> (&acc)[PX][1]) {
  constexpr int columns = (PX - 1) * S + KW;
  for (int64_t i = 0; i < e.n; ++i) {
    const T* w = e.w[i] + ch;
    Vec<T> wv[KW];
    NHWC_UNROLL for (int k = 0; k < KW; ++k) wv[k] = load(w + k * w_step);
    const T* const* at = kInside ? e.x + i : e.x + i * columns;
    const T* x = at[0] + (kInside ? ch + x_offset : ch);
    NHWC_UNROLL for (int j = 0; j < columns; ++j) {
      if (!kInside) x = at[j] + ch;
      const Vec<T> v = kTail ? load_n(x, n) : load(x);
      if (kInside) x += x_step;
      NHWC_UNROLL for (int p = 0; p < PX; ++p) {
        const int k = j - p * S;
        if (k >= 0 && k < KW) acc[p][0] = fma(v, wv[k], acc[p][0]);
      }
    }
  }
}

/// Single taps, at any stride.
template <class T, int PX, bool kInside, bool kTail>
NHWC_INLINE void add_taps(const DepthwiseTaps<T>& e, int64_t pixel_step, int64_t x_offset, int64_t ch, int n,
                          Vec<T> (&acc)[PX][1]) {
  for (int64_t i = 0; i < e.n; ++i) {
    const Vec<T> w = load(e.w[i] + ch);
    const T* const* at = kInside ? e.x + i : e.x + i * PX;
    const T* x = at[0] + (kInside ? ch + x_offset : ch);
    NHWC_UNROLL for (int p = 0; p < PX; ++p) {
      if (!kInside) x = at[p] + ch;
      acc[p][0] = fma(kTail ? load_n(x, n) : load(x), w, acc[p][0]);
      if (kInside) x += pixel_step;
    }
  }
}

template <class T, int KW, int S, int PX, bool kTail>
NHWC_INLINE void depthwise_row_vector(const DepthwiseRow<T>& t, T* const* y, int64_t ch, int n) {
  Vec<T> acc[PX][1];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] = Vec<T>{};
  add_segments<T, KW, S, PX, true, kTail>(t.segments[0], t.x_step, t.w_step, t.x_offset, ch, n, acc);
  add_segments<T, KW, S, PX, false, kTail>(t.segments[1], t.x_step, t.w_step, t.x_offset, ch, n, acc);
  add_taps<T, PX, true, kTail>(t.taps[0], t.pixel_step, t.x_offset, ch, n, acc);
  add_taps<T, PX, false, kTail>(t.taps[1], t.pixel_step, t.x_offset, ch, n, acc);
  finish_tile<T, PX, 1>({y, ch, t.bias ? t.bias + ch : nullptr, t.lo, t.hi, n, t.pixels}, acc);
}

template <class T, int KW, int S, int PX>
void depthwise_row(const DepthwiseRow<T>& t, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<T>;
  T* y[PX];
  for (int p = 0; p < PX; ++p) y[p] = t.y + p * t.y_step;
  int64_t ch = begin;
  for (; ch + lanes <= end; ch += lanes) depthwise_row_vector<T, KW, S, PX, false>(t, y, ch, lanes);
  if (ch < end) depthwise_row_vector<T, KW, S, PX, true>(t, y, ch, static_cast<int>(end - ch));
}

}  // namespace
}  // namespace nhwc
