// python/src/bind_array.cpp -- the class `array`: construction, properties, values, copies and pickles
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>

#include <cstring>

#include "array_class.h"
#include "base/visit_dtype.h"
#include "bind.h"
#include "graph/node.h"
#include "interop.h"

namespace nhwc::py {
namespace {

template <class T>
nb::object python_value(T v) {
  if constexpr (std::is_same_v<T, bool>)
    return nb::bool_(v);
  else if constexpr (std::is_integral_v<T>)
    return nb::int_(v);
  else
    return nb::float_(convert<double>(v));
}

template <class T>
nb::object nested_list(const T* p, const Node& n, size_t axis) {
  if (axis == n.shape.size()) return python_value(*p);
  nb::object list = nb::steal(PyList_New(n.shape[axis]));
  if (!list) nb::raise_python_error();
  for (int64_t i = 0; i < n.shape[axis]; ++i)
    PyList_SetItem(list.ptr(), i, nested_list(p + i * n.strides[axis], n, axis + 1).release().ptr());
  return list;
}

nb::object tolist(const Array& array) {
  const Array a = array;  // keeps the node while Python code runs
  evaluate_nogil(a);
  const Node& n = *a.node();
  return visit_dtype(n.dtype, [&]<class T>(T*) { return nested_list(reinterpret_cast<const T*>(n.data()), n, 0); });
}

nb::object item(const Array& a) {
  if (a.size() != 1)
    raise<ValueError>("[item] expected an array of one element, got shape ", to_string(a.shape()),
                      "; index it first, or use tolist");
  evaluate_nogil(a);
  return visit_dtype(a.dtype(), [&]<class T>(T*) { return python_value(*a.data<T>()); });
}

Array reinterpret(const Array& a, Dtype dtype) {
  if (a.node()->tracer())
    raise<ValueError>("[view] the bits of an array cannot be seen inside a transformation; use astype for its values");
  evaluate_nogil(a);
  int64_t from = size_of(a.dtype()), to = size_of(dtype);
  Array x = from == to || a.node()->row_major ? a : copy_strided(a, a.dtype());
  const Node& n = *x.node();
  Shape shape = n.shape;
  Strides strides = n.strides;
  if (from != to) {
    if (shape.empty())
      raise<ValueError>("[view] an array of rank 0 of ", name(a.dtype()), " cannot be seen as ", name(dtype),
                        ": the sizes differ");
    if (shape.back() * from % to)
      raise<ValueError>("[view] the last axis has ", shape.back() * from, " bytes, no multiple of the ", to,
                        " bytes of ", name(dtype));
    shape.back() = shape.back() * from / to;
    strides = contiguous_strides(shape);
  }
  Array out = make_node(Data{}, shape, dtype, {});
  share_storage(*out.node(), n, strides, n.offset);
  out.node()->ready.store(true, std::memory_order_release);
  return out;
}

// ---- pickles: the bytes in row-major order, the shape, the dtype
nb::tuple get_state(const Array& array) {
  evaluate_nogil(array);
  Array a = array.node()->row_major ? array : copy_strided(array, array.dtype());
  return nb::make_tuple(nb::bytes(a.data<char>(), a.nbytes()), to_tuple(a.shape()), dtype_object(a.dtype()));
}

void set_state(Array& a, const std::tuple<nb::bytes, nb::object, Dtype>& state) {
  const auto& [bytes, sizes, dtype] = state;
  Shape shape = to_dims(sizes, "array", "shape");
  for (int64_t n : shape)
    if (n < 0) raise<ValueError>("[array] a pickled array has the negative size ", n);
  if (bytes.size() % size_of(dtype) || static_cast<uint64_t>(size_of(shape)) != bytes.size() / size_of(dtype))
    raise<ValueError>("[array] a pickled array of shape ", to_string(shape), " has ", bytes.size(), " bytes");
  new (&a) Array(Array::copy_of(bytes.data(), shape, dtype));
}

void define_properties(ArrayClass& c) {
  c.def_prop_ro(
       "shape", [](const Array& a) { return to_tuple(a.shape()); }, nb::sig("def shape(self) -> tuple[int, ...]"),
       "The sizes of the axes, as a tuple.")
      .def_prop_ro("ndim", &Array::ndim, "The number of axes.")
      .def_prop_ro("size", &Array::size, "The number of elements.")
      .def_prop_ro("nbytes", &Array::nbytes, "The bytes of all elements.")
      .def_prop_ro(
          "itemsize", [](const Array& a) { return size_of(a.dtype()); }, "The bytes of one element.")
      .def_prop_ro("dtype", &Array::dtype, "The type of the elements.")
      .def_prop_ro(
          "T", [](const Array& a) { return transpose(a); }, "The array with its axes in reverse order.")
      .def_prop_ro(
          "mT",
          [](const Array& a) {
            if (a.ndim() < 2) raise<ValueError>("[mT] expected at least 2 axes, got shape ", to_string(a.shape()));
            return swapaxes(a, -2, -1);
          },
          "The array with its last two axes exchanged.");
}

void define_values(ArrayClass& c) {
  c.def("item", &item, nb::sig("def item(self) -> bool | int | float"),
        R"(Gives the only element as a Python number; evaluates the array.

Returns:
    A bool, int or float.

Raises:
    ValueError: If there is not exactly one element.
)")
      .def("tolist", &tolist, nb::sig("def tolist(self) -> bool | int | float | list"),
           R"(Gives the elements as a nested list of Python numbers; evaluates the array.

Returns:
    A list of lists, one level per axis; a number for an array of rank 0.
)")
      .def(
          "view", [](const Array& a, Dtype dtype, const StreamOrDevice&) { return reinterpret(a, dtype); },
          nb::arg("dtype"), nb::kw_only(), nb::arg("stream") = nb::none(),
          R"(Sees the bits of the elements as another dtype; evaluates the array.

Args:
    dtype: The dtype to see them as. Where its size differs, the last axis grows or shrinks.

Returns:
    An array in the same memory.

Raises:
    ValueError: If the bytes of the last axis are no multiple of the new size, or inside a transformation.
)");
}

void define_protocols(ArrayClass& c) {
  c.def(
       "__array__",
       [](nb::handle self, nb::object dtype, std::optional<bool> copy) { return export_numpy(self, dtype, copy); },
       nb::arg("dtype") = nb::none(), nb::arg("copy") = nb::none(),
       nb::sig("def __array__(self, dtype: object | None = None, copy: bool | None = None) -> numpy.ndarray"),
       "A NumPy array: read-only and in the same memory, unless ``dtype`` or ``copy`` need a copy.")
      .def(
          "__dlpack__",
          [](const Array& a, nb::handle, nb::handle max_version, nb::handle device, std::optional<bool> copy) {
            return export_dlpack(a, max_version, device, copy);
          },
          nb::kw_only(), nb::arg("stream") = nb::none(), nb::arg("max_version") = nb::none(),
          nb::arg("dl_device") = nb::none(), nb::arg("copy") = nb::none(),
          nb::sig("def __dlpack__(self, *, stream: object | None = None, max_version: tuple[int, int] | None = None, "
                  "dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> object"),
          "A DLPack capsule of the array's memory on the CPU.")
      .def(
          "__dlpack_device__", [](const Array&) { return nb::make_tuple(1, 0); },
          nb::sig("def __dlpack_device__(self) -> tuple[int, int]"), "``(1, 0)``: the CPU.")
      .def(
          "__array_namespace__", [](const Array&, nb::handle) { return nb::module_::import_("nhwc"); },
          nb::arg("api_version") = nb::none(), "The module ``nhwc``.")
      .def(
          "__copy__", [](const Array& a) { return detached(a); }, "A new array of the same values.")
      .def(
          "__deepcopy__", [](const Array& a, nb::handle) { return detached(a); }, nb::arg("memo"),
          "A new array of the same values.")
      .def("__getstate__", &get_state, nb::sig("def __getstate__(self) -> tuple"),
           "Pickles the values, the shape and the dtype.")
      .def("__setstate__", &set_state, nb::sig("def __setstate__(self, state: tuple, /) -> None"),
           "Restores what was pickled.")
      .def(
          "__format__",
          [](nb::handle self, const std::string& spec) -> nb::object {
            const Array& a = self_array(self);
            return nb::object(a.ndim() == 0 ? item(a) : nb::str(self)).attr("__format__")(spec);
          },
          nb::arg("format_spec"), "Formats an array of rank 0 like a Python number.");
  // NumPy leaves `numpy_array * array` and `numpy_scalar * array` to us.
  c.attr("__array_priority__") = 1000.0;
}

}  // namespace

void bind_array(nb::module_& m) {
  ArrayClass c(m, "array", nb::type_slots(array_slots()), nb::pooled(),
               R"(An array: a shape, a dtype, and values that are computed when they are asked for.

Args:
    val: A number, a (nested) list or tuple, an array, or anything with ``__dlpack__`` or the buffer protocol. It is copied.
    dtype: Element type. Default: bool, int32 (int64 where it does not fit) or float32 for Python numbers, float32 for
        NumPy's float64, else the one of ``val``.

Raises:
    TypeError: If no array can be made of ``val``, or for complex numbers.
    ValueError: If a nested list is ragged, or a number does not fit the dtype.

Example:
    >>> mx.array([1, 2, 3]) + 1
    array([2, 3, 4], dtype=int32)
)");
  array_type = reinterpret_cast<PyTypeObject*>(c.ptr());
  c.def(
      "__init__",
      [](Array* self, nb::object val, std::optional<Dtype> dtype) { new (self) Array(detached(to_array(val, dtype))); },
      nb::arg("val"), nb::arg("dtype") = nb::none(),
      nb::sig("def __init__(self, val: object, dtype: Dtype | None = None) -> None"));
  define_properties(c);
  define_values(c);
  define_protocols(c);
  define_methods(c);
  define_reductions(c);
  define_at(m, c);
}

}  // namespace nhwc::py
