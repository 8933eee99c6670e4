// metal/params/index.h -- what the kernels of index.metal are told
#pragma once

#include "params/strided.h"

enum { kIndexThreads = 256 };

struct PlacesParams {
  int64_t first;         // of the index array
  int64_t begin, count;  // indices of this block: those from `begin` on
  int64_t size, stride;  // of the axis they point into
  int32_t add, axes_count;
  StridedPair axes[kMaxAxes];  // [0] of the index array; [1] of the array they point into, 0 along its axis
};

struct GatherParams {
  int64_t first;         // of x
  int64_t total, slice;  // elements written, and those of one place
  int32_t axes_count, pad;
  StridedAxis axes[kMaxAxes];  // of a slice in x
};

struct ScatterParams {
  int64_t begin, count, slice;  // updates of this block, from `begin` on, and elements of each
  int64_t first;                // of the updates
  int32_t axes_count, update_axes_count;
  StridedAxis axes[kMaxAxes];         // of a slice in y
  StridedAxis update_axes[kMaxAxes];  // of all updates
};

struct UpdateParams {
  int64_t total;
  int64_t first[2];  // of y and the updates
  int32_t axes_count, pad;
  StridedPair axes[kMaxAxes];  // of y and the updates
};
