// metal/params/copy.h -- what the kernels of copy.metal are told of a transposition
#pragma once

#include "params/strided.h"

// A tile is loaded and stored by rows of kCopyTile elements: a cache line of 4-byte elements.
enum { kCopyTile = 32, kCopyThreads = 256 };

/// A copy whose result is row-major, of an array in which another axis than the last is adjacent.
struct TransposeParams {
  int64_t first;          // of x
  int64_t rows, columns;  // positions of that axis, and of the last one
  int64_t column_step;    // of the last axis in x
  int64_t row_step;       // of that axis in the result
  int32_t axes_count, pad;
  StridedPair axes[kMaxAxes];  // the others, in x and in the result
};
