// python/src/bind_taking.cpp -- functions that pick elements by index
#include "bind_ops.h"

namespace nhwc::py {
namespace {

Array along_axis(const Array& a, const Array& indices, nb::object axis, const StreamOrDevice& s) {
  OnStream scope(s, "take_along_axis");
  return take_along_axis(a, indices, to_axis(axis, "take_along_axis"));
}

}  // namespace

void bind_taking(nb::module_& m) {
  m.def(
      "take",
      [](const Array& a, nb::object indices, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "take");
        return take(a, to_array(indices), to_axis(axis, "take"));
      },
      nb::arg(), nb::arg("indices"), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def take(a: array, /, indices: int | array, axis: int | None = None, " NHWC_STREAM_SIG " -> array"),
      "Elements by index along an axis.\n\nArgs:\n    a (array): any shape.\n    indices (array): integers; negative "
      "ones count from the end.\n"
      "    axis (int, optional): along which. Default: of the flattened array.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``a`` with the axis replaced by the indices' shape.\n\nRaises:\n    "
      "IndexError: an index out of range, when it is evaluated.\n" NHWC_EXAMPLE
      "mx.take(mx.array([5, 6, 7]), mx.array([2, 0])).tolist()\n    [7, 5]\n");
  m.def(
      "take_along_axis", &along_axis, nb::arg(), nb::arg("indices"), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def take_along_axis(a: array, /, indices: array, axis: int | None = None, " NHWC_STREAM_SIG " -> array"),
      "One element by index for every place, along an axis.\n\nArgs:\n    a (array): any shape.\n    indices (array): "
      "integers, as many axes; other sizes broadcast.\n"
      "    axis (int, optional): along which. Default: of the flattened arrays.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of the indices.\n\nRaises:\n    IndexError: an index out of range, when it is "
      "evaluated.\n" NHWC_EXAMPLE
      "mx.take_along_axis(mx.array([[5, 6], [7, 8]]), mx.array([[1], [0]]), axis=1).tolist()\n    [[6], [7]]\n");
  m.def(
      "put_along_axis",
      [](const Array& a, const Array& indices, const ScalarOrArray& values, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "put_along_axis");
        return put_along_axis(a, indices, to_operand(values.value, a.dtype()), to_axis(axis, "put_along_axis"));
      },
      nb::arg(), nb::arg("indices"), nb::arg("values"), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def put_along_axis(a: array, /, indices: array, values: " NHWC_SCALAR_SIG
              ", axis: int | None = None, " NHWC_STREAM_SIG " -> array"),
      "A copy in which elements by index along an axis are replaced.\n\nArgs:\n    a (array): any shape.\n    indices "
      "(array): integers, as many axes.\n"
      "    values (array): broadcast to the indices; of two for one place the last counts.\n    axis (int, optional): "
      "along which. Default: of the flattened array.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``a``.\n\nRaises:\n    IndexError: an index out of range, when it is "
      "evaluated.\n" NHWC_EXAMPLE
      "mx.put_along_axis(mx.zeros((3,)), mx.array([1]), 5, axis=0).tolist()\n    [0.0, 5.0, 0.0]\n");
}

void bind_ops(nb::module_& m) {
  bind_creation(m);
  bind_unary(m);
  bind_binary(m);
  bind_reductions(m);
  bind_shapes(m);
  bind_taking(m);
}

}  // namespace nhwc::py
