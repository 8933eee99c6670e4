// csrc/kernels/conv_rows.inl -- work along rows of memory: conversion of half types, transposition, activations
#pragma once

#include "kernels/conv_kernels.h"
#include "kernels/elementwise_math.inl"

namespace nhwc {
namespace {

template <class H>
void widen_row(const H* src, float* dst, int64_t n) {
  constexpr int lanes = kLanes<float>;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(dst + i, widen(src + i));
  if (i == n) return;
  H rest[lanes] = {};
  for (int64_t j = i; j < n; ++j) rest[j - i].bits = src[j].bits;
  store_n(dst + i, widen(rest), static_cast<int>(n - i));
}

template <class H>
void narrow_row(const float* src, H* dst, int64_t n) {
  constexpr int lanes = kLanes<float>;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) narrow(dst + i, load(src + i));
  if (i == n) return;
  H rest[lanes];
  narrow(rest, load_n(src + i, static_cast<int>(n - i)));
  for (int64_t j = i; j < n; ++j) dst[j].bits = rest[j - i].bits;
}

/// The perfect shuffle of two vectors: lanes of a and b alternate. Done log2(lanes) times over all rows it transposes.
template <class T, bool kHigh>
NHWC_INLINE Vec<T> interleave(Vec<T> a, Vec<T> b) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> index = {};
  NHWC_UNROLL for (int i = 0; i < lanes; ++i) index[i] = i / 2 + (i % 2) * lanes + (kHigh ? lanes / 2 : 0);
  return permute2<T>(a, b, index);
}

template <class T>
NHWC_INLINE void transpose_square(const T* src, int64_t src_step, T* dst, int64_t dst_step) {
  constexpr int lanes = kLanes<T>;
  Vec<T> r[lanes], t[lanes];
  NHWC_UNROLL for (int i = 0; i < lanes; ++i) r[i] = load(src + i * src_step);
  NHWC_UNROLL for (int round = 1; round < lanes; round *= 2) {
    NHWC_UNROLL for (int i = 0; i < lanes / 2; ++i) {
      t[2 * i] = interleave<T, false>(r[i], r[i + lanes / 2]);
      t[2 * i + 1] = interleave<T, true>(r[i], r[i + lanes / 2]);
    }
    NHWC_UNROLL for (int i = 0; i < lanes; ++i) r[i] = t[i];
  }
  NHWC_UNROLL for (int i = 0; i < lanes; ++i) store(dst + i * dst_step, r[i]);
}

/// dst[j][i] = src[i][j]: squares of one vector, then what is left over.
template <class T>
void transpose_block(const T* src, int64_t src_step, int64_t rows, int64_t cols, T* dst, int64_t dst_step) {
  constexpr int64_t lanes = kLanes<T>;
  const int64_t whole_rows = rows / lanes * lanes, whole_cols = cols / lanes * lanes;
  for (int64_t i = 0; i < whole_rows; i += lanes)
    for (int64_t j = 0; j < whole_cols; j += lanes)
      transpose_square(src + i * src_step + j, src_step, dst + j * dst_step + i, dst_step);
  for (int64_t j = 0; j < cols; ++j)
    for (int64_t i = j < whole_cols ? whole_rows : 0; i < rows; ++i) dst[j * dst_step + i] = src[i * src_step + j];
}

template <class T, class F>
NHWC_INLINE void map_row(const T* src, T* dst, int64_t n, F f) {
  for (int64_t i = 0; i < n; ++i) dst[i] = f(src[i]);
}

template <class T>
void add_row(const T* x, T* y, int64_t n) {
  constexpr int lanes = kLanes<T>;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, load(y + i) + load(x + i));
  store_n(y + i, load_n(y + i, static_cast<int>(n - i)) + load_n(x + i, static_cast<int>(n - i)),
          static_cast<int>(n - i));
}

template <class T>
void activate_row(const T* src, T* dst, int64_t n, Activation f) {
  switch (f) {
    case Activation::relu:
      return map_row(src, dst, n, [](T x) { return T(0) > x ? T(0) : x; });
    case Activation::relu6:
      return map_row(src, dst, n, [](T x) {
        x = T(0) > x ? T(0) : x;
        return T(6) < x ? T(6) : x;
      });
    case Activation::leaky_relu:
      return map_row(src, dst, n, [](T x) { return x < T(0) ? x * T(0.01) : x; });
    case Activation::silu:
      return map_row(src, dst, n, [](T x) { return math::silu(x); });
    case Activation::gelu:
      return map_row(src, dst, n, [](T x) { return math::gelu(x); });
    case Activation::tanh:
      return map_row(src, dst, n, [](T x) { return math::tanh(x); });
    case Activation::sigmoid:
      return map_row(src, dst, n, [](T x) { return math::sigmoid(x); });
    case Activation::none:
      return map_row(src, dst, n, [](T x) { return x; });
  }
}

}  // namespace
}  // namespace nhwc
