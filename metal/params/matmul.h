// metal/params/matmul.h -- what the host tells the matrix products; read by C++ and by Metal
#pragma once

#ifndef __METAL_VERSION__
#include <cstdint>
#endif

namespace nhwc {

/// Axes of a batch that a launch goes through; the host goes through those before them.
enum MatmulLimits : int32_t { kMatmulAxes = 4 };

/// Steps between elements of an operand: along its rows' index, its columns', and the axes of the batch.
struct MatmulOperand {
  int64_t first, row, column, batch[4];
};

struct MatmulParams {
  int64_t m, n, k;
  MatmulOperand a, b;
  int32_t batch[4];        // sizes of the axes, last one fastest
  int32_t splits;          // parts of the sum that different threadgroups compute
  int32_t split_steps;     // blocks of the sum in a part
  int64_t y_first;         // elements before this launch's
  int64_t partial_stride;  // elements between the partial sums of two parts
};

}  // namespace nhwc
