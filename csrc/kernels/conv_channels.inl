// csrc/kernels/conv_channels.inl -- depthwise and small-group tiles: a vector of channels x PX pixels
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

template <class T, int PX, bool kTail>
NHWC_INLINE void depthwise_vector(const ChannelTile<T>& t, int64_t ch, int n) {
  Vec<T> acc[PX][1];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const Vec<T> w = load(t.w + t.tap_ids[tap] * t.w_step + ch);
    const T* const* a = t.a + tap * PX;
    NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] =
        fma(kTail ? load_n(a[p] + ch, n) : load(a[p] + ch), w, acc[p][0]);
  }
  finish_tile<T, PX, 1>({t.y, ch, t.bias ? t.bias + ch : nullptr, t.lo, t.hi, n, PX}, acc);
}

template <class T, int PX>
void depthwise_tile(const ChannelTile<T>& t) {
  constexpr int lanes = kLanes<T>;
  int64_t ch = 0;
  for (; ch + lanes <= t.n; ch += lanes) depthwise_vector<T, PX, false>(t, ch, lanes);
  if (ch < t.n) depthwise_vector<T, PX, true>(t, ch, static_cast<int>(t.n - ch));
}

/// NV vectors of channels; kTail: the first n of one.
template <class T, int NV, bool kTail>
NHWC_INLINE void pixel_channels(const DepthwisePixel<T>& t, int64_t ch, int n) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[NV];
  NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[v] = Vec<T>{};
  for (int64_t d = 0; d < t.depths; ++d)
    for (int64_t r = 0; r < t.rows; ++r) {
      const T *x = t.x + (d * t.x_depth + r * t.x_row + ch), *w = t.w + (d * t.w_depth + r * t.w_row + ch);
      for (int64_t k = 0; k < t.columns; ++k, x += t.x_column, w += t.w_column)
        NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[v] =
            fma(kTail ? load_n(x, n) : load(x + v * lanes), load(w + v * lanes), acc[v]);
    }
  const Vec<T> lo = set1(t.lo), hi = set1(t.hi);
  NHWC_UNROLL for (int v = 0; v < NV; ++v) {
    const T* bias = t.bias + ch + v * lanes;
    if (t.bias) acc[v] += kTail ? load_n(bias, n) : load(bias);
    const Vec<T> y = min_keep_nan(max_keep_nan(acc[v], lo), hi);
    T* to = t.y + ch + v * lanes;
    if (kTail)
      store_n(to, y, n);
    else if (kStreams && t.stream)
      stream(to, y);
    else
      store(to, y);
  }
}

template <class T>
void depthwise_pixel(const DepthwisePixel<T>& t) {
  constexpr int lanes = kLanes<T>, vectors = kFreeMasks ? 16 : 8;
  int64_t ch = 0;
  for (; ch + vectors * lanes <= t.n; ch += vectors * lanes) pixel_channels<T, vectors, false>(t, ch, lanes);
  for (; ch + 4 * lanes <= t.n; ch += 4 * lanes) pixel_channels<T, 4, false>(t, ch, lanes);
  for (; ch + lanes <= t.n; ch += lanes) pixel_channels<T, 1, false>(t, ch, lanes);
  if (ch < t.n) pixel_channels<T, 1, true>(t, ch, static_cast<int>(t.n - ch));
}

/// Where the inputs of one output vector lie: lane l of channel ci reads lane index[ci][l] of the vectors at `x`.
template <class T>
struct GroupBlock {
  const IntOf<T>* header;  // [0]: first input channel, [1]: lanes that the inputs span
  const IntOf<T>* index;   // [c][lanes]
  const T* w;              // [kernel][c][lanes]
};

/// How the inputs of an output vector are read: one vector, two, or two that end beyond the channels.
enum class Span { one, two, cut };

template <class T, Span kSpan>
NHWC_INLINE Vec<T> group_inputs(const T* x, Vec<IntOf<T>> index, int readable) {
  constexpr int lanes = kLanes<T>;
  if (kSpan == Span::one) return lookup(load(x), index);
  if (kSpan == Span::two) return lookup2(load(x), load(x + lanes), index);
  return lookup2(load_n(x, readable < lanes ? readable : lanes),
                 load_n(x + lanes, readable > lanes ? readable - lanes : 0), index);
}

template <class T, int PX, Span kSpan>
NHWC_INLINE void grouped_vector(const ChannelTile<T>& t, const GroupBlock<T>& g, int64_t ch, int n, int readable) {
  constexpr int lanes = kLanes<T>;
  const int64_t base = g.header[0];
  Vec<T> acc[PX][1];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = g.w + t.tap_ids[tap] * t.c * lanes;
    const T* const* a = t.a + tap * PX;
    for (int64_t ci = 0; ci < t.c; ++ci) {
      const Vec<T> wv = load(w + ci * lanes);
      const auto index = *reinterpret_cast<const typename VectorOf<IntOf<T>>::unaligned*>(g.index + ci * lanes);
      NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p][0] =
          fma(group_inputs<T, kSpan>(a[p] + base, index, readable), wv, acc[p][0]);
    }
  }
  finish_tile<T, PX, 1>({t.y, ch, t.bias ? t.bias + ch : nullptr, t.lo, t.hi, n, PX}, acc);
}

template <class T, int PX>
void grouped_tile(const ChannelTile<T>& t) {
  constexpr int lanes = kLanes<T>;
  const int64_t block = (1 + t.c + t.kernel * t.c) * lanes;
  const T* packed = t.w;
  for (int64_t ch = 0; ch < t.n; ch += lanes, packed += block) {
    GroupBlock<T> g;
    g.header = reinterpret_cast<const IntOf<T>*>(packed);
    g.index = g.header + lanes;
    g.w = packed + (1 + t.c) * lanes;
    const int n = t.n - ch < lanes ? static_cast<int>(t.n - ch) : lanes;
    const int64_t left = t.channels_in - g.header[0];
    const bool one = g.header[1] <= lanes;
    if (left < (one ? lanes : 2 * lanes))
      grouped_vector<T, PX, Span::cut>(t, g, ch, n, static_cast<int>(left));
    else if (one)
      grouped_vector<T, PX, Span::one>(t, g, ch, n, lanes);
    else
      grouped_vector<T, PX, Span::two>(t, g, ch, n, 2 * lanes);
  }
}

}  // namespace
}  // namespace nhwc
