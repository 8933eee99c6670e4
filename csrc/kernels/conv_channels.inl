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
  if (kSpan == Span::one) return permute<T>(load(x), index);
  if (kSpan == Span::two) return permute2<T>(load(x), load(x + lanes), index);
  return permute2<T>(load_n(x, readable < lanes ? readable : lanes),
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
