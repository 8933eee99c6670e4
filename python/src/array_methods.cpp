// python/src/array_methods.cpp -- the methods of `array` that are elementwise operations and changes of shape
#include "array_class.h"

namespace nhwc::py {
namespace {

/// f(1, 2), f((1, 2)) and f([1, 2]) mean the same.
nb::object spread(const nb::args& args) {
  if (args.size() == 1 && !PyIndex_Check(nb::object(args[0]).ptr())) return args[0];
  return args;
}

void define_one(ArrayClass& c, const char* name, Array (*op)(const Array&), const char* what) {
  c.def(
      name,
      [op](const Array& a, const StreamOrDevice& s) {
        OnStream scope(s, "array");
        return op(a);
      },
      nb::kw_only(), nb::arg("stream") = nb::none(), message(what, " See :func:`", name, "`.").c_str());
}

void define_unary(ArrayClass& c) {
  define_one(c, "abs", abs, "The absolute values.");
  define_one(c, "cos", cos, "The cosines.");
  define_one(c, "exp", exp, "The exponentials.");
  define_one(c, "log", log, "The natural logarithms.");
  define_one(c, "log10", log10, "The logarithms to base 10.");
  define_one(c, "log1p", log1p, "The natural logarithms of one plus the elements.");
  define_one(c, "log2", log2, "The logarithms to base 2.");
  define_one(c, "reciprocal", reciprocal, "One divided by the elements.");
  define_one(c, "rsqrt", rsqrt, "One divided by the square roots.");
  define_one(c, "sin", sin, "The sines.");
  define_one(c, "sqrt", sqrt, "The square roots.");
  define_one(c, "square", square, "The squares.");
  c.def(
      "round",
      [](const Array& a, int decimals, const StreamOrDevice& s) {
        OnStream scope(s, "round");
        return round(a, decimals);
      },
      nb::arg("decimals") = 0, nb::kw_only(), nb::arg("stream") = nb::none(),
      "The elements rounded to a number of decimals, halves to even. See :func:`round`.");
  c.def(
      "astype",
      [](const Array& a, Dtype dtype, const StreamOrDevice& s) {
        OnStream scope(s, "astype");
        return astype(a, dtype);
      },
      nb::arg("dtype"), nb::arg("stream") = nb::none(),
      "The elements converted to another dtype.\n\nArgs:\n    dtype: The dtype to convert to.\n\nReturns:\n    An "
      "array of the "
      "same shape.\n");
}

void define_axes(ArrayClass& c) {
  c.def(
       "transpose",
       [](const Array& a, nb::args axes, const StreamOrDevice& s) {
         OnStream scope(s, "transpose");
         if (axes.size() == 0) return transpose(a);
         return transpose(a, to_axes(spread(axes), "transpose"));
       },
       nb::arg("axes"), nb::kw_only(), nb::arg("stream") = nb::none(),
       nb::sig("def transpose(self, *axes, stream: Stream | Device | DeviceType | None = None) -> array"),
       "The axes in another order, reversed by default; given one by one or as a tuple. See :func:`transpose`.")
      .def(
          "swapaxes",
          [](const Array& a, int axis1, int axis2, const StreamOrDevice& s) {
            OnStream scope(s, "swapaxes");
            return swapaxes(a, axis1, axis2);
          },
          nb::arg("axis1"), nb::arg("axis2"), nb::kw_only(), nb::arg("stream") = nb::none(),
          "Two axes exchanged. See :func:`swapaxes`.")
      .def(
          "moveaxis",
          [](const Array& a, int source, int destination, const StreamOrDevice& s) {
            OnStream scope(s, "moveaxis");
            return moveaxis(a, source, destination);
          },
          nb::arg("source"), nb::arg("destination"), nb::kw_only(), nb::arg("stream") = nb::none(),
          "One axis moved to another place. See :func:`moveaxis`.")
      .def(
          "diagonal",
          [](const Array& a, int offset, int axis1, int axis2, const StreamOrDevice& s) {
            OnStream scope(s, "diagonal");
            return diagonal(a, offset, axis1, axis2);
          },
          nb::arg("offset") = 0, nb::arg("axis1") = 0, nb::arg("axis2") = 1, nb::arg("stream") = nb::none(),
          "The diagonal of two axes, as the last axis. See :func:`diagonal`.")
      .def(
          "diag",
          [](const Array& a, int k, const StreamOrDevice& s) {
            OnStream scope(s, "diag");
            return diag(a, k);
          },
          nb::arg("k") = 0, nb::kw_only(), nb::arg("stream") = nb::none(),
          "The diagonal of a matrix, or the matrix with this diagonal. See :func:`diag`.");
}

void define_sizes(ArrayClass& c) {
  c.def(
       "reshape",
       [](const Array& a, nb::args shape, const StreamOrDevice& s) {
         OnStream scope(s, "reshape");
         return reshape(a, to_dims(spread(shape), "reshape", "shape"));
       },
       nb::arg("shape"), nb::kw_only(), nb::arg("stream") = nb::none(),
       nb::sig("def reshape(self, *shape, stream: Stream | Device | DeviceType | None = None) -> array"),
       "The elements in another shape, given one by one or as a tuple; one size may be -1. See :func:`reshape`.")
      .def(
          "flatten",
          [](const Array& a, int start, int end, const StreamOrDevice& s) {
            OnStream scope(s, "flatten");
            return flatten(a, start, end);
          },
          nb::arg("start_axis") = 0, nb::arg("end_axis") = -1, nb::kw_only(), nb::arg("stream") = nb::none(),
          "Axes from one to another joined to one. See :func:`flatten`.")
      .def(
          "squeeze",
          [](const Array& a, nb::object axis, const StreamOrDevice& s) {
            OnStream scope(s, "squeeze");
            return squeeze(a, to_axes(axis, "squeeze"));
          },
          nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("stream") = nb::none(),
          nb::sig("def squeeze(self, axis: int | Sequence[int] | None = None, *, stream: Stream | Device | DeviceType "
                  "| None = "
                  "None) -> array"),
          "Axes of size 1 removed. See :func:`squeeze`.")
      .def(
          "split",
          [](const Array& a, nb::object parts, int axis, const StreamOrDevice& s) {
            OnStream scope(s, "split");
            if (PyIndex_Check(parts.ptr())) return split(a, to_int(parts, "split", "indices_or_sections"), axis);
            return split_at(a, to_dims(parts, "split", "indices_or_sections"), axis);
          },
          nb::arg("indices_or_sections"), nb::arg("axis") = 0, nb::kw_only(), nb::arg("stream") = nb::none(),
          nb::sig("def split(self, indices_or_sections: int | Sequence[int], axis: int = 0, *, "
                  "stream: Stream | Device | DeviceType | None = None) -> list[array]"),
          "Equal parts, or parts between indices, along an axis. See :func:`split`.");
}

}  // namespace

void define_methods(ArrayClass& c) {
  define_unary(c);
  define_axes(c);
  define_sizes(c);
}

}  // namespace nhwc::py
