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
  if (end - begin < lanes) return depthwise_row_vector<T, KW, S, PX, true>(t, y, begin, static_cast<int>(end - begin));
  // What is left of the last vector overlaps the one before.
  for (int64_t ch = begin; ch < end; ch += lanes)
    depthwise_row_vector<T, KW, S, PX, false>(t, y, ch + lanes <= end ? ch : end - lanes, lanes);
}

using WalkSums = Vec<float>[kWalkPixels];

using WalkWeights = Vec<float>[3][3];
NHWC_INLINE void load_weights(const DepthwiseWalk& t, int64_t slice, int64_t ch, WalkWeights& w) {
  NHWC_UNROLL for (int r = 0; r < 3; ++r) NHWC_UNROLL for (int k = 0; k < 3; ++k) w[r][k] =
      load(t.w + ((slice * 9 + r * 3 + k) * t.w_step + ch));
}

/// One input row into the sums of the rows of outputs that end, go on and begin with it.
template <bool kPart>
NHWC_INLINE void add_walk_row(const DepthwiseWalk& t, const WalkWeights& w, const float* x, WalkSums& ends,
                              WalkSums& goes_on, WalkSums& begins) {
  NHWC_UNROLL for (int j = 0; j < kWalkPixels + 2; ++j, x += t.x_step) {
    if (kPart && (j < t.first || j >= t.last)) continue;
    const Vec<float> v = load(x);
    NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) {
      const int k = j - p;
      if (k < 0 || k > 2) continue;
      ends[p] = fma(v, w[2][k], ends[p]);
      goes_on[p] = fma(v, w[1][k], goes_on[p]);
      begins[p] = fma(v, w[0][k], begins[p]);
    }
  }
}

/// The row of every slice; then the outputs that end are stored. kPart: some columns are outside, or some outputs are
/// not there. kSlices: there may be more than one, or none, and their weights are loaded for each row.
template <bool kPart, bool kSlices>
NHWC_INLINE void walk_row(const DepthwiseWalk& t, const WalkWeights& w, int64_t row, int64_t ch, WalkSums& ends,
                          WalkSums& goes_on, WalkSums& begins) {
  NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) begins[p] = Vec<float>{};
  if (row >= t.top && row < t.bottom) {
    const float* x = t.x + (ch + row * t.x_row);
    if (!kSlices) add_walk_row<kPart>(t, w, x, ends, goes_on, begins);
    for (int64_t slice = 0; kSlices && slice < t.slices; ++slice, x += t.x_slice) {
      WalkWeights own;
      load_weights(t, slice, ch, own);
      add_walk_row<kPart>(t, own, x, ends, goes_on, begins);
    }
  }
  if (row < 2) return;
  const Vec<float> bias = t.bias ? load(t.bias + ch) : -Vec<float>{}, lo = set1(t.lo), hi = set1(t.hi);
  float* y = t.y + (ch + (row - 2) * t.y_row);
  NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p, y += t.y_step) {
    if (!kPart || p < t.pixels) store(y, min_keep_nan(max_keep_nan(ends[p] + bias, lo), hi));
  }
}

template <bool kPart, bool kSlices>
void walk_vector(const DepthwiseWalk& t, int64_t ch) {
  WalkWeights w;
  if (!kSlices) load_weights(t, 0, ch, w);
  WalkSums a, b, c;
  NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) a[p] = b[p] = Vec<float>{};
  for (int64_t row = 0, rows = t.rows + 2;;) {
    walk_row<kPart, kSlices>(t, w, row, ch, a, b, c);
    if (++row == rows) return;
    walk_row<kPart, kSlices>(t, w, row, ch, b, c, a);
    if (++row == rows) return;
    walk_row<kPart, kSlices>(t, w, row, ch, c, a, b);
    if (++row == rows) return;
  }
}

/// A vector of channels goes all the way down before the next: what is left of the last overlaps the one before.
template <int LANES>
void depthwise_walk(const DepthwiseWalk& t, int64_t begin, int64_t end) {
  const bool whole = t.pixels == kWalkPixels && t.first == 0 && t.last == kWalkPixels + 2;
  const auto walk = t.slices != 1 ? walk_vector<true, true>
                    : whole       ? walk_vector<false, false>
                                  : walk_vector<true, false>;
  for (int64_t ch = begin; ch < end; ch += LANES) walk(t, ch + LANES <= end ? ch : end - LANES);
}

}  // namespace
}  // namespace nhwc
