// python/src/bind_unary.cpp -- functions of one array, element by element
#include "bind_ops.h"

namespace nhwc::py {
namespace {

constexpr const char* kSame = "its dtype";
constexpr const char* kFloating = "floating: float32 for integers";
constexpr const char* kBool = "bool";

/// One conversion of the arguments and one docstring for all of them.
void define(nb::module_& m, const char* name, Array (*op)(const Array&), const char* what, const char* type,
            const char* argument, const char* result) {
  m.def(
      name,
      [op](const ScalarOrArray& a, const StreamOrDevice& s) {
        OnStream scope(s, "unary");
        return op(to_array(a));
      },
      nb::arg("a"), NHWC_STREAM_ARG,
      nb::sig(message("def ", name, "(a: " NHWC_SCALAR_SIG ", " NHWC_STREAM_SIG " -> array").c_str()),
      message(what,
              ".\n\nArgs:\n    a (array): any shape.\n" NHWC_STREAM_DOC "\nReturns:\n    array: the shape of ``a``, ",
              type, ".\n" NHWC_EXAMPLE "mx.", name, "(mx.array(", argument, ")).tolist()\n    ", result, "\n")
          .c_str());
}

}  // namespace

void bind_unary(nb::module_& m) {
  define(m, "abs", abs, "The absolute value", kSame, "[-1, 2]", "[1, 2]");
  define(m, "negative", negative, "The value with its sign changed", kSame, "[-1, 2]", "[1, -2]");
  define(m, "sign", sign, "-1, 0 or 1 by the sign", kSame, "[-3, 0, 2]", "[-1, 0, 1]");
  define(m, "square", square, "The value times itself", kSame, "[-3, 2]", "[9, 4]");
  define(m, "floor", floor, "The greatest integer that is not above", kSame, "[-0.5, 1.5]", "[-1.0, 1.0]");
  define(m, "ceil", ceil, "The least integer that is not below", kSame, "[-1.5, 0.5]", "[-1.0, 1.0]");
  define(m, "sqrt", sqrt, "The square root", kFloating, "[4.0]", "[2.0]");
  define(m, "rsqrt", rsqrt, "One over the square root", kFloating, "[4.0]", "[0.5]");
  define(m, "reciprocal", reciprocal, "One over the value", kFloating, "[4.0]", "[0.25]");
  define(m, "exp", exp, "e to the power of the value", kFloating, "[0.0]", "[1.0]");
  define(m, "expm1", expm1, "exp(a) - 1, accurate near zero", kFloating, "[0.0]", "[0.0]");
  define(m, "log", log, "The natural logarithm", kFloating, "[1.0]", "[0.0]");
  define(m, "log1p", log1p, "log(1 + a), accurate near zero", kFloating, "[0.0]", "[0.0]");
  define(m, "log2", log2, "The logarithm to base 2", kFloating, "[8.0]", "[3.0]");
  define(m, "log10", log10, "The logarithm to base 10", kFloating, "[1.0]", "[0.0]");
  define(m, "sin", sin, "The sine of an angle in radians", kFloating, "[0.0]", "[0.0]");
  define(m, "cos", cos, "The cosine of an angle in radians", kFloating, "[0.0]", "[1.0]");
  define(m, "tan", tan, "The tangent of an angle in radians", kFloating, "[0.0]", "[0.0]");
  define(m, "arcsin", arcsin, "The angle in radians whose sine it is", kFloating, "[0.0]", "[0.0]");
  define(m, "arccos", arccos, "The angle in radians whose cosine it is", kFloating, "[1.0]", "[0.0]");
  define(m, "arctan", arctan, "The angle in radians whose tangent it is", kFloating, "[0.0]", "[0.0]");
  define(m, "sinh", sinh, "The hyperbolic sine", kFloating, "[0.0]", "[0.0]");
  define(m, "cosh", cosh, "The hyperbolic cosine", kFloating, "[0.0]", "[1.0]");
  define(m, "tanh", tanh, "The hyperbolic tangent", kFloating, "[0.0]", "[0.0]");
  define(m, "sigmoid", sigmoid, "1 / (1 + exp(-a))", kFloating, "[0.0]", "[0.5]");
  define(m, "erf", erf, "The error function", kFloating, "[0.0]", "[0.0]");
  define(m, "erfinv", erfinv, "The inverse of the error function", kFloating, "[0.0]", "[0.0]");
  define(m, "logical_not", logical_not, "True where the value is zero", kBool, "[0, 2]", "[True, False]");
  define(m, "bitwise_invert", bitwise_invert, "Every bit turned round; integers and bool only", kSame, "[0, 1]",
         "[-1, -2]");
  define(m, "isnan", isnan, "True where the value is NaN", kBool, "[1.0, float(\"nan\")]", "[False, True]");
  define(m, "isinf", isinf, "True where the value is infinite", kBool, "[1.0, float(\"inf\")]", "[False, True]");
  define(m, "isfinite", isfinite, "True where the value is neither infinite nor NaN", kBool, "[1.0, float(\"inf\")]",
         "[True, False]");

  m.def(
      "stop_gradient",
      [](const ScalarOrArray& a, const StreamOrDevice& s) {
        OnStream scope(s, "unary");
        return stop_gradient(to_array(a));
      },
      nb::arg(), NHWC_STREAM_ARG, nb::sig("def stop_gradient(a: " NHWC_SCALAR_SIG ", /, " NHWC_STREAM_SIG " -> array"),
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
