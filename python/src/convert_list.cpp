// python/src/convert_list.cpp -- arrays from nested lists: one pass for shape and type, one for the values
#include "convert_list.h"

#include "base/visit_dtype.h"
#include "graph/node.h"
#include "interop.h"

namespace nhwc::py {
namespace {

constexpr size_t kMaxDepth = 64;  // a list that contains itself would never end

struct Scan {
  Shape shape;
  bool leaf_seen = false;  // then shape has its final length
  bool has_float = false, has_int = false, has_bool = false, has_arrays = false;
  Dtype int_type = Dtype::int32;
};

bool is_sequence(nb::handle o) { return PyList_Check(o.ptr()) || PyTuple_Check(o.ptr()); }
Py_ssize_t length(nb::handle o) { return PyList_Check(o.ptr()) ? PyList_Size(o.ptr()) : PyTuple_Size(o.ptr()); }
nb::handle item(nb::handle o, Py_ssize_t i) {
  return PyList_Check(o.ptr()) ? PyList_GetItem(o.ptr(), i) : PyTuple_GetItem(o.ptr(), i);
}

[[noreturn]] void raise_ragged(size_t axis) {
  raise<ValueError>("[array] the nested list is ragged: its parts differ in length or depth at axis ", axis,
                    "; every list at one depth needs the same number of elements");
}

void scan_leaf(nb::handle o, size_t depth, Scan& s) {
  if (depth != s.shape.size()) raise_ragged(depth);
  s.leaf_seen = true;
  if (PyBool_Check(o.ptr())) {
    s.has_bool = true;
  } else if (PyFloat_Check(o.ptr())) {
    s.has_float = true;
  } else {
    s.has_int = true;
    if (s.int_type == Dtype::int32)
      s.int_type = default_int_type(o);
    else if (s.int_type == Dtype::int64 && default_int_type(o) == Dtype::uint64)
      s.int_type = Dtype::uint64;
  }
}

// Stops at the first array it meets: then the parts are converted one by one and stacked.
void scan(nb::handle o, size_t depth, Scan& s) {
  if (!is_sequence(o)) {
    if (is_number(o)) return scan_leaf(o, depth, s);
    s.has_arrays = true;
    return;
  }
  if (depth > kMaxDepth) raise<ValueError>("[array] the list is nested more than ", kMaxDepth, " deep");
  Py_ssize_t n = length(o);
  if (depth == s.shape.size()) {
    if (s.leaf_seen) raise_ragged(depth);
    s.shape.push_back(n);
  } else if (s.shape[depth] != n) {
    raise_ragged(depth);
  }
  for (Py_ssize_t i = 0; i < n && !s.has_arrays; ++i) scan(item(o, i), depth + 1, s);
}

template <class T>
T leaf_value(nb::handle o, Dtype t) {
  if (PyFloat_Check(o.ptr())) return convert<T>(double_value(o));
  if (PyBool_Check(o.ptr())) return convert<T>(o.ptr() == Py_True);
  if constexpr (std::is_same_v<T, bool>) return PyObject_IsTrue(o.ptr()) == 1;
  if (is_floating(t)) return convert<T>(double_value(o));
  return convert<T>(int_value(o, t));
}

template <class T>
void fill(nb::handle o, Dtype t, T*& out, const T* end) {
  if (!is_sequence(o)) {
    if (out == end) raise<ValueError>("[array] the list changed while it was read");
    *out++ = leaf_value<T>(o, t);
    return;
  }
  for (Py_ssize_t i = 0; i < length(o); ++i) fill(item(o, i), t, out, end);
}

// Numbers among arrays are weak: they take the arrays' common type.
Array stack_parts(nb::handle list, std::optional<Dtype> dtype) {
  Py_ssize_t n = length(list);
  Arrays parts(n), strong;
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (is_number(item(list, i))) continue;
    parts[i] = to_array(item(list, i));
    strong.push_back(parts[i]);
  }
  Dtype common = dtype ? *dtype : result_type(strong);
  for (Py_ssize_t i = 0; i < n; ++i) {
    if (!parts[i]) parts[i] = dtype ? to_array(item(list, i), dtype) : to_operand(item(list, i), common);
    if (parts[i].dtype() != common) parts[i] = astype(parts[i], common);
  }
  for (const Array& p : parts)
    if (p.shape() != parts[0].shape()) raise_ragged(1);
  return stack(parts, 0);
}

}  // namespace

Array from_list(nb::handle list, std::optional<Dtype> dtype) {
  Scan s;
  scan(list, 0, s);
  if (s.has_arrays) return stack_parts(list, dtype);
  Dtype t = dtype         ? *dtype
            : s.has_float ? Dtype::float32
            : s.has_int   ? s.int_type
            : s.has_bool  ? Dtype::bool_
                          : Dtype::float32;
  Array a = new_leaf(s.shape, t);
  visit_dtype(t, [&]<class T>(T*) {
    T* out = reinterpret_cast<T*>(a.node()->data());
    const T* end = out + a.size();
    fill(list, t, out, end);
    if (out != end) raise<ValueError>("[array] the list changed while it was read");
  });
  return a;
}

}  // namespace nhwc::py
