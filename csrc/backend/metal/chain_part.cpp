// csrc/backend/metal/chain_part.cpp -- a chain over a part of its shape
#include "backend/metal/chain_part.h"

namespace nhwc::metal {
namespace {

/// The part [begin, end) of an array along an axis of the shape it is broadcast to.
Array part_of(const Array& array, size_t axis, size_t ndim, int64_t begin, int64_t end) {
  const Node& x = *array.node();
  const size_t added = ndim - x.shape.size();
  if (axis < added || x.shape[axis - added] == 1) return array;
  Shape shape = x.shape;
  shape[axis - added] = end - begin;
  Array part = make_node(Identity{IdentityKind::alias}, std::move(shape), x.dtype, {}, x.stream);
  const int64_t bytes = begin * x.strides[axis - added] * static_cast<int64_t>(size_of(x.dtype));
  share_storage(*part.node(), x, x.strides, x.offset + bytes);
  return part;
}

}  // namespace

ChainPart::ChainPart(const Chain& whole, const Shape& shape, size_t axis, int64_t begin, int64_t end)
    : ops_(whole.ops), shape_(shape) {
  shape_[axis] = end - begin;
  arrays_.reserve(whole.leaves.size());
  for (const ChainLeaf& leaf : whole.leaves) {
    arrays_.push_back(part_of(*leaf.array, axis, shape.size(), begin, end));
    leaves_.push_back({&arrays_.back(), leaf.reads});
  }
}

}  // namespace nhwc::metal
