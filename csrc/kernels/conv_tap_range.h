// csrc/kernels/conv_tap_range.h -- which taps of a kernel an output has, without an input dilation
#pragma once

#include <algorithm>

#include "plan/conv_problem.h"

namespace nhwc {

/// The kernel taps along an axis that meet an input.
struct TapRange {
  TapRange(const ConvProblem& q, int axis, int64_t output) {
    const int64_t at = output * q.stride[axis] - q.pad[axis], step = q.dilation[axis], in = q.in[axis];
    first = at >= 0 ? 0 : (-at + step - 1) / step;  // no division where all taps meet one
    const int64_t end = at + (q.kernel[axis] - 1) * step < in ? q.kernel[axis]
                        : at >= in                            ? 0
                                                              : (in - at + step - 1) / step;
    count = std::max<int64_t>(0, end - first);
    input = at + first * step;
  }
  int64_t first, count, input;  // the input that the first one meets
};

}  // namespace nhwc
