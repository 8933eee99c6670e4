// csrc/kernels/isa_baseline.cpp -- every CPU kernel built for what every processor of the architecture runs; reached
// through table.h
#include "simd/baseline.h"

#include "kernels/all.inl"

namespace nhwc {
extern const KernelTable baseline_kernels;
constinit const KernelTable baseline_kernels = make_table();
}  // namespace nhwc
