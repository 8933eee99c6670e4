// csrc/kernels/conv_native.inl -- bfloat16 rounded by the processor's instruction: the same bits as without it
// The instruction makes zeros of subnormal numbers, so these go the other way.
#pragma once

#include "kernels/conv_depthwise.inl"

namespace nhwc {
namespace {

void narrow_natively(const float* src, BFloat16* dst, int64_t n) {
  constexpr int lanes = kLanes<float>;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const Vec<float> a = load(src + i), b = load(src + i + lanes);
    if (__builtin_expect(any_subnormal(a) || any_subnormal(b), 0)) {
      narrow(dst + i, a);
      narrow(dst + i + lanes, b);
    } else {
      narrow_sums(dst + i, a, b);
    }
  }
  for (; i < n; i += lanes) {
    const int here = static_cast<int>(n - i < lanes ? n - i : lanes);
    BFloat16 rest[lanes];
    narrow(rest, load_n(src + i, here));
    __builtin_memcpy(static_cast<void*>(dst + i), rest, static_cast<size_t>(here) * sizeof(BFloat16));
  }
}

/// One copy of what is rare.
__attribute__((noinline)) void narrow_outputs(NativeBFloat16* y, int64_t step, int pixels, const Vec<float>* v) {
  for (int p = 0; p < pixels; ++p) narrow(&y[p * step].value, v[p]);
}

/// As for any type (conv_depthwise.inl); a test for all outputs together.
template <bool kPart, int PX>
NHWC_INLINE void store_outputs(NativeBFloat16* y, int64_t step, int pixels, const Vec<float> (&v)[PX][1], bool) {
  bool subnormal = false;
  NHWC_UNROLL for (int p = 0; p < PX; ++p) subnormal |= any_subnormal(v[p][0]);
  if (__builtin_expect(subnormal, 0)) {
    Vec<float> copy[PX];  // what has an address lives in memory
    NHWC_UNROLL for (int p = 0; p < PX; ++p) copy[p] = v[p][0];
    return narrow_outputs(y, step, kPart ? pixels : PX, copy);
  }
  NHWC_UNROLL for (int p = 0; p < PX; ++p, y += step) {
    if (kPart && p >= pixels) return;
    narrow_sum(&y->value, v[p][0]);
  }
}

}  // namespace
}  // namespace nhwc
