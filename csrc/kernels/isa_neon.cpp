// csrc/kernels/isa_neon.cpp -- every CPU kernel built for Advanced SIMD of AArch64; reached through table.h
#if defined(__aarch64__)
#include "simd/neon.h"

#include "kernels/all.inl"

namespace nhwc {
[[gnu::cold]] void fill_neon(KernelTable& t) { fill_table(t); }
}  // namespace nhwc
#endif
