// python/src/bind_linalg.cpp -- matrix products, norms, and the submodules linalg and fast
#include <nanobind/stl/variant.h>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

void define_product(nb::module_& m, const char* name, Array (*op)(const Array&, const Array&), const char* doc) {
  m.def(
      name,
      [op](const Array& a, const Array& b, const StreamOrDevice& s) {
        OnStream scope(s, "matmul");
        return op(a, b);
      },
      nb::arg(), nb::arg(), NHWC_STREAM_ARG,
      nb::sig(message("def ", name, "(a: array, b: array, /, " NHWC_STREAM_SIG " -> array").c_str()), doc);
}

void bind_contractions(nb::module_& m) {
  m.def(
      "tensordot",
      [](const Array& a, const Array& b, nb::object axes, const StreamOrDevice& s) {
        OnStream scope(s, "tensordot");
        if (PyLong_Check(axes.ptr())) return tensordot(a, b, static_cast<int>(to_int(axes, "tensordot", "axes")));
        if (!PySequence_Check(axes.ptr()) || nb::len(axes) != 2)
          throw nb::type_error("[tensordot] axes must be an int or a pair of lists of axes");
        const Ints x = to_ints(nb::object(axes[0]), "tensordot", "axes"),
                   y = to_ints(nb::object(axes[1]), "tensordot", "axes");
        return tensordot(a, b, std::vector<int>(x.begin(), x.end()), std::vector<int>(y.begin(), y.end()));
      },
      nb::arg(), nb::arg(), nb::arg("axes") = 2, NHWC_STREAM_ARG,
      nb::sig("def tensordot(a: array, b: array, /, axes: int | Sequence[Sequence[int]] = 2, " NHWC_STREAM_SIG
              " -> array"),
      "The products of two arrays summed over pairs of axes.\n\nArgs:\n    a, b (array): floating.\n"
      "    axes (int | pair of lists): the last of one and the first of the other, or which. Default: "
      "``2``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the other axes of ``a``, then of ``b``.\n\nRaises:\n    ValueError: sizes that "
      "differ.\n" NHWC_EXAMPLE "mx.tensordot(mx.ones((2, 3)), mx.ones((3, 4)), 1).shape\n    (2, 4)\n");
  m.def(
      "einsum",
      [](const std::string& subscripts, nb::args operands, const StreamOrDevice& s) {
        OnStream scope(s, "einsum");
        return einsum(subscripts, to_array_list(operands, "einsum"));
      },
      nb::arg("subscripts"), nb::arg("operands"), nb::arg("stream") = nb::none(),
      nb::sig(
          "def einsum(subscripts: str, *operands: array, stream: Stream | Device | DeviceType | None = None) -> array"),
      "Einstein summation.\n\nArgs:\n    subscripts (str): as ``numpy.einsum``: letters, ``...``, ``->`` and the "
      "output.\n    *operands (array): one per term.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the output's subscripts.\n\nRaises:\n    ValueError: subscripts that do not fit the "
      "operands.\n" NHWC_EXAMPLE "mx.einsum(\"ij,jk->ik\", mx.ones((2, 3)), mx.ones((3, 4))).shape\n    (2, 4)\n");
  m.def(
      "addmm",
      [](const Array& c, const Array& a, const Array& b, double alpha, double beta, const StreamOrDevice& s) {
        OnStream scope(s, "addmm");
        return addmm(c, a, b, alpha, beta);
      },
      nb::arg(), nb::arg(), nb::arg(), nb::arg("alpha") = 1.0, nb::arg("beta") = 1.0, NHWC_STREAM_ARG,
      nb::sig("def addmm(c: array, a: array, b: array, /, alpha: float = 1.0, beta: float = 1.0, " NHWC_STREAM_SIG
              " -> array"),
      "alpha * (a @ b) + beta * c.\n\nArgs:\n    c (array): broadcasts with the product.\n    a, b (array): as for "
      ":func:`matmul`.\n"
      "    alpha, beta (float): the factors. Default: ``1``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the product's shape.\n" NHWC_EXAMPLE
      "mx.addmm(mx.ones((1,)), mx.ones((1, 2)), mx.ones((2, 1))).item()\n    3.0\n");
}

}  // namespace

