// python/src/bind_conv.cpp -- the convolutions
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "bind.h"
#include "convert.h"
#include "convert_padding.h"

namespace nhwc::py {
namespace {

using Word = std::optional<std::string>;

ConvExtras extras(const std::optional<Array>& bias, const Word& activation, const Word& precision) {
  return {bias, activation, precision};
}

// What nanobind calls for the convolutions over 1, 2 and 3 axes; one type, so that it converts arguments in one place.
struct ConvCall {
  const char* who;
  int axes;

  Array operator()(const Array& input, const Array& weight, nb::handle stride, nb::handle padding, nb::handle dilation,
                   nb::handle groups, const std::optional<Array>& bias, const Word& activation, const Word& precision,
                   const StreamOrDevice& s) const {
    OnStream scope(s, who);
    return conv(who, axes, input, weight, to_ints(stride, who, "stride"), to_padding(padding, who),
                to_ints(dilation, who, "dilation"), to_int(groups, who, "groups"), extras(bias, activation, precision));
  }
};

struct TransposedCall {
  const char* who;
  int axes;

  Array operator()(const Array& input, const Array& weight, nb::handle stride, nb::handle padding, nb::handle dilation,
                   nb::handle output_padding, nb::handle groups, const std::optional<Array>& bias,
                   const Word& activation, const Word& precision, const StreamOrDevice& s) const {
    OnStream scope(s, who);
    return conv_transpose(who, axes, input, weight, to_ints(stride, who, "stride"), to_symmetric_padding(padding, who),
                          to_ints(dilation, who, "dilation"), to_ints(output_padding, who, "output_padding"),
                          to_int(groups, who, "groups"), extras(bias, activation, precision));
  }
};

// The parts that the docstrings share.
#define NHWC_EXTRA_ARGS                                                                                               \
  "    bias (array, optional): ``(C_out,)``, added to every output position. Default: ``None``.\n"                    \
  "    activation (str, optional): applied last: ``\"relu\"``, ``\"relu6\"``, ``\"leaky_relu\"`` (slope 0.01), "      \
  "``\"silu\"``, "                                                                                                    \
  "``\"gelu\"`` (exact, by erf), ``\"tanh\"`` or ``\"sigmoid\"``. Default: ``None``.\n"                               \
  "    precision (str, optional): ``\"default\"``, or ``\"highest\"`` to exclude algorithms that transform, or take " \
  "subnormal bfloat16 for zero. Default: ``None``.\n"                                                                 \
  "    stream (Stream | Device, optional): where it runs. Default: the current stream.\n"
#define NHWC_RAISES                                                                       \
  "\nRaises:\n"                                                                           \
  "    ValueError: shapes, channels, groups or values that do not fit; integer dtypes.\n" \
  "    TypeError: a float, ``None`` or a nested list where ints are expected.\n"

#define NHWC_INTS(name, otherwise) #name ": int | Sequence[int] = " #otherwise
#define NHWC_PADDING "padding: int | str | Sequence[int] | Sequence[tuple[int, int]] = 0"
#define NHWC_EXTRA_SIG                                                                          \
  "*, bias: array | None = None, activation: str | None = None, precision: str | None = None, " \
  "stream: Stream | Device | DeviceType | None = None) -> array"
#define NHWC_EXTRA_BIND                                                                                               \
  nb::kw_only(), nb::arg("bias") = nb::none(), nb::arg("activation") = nb::none(), nb::arg("precision") = nb::none(), \
                 nb::arg("stream") = nb::none()

// What differs in the docstrings: the layouts, further words for the padding, and the example.
struct ConvText {
  const char *input, *weight, *words, *outputs, *example;
};

void define_conv(nb::module_& m, const ConvCall& call, const ConvText& text) {
  m.def(
      call.who, ConvCall(call), nb::arg(), nb::arg(), nb::arg("stride") = 1, nb::arg("padding") = 0,
      nb::arg("dilation") = 1, nb::arg("groups") = 1, NHWC_EXTRA_BIND,
      nb::sig(message("def ", call.who,
                      "(input: array, weight: array, /, " NHWC_INTS(stride, 1) ", " NHWC_PADDING ", " NHWC_INTS(
                          dilation, 1) ", groups: int = 1, " NHWC_EXTRA_SIG)
                  .c_str()),
      message(
          "A ", call.axes,
          "-D convolution (cross-correlation) of channels-last arrays.\n\n"
          "Args:\n"
          "    input (array): ``",
          text.input,
          "``, floating.\n"
          "    weight (array): ``",
          text.weight,
          "``.\n"
          "    stride (int | tuple): step between outputs. Default: ``1``.\n"
          "    padding (int | tuple | str): zeros on both sides of each axis; a negative value crops. Also one ``(low, "
          "high)`` per "
          "axis, ``\"valid\"`` (none), ``\"same\"`` (out = ceil(in / stride), the extra zero after)",
          text.words,
          ". Default: ``0``.\n"
          "    dilation (int | tuple): step between the kernel's taps. Default: ``1``.\n"
          "    groups (int): the channels are split into this many independent convolutions. Default: "
          "``1``.\n" NHWC_EXTRA_ARGS "\nReturns:\n"
          "    array: ``",
          text.outputs,
          "``, each size out = (in + low + high - dilation * (K - 1) - 1) // stride + 1.\n" NHWC_RAISES
          "\nExample:\n    ",
          text.example)
          .c_str());
}

void define_transposed(nb::module_& m, const TransposedCall& call, const ConvText& text) {
  m.def(
      call.who, TransposedCall(call), nb::arg(), nb::arg(), nb::arg("stride") = 1, nb::arg("padding") = 0,
      nb::arg("dilation") = 1, nb::arg("output_padding") = 0, nb::arg("groups") = 1, NHWC_EXTRA_BIND,
      nb::sig(
          message("def ", call.who,
                  "(input: array, weight: array, /, " NHWC_INTS(stride, 1) ", " NHWC_INTS(padding, 0) ", " NHWC_INTS(
                      dilation, 1) ", " NHWC_INTS(output_padding, 0) ", groups: int = 1, " NHWC_EXTRA_SIG)
              .c_str()),
      message(
          "A ", call.axes,
          "-D transposed convolution of channels-last arrays: the gradient of a convolution by its input.\n\n"
          "Args:\n"
          "    input (array): ``",
          text.input,
          "``, floating.\n"
          "    weight (array): ``",
          text.weight,
          "``.\n"
          "    stride (int | tuple): step between the places where the kernel is laid. Default: ``1``.\n"
          "    padding (int | tuple): elements taken off both sides of the result. Default: ``0``.\n"
          "    dilation (int | tuple): step between the kernel's taps. Default: ``1``.\n"
          "    output_padding (int | tuple): elements added at the end, less than stride or dilation. Default: ``0``.\n"
          "    groups (int): the channels are split into this many independent convolutions. Default: "
          "``1``.\n" NHWC_EXTRA_ARGS "\nReturns:\n"
          "    array: ``",
          text.outputs,
          "``, each size out = (in - 1) * stride - 2 * padding + dilation * (K - 1) + 1 + output_padding.\n" NHWC_RAISES
          "\nExample:\n    ",
          text.example)
          .c_str());
}

void define_general(nb::module_& m) {
  m.def(
      "conv_general",
      [](const Array& input, const Array& weight, nb::handle stride, nb::handle padding, nb::handle kernel_dilation,
         nb::handle input_dilation, nb::handle groups, bool flip, const std::optional<Array>& bias,
         const Word& activation, const Word& precision, const StreamOrDevice& s) {
        const char* who = "conv_general";
        OnStream scope(s, who);
        const auto [low, high] = to_lows_and_highs(padding, who);
        return conv_general(input, weight, to_ints(stride, who, "stride"), low, high,
                            to_ints(kernel_dilation, who, "kernel_dilation"),
                            to_ints(input_dilation, who, "input_dilation"), to_int(groups, who, "groups"), flip,
                            extras(bias, activation, precision));
      },
      nb::arg(), nb::arg(), nb::arg("stride") = 1, nb::arg("padding") = 0, nb::arg("kernel_dilation") = 1,
      nb::arg("input_dilation") = 1, nb::arg("groups") = 1, nb::arg("flip") = false, NHWC_EXTRA_BIND,
      nb::sig("def conv_general(input: array, weight: array, /, " NHWC_INTS(
          stride, 1) ", padding: int | Sequence[int] | "
                     "tuple[Sequence[int], Sequence[int]] = 0, " NHWC_INTS(kernel_dilation, 1) ", " NHWC_INTS(
                         input_dilation, 1) ", groups: int = 1, flip: bool = False, " NHWC_EXTRA_SIG),
      "A convolution with every argument, over 1, 2 or 3 spatial axes by the input's rank.\n\n"
      "Args:\n"
      "    input (array): ``(N, ..., C_in)``, floating.\n"
      "    weight (array): ``(C_out, ..., C_in / groups)``.\n"
      "    stride (int | tuple): step between outputs. Default: ``1``.\n"
      "    padding (int | tuple | pair of tuples): zeros on both sides: one value, one per axis, or ``(lows, highs)``. "
      "A "
      "negative value crops the input before it is dilated. Default: ``0``.\n"
      "    kernel_dilation (int | tuple): step between the kernel's taps. Default: ``1``.\n"
      "    input_dilation (int | tuple): step between the input's elements, with zeros between. Default: ``1``.\n"
      "    groups (int): the channels are split into this many independent convolutions. Default: ``1``.\n"
      "    flip (bool): reverse the kernel's spatial axes, which makes it a convolution in the strict sense. Default: "
      "``False``.\n" NHWC_EXTRA_ARGS
      "\nReturns:\n"
      "    array: ``(N, ..., C_out)``, each size out = (input_dilation * (in - 1) + 1 + low + high - kernel_dilation * "
      "(K - 1) "
      "- 1) // stride + 1.\n" NHWC_RAISES
      "\nExample:\n    >>> x, w = mx.array([1.0, 2, 3, 4]).reshape(1, 4, 1), mx.array([1.0, 10]).reshape(1, 2, 1)\n"
      "    >>> mx.conv_general(x, w, flip=True).flatten().tolist()\n    [12.0, 23.0, 34.0]\n");
}

void define_convolve(nb::module_& m) {
  m.def(
      "convolve",
      [](const Array& a, const Array& v, const std::string& mode, const StreamOrDevice& s) {
        OnStream scope(s, "convolve");
        return convolve(a, v, mode);
      },
      nb::arg(), nb::arg(), nb::arg("mode") = "full", nb::kw_only(), nb::arg("stream") = nb::none(),
      nb::sig("def convolve(a: array, v: array, /, mode: str = 'full', *, stream: Stream | Device | DeviceType | None "
              "= None) -> array"),
      "The discrete convolution of two 1-D arrays, as ``numpy.convolve``.\n\n"
      "Args:\n    a (array): ``(n,)``.\n    v (array): ``(m,)``; it is reversed.\n"
      "    mode (str): ``\"full\"`` (n + m - 1 values), ``\"same\"`` (max(n, m)) or ``\"valid\"`` (where they overlap "
      "wholly). Default: ``\"full\"``.\n"
      "    stream (Stream | Device, optional): where it runs. Default: the current stream.\n"
      "\nReturns:\n    array: the products summed, floating.\n\nRaises:\n    ValueError: an empty array, another rank, "
      "an unknown mode.\n"
      "\nExample:\n    >>> mx.convolve(mx.array([1, 2, 3]), mx.array([0, 1, 0.5])).tolist()\n    [0.0, 1.0, 2.5, 4.0, "
      "1.5]\n");
}

}  // namespace

void bind_conv(nb::module_& m) {
  define_conv(m, {"conv1d", 1},
              {"(N, W, C_in)", "(C_out, K, C_in / groups)", " or ``\"causal\"`` (all of it before)", "(N, out, C_out)",
               ">>> mx.conv1d(mx.ones((1, 9, 2)), mx.ones((4, 3, 2)), padding=\"causal\").shape\n    (1, 9, 4)\n"});
  define_conv(m, {"conv2d", 2},
              {"(N, H, W, C_in)", "(C_out, KH, KW, C_in / groups)", "", "(N, out_h, out_w, C_out)",
               ">>> mx.conv2d(mx.ones((1, 8, 8, 3)), mx.ones((16, 3, 3, 3)), stride=2, "
               "padding=\"same\").shape\n    (1, 4, 4, 16)\n"});
  define_conv(m, {"conv3d", 3},
              {"(N, D, H, W, C_in)", "(C_out, KD, KH, KW, C_in / groups)", "", "(N, out_d, out_h, out_w, C_out)",
               ">>> mx.conv3d(mx.ones((1, 4, 6, 6, 2)), mx.ones((5, 3, 3, 3, 2))).shape\n    (1, 2, 4, 4, 5)\n"});
  define_general(m);
  define_transposed(
      m, {"conv_transpose1d", 1},
      {"(N, W, C_in)", "(C_out, K, C_in / groups)", "", "(N, out, C_out)",
       ">>> mx.conv_transpose1d(mx.ones((1, 4, 2)), mx.ones((3, 2, 2)), stride=2).shape\n    (1, 8, 3)\n"});
  define_transposed(
      m, {"conv_transpose2d", 2},
      {"(N, H, W, C_in)", "(C_out, KH, KW, C_in / groups)", "", "(N, out_h, out_w, C_out)",
       ">>> mx.conv_transpose2d(mx.ones((1, 4, 4, 2)), mx.ones((3, 2, 2, 2)), stride=2).shape\n    (1, 8, 8, 3)\n"});
  define_transposed(m, {"conv_transpose3d", 3},
                    {"(N, D, H, W, C_in)", "(C_out, KD, KH, KW, C_in / groups)", "", "(N, out_d, out_h, out_w, C_out)",
                     ">>> mx.conv_transpose3d(mx.ones((1, 2, 4, 4, 2)), mx.ones((3, 2, 2, 2, "
                     "2)), stride=2).shape\n    (1, 4, 8, 8, 3)\n"});
  define_convolve(m);
}

}  // namespace nhwc::py
