// python/src/bind_binary.cpp -- functions of two or three arrays, element by element
#include <nanobind/stl/variant.h>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

template <Array (*Op)(const Array&, const Array&)>
Array call(const ScalarOrArray& a, const ScalarOrArray& b, const StreamOrDevice& s) {
  OnStream scope(s, "binary");
  const auto [x, y] = to_arrays(a, b);
  return Op(x, y);
}

void bind_arithmetic(nb::module_& m) {
#define NHWC_DEF(n, what, type, x, y, result)                                                                     \
  m.def(#n, &call<nhwc::n>, nb::arg("a"), nb::arg("b"), NHWC_STREAM_ARG,                                          \
        nb::sig("def " #n "(a: " NHWC_SCALAR_SIG ", b: " NHWC_SCALAR_SIG ", " NHWC_STREAM_SIG " -> array"),       \
        what ", element by element.\n\nArgs:\n    a, b (array): shapes that broadcast.\n" NHWC_STREAM_DOC         \
             "\nReturns:\n    array: the broadcast shape, " type                                                  \
             ".\n\nRaises:\n    ValueError: shapes that do not broadcast.\n" NHWC_EXAMPLE "mx." #n "(mx.array(" x \
             "), mx.array(" y ")).tolist()\n    " result "\n");
#define NHWC_SAME(n, what, x, y, result) NHWC_DEF(n, what, "the promoted dtype", x, y, result)
#define NHWC_FLOAT(n, what, x, y, result) NHWC_DEF(n, what, "the promoted dtype, float32 for integers", x, y, result)
#define NHWC_BOOL(n, what, x, y, result) NHWC_DEF(n, what, "bool", x, y, result)
  NHWC_SAME(add, "The sum", "[1, 2]", "[3, 4]", "[4, 6]")
  NHWC_SAME(subtract, "The difference", "[1, 2]", "[3, 5]", "[-2, -3]")
  NHWC_SAME(multiply, "The product", "[1, 2]", "[3, 4]", "[3, 8]")
  NHWC_FLOAT(divide, "The quotient", "[1, 2]", "[2, 4]", "[0.5, 0.5]")
  NHWC_SAME(floor_divide, "The quotient rounded down", "[7, -7]", "[2, 2]", "[3, -4]")
  NHWC_SAME(remainder, "The remainder of the division, with the divisor's sign", "[7, -7]", "[3, 3]", "[1, 2]")
  NHWC_SAME(power, "The first to the power of the second", "[2, 3]", "[3, 2]", "[8, 9]")
  NHWC_SAME(maximum, "The greater value; NaN where either is NaN", "[1, 5]", "[3, 4]", "[3, 5]")
  NHWC_SAME(minimum, "The lesser value; NaN where either is NaN", "[1, 5]", "[3, 4]", "[1, 4]")
  NHWC_FLOAT(logaddexp, "log(exp(a) + exp(b)) without overflow", "[float(\"-inf\")]", "[1.0]", "[1.0]")
  NHWC_FLOAT(arctan2, "The angle in radians of the point (b, a)", "[0.0]", "[1.0]", "[0.0]")
  NHWC_BOOL(equal, "True where the values are equal", "[1, 2]", "[1, 3]", "[True, False]")
  NHWC_BOOL(not_equal, "True where the values differ", "[1, 2]", "[1, 3]", "[False, True]")
  NHWC_BOOL(less, "True where the first is less", "[1, 2]", "[2, 2]", "[True, False]")
  NHWC_BOOL(less_equal, "True where the first is not greater", "[1, 3]", "[1, 2]", "[True, False]")
  NHWC_BOOL(greater, "True where the first is greater", "[1, 3]", "[1, 2]", "[False, True]")
  NHWC_BOOL(greater_equal, "True where the first is not less", "[1, 2]", "[2, 2]", "[False, True]")
  NHWC_BOOL(logical_and, "True where both are not zero", "[0, 2]", "[1, 1]", "[False, True]")
  NHWC_BOOL(logical_or, "True where either is not zero", "[0, 2]", "[0, 0]", "[False, True]")
  NHWC_BOOL(logical_xor, "True where one and only one is not zero", "[0, 2]", "[1, 1]", "[True, False]")
  NHWC_SAME(bitwise_and, "The bits that both have; integers and bool", "[6]", "[3]", "[2]")
  NHWC_SAME(bitwise_or, "The bits that either has; integers and bool", "[6]", "[3]", "[7]")
  NHWC_SAME(bitwise_xor, "The bits that one and only one has; integers and bool", "[6]", "[3]", "[5]")
#undef NHWC_SAME
#undef NHWC_FLOAT
#undef NHWC_BOOL
#undef NHWC_DEF
}

void bind_closeness(nb::module_& m) {
#define NHWC_DEF(n, what, returns)                                                                                    \
  m.def(                                                                                                              \
      #n,                                                                                                             \
      [](const ScalarOrArray& a, const ScalarOrArray& b, double rtol, double atol, bool equal_nan,                    \
         const StreamOrDevice& s) {                                                                                   \
        OnStream scope(s, #n);                                                                                        \
        const auto [x, y] = to_arrays(a, b);                                                                          \
        return n(x, y, rtol, atol, equal_nan);                                                                        \
      },                                                                                                              \
      nb::arg(), nb::arg(), nb::arg("rtol") = 1e-5, nb::arg("atol") = 1e-8, nb::kw_only(),                            \
      nb::arg("equal_nan") = false, nb::arg("stream") = nb::none(),                                                   \
      nb::sig("def " #n "(a: " NHWC_SCALAR_SIG ", b: " NHWC_SCALAR_SIG                                                \
              ", /, rtol: float = 1e-05, atol: float = 1e-08, *, "                                                    \
              "equal_nan: bool = False, stream: Stream | Device | DeviceType | None = None) -> array"),               \
      what                                                                                                            \
      ": abs(a - b) <= atol + rtol * abs(b); infinities are close to themselves.\n\nArgs:\n    a, b (array): shapes " \
      "that broadcast.\n"                                                                                             \
      "    rtol (float): relative tolerance. Default: ``1e-5``.\n    atol (float): absolute tolerance. Default: "     \
      "``1e-8``.\n"                                                                                                   \
      "    equal_nan (bool): NaN is close to NaN. Default: ``False``.\n" NHWC_STREAM_DOC                              \
      "\nReturns:\n    array: " returns ".\n" NHWC_EXAMPLE "mx." #n                                                   \
      "(mx.array(1.0), mx.array(1.0)).item()\n    True\n");
  NHWC_DEF(isclose, "True where the values are close", "bool, the broadcast shape")
  NHWC_DEF(allclose, "True if all values are close", "a bool scalar")
#undef NHWC_DEF
  m.def(
      "array_equal",
      [](const ScalarOrArray& a, const ScalarOrArray& b, bool equal_nan, const StreamOrDevice& s) {
        OnStream scope(s, "array_equal");
        const auto [x, y] = to_arrays(a, b);
        return array_equal(x, y, equal_nan);
      },
      nb::arg("a"), nb::arg("b"), nb::arg("equal_nan") = false, NHWC_STREAM_ARG,
      nb::sig("def array_equal(a: " NHWC_SCALAR_SIG ", b: " NHWC_SCALAR_SIG
              ", equal_nan: bool = False, " NHWC_STREAM_SIG " -> array"),
      "True if the shapes and all values are equal.\n\nArgs:\n    a, b (array): any shapes.\n"
      "    equal_nan (bool): NaN equals NaN. Default: ``False``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: a bool scalar.\n" NHWC_EXAMPLE
      "mx.array_equal(mx.array([1, 2]), mx.array([1, 2])).item()\n    True\n");
}

}  // namespace

void bind_binary(nb::module_& m) {
  bind_arithmetic(m);
  bind_closeness(m);
  m.def(
      "where",
      [](const ScalarOrArray& condition, const ScalarOrArray& x, const ScalarOrArray& y, const StreamOrDevice& s) {
        OnStream scope(s, "where");
        const auto [a, b] = to_arrays(x, y);
        return where(to_array(condition), a, b);
      },
      nb::arg(), nb::arg(), nb::arg(), NHWC_STREAM_ARG,
      nb::sig("def where(condition: " NHWC_SCALAR_SIG ", x: " NHWC_SCALAR_SIG ", y: " NHWC_SCALAR_SIG
              ", /, " NHWC_STREAM_SIG " -> array"),
      "``x`` where the condition holds, else ``y``.\n\nArgs:\n    condition (array): bool, or numbers of which 0 is "
      "false.\n"
      "    x, y (array): shapes that broadcast with it.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the broadcast shape, the promoted dtype of ``x`` and ``y``.\n" NHWC_EXAMPLE
      "mx.where(mx.array([True, False]), 1, 2).tolist()\n    [1, 2]\n");
  m.def(
      "result_type",
      [](nb::args arguments) {
        Arrays arrays;
        std::vector<nb::handle> weak;
        Dtype t = Dtype::bool_;
        bool any = false;
        for (nb::handle o : arguments) {
          if (auto d = as_dtype(o))
            t = promote_types(t, *d);
          else if (Array* a = as_array(o))
            t = promote_types(t, a->dtype());
          else {
            weak.push_back(o);
            continue;
          }
          any = true;
        }
        for (nb::handle o : weak) {
          t = any ? to_operand(o, t).dtype() : promote_types(t, to_array(o).dtype());
        }
        return t;
      },
      nb::sig("def result_type(*arrays_and_dtypes: array | Dtype | bool | int | float) -> Dtype"),
      "The dtype in which the arguments are combined; Python numbers are weak.\n\nArgs:\n    *arrays_and_dtypes: "
      "arrays, dtypes, numbers.\n"
      "\nReturns:\n    Dtype: by MLX's table.\n" NHWC_EXAMPLE
      "mx.result_type(mx.float16, mx.bfloat16)\n    nhwc.float32\n");
}

}  // namespace nhwc::py
