// python/src/bind_unary.cpp -- functions of one array, element by element
#include "bind_ops.h"

namespace nhwc::py {
namespace {

template <Array (*Op)(const Array&)>
Array call(const ScalarOrArray& a, const StreamOrDevice& s) {
  OnStream scope(s, "unary");
  return Op(to_array(a));
}

}  // namespace

void bind_unary(nb::module_& m) {
#define NHWC_DEF(n, what, type, argument, result)                                                                 \
  m.def(#n, &call<nhwc::n>, nb::arg("a"), NHWC_STREAM_ARG,                                                        \
        nb::sig("def " #n "(a: " NHWC_SCALAR_SIG ", " NHWC_STREAM_SIG " -> array"),                               \
        what ".\n\nArgs:\n    a (array): any shape.\n" NHWC_STREAM_DOC                                            \
             "\nReturns:\n    array: the shape of ``a``, " type ".\n" NHWC_EXAMPLE "mx." #n "(mx.array(" argument \
             ")).tolist()\n    " result "\n");
#define NHWC_SAME(n, what, argument, result) NHWC_DEF(n, what, "its dtype", argument, result)
#define NHWC_FLOAT(n, what, argument, result) NHWC_DEF(n, what, "floating: float32 for integers", argument, result)
#define NHWC_BOOL(n, what, argument, result) NHWC_DEF(n, what, "bool", argument, result)
  NHWC_SAME(abs, "The absolute value", "[-1, 2]", "[1, 2]")
  NHWC_SAME(negative, "The value with its sign changed", "[-1, 2]", "[1, -2]")
  NHWC_SAME(sign, "-1, 0 or 1 by the sign", "[-3, 0, 2]", "[-1, 0, 1]")
  NHWC_SAME(square, "The value times itself", "[-3, 2]", "[9, 4]")
  NHWC_SAME(floor, "The greatest integer that is not above", "[-0.5, 1.5]", "[-1.0, 1.0]")
  NHWC_SAME(ceil, "The least integer that is not below", "[-1.5, 0.5]", "[-1.0, 1.0]")
  NHWC_FLOAT(sqrt, "The square root", "[4.0]", "[2.0]")
  NHWC_FLOAT(rsqrt, "One over the square root", "[4.0]", "[0.5]")
  NHWC_FLOAT(reciprocal, "One over the value", "[4.0]", "[0.25]")
  NHWC_FLOAT(exp, "e to the power of the value", "[0.0]", "[1.0]")
  NHWC_FLOAT(expm1, "exp(a) - 1, accurate near zero", "[0.0]", "[0.0]")
  NHWC_FLOAT(log, "The natural logarithm", "[1.0]", "[0.0]")
  NHWC_FLOAT(log1p, "log(1 + a), accurate near zero", "[0.0]", "[0.0]")
  NHWC_FLOAT(log2, "The logarithm to base 2", "[8.0]", "[3.0]")
  NHWC_FLOAT(log10, "The logarithm to base 10", "[1.0]", "[0.0]")
  NHWC_FLOAT(sin, "The sine of an angle in radians", "[0.0]", "[0.0]")
  NHWC_FLOAT(cos, "The cosine of an angle in radians", "[0.0]", "[1.0]")
  NHWC_FLOAT(tan, "The tangent of an angle in radians", "[0.0]", "[0.0]")
  NHWC_FLOAT(arcsin, "The angle in radians whose sine it is", "[0.0]", "[0.0]")
  NHWC_FLOAT(arccos, "The angle in radians whose cosine it is", "[1.0]", "[0.0]")
  NHWC_FLOAT(arctan, "The angle in radians whose tangent it is", "[0.0]", "[0.0]")
  NHWC_FLOAT(sinh, "The hyperbolic sine", "[0.0]", "[0.0]")
  NHWC_FLOAT(cosh, "The hyperbolic cosine", "[0.0]", "[1.0]")
  NHWC_FLOAT(tanh, "The hyperbolic tangent", "[0.0]", "[0.0]")
  NHWC_FLOAT(sigmoid, "1 / (1 + exp(-a))", "[0.0]", "[0.5]")
  NHWC_FLOAT(erf, "The error function", "[0.0]", "[0.0]")
  NHWC_FLOAT(erfinv, "The inverse of the error function", "[0.0]", "[0.0]")
  NHWC_BOOL(logical_not, "True where the value is zero", "[0, 2]", "[True, False]")
  NHWC_SAME(bitwise_invert, "Every bit turned round; integers and bool only", "[0, 1]", "[-1, -2]")
  NHWC_BOOL(isnan, "True where the value is NaN", "[1.0, float(\"nan\")]", "[False, True]")
  NHWC_BOOL(isinf, "True where the value is infinite", "[1.0, float(\"inf\")]", "[False, True]")
  NHWC_BOOL(isfinite, "True where the value is neither infinite nor NaN", "[1.0, float(\"inf\")]", "[True, False]")
#undef NHWC_SAME
#undef NHWC_FLOAT
#undef NHWC_BOOL
#undef NHWC_DEF

  m.def("stop_gradient", &call<stop_gradient>, nb::arg(), NHWC_STREAM_ARG,
        nb::sig("def stop_gradient(a: " NHWC_SCALAR_SIG ", /, " NHWC_STREAM_SIG " -> array"),
        "The same values, through which no gradient flows.\n\nArgs:\n    a (array): any shape.\n" NHWC_STREAM_DOC
        "\nReturns:\n    array: equal to ``a``.\n" NHWC_EXAMPLE
        "mx.grad(lambda x: x * mx.stop_gradient(x))(mx.array(3.0)).item()\n    3.0\n");
  m.def(
      "depends",
      [](nb::object inputs, nb::object dependencies) -> nb::object {
        auto list = [](nb::object o) { return is_array(o) ? Arrays{to_array(o)} : to_array_list(o, "depends"); };
        const Arrays others = list(dependencies);
        nb::list out;
        for (const Array& a : list(inputs)) out.append(wrap(depends(a, others)));
        return is_array(inputs) ? nb::object(out[0]) : nb::object(out);
      },
      nb::arg("inputs"), nb::arg("dependencies"),
      nb::sig(
          "def depends(inputs: array | Sequence[array], dependencies: array | Sequence[array]) -> array | list[array]"),
      "The same arrays, computed only after others.\n\nArgs:\n    inputs (array | list): what to return.\n"
      "    dependencies (array | list): what to compute before.\n\nReturns:\n    array, or list of arrays: as "
      "``inputs``.\n" NHWC_EXAMPLE "mx.depends(mx.array([1, 2]), mx.array(3)).tolist()\n    [1, 2]\n");
  m.def(
      "round",
      [](const ScalarOrArray& a, int decimals, const StreamOrDevice& s) {
        OnStream scope(s, "round");
        return round(to_array(a), decimals);
      },
      nb::arg(), nb::arg("decimals") = 0, NHWC_STREAM_ARG,
      nb::sig("def round(a: " NHWC_SCALAR_SIG ", /, decimals: int = 0, " NHWC_STREAM_SIG " -> array"),
      "The nearest value with so many decimals; halves go to the even neighbour.\n\nArgs:\n    a (array): any shape.\n"
      "    decimals (int): may be negative. Default: ``0``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape and dtype of ``a``.\n" NHWC_EXAMPLE
      "mx.round(mx.array([0.5, 1.5])).tolist()\n    [0.0, 2.0]\n");
  m.def(
      "clip",
      [](const Array& a, const std::optional<ScalarOrArray>& low, const std::optional<ScalarOrArray>& high,
         const StreamOrDevice& s) {
        OnStream scope(s, "clip");
        auto bound = [&](const std::optional<ScalarOrArray>& v) -> std::optional<Array> {
          if (!v) return {};
          return to_operand(v->value, a.dtype());
        };
        return clip(a, bound(low), bound(high));
      },
      nb::arg(), nb::arg("a_min").none(), nb::arg("a_max").none(), NHWC_STREAM_ARG,
      nb::sig("def clip(a: array, /, a_min: " NHWC_SCALAR_SIG " | None, a_max: " NHWC_SCALAR_SIG
              " | None, " NHWC_STREAM_SIG " -> array"),
      "The values, those outside the bounds replaced by the nearer bound.\n\nArgs:\n    a (array): any shape.\n"
      "    a_min, a_max (array, optional): the bounds, broadcast; ``None`` for none.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the broadcast shape.\n\nRaises:\n    ValueError: neither bound was given.\n" NHWC_EXAMPLE
      "mx.clip(mx.array([-1, 0, 5]), 0, 3).tolist()\n    [0, 0, 3]\n");
  m.def(
      "nan_to_num",
      [](const ScalarOrArray& a, double nan, std::optional<double> posinf, std::optional<double> neginf,
         const StreamOrDevice& s) {
        OnStream scope(s, "nan_to_num");
        return nan_to_num(to_array(a), nan, posinf, neginf);
      },
      nb::arg("a"), nb::arg("nan") = 0.0, nb::arg("posinf") = nb::none(), nb::arg("neginf") = nb::none(),
      NHWC_STREAM_ARG,
      nb::sig("def nan_to_num(a: " NHWC_SCALAR_SIG
              ", nan: float = 0, posinf: float | None = None, neginf: float | None = None, " NHWC_STREAM_SIG
              " -> array"),
      "The values, with NaN and the infinities replaced.\n\nArgs:\n    a (array): any shape.\n    nan (float): for "
      "NaN. Default: ``0``.\n"
      "    posinf, neginf (float, optional): for the infinities. Default: the largest finite values.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape and dtype of ``a``.\n" NHWC_EXAMPLE
      "mx.nan_to_num(mx.array([float(\"nan\"), 1.0])).tolist()\n    [0.0, 1.0]\n");
}

}  // namespace nhwc::py
