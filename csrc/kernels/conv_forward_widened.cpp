// csrc/kernels/conv_forward_widened.cpp -- the loop nest of float64, and of half types that are widened; built for size
#include "kernels/conv_forward_nest.h"

namespace nhwc {

void run_forward_widened(const ConvPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  if (plan.problem.dtype == Dtype::float64) return run_typed<double>(plan, a, packed, begin, end);
  run_typed<AnyHalf>(plan, a, packed, begin, end);
}

}  // namespace nhwc
