// metal/params/softmax.h -- what the kernel of softmax.metal is told
#pragma once

#include "params/strided.h"

enum { kSoftmaxThreads = 256 };

struct SoftmaxParams {
  int64_t rows, width;
  int64_t first, step;  // of x: its first element; along a row
  int32_t axes_count, pad;
  StridedAxis axes[kMaxAxes];  // rows in x
};
