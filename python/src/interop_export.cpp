// python/src/interop_export.cpp -- an array's memory for others: the buffer protocol, DLPack, NumPy
#include "convert.h"
#include "dlpack.h"
#include "errors.h"
#include "graph/node.h"
#include "interop.h"

namespace nhwc::py {
namespace {

// What an export needs besides the memory, and what keeps the memory alive.
struct BufferExport {
  Array array;
  InlineVec<Py_ssize_t, 5> shape, strides;  // strides in bytes
};

const char* buffer_format(Dtype t) {
  static constexpr const char* formats[kDtypeCount] = {"?", "B", "H", "I",     "Q", "b", "h",
                                                       "i", "q", "e", nullptr, "f", "d"};
  return formats[static_cast<int>(t)];
}

// Whoever writes through an export changes the values behind the library's back: what was remembered about them would
// be wrong. Lent memory may be read-only at its owner, so it is never exported as writable.
void mark_writable(const Array& a) { a.node()->buffer->immutable.store(false, std::memory_order_relaxed); }

void fill_view(PyObject* self, Py_buffer* view, int flags) {
  const Array a = self_array(self);
  if (!buffer_format(a.dtype()))
    throw nb::buffer_error(
        "[array] the buffer protocol has no bfloat16; use numpy.asarray with ml_dtypes installed, "
        "DLPack, or astype(float32)");
  evaluate_nogil(a);
  const Node& n = *a.node();
  bool writable = (flags & PyBUF_WRITABLE) != 0;
  if (writable && !n.buffer->owned)
    throw nb::buffer_error("[array] this array lies in memory of another owner: read-only");
  bool wants_strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  bool wants_row_major = !wants_strides || (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
                         (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS;
  bool wants_fortran =
      (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && !(flags & (PyBUF_ANY_CONTIGUOUS & ~PyBUF_STRIDES));
  if ((wants_row_major && !n.row_major) || (wants_fortran && n.shape.size() > 1))
    throw nb::buffer_error("[array] the elements do not lie in the order asked for; use contiguous() first");
  auto* e = new BufferExport{a, {}, {}};
  for (size_t i = 0; i < n.shape.size(); ++i) {
    e->shape.push_back(n.shape[i]);
    e->strides.push_back(n.strides[i] * static_cast<Py_ssize_t>(size_of(n.dtype)));
  }
  if (writable) mark_writable(a);
  view->obj = Py_NewRef(self);
  view->buf = n.data();
  view->len = static_cast<Py_ssize_t>(a.nbytes());
  view->itemsize = static_cast<Py_ssize_t>(size_of(n.dtype));
  view->readonly = !writable;
  view->ndim = static_cast<int>(n.shape.size());
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(buffer_format(n.dtype)) : nullptr;
  view->shape = (flags & PyBUF_ND) ? e->shape.data() : nullptr;
  view->strides = wants_strides ? e->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = e;
}

// ---- DLPack
template <class M>
struct DlpackExport {
  M managed{};
  Array array;
  Dims shape, strides;
};

template <class M>
void delete_export(M* m) {
  delete static_cast<DlpackExport<M>*>(m->ctx);
}

template <class M>
M* make_export(const Array& a) {
  const Node& n = *a.node();
  auto* e = new DlpackExport<M>{{}, a, n.shape, n.strides};
  e->managed.ctx = e;
  e->managed.deleter = delete_export<M>;
  e->managed.tensor = {n.data(),
                       {dl::kCpu, 0},
                       static_cast<int32_t>(n.shape.size()),
                       dl::type_of(n.dtype),
                       e->shape.data(),
                       e->strides.data(),
                       0};
  return &e->managed;
}

// Runs where nobody took the capsule's content: then its name is still the first one.
template <class M>
void capsule_destructor(PyObject* capsule) {
  const char* name = std::is_same_v<M, dl::Managed> ? "dltensor" : "dltensor_versioned";
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* m = static_cast<M*>(PyCapsule_GetPointer(capsule, name));
  m->deleter(m);
}

template <class M>
nb::object make_capsule(M* m, const char* name) {
  PyObject* capsule = PyCapsule_New(m, name, capsule_destructor<M>);
  if (!capsule) {
    m->deleter(m);
    nb::raise_python_error();
  }
  return nb::steal(capsule);
}

bool wants_version_1(nb::handle max_version) {
  return !max_version.is_none() && nb::cast<int>(nb::object(max_version[0])) >= 1;
}

void check_device(nb::handle device) {
  if (device.is_none()) return;
  auto [type, id] = nb::cast<std::pair<int, int>>(device);
  if (type != dl::kCpu || id != 0)
    throw nb::buffer_error(
        message("[__dlpack__] arrays lie on the CPU, DLPack device (1, 0); got (", type, ", ", id, ")").c_str());
}

}  // namespace

int array_getbuffer(PyObject* self, Py_buffer* view, int flags) noexcept {
  view->obj = nullptr;
  try {
    fill_view(self, view, flags);
    return 0;
  } catch (...) {
    set_python_error();
    return -1;
  }
}

void array_releasebuffer(PyObject*, Py_buffer* view) noexcept { delete static_cast<BufferExport*>(view->internal); }

nb::object export_dlpack(const Array& array, nb::handle max_version, nb::handle device, std::optional<bool> copy) {
  check_device(device);
  evaluate_nogil(array);
  Array a = copy.value_or(false) ? copy_strided(array, array.dtype()) : array;
  if (!wants_version_1(max_version)) {  // this version cannot say read-only
    mark_writable(a);
    return make_capsule(make_export<dl::Managed>(a), "dltensor");
  }
  auto* m = make_export<dl::ManagedVersioned>(a);
  m->major = dl::kMajor;
  m->minor = dl::kMinor;
  m->flags = copy.value_or(false) ? dl::kIsCopied : dl::kReadOnly;
  return make_capsule(m, "dltensor_versioned");
}

namespace {

/// A read-only NumPy view.
nb::object numpy_view(nb::handle self, const nb::module_& numpy) {
  const Array& a = self_array(self);
  if (a.dtype() != Dtype::bfloat16) return numpy.attr("asarray")(nb::steal(PyMemoryView_FromObject(self.ptr())));
  nb::object bfloat16;
  try {
    bfloat16 = nb::module_::import_("ml_dtypes").attr("bfloat16");
  } catch (nb::python_error&) {
    raise<TypeError>("[array] NumPy has no bfloat16: install ml_dtypes, or convert with astype(nhwc.float32)");
  }
  evaluate_nogil(a);
  const Node& n = *a.node();
  Array bits = make_node(Data{}, n.shape, Dtype::uint16, {});
  share_storage(*bits.node(), n, n.strides, n.offset);
  bits.node()->ready.store(true, std::memory_order_release);
  nb::object view = numpy.attr("asarray")(nb::steal(PyMemoryView_FromObject(wrap(bits).ptr())));
  return view.attr("view")(bfloat16);
}

}  // namespace

nb::object export_numpy(nb::handle self, nb::handle dtype, std::optional<bool> copy) {
  nb::module_ numpy = nb::module_::import_("numpy");
  nb::object view = numpy_view(self, numpy);
  if (!dtype.is_none()) {
    nb::object want = numpy.attr("dtype")(dtype);
    if (!view.attr("dtype").equal(want)) {
      if (copy.has_value() && !*copy)
        raise<ValueError>("[__array__] a copy is needed to give ", nb::cast<std::string>(nb::str(want)),
                          "; use copy=None or copy=True");
      return view.attr("astype")(want);
    }
  }
  return copy.value_or(false) ? view.attr("copy")() : view;
}

}  // namespace nhwc::py
