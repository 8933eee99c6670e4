// python/src/interop_copy.cpp -- storage of our own, and copies out of strided memory
#include <cstring>

#include "convert.h"
#include "graph/node.h"
#include "interop.h"

namespace nhwc::py {
namespace {

template <class From, class To>
To* copy_axis(const From* src, To* dst, const Shape& shape, const Strides& strides, size_t axis) {
  if (axis == shape.size()) {
    *dst = static_cast<To>(*src);
    return dst + 1;
  }
  int64_t n = shape[axis], s = strides[axis];
  if (axis + 1 < shape.size()) {
    for (int64_t i = 0; i < n; ++i) dst = copy_axis(src + i * s, dst, shape, strides, axis + 1);
    return dst;
  }
  for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<To>(src[i * s]);
  return dst + n;
}

}  // namespace

Array new_leaf(const Shape& shape, Dtype dtype) {
  Array a = make_node(Data{}, shape, dtype, {});
  allocate_output(*a.node());
  a.node()->ready.store(true, std::memory_order_release);
  return a;
}

Array copy_strided(const Array& a, Dtype to) {
  evaluate_nogil(a);
  const Node& from = *a.node();
  Array out = new_leaf(from.shape, to);
  if (a.size() == 0) return out;
  const void* src = from.data();
  void* dst = out.node()->data();
  nb::gil_scoped_release nogil;
  auto copy = [&]<class From, class To>(From*, To*) {
    copy_axis(static_cast<const From*>(src), static_cast<To*>(dst), from.shape, from.strides, 0);
  };
  if (to != from.dtype) {  // the one conversion done on import, so that no float64 copy is made on the way
    NHWC_CHECK(from.dtype == Dtype::float64 && to == Dtype::float32, "copy_strided converts float64 to float32 only");
    copy(static_cast<double*>(nullptr), static_cast<float*>(nullptr));
  } else if (from.row_major) {
    std::memcpy(dst, src, a.nbytes());
  } else {
    switch (size_of(to)) {
      case 1:
        copy(static_cast<uint8_t*>(nullptr), static_cast<uint8_t*>(nullptr));
        break;
      case 2:
        copy(static_cast<uint16_t*>(nullptr), static_cast<uint16_t*>(nullptr));
        break;
      case 4:
        copy(static_cast<uint32_t*>(nullptr), static_cast<uint32_t*>(nullptr));
        break;
      default:
        copy(static_cast<uint64_t*>(nullptr), static_cast<uint64_t*>(nullptr));
        break;
    }
  }
  return out;
}

Array detached(const Array& a) {
  if (!a.is_ready()) return a;
  const Buffer& b = *a.node()->buffer.get();
  if (b.owned && b.immutable.load(std::memory_order_relaxed)) return a;
  return copy_strided(a, a.dtype());
}

}  // namespace nhwc::py
