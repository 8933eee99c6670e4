// python/src/interop_import.cpp -- arrays in memory that NumPy, DLPack or the buffer protocol export
#include <bit>
#include <cstring>

#include "base/visit_dtype.h"
#include "convert.h"
#include "dlpack.h"
#include "graph/node.h"
#include "graph/trace_scope.h"
#include "interop.h"

namespace nhwc::py {
namespace {

bool has(nb::handle o, const char* attribute) {
  return PyObject_HasAttrString(reinterpret_cast<PyObject*>(Py_TYPE(o.ptr())), attribute);
}

// An owner's memory is given back with the GIL held; once the interpreter is gone it goes with the process.
template <class F>
void with_gil(F f) {
  if (!Py_IsInitialized()) return;
  nb::gil_scoped_acquire gil;
  f();
}

[[noreturn]] void raise_elements(const char* who, nb::handle o, const std::string& what) {
  raise<TypeError>(
      "[", who, "] ", python_type(o), " holds elements of type ", what,
      ", which nhwc does not have; it has bool, 8- to 64-bit integers, float16, bfloat16, float32 and float64");
}

// ---- the buffer protocol
void release_buffer(void* ctx) {
  with_gil([&] {
    auto* view = static_cast<Py_buffer*>(ctx);
    PyBuffer_Release(view);
    delete view;
  });
}

/// nullopt for a format that is no native number.
std::optional<Dtype> dtype_of_format(const char* format, Py_ssize_t itemsize) {
  if (!format) return Dtype::uint8;
  constexpr char native = std::endian::native == std::endian::little ? '<' : '>';
  if (*format == '@' || *format == '=' || *format == native) ++format;
  if (!*format || format[1]) return std::nullopt;
  bool is_signed = std::strchr("bhilqn", *format) != nullptr;
  if (is_signed || std::strchr("BHILQN", *format)) {
    switch (itemsize) {
      case 1:
        return is_signed ? Dtype::int8 : Dtype::uint8;
      case 2:
        return is_signed ? Dtype::int16 : Dtype::uint16;
      case 4:
        return is_signed ? Dtype::int32 : Dtype::uint32;
      case 8:
        return is_signed ? Dtype::int64 : Dtype::uint64;
      default:
        return std::nullopt;
    }
  }
  switch (*format) {
    case '?':
      return Dtype::bool_;
    case 'e':
      return Dtype::float16;
    case 'f':
      return Dtype::float32;
    case 'd':
      return Dtype::float64;
    default:
      return std::nullopt;
  }
}

/// Null where `o` has no buffer that fits as it is; the error indicator is clear then.
Array borrow_buffer(nb::handle o) {
  if (!PyObject_CheckBuffer(o.ptr())) return Array();
  auto* view = new Py_buffer;
  if (PyObject_GetBuffer(o.ptr(), view, PyBUF_RECORDS_RO) != 0) {
    PyErr_Clear();
    delete view;
    return Array();
  }
  std::optional<Dtype> t = dtype_of_format(view->format, view->itemsize);
  Shape shape(view->shape, view->shape + view->ndim);
  Strides strides;
  bool fits = t && size_of(*t) == static_cast<size_t>(view->itemsize) &&
              reinterpret_cast<uintptr_t>(view->buf) % size_of(*t) == 0;
  for (int i = 0; fits && i < view->ndim; ++i) {
    fits = view->strides[i] % view->itemsize == 0;
    strides.push_back(view->strides[i] / view->itemsize);
  }
  if (!fits) {
    PyBuffer_Release(view);
    delete view;
    return Array();
  }
  return Array::borrow(view->buf, shape, strides, *t, release_buffer, view);
}

// ---- DLPack
template <class M>
void release_managed(void* ctx) {
  with_gil([&] {
    auto* m = static_cast<M*>(ctx);
    if (m->deleter) m->deleter(m);
  });
}

template <class M>
Array borrow_managed(M* m, nb::handle o, const char* who) {
  const dl::Tensor& t = m->tensor;
  if (t.device.type != dl::kCpu && t.device.type != dl::kCudaHost)
    raise<ValueError>("[", who, "] ", python_type(o), " lies on DLPack device type ", t.device.type,
                      "; only CPU memory can be taken, so move it to the CPU first");
  std::optional<Dtype> dtype = dl::dtype_of(t.dtype);
  if (!dtype) {
    if (t.dtype.code == dl::kComplex) raise<TypeError>("[", who, "] complex numbers are not supported");
    raise_elements(who, o, message("DLPack (code ", int(t.dtype.code), ", ", int(t.dtype.bits), " bits)"));
  }
  Shape shape(t.shape, t.shape + t.ndim);
  Strides strides = t.strides ? Strides(t.strides, t.strides + t.ndim) : contiguous_strides(shape);
  char* data = static_cast<char*>(t.data) + t.byte_offset;
  return Array::borrow(data, shape, strides, *dtype, release_managed<M>, m);
}

nb::object call_dlpack(nb::handle o) {
  nb::object method = o.attr("__dlpack__");
  nb::object kwargs = nb::dict();
  kwargs["max_version"] = nb::make_tuple(dl::kMajor, dl::kMinor);
  nb::object empty = nb::make_tuple();
  nb::object capsule = nb::steal(PyObject_Call(method.ptr(), empty.ptr(), kwargs.ptr()));
  if (capsule) return capsule;
  if (!PyErr_ExceptionMatches(PyExc_TypeError)) nb::raise_python_error();
  PyErr_Clear();  // an exporter from before version 1.0
  return method();
}

Array borrow_capsule(nb::handle o, nb::handle capsule, const char* who) {
  if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
    auto* m = static_cast<dl::ManagedVersioned*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
    if (m->major != dl::kMajor)
      raise<ValueError>("[", who, "] ", python_type(o), " speaks DLPack ", m->major, ", expected ", dl::kMajor);
    Array a = borrow_managed(m, o, who);
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    return a;
  }
  if (!PyCapsule_IsValid(capsule.ptr(), "dltensor"))
    raise<TypeError>("[", who, "] expected an object with __dlpack__ that gives an unused DLPack capsule, got ",
                     python_type(o));
  Array a = borrow_managed(static_cast<dl::Managed*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor")), o, who);
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  return a;
}

// ---- NumPy: what its buffers cannot say
nb::object numpy_array_of(nb::handle o) { return nb::module_::import_("numpy").attr("asarray")(o); }

std::string numpy_dtype_name(nb::handle o) {
  nb::object dtype = nb::getattr(o, "dtype", nb::none());
  return dtype.is_none() ? "" : nb::cast<std::string>(nb::str(nb::getattr(dtype, "name", nb::str(""))));
}

/// bfloat16 of ml_dtypes has no buffer format; its bits have.
Array borrow_bfloat16(nb::handle o) {
  Array bits = borrow_buffer(numpy_array_of(o).attr("view")("uint16"));
  bits.node()->dtype = Dtype::bfloat16;  // nobody else has seen the node
  return bits;
}

/// Other byte orders, strides that are no multiple of the element, unaligned data: NumPy makes a plain copy.
Array copy_by_numpy(nb::handle o, const char* who) {
  nb::object a = numpy_array_of(o);
  nb::object dtype = a.attr("dtype");
  std::string kind = nb::cast<std::string>(dtype.attr("kind"));
  if (kind == "c")
    raise<TypeError>("[", who, "] complex numbers are not supported; keep real and imaginary parts as two arrays");
  std::string type = numpy_dtype_name(a);
  if (type == "bfloat16") return borrow_bfloat16(a);
  if (kind.find_first_of("biuf") == std::string::npos) raise_elements(who, o, type);
  nb::object plain = a.attr("astype")(dtype.attr("newbyteorder")("="), "C");
  Array out = borrow_buffer(plain);
  if (!out) raise_elements(who, o, type);
  return out;
}

bool is_numpy(nb::handle o) { return has(o, "__array_interface__") || has(o, "__array_struct__"); }

/// Null where taking it as it is is impossible.
Array borrow_any(nb::handle o, const char* who) {
  // NumPy goes by its buffer first: DLPack refuses read-only arrays in older versions.
  bool dlpack_first = has(o, "__dlpack__") && !is_numpy(o);
  if (dlpack_first) return borrow_capsule(o, call_dlpack(o), who);
  Array a = borrow_buffer(o);
  if (!a && numpy_dtype_name(o) == "bfloat16") return borrow_bfloat16(o);
  return a;
}

}  // namespace

bool exports_memory(nb::handle o) {
  if (PyUnicode_Check(o.ptr()) || PyType_Check(o.ptr()) || is_array(o)) return false;
  return PyObject_CheckBuffer(o.ptr()) || has(o, "__dlpack__") || has(o, "__array__");
}

Array import_dlpack(nb::handle o, const char* who) {
  if (PyCapsule_CheckExact(o.ptr())) return borrow_capsule(o, o, who);
  if (!has(o, "__dlpack__")) raise<TypeError>("[", who, "] expected an object with __dlpack__, got ", python_type(o));
  return borrow_capsule(o, call_dlpack(o), who);
}

Array import_alias(nb::handle o, const char* who) {
  Array a = borrow_any(o, who);
  if (!a)
    raise<ValueError>("[", who, "] ", python_type(o), " cannot be taken without a copy; use copy=None or copy=True");
  return a;
}

Array import_memory(nb::handle o, std::optional<Dtype> dtype, bool share, const char* who) {
  Array a = borrow_any(o, who);
  if (!a) a = copy_by_numpy(o, who);
  Dtype from = a.dtype();
  Dtype to = dtype.value_or(from == Dtype::float64 ? Dtype::float32 : from);
  if (from == Dtype::float64 && to == Dtype::float32) return copy_strided(a, to);
  if (share && to == from) return a;
  Array copy = copy_strided(a, from);
  if (to == from) return copy;
  if (from != Dtype::float64) return astype(copy, to);
  StreamScope on_cpu(default_stream({DeviceType::cpu, 0}));  // the GPU has no float64
  return astype(copy, to);
}

}  // namespace nhwc::py
