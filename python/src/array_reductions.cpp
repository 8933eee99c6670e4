// python/src/array_reductions.cpp -- the methods of `array` that work along axes: reductions, softmax, sums so far
#include "array_class.h"

namespace nhwc::py {
namespace {

#define NHWC_STREAM "stream: Stream | Device | DeviceType | None = None) -> array"
#define NHWC_AXES "axis: int | Sequence[int] | None = None, "

// Each of these converts its arguments and words its docstring once for all of its methods.
void define_plain(ArrayClass& c, const char* name, Array (*op)(const Array&, const Axes&, bool), const char* what) {
  c.def(
      name,
      [op](const Array& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
        OnStream scope(s, "array");
        return op(a, to_axes(axis, "array"), keepdims);
      },
      nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::kw_only(), nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name, "(self, " NHWC_AXES "keepdims: bool = False, *, " NHWC_STREAM).c_str()),
      message(what, " over all axes or some. See :func:`", name, "`.").c_str());
}

void define_moment(ArrayClass& c, const char* name, Array (*op)(const Array&, const Axes&, bool, int),
                   const char* what) {
  c.def(
      name,
      [op](const Array& a, nb::object axis, bool keepdims, int ddof, std::optional<int> correction,
           const StreamOrDevice& s) {
        OnStream scope(s, "array");
        return op(a, to_axes(axis, "array"), keepdims, correction.value_or(ddof));
      },
      nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::arg("ddof") = 0, nb::kw_only(),
      nb::arg("correction") = nb::none(), nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name,
                      "(self, " NHWC_AXES
                      "keepdims: bool = False, ddof: int = 0, *, correction: int | None = None, " NHWC_STREAM)
                  .c_str()),
      message(what, " over all axes or some; ``correction`` is another name for ``ddof``. See :func:`", name, "`.")
          .c_str());
}

void define_arg(ArrayClass& c, const char* name, Array (*op)(const Array&, std::optional<int>, bool),
                const char* which) {
  c.def(
      name,
      [op](const Array& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
        OnStream scope(s, "array");
        return op(a, to_axis(axis, "array"), keepdims);
      },
      nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::kw_only(), nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name, "(self, axis: int | None = None, keepdims: bool = False, *, " NHWC_STREAM).c_str()),
      message("The index of the ", which, " element along an axis, or of the flattened array. See :func:`", name, "`.")
          .c_str());
}

void define_scan(ArrayClass& c, const char* name, Array (*op)(const Array&, std::optional<int>, bool, bool),
                 const char* what) {
  c.def(
      name,
      [op](const Array& a, nb::object axis, bool reverse, bool inclusive, const StreamOrDevice& s) {
        OnStream scope(s, "array");
        return op(a, to_axis(axis, "array"), reverse, inclusive);
      },
      nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("reverse") = false, nb::arg("inclusive") = true,
      nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name,
                      "(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, " NHWC_STREAM)
                  .c_str()),
      message("The ", what, " of the elements so far along an axis, or of the flattened array. See :func:`", name, "`.")
          .c_str());
}

}  // namespace

void define_reductions(ArrayClass& c) {
  define_plain(c, "all", all, "Whether all elements are true,");
  define_plain(c, "any", any, "Whether some element is true,");
  define_plain(c, "sum", sum, "The sum");
  define_plain(c, "prod", prod, "The product");
  define_plain(c, "mean", mean, "The mean");
  define_plain(c, "max", max, "The greatest element");
  define_plain(c, "min", min, "The least element");
  define_plain(c, "logsumexp", logsumexp, "The logarithm of the sum of the exponentials");
  define_moment(c, "var", var, "The variance");
  define_moment(c, "std", std, "The standard deviation");
  define_arg(c, "argmax", argmax, "greatest");
  define_arg(c, "argmin", argmin, "least");
  define_scan(c, "cumsum", cumsum, "sums");
  define_scan(c, "cumprod", cumprod, "products");
  c.def(
      "softmax",
      [](const Array& a, nb::object axis, bool precise, const StreamOrDevice& s) {
        OnStream scope(s, "softmax");
        return softmax(a, to_axes(axis, "softmax"), precise);
      },
      nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("precise") = false, nb::arg("stream") = nb::none(),
      nb::sig("def softmax(self, " NHWC_AXES "*, precise: bool = False, " NHWC_STREAM),
      "The exponentials divided by their sum, over all axes or some. See :func:`softmax`.");
}

#undef NHWC_STREAM
#undef NHWC_AXES

}  // namespace nhwc::py
