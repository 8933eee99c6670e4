// csrc/ops/conv.cpp -- convolutions: a checked call and arrays become nodes
#include "ops/conv.h"

#include "ops/common.h"
#include "plan/conv_call.h"

namespace nhwc {
namespace {

// The checked call as nodes: convolution, bias, activation. The scheduler computes them in one pass.
Array finish(const ConvCall& c, const Array& input, const Array& weight, const ConvExtras& extras) {
  Dtype t = promote_types(input.dtype(), weight.dtype());
  if (extras.bias) {
    require_bias(c, extras.bias->shape());
    t = promote_types(t, extras.bias->dtype());
  }
  const bool highest = extras.precision && is_highest(*extras.precision, c.who);
  auto g = std::make_shared<const ConvGeometry>(geometry_of(c, highest));
  Array y = conv_node(ConvKind::forward, std::move(g), astype(input, t), astype(weight, t));
  (void)y.size();  // too many elements to count is the caller's mistake, said here
  if (extras.bias) y = add(y, astype(*extras.bias, t));
  if (extras.activation) y = activation(y, *extras.activation, c.who);
  return y;
}

Array crop_and_finish(ConvCall c, const Array& input, const Array& weight, const ConvExtras& extras) {
  if (!crops(c)) return finish(c, input, weight, extras);
  const Crop crop = crop_input(c);
  c.input = &crop.rest;
  return finish(c, slice(input, crop.start, crop.rest, Dims(crop.start.size(), 1)), weight, extras);
}

}  // namespace

Array conv_node(ConvKind kind, std::shared_ptr<const ConvGeometry> g, Array a, Array b) {
  NHWC_CHECK(a.dtype() == b.dtype() && is_floating(a.dtype()), "operands of a convolution differ in dtype");
  Shape out = kind == ConvKind::forward      ? conv_output_shape(*g)
              : kind == ConvKind::input_grad ? conv_input_shape(*g)
                                             : conv_weight_shape(*g);
  const Dtype t = a.dtype();
  return make_node(Conv{kind, std::move(g)}, std::move(out), t, inputs_of(std::move(a), std::move(b)));
}

Array activation(const Array& x, const std::string& word, const char* who) {
  switch (activation_named(word, who)) {
    case Activation::none:
      break;
    case Activation::relu:
      return relu(x);
    case Activation::relu6:
      return relu6(x);
    case Activation::leaky_relu:
      return leaky_relu(x);
    case Activation::silu:
      return silu(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::sigmoid:
      return sigmoid(x);
  }
  return x;
}

Array conv(const char* who, int spatial, const Array& input, const Array& weight, const Ints& stride,
           const Padding& padding, const Ints& dilation, int64_t groups, const ConvExtras& extras) {
  return crop_and_finish(
      conv_call(who, spatial, input.shape(), input.dtype(), weight.shape(), stride, padding, dilation, groups), input,
      weight, extras);
}

Array conv_general(const Array& input, const Array& weight, const Ints& stride, const Ints& padding_low,
                   const Ints& padding_high, const Ints& kernel_dilation, const Ints& input_dilation, int64_t groups,
                   bool flip, const ConvExtras& extras) {
  return crop_and_finish(conv_general_call(input.shape(), input.dtype(), weight.shape(), stride, padding_low,
                                           padding_high, kernel_dilation, input_dilation, groups, flip),
                         input, weight, extras);
}

Array conv_transpose(const char* who, int spatial, const Array& input, const Array& weight, const Ints& stride,
                     const Ints& padding, const Ints& dilation, const Ints& output_padding, int64_t groups,
                     const ConvExtras& extras) {
  return finish(conv_transpose_call(who, spatial, input.shape(), input.dtype(), weight.shape(), stride, padding,
                                    dilation, output_padding, groups),
                input, weight, extras);
}

Array conv1d(const Array& input, const Array& weight, const Ints& stride, const Padding& padding, const Ints& dilation,
             int64_t groups, const ConvExtras& extras) {
  return conv("conv1d", 1, input, weight, stride, padding, dilation, groups, extras);
}
Array conv2d(const Array& input, const Array& weight, const Ints& stride, const Padding& padding, const Ints& dilation,
             int64_t groups, const ConvExtras& extras) {
  return conv("conv2d", 2, input, weight, stride, padding, dilation, groups, extras);
}
Array conv3d(const Array& input, const Array& weight, const Ints& stride, const Padding& padding, const Ints& dilation,
             int64_t groups, const ConvExtras& extras) {
  return conv("conv3d", 3, input, weight, stride, padding, dilation, groups, extras);
}

Array convolve(const Array& a, const Array& v, const std::string& mode) {
  if (a.ndim() != 1 || v.ndim() != 1)
    raise<ValueError>("[convolve] got arrays of shapes ", to_string(a.shape()), " and ", to_string(v.shape()),
                      "; expected 1 dimension each");
  if (a.size() == 0 || v.size() == 0)
    raise<ValueError>("[convolve] got an empty array; expected at least one element each");
  if (mode != "full" && mode != "same" && mode != "valid")
    raise<ValueError>("[convolve] got mode=\"", mode, "\"; expected \"full\", \"same\" or \"valid\"");
  // Commutative: the shorter one is the kernel.
  const bool swapped = a.size() < v.size();
  const Array &x = swapped ? v : a, &w = swapped ? a : v;
  const Dtype t = to_floating(promote_types(a.dtype(), v.dtype()));
  const int64_t k = w.size();
  Ints low{0}, high{0};
  if (mode == "full") low = high = {k - 1};
  if (mode == "same") {
    low = {k / 2};
    high = {k - 1 - k / 2};
  }
  const Array y = conv_general(reshape(astype(x, t), {1, x.size(), 1}), reshape(astype(w, t), {1, k, 1}), {1}, low,
                               high, {1}, {1}, 1, true);
  return reshape(y, {y.size()});
}

}  // namespace nhwc
