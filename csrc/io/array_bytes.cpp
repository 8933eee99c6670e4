// csrc/io/array_bytes.cpp -- arrays as they lie in files
#include <algorithm>

#include "graph/trace_scope.h"
#include "io/bytes.h"
#include "nhwc/ops.h"

namespace nhwc {

uint64_t array_bytes(const ByteReader& file, const Shape& shape, Dtype dtype) {
  int64_t stride = static_cast<int64_t>(size_of(dtype));
  bool overflow = false, empty = false;
  for (int64_t d : shape) {
    empty |= d == 0;
    if (d != 0) overflow |= __builtin_mul_overflow(stride, d, &stride);
  }
  if (overflow) file.fail("the shape ", to_string(shape), " is too large");
  return empty ? 0 : static_cast<uint64_t>(stride);
}

Array array_from(std::string_view bytes, const Shape& shape, Dtype dtype) {
  if (dtype != Dtype::bool_) return Array::copy_of(bytes.data(), shape, dtype);
  std::string truth(bytes);
  std::transform(truth.begin(), truth.end(), truth.begin(), [](char c) { return static_cast<char>(c != 0); });
  return Array::copy_of(truth.data(), shape, dtype);
}

Array row_major(const Array& a) {
  StreamScope on_cpu(default_stream({DeviceType::cpu, 0}));
  return contiguous(a);
}

}  // namespace nhwc
