// csrc/backend/views.h -- results that share their input's storage, and loops over strides; the same on every device
#pragma once

#include <initializer_list>

#include "graph/node.h"

namespace nhwc {

/// Strides of up to kMaxOperands operands over one shape, with size-1 axes dropped and adjacent axes merged where every
/// operand allows it. Strides count elements. A scalar has one axis of size 1.
inline constexpr int kMaxOperands = 4;
struct Loop {
  Dims shape;
  Strides strides[kMaxOperands];
  int operands = 0;

  int ndim() const { return static_cast<int>(shape.size()); }
  int64_t inner() const { return shape.back(); }
};
/// `strides[i]` are those of operand i over `shape`.
Loop collapse(const Shape& shape, std::initializer_list<const Strides*> strides);

/// Strides of the axes but `axis`, and the shape without it.
Shape without_axis(const Dims& d, int axis);
/// Strides of the part of an array with `strides` that start and step pick; adds where it begins to `offset`, in bytes.
Strides slice_strides(const Strides& strides, size_t item, const Dims& start, const Dims& step, int64_t& offset);

/// n becomes the view of its input that the primitive describes. False where there is no such view: it has to be
/// copied.
bool make_view(const Reshape& p, Node& n);
bool make_view(const Transpose& p, Node& n);
bool make_view(const Broadcast& p, Node& n);
bool make_view(const Slice& p, Node& n);
bool make_view(const Identity& p, Node& n);
bool make_view(const CustomOutput& p, Node& n);

}  // namespace nhwc
