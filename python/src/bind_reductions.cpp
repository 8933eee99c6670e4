// python/src/bind_reductions.cpp -- reductions, scans and sorting
#include <nanobind/stl/variant.h>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

template <Array (*Op)(const Array&, const Axes&, bool)>
Array reduce(const ScalarOrArray& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
  OnStream scope(s, "reduce");
  return Op(to_array(a), to_axes(axis, "reduce"), keepdims);
}

template <Array (*Op)(const Array&, const Axes&, bool, int)>
Array moment(const ScalarOrArray& a, nb::object axis, bool keepdims, int ddof, std::optional<int> correction,
             const StreamOrDevice& s) {
  OnStream scope(s, "moment");
  return Op(to_array(a), to_axes(axis, "moment"), keepdims, correction.value_or(ddof));
}

template <Array (*Op)(const Array&, std::optional<int>, bool)>
Array arg_reduce(const ScalarOrArray& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
  OnStream scope(s, "argmax");
  return Op(to_array(a), to_axis(axis, "argmax"), keepdims);
}

template <Array (*Op)(const Array&, std::optional<int>, bool, bool)>
Array scan(const ScalarOrArray& a, nb::object axis, bool reverse, bool inclusive, std::optional<Dtype> dtype,
           const StreamOrDevice& s) {
  OnStream scope(s, "scan");
  const Array x = to_array(a);
  return Op(dtype ? astype(x, *dtype) : x, to_axis(axis, "scan"), reverse, inclusive);
}

#define NHWC_AXES_SIG "axis: int | Sequence[int] | None = None, keepdims: bool = False, "
#define NHWC_AXES_DOC                                                                                \
  "    a (array): any shape.\n    axis (int | tuple, optional): the axes to reduce. Default: all.\n" \
  "    keepdims (bool): keep the reduced axes with size 1. Default: ``False``.\n"
#define NHWC_AXIS_RAISES "\n\nRaises:\n    ValueError: an axis out of range, or named twice.\n"

