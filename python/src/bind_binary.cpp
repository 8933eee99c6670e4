// python/src/bind_binary.cpp -- functions of two or three arrays, element by element
#include <nanobind/stl/variant.h>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

constexpr const char* kSame = "the promoted dtype";
constexpr const char* kFloating = "the promoted dtype, float32 for integers";
constexpr const char* kBool = "bool";

/// One conversion of the arguments and one docstring for all of them.
void define(nb::module_& m, const char* name, Array (*op)(const Array&, const Array&), const char* what,
            const char* type, const char* x, const char* y, const char* result) {
  m.def(
      name,
      [op](const ScalarOrArray& a, const ScalarOrArray& b, const StreamOrDevice& s) {
        OnStream scope(s, "binary");
        const auto [x, y] = to_arrays(a, b);
        return op(x, y);
      },
      nb::arg("a"), nb::arg("b"), NHWC_STREAM_ARG,
      nb::sig(message("def ", name, "(a: " NHWC_SCALAR_SIG ", b: " NHWC_SCALAR_SIG ", " NHWC_STREAM_SIG " -> array")
                  .c_str()),
      message(what,
              ", element by element.\n\nArgs:\n    a, b (array): shapes that broadcast.\n" NHWC_STREAM_DOC
              "\nReturns:\n    array: the broadcast shape, ",
              type, ".\n\nRaises:\n    ValueError: shapes that do not broadcast.\n" NHWC_EXAMPLE "mx.", name,
              "(mx.array(", x, "), mx.array(", y, ")).tolist()\n    ", result, "\n")
          .c_str());
}

void bind_arithmetic(nb::module_& m) {
  define(m, "add", add, "The sum", kSame, "[1, 2]", "[3, 4]", "[4, 6]");
  define(m, "subtract", subtract, "The difference", kSame, "[1, 2]", "[3, 5]", "[-2, -3]");
  define(m, "multiply", multiply, "The product", kSame, "[1, 2]", "[3, 4]", "[3, 8]");
  define(m, "divide", divide, "The quotient", kFloating, "[1, 2]", "[2, 4]", "[0.5, 0.5]");
  define(m, "floor_divide", floor_divide, "The quotient rounded down", kSame, "[7, -7]", "[2, 2]", "[3, -4]");
  define(m, "remainder", remainder, "The remainder of the division, with the divisor's sign", kSame, "[7, -7]",
         "[3, 3]", "[1, 2]");
  define(m, "power", power, "The first to the power of the second", kSame, "[2, 3]", "[3, 2]", "[8, 9]");
  define(m, "maximum", maximum, "The greater value; NaN where either is NaN", kSame, "[1, 5]", "[3, 4]", "[3, 5]");
  define(m, "minimum", minimum, "The lesser value; NaN where either is NaN", kSame, "[1, 5]", "[3, 4]", "[1, 4]");
  define(m, "logaddexp", logaddexp, "log(exp(a) + exp(b)) without overflow", kFloating, "[float(\"-inf\")]", "[1.0]",
         "[1.0]");
  define(m, "arctan2", arctan2, "The angle in radians of the point (b, a)", kFloating, "[0.0]", "[1.0]", "[0.0]");
  define(m, "equal", equal, "True where the values are equal", kBool, "[1, 2]", "[1, 3]", "[True, False]");
  define(m, "not_equal", not_equal, "True where the values differ", kBool, "[1, 2]", "[1, 3]", "[False, True]");
  define(m, "less", less, "True where the first is less", kBool, "[1, 2]", "[2, 2]", "[True, False]");
  define(m, "less_equal", less_equal, "True where the first is not greater", kBool, "[1, 3]", "[1, 2]",
         "[True, False]");
  define(m, "greater", greater, "True where the first is greater", kBool, "[1, 3]", "[1, 2]", "[False, True]");
  define(m, "greater_equal", greater_equal, "True where the first is not less", kBool, "[1, 2]", "[2, 2]",
         "[False, True]");
  define(m, "logical_and", logical_and, "True where both are not zero", kBool, "[0, 2]", "[1, 1]", "[False, True]");
  define(m, "logical_or", logical_or, "True where either is not zero", kBool, "[0, 2]", "[0, 0]", "[False, True]");
  define(m, "logical_xor", logical_xor, "True where one and only one is not zero", kBool, "[0, 2]", "[1, 1]",
         "[True, False]");
  define(m, "bitwise_and", bitwise_and, "The bits that both have; integers and bool", kSame, "[6]", "[3]", "[2]");
  define(m, "bitwise_or", bitwise_or, "The bits that either has; integers and bool", kSame, "[6]", "[3]", "[7]");
  define(m, "bitwise_xor", bitwise_xor, "The bits that one and only one has; integers and bool", kSame, "[6]", "[3]",
         "[5]");
}

void define_closeness(nb::module_& m, const char* name, Array (*op)(const Array&, const Array&, double, double, bool),
                      const char* what, const char* returns) {
  m.def(
      name,
      [op, name](const ScalarOrArray& a, const ScalarOrArray& b, double rtol, double atol, bool equal_nan,
                 const StreamOrDevice& s) {
        OnStream scope(s, name);
        const auto [x, y] = to_arrays(a, b);
        return op(x, y, rtol, atol, equal_nan);
      },
      nb::arg(), nb::arg(), nb::arg("rtol") = 1e-5, nb::arg("atol") = 1e-8, nb::kw_only(), nb::arg("equal_nan") = false,
      nb::arg("stream") = nb::none(),
      nb::sig(message("def ", name,
                      "(a: " NHWC_SCALAR_SIG ", b: " NHWC_SCALAR_SIG
                      ", /, rtol: float = 1e-05, atol: float = 1e-08, *, "
                      "equal_nan: bool = False, stream: Stream | Device | DeviceType | None = None) -> array")
                  .c_str()),
      message(
          what,
          ": abs(a - b) <= atol + rtol * abs(b); infinities are close to themselves.\n\nArgs:\n    a, b (array): "
          "shapes "
          "that broadcast.\n"
          "    rtol (float): relative tolerance. Default: ``1e-5``.\n    atol (float): absolute tolerance. Default: "
          "``1e-8``.\n"
          "    equal_nan (bool): NaN is close to NaN. Default: ``False``.\n" NHWC_STREAM_DOC "\nReturns:\n    array: ",
          returns, ".\n" NHWC_EXAMPLE "mx.", name, "(mx.array(1.0), mx.array(1.0)).item()\n    True\n")
          .c_str());
}

void bind_closeness(nb::module_& m) {
  define_closeness(m, "isclose", isclose, "True where the values are close", "bool, the broadcast shape");
  define_closeness(m, "allclose", allclose, "True if all values are close", "a bool scalar");
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
