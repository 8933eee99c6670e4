// python/src/bind_creation.cpp -- arrays from shapes and ranges
#include <nanobind/stl/variant.h>

#include <cmath>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

// Without a dtype: int32 where start, stop and step are ints, else float32.
Array arange_of(nb::object start, nb::object stop, nb::object step, std::optional<Dtype> dtype,
                const StreamOrDevice& s) {
  OnStream scope(s, "arange");
  if (stop.is_none()) std::swap(start, stop);
  if (stop.is_none()) throw nb::type_error("[arange] needs stop, or start and stop");
  if (start.is_none()) start = nb::int_(0);
  if (step.is_none()) step = nb::int_(1);
  bool whole = true;
  double v[3];
  int i = 0;
  for (nb::handle o : {nb::handle(start), nb::handle(stop), nb::handle(step)}) {
    whole &= PyIndex_Check(o.ptr()) != 0;
    v[i] = PyFloat_AsDouble(o.ptr());
    if (v[i] == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      throw nb::type_error(("[arange] start, stop and step must be numbers, got " + python_type(o)).c_str());
    }
    ++i;
  }
  return arange(v[0], v[1], v[2], dtype.value_or(whole ? Dtype::int32 : Dtype::float32));
}

#define NHWC_DTYPE_SIG "dtype: Dtype | None = float32, "

void define_filled(nb::module_& m, const char* name, const char* like, Array (*op)(const Shape&, Dtype),
                   const char* result) {
  m.def(
      name,
      [op, name](nb::object shape, std::optional<Dtype> dtype, const StreamOrDevice& s) {
        OnStream scope(s, name);
        return op(to_dims(shape, name, "shape"), dtype.value_or(Dtype::float32));
      },
      nb::arg("shape"), nb::arg("dtype").none() = Dtype::float32, NHWC_STREAM_ARG,
      nb::sig(
          message("def ", name, "(shape: int | Sequence[int], " NHWC_DTYPE_SIG NHWC_STREAM_SIG " -> array").c_str()),
      message("An array of ", name,
              ".\n\nArgs:\n    shape (int | tuple): its shape.\n    dtype (Dtype, optional): Default: "
              "float32.\n" NHWC_STREAM_DOC
              "\nReturns:\n    array: ``shape``.\n\nRaises:\n    ValueError: a negative size.\n" NHWC_EXAMPLE "mx.",
              name, "((2,)).tolist()\n    ", result, "\n")
          .c_str());
  m.def(
      like,
      [op, like](const Array& a, std::optional<Dtype> dtype, const StreamOrDevice& s) {
        OnStream scope(s, like);
        return op(a.shape(), dtype.value_or(a.dtype()));
      },
      nb::arg(), nb::arg("dtype") = nb::none(), NHWC_STREAM_ARG,
      nb::sig(message("def ", like, "(a: array, /, dtype: Dtype | None = None, " NHWC_STREAM_SIG " -> array").c_str()),
      message("An array of ", name,
              " of another's shape and dtype.\n\nArgs:\n    a (array): the other.\n"
              "    dtype (Dtype, optional): Default: that of ``a``.\n" NHWC_STREAM_DOC
              "\nReturns:\n    array: the shape of ``a``.\n" NHWC_EXAMPLE "mx.",
              name, "_like(mx.array([3, 4])).shape\n    (2,)\n")
          .c_str());
}

void bind_filled(nb::module_& m) {
  define_filled(m, "zeros", "zeros_like", zeros, "[0.0, 0.0]");
  define_filled(m, "ones", "ones_like", ones, "[1.0, 1.0]");
  m.def(
      "full",
      [](nb::object shape, const ScalarOrArray& vals, std::optional<Dtype> dtype, const StreamOrDevice& s) {
        OnStream scope(s, "full");
        const Array v = to_array(vals);
        return full(to_dims(shape, "full", "shape"), v, dtype.value_or(v.dtype()));
      },
      nb::arg("shape"), nb::arg("vals"), nb::arg("dtype") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def full(shape: int | Sequence[int], vals: " NHWC_SCALAR_SIG
              ", dtype: Dtype | None = None, " NHWC_STREAM_SIG " -> array"),
      "An array of one value, or of values broadcast.\n\nArgs:\n    shape (int | tuple): its shape.\n    vals (array): "
      "broadcast to it.\n"
      "    dtype (Dtype, optional): Default: that of ``vals``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: ``shape``.\n\nRaises:\n    ValueError: values that do not broadcast.\n" NHWC_EXAMPLE
      "mx.full((2,), 7).tolist()\n    [7, 7]\n");
  m.def(
      "full_like",
      [](const Array& a, const ScalarOrArray& vals, std::optional<Dtype> dtype, const StreamOrDevice& s) {
        OnStream scope(s, "full_like");
        return full_like(a, to_array(vals), dtype.value_or(a.dtype()));
      },
      nb::arg("a"), nb::arg("vals"), nb::arg("dtype") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def full_like(a: array, vals: " NHWC_SCALAR_SIG ", dtype: Dtype | None = None, " NHWC_STREAM_SIG
              " -> array"),
      "An array of one value, of another's shape.\n\nArgs:\n    a (array): the other.\n    vals (array): broadcast to "
      "its shape.\n"
      "    dtype (Dtype, optional): Default: that of ``a``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``a``.\n" NHWC_EXAMPLE
      "mx.full_like(mx.array([1, 2]), 7).tolist()\n    [7, 7]\n");
}

