// csrc/plan/conv_call.h -- what a user may write of a convolution, checked, becomes a ConvGeometry; raises ValueError
#pragma once

#include <array>

#include "nhwc/conv_args.h"
#include "plan/conv_problem.h"

namespace nhwc {

/// A value per spatial axis; those past the last do not count.
using PerAxis = std::array<int64_t, 3>;

/// A call whose arguments fit each other. The shapes are the caller's and must last.
struct ConvCall {
  const char* who;  // in messages
  int spatial;      // axes: 1, 2 or 3
  const Shape* input;
  const Shape* weight;
  PerAxis stride, dilation, in_dilation, low{}, high{};  // low, high: padding of the dilated input
  int64_t groups = 1;
  bool flip = false, transposed = false;  // transposed: negative padding crops the dilated input, not the input
};

/// The functions of ops.h by these names.
ConvCall conv_call(const char* who, int spatial, const Shape& input, Dtype dtype, const Shape& weight,
                   const Ints& stride, const Padding& padding, const Ints& dilation, int64_t groups);
ConvCall conv_general_call(const Shape& input, Dtype dtype, const Shape& weight, const Ints& stride,
                           const Ints& padding_low, const Ints& padding_high, const Ints& kernel_dilation,
                           const Ints& input_dilation, int64_t groups, bool flip);
ConvCall conv_transpose_call(const char* who, int spatial, const Shape& input, Dtype dtype, const Shape& weight,
                             const Ints& stride, const Ints& padding, const Ints& dilation, const Ints& output_padding,
                             int64_t groups);
/// A convolution whose three shapes are given, so that the padding after each axis follows from them. `low` counts in
/// the dilated input, which it crops where it is negative.
ConvCall conv_call_of_shapes(const char* who, const Shape& input, Dtype dtype, const Shape& weight, const Shape& output,
                             const Ints& stride, const Ints& low, const Ints& dilation, const Ints& input_dilation,
                             int64_t groups, bool flip);

/// Negative padding crops the input, before it is dilated. Where a call has some: the first element of each axis that
/// is left and the shape of what is left, and the call has padding of 0 in its place; it is to be given that shape.
bool crops(const ConvCall& c);
struct Crop {
  Dims start;
  Shape rest;
};
Crop crop_input(ConvCall& c);

/// A bias of the call has this shape.
void require_bias(const ConvCall& c, const Shape& bias);
/// The default or the highest precision, by its name.
bool is_highest(const std::string& precision, const char* who);
/// The activation by its name.
Activation activation_named(const std::string& word, const char* who);

ConvGeometry geometry_of(const ConvCall& c, bool highest_precision);
/// Shapes of x, w and y under g, with g.rank spatial axes.
Shape conv_input_shape(const ConvGeometry& g);
Shape conv_weight_shape(const ConvGeometry& g);
Shape conv_output_shape(const ConvGeometry& g);

}  // namespace nhwc
