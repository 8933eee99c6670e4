// python/src/bind_jax.cpp -- what nhwc/jax builds on: XLA's foreign functions, and a call's geometry in their terms
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "bind.h"
#include "convert.h"
#include "convert_padding.h"
#include "plan/conv_call.h"
#include "xla_conv.h"

namespace nhwc::py {
namespace {

using Word = std::optional<std::string>;

nb::tuple per_axis(const PerAxis& v, int spatial) { return to_tuple(Dims(v.begin(), v.begin() + spatial)); }

/// What conv1d to conv_transpose3d and conv_general make of their arguments; what one of them has not is not looked at.
ConvCall checked(const std::string& name, const Shape& x, const Shape& w, nb::handle stride, nb::handle padding,
                 nb::handle dilation, nb::handle input_dilation, nb::handle output_padding, nb::handle groups,
                 bool flip) {
  const char* who = name.c_str();
  const Ints strides = to_ints(stride, who, "stride"), dilations = to_ints(dilation, who, "dilation");
  const int64_t n = to_int(groups, who, "groups");
  if (name == "conv_general") {
    const auto [low, high] = to_lows_and_highs(padding, who);
    const Ints input_dilations = to_ints(input_dilation, who, "input_dilation");
    return conv_general_call(x, Dtype::float32, w, strides, low, high, dilations, input_dilations, n, flip);
  }
  const int spatial = name[name.size() - 2] - '0';
  if (!name.starts_with("conv_transpose"))
    return conv_call(who, spatial, x, Dtype::float32, w, strides, to_padding(padding, who), dilations, n);
  const Ints extra = to_ints(output_padding, who, "output_padding");
  return conv_transpose_call(who, spatial, x, Dtype::float32, w, strides, to_symmetric_padding(padding, who), dilations,
                             extra, n);
}

/// A bias is there where its shape is. Returns
/// (shape of the output, stride, low, dilation, input_dilation, flip, highest precision), in the terms of xla_conv.h.
nb::tuple conv_geometry(const std::string& name, nb::handle input, nb::handle weight, nb::handle stride,
                        nb::handle padding, nb::handle dilation, nb::handle input_dilation, nb::handle output_padding,
                        nb::handle groups, bool flip, nb::handle bias, const Word& activation, const Word& precision) {
  const char* who = name.c_str();
  const Shape x = to_dims(input, who, "input"), w = to_dims(weight, who, "weight");
  ConvCall c = checked(name, x, w, stride, padding, dilation, input_dilation, output_padding, groups, flip);
  c.who = who;
  if (nb::isinstance<nb::tuple>(bias)) require_bias(c, to_dims(bias, who, "bias"));
  if (activation) (void)activation_named(*activation, who);
  const bool highest = precision && is_highest(*precision, who);
  PerAxis low = c.low;
  Crop crop;
  if (crops(c)) {
    crop = crop_input(c);
    c.input = &crop.rest;
    for (int i = 0; i < c.spatial; ++i)  // no output reaches what is cropped at the end
      if (low[i] < 0 && __builtin_mul_overflow(low[i], c.in_dilation[i], &low[i]))
        raise<ValueError>("[", who, "] padding and input_dilation together exceed 64 bits; make them smaller");
  }
  const Shape output = conv_output_shape(geometry_of(c, highest));
  return nb::make_tuple(to_tuple(output), per_axis(c.stride, c.spatial), per_axis(low, c.spatial),
                        per_axis(c.dilation, c.spatial), per_axis(c.in_dilation, c.spatial), c.flip, highest);
}

nb::capsule capsule(xla::Error* (*handler)(xla::CallFrame*)) { return nb::capsule(reinterpret_cast<void*>(handler)); }

}  // namespace

void bind_jax(nb::module_& m) {
  m.def("_conv_geometry", &conv_geometry);
  m.def("_xla_handlers", [] {
    nb::dict all;
    all["nhwc_conv"] = capsule(xla::conv);
    all["nhwc_conv_input_grad"] = capsule(xla::conv_input_grad);
    all["nhwc_conv_weight_grad"] = capsule(xla::conv_weight_grad);
    return all;
  });
}

}  // namespace nhwc::py
