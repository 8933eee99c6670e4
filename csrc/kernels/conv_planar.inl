// csrc/kernels/conv_planar.inl -- planes of channels: into them, products along their pixels, and out of them
#pragma once

#include <type_traits>

#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

/// A tile of O outputs x V vectors of pixels, `at` pixels from the first.
template <class T, int O, int V>
NHWC_INLINE void planar_tile(const PlanarTile<T>& t, int64_t at) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[O][V];
  NHWC_UNROLL for (int o = 0; o < O; ++o) NHWC_UNROLL for (int v = 0; v < V; ++v) acc[o][v] = Vec<T>{};
  const T* const base = t.x + at;
  for (const PlanarTerm *i = t.terms, *end = i + t.n_terms; i < end; ++i) {
    const T *x = base + i->x, *w = t.w + i->w * O;
    Vec<T> pixels[V];
    NHWC_UNROLL for (int v = 0; v < V; ++v) pixels[v] = load(x + v * lanes);
    NHWC_UNROLL for (int o = 0; o < O; ++o) {
      const Vec<T> weight = splat(w + o);
      NHWC_UNROLL for (int v = 0; v < V; ++v) acc[o][v] = fma(pixels[v], weight, acc[o][v]);
    }
  }
  T* y = t.y + at;
  NHWC_UNROLL for (int o = 0; o < O; ++o, y += t.y_step) NHWC_UNROLL for (int v = 0; v < V; ++v)
      store(y + v * lanes, acc[o][v]);
}

/// What is left after whole tiles goes as a small one or, beyond its end, as a whole one.
template <class T, int O>
void planar_tiles(const PlanarTile<T>& t) {
  constexpr int lanes = kLanes<T>, whole = planar_vectors(kIsa, O), small = planar_small_vectors(kIsa, O);
  int64_t v = 0;
  for (; t.vectors - v > (small < whole ? small : 0); v += whole) planar_tile<T, O, whole>(t, v * lanes);
  if constexpr (small < whole)
    if (v < t.vectors) planar_tile<T, O, small>(t, v * lanes);
}

/// V vectors of interleaved channels; with kOne all have the same weights.
template <class T, int V, bool kOne>
NHWC_INLINE void interleaved_tile(const PlanarTile<T>& t, int64_t at, const T* weights) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[V];
  NHWC_UNROLL for (int v = 0; v < V; ++v) acc[v] = Vec<T>{};
  const T* const base = t.x + at;
  for (const PlanarTerm *i = t.terms, *end = i + t.n_terms; i < end; ++i) {
    const T *x = base + i->x, *w = weights + i->w * t.w_step;
    const Vec<T> one = load(w);
    NHWC_UNROLL for (int v = 0; v < V; ++v) acc[v] = fma(load(x + v * lanes), kOne ? one : load(w + v * lanes), acc[v]);
  }
  NHWC_UNROLL for (int v = 0; v < V; ++v) store(t.y + at + v * lanes, acc[v]);
}

template <class T>
void interleaved_tiles(const PlanarTile<T>& t) {
  constexpr int lanes = kLanes<T>, whole = kPlanarSlack;
  if (t.period == 1) {
    for (int64_t v = 0; v < t.vectors; v += whole) interleaved_tile<T, whole, true>(t, v * lanes, t.w);
    return;
  }
  for (int64_t v = 0, phase = 0; v < t.vectors; v += whole, phase = (phase + whole) % t.period)
    interleaved_tile<T, whole, false>(t, v * lanes, t.w + phase * lanes);
}

template <class T>
void pass_rows(const RowPass<T>& p) {
  constexpr int lanes = kLanes<T>;
  const Vec<T> lo = set1(p.lo), hi = set1(p.hi);
  const T* x = p.x;
  T* y = p.y;
  if (p.n < lanes && p.count > 1 && !p.ahead) {  // a few values of each pixel
    const int n = static_cast<int>(p.n);
    const Vec<T> bias = load(p.bias);
    for (int64_t j = 0; j < p.count; ++j, x += p.x_step, y += p.y_step)
      store_n(y, min_keep_nan(max_keep_nan(load_n(x, n) + bias, lo), hi), n);
    return;
  }
  for (int64_t j = 0; j < p.count; ++j, x += p.x_step, y += p.y_step)
    for (int64_t i = 0, phase = 0; i < p.n; i += lanes) {
      const Vec<T> bias = load(p.bias + phase * lanes);
      const auto done = [&](Vec<T> v) { return min_keep_nan(max_keep_nan(v + bias, lo), hi); };
      if (p.ahead) __builtin_prefetch(x + p.ahead + i);
      if (i + lanes <= p.n) {
        store(y + i, done(load(x + i)));
      } else {
        const int rest = static_cast<int>(p.n - i);
        store_n(y + i, done(load_n(x + i, rest)), rest);
      }
      if (++phase == p.period) phase = 0;
    }
}

