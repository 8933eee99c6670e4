// csrc/kernels/isa_avx2.cpp -- every CPU kernel built for AVX2+FMA+F16C; reached through table.h
#if defined(__x86_64__)
#include "simd/avx2.h"

#include "kernels/all.inl"

namespace nhwc {
[[gnu::cold]] void fill_avx2(KernelTable& t) { fill_table(t); }
}  // namespace nhwc
#endif
