// csrc/kernels/conv_depthwise.inl -- depthwise tiles of one output row: segments of a kernel row stay in registers
#pragma once

#include "kernels/conv_channels.inl"
#include "plan/conv_tiles.h"

namespace nhwc {
namespace {

NHWC_INLINE Vec<float> load_wide(const float* p) { return load(p); }
template <class H>
NHWC_INLINE Vec<float> load_wide(const H* p) {
  return widen(p);
}
template <bool kTail, class S>
NHWC_INLINE Vec<float> load_wide(const S* p, [[maybe_unused]] int n) {
  if constexpr (kTail)
    return load_n(p, n);
  else
    return load_wide(p);
}
NHWC_INLINE void store_narrow(float* p, Vec<float> v, bool past_caches) {
  if (kStreams && past_caches)
    stream(p, v);
  else
    store(p, v);
}
template <class H>
NHWC_INLINE void store_narrow(H* p, Vec<float> v, bool) {
  narrow(p, v);
}

/// The first `pixels` outputs of a tile, `step` apart; all of them without kPart.
template <bool kPart, int PX, class S>
NHWC_INLINE void store_outputs(S* y, int64_t step, int pixels, const Vec<float> (&v)[PX][1], bool past_caches) {
  NHWC_UNROLL for (int p = 0; p < PX; ++p, y += step) {
    if (kPart && p >= pixels) return;
    store_narrow(y, v[p][0], past_caches);
  }
}

/// KW adjacent taps: every column is loaded once.
template <int KW, int S, int PX, bool kTail, class X>
NHWC_INLINE void add_segment(const DepthwiseRow<float>& t, uint32_t inside, const X* x, const float* w, int n,
                             Vec<float> (&acc)[PX][1]) {
  constexpr int columns = (PX - 1) * S + KW;
  static_assert(columns <= 32);
  Vec<float> wv[KW];
  NHWC_UNROLL for (int k = 0; k < KW; ++k, w += t.w_step) wv[k] = load(w);
  NHWC_UNROLL for (int j = 0; j < columns; ++j, x += t.x_step) {
    if (!(inside >> j & 1)) continue;
    const Vec<float> v = in_register(load_wide<kTail>(x, n));
    NHWC_UNROLL for (int p = 0; p < PX; ++p) {
      const int k = j - p * S;
      if (k >= 0 && k < KW) acc[p][0] = fma(v, wv[k], acc[p][0]);
    }
  }
}

/// A single tap, at any stride.
template <int PX, bool kTail, class X>
NHWC_INLINE void add_tap(const DepthwiseRow<float>& t, uint32_t inside, const X* x, const float* w, int n,
                         Vec<float> (&acc)[PX][1]) {
  const Vec<float> wv = load(w);
  NHWC_UNROLL for (int p = 0; p < PX; ++p, x += t.pixel_step) {
    if (inside >> p & 1) acc[p][0] = fma(load_wide<kTail>(x, n), wv, acc[p][0]);
  }
}

template <int PX>
NHWC_INLINE void load_row(const DepthwiseRow<float>& t, int64_t ch, Vec<float> (&acc)[PX][1]) {
  const float* y = static_cast<const float*>(t.y) + ch;
  NHWC_UNROLL for (int p = 0; p < PX; ++p, y += t.y_step) {
    if (p < t.pixels) acc[p][0] = load(y);
  }
}

template <int PX, bool kTail, class X>
NHWC_INLINE void store_row(const DepthwiseRow<float>& t, int64_t ch, int n, Vec<float> (&acc)[PX][1]) {
  Vec<float> bias = -Vec<float>{};  // -0 changes nothing, +0 would change -0
  if (t.bias) bias = kTail ? load_n(t.bias + ch, n) : load(t.bias + ch);
  const Vec<float> lo = set1(t.lo), hi = set1(t.hi);
  X* y = static_cast<X*>(t.y) + ch;
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] = min_keep_nan(max_keep_nan(acc[p][0] + bias, lo), hi);
  if constexpr (kTail) {
    NHWC_UNROLL for (int p = 0; p < PX; ++p, y += t.y_step) {
      if (p == t.pixels) return;
      store_n(y, acc[p][0], n);
    }
  } else {
    store_outputs<true, PX>(y, t.y_step, t.pixels, acc, t.stream);
  }
}

/// Asks for one row of what the next outputs read first, the share of a vector of channels. A call, whose pointers take
/// no registers of the sums where nothing is asked for.
template <class X>
[[gnu::noinline, gnu::cold]] void ask_ahead(const DepthwiseRow<float>& t, int64_t ch, int64_t depth, int64_t row) {
  const X* next = static_cast<const X*>(t.ahead) + (ch * t.ahead_vector + depth * t.x_depth + row * t.ahead_row);
  for (int64_t j = 0; j < t.ahead_columns; ++j, next += t.ahead_step) __builtin_prefetch(next);
  keep_calls();
}

/// One vector of channels, for which it asks for input rows of the next outputs meanwhile; kTail: the first n of it.
template <class X, int KW, int S, int PX, bool kTail>
NHWC_INLINE void depthwise_row_vector(const DepthwiseRow<float>& t, int64_t ch, int n) {
  Vec<float> acc[PX][1];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] = Vec<float>{};
  if (S > 1 && !kTail && sizeof(X) == sizeof(float) && t.adds) load_row(t, ch, acc);
  const DepthwisePiece *singles = t.pieces + t.segments, *end = singles + t.singles;
  for (int64_t d = 0; d < t.depths; ++d) {
    const X* x = static_cast<const X*>(t.x) + (ch + d * t.x_depth);
    const float* w = t.w + (ch + d * t.w_depth);
    for (int64_t r = 0; r < t.rows; ++r, x += t.x_row, w += t.w_row) {
      if (!kTail && r < t.ahead_rows) ask_ahead<X>(t, ch, d, r);
      const DepthwisePiece* e = t.pieces;
      for (; e < singles; ++e) add_segment<KW, S, PX, kTail>(t, e->inside, x + e->x, w + e->w, n, acc);
      for (; e < end; ++e) add_tap<PX, kTail>(t, e->inside, x + e->x, w + e->w, n, acc);
    }
  }
  store_row<PX, kTail, X>(t, ch, n, acc);
}

