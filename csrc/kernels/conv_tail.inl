// csrc/kernels/conv_tail.inl -- the register tile of a panel whose second vector has few outputs: F terms of the sum
// at a time lie side by side in it
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

/// Lane l = lanes F * l to F * l + F - 1 of v together, for the first lanes.
template <int F, class T>
NHWC_INLINE Vec<T> sum_terms(Vec<T> v) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> even{}, odd{};
  NHWC_UNROLL for (int l = 0; l < lanes; ++l) {
    even[l] = 2 * l % lanes;
    odd[l] = (2 * l + 1) % lanes;
  }
  NHWC_UNROLL for (int f = F; f > 1; f /= 2) v = permute<T>(v, even) + permute<T>(v, odd);
  return v;
}

/// Weights of F terms: a vector for each of them, then one that holds those of all for the other outputs, output by
/// output; of what is left behind the last F terms, two vectors for each, the second with 1/F of each weight F times.
template <class T, int F, int MR, bool kEven>
NHWC_INLINE void one_tail_tile(const DirectTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>;
  constexpr int64_t kAhead = 4096 / sizeof(T);  // as in conv_direct.inl
  Vec<T> acc[MR][2];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) acc[m][0] = acc[m][1] = Vec<T>{};
  const int64_t whole = t.k / F * F;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    TilePixels<T, MR, kEven> a(t, tap, a_offset);
    if (kEven && t.ahead) NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, t.ahead));
    int64_t k = 0;
    for (; k < whole; k += F, w += (F + 1) * lanes) {
      Vec<T> b[F + 1];
      NHWC_UNROLL for (int f = 0; f <= F; ++f) {
        b[f] = load(w + f * lanes);
        if (t.weights_far) ask_for(w + f * lanes + kAhead);
      }
      a.next();
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        NHWC_UNROLL for (int f = 0; f < F; ++f) acc[m][0] = fma(splat(&a.at(m, k + f)), b[f], acc[m][0]);
        acc[m][1] = fma(repeat<F>(&a.at(m, k)), b[F], acc[m][1]);
      }
    }
    for (; k < t.k; ++k, w += 2 * lanes) {
      const Vec<T> b = load(w), rest = load(w + lanes);
      a.next();
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = splat(&a.at(m, k));
        acc[m][0] = fma(x, b, acc[m][0]);
        acc[m][1] = fma(x, rest, acc[m][1]);
      }
    }
  }
  NHWC_UNROLL for (int m = 0; m < MR; ++m) acc[m][1] = sum_terms<F, T>(acc[m][1]);
  finish_tile<T, MR, 2, kEven>(
      {t.y, y_offset, t.bias, t.lo, t.hi, t.n, MR, t.add, t.clamp, kEven ? t.y_step : 0, t.residual}, acc);
}

template <class T, int F, int MR>
void tail_tile(const DirectTile<T>& t) {
  one_tail_tile<T, F, MR, false>(t, t.a_offset, t.y_offset);
}
template <class T, int F, int MR>
void even_tail_tiles(const DirectTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step) one_tail_tile<T, F, MR, true>(t, a, y);
}

}  // namespace
}  // namespace nhwc
