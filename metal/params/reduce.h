// metal/params/reduce.h -- what the kernels of reduce.metal are told
#pragma once

#include "params/strided.h"

// Threads of a group: enough simdgroups to hide loads, few enough that the last of a small array is not mostly idle.
enum { kReduceThreads = 256, kReduceColumns = 32, kReduceRowLanes = kReduceThreads / kReduceColumns };

struct ReduceParams {
  int64_t first;             // element at which x's first lies in what is bound
  int64_t outputs, reduced;  // how many positions of each group of axes there are
  int64_t chunk;  // reduced positions that one group of threads takes; chunk c writes y[c * outputs + output]
  int32_t kept_axes, reduced_axes;
  StridedAxis axes[kMaxAxes];  // kept ones, then reduced ones
};

struct ArgReduceParams {
  int64_t first;
  int64_t outputs, reduced, chunk;
  int64_t step;  // of the axis in x
  int32_t kept_axes, pad;
  StridedAxis axes[kMaxAxes];  // kept ones
};