void bind_plain(nb::module_& m) {
#define NHWC_DEF(n, what, type, argument, result)                                                                    \
  m.def(#n, &reduce<nhwc::n>, nb::arg(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, NHWC_STREAM_ARG, \
        nb::sig("def " #n "(a: " NHWC_SCALAR_SIG ", /, " NHWC_AXES_SIG NHWC_STREAM_SIG " -> array"),                 \
        what " over all axes or some.\n\nArgs:\n" NHWC_AXES_DOC NHWC_STREAM_DOC                                      \
             "\nReturns:\n    array: the shape of ``a`` without the reduced axes, " type                             \
             "." NHWC_AXIS_RAISES NHWC_EXAMPLE "mx." #n "(mx.array(" argument ")).item()\n    " result "\n");
  NHWC_DEF(sum, "The sum", "its dtype, small integers in 32 bits", "[1, 2, 3]", "6")
  NHWC_DEF(prod, "The product", "its dtype, small integers in 32 bits", "[2, 3]", "6")
  NHWC_DEF(mean, "The mean", "floating", "[1.0, 3.0]", "2.0")
  NHWC_DEF(max, "The greatest element", "its dtype; NaN where there is one", "[1, 3, 2]", "3")
  NHWC_DEF(min, "The least element", "its dtype; NaN where there is one", "[2, 1, 3]", "1")
  NHWC_DEF(all, "True if every element is not zero,", "bool", "[1, 0]", "False")
  NHWC_DEF(any, "True if some element is not zero,", "bool", "[1, 0]", "True")
  NHWC_DEF(logsumexp, "log(sum(exp(a))), without overflow,", "floating", "[float(\"-inf\"), 0.0]", "0.0")
#undef NHWC_DEF
}

void bind_moments(nb::module_& m) {
#define NHWC_DEF(n, what, result)                                                                                     \
  m.def(#n, &moment<nhwc::n>, nb::arg(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false,                   \
        nb::arg("ddof") = 0, nb::kw_only(), nb::arg("correction") = nb::none(), nb::arg("stream") = nb::none(),       \
        nb::sig("def " #n "(a: " NHWC_SCALAR_SIG ", /, " NHWC_AXES_SIG                                                \
                "ddof: int = 0, *, correction: int | None = None, "                                                   \
                "stream: Stream | Device | DeviceType | None = None) -> array"),                                      \
        what                                                                                                          \
        " over all axes or some.\n\nArgs:\n" NHWC_AXES_DOC                                                            \
        "    ddof (int): the divisor is the count less this. Default: ``0``.\n"                                       \
        "    correction (int, optional): another name for ``ddof``.\n" NHWC_STREAM_DOC                                \
        "\nReturns:\n    array: the shape of ``a`` without the reduced axes, floating." NHWC_AXIS_RAISES NHWC_EXAMPLE \
        "mx." #n "(mx.array([1.0, 3.0])).item()\n    " result "\n");
  NHWC_DEF(var, "The variance", "1.0")
  NHWC_DEF(std, "The standard deviation", "1.0")
#undef NHWC_DEF
}

void bind_along_one_axis(nb::module_& m) {
#define NHWC_DEF(n, what)                                                                               \
  m.def(#n, &arg_reduce<nhwc::n>, nb::arg(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, \
        NHWC_STREAM_ARG,                                                                                \
        nb::sig("def " #n "(a: " NHWC_SCALAR_SIG                                                        \
                ", /, axis: int | None = None, keepdims: bool = False, " NHWC_STREAM_SIG " -> array"),  \
        "The index of the " what                                                                        \
        " element, the first of equals.\n\nArgs:\n    a (array): not empty.\n"                          \
        "    axis (int, optional): along which. Default: of the flattened array.\n"                     \
        "    keepdims (bool): keep the axis with size 1. Default: ``False``.\n" NHWC_STREAM_DOC         \
        "\nReturns:\n    array: uint32.\n\nRaises:\n    ValueError: an empty array, or an axis out of " \
        "range.\n" NHWC_EXAMPLE "mx." #n "(mx.array([5, 5, 5])).item()\n    0\n");
  NHWC_DEF(argmax, "greatest")
  NHWC_DEF(argmin, "least")
#undef NHWC_DEF
#define NHWC_DEF(n, what, result)                                                                                 \
  m.def(#n, &scan<nhwc::n>, nb::arg(), nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("reverse") = false,   \
        nb::arg("inclusive") = true, nb::arg("dtype") = nb::none(), nb::arg("stream") = nb::none(),               \
        nb::sig("def " #n "(a: " NHWC_SCALAR_SIG                                                                  \
                ", /, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, "                \
                "dtype: Dtype | None = None, "                                                                    \
                "stream: Stream | Device | DeviceType | None = None) -> array"),                                  \
        "The " what                                                                                               \
        " of the elements so far.\n\nArgs:\n    a (array): any shape.\n"                                          \
        "    axis (int, optional): along which. Default: over the flattened array.\n"                             \
        "    reverse (bool): from the end. Default: ``False``.\n    inclusive (bool): count the element itself. " \
        "Default: ``True``.\n"                                                                                    \
        "    dtype (Dtype, optional): of the sums. Default: that of ``a``.\n" NHWC_STREAM_DOC                     \
        "\nReturns:\n    array: the shape and dtype of ``a``.\n\nRaises:\n    ValueError: an axis out of "        \
        "range.\n" NHWC_EXAMPLE "mx." #n "(mx.array([1, 2, 3])).tolist()\n    " result "\n");
  NHWC_DEF(cumsum, "sum", "[1, 3, 6]")
  NHWC_DEF(cumprod, "product", "[1, 2, 6]")
#undef NHWC_DEF
#define NHWC_DEF(n, what, result)                                                                                   \
  m.def(                                                                                                            \
      #n,                                                                                                           \
      [](const Array& a, nb::object axis, const StreamOrDevice& s) {                                                \
        OnStream scope(s, #n);                                                                                      \
        return n(a, to_axis(axis, #n));                                                                             \
      },                                                                                                            \
      nb::arg(), nb::arg("axis").none() = -1, NHWC_STREAM_ARG,                                                      \
      nb::sig("def " #n "(a: array, /, axis: int | None = -1, " NHWC_STREAM_SIG " -> array"),                       \
      what                                                                                                          \
      ", ascending, NaN last; equal elements keep their order.\n\nArgs:\n    a (array): any shape.\n"               \
      "    axis (int, optional): along which; ``None`` flattens first. Default: ``-1``.\n" NHWC_STREAM_DOC          \
      "\nReturns:\n    array: the shape of ``a``.\n\nRaises:\n    ValueError: an axis out of range.\n" NHWC_EXAMPLE \
      "mx." #n "(mx.array([3, 1, 2])).tolist()\n    " result "\n");
  NHWC_DEF(sort, "The elements in order", "[1, 2, 3]")
  NHWC_DEF(argsort, "The indices that put the elements in order", "[1, 2, 0]")
#undef NHWC_DEF
}

}  // namespace

void bind_reductions(nb::module_& m) {
  bind_plain(m);
  bind_moments(m);
  bind_along_one_axis(m);
  m.def(
      "softmax",
      [](const ScalarOrArray& a, nb::object axis, bool precise, const StreamOrDevice& s) {
        OnStream scope(s, "softmax");
        return softmax(to_array(a), to_axes(axis, "softmax"), precise);
      },
      nb::arg(), nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("precise") = false,
      nb::arg("stream") = nb::none(),
      nb::sig("def softmax(a: array, /, axis: int | Sequence[int] | None = None, *, precise: bool = False, "
              "stream: Stream | Device | DeviceType | None = None) -> array"),
      "The exponentials divided by their sum, over all axes or some.\n\nArgs:\n    a (array): any shape.\n"
      "    axis (int | tuple, optional): the axes whose elements add up to 1. Default: all.\n"
      "    precise (bool): compute half types in float32. Default: ``False``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``a``, floating." NHWC_AXIS_RAISES NHWC_EXAMPLE
      "mx.softmax(mx.array([0.0, 0.0])).tolist()\n    [0.5, 0.5]\n");
  m.def(
      "topk",
      [](const Array& a, int64_t k, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "topk");
        return topk(a, k, to_axis(axis, "topk"));
      },
      nb::arg(), nb::arg("k"), nb::arg("axis").none() = -1, NHWC_STREAM_ARG,
      nb::sig("def topk(a: array, /, k: int, axis: int | None = -1, " NHWC_STREAM_SIG " -> array"),
      "The ``k`` greatest elements, ascending.\n\nArgs:\n    a (array): any shape.\n    k (int): how many.\n"
      "    axis (int, optional): along which; ``None`` flattens first. Default: ``-1``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``a`` with size ``k`` along the axis.\n\nRaises:\n    ValueError: k larger "
      "than the axis.\n" NHWC_EXAMPLE "mx.topk(mx.array([5, 1, 4]), 2).tolist()\n    [4, 5]\n");
}

}  // namespace nhwc::py
