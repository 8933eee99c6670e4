// csrc/kernels/conv_weight_grad.h -- the loop nests of weight gradients, one function per kind of algorithm
#pragma once

#include "kernels/conv.h"

namespace nhwc {

/// Of a winograd_weight_grad plan: float32 only.
void run_winograd_weight_grad(const CpuPlan& plan, const ConvWeightGradOperands& a);

}  // namespace nhwc
