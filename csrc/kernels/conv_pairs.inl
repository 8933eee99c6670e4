// csrc/kernels/conv_pairs.inl -- the register tile of the implicit GEMM on pairs of bfloat16: mr pixels x NV vectors
#pragma once

#include <utility>

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

/// One tile of a PairTile.
struct PairEnd {
  const PairTile& t;
  int64_t narrow_offset;
  bool even;
  BFloat16* narrow(int m) const { return (even ? t.narrow[0] + m * t.narrow_step : t.narrow[m]) + narrow_offset; }
  float* row(int m) const { return even ? t.y[0] + m * t.y_step : t.y[m]; }
  bool whole(int vectors) const { return t.narrow && !t.add && t.n == vectors * kLanes<float>; }
};

/// The end of a tile: one copy for all of them, where unrolling would cost most of a kernel's size.
__attribute__((noinline)) void finish_pairs(const PairEnd& e, const Vec<float>* acc, int rows, int vectors) {
  constexpr int lanes = kLanes<float>;
  const PairTile& t = e.t;
  const Vec<float> lo = set1(t.lo), hi = set1(t.hi);
  if (e.whole(vectors)) {
    Vec<float> bias[2];  // -0 changes nothing, +0 would change -0
    for (int v = 0; v < 2; ++v) bias[v] = t.bias && v < vectors ? load(t.bias + v * lanes) : -Vec<float>{};
    for (int m = 0; m < rows; ++m, acc += vectors) {
      BFloat16* y = e.narrow(m);
      narrow_sum(y, min_keep_nan(max_keep_nan(acc[0] + bias[0], lo), hi));
      if (vectors == 2) narrow_sum(y + lanes, min_keep_nan(max_keep_nan(acc[1] + bias[1], lo), hi));
    }
    return;
  }
  for (int m = 0; m < rows; ++m) {
    for (int v = 0, n = t.n; v < vectors && n > 0; ++v, n -= lanes) {
      const int lanes_here = n < lanes ? n : lanes;
      float* y = e.row(m) + v * lanes;
      Vec<float> x = acc[m * vectors + v];
      if (t.add) x += load_n(y, lanes_here);
      if (t.bias) x += load_n(t.bias + v * lanes, lanes_here);
      x = min_keep_nan(max_keep_nan(x, lo), hi);
      if (t.narrow)
        narrow_sum_n(e.narrow(m) + v * lanes, x, lanes_here);
      else
        store_n(y, x, lanes_here);
    }
  }
}

template <int MR, int NV, bool kEven>
NHWC_INLINE void finish_pairs(const PairTile& t, int64_t narrow_offset, Vec<float> (&acc)[MR][NV]) {
  constexpr int lanes = kLanes<float>;
  const PairEnd e{t, narrow_offset, kEven};
  if constexpr (kEven) {  // 15 ns less, of 134 for 64 channels
    if (e.whole(NV)) {
      if (t.bias) {
        Vec<float> bias[NV];
        NHWC_UNROLL for (int v = 0; v < NV; ++v) bias[v] = load(t.bias + v * lanes);
        NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] += bias[v];
      }
      if (t.lo > -__builtin_inff() || t.hi < __builtin_inff()) {
        const Vec<float> lo = set1(t.lo), hi = set1(t.hi);
        NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] =
            min_keep_nan(max_keep_nan(acc[m][v], lo), hi);
      }
      BFloat16* y = e.narrow(0);
      const int64_t step = t.narrow_step;
      NHWC_UNROLL for (int m = 0; m < MR; ++m, y += step) {
        if constexpr (NV == 2)
          narrow_sums(y, acc[m][0], acc[m][1]);
        else
          narrow_sum(y, acc[m][0]);
      }
      return;
    }
  }
  const PairEnd end{t, narrow_offset, kEven};
  Vec<float> part[MR * NV];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) part[m * NV + v] = acc[m][v];
  finish_pairs(end, part, MR, NV);
}

template <int MR, int NV, bool kEven>
NHWC_INLINE void one_pairs_tile(const PairTile& t, int64_t a_offset, int64_t narrow_offset) {
  constexpr int lanes = kLanes<float>;
  constexpr int64_t kAhead = 4096 / sizeof(BFloat16);  // as in conv_direct.inl
  Vec<float> acc[MR][NV];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<float>{};
  const int64_t step = 2 * t.w_step;
  int64_t tap = 0;
  do {
    const BFloat16* w = t.w + t.tap_ids[tap] * t.w_tap;
    TilePixels<BFloat16, MR, kEven> a(t, tap, a_offset);
    if (kEven && NV == 2 && t.ahead) NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, t.ahead));
    for (int64_t k = 0; k < t.k; k += 2) {
      const int64_t at = k < t.k - 2 ? k : t.k - 2;
      Pairs b[NV];
      NHWC_UNROLL for (int v = 0; v < NV; ++v) {
        b[v] = load_pairs(w + v * 2 * lanes);
        ask_for(w + v * 2 * lanes + kAhead);
      }
      w += step;
      a.next();
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const auto x = set1_pair(&a.at(m, at));
        NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = dot(acc[m][v], x, b[v]);
      }
    }
  } while (++tap < t.taps);
  finish_pairs<MR, NV, kEven>(t, narrow_offset, acc);
}

template <int MR, int NV>
void pairs_tile(const PairTile& t) {
  one_pairs_tile<MR, NV, false>(t, t.a_offset, t.narrow_offset);
}
template <int MR, int NV>
void even_pairs_tiles(const PairTile& t) {
  int64_t a = t.a_offset, y = t.narrow_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.narrow_step)
    one_pairs_tile<MR, NV, true>(t, a, y);
}

void interleave(const BFloat16* even, const BFloat16* odd, BFloat16* to, int64_t n) {
  constexpr int lanes = kLanes<float>;
  for (int64_t i = 0; i < n; i += lanes)
    interleave_n(even + i, odd + i, to + 2 * i, static_cast<int>(n - i < lanes ? n - i : lanes));
}

constexpr int kEvenPairs = 8;  // pixels from which on tiles have a kernel for even ones: those of long lines
template <int MR>
void add_even(PairKernels& k) {
  if constexpr (MR >= kEvenPairs) {
    k.even[0][MR] = even_pairs_tiles<MR, 1>;
    k.even[1][MR] = even_pairs_tiles<MR, 2>;
  }
}
template <int... I>
void add_pair_kernels(PairKernels& k, std::integer_sequence<int, I...>) {
  ((k.direct[0][I + 1] = pairs_tile<I + 1, 1>), ...);
  ((k.direct[1][I + 1] = pairs_tile<I + 1, 2>), ...);
  (add_even<I + 1>(k), ...);
  k.interleave = interleave;
}

}  // namespace
}  // namespace nhwc