/// What is left of the last vector overlaps the one before.
template <class X, int KW, int S, int PX>
void depthwise_row_vectors(const DepthwiseRow<float>& t, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<float>;
  for (int64_t ch = begin; ch < end; ch += lanes)
    depthwise_row_vector<X, KW, S, PX, false>(t, ch + lanes <= end ? ch : end - lanes, lanes);
}

template <int KW, int S, int PX>
void depthwise_row(const DepthwiseRow<float>& t, int64_t begin, int64_t end) {
  if (end - begin < kLanes<float>)
    depthwise_row_vector<float, KW, S, PX, true>(t, begin, static_cast<int>(end - begin));
  else
    depthwise_row_vectors<float, KW, S, PX>(t, begin, end);
}

/// The kernels for a half type; 3x3 of stride 1 goes down its strip.
template <class H, int COLUMNS, int STRIDE>
void add_half_row(void (*(&to)[2])(const DepthwiseRow<float>&, int64_t, int64_t)) {
  constexpr int pixels = kConvTiles[static_cast<int>(kIsa)].pixels;
  if constexpr (COLUMNS > 3 || STRIDE > 1) {
    to[0] = depthwise_row_vectors<H, COLUMNS, STRIDE, pixels>;
    to[1] = depthwise_row_vectors<H, COLUMNS, STRIDE, pixels / 2>;
  }
}

using WalkSums = Vec<float>[kWalkPixels][1];

