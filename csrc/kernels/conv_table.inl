// csrc/kernels/conv_table.inl -- fills the convolution part of a KernelTable with every tile of the list
#pragma once

#include <algorithm>
#include <utility>

#include "kernels/conv_col2im.inl"
#include "kernels/conv_depthwise.inl"
#include "kernels/conv_diagonal.inl"
#include "kernels/conv_dot_groups.inl"
#include "kernels/conv_planar.inl"
#include "kernels/conv_rows.inl"
#include "kernels/conv_segments.inl"
#include "kernels/conv_terms.inl"
#include "kernels/conv_weight_grad.inl"
#include "kernels/conv_winograd.inl"
#include "kernels/fft.inl"
#include "plan/conv_tiles.h"

namespace nhwc {
namespace {

template <class T>
constexpr bool kGroups = kIsa != Isa::baseline && sizeof(T) == 4;  // else the planner refuses grouped kernels
constexpr ConvTile kTile = kConvTiles[static_cast<int>(kIsa)];
static_assert(kTile.isa == kIsa && kTile.vector_bytes == kVectorBytes && kTile.mr <= kMaxTilePixels &&
              kTile.pixels <= kMaxTilePixels);

constexpr int kSmallPixels = depthwise_small_pixels(kTile);

template <class T, int... I>
void add_direct(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.direct[0][I + 1] = direct_tile<T, I + 1, 1>), ...);
  ((k.direct[1][I + 1] = direct_tile<T, I + 1, 2>), ...);
  if constexpr (sizeof(T) == 4) {
    ((k.even[0][I + 1] = even_tiles<T, I + 1, 1>), ...);
    ((k.even[1][I + 1] = even_tiles<T, I + 1, 2>), ...);
    if constexpr (kStreams) {
      constexpr int least = sizeof...(I) - 2;
      ((k.streaming[std::max(I + 1, least)] = even_tiles<T, std::max(I + 1, least), 2, true>), ...);
    }
  }
  if constexpr (!kMinimal) {
    ((k.grad[0][I + 1] = grad_tile<T, I + 1, 1>), ...);
    ((k.grad[1][I + 1] = grad_tile<T, I + 1, 2>), ...);
  }
}
template <class T, int... I>
void add_direct3(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.direct[2][I + 1] = direct_tile<T, I + 1, 3>), ...);
  [[maybe_unused]] constexpr int least =
      (sizeof...(I) + 1) / 2;  // rows of images are cut into even parts, few of which are smaller
  ((k.even[2][std::max(I + 1, least)] = even_tiles<T, std::max(I + 1, least), 3>), ...);
}
template <class T, int NV, int... I>
void add_wide(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  [[maybe_unused]] constexpr int least = sizeof...(I) / 2 + 1;
  ((k.even[NV - 1][std::max(I + 1, least)] = even_tiles<T, std::max(I + 1, least), NV>), ...);
}
template <class T, int MR>
void add_terms(FloatKernels<T>& k) {
  if constexpr (MR % 2 == 0) k.terms[0][MR] = tile_of_terms<T, MR>;
  if constexpr (MR >= kLeastEvenTermsRows) k.terms[1][MR] = even_tiles_of_terms<T, MR>;
}
template <class T, int... I>
void add_terms(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  (add_terms<T, I + 1>(k), ...);
}
template <class T, int... I>
void add_dot(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.dot[I / 2 * 2 + 2] = dot_tile<T, I / 2 * 2 + 2, 1>), ...);
  if constexpr (kIsa != Isa::baseline) ((k.even_dot[I + 1] = even_dots<T, I + 1, 1>), ...);
}
template <class T, int I>
void add_dot_form(FloatKernels<T>& k) {
  constexpr DotForm form = kDotForms[I];
  constexpr int pixels = dot_form_pixels(form, kTile);
  if constexpr (has_dot_form(form, kLanes<T>)) {
    k.segments[0][I] = segment_tile<T, (form.segments == 1 ? pixels : pixels / 2), form.vectors, form.segments>;
    k.segments[1][I] = segment_tile<T, pixels, form.vectors, form.segments>;
    if constexpr (kIsa != Isa::baseline) k.segments[2][I] = even_segments<T, pixels, form.vectors, form.segments>;
  }
}
template <class T, int... I>
void add_dot_forms(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  (add_dot_form<T, I>(k), ...);
}
template <class T, int S>
void add_dot_groups(FloatKernels<T>& k) {
  if constexpr (kIsa != Isa::baseline && has_dot_segments(S, kLanes<T>)) k.dot_groups[S] = dot_groups_tile<T, S>;
}
template <class X, int... O>
void add_pixel_dots(FloatKernels<float>& k, int type, std::integer_sequence<int, O...>) {
  ((k.pixel_dots[type][O + 1] = pixel_dots<X, O + 1>), ...);
}
template <class T, int... I>
void add_channels(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.depthwise[I / 2 * 2 + 2] = depthwise_tile<T, I / 2 * 2 + 2>), ...);
  if constexpr (kGroups<T>) ((k.grouped[I + 1] = grouped_tile<T, I + 1>), ...);
}
template <class T, int... I>
void add_planar(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.planar[I + 1] = planar_tiles<T, I + 1>), ...);
  k.interleaved = interleaved_tiles<T>;
  k.pass = pass_rows<T>;
  k.to_planes = to_planes<T>;
  k.from_planes = from_planes<T>;
}
template <class T, int... I>
void add_grouped_grad(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  if constexpr (kGroups<T>) ((k.grouped_grad[I + 1] = grouped_grad<T, I + 1>), ...);
}