void bind_ranges(nb::module_& m) {
  m.def("arange", &arange_of, nb::arg("start") = nb::none(), nb::arg("stop") = nb::none(), nb::arg("step") = nb::none(),
        nb::arg("dtype") = nb::none(), NHWC_STREAM_ARG,
        nb::sig("def arange(start: int | float | None = None, stop: int | float | None = None, step: int | float | "
                "None = None, "
                "dtype: Dtype | None = None, " NHWC_STREAM_SIG " -> array"),
        "Numbers from ``start`` up to and without ``stop``; with one argument, from 0 up to it.\n\nArgs:\n    start "
        "(number): the first.\n"
        "    stop (number): the end.\n    step (number): between them. Default: ``1``.\n"
        "    dtype (Dtype, optional): Default: int32 for ints, else float32.\n" NHWC_STREAM_DOC
        "\nReturns:\n    array: ``(ceil((stop - start) / step),)``.\n\nRaises:\n    ValueError: a step of 0, NaN or "
        "infinite bounds.\n" NHWC_EXAMPLE "mx.arange(1, 7, 2).tolist()\n    [1, 3, 5]\n");
  m.def(
      "linspace",
      [](double start, double stop, nb::object num, bool endpoint, std::optional<Dtype> dtype,
         const StreamOrDevice& s) {
        OnStream scope(s, "linspace");
        const int64_t n = to_int(num, "linspace", "num");
        if (!endpoint && n > 0) stop = start + (stop - start) * static_cast<double>(n - 1) / static_cast<double>(n);
        return linspace(start, stop, n, dtype.value_or(Dtype::float32));
      },
      nb::arg("start"), nb::arg("stop"), nb::arg("num") = 50, nb::arg("endpoint") = true,
      nb::arg("dtype").none() = Dtype::float32, nb::arg("stream") = nb::none(),
      nb::sig("def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True, dtype: Dtype | None = "
              "float32, "
              "stream: Stream | Device | DeviceType | None = None) -> array"),
      "Evenly spaced numbers from ``start`` to ``stop``.\n\nArgs:\n    start, stop (float): the ends.\n"
      "    num (int): how many. Default: ``50``.\n    endpoint (bool): ``stop`` is the last of them. Default: "
      "``True``.\n"
      "    dtype (Dtype, optional): Default: float32.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: ``(num,)``.\n\nRaises:\n    ValueError: a negative ``num``.\n" NHWC_EXAMPLE
      "mx.linspace(0, 1, 3).tolist()\n    [0.0, 0.5, 1.0]\n");
}

void define_diagonal(nb::module_& m, const char* name, Array (*op)(int64_t, int64_t, int, Dtype), const char* what,
                     const char* result) {
  m.def(
      name,
      [op, name](nb::object rows, nb::object columns, int k, std::optional<Dtype> dtype, const StreamOrDevice& s) {
        OnStream scope(s, name);
        const int64_t r = to_int(rows, name, "n");
        return op(r, columns.is_none() ? r : to_int(columns, name, "m"), k, dtype.value_or(Dtype::float32));
      },
      nb::arg("n"), nb::arg("m") = nb::none(), nb::arg("k") = 0, nb::arg("dtype").none() = Dtype::float32,
      NHWC_STREAM_ARG,
      nb::sig(message("def ", name,
                      "(n: int, m: int | None = None, k: int = 0, " NHWC_DTYPE_SIG NHWC_STREAM_SIG " -> array")
                  .c_str()),
      message(what,
              ".\n\nArgs:\n    n (int): rows.\n    m (int, optional): columns. Default: ``n``.\n"
              "    k (int): which diagonal, 0 the main one. Default: ``0``.\n    dtype (Dtype, optional): Default: "
              "float32.\n" NHWC_STREAM_DOC "\nReturns:\n    array: ``(n, m)``.\n" NHWC_EXAMPLE "mx.",
              name, "(2).tolist()\n    ", result, "\n")
          .c_str());
}

