// python/src/bind_reductions.cpp -- reductions, scans and sorting
#include <nanobind/stl/variant.h>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

#define NHWC_AXES_SIG "axis: int | Sequence[int] | None = None, keepdims: bool = False, "
#define NHWC_AXES_DOC                                                                                \
  "    a (array): any shape.\n    axis (int | tuple, optional): the axes to reduce. Default: all.\n" \
  "    keepdims (bool): keep the reduced axes with size 1. Default: ``False``.\n"
#define NHWC_AXIS_RAISES "\n\nRaises:\n    ValueError: an axis out of range, or named twice.\n"

// Each of these converts its arguments and words its docstring once for all of its functions.
void define_plain(nb::module_& m, const char* name, Array (*op)(const Array&, const Axes&, bool), const char* what,
                  const char* type, const char* argument, const char* result) {
  m.def(
      name,
      [op](const ScalarOrArray& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
        OnStream scope(s, "reduce");
        return op(to_array(a), to_axes(axis, "reduce"), keepdims);
      },
      nb::arg(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, NHWC_STREAM_ARG,
      nb::sig(message("def ", name, "(a: " NHWC_SCALAR_SIG ", /, " NHWC_AXES_SIG NHWC_STREAM_SIG " -> array").c_str()),
      message(what,
              " over all axes or some.\n\nArgs:\n" NHWC_AXES_DOC NHWC_STREAM_DOC
              "\nReturns:\n    array: the shape of ``a`` without the reduced axes, ",
              type, "." NHWC_AXIS_RAISES NHWC_EXAMPLE "mx.", name, "(mx.array(", argument, ")).item()\n    ", result,
              "\n")
          .c_str());
}

void bind_plain(nb::module_& m) {
  define_plain(m, "sum", sum, "The sum", "its dtype, small integers in 32 bits", "[1, 2, 3]", "6");
  define_plain(m, "prod", prod, "The product", "its dtype, small integers in 32 bits", "[2, 3]", "6");
  define_plain(m, "mean", mean, "The mean", "floating", "[1.0, 3.0]", "2.0");
  define_plain(m, "max", max, "The greatest element", "its dtype; NaN where there is one", "[1, 3, 2]", "3");
  define_plain(m, "min", min, "The least element", "its dtype; NaN where there is one", "[2, 1, 3]", "1");
  define_plain(m, "all", all, "True if every element is not zero,", "bool", "[1, 0]", "False");
  define_plain(m, "any", any, "True if some element is not zero,", "bool", "[1, 0]", "True");
  define_plain(m, "logsumexp", logsumexp, "log(sum(exp(a))), without overflow,", "floating", "[float(\"-inf\"), 0.0]",
               "0.0");
}

void define_moment(nb::module_& m, const char* name, Array (*op)(const Array&, const Axes&, bool, int),
                   const char* what, const char* result) {
  m.def(
      name,
      [op](const ScalarOrArray& a, nb::object axis, bool keepdims, int ddof, std::optional<int> correction,
           const StreamOrDevice& s) {
        OnStream scope(s, "moment");
        return op(to_array(a), to_axes(axis, "moment"), keepdims, correction.value_or(ddof));
      },
      nb::arg(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::arg("ddof") = 0, nb::kw_only(),
      nb::arg("correction") = nb::none(), nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name,
                      "(a: " NHWC_SCALAR_SIG ", /, " NHWC_AXES_SIG "ddof: int = 0, *, correction: int | None = None, "
                      "stream: Stream | Device | DeviceType | None = None) -> array")
                  .c_str()),
      message(
          what,
          " over all axes or some.\n\nArgs:\n" NHWC_AXES_DOC
          "    ddof (int): the divisor is the count less this. Default: ``0``.\n"
          "    correction (int, optional): another name for ``ddof``.\n" NHWC_STREAM_DOC
          "\nReturns:\n    array: the shape of ``a`` without the reduced axes, floating." NHWC_AXIS_RAISES NHWC_EXAMPLE
          "mx.",
          name, "(mx.array([1.0, 3.0])).item()\n    ", result, "\n")
          .c_str());
}

void bind_moments(nb::module_& m) {
  define_moment(m, "var", var, "The variance", "1.0");
  define_moment(m, "std", std, "The standard deviation", "1.0");
}

