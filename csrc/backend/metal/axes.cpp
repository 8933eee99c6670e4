// csrc/backend/metal/axes.cpp -- from loops over strides to what kernels are told of them
#include "backend/metal/axes.h"

#include "nhwc/error.h"

namespace nhwc::metal {

Dtype accumulator_of(Dtype t) {
  if (is_floating(t)) return Dtype::float32;
  if (t == Dtype::int64 || t == Dtype::uint64) return t;
  return is_signed_integer(t) ? Dtype::int32 : Dtype::uint32;
}

int32_t fill_axes(StridedAxis* axes, const Loop& loop) {
  const int n = loop.ndim();
  if (n > kMaxAxes)
    raise<ValueError>("[gpu] an array of ", n, " axes that do not merge; expected at most ", int{kMaxAxes});
  for (int a = 0; a < n; ++a) {
    const auto i = static_cast<size_t>(a);
    axes[a] = {loop.shape[i], loop.strides[0][i]};
  }
  return n;
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
