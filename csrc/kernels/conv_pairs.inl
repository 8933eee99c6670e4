// csrc/kernels/conv_pairs.inl -- the register tile of the implicit GEMM on pairs of bfloat16: mr pixels x NV vectors
#pragma once

#include <utility>

#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

bool whole(const PairTile& t, int vectors) { return t.narrow && !t.add && t.n == vectors * kLanes<float>; }

/// The end of a tile: one copy for all of them, where unrolling would cost most of a kernel's size.
__attribute__((noinline)) void finish_pairs(const PairTile& t, const Vec<float>* acc, int rows, int vectors) {
  constexpr int lanes = kLanes<float>;
  BFloat16* const* narrow = t.narrow;
  const int64_t offset = t.narrow_offset;
  const Vec<float> lo = set1(t.lo), hi = set1(t.hi);
  if (whole(t, vectors)) {
    Vec<float> bias[2];  // -0 changes nothing, +0 would change -0
    for (int v = 0; v < 2; ++v) bias[v] = t.bias && v < vectors ? load(t.bias + v * lanes) : -Vec<float>{};
    for (int m = 0; m < rows; ++m, acc += vectors) {
      BFloat16* y = narrow[m] + offset;
      narrow_sum(y, min_keep_nan(max_keep_nan(acc[0] + bias[0], lo), hi));
      if (vectors == 2) narrow_sum(y + lanes, min_keep_nan(max_keep_nan(acc[1] + bias[1], lo), hi));
    }
    return;
  }
  for (int m = 0; m < rows; ++m) {
    for (int v = 0, n = t.n; v < vectors && n > 0; ++v, n -= lanes) {
      const int lanes_here = n < lanes ? n : lanes;
      float* y = t.y[m] + v * lanes;
      Vec<float> x = acc[m * vectors + v];
      if (t.add) x += load_n(y, lanes_here);
      if (t.bias) x += load_n(t.bias + v * lanes, lanes_here);
      x = min_keep_nan(max_keep_nan(x, lo), hi);
      if (narrow)
        narrow_sum_n(narrow[m] + offset + v * lanes, x, lanes_here);
      else
        store_n(y, x, lanes_here);
    }
  }
}

template <int MR, int NV>
NHWC_INLINE void finish_pairs(const PairTile& t, Vec<float> (&acc)[MR][NV]) {
  constexpr int lanes = kLanes<float>;
  if constexpr (MR >= 12 && NV == 2) {  // of long lines: 15 ns less, of 134 for 64 channels
    if (whole(t, NV)) {
      BFloat16* const* narrow = t.narrow;
      const int64_t offset = t.narrow_offset;
      if (t.bias) {
        const Vec<float> bias[NV] = {load(t.bias), load(t.bias + lanes)};
        NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] += bias[v];
      }
      if (t.lo > -__builtin_inff() || t.hi < __builtin_inff()) {
        const Vec<float> lo = set1(t.lo), hi = set1(t.hi);
        NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] =
            min_keep_nan(max_keep_nan(acc[m][v], lo), hi);
      }
      NHWC_UNROLL for (int m = 0; m < MR; ++m) narrow_sums(narrow[m] + offset, acc[m][0], acc[m][1]);
      return;
    }
  }
  Vec<float> part[MR * NV];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) part[m * NV + v] = acc[m][v];
  finish_pairs(t, part, MR, NV);
}

template <int MR, int NV>
void pairs_tile(const PairTile& t) {
  constexpr int lanes = kLanes<float>;
  constexpr int64_t kAhead = 4096 / sizeof(BFloat16);  // as in conv_direct.inl
  Vec<float> acc[MR][NV];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<float>{};
  const int64_t step = 2 * t.w_step;
  int64_t tap = 0;
  do {
    const BFloat16* w = t.w + t.tap_ids[tap] * t.w_tap;
    const BFloat16* a[MR];
    NHWC_UNROLL for (int m = 0; m < MR; ++m) a[m] = t.a[tap * MR + m] + t.a_offset;
    for (int64_t k = 0; k < t.k; k += 2) {
      const int64_t at = k < t.k - 2 ? k : t.k - 2;
      Pairs b[NV];
      NHWC_UNROLL for (int v = 0; v < NV; ++v) {
        b[v] = load_pairs(w + v * 2 * lanes);
        __builtin_prefetch(w + v * 2 * lanes + kAhead);
      }
      w += step;
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Pairs x = set1_pair(a[m] + at);
        NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = dot(acc[m][v], x, b[v]);
      }
    }
  } while (++tap < t.taps);
  finish_pairs<MR, NV>(t, acc);
}

void interleave(const BFloat16* even, const BFloat16* odd, BFloat16* to, int64_t n) {
  constexpr int lanes = kLanes<float>;
  for (int64_t i = 0; i < n; i += lanes)
    interleave_n(even + i, odd + i, to + 2 * i, static_cast<int>(n - i < lanes ? n - i : lanes));
}

template <int... I>
constexpr PairKernels make_pair_kernels(std::integer_sequence<int, I...>) {
  PairKernels k{};
  ((k.direct[0][I + 1] = pairs_tile<I + 1, 1>), ...);
  ((k.direct[1][I + 1] = pairs_tile<I + 1, 2>), ...);
  k.interleave = interleave;
  return k;
}

}  // namespace
}  // namespace nhwc
