// metal/params/elementwise.h -- how the operands of an elementwise kernel lie over a shape; shared with the host
#pragma once

#ifndef __METAL_VERSION__
#include <cstdint>
#endif

enum { kElementwiseAxes = 10, kElementwiseOperands = 4 };

/// Strides count elements. `first` is the place of the first element in what is bound: not 0 where strides are
/// negative.
struct ElementwiseParams {
  int64_t size;  // elements
  int32_t ndim;
  int32_t unused;
  int64_t shape[kElementwiseAxes];
  int64_t strides[kElementwiseOperands][kElementwiseAxes];
  int64_t first[kElementwiseOperands];
};

/// Elements that a thread handles: 16 bytes of the widest operand.
constexpr int elements_per_thread(int item) { return 16 / item; }
