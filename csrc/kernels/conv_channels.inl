// csrc/kernels/conv_channels.inl -- depthwise and small-group tiles: a vector of channels x PX pixels
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

template <class T, int PX, bool kTail>
NHWC_INLINE void depthwise_vector(const ChannelTile<T>& t, int64_t ch, int n) {
  Vec<T> acc[PX];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const Vec<T> w = load(t.w + t.tap_ids[tap] * t.w_step + ch);
    const T* const* a = t.a + tap * PX;
    NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p] = fma(kTail ? load_n(a[p] + ch, n) : load(a[p] + ch), w, acc[p]);
  }
  NHWC_UNROLL for (int p = 0; p < PX; ++p)
      finish_vector(t.y[p] + ch, acc[p], t.bias ? t.bias + ch : nullptr, t.lo, t.hi, false, kTail ? n : kLanes<T>);
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

template <class T, bool kTwo>
NHWC_INLINE Vec<T> group_inputs(const T* x, Vec<IntOf<T>> index, int readable, bool whole) {
  constexpr int lanes = kLanes<T>;
  if (!kTwo) return permute<T>(whole ? load(x) : load_n(x, readable < lanes ? readable : lanes), index);
  if (whole) return permute2<T>(load(x), load(x + lanes), index);
  return permute2<T>(load_n(x, readable < lanes ? readable : lanes),
                     load_n(x + lanes, readable > lanes ? readable - lanes : 0), index);
}

template <class T, int PX, bool kTwo>
NHWC_INLINE void grouped_vector(const ChannelTile<T>& t, const GroupBlock<T>& g, int64_t ch, int n) {
  constexpr int lanes = kLanes<T>;
  const int64_t base = g.header[0], left = t.channels_in - base;
  const int readable = static_cast<int>(left < 2 * lanes ? left : 2 * lanes);
  const bool whole = readable >= (kTwo ? 2 * lanes : lanes);
  Vec<T> acc[PX];
  NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = g.w + t.tap_ids[tap] * t.c * lanes;
    const T* const* a = t.a + tap * PX;
    for (int64_t ci = 0; ci < t.c; ++ci) {
      const Vec<T> wv = load(w + ci * lanes);
      const auto index = *reinterpret_cast<const typename VectorOf<IntOf<T>>::unaligned*>(g.index + ci * lanes);
      NHWC_UNROLL for (int p = 0; p < PX; ++p) acc[p] =
          fma(group_inputs<T, kTwo>(a[p] + base, index, readable, whole), wv, acc[p]);
    }
  }
  NHWC_UNROLL for (int p = 0; p < PX; ++p)
      finish_vector(t.y[p] + ch, acc[p], t.bias ? t.bias + ch : nullptr, t.lo, t.hi, false, n);
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
    if (g.header[1] <= lanes)
      grouped_vector<T, PX, false>(t, g, ch, n);
    else
      grouped_vector<T, PX, true>(t, g, ch, n);
  }
}

}  // namespace
}  // namespace nhwc