/// The perfect shuffle within each N lanes: lanes of a and b alternate.
template <class T, int N, bool kHigh>
NHWC_INLINE Vec<T> interleave_blocks(Vec<T> a, Vec<T> b) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> index = {};
  NHWC_UNROLL for (int l = 0; l < lanes; ++l) index[l] = l / N * N + l % N / 2 + (l % 2) * lanes + (kHigh ? N / 2 : 0);
  return permute2<T>(a, b, index);
}

/// Transposes every N x N block: lane b * N + i of r[j] and lane b * N + j of r[i] change places.
template <class T, int N>
NHWC_INLINE void transpose_blocks(Vec<T> (&r)[N]) {
  Vec<T> t[N];
  NHWC_UNROLL for (int round = 1; round < N; round *= 2) {
    NHWC_UNROLL for (int i = 0; i < N / 2; ++i) {
      t[2 * i] = interleave_blocks<T, N, false>(r[i], r[i + N / 2]);
      t[2 * i + 1] = interleave_blocks<T, N, true>(r[i], r[i + N / 2]);
    }
    NHWC_UNROLL for (int i = 0; i < N; ++i) r[i] = t[i];
  }
}

/// Calls f(p, whole) for the vectors of n pixels: the last one overlaps the one before, a lone one may not be whole.
template <class T, class F>
NHWC_INLINE void for_vectors(int64_t n, F f) {
  constexpr int lanes = kLanes<T>;
  if (n < lanes) return f(0, std::false_type{});
  for (int64_t p = 0; p < n; p += lanes) f(p + lanes <= n ? p : n - lanes, std::true_type{});
}

/// Up to N channels: a vector holds those of pixels j, j + N, j + 2 * N ..., so that transposed blocks are planes.
template <class T, int N>
void to_planes_of(const PlaneBlock<T>& b) {
  constexpr int lanes = kLanes<T>;
  const int n = b.channels;
  const int64_t step = b.pixel_step, plane_step = b.plane_step;
  for_vectors<T>(b.n, [&](int64_t p, auto whole) {
    const T* x = b.pixels + p * step;
    if (whole && b.ahead) NHWC_UNROLL for (int i = 0; i < lanes; ++i) __builtin_prefetch(x + b.ahead + i * step);
    Vec<T> r[N];
    NHWC_UNROLL for (int j = 0; j < N; ++j) r[j] = Vec<T>{};
    NHWC_UNROLL for (int at = 0; at < lanes; at += N)
        NHWC_UNROLL for (int j = 0; j < N; ++j, x += step) if (whole || at + j < b.n) r[j] = insert_n(r[j], x, at, n);
    transpose_blocks<T, N>(r);
    T* to = b.planes + p;
    NHWC_UNROLL for (int c = 0; c < N; ++c, to += plane_step) if (c < n) store(to, r[c]);
  });
}

template <class T, int N>
void from_planes_of(const PlaneBlock<T>& b) {
  constexpr int lanes = kLanes<T>;
  const int n = b.channels;
  const int64_t step = b.pixel_step, plane_step = b.plane_step;
  const Vec<T> lo = set1(b.lo), hi = set1(b.hi);
  for_vectors<T>(b.n, [&](int64_t p, auto whole) {
    const T* from = b.planes + p;
    Vec<T> r[N];
    NHWC_UNROLL for (int c = 0; c < N; ++c, from += plane_step) {
      r[c] = Vec<T>{};
      if (c < n) r[c] = min_keep_nan(max_keep_nan(load(from) + set1(b.bias[c]), lo), hi);
    }
    transpose_blocks<T, N>(r);
    T* y = b.pixels + p * step;
    NHWC_UNROLL for (int at = 0; at < lanes; at += N)
        NHWC_UNROLL for (int j = 0; j < N; ++j, y += step) if (whole || at + j < b.n) extract_n(y, r[j], at, n);
  });
}

template <class T>
void to_planes(const PlaneBlock<T>& b) {
  if (b.channels <= 4) return to_planes_of<T, 4>(b);
  if constexpr (kLanes<T> >= 8)
    if (kLanes<T> == 8 || b.channels <= 8) return to_planes_of<T, 8>(b);
  if constexpr (kLanes<T> == 16) to_planes_of<T, 16>(b);
}
template <class T>
void from_planes(const PlaneBlock<T>& b) {
  if (b.channels <= 4) return from_planes_of<T, 4>(b);
  if constexpr (kLanes<T> >= 8)
    if (kLanes<T> == 8 || b.channels <= 8) return from_planes_of<T, 8>(b);
  if constexpr (kLanes<T> == 16) from_planes_of<T, 16>(b);
}

}  // namespace
}  // namespace nhwc
