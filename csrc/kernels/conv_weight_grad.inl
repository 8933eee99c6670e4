// csrc/kernels/conv_weight_grad.inl -- register tiles of the weight gradient: channels x channels, summed over pixels
#pragma once

#include "kernels/conv_channels.inl"

namespace nhwc {
namespace {

template <class T, int MR, int NV>
void grad_tile(const GradTile<T>& t) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[MR][NV];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<T>{};
  const int64_t a_step = t.a_step, b_step = t.b_step;
  for (int64_t r = 0; r < t.n_runs; ++r) {
    const T* a = t.runs[r].a + t.a_offset;
    const T* b = t.runs[r].b + t.b_offset;
    for (int64_t i = t.runs[r].n; i > 0; --i) {
      Vec<T> bv[NV];
      NHWC_UNROLL for (int v = 0; v < NV; ++v) bv[v] = load(b + v * lanes);
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = splat(a + m);
        NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, bv[v], acc[m][v]);
      }
      a += a_step;
      b += b_step;
    }
  }
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) {
    T* y = t.acc + m * t.acc_step + v * lanes;
    store(y, load(y) + acc[m][v]);
  }
}

/// Few pixels at a time, so that all of their channels are read while they are near.
template <class T>
void grad_pack(const GradPack<T>& p) {
  constexpr int lanes = kLanes<T>;
  constexpr int64_t kAtOnce = 8;
  for (int64_t done = 0; done < p.pixels; done += kAtOnce) {
    const int64_t pixels = done + kAtOnce < p.pixels ? kAtOnce : p.pixels - done;
    for (int64_t i = p.begin; i < p.end; ++i) {
      const int64_t first = i * p.cut / p.pieces, rest = p.n - first;
      for (int64_t l = 0; l < p.width; l += lanes) {
        const T* from = p.src + done * p.src_step + first + l;
        T* to = p.dst + (i - p.begin) * p.dst_piece + done * p.width + l;
        const int64_t n = rest - l;
        if (n >= lanes)
          for (int64_t j = 0; j < pixels; ++j) store(to + j * p.width, load(from + j * p.src_step));
        else
          for (int64_t j = 0; j < pixels; ++j)
            store(to + j * p.width, n > 0 ? load_n(from + j * p.src_step, static_cast<int>(n)) : Vec<T>{});
      }
    }
  }
}

template <class T, int TAPS, int NV, bool kTail>
NHWC_INLINE void depthwise_grad_vectors(const ChannelGrad<T>& t, int64_t ch, int n) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[TAPS][NV];
  NHWC_UNROLL for (int k = 0; k < TAPS; ++k) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[k][v] = Vec<T>{};
  for (int64_t r = 0; r < t.n_runs; ++r) {
    const T* a = t.runs[r].a + ch;
    const T* b = t.runs[r].b + ch;
    for (int64_t i = t.runs[r].n; i > 0; --i, a += t.a_step, b += t.b_step) {
      Vec<T> g[NV];
      NHWC_UNROLL for (int v = 0; v < NV; ++v) g[v] = kTail ? load_n(b, n) : load(b + v * lanes);
      NHWC_UNROLL for (int k = 0; k < TAPS; ++k) NHWC_UNROLL for (int v = 0; v < NV; ++v) {
        const T* x = a + k * t.a_tap + v * lanes;
        acc[k][v] = fma(kTail ? load_n(x, n) : load(x), g[v], acc[k][v]);
      }
    }
  }
  NHWC_UNROLL for (int k = 0; k < TAPS; ++k) NHWC_UNROLL for (int v = 0; v < NV; ++v) {
    T* y = t.acc + k * t.acc_tap + ch + v * lanes;
    store_n(y, load_n(y, n) + acc[k][v], n);
  }
}

/// One tap needs four vectors to hide the latency of the sums, several taps have sums enough.
template <class T, int TAPS>
void depthwise_grad(const ChannelGrad<T>& t) {
  constexpr int lanes = kLanes<T>, NV = TAPS == 1 ? kGradVectors : 2;
  int64_t ch = 0;
  for (; ch + NV * lanes <= t.n; ch += NV * lanes) depthwise_grad_vectors<T, TAPS, NV, false>(t, ch, lanes);
  for (; ch + lanes <= t.n; ch += lanes) depthwise_grad_vectors<T, TAPS, 1, false>(t, ch, lanes);
  if (ch < t.n) depthwise_grad_vectors<T, TAPS, 1, true>(t, ch, static_cast<int>(t.n - ch));
}

template <class T, int C, Span kSpan>
NHWC_INLINE void grouped_grad_vector(const ChannelGrad<T>& t) {
  constexpr int lanes = kLanes<T>;
  const IntOf<T>* index = static_cast<const IntOf<T>*>(t.index);
  Vec<T> acc[C];
  NHWC_UNROLL for (int c = 0; c < C; ++c) acc[c] = Vec<T>{};
  for (int64_t r = 0; r < t.n_runs; ++r) {
    const T* a = t.runs[r].a;
    const T* b = t.runs[r].b;
    for (int64_t i = t.runs[r].n; i > 0; --i, a += t.a_step, b += t.b_step) {
      const Vec<T> g = kSpan == Span::cut ? load_n(b, t.n) : load(b);
      NHWC_UNROLL for (int c = 0; c < C; ++c) {
        const auto at = *reinterpret_cast<const typename VectorOf<IntOf<T>>::unaligned*>(index + c * lanes);
        acc[c] = fma(group_inputs<T, kSpan>(a, at, t.a_n), g, acc[c]);
      }
    }
  }
  NHWC_UNROLL for (int c = 0; c < C; ++c) store(t.acc + c * lanes, load(t.acc + c * lanes) + acc[c]);
}

/// a_n above one vector means that the inputs span two.
template <class T, int C>
void grouped_grad(const ChannelGrad<T>& t) {
  constexpr int lanes = kLanes<T>;
  if (t.n == lanes && t.a_n == lanes)
    grouped_grad_vector<T, C, Span::one>(t);
  else if (t.n == lanes && t.a_n >= 2 * lanes)
    grouped_grad_vector<T, C, Span::two>(t);
  else
    grouped_grad_vector<T, C, Span::cut>(t);
}

}  // namespace
}  // namespace nhwc
