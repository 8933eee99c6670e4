// python/src/convert.cpp -- scalars, operands, sizes, axes and streams from Python objects
#include "convert.h"

#include <limits>

#include "convert_list.h"
#include "graph/node.h"
#include "interop.h"
#include "nhwc/transforms.h"

namespace nhwc::py {

PyTypeObject* array_type = nullptr;

Array& self_array(nb::handle o) {
  Array* a = as_array(o);
  if (!a) raise<TypeError>("[array] ", python_type(o), ".__init__() was never called on this object");
  return *a;
}

nb::object wrap(Array a) {
  nb::object o = nb::inst_alloc(reinterpret_cast<PyObject*>(array_type));
  new (nb::inst_ptr<Array>(o)) Array(std::move(a));
  nb::inst_mark_ready(o);
  return o;
}

std::string python_type(nb::handle o) {
  nb::object type = nb::borrow(reinterpret_cast<PyObject*>(Py_TYPE(o.ptr())));
  std::string name = nb::cast<std::string>(nb::str(type.attr("__name__")));
  std::string module = nb::cast<std::string>(nb::str(type.attr("__module__")));
  return module == "builtins" ? name : module + "." + name;
}

// ---- numbers
namespace {

[[noreturn]] void raise_overflow(nb::handle o, std::string_view type) {
  raise<ValueError>("[array] ", nb::cast<std::string>(nb::str(o)), " does not fit ", type,
                    "; give a wider dtype or convert the other operand with astype");
}

}  // namespace

int64_t int_value(nb::handle o, Dtype t) {
  int overflow = 0;
  int64_t v = PyLong_AsLongLongAndOverflow(o.ptr(), &overflow);
  if (overflow > 0 && t == Dtype::uint64) {
    uint64_t u = PyLong_AsUnsignedLongLong(o.ptr());
    if (!PyErr_Occurred()) return static_cast<int64_t>(u);
    PyErr_Clear();
  }
  if (v == -1 && PyErr_Occurred()) nb::raise_python_error();
  bool fits = !overflow;
  if (is_integer(t) && t != Dtype::int64) {
    int bits = static_cast<int>(size_of(t)) * 8;
    if (is_unsigned(t))
      fits &= v >= 0 && (bits == 64 || v < (int64_t{1} << bits));
    else
      fits &= v >= -(int64_t{1} << (bits - 1)) && v < (int64_t{1} << (bits - 1));
  }
  if (!fits) raise_overflow(o, name(is_integer(t) ? t : Dtype::int64));
  return v;
}

Dtype default_int_type(nb::handle o) {
  int overflow = 0;
  int64_t v = PyLong_AsLongLongAndOverflow(o.ptr(), &overflow);
  if (overflow) return overflow > 0 ? Dtype::uint64 : Dtype::int64;
  return v >= INT32_MIN && v <= INT32_MAX ? Dtype::int32 : Dtype::int64;
}

double double_value(nb::handle o) {
  double v = PyFloat_AsDouble(o.ptr());
  if (v == -1.0 && PyErr_Occurred()) nb::raise_python_error();
  return v;
}

bool is_number(nb::handle o) { return PyLong_Check(o.ptr()) || PyFloat_Check(o.ptr()); }

namespace {

Array from_number(nb::handle o, std::optional<Dtype> dtype) {
  if (PyBool_Check(o.ptr())) return Array::scalar_int(o.ptr() == Py_True, dtype.value_or(Dtype::bool_));
  if (PyFloat_Check(o.ptr())) return Array::scalar(double_value(o), dtype.value_or(Dtype::float32));
  Dtype t = dtype ? *dtype : default_int_type(o);
  if (is_floating(t)) return Array::scalar(double_value(o), t);
  if (t == Dtype::bool_) return Array::scalar_int(PyObject_IsTrue(o.ptr()), t);
  return Array::scalar_int(int_value(o, t), t);
}

/// bool < integer < float: a weak operand gives way within its kind or a higher one.
int kind_of(Dtype t) { return t == Dtype::bool_ ? 0 : is_integer(t) ? 1 : 2; }

}  // namespace

bool is_scalar_or_array(nb::handle o) { return as_array(o) || is_number(o) || exports_memory(o); }

Array to_array(nb::handle o, std::optional<Dtype> dtype) {
  if (Array* a = as_array(o)) return dtype && *dtype != a->dtype() ? astype(*a, *dtype) : *a;
  if (is_number(o)) return from_number(o, dtype);
  if (PyList_Check(o.ptr()) || PyTuple_Check(o.ptr())) return from_list(o, dtype);
  if (PyRange_Check(o.ptr())) return from_list(nb::steal(PySequence_List(o.ptr())), dtype);
  if (PyComplex_Check(o.ptr()))
    raise<TypeError>("[array] complex numbers are not supported; keep real and imaginary parts as two arrays");
  if (exports_memory(o)) return import_memory(o, dtype, false, "array");
  raise<TypeError>(
      "[array] cannot make an array of ", python_type(o),
      "; expected a number, a list or tuple, an array, or an object with __dlpack__ or the buffer protocol");
}

Array to_operand(nb::handle o, Dtype other) {
  if (Array* a = as_array(o)) return *a;
  if (PyFloat_Check(o.ptr())) return from_number(o, to_floating(other));
  if (PyBool_Check(o.ptr())) return from_number(o, other);
  if (PyLong_Check(o.ptr())) return from_number(o, other == Dtype::bool_ ? default_int_type(o) : other);
  Array a = to_array(o);
  if (a.dtype() == other) return a;
  return kind_of(a.dtype()) <= kind_of(other) ? astype(a, other) : a;
}

std::pair<Array, Array> to_arrays(nb::handle a, nb::handle b) {
  Array* x = as_array(a);
  Array* y = as_array(b);
  if (x && y) return {*x, *y};
  if (x) return {*x, to_operand(b, x->dtype())};
  if (y) return {to_operand(a, y->dtype()), *y};
  return {to_array(a), to_array(b)};
}

Arrays to_array_list(nb::handle o, const char* who) {
  if (as_array(o) || PyUnicode_Check(o.ptr()) || !PySequence_Check(o.ptr()))
    raise<TypeError>("[", who, "] expected a list or tuple of arrays, got ", python_type(o));
  nb::object items = nb::steal(PySequence_Tuple(o.ptr()));
  if (!items) nb::raise_python_error();
  Arrays out;
  for (nb::handle item : nb::borrow<nb::tuple>(items)) out.push_back(to_array(item));
  return out;
}

// ---- sizes and axes
namespace {

/// False where `o` is no integer; raises where it is one that does not fit 64 bits.
bool read_int(nb::handle o, int64_t& out) {
  if (PyLong_CheckExact(o.ptr())) {
    out = PyLong_AsLongLong(o.ptr());
    if (out == -1 && PyErr_Occurred()) nb::raise_python_error();
    return true;
  }
  if (PyBool_Check(o.ptr()) || !PyIndex_Check(o.ptr())) return false;
  nb::object i = nb::steal(PyNumber_Index(o.ptr()));
  if (!i) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) nb::raise_python_error();
    PyErr_Clear();
    return false;
  }
  out = PyLong_AsLongLong(i.ptr());
  if (out == -1 && PyErr_Occurred()) nb::raise_python_error();
  return true;
}

