// python/src/convert.h -- from Python objects to arrays, dtypes, sizes, axes and streams; what every binding shares
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <utility>
#include <vector>

#include "graph/trace_scope.h"
#include "nhwc/array.h"
#include "nhwc/device.h"
#include "nhwc/error.h"
#include "nhwc/ops.h"

namespace nhwc::py {

namespace nb = nanobind;

/// Type `array`, set by bind_array.
extern PyTypeObject* array_type;

inline bool is_array(nb::handle o) {
  PyTypeObject* t = Py_TYPE(o.ptr());
  return t == array_type || PyType_IsSubtype(t, array_type);
}
/// The array in `o`, or null where `o` is none, or one whose __init__ was never called.
inline Array* as_array(nb::handle o) { return is_array(o) && nb::inst_ready(o) ? nb::inst_ptr<Array>(o) : nullptr; }
/// The array in `o`, which is one; TypeError where its __init__ was never called.
Array& self_array(nb::handle o);
/// A new Python object that holds `a`.
nb::object wrap(Array a);

/// An argument that is an array, a Python number, or something that exports its memory (NumPy, DLPack, buffers). Kept
/// as it came: a Python number is weak, it takes the other operand's dtype.
struct ScalarOrArray {
  nb::object value;
};
/// True for what ScalarOrArray takes: not for lists, strings or None.
bool is_scalar_or_array(nb::handle o);

/// Anything that the constructor of `array` takes, lists included; copies unless `o` is an array already. Without
/// `dtype`: bool -> bool, int -> int32 (int64 where it does not fit), float -> float32, NumPy's float64 -> float32.
Array to_array(nb::handle o, std::optional<Dtype> dtype = {});
inline Array to_array(const ScalarOrArray& v, std::optional<Dtype> dtype = {}) { return to_array(v.value, dtype); }
/// `o` as an operand beside an array of type `other`: a Python number becomes `other`, or the least type above that
/// holds it (float beside integers: float32; int beside bool: int32).
Array to_operand(nb::handle o, Dtype other);
/// Two operands, of which at most one is weak.
std::pair<Array, Array> to_arrays(nb::handle a, nb::handle b);
inline std::pair<Array, Array> to_arrays(const ScalarOrArray& a, const ScalarOrArray& b) {
  return to_arrays(a.value, b.value);
}
/// A list or tuple of arrays (and numbers, and what exports memory).
Arrays to_array_list(nb::handle o, const char* who);

// Integers come from anything with __index__ (NumPy's too), never from floats: TypeError with what was got and
// expected.
int64_t to_int(nb::handle o, const char* who, const char* what);
/// An int, or a sequence of ints.
Dims to_dims(nb::handle o, const char* who, const char* what);
Ints to_ints(nb::handle o, const char* who, const char* what);
/// None (all axes: nullopt), an int, or a sequence of ints.
Axes to_axes(nb::handle o, const char* who);
/// None or an int.
std::optional<int> to_axis(nb::handle o, const char* who);
/// The sizes as a Python tuple.
nb::tuple to_tuple(const Dims& d);

/// The `stream` argument of every function: None, a Stream, a Device or a DeviceType.
struct StreamOrDevice {
  enum { none, stream, device } kind = none;
  Stream value;  // for `device`, only value.device counts
};
/// What is made while it lives goes on that stream: `OnStream scope(stream, "conv2d");`. ValueError where there is
/// none.
class OnStream {
 public:
  OnStream(const StreamOrDevice& s, const char* who) {
    if (s.kind != StreamOrDevice::none) enter(s, who);
  }
  /// The stream that `s` names, the current one where it is None.
  static Stream resolve(const StreamOrDevice& s, const char* who);

 private:
  void enter(const StreamOrDevice& s, const char* who);
  std::optional<StreamScope> scope_;
};

/// Computes the arrays with the GIL released, where they are not ready. Use before data() and item().
void evaluate_nogil(const Arrays& arrays);
void evaluate_nogil(const Array& a);

/// "float", "numpy.ndarray": the type of `o` for messages.
std::string python_type(nb::handle o);

/// What the Python class Dtype holds. There is one object per dtype.
struct PyDtype {
  Dtype value;
};
nb::handle dtype_object(Dtype t);
/// The dtype that `o` stands for; nullopt where it is no Dtype.
std::optional<Dtype> as_dtype(nb::handle o);
/// None, a Stream, a Device or a DeviceType; false for anything else.
bool as_stream(nb::handle o, StreamOrDevice& out);

}  // namespace nhwc::py

NAMESPACE_BEGIN(NB_NAMESPACE)
NAMESPACE_BEGIN(detail)

template <>
struct type_caster<nhwc::py::ScalarOrArray> {
  NB_TYPE_CASTER(nhwc::py::ScalarOrArray, const_name("bool | int | float | ") + make_caster<nhwc::Array>::Name)
  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    if (!nhwc::py::is_scalar_or_array(src)) return false;
    value.value = borrow(src);
    return true;
  }
};

template <>
struct type_caster<nhwc::py::StreamOrDevice> {
  NB_TYPE_CASTER(nhwc::py::StreamOrDevice, make_caster<nhwc::Stream>::Name + const_name(" | ") +
                                               make_caster<nhwc::Device>::Name + const_name(" | ") +
                                               make_caster<nhwc::DeviceType>::Name)
  bool from_python(handle src, uint8_t, cleanup_list*) noexcept { return nhwc::py::as_stream(src, value); }
};

template <>
struct type_caster<nhwc::Dtype> {
  NB_TYPE_CASTER(nhwc::Dtype, make_caster<nhwc::py::PyDtype>::Name)
  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    std::optional<nhwc::Dtype> t = nhwc::py::as_dtype(src);
    if (t) value = *t;
    return t.has_value();
  }
  static handle from_cpp(nhwc::Dtype t, rv_policy, cleanup_list*) noexcept {
    return nhwc::py::dtype_object(t).inc_ref();
  }
};

NAMESPACE_END(detail)
NAMESPACE_END(NB_NAMESPACE)
