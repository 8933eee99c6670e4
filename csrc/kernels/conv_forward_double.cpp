// csrc/kernels/conv_forward_double.cpp -- the loop nest of float64; built for size
#include "kernels/conv_forward_nest.h"

namespace nhwc {

void run_forward_double(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  run_typed<double>(plan, a, packed, begin, end);
}

}  // namespace nhwc
