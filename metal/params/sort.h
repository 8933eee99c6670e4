// metal/params/sort.h -- what the kernels of sort.metal are told
#pragma once

#include "params/strided.h"

// A block is sorted in 12 KB of threadgroup memory: two groups fit a core's 32 KB. Threads compare two pairs a step.
enum { kSortThreads = 256, kSortBlock = 4 * kSortThreads };
// Elements that a thread merges after its search for where they begin.
enum { kMergeEach = 8 };

// Buckets of a digit of a key, when the element of a rank is searched.
enum { kSortBuckets = 256 };

/// Where a sorted row is cut: before the element of this key and place. While it is searched, digits from the highest
/// on are known, and `rank` counts the elements before it among those that have these.
struct SortCut {
  uint64_t key;
  uint32_t place, rank;
};

struct SortParams {
  int64_t rows, length;  // a row is an axis's elements at one position of the others
  int64_t row, at;       // the first row of this launch, and where in y's rows its first element goes
  int64_t first;         // of x
  int64_t step[2];       // along the axis, in x and y
  int64_t run;           // merge: elements of a sorted run
  int32_t width;         // block: elements of a row that are sorted together, a power of two
  int32_t axes_count;
  int32_t shift, of_place;     // the digit that is searched: from bit `shift` of the key, or the place, on
  int32_t last, pad;           // part: there is no cut behind it
  StridedPair axes[kMaxAxes];  // rows in x and y
};
