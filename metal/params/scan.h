// metal/params/scan.h -- what the kernels of scan.metal are told
#pragma once

#include "params/strided.h"

enum { kScanThreads = 256, kScanEach = 4, kScanTile = kScanThreads * kScanEach };

struct ScanParams {
  int64_t rows, length, chunk;  // a row is an axis's elements at one position of the others; chunks are scanned apart
  int64_t first[2];             // of x and y, in the direction of the scan
  int64_t step[2];
  int32_t exclusive, axes_count;
  StridedPair axes[kMaxAxes];  // rows in x and y
};
