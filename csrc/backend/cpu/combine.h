// csrc/backend/cpu/combine.h -- how an update meets the element that is there: for SliceUpdate, Scatter and ScatterAxis
#pragma once

#include "graph/primitives.h"

namespace nhwc::cpu {

/// Elements of an array that are updated, and the updates; steps count elements.
struct Updates {
  char* y;
  int64_t y_step;
  const int64_t* where;  // element i is number where[i * where_step] of y's; nullptr: number i
  int64_t where_step;
  const char* u;
  int64_t u_step, n;
};
/// One after another, so an element may be met more than once.
using Combine = void (*)(const Updates&);
Combine combine_of(Dtype dtype, UpdateMode mode);

}  // namespace nhwc::cpu