template <class Out>
Out read_ints(nb::handle o, const char* who, const char* what) {
  Out out;
  int64_t v;
  if (read_int(o, v)) {
    out.push_back(v);
    return out;
  }
  bool text = PyUnicode_Check(o.ptr()) || PyBytes_Check(o.ptr()) || PyByteArray_Check(o.ptr());
  if (text || !PySequence_Check(o.ptr()) || as_array(o))
    raise<TypeError>("[", who, "] ", what, " must be an int or a sequence of ints, got ", python_type(o));
  nb::object items = nb::steal(PySequence_Tuple(o.ptr()));
  if (!items) nb::raise_python_error();
  for (nb::handle item : nb::borrow<nb::tuple>(items)) {
    if (!read_int(item, v))
      raise<TypeError>("[", who, "] ", what, " must be an int or a sequence of ints, got a sequence that holds ",
                       python_type(item));
    out.push_back(v);
  }
  return out;
}

int to_small_int(int64_t v, const char* who) {
  if (v < INT32_MIN || v > INT32_MAX) raise<ValueError>("[", who, "] axis ", v, " is out of range");
  return static_cast<int>(v);
}

}  // namespace

int64_t to_int(nb::handle o, const char* who, const char* what) {
  int64_t v;
  if (!read_int(o, v)) raise<TypeError>("[", who, "] ", what, " must be an int, got ", python_type(o));
  return v;
}
Dims to_dims(nb::handle o, const char* who, const char* what) { return read_ints<Dims>(o, who, what); }
Ints to_ints(nb::handle o, const char* who, const char* what) { return read_ints<Ints>(o, who, what); }

Axes to_axes(nb::handle o, const char* who) {
  if (o.is_none()) return std::nullopt;
  std::vector<int> out;
  for (int64_t v : read_ints<Ints>(o, who, "axis")) out.push_back(to_small_int(v, who));
  return out;
}

std::optional<int> to_axis(nb::handle o, const char* who) {
  if (o.is_none()) return std::nullopt;
  return to_small_int(to_int(o, who, "axis"), who);
}

nb::tuple to_tuple(const Dims& d) {
  nb::object t = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(d.size())));
  for (size_t i = 0; i < d.size(); ++i) PyTuple_SetItem(t.ptr(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(d[i]));
  return nb::borrow<nb::tuple>(t);
}

// ---- streams and evaluation
Stream OnStream::resolve(const StreamOrDevice& s, const char* who) {
  if (s.kind == StreamOrDevice::none) return stream_of(current_stream());
  require_available(s.value.device, who);
  return s.kind == StreamOrDevice::stream ? s.value : default_stream(s.value.device);
}

void OnStream::enter(const StreamOrDevice& s, const char* who) { scope_.emplace(resolve(s, who)); }

void evaluate_nogil(const Arrays& arrays) {
  bool ready = true;
  for (const Array& a : arrays) ready &= a.is_ready();
  if (ready) return;
  nb::gil_scoped_release nogil;
  eval(arrays);
}

void evaluate_nogil(const Array& a) {
  if (a.is_ready()) return;
  const Array kept = a;  // without the GIL the object that holds `a` may get another
  nb::gil_scoped_release nogil;
  evaluate(kept);
}

}  // namespace nhwc::py