template <class T, int... I>
void add_depthwise_grad(FloatKernels<T>& k, std::integer_sequence<int, I...>) {
  ((k.depthwise_grad[I + 1] = depthwise_grad<T, I + 1>), ...);
}
template <class T, int COLUMNS, int STRIDE, bool kHas>
void add_depthwise_row(DepthwiseRowKernels<T>& k) {
  k.columns = COLUMNS;
  k.stride = STRIDE;
  if constexpr (kHas) {
    k.run[0] = depthwise_row<COLUMNS, STRIDE, kTile.pixels>;
    if constexpr (kSmallPixels > 0) k.run[1] = depthwise_row<COLUMNS, STRIDE, kSmallPixels>;
    if constexpr (kIsa == Isa::avx512) add_half_row<Float16, COLUMNS, STRIDE>(k.half[0]);
  }
}
template <class T>
void add_depthwise_rows(FloatKernels<T>& k) {
  k.depthwise_pixel = depthwise_pixel<T>;
  k.depthwise_pixels[0] = kTile.pixels;
  k.depthwise_pixels[1] = kSmallPixels;
  int i = 0;
#define NHWC_DEPTHWISE(columns, stride, isa) \
  add_depthwise_row<T, columns, stride, (kIsa >= Isa::isa)>(k.depthwise_rows[i++]);
#include "plan/conv_depthwise.inc"
#undef NHWC_DEPTHWISE
  if constexpr (kIsa == Isa::avx512 && sizeof(T) == 4) {
    k.depthwise_walk[0] = depthwise_walk<float>;
    k.depthwise_walk[1] = depthwise_walk<Float16>;
  }
}