void define_arg(nb::module_& m, const char* name, Array (*op)(const Array&, std::optional<int>, bool),
                const char* what) {
  m.def(
      name,
      [op](const ScalarOrArray& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
        OnStream scope(s, "argmax");
        return op(to_array(a), to_axis(axis, "argmax"), keepdims);
      },
      nb::arg(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, NHWC_STREAM_ARG,
      nb::sig(message("def ", name,
                      "(a: " NHWC_SCALAR_SIG ", /, axis: int | None = None, keepdims: bool = False, " NHWC_STREAM_SIG
                      " -> array")
                  .c_str()),
      message("The index of the ", what,
              " element, the first of equals.\n\nArgs:\n    a (array): not empty.\n"
              "    axis (int, optional): along which. Default: of the flattened array.\n"
              "    keepdims (bool): keep the axis with size 1. Default: ``False``.\n" NHWC_STREAM_DOC
              "\nReturns:\n    array: uint32.\n\nRaises:\n    ValueError: an empty array, or an axis out of "
              "range.\n" NHWC_EXAMPLE "mx.",
              name, "(mx.array([5, 5, 5])).item()\n    0\n")
          .c_str());
}

void define_scan(nb::module_& m, const char* name, Array (*op)(const Array&, std::optional<int>, bool, bool),
                 const char* what, const char* result) {
  m.def(
      name,
      [op](const ScalarOrArray& a, nb::object axis, bool reverse, bool inclusive, std::optional<Dtype> dtype,
           const StreamOrDevice& s) {
        OnStream scope(s, "scan");
        const Array x = to_array(a);
        return op(dtype ? astype(x, *dtype) : x, to_axis(axis, "scan"), reverse, inclusive);
      },
      nb::arg(), nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("reverse") = false, nb::arg("inclusive") = true,
      nb::arg("dtype") = nb::none(), nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name,
                      "(a: " NHWC_SCALAR_SIG
                      ", /, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, "
                      "dtype: Dtype | None = None, "
                      "stream: Stream | Device | DeviceType | None = None) -> array")
                  .c_str()),
      message("The ", what,
              " of the elements so far.\n\nArgs:\n    a (array): any shape.\n"
              "    axis (int, optional): along which. Default: over the flattened array.\n"
              "    reverse (bool): from the end. Default: ``False``.\n    inclusive (bool): count the element itself. "
              "Default: ``True``.\n"
              "    dtype (Dtype, optional): of the sums. Default: that of ``a``.\n" NHWC_STREAM_DOC
              "\nReturns:\n    array: the shape and dtype of ``a``.\n\nRaises:\n    ValueError: an axis out of "
              "range.\n" NHWC_EXAMPLE "mx.",
              name, "(mx.array([1, 2, 3])).tolist()\n    ", result, "\n")
          .c_str());
}

void define_order(nb::module_& m, const char* name, Array (*op)(const Array&, std::optional<int>), const char* what,
                  const char* result) {
  m.def(
      name,
      [op, name](const Array& a, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, name);
        return op(a, to_axis(axis, name));
      },
      nb::arg(), nb::arg("axis").none() = -1, NHWC_STREAM_ARG,
      nb::sig(message("def ", name, "(a: array, /, axis: int | None = -1, " NHWC_STREAM_SIG " -> array").c_str()),
      message(
          what,
          ", ascending, NaN last; equal elements keep their order.\n\nArgs:\n    a (array): any shape.\n"
          "    axis (int, optional): along which; ``None`` flattens first. Default: ``-1``.\n" NHWC_STREAM_DOC
          "\nReturns:\n    array: the shape of ``a``.\n\nRaises:\n    ValueError: an axis out of range.\n" NHWC_EXAMPLE
          "mx.",
          name, "(mx.array([3, 1, 2])).tolist()\n    ", result, "\n")
          .c_str());
}

// All elements in order: the kth is where it belongs, and what comes before and after it is, too.
void define_partition(nb::module_& m, const char* name, Array (*op)(const Array&, std::optional<int>), const char* what,
                      const char* result) {
  m.def(
      name,
      [op, name](const Array& a, int64_t kth, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, name);
        const std::optional<int> along = to_axis(axis, name);
        const Array ordered = op(a, along);
        const int64_t size = along ? a.shape(*along) : a.size();
        if (kth < -size || kth >= size)
          raise<ValueError>("[", name, "] kth=", kth, " is out of range of the ", size, " elements along the axis");
        return ordered;
      },
      nb::arg(), nb::arg("kth"), nb::arg("axis").none() = -1, NHWC_STREAM_ARG,
      nb::sig(
          message("def ", name, "(a: array, /, kth: int, axis: int | None = -1, " NHWC_STREAM_SIG " -> array").c_str()),
      message(what,
              ": none before it is greater, none after it less, NaN last.\n\nArgs:\n    a (array): any shape.\n"
              "    kth (int): a position; negative from the end.\n"
              "    axis (int, optional): along which; ``None`` flattens first. Default: ``-1``.\n" NHWC_STREAM_DOC
              "\nReturns:\n    array: the shape of ``a``.\n\nRaises:\n    ValueError: kth or an axis out of "
              "range.\n" NHWC_EXAMPLE "mx.",
              name, "(mx.array([3, 1, 2]), 1)[1].item()\n    ", result, "\n")
          .c_str());
}

void bind_along_one_axis(nb::module_& m) {
  define_arg(m, "argmax", argmax, "greatest");
  define_arg(m, "argmin", argmin, "least");
  define_scan(m, "cumsum", cumsum, "sum", "[1, 3, 6]");
  define_scan(m, "cumprod", cumprod, "product", "[1, 2, 6]");
  define_order(m, "sort", sort, "The elements in order", "[1, 2, 3]");
  define_order(m, "argsort", argsort, "The indices that put the elements in order", "[1, 2, 0]");
  define_partition(m, "partition", sort, "The elements with the ``kth`` where it would be in order", "2");
  define_partition(m, "argpartition", argsort, "The indices that put the ``kth`` element where it would be in order",
                   "2");
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
