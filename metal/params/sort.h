// metal/params/sort.h -- what the kernels of sort.metal are told
#pragma once

#include "params/strided.h"

// A block is sorted in 12 KB of threadgroup memory: two groups fit a core's 32 KB. Threads compare two pairs a step.
enum { kSortThreads = 256, kSortBlock = 4 * kSortThreads };
// Elements that a thread merges after its search for where they begin.
enum { kMergeEach = 8 };

struct SortParams {
  int64_t rows, length;  // a row is an axis's elements at one position of the others
  int64_t first;         // of x
  int64_t step[2];       // along the axis, in x and y
  int64_t run;           // merge: elements of a sorted run
  int32_t width;         // block: elements of a row that are sorted together, a power of two
  int32_t axes_count;
  StridedPair axes[kMaxAxes];  // rows in x and y
};
