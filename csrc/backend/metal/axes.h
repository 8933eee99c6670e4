// csrc/backend/metal/axes.h -- from loops over strides to what kernels are told of them
#pragma once

#include "backend/metal/launch.h"
#include "backend/views.h"
#include "params/strided.h"

namespace nhwc::metal {

/// The type that kernels compute in for elements of `t`: float32, or 32 or 64 bits of an integer.
Dtype accumulator_of(Dtype t);

/// Writes the axes of operand 0 of a loop; their number. ValueError past kMaxAxes.
int32_t fill_axes(StridedAxis* axes, const Loop& loop);
/// The same of operands 0 and 1.
int32_t fill_axes(StridedPair* axes, const Loop& loop);

/// The unsigned type of the same size: for kernels that only move elements.
Dtype item_type(Dtype t);

/// Whether positions need more than 32 bits.
inline bool is_wide(int64_t positions) { return positions > INT64_C(0xffffffff); }

/// An operand as a kernel reads it: what is bound, and where in it the first element lies.
struct Source {
  const void* low;
  size_t bytes;
  int64_t first;
  Dtype dtype;

  explicit Source(const Node& x);
  /// Adjacent elements of scratch memory.
  Source(const void* data, int64_t count, Dtype t);
};

inline uint32_t groups_of(int64_t n, int64_t each) { return static_cast<uint32_t>((n + each - 1) / each); }

}  // namespace nhwc::metal
