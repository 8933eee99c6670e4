// csrc/kernels/isa_avx512bf16.cpp -- the few kernels that AVX-512 BF16 adds to the table of avx512; reached through
// table.h
#if defined(__x86_64__)
#include "simd/avx512bf16.h"

#include "kernels/conv_native.inl"
#include "kernels/conv_pairs.inl"
#include "plan/conv_tiles.h"

namespace nhwc {
[[gnu::cold]] void fill_avx512bf16(PairKernels& k) {
  add_pair_kernels(k, std::make_integer_sequence<int, kConvTiles[static_cast<int>(kIsa)].mr>());
  k.narrow = narrow_natively;
  k.depthwise_walk = depthwise_walk<NativeBFloat16>;
  int i = 0;
#define NHWC_DEPTHWISE(columns, stride, isa) add_half_row<NativeBFloat16, columns, stride>(k.depthwise_rows[i++]);
#include "plan/conv_depthwise.inc"
#undef NHWC_DEPTHWISE
}
}  // namespace nhwc
#endif
