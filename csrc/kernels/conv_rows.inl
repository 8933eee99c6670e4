// csrc/kernels/conv_rows.inl -- work along rows of memory: conversion of half types, transposition, activations
#pragma once

#include <math.h>

#include "kernels/conv_kernels.h"

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

/// Blocks of one vector each way: the compiler keeps both sides of a block in L1.
template <class T>
void transpose_block(const T* src, int64_t src_step, int64_t rows, int64_t cols, T* dst, int64_t dst_step) {
  constexpr int64_t B = 16;
  for (int64_t j0 = 0; j0 < cols; j0 += B) {
    const int64_t j1 = j0 + B < cols ? j0 + B : cols;
    for (int64_t i0 = 0; i0 < rows; i0 += B) {
      const int64_t i1 = i0 + B < rows ? i0 + B : rows;
      for (int64_t j = j0; j < j1; ++j)
        for (int64_t i = i0; i < i1; ++i) dst[j * dst_step + i] = src[i * src_step + j];
    }
  }
}

NHWC_INLINE float exp_of(float x) { return expf(x); }
NHWC_INLINE double exp_of(double x) { return ::exp(x); }
NHWC_INLINE float erf_of(float x) { return erff(x); }
NHWC_INLINE double erf_of(double x) { return ::erf(x); }
NHWC_INLINE float tanh_of(float x) { return tanhf(x); }
NHWC_INLINE double tanh_of(double x) { return ::tanh(x); }

template <class T>
NHWC_INLINE T activate_one(T x, Activation f) {
  switch (f) {
    case Activation::relu:
      return T(0) > x ? T(0) : x;
    case Activation::relu6:
      x = T(0) > x ? T(0) : x;
      return T(6) < x ? T(6) : x;
    case Activation::leaky_relu:
      return x < T(0) ? x * T(0.01) : x;
    case Activation::silu:
      return x / (T(1) + exp_of(-x));
    case Activation::gelu:
      return T(0.5) * x * (T(1) + erf_of(x * T(0.70710678118654752440)));
    case Activation::tanh:
      return tanh_of(x);
    case Activation::sigmoid:
      return T(1) / (T(1) + exp_of(-x));
    case Activation::none:
      break;
  }
  return x;
}

template <class T>
void activate_row(const T* src, T* dst, int64_t n, Activation f) {
  for (int64_t i = 0; i < n; ++i) dst[i] = activate_one(src[i], f);
}

}  // namespace
}  // namespace nhwc
