// csrc/kernels/conv_table.inl -- fills the convolution part of a KernelTable with every tile of the list
#pragma once

#include <utility>

#include "kernels/conv_depthwise.inl"
#include "kernels/conv_dot.inl"
#include "kernels/conv_rows.inl"
#include "kernels/conv_weight_grad.inl"
#include "kernels/conv_winograd.inl"
#include "kernels/fft.inl"
#include "plan/conv_tiles.h"

namespace nhwc {
namespace {

constexpr bool kHasPermute = kIsa != Isa::baseline;  // else the planner refuses grouped kernels
constexpr ConvTile kTile = kConvTiles[static_cast<int>(kIsa)];
static_assert(kTile.isa == kIsa && kTile.vector_bytes == kVectorBytes && kTile.mr <= kMaxTilePixels &&
              kTile.pixels <= kMaxTilePixels);

template <class T, int... I>
constexpr void add_direct(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.direct[0][I + 1] = direct_tile<T, I + 1, 1>), ...);
  ((k.direct[1][I + 1] = direct_tile<T, I + 1, 2>), ...);
  ((k.grad[0][I + 1] = grad_tile<T, I + 1, 1>), ...);
  ((k.grad[1][I + 1] = grad_tile<T, I + 1, 2>), ...);
}
template <class T, int... I>
constexpr void add_dot(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  static_assert(kDotOutputs == 4);
  ((k.dot[1][I + 1] = dot_tile<T, I + 1, 1>), ...);
  ((k.dot[2][I + 1] = dot_tile<T, I + 1, 2>), ...);
  ((k.dot[3][I + 1] = dot_tile<T, I + 1, 3>), ...);
  ((k.dot[4][I + 1] = dot_tile<T, I + 1, 4>), ...);
}
template <class T, int... I>
constexpr void add_channels(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.depthwise[I + 1] = depthwise_tile<T, I + 1>), ...);
  if constexpr (kHasPermute) ((k.grouped[I + 1] = grouped_tile<T, I + 1>), ...);
}
template <class T, int... I>
constexpr void add_grouped_grad(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  if constexpr (kHasPermute) ((k.grouped_grad[I + 1] = grouped_grad<T, I + 1>), ...);
}

template <class T, int... I>
constexpr void add_depthwise_grad(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.depthwise_grad[I + 1] = depthwise_grad<T, I + 1>), ...);
}
template <class T>
constexpr void add_depthwise_rows(FloatKernels<T>& k) {
  constexpr int pixels = kTile.pixels;
  k.depthwise_pixels = pixels;
  int i = 0;
#define NHWC_DEPTHWISE(columns, stride)                                                      \
  k.depthwise_rows[i++] = {columns, stride, depthwise_row<T, columns, stride, pixels, true>, \
                           depthwise_row<T, columns, stride, pixels, false>};
#include "plan/conv_depthwise.inc"
#undef NHWC_DEPTHWISE
}

template <class T>
constexpr FloatKernels<T> make_float_kernels() {
  FloatKernels<T> k{};
  k.lanes = kLanes<T>;
  add_direct<T>(k, std::make_integer_sequence<int, kTile.mr>());
  add_dot<T>(k, std::make_integer_sequence<int, kTile.dot>());
  add_channels<T>(k, std::make_integer_sequence<int, kTile.pixels>());
  add_grouped_grad<T>(k, std::make_integer_sequence<int, kGradChannels>());
  if constexpr (sizeof(T) == 4) add_depthwise_rows<T>(k);  // float64 runs on the pointer table
  add_depthwise_grad<T>(k, std::make_integer_sequence<int, kGradTaps>());
  k.grad_pack = grad_pack<T>;
  k.activate = activate_row<T>;
  k.transpose = transpose_block<T>;
  return k;
}

template <int P, int AXES>
constexpr WinogradKernels<float> make_winograd() {
  return {winograd_input<float, P, AXES>, winograd_output<float, P, P - 2, AXES>, winograd_filter<float, P, 3, AXES>};
}

constexpr ConvKernels make_conv_kernels() {
  ConvKernels k{};
  k.f32 = make_float_kernels<float>();
  k.f64 = make_float_kernels<double>();
  k.winograd[0][0] = make_winograd<4, 1>();
  k.winograd[0][1] = make_winograd<4, 2>();
  k.winograd[1][0] = make_winograd<6, 1>();
  k.winograd[1][1] = make_winograd<6, 2>();
  k.fft = make_fft_kernels();
  k.widen_f16 = widen_row<Float16>;
  k.widen_bf16 = widen_row<BFloat16>;
  k.narrow_f16 = narrow_row<Float16>;
  k.narrow_bf16 = narrow_row<BFloat16>;
  return k;
}

}  // namespace
}  // namespace nhwc
