// csrc/backend/cpu/shape.cpp -- views (Reshape, Transpose, Broadcast, Slice, Identity, CustomOutput), SliceUpdate,
// Concatenate
#include <cstring>

#include "backend/cpu/combine.h"
#include "backend/cpu/run.h"
#include "backend/cpu/strided.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"

namespace nhwc::cpu {
namespace {

void alias(Node& n, const Node& x) { share_storage(n, x, x.strides, x.offset); }

void copy_of(Node& n, const Node& x) {
  allocate_output(n);
  copy_row_major(n.data(), x);
}

/// Strides that give `x`'s elements in row-major order the shape `to`, where a view can.
bool reshaped_strides(const Node& x, const Shape& to, Strides& strides) {
  strides = Strides(to.size(), 0);
  const Loop l = collapse(x.shape, {&x.strides});
  int a = l.ndim() - 1;
  int64_t left = l.shape[static_cast<size_t>(a)], step = l.strides[0][static_cast<size_t>(a)];
  for (size_t i = to.size(); i-- > 0;) {
    if (left == 1 && a > 0 && to[i] != 1) {
      --a;
      left = l.shape[static_cast<size_t>(a)];
      step = l.strides[0][static_cast<size_t>(a)];
    }
    if (left % to[i] != 0) return false;  // an axis of the result would span two runs
    strides[i] = step;
    step *= to[i];
    left /= to[i];
  }
  return true;
}

/// Strides and first byte of the part of `x` that start and step pick.
Strides slice_strides(const Node& x, const Strides& strides, const Dims& start, const Dims& step, int64_t& offset) {
  Strides s = strides;
  int64_t first = 0;
  for (size_t a = 0; a < s.size(); ++a) {
    first += start[a] * strides[a];
    s[a] *= step[a];
  }
  offset += first * static_cast<int64_t>(size_of(x.dtype));
  return s;
}

}  // namespace

void run(const Reshape&, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  Strides strides;
  if (x.row_major || size_of(n.shape) == 0)
    share_storage(n, x, contiguous_strides(n.shape), x.offset);
  else if (reshaped_strides(x, n.shape, strides))
    share_storage(n, x, std::move(strides), x.offset);
  else
    copy_of(n, x);
}

void run(const Transpose& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  Strides strides(p.perm.size(), 0);
  for (size_t i = 0; i < p.perm.size(); ++i) strides[i] = x.strides[static_cast<size_t>(p.perm[i])];
  share_storage(n, x, std::move(strides), x.offset);
}

/// One value, repeated.
void fill(Node& n, const Node& x) {
  allocate_output(n);
  const auto item = static_cast<int64_t>(size_of(x.dtype));
  std::memcpy(n.data(), x.data(), size_of(x.dtype));
  repeat(n.data(), item, size_of(n.shape) * item);
}

void run(const Broadcast&, Node& n, bool) {
  constexpr int64_t kSmall = 1024;  // values that are written sooner than whoever wants them adjacent could copy them
  const Node& x = *n.inputs[0].node();
  if (const int64_t size = size_of(n.shape); size > 1 && size <= kSmall && size_of(x.shape) == 1) return fill(n, x);
  Strides strides(n.shape.size(), 0);
  const size_t lead = n.shape.size() - x.shape.size();
  for (size_t a = 0; a < x.shape.size(); ++a) strides[lead + a] = x.shape[a] == 1 ? 0 : x.strides[a];
  share_storage(n, x, std::move(strides), x.offset);
}

void run(const Slice& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  if (size_of(n.shape) == 0) {  // no element: the first may lie outside
    share_storage(n, x, contiguous_strides(n.shape), x.offset);
    return;
  }
  int64_t offset = x.offset;
  Strides strides = slice_strides(x, x.strides, p.start, p.step, offset);
  share_storage(n, x, std::move(strides), offset);
}

void run(const Identity& p, Node& n, bool) {
  const Node& x = *n.inputs[0].node();
  if (p.kind == IdentityKind::contiguous && !x.row_major)
    copy_of(n, x);
  else
    alias(n, x);
}

void run(const CustomOutput& p, Node& n, bool) { alias(n, *n.inputs[static_cast<size_t>(p.index)].node()); }

void run(const SliceUpdate& p, Node& n, bool may_reuse) {
  const Node& x = *n.inputs[0].node();
  const Node& update = *n.inputs[1].node();
  UninterruptedScope to_the_end;  // the storage may be x's own
  if (may_reuse && can_take(n, 0))
    alias(n, x);
  else
    copy_of(n, x);
  if (size_of(update.shape) == 0) return;
  int64_t offset = 0;
  const Strides strides = slice_strides(n, n.strides, p.start, p.step, offset);
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
