// csrc/backend/metal/update.cpp -- SliceUpdate and Concatenate on the GPU
#include "backend/metal/axes.h"
#include "backend/metal/combine.h"
#include "backend/metal/run.h"
#include "params/index.h"

namespace nhwc::metal {
namespace {

/// The elements of n from `offset` (bytes) on, over `strides`, combined with u.
void update(Node& n, const Strides& strides, int64_t offset, const Node& u, UpdateMode mode) {
  const int64_t total = size_of(u.shape);
  if (total == 0) return;
  const Source updates(u);
  const auto [dtype, accumulator] = combine_types(n.dtype, mode);
  UpdateParams params{};
  params.total = total;
  params.first[0] = offset / static_cast<int64_t>(size_of(n.dtype));
  params.first[1] = updates.first;
  params.axes_count = fill_axes(params.axes, collapse(u.shape, {&strides, &u.strides}));
  Launch("index", std::string("update_") + short_name(accumulator))
      .in(updates.low, updates.bytes)
      .out(n)
      .params(params)
      .constant(0, static_cast<int32_t>(dtype))
      .constant(1, static_cast<int32_t>(dtype))
      .constant(2, static_cast<int32_t>(mode))
      .constant(3, is_wide(total))
      .run(groups_of(total, kIndexThreads), 1, 1, kIndexThreads);
}

}  // namespace

CombineTypes combine_types(Dtype t, UpdateMode mode) {
  const Dtype moved = mode == UpdateMode::set ? item_type(t) : t;
  return {moved, accumulator_of(moved)};
}

void run(const SliceUpdate& p, Node& n) {
  allocate_output(n);
  copy_row_major(n.data(), *n.inputs[0].node());
  const Node& u = *n.inputs[1].node();
  if (size_of(u.shape) == 0) return;
  int64_t offset = 0;
  const Strides strides = slice_strides(n.strides, size_of(n.dtype), p.start, p.step, offset);
  update(n, strides, offset, u, p.mode);
}

void run(const Concatenate& p, Node& n) {
  allocate_output(n);
  const auto axis = static_cast<size_t>(p.axis);
  int64_t at = 0;
  for (const Array& a : n.inputs) {
    update(n, n.strides, at * n.strides[axis] * static_cast<int64_t>(size_of(n.dtype)), *a.node(), UpdateMode::set);
    at += a.shape()[axis];
  }
}

}  // namespace nhwc::metal
