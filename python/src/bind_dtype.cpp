// python/src/bind_dtype.cpp -- Dtype, its categories, issubdtype, finfo and iinfo
#include <nanobind/stl/variant.h>

#include <cmath>
#include <limits>
#include <string>
#include <variant>

#include "bind.h"
#include "convert.h"

namespace nhwc::py {
namespace {

PyTypeObject* dtype_type = nullptr;
PyObject* dtype_objects[kDtypeCount];  // one object per dtype, so `is` and hashing work

enum class Category { generic, number, integer, inexact, signedinteger, unsignedinteger, floating, complexfloating };

bool is_within(Category a, Category b) {
  if (a == b || b == Category::generic) return true;
  switch (a) {
    case Category::signedinteger:
    case Category::unsignedinteger:
      return b == Category::integer || b == Category::number;
    case Category::floating:
    case Category::complexfloating:
      return b == Category::inexact || b == Category::number;
    case Category::integer:
    case Category::inexact:
      return b == Category::number;
    default:
      return false;
  }
}

Category category_of(Dtype t) {
  if (is_floating(t)) return Category::floating;
  if (is_signed_integer(t)) return Category::signedinteger;
  return is_unsigned(t) ? Category::unsignedinteger : Category::generic;
}

using DtypeOrCategory = std::variant<Dtype, Category>;

bool issubdtype(const DtypeOrCategory& a, const DtypeOrCategory& b) {
  const Dtype* x = std::get_if<Dtype>(&a);
  const Dtype* y = std::get_if<Dtype>(&b);
  if (y) return x && *x == *y;
  return is_within(x ? category_of(*x) : std::get<Category>(a), std::get<Category>(b));
}

/// The Python attribute: the name, but bool_ for bool.
std::string attribute_name(Dtype t) { return t == Dtype::bool_ ? "bool_" : std::string(name(t)); }

struct FloatInfo {
  Dtype dtype;
  double min, max, eps, smallest_normal;
};
FloatInfo make_finfo(Dtype t) {
  if (!is_floating(t))
    raise<ValueError>("[finfo] expected a floating dtype, got ", name(t), "; use iinfo for integers");
  switch (t) {
    case Dtype::float16:
      return {t, -65504.0, 65504.0, 0x1p-10, 0x1p-14};
    case Dtype::bfloat16:
      return {t, -0x1.FEp127, 0x1.FEp127, 0x1p-7, 0x1p-126};
    case Dtype::float32: {
      using L = std::numeric_limits<float>;
      return {t, L::lowest(), L::max(), L::epsilon(), L::min()};
    }
    default: {
      using L = std::numeric_limits<double>;
      return {t, L::lowest(), L::max(), L::epsilon(), L::min()};
    }
  }
}

struct IntInfo {
  Dtype dtype;
  int64_t min;
  uint64_t max;
};
IntInfo make_iinfo(Dtype t) {
  if (!is_integer(t)) raise<ValueError>("[iinfo] expected an integer dtype, got ", name(t), "; use finfo for floats");
  int bits = static_cast<int>(size_of(t)) * 8;
  if (is_unsigned(t)) return {t, 0, UINT64_MAX >> (64 - bits)};
  return {t, INT64_MIN >> (64 - bits), static_cast<uint64_t>(INT64_MAX >> (64 - bits))};
}

void bind_info_classes(nb::module_& m) {
  nb::class_<FloatInfo>(m, "finfo",
                        "The limits of a floating dtype: ``min``, ``max``, ``eps``, ``smallest_normal``, ``dtype``.\n\n"
                        "Example:\n    >>> mx.finfo(mx.float16).max\n    65504.0\n")
      .def(
          "__init__", [](FloatInfo* self, Dtype t) { new (self) FloatInfo(make_finfo(t)); }, nb::arg("dtype"),
          "Args:\n    dtype: A floating dtype.\n\nRaises:\n    ValueError: If it is not floating.")
      .def_ro("min", &FloatInfo::min, "The least finite value.")
      .def_ro("max", &FloatInfo::max, "The greatest finite value.")
      .def_ro("eps", &FloatInfo::eps, "The distance from 1 to the next greater value.")
      .def_ro("smallest_normal", &FloatInfo::smallest_normal, "The least positive value of full precision.")
      .def_prop_ro(
          "dtype", [](const FloatInfo& i) { return i.dtype; }, "The dtype described.")
      .def("__repr__", [](const FloatInfo& i) {
        return message("finfo(min=", i.min, ", max=", i.max, ", dtype=", name(i.dtype), ")");
      });
  nb::class_<IntInfo>(m, "iinfo",
                      "The limits of an integer dtype: ``min``, ``max``, ``dtype``.\n\n"
                      "Example:\n    >>> mx.iinfo(mx.int8).max\n    127\n")
      .def(
          "__init__", [](IntInfo* self, Dtype t) { new (self) IntInfo(make_iinfo(t)); }, nb::arg("dtype"),
          "Args:\n    dtype: An integer dtype.\n\nRaises:\n    ValueError: If it is no integer.")
      .def_ro("min", &IntInfo::min, "The least value.")
      .def_ro("max", &IntInfo::max, "The greatest value.")
      .def_prop_ro(
          "dtype", [](const IntInfo& i) { return i.dtype; }, "The dtype described.")
      .def("__repr__", [](const IntInfo& i) {
        return message("iinfo(min=", i.min, ", max=", i.max, ", dtype=", name(i.dtype), ")");
      });
}

void bind_dtype_objects(nb::module_& m) {
  auto c = nb::class_<PyDtype>(m, "Dtype", "The type of an array's elements. There is one object per type.")
               .def_prop_ro(
                   "size", [](const PyDtype& t) { return size_of(t.value); }, "Bytes of one element.")
               .def("__repr__", [](const PyDtype& t) { return message("nhwc.", name(t.value)); })
               .def(
                   "__reduce__", [](const PyDtype& t) { return attribute_name(t.value); },
                   "Pickles as the module's attribute.");
  dtype_type = reinterpret_cast<PyTypeObject*>(c.ptr());
  for (int i = 0; i < kDtypeCount; ++i) {
    Dtype t = static_cast<Dtype>(i);
    nb::object o = nb::cast(PyDtype{t});
    dtype_objects[i] = o.inc_ref().ptr();
    m.attr(attribute_name(t).c_str()) = o;
  }
}

}  // namespace

nb::handle dtype_object(Dtype t) { return dtype_objects[static_cast<int>(t)]; }

std::optional<Dtype> as_dtype(nb::handle o) {
  if (Py_TYPE(o.ptr()) != dtype_type) return std::nullopt;
  return nb::inst_ptr<PyDtype>(o)->value;
}

void bind_dtype(nb::module_& m) {
  bind_dtype_objects(m);
  nb::enum_<Category>(m, "DtypeCategory", "The hierarchy of element types, for ``issubdtype``.")
      .value("complexfloating", Category::complexfloating)
      .value("floating", Category::floating)
      .value("inexact", Category::inexact)
      .value("signedinteger", Category::signedinteger)
      .value("unsignedinteger", Category::unsignedinteger)
      .value("integer", Category::integer)
      .value("number", Category::number)
      .value("generic", Category::generic)
      .export_values();
  m.def("issubdtype", &issubdtype, nb::arg("arg1"), nb::arg("arg2"),
        R"(Says whether a dtype or category lies within another.

Args:
    arg1: A dtype or category.
    arg2: A dtype or category.

Returns:
    ``True`` where ``arg1`` is ``arg2`` or within it.

Example:
    >>> mx.issubdtype(mx.float16, mx.floating)
    True
)");
  bind_info_classes(m);
  m.attr("inf") = std::numeric_limits<double>::infinity();
  m.attr("nan") = std::numeric_limits<double>::quiet_NaN();
  m.attr("pi") = M_PI;
  m.attr("e") = M_E;
  m.attr("euler_gamma") = 0.57721566490153286060651209008240243;
  m.attr("newaxis") = nb::none();
}

}  // namespace nhwc::py