template <class T>
void add_float_kernels(FloatKernels<T>& k) {
  k.lanes = kLanes<T>;
  constexpr ConvTile tile = conv_tile(kIsa, sizeof(T) == 8);
  add_direct<T>(k, std::make_integer_sequence<int, tile.mr>());
  add_direct3<T>(k, std::make_integer_sequence<int, tile.mr3>());
  add_wide<T, 4>(k, std::make_integer_sequence<int, tile.mr4>());
  add_wide<T, 6>(k, std::make_integer_sequence<int, tile.mr6>());
  if constexpr (sizeof(T) == 4) {
    add_dot<T>(k, std::make_integer_sequence<int, dot_pixels(kTile, 1)>());
    add_dot_forms<T>(k, std::make_integer_sequence<int, kDotFormCount>());
    add_dot_groups<T, 1>(k);
    add_dot_groups<T, 2>(k);
    add_dot_groups<T, 4>(k);
  }
  if constexpr (kIsa == Isa::avx512 && sizeof(T) == 4 && !kMinimal)
    add_terms<T>(k, std::make_integer_sequence<int, kTermsRows>());
  if constexpr (kIsa == Isa::avx512 && sizeof(T) == 4) {
    add_pixel_dots<Float16>(k, 0, std::make_integer_sequence<int, kDotOutputs>());
    add_pixel_dots<BFloat16>(k, 1, std::make_integer_sequence<int, kDotOutputs>());
  }
  add_channels<T>(k, std::make_integer_sequence<int, tile.pixels>());
  if constexpr (kGroups<T>) add_planar<T>(k, std::make_integer_sequence<int, kPlanarOutputs>());
  if constexpr (sizeof(T) == 4) add_depthwise_rows<T>(k);  // float64 runs on the pointer table
  if constexpr (!kMinimal) {
    add_grouped_grad<T>(k, std::make_integer_sequence<int, kGradChannels>());
    add_depthwise_grad<T>(k, std::make_integer_sequence<int, kGradTaps>());
    k.grad_pack = grad_pack<T>;
  }
  if constexpr (sizeof(T) == 4) k.gather = gather_row<T>;
  k.end_streams = end_streams<T>;
  k.add = add_row<T>;
  k.activate = activate_row<T>;
  k.transpose = transpose_block<T>;
}

template <int P, int AXES, int R>
void add_winograd(ConvKernels& k) {
  k.winograd[P == 6][AXES == 2][R] = {winograd_input<float, P, AXES>, winograd_gather<float, P, AXES>,
                                      winograd_output<float, P, P - R + 1, AXES>, winograd_filter<float, P, R, AXES>};
}
template <int NV, int... I>
void add_winograd_product(ConvKernels& k, std::integer_sequence<int, I...>) {
  ((k.winograd_product[NV - 1][I + 1] = winograd_product<float, I / 2 * 2 + 2, NV>), ...);
}
template <int... I>
void add_winograd_halves(ConvKernels& k, std::integer_sequence<int, I...>) {
  ((k.winograd_halves[I + 1] = winograd_halves<float, I / 2 * 2 + 2>), ...);
}
template <int P, int AXES>
void add_winograd(ConvKernels& k) {
  add_winograd<P, AXES, 2>(k);
  add_winograd<P, AXES, 3>(k);
  if constexpr (P == 6) {
    add_winograd<P, AXES, 4>(k);
    add_winograd<P, AXES, 5>(k);
  }
}

void add_conv_kernels(ConvKernels& k) {
  add_float_kernels(k.f32);
  if constexpr (!kMinimal) add_float_kernels(k.f64);
  if constexpr (kIsa != Isa::baseline) {  // where the planner refuses them
    add_winograd<4, 1>(k);
    add_winograd<4, 2>(k);
    add_winograd<6, 1>(k);
    add_winograd<6, 2>(k);
    if constexpr (!kMinimal) {
      k.winograd_grad[0] = {winograd_grad_outputs<float, 1>, winograd_grad_sums<float, 1>};
      k.winograd_grad[1] = {winograd_grad_outputs<float, 2>, winograd_grad_sums<float, 2>};
    }
    add_winograd_product<1>(k, std::make_integer_sequence<int, winograd_rows(kTile, 1, 1)>());
    add_winograd_product<2>(k, std::make_integer_sequence<int, kTile.mr>());
    if constexpr (kIsa == Isa::avx512 && !kMinimal) add_winograd_halves(k, std::make_integer_sequence<int, kTile.mr>());
  }
  constexpr int sizes = std::max(0, diagonal_rows(kIsa) - least_diagonal_rows(kIsa) + 1);
  k.diagonal = make_diagonal_kernels(std::make_integer_sequence<int, sizes>());
  k.fft = make_fft_kernels();
  k.widen_f16 = widen_row<Float16>;
  k.widen_bf16 = widen_row<BFloat16>;
  k.narrow_f16 = narrow_row<Float16>;
  k.narrow_bf16 = narrow_row<BFloat16>;
}

}  // namespace
}  // namespace nhwc
