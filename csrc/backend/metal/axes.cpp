// csrc/backend/metal/axes.cpp -- from loops over strides to what kernels are told of them
#include "backend/metal/axes.h"

#include "nhwc/error.h"

namespace nhwc::metal {

Dtype accumulator_of(Dtype t) {
  if (is_floating(t)) return Dtype::float32;
  if (t == Dtype::int64 || t == Dtype::uint64) return t;
  return is_signed_integer(t) ? Dtype::int32 : Dtype::uint32;
}

namespace {
int32_t axes_of(const Loop& loop) {
  const int n = loop.ndim();
  if (n > kMaxAxes)
    raise<ValueError>("[gpu] an array of ", n, " axes that do not merge; expected at most ", int{kMaxAxes});
  return n;
}
}  // namespace

int32_t fill_axes(StridedAxis* axes, const Loop& loop) {
  const int32_t n = axes_of(loop);
  for (size_t a = 0; a < loop.shape.size(); ++a) axes[a] = {loop.shape[a], loop.strides[0][a]};
  return n;
}
int32_t fill_axes(StridedPair* axes, const Loop& loop) {
  const int32_t n = axes_of(loop);
  for (size_t a = 0; a < loop.shape.size(); ++a) axes[a] = {loop.shape[a], {loop.strides[0][a], loop.strides[1][a]}};
  return n;
}

Dtype item_type(Dtype t) {
  switch (size_of(t)) {
    case 1:
      return Dtype::uint8;
    case 2:
      return Dtype::uint16;
    case 4:
      return Dtype::uint32;
    default:
      return Dtype::uint64;
  }
}

Source::Source(const Node& x) : dtype(x.dtype) {
  const Reach r = reach_of(x);
  low = r.low;
  bytes = r.bytes;
  first = r.first;
  if (bytes) return;  // an index must be bound even where the kernel reads nothing
  bytes = size_of(x.dtype);
  low = scratch(bytes);
}

Source::Source(const void* data, int64_t count, Dtype t)
    : low(data), bytes(static_cast<size_t>(count) * size_of(t)), first(0), dtype(t) {}

}  // namespace nhwc::metal
