// csrc/kernels/isa_baseline.cpp -- every CPU kernel built for what every processor of the architecture runs; reached
// through table.h
#include "simd/baseline.h"

#include "kernels/all.inl"

namespace nhwc {
[[gnu::cold]] void fill_baseline(KernelTable& t) { fill_table(t); }
}  // namespace nhwc
