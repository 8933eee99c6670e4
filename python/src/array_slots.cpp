// python/src/array_slots.cpp -- the operators of `array`, as slots of the Python type
#include "array_class.h"
#include "errors.h"
#include "interop.h"

namespace nhwc::py {
namespace {

PyObject* not_implemented() { return Py_NewRef(Py_NotImplemented); }

using BinaryFn = Array (*)(const Array&, const Array&);

/// Arrays, numbers and what exports memory; for everything else Python asks the other operand, then raises TypeError.
template <BinaryFn Op>
PyObject* binary(PyObject* a, PyObject* b) noexcept {
  try {
    Array* x = as_array(a);
    Array* y = as_array(b);
    if (x && y) return wrap(Op(*x, *y)).release().ptr();
    if (!is_scalar_or_array(x ? b : a)) return not_implemented();
    auto [left, right] = to_arrays(a, b);
    return wrap(Op(left, right)).release().ptr();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

/// `a += b`: the object gets the result's node; arrays computed from it keep theirs.
template <BinaryFn Op>
PyObject* in_place(PyObject* a, PyObject* b) noexcept {
  try {
    if (!is_scalar_or_array(b)) return not_implemented();
    Array& self = self_array(a);
    auto [left, right] = to_arrays(a, b);
    self = Op(left, right);
    return Py_NewRef(a);
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

PyObject* power_slot(PyObject* a, PyObject* b, PyObject* modulus) noexcept {
  return modulus == Py_None ? binary<power>(a, b) : not_implemented();
}
PyObject* in_place_power(PyObject* a, PyObject* b, PyObject* modulus) noexcept {
  return modulus == Py_None ? in_place<power>(a, b) : not_implemented();
}

template <Array (*Op)(const Array&)>
PyObject* unary(PyObject* a) noexcept {
  try {
    return wrap(Op(self_array(a))).release().ptr();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

Array same(const Array& a) { return a; }

PyObject* compare(PyObject* a, PyObject* b, int op) noexcept {
  switch (op) {
    case Py_LT:
      return binary<less>(a, b);
    case Py_LE:
      return binary<less_equal>(a, b);
    case Py_EQ:
      return binary<equal>(a, b);
    case Py_NE:
      return binary<not_equal>(a, b);
    case Py_GT:
      return binary<greater>(a, b);
    default:
      return binary<greater_equal>(a, b);
  }
}

Py_hash_t hash(PyObject* a) noexcept { return static_cast<Py_hash_t>(reinterpret_cast<uintptr_t>(a) >> 4); }

template <class R, class F>
R guarded(R failed, F f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return failed;
  }
}

const Array& one_element(PyObject* o) {
  const Array& a = self_array(o);
  if (a.size() != 1)
    raise<ValueError>("[array] only an array of one element becomes a Python number, got shape ", to_string(a.shape()),
                      "; use item on one element, or any() or all()");
  evaluate_nogil(a);
  return a;
}

int as_bool(PyObject* o) noexcept {
  return guarded(-1, [&] {
    const Array& a = one_element(o);
    return static_cast<int>(is_floating(a.dtype()) ? a.item() != 0 : a.item_int() != 0);
  });
}

PyObject* long_of(const Array& a) {
  if (is_floating(a.dtype())) return PyLong_FromDouble(a.item());
  if (a.dtype() == Dtype::uint64) return PyLong_FromUnsignedLongLong(static_cast<uint64_t>(a.item_int()));
  return PyLong_FromLongLong(a.item_int());
}

PyObject* as_int(PyObject* o) noexcept {
  return guarded<PyObject*>(nullptr, [&] { return long_of(one_element(o)); });
}

PyObject* as_float(PyObject* o) noexcept {
  return guarded<PyObject*>(nullptr, [&] { return PyFloat_FromDouble(one_element(o).item()); });
}

PyObject* as_index(PyObject* o) noexcept {
  return guarded<PyObject*>(nullptr, [&] {
    const Array& a = self_array(o);
    if (a.ndim() != 0 || !is_integer(a.dtype()))
      raise<TypeError>("[array] only an integer array of rank 0 can be an index, got ", name(a.dtype()), " of shape ",
                       to_string(a.shape()));
    return long_of(one_element(o));
  });
}

Py_ssize_t length(PyObject* o) noexcept {
  return guarded<Py_ssize_t>(-1, [&]() -> Py_ssize_t {
    const Array& a = self_array(o);
    if (a.ndim() == 0) raise<TypeError>("[array] len() of an array of rank 0");
    return a.shape(0);
  });
}

PyObject* iterate(PyObject* o) noexcept {
  return guarded<PyObject*>(nullptr, [&] {
    if (self_array(o).ndim() == 0) raise<TypeError>("[array] iteration over an array of rank 0");
    return PySeqIter_New(o);
  });
}

PyObject* subscript(PyObject* o, PyObject* index) noexcept {
  return guarded<PyObject*>(nullptr, [&] { return wrap(get_item(self_array(o), index)).release().ptr(); });
}

/// For iteration; Python has made negative numbers positive.
PyObject* sequence_item(PyObject* o, Py_ssize_t i) noexcept {
  return guarded<PyObject*>(nullptr, [&] {
    nb::object index = nb::steal(PyLong_FromSsize_t(i));
    return wrap(get_item(self_array(o), index)).release().ptr();
  });
}

int assign_subscript(PyObject* o, PyObject* index, PyObject* value) noexcept {
  return guarded(-1, [&] {
    if (!value) raise<TypeError>("[array] elements of an array cannot be deleted");
    Array& self = self_array(o);
    Array updated = set_item(self, index, value);
    self = std::move(updated);
    return 0;
  });
}

PyObject* repr_slot(PyObject* o) noexcept {
  return guarded<PyObject*>(nullptr, [&] {
    std::string s = repr(self_array(o));
    return PyUnicode_FromStringAndSize(s.data(), static_cast<Py_ssize_t>(s.size()));
  });
}

template <class F>
void* slot(F* f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace

const PyType_Slot* array_slots() {
  static const PyType_Slot slots[] = {
      {Py_nb_add, slot(binary<add>)},
      {Py_nb_subtract, slot(binary<subtract>)},
      {Py_nb_multiply, slot(binary<multiply>)},
      {Py_nb_true_divide, slot(binary<divide>)},
      {Py_nb_floor_divide, slot(binary<floor_divide>)},
      {Py_nb_remainder, slot(binary<remainder>)},
      {Py_nb_power, slot(power_slot)},
      {Py_nb_matrix_multiply, slot(binary<matmul>)},
      {Py_nb_and, slot(binary<bitwise_and>)},
      {Py_nb_or, slot(binary<bitwise_or>)},
      {Py_nb_xor, slot(binary<bitwise_xor>)},
      {Py_nb_inplace_add, slot(in_place<add>)},
      {Py_nb_inplace_subtract, slot(in_place<subtract>)},
      {Py_nb_inplace_multiply, slot(in_place<multiply>)},
      {Py_nb_inplace_true_divide, slot(in_place<divide>)},
      {Py_nb_inplace_floor_divide, slot(in_place<floor_divide>)},
      {Py_nb_inplace_remainder, slot(in_place<remainder>)},
      {Py_nb_inplace_power, slot(in_place_power)},
      {Py_nb_inplace_matrix_multiply, slot(in_place<matmul>)},
      {Py_nb_inplace_and, slot(in_place<bitwise_and>)},
      {Py_nb_inplace_or, slot(in_place<bitwise_or>)},
      {Py_nb_inplace_xor, slot(in_place<bitwise_xor>)},
      {Py_nb_negative, slot(unary<negative>)},
      {Py_nb_positive, slot(unary<same>)},
      {Py_nb_absolute, slot(unary<abs>)},
      {Py_nb_invert, slot(unary<bitwise_invert>)},
      {Py_nb_bool, slot(as_bool)},
      {Py_nb_int, slot(as_int)},
      {Py_nb_float, slot(as_float)},
      {Py_nb_index, slot(as_index)},
      {Py_tp_richcompare, slot(compare)},
      {Py_tp_hash, slot(hash)},
      {Py_tp_iter, slot(iterate)},
      {Py_tp_repr, slot(repr_slot)},
      {Py_mp_length, slot(length)},
      {Py_mp_subscript, slot(subscript)},
      {Py_mp_ass_subscript, slot(assign_subscript)},
      {Py_sq_item, slot(sequence_item)},
      {Py_sq_length, slot(length)},
      {Py_bf_getbuffer, slot(array_getbuffer)},
      {Py_bf_releasebuffer, slot(array_releasebuffer)},
      {0, nullptr},
  };
  return slots;
}

}  // namespace nhwc::py
