// csrc/kernels/isa_neonbf16.cpp -- the few kernels that FEAT_BF16 adds to the table of neon; reached through table.h
#if defined(__aarch64__)
#include "simd/neonbf16.h"

#include "kernels/conv_pairs.inl"
#include "plan/conv_tiles.h"

namespace nhwc {
namespace {

/// Subnormal numbers are rounded as others are.
void narrow_row_natively(const float* src, BFloat16* dst, int64_t n) {
  constexpr int lanes = kLanes<float>;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) narrow_sums(dst + i, load(src + i), load(src + i + lanes));
  for (; i < n; i += lanes) {
    const int here = static_cast<int>(n - i < lanes ? n - i : lanes);
    narrow_sum_n(dst + i, load_n(src + i, here), here);
  }
}

}  // namespace

[[gnu::cold]] void fill_neonbf16(PairKernels& k) {
  add_pair_kernels(k, std::make_integer_sequence<int, kConvTiles[static_cast<int>(kIsa)].mr>());
  k.narrow = narrow_row_natively;
}
}  // namespace nhwc
#endif