void bind_linalg(nb::module_& m) {
  define_product(
      m, "matmul", matmul,
      "The product of matrices; leading axes broadcast, a vector counts as a row or a column.\n\nArgs:\n    a "
      "(array): ``(..., m, k)``, floating.\n"
      "    b (array): ``(..., k, n)``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: ``(..., m, n)``.\n\nRaises:\n    ValueError: inner sizes that differ, integer "
      "dtypes.\n" NHWC_EXAMPLE "mx.matmul(mx.ones((2, 3)), mx.ones((3, 4))).shape\n    (2, 4)\n");
  define_product(m, "outer", outer,
                 "Every product of an element of one array and one of the other.\n\nArgs:\n    a, b (array): "
                 "flattened.\n" NHWC_STREAM_DOC "\nReturns:\n    array: ``(a.size, b.size)``.\n" NHWC_EXAMPLE
                 "mx.outer(mx.array([1, 2]), mx.array([3, 4])).tolist()\n    [[3, 4], [6, 8]]\n");
  define_product(m, "inner", inner,
                 "The products summed over the last axes.\n\nArgs:\n    a, b (array): floating, equal in their last "
                 "size.\n" NHWC_STREAM_DOC
                 "\nReturns:\n    array: the other axes of ``a``, then of ``b``.\n" NHWC_EXAMPLE
                 "mx.inner(mx.array([1.0, 2]), mx.array([3.0, 4])).item()\n    11.0\n");
  bind_contractions(m);
  nb::module_ linalg = m.def_submodule("linalg", "Norms.");
  linalg.def(
      "norm",
      [](const Array& a, nb::object ord, nb::object axis, bool keepdims, const StreamOrDevice& s) {
        OnStream scope(s, "linalg.norm");
        std::variant<std::monostate, double, std::string> order;
        if (nb::isinstance<nb::str>(ord))
          order = nb::cast<std::string>(ord);
        else if (!ord.is_none())
          order = nb::cast<double>(ord);
        return norm(a, order, to_axes(axis, "linalg.norm"), keepdims);
      },
      nb::arg(), nb::arg("ord") = nb::none(), nb::arg("axis") = nb::none(), nb::arg("keepdims") = false,
      NHWC_STREAM_ARG,
      nb::sig("def norm(a: array, /, ord: int | float | str | None = None, axis: int | Sequence[int] | None = None, "
              "keepdims: bool = False, " NHWC_STREAM_SIG " -> array"),
      "The norm of vectors or matrices.\n\nArgs:\n    a (array): any shape.\n"
      "    ord (number | str, optional): p of the vector norm over 1 axis; 1, -1, inf, -inf or ``\"fro\"`` over 2. "
      "Default: the 2-norm of all elements.\n"
      "    axis (int | tuple, optional): over which. Default: all.\n    keepdims (bool): keep them with size 1. "
      "Default: ``False``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: without the axes, floating.\n\nRaises:\n    ValueError: an order that the number of axes "
      "does not have.\n" NHWC_EXAMPLE "mx.linalg.norm(mx.array([3.0, 4.0])).item()\n    5.0\n");
}

void bind_fast(nb::module_& m) {
  nb::module_ fast = m.def_submodule("fast", "Normalisation along the last axis.");
  fast.def(
      "layer_norm",
      [](const Array& x, const std::optional<Array>& weight, const std::optional<Array>& bias, double eps,
         const StreamOrDevice& s) {
        OnStream scope(s, "fast.layer_norm");
        return layer_norm(x, weight, bias, eps);
      },
      nb::arg("x"), nb::arg("weight").none(), nb::arg("bias").none(), nb::arg("eps"), NHWC_STREAM_ARG,
      nb::sig("def layer_norm(x: array, weight: array | None, bias: array | None, eps: float, " NHWC_STREAM_SIG
              " -> array"),
      "The last axis brought to mean 0 and variance 1, then scaled and shifted.\n\nArgs:\n    x (array): ``(..., "
      "n)``.\n"
      "    weight, bias (array, optional): ``(n,)``.\n    eps (float): added to the variance.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``x``.\n" NHWC_EXAMPLE
      "mx.fast.layer_norm(mx.array([1.0, 1.0]), None, None, 1e-5).tolist()\n    [0.0, 0.0]\n");
  fast.def(
      "rms_norm",
      [](const Array& x, const std::optional<Array>& weight, double eps, const StreamOrDevice& s) {
        OnStream scope(s, "fast.rms_norm");
        return rms_norm(x, weight, eps);
      },
      nb::arg("x"), nb::arg("weight").none(), nb::arg("eps"), NHWC_STREAM_ARG,
      nb::sig("def rms_norm(x: array, weight: array | None, eps: float, " NHWC_STREAM_SIG " -> array"),
      "The last axis divided by its root mean square, then scaled.\n\nArgs:\n    x (array): ``(..., n)``.\n    weight "
      "(array, optional): ``(n,)``.\n"
      "    eps (float): added to the mean square.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``x``.\n" NHWC_EXAMPLE
      "mx.fast.rms_norm(mx.array([2.0, 2.0]), None, 0.0).tolist()\n    [1.0, 1.0]\n");
}

}  // namespace nhwc::py
