// csrc/kernels/isa_avx512.cpp -- every CPU kernel built for AVX-512 F, BW, DQ, VL; reached through table.h
#if defined(__x86_64__)
#include "simd/avx512.h"

#include "kernels/all.inl"

namespace nhwc {
[[gnu::cold]] void fill_avx512(KernelTable& t) { fill_table(t); }
}  // namespace nhwc
#endif
