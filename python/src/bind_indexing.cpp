// python/src/bind_indexing.cpp -- a.at[index].add(value) and its like
#include "array_class.h"

namespace nhwc::py {
namespace {

/// a.at, and once indexed a.at[index].
struct ArrayAt {
  Array array;
  nb::object index;
};

Array update(const ArrayAt& at, nb::handle value, Update mode, const char* who) {
  if (!at.index.is_valid()) raise<ValueError>("[at] an index is missing: write a.at[index].", who, "(value)");
  return set_item(at.array, at.index, value, mode);
}

Array subtract_at(const ArrayAt& at, nb::handle value) {
  return update(at, wrap(negative(to_array(value, at.array.dtype()))), Update::add, "subtract");
}

Array divide_at(const ArrayAt& at, nb::handle value) {
  if (!is_floating(at.array.dtype()))
    raise<ValueError>("[at] divide needs a floating array, got ", name(at.array.dtype()),
                      "; convert it with astype first");
  return update(at, wrap(reciprocal(to_array(value, at.array.dtype()))), Update::multiply, "divide");
}

}  // namespace

void define_at(nb::module_& m, ArrayClass& c) {
  nb::class_<ArrayAt> at(m, "ArrayAt", "What ``array.at`` is: updates of the places that an index names.");
  at.def(
      "__getitem__", [](const ArrayAt& a, nb::object index) { return ArrayAt{a.array, std::move(index)}; },
      nb::arg("indices").none(), nb::sig("def __getitem__(self, indices: object | None) -> ArrayAt"));
#define NHWC_UPDATE(n, expression, doc)                                                    \
  at.def(                                                                                  \
      #n, [](const ArrayAt& a, nb::object value) { return expression; }, nb::arg("value"), \
      nb::sig("def " #n "(self, value: bool | int | float | array) -> array"), doc)
  NHWC_UPDATE(add, update(a, value, Update::add, "add"), "The array with ``value`` added at the places.");
  NHWC_UPDATE(subtract, subtract_at(a, value), "The array with ``value`` subtracted at the places.");
  NHWC_UPDATE(multiply, update(a, value, Update::multiply, "multiply"),
              "The array multiplied by ``value`` at the places.");
  NHWC_UPDATE(divide, divide_at(a, value), "The array divided by ``value`` at the places.");
  NHWC_UPDATE(maximum, update(a, value, Update::maximum, "maximum"),
              "The array with the greater of itself and ``value`` at the places.");
  NHWC_UPDATE(minimum, update(a, value, Update::minimum, "minimum"),
              "The array with the lesser of itself and ``value`` at the places.");
#undef NHWC_UPDATE
  c.def_prop_ro(
      "at", [](const Array& a) { return ArrayAt{a, {}}; }, R"(Updates at the places that an index names, each counted.

``x[i] += y`` counts a place that ``i`` names twice once; ``x.at[i].add(y)`` counts it twice. The methods add, subtract,
multiply, divide, maximum and minimum return a new array.

Example:
    >>> mx.array([0, 0]).at[mx.array([0, 1, 0])].add(1)
    array([2, 1], dtype=int32)
)");
}

}  // namespace nhwc::py
