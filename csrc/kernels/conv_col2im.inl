// csrc/kernels/conv_col2im.inl -- outputs as sums of products that lie evenly apart
#pragma once

#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

/// One vector of N chunks, the first of them at y and `from` values behind the sources.
template <class T, int N>
NHWC_INLINE void gather_vector(const ProductSum<T>& g, int64_t from, T* y, int64_t v) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[N];
  NHWC_UNROLL for (int i = 0; i < N; ++i) acc[i] = Vec<T>{};
  for (int64_t s = 0; s < g.sources; ++s) {
    const T* x = g.x[s] + from + v;
    const int64_t left = g.values[s] - v;
    if (left >= lanes || left >= g.n - v) {
      NHWC_UNROLL for (int i = 0; i < N; ++i) acc[i] += load(x + i * g.step);
    } else if (left > 0) {
      NHWC_UNROLL for (int i = 0; i < N; ++i) acc[i] += load_n(x + i * g.step, static_cast<int>(left));
    }
  }
  const Vec<T> bias = load(g.bias + v), lo = set1(g.lo), hi = set1(g.hi);
  NHWC_UNROLL for (int i = 0; i < N; ++i) store(y + i * g.n + v, min_keep_nan(max_keep_nan(acc[i] + bias, lo), hi));
}

/// What a store leaves beyond a chunk is written again with the next one.
template <class T>
void gather_row(const ProductSum<T>& g) {
  constexpr int lanes = kLanes<T>, at_once = 4;
  if (g.n > lanes) {
    for (int64_t j = 0; j < g.count; ++j)
      for (int64_t v = 0; v < g.n; v += lanes) gather_vector<T, 1>(g, j * g.step, g.y + j * g.n, v);
    return;
  }
  int64_t j = 0;
  for (; j + at_once <= g.count; j += at_once) gather_vector<T, at_once>(g, j * g.step, g.y + j * g.n, 0);
  for (; j < g.count; ++j) gather_vector<T, 1>(g, j * g.step, g.y + j * g.n, 0);
}

}  // namespace
}  // namespace nhwc
