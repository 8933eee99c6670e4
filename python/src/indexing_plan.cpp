// python/src/indexing_plan.cpp -- from a Python index to an IndexPlan, by NumPy's rules
#include "graph/node.h"
#include "indexing.h"
#include "interop.h"

namespace nhwc::py {
namespace {

IndexEntry array_entry(Array values, nb::handle o) {
  bool sequence = PyList_Check(o.ptr()) || PyTuple_Check(o.ptr());
  if (sequence && values.size() == 0 && is_floating(values.dtype())) values = astype(values, Dtype::int32);
  if (is_floating(values.dtype()))
    raise<TypeError>("[index] an array used as an index needs integers or bools, got ", name(values.dtype()));
  bool number = values.ndim() == 0 && values.is_ready() && is_integer(values.dtype());
  if (number && !as_array(o)) return {IndexEntry::integer, values.item_int(), {}};  // a NumPy integer
  return {IndexEntry::array, 0, {}, std::move(values)};
}

IndexEntry read_entry(nb::handle o) {
  if (PyLong_CheckExact(o.ptr())) {
    int64_t v = PyLong_AsLongLong(o.ptr());
    if (v == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      raise<IndexError>("[index] ", nb::cast<std::string>(nb::str(o)), " is out of bounds");
    }
    return {IndexEntry::integer, v, {}};
  }
  if (PySlice_Check(o.ptr())) return {IndexEntry::slice, 0, o};
  if (o.is_none()) return {IndexEntry::new_axis, 0, {}};
  if (o.ptr() == Py_Ellipsis) return {IndexEntry::ellipsis, 0, {}};
  bool list = PyList_Check(o.ptr()) || PyTuple_Check(o.ptr());
  if (as_array(o) || PyBool_Check(o.ptr()) || list || exports_memory(o)) return array_entry(to_array(o), o);
  if (PyIndex_Check(o.ptr())) return {IndexEntry::integer, to_int(o, "index", "an index"), {}};
  raise<TypeError>("[index] an array is indexed by ints, slices, None, ..., integer arrays and bool arrays, got ",
                   python_type(o));
}

/// Checks the number of axes and gives what the ellipsis, added at the end where there is none, stands for.
int64_t resolve_ellipsis(IndexEntries& entries, const Array& a) {
  int consumed = 0, ellipses = 0;
  for (const IndexEntry& e : entries) {
    consumed += e.consumes();
    ellipses += e.kind == IndexEntry::ellipsis;
  }
  if (ellipses > 1) raise<IndexError>("[index] an index can have only one ellipsis (...), got ", ellipses);
  if (consumed > a.ndim())
    raise<IndexError>("[index] too many indices: an array of shape ", to_string(a.shape()), " has ", a.ndim(),
                      " axes, got ", consumed, " indices");
  if (ellipses == 0) entries.push_back({IndexEntry::ellipsis, 0, {}});
  return a.ndim() - consumed;
}

/// The places of the true elements, one array per axis.
Arrays nonzero(const Array& mask) {
  evaluate_nogil(mask);
  Array m = mask.node()->row_major ? mask : copy_strided(mask, Dtype::bool_);
  const bool* p = m.data<bool>();
  int64_t n = m.size(), found = 0;
  for (int64_t i = 0; i < n; ++i) found += p[i];
  Arrays out;
  int64_t inner = 1;  // elements per step along the axis
  for (int axis = m.ndim() - 1; axis >= 0; --axis) {
    Array places = new_leaf({found}, Dtype::int64);
    auto* dst = reinterpret_cast<int64_t*>(places.node()->data());
    for (int64_t i = 0; i < n; ++i)
      if (p[i]) *dst++ = i / inner % m.shape(axis);
    inner *= m.shape(axis);
    out.insert(out.begin(), places);
  }
  return out;
}

class Planner {
 public:
  explicit Planner(const Array& a) : a_(a) {
    p_.start = Dims(a.ndim(), 0);
    p_.step = Dims(a.ndim(), 1);
    p_.count = a.shape();
  }

  IndexPlan plan(IndexEntries entries) {
    int64_t rest = resolve_ellipsis(entries, a_);
    for (const IndexEntry& e : entries) any_array_ |= e.kind == IndexEntry::array;
    for (const IndexEntry& e : entries) add(e, rest);
    finish();
    return std::move(p_);
  }

