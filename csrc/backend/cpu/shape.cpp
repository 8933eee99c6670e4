// csrc/backend/cpu/shape.cpp -- views (Reshape, Transpose, Broadcast, Slice, Identity, CustomOutput), SliceUpdate,
// Concatenate
#include <cstring>

#include "backend/cpu/combine.h"
#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "nhwc/error.h"

namespace nhwc::cpu {
namespace {

void copy_of(Node& n, const Node& x) {
  allocate_output(n);
  copy_row_major(n.data(), x);
}

}  // namespace

void run(const Reshape& p, Node& n, bool) {
  if (!make_view(p, n)) copy_of(n, *n.inputs[0].node());
}
void run(const Transpose& p, Node& n, bool) { make_view(p, n); }
void run(const Slice& p, Node& n, bool) { make_view(p, n); }
void run(const CustomOutput& p, Node& n, bool) { make_view(p, n); }
void run(const HostCall& p, Node& n, bool) {
  const Array y = (*p.call)(n.inputs[0]);
  NHWC_CHECK(y && y.is_ready() && y.shape() == n.shape && y.dtype() == n.dtype, "the result of a call of the host");
  share_storage(n, *y.node(), y.node()->strides, y.node()->offset);
}
void run(const Identity& p, Node& n, bool) {
  if (!make_view(p, n)) copy_of(n, *n.inputs[0].node());
}

/// One value, repeated.
void fill(Node& n, const Node& x) {
  allocate_output(n);
  const auto item = static_cast<int64_t>(size_of(x.dtype));
  std::memcpy(n.data(), x.data(), size_of(x.dtype));
  repeat(n.data(), item, size_of(n.shape) * item);
}

void run(const Broadcast& p, Node& n, bool) {
  constexpr int64_t kSmall = 1024;  // values that are written sooner than whoever wants them adjacent could copy them
  const Node& x = *n.inputs[0].node();
  if (const int64_t size = size_of(n.shape); size > 1 && size <= kSmall && size_of(x.shape) == 1) return fill(n, x);
  make_view(p, n);
}

void run(const SliceUpdate& p, Node& n, bool may_reuse) {
  const Node& x = *n.inputs[0].node();
  const Node& update = *n.inputs[1].node();
  UninterruptedScope to_the_end;  // the storage may be x's own
  if (may_reuse && can_take(n, 0))
    share_storage(n, x, x.strides, x.offset);
  else
    copy_of(n, x);
  if (size_of(update.shape) == 0) return;
  int64_t offset = 0;
  const Strides strides = slice_strides(n.strides, size_of(n.dtype), p.start, p.step, offset);
  char* to = n.data() + offset;
  if (p.mode == UpdateMode::set) {
    copy_strided(to, strides, update.data(), update.strides, update.shape, size_of(n.dtype));
    return;
  }
  const Loop l = collapse(update.shape, {&strides, &update.strides});
  const int last = l.ndim() - 1;
  const int64_t inner = l.inner(), ds = l.strides[0].back(), ss = l.strides[1].back();
  const Combine combine = combine_of(n.dtype, p.mode);
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  parallel_for(size_of(update.shape) / inner, grain_of(inner * 8), [&](int64_t b, int64_t e) {
    Walk w(l, last, b);
    for (int64_t r = b; r < e; ++r, w.next())
      combine({to + w.offset[0] * item, ds, nullptr, 0, update.data() + w.offset[1] * item, ss, inner});
  });
}

void run(const Concatenate& p, Node& n, bool) {
  allocate_output(n);
  int64_t at = 0;
  const auto item = static_cast<int64_t>(size_of(n.dtype));
  for (const Array& a : n.inputs) {
    const Node& x = *a.node();
    copy_strided(n.data() + at * n.strides[static_cast<size_t>(p.axis)] * item, n.strides, x.data(), x.strides, x.shape,
                 static_cast<size_t>(item));
    at += x.shape[static_cast<size_t>(p.axis)];
  }
}

}  // namespace nhwc::cpu
