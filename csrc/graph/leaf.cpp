// csrc/graph/leaf.cpp -- arrays from values: scalars, copies and borrowed memory
#include <cstring>

#include "base/half.h"
#include "base/visit_dtype.h"
#include "graph/node.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

Array ready_leaf(const Shape& shape, Dtype dtype) {
  Array a = make_node(Data{}, shape, dtype, {}, current_stream());
  allocate_output(*a.node());
  return a;
}

template <class V>
Array scalar_of(V v, Dtype t) {
  Array a = ready_leaf({}, t);
  visit_dtype(t, [&]<class T>(T*) { *static_cast<T*>(static_cast<void*>(a.node()->data())) = convert<T>(v); });
  a.node()->ready.store(true, std::memory_order_release);
  return a;
}

}  // namespace

Array Array::scalar(double v, Dtype t) { return scalar_of(v, t); }
Array Array::scalar_int(int64_t v, Dtype t) { return scalar_of(v, t); }

Array Array::copy_of(const void* data, const Shape& shape, Dtype dtype) {
  Array a = ready_leaf(shape, dtype);
  if (a.nbytes()) std::memcpy(a.node()->data(), data, a.nbytes());
  a.node()->ready.store(true, std::memory_order_release);
  return a;
}

Array Array::borrow(void* data, const Shape& shape, const Strides& strides, Dtype dtype, void (*release)(void*),
                    void* ctx) {
  Array a = make_node(Data{}, shape, dtype, {}, current_stream());
  Node& n = *a.node();
  // The lent block may reach below `data` where strides are negative; only its end matters to nobody, so bytes is the
  // size.
  n.buffer = nhwc::borrow(data, a.nbytes(), release, ctx);
  n.strides = strides;
  n.row_major = is_row_major(shape, strides);
  n.ready.store(true, std::memory_order_release);
  return a;
}

double Array::item() const {
  if (size() != 1)
    raise<ValueError>("[item] the array has shape ", to_string(shape()), "; expected exactly one element");
  const void* p = data();
  double v = 0;
  visit_dtype(dtype(), [&]<class T>(T*) { v = convert<double>(*static_cast<const T*>(p)); });
  return v;
}

int64_t Array::item_int() const {
  if (size() != 1)
    raise<ValueError>("[item] the array has shape ", to_string(shape()), "; expected exactly one element");
  const void* p = data();
  int64_t v = 0;
  visit_dtype(dtype(), [&]<class T>(T*) { v = convert<int64_t>(*static_cast<const T*>(p)); });
  return v;
}

}  // namespace nhwc