 private:
  void add(const IndexEntry& e, int64_t rest) {
    bool advanced = e.kind == IndexEntry::array || e.kind == IndexEntry::integer;
    if (!advanced) {
      gap_ |= first_ >= 0;
    } else if (first_ < 0) {
      first_ = kept_;
    } else if (gap_) {
      scattered_ = true;
    }
    switch (e.kind) {
      case IndexEntry::integer:
        add_integer(e.value);
        break;
      case IndexEntry::slice:
        add_slice(e.object);
        break;
      case IndexEntry::new_axis:
        keep(1);
        break;
      case IndexEntry::array:
        e.mask() ? add_mask(e.values) : add_array(e.values, size());
        break;
      case IndexEntry::ellipsis:
        for (int64_t i = 0; i < rest; ++i) keep(p_.count[axis_++]);
        break;
    }
  }

  int64_t size() const { return a_.shape(axis_); }
  void keep(int64_t size) {
    p_.view.push_back(size);
    ++kept_;
  }

  void add_integer(int64_t v) {
    if (v < -size() || v >= size())
      raise<IndexError>("[index] index ", v, " is out of bounds for axis ", axis_, " of size ", size());
    p_.start[axis_] = v < 0 ? v + size() : v;
    p_.count[axis_] = 1;
    p_.slices |= size() != 1;
    ++axis_;
  }

  void add_slice(nb::handle o) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(o.ptr(), &start, &stop, &step) < 0) nb::raise_python_error();
    Py_ssize_t n = PySlice_AdjustIndices(size(), &start, &stop, step);
    p_.start[axis_] = n ? start : 0;
    p_.step[axis_] = step;
    p_.count[axis_] = n;
    p_.slices |= n != size() || (step != 1 && n > 1);
    if (n <= 1) p_.step[axis_] = 1;
    ++axis_;
    keep(n);
  }

  void add_array(const Array& indices, int64_t size) {
    p_.axes.push_back(static_cast<int>(p_.view.size()));
    p_.indices.push_back(indices);
    p_.view.push_back(size);
    ++axis_;
  }

  void add_mask(const Array& mask) {
    if (mask.ndim() == 0) {  // takes all or nothing of a new axis
      evaluate_nogil(mask);
      Array zero = new_leaf({mask.item_int() ? 1 : 0}, Dtype::int64);
      if (zero.size()) *reinterpret_cast<int64_t*>(zero.node()->data()) = 0;
      add_array(zero, 1);
      --axis_;
      return;
    }
    for (int i = 0; i < mask.ndim(); ++i)
      if (mask.shape(i) != a_.shape(axis_ + i))
        raise<IndexError>("[index] a mask of shape ", to_string(mask.shape()), " does not fit an array of shape ",
                          to_string(a_.shape()), ": axis ", axis_ + i, " has size ", a_.shape(axis_ + i));
    for (const Array& places : nonzero(mask)) add_array(places, size());
  }

  void finish() {
    if (any_array_) {
      for (const Array& i : p_.indices) p_.picked = broadcast_shapes(p_.picked, i.shape(), "index");
      p_.place = scattered_ ? 0 : first_;
    }
    size_t next = 0;
    for (size_t v = 0; v < p_.view.size(); ++v) {
      if (next < p_.axes.size() && p_.axes[next] == static_cast<int>(v))
        ++next;
      else
        p_.kept.push_back(p_.view[v]);
    }
    p_.result = Shape(p_.kept.begin(), p_.kept.begin() + p_.place);
    p_.result.append(p_.picked.begin(), p_.picked.end());
    p_.result.append(p_.kept.begin() + p_.place, p_.kept.end());
  }

  const Array& a_;
  IndexPlan p_;
  int axis_ = 0;            // of the array
  int kept_ = 0;            // axes of the result so far, the picked ones not counted
  int first_ = -1;          // kept_ at the first integer or array
  bool gap_ = false;        // something else came after it
  bool scattered_ = false;  // and then again an integer or array: the picked axes go first
  bool any_array_ = false;
};

}  // namespace

int IndexEntry::consumes() const {
  switch (kind) {
    case integer:
    case slice:
      return 1;
    case array:
      return mask() ? values.ndim() : 1;
    default:
      return 0;
  }
}

IndexEntries read_index(nb::handle index) {
  if (!PyTuple_Check(index.ptr())) return {read_entry(index)};
  IndexEntries entries;
  for (Py_ssize_t i = 0; i < PyTuple_Size(index.ptr()); ++i)
    entries.push_back(read_entry(PyTuple_GetItem(index.ptr(), i)));
  return entries;
}

IndexPlan plan_index(const Array& a, IndexEntries entries) { return Planner(a).plan(std::move(entries)); }

}  // namespace nhwc::py
