// csrc/kernels/isa_avx512.cpp -- every CPU kernel built for AVX-512 F, BW, DQ, VL; reached through table.h
#if defined(__x86_64__)
#include "simd/avx512.h"

#include "kernels/all.inl"

namespace nhwc {
extern const KernelTable avx512_kernels;
constinit const KernelTable avx512_kernels = make_table();
}  // namespace nhwc
#endif