using WalkWeights = Vec<float>[3][3];
NHWC_INLINE void load_weights(const DepthwiseWalk& t, int64_t slice, int64_t ch, WalkWeights& w) {
  NHWC_UNROLL for (int r = 0; r < 3; ++r) NHWC_UNROLL for (int k = 0; k < 3; ++k) w[r][k] =
      load(t.w + ((slice * 9 + r * 3 + k) * t.w_step + ch));
}

/// One input row into the sums of the rows of outputs that end, go on and begin with it.
template <bool kPart, class S>
NHWC_INLINE void add_walk_row(const DepthwiseWalk& t, const WalkWeights& w, const S* x, WalkSums& ends,
                              WalkSums& goes_on, WalkSums& begins) {
  NHWC_UNROLL for (int j = 0; j < kWalkPixels + 2; ++j, x += t.x_step) {
    if (kPart && (j < t.first || j >= t.last)) continue;
    const Vec<float> v = load_wide(x);
    __builtin_prefetch(x + t.ahead);
    NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) {
      const int k = j - p;
      if (k < 0 || k > 2) continue;
      ends[p][0] = fma(v, w[2][k], ends[p][0]);
      goes_on[p][0] = fma(v, w[1][k], goes_on[p][0]);
      begins[p][0] = fma(v, w[0][k], begins[p][0]);
    }
  }
}

/// The row of every slice; then the outputs that end are stored. kWhole: one slice, no column is outside, all outputs
/// are there; else weights are loaded for each row of each slice, as a kernel for one slice alone would gain little.
template <bool kWhole, class S>
NHWC_INLINE void walk_row(const DepthwiseWalk& t, const WalkWeights& w, int64_t row, int64_t ch, WalkSums& ends,
                          WalkSums& goes_on, WalkSums& begins) {
  NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) begins[p][0] = Vec<float>{};
  if (row >= t.top && row < t.bottom) {
    const S* x = static_cast<const S*>(t.x) + (ch + row * t.x_row);
    if (kWhole) add_walk_row<false>(t, w, x, ends, goes_on, begins);
    for (int64_t slice = 0; !kWhole && slice < t.slices; ++slice, x += t.x_slice) {
      WalkWeights own;
      load_weights(t, slice, ch, own);
      add_walk_row<true>(t, own, x, ends, goes_on, begins);
    }
  }
  if (row < 2) return;
  const Vec<float> bias = t.bias ? load(t.bias + ch) : -Vec<float>{}, lo = set1(t.lo), hi = set1(t.hi);
  S* y = static_cast<S*>(t.y) + (ch + (row - 2) * t.y_row);
  NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) ends[p][0] = min_keep_nan(max_keep_nan(ends[p][0] + bias, lo), hi);
  store_outputs<!kWhole>(y, t.y_step, t.pixels, ends, t.stream);
}

template <bool kWhole, class S>
void walk_vector(const DepthwiseWalk& t, int64_t ch) {
  WalkWeights w;
  if (kWhole) load_weights(t, 0, ch, w);
  WalkSums a, b, c;
  NHWC_UNROLL for (int p = 0; p < kWalkPixels; ++p) a[p][0] = b[p][0] = Vec<float>{};
  for (int64_t row = 0, rows = t.rows + 2;;) {
    walk_row<kWhole, S>(t, w, row, ch, a, b, c);
    if (++row == rows) return;
    walk_row<kWhole, S>(t, w, row, ch, b, c, a);
    if (++row == rows) return;
    walk_row<kWhole, S>(t, w, row, ch, c, a, b);
    if (++row == rows) return;
  }
}

/// A vector of channels goes all the way down before the next: what is left of the last overlaps the one before.
template <class S>
void depthwise_walk(const DepthwiseWalk& t, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<float>;
  const bool whole = t.pixels == kWalkPixels && t.first == 0 && t.last == kWalkPixels + 2;
  const auto walk = whole && t.slices == 1 ? walk_vector<true, S> : walk_vector<false, S>;
  for (int64_t ch = begin; ch < end; ch += lanes) walk(t, ch + lanes <= end ? ch : end - lanes);
}

}  // namespace
}  // namespace nhwc