void define_triangle(nb::module_& m, const char* name, Array (*op)(const Array&, int), const char* what,
                     const char* result) {
  m.def(
      name,
      [op, name](const Array& x, int k, const StreamOrDevice& s) {
        OnStream scope(s, name);
        return op(x, k);
      },
      nb::arg("x"), nb::arg("k") = 0, NHWC_STREAM_ARG,
      nb::sig(message("def ", name, "(x: array, k: int = 0, " NHWC_STREAM_SIG " -> array").c_str()),
      message(
          what,
          ".\n\nArgs:\n    x (array): ``(..., n, m)``.\n    k (int): which diagonal. Default: ``0``.\n" NHWC_STREAM_DOC
          "\nReturns:\n    array: the shape of ``x``.\n\nRaises:\n    ValueError: less than 2 "
          "dimensions.\n" NHWC_EXAMPLE "mx.",
          name, "(mx.ones((2, 2))).tolist()\n    ", result, "\n")
          .c_str());
}

void bind_matrices(nb::module_& m) {
  define_diagonal(m, "eye", eye, "Ones on a diagonal, zeros elsewhere", "[[1.0, 0.0], [0.0, 1.0]]");
  define_diagonal(m, "tri", tri, "Ones on and below a diagonal, zeros above", "[[1.0, 0.0], [1.0, 1.0]]");
  define_triangle(m, "tril", tril, "The matrix with zeros above a diagonal", "[[1.0, 0.0], [1.0, 1.0]]");
  define_triangle(m, "triu", triu, "The matrix with zeros below a diagonal", "[[1.0, 1.0], [0.0, 1.0]]");
  m.def(
      "diag",
      [](const Array& a, int k, const StreamOrDevice& s) {
        OnStream scope(s, "diag");
        return diag(a, k);
      },
      nb::arg(), nb::arg("k") = 0, NHWC_STREAM_ARG,
      nb::sig("def diag(a: array, /, k: int = 0, " NHWC_STREAM_SIG " -> array"),
      "The diagonal of a matrix, or the matrix with a given diagonal.\n\nArgs:\n    a (array): ``(n, m)`` or "
      "``(n,)``.\n"
      "    k (int): which diagonal. Default: ``0``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: 1-D of a matrix, 2-D of a vector.\n\nRaises:\n    ValueError: another "
      "rank.\n" NHWC_EXAMPLE "mx.diag(mx.array([[1, 2], [3, 4]])).tolist()\n    [1, 4]\n");
  m.def(
      "diagonal",
      [](const Array& a, int offset, int axis1, int axis2, const StreamOrDevice& s) {
        OnStream scope(s, "diagonal");
        return diagonal(a, offset, axis1, axis2);
      },
      nb::arg("a"), nb::arg("offset") = 0, nb::arg("axis1") = 0, nb::arg("axis2") = 1, nb::arg("stream") = nb::none(),
      nb::sig("def diagonal(a: array, offset: int = 0, axis1: int = 0, axis2: int = 1, stream: Stream | Device | "
              "DeviceType | None = None) -> array"),
      "The diagonals of the matrices along two axes.\n\nArgs:\n    a (array): at least 2 dimensions.\n    offset "
      "(int): which diagonal. Default: ``0``.\n"
      "    axis1, axis2 (int): the axes of the matrices. Default: ``0`` and ``1``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the other axes, then the diagonal.\n" NHWC_EXAMPLE
      "mx.diagonal(mx.array([[1, 2], [3, 4]])).tolist()\n    [1, 4]\n");
}

}  // namespace

void bind_creation(nb::module_& m) {
  bind_filled(m);
  bind_ranges(m);
  bind_matrices(m);
  m.def(
      "meshgrid",
      [](nb::args arrays, bool sparse, const std::string& indexing, const StreamOrDevice& s) {
        OnStream scope(s, "meshgrid");
        return meshgrid(to_array_list(arrays, "meshgrid"), sparse, indexing);
      },
      nb::arg("arrays"), nb::arg("sparse") = false, nb::arg("indexing") = "xy", nb::arg("stream") = nb::none(),
      nb::sig("def meshgrid(*arrays: array, sparse: bool = False, indexing: str = 'xy', stream: Stream | Device | "
              "DeviceType | None = None) -> list[array]"),
      "Coordinate arrays of a grid from its axes.\n\nArgs:\n    *arrays (array): 1-D, one per axis.\n    sparse "
      "(bool): leave sizes of 1 unbroadcast. Default: ``False``.\n"
      "    indexing (str): ``\"xy\"`` or ``\"ij\"``. Default: ``\"xy\"``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    list of arrays: one per axis.\n\nRaises:\n    ValueError: an array of another "
      "rank.\n" NHWC_EXAMPLE "mx.meshgrid(mx.arange(3), mx.arange(2))[0].shape\n    (2, 3)\n");
}

}  // namespace nhwc::py
