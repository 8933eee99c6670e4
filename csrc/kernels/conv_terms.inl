// csrc/kernels/conv_terms.inl -- the register tile of outputs that fill no two vectors: two terms of a sum lie side by
// side, so that more lanes are used, and one load of a pixel serves two terms of every vector
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

static_assert(kTerms == 2 && kTermsVectors == 3);  // the end of a tile knows it

/// Weights of two terms are vectors of [output][term], those of an odd last one halves of it.
template <class T, int MR, bool kEven>
NHWC_INLINE void one_tile_of_terms(const DirectTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>, V = kTermsVectors;
  constexpr int64_t kAhead = 4096 / sizeof(T);  // as in conv_direct.inl
  Vec<T> acc[MR][V];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = Vec<T>{};
  const int64_t whole = t.k / kTerms * kTerms;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    TilePixels<T, MR, kEven> a(t, tap, a_offset);
    if (kEven && t.ahead) NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, t.ahead));
    for (int64_t k = 0; k != whole; k += kTerms, w += V * lanes) {
      Vec<T> b[V];
      NHWC_UNROLL for (int v = 0; v < V; ++v) b[v] = load(w + v * lanes);
      if (t.weights_far) NHWC_UNROLL for (int v = 0; v < V; ++v) ask_for(w + v * lanes + kAhead);
      a.next();
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = repeat<kTerms>(&a.at(m, k));
        NHWC_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = fma(x, b[v], acc[m][v]);
      }
    }
    if (whole == t.k) continue;
    a.next();
    NHWC_UNROLL for (int m = 0; m < MR; ++m) {
      const Vec<T> x = splat(&a.at(m, whole));
      NHWC_UNROLL for (int v = 0; v < V; ++v) acc[m][v] = fma(x, load(w + v * lanes), acc[m][v]);
    }
  }
  Vec<T> sums[MR][2];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) {
    sums[m][0] = sum_neighbours<T>(acc[m][0], acc[m][1]);
    sums[m][1] = sum_neighbours<T>(acc[m][2], acc[m][2]);
  }
  const int64_t y_step = kEven ? t.y_step : 0;
  const TileEnd<T> end{t.y, y_offset, t.bias, t.lo, t.hi, t.n, MR, t.add, t.clamp, y_step, t.residual};
  if (kEven && !t.add && !t.residual) return store_part<T, MR, 2>(end, sums);
  Vec<T> part[MR * 2];  // a copy, as in finish_tile
  NHWC_UNROLL for (int i = 0; i < MR * 2; ++i) part[i] = sums[i / 2][i % 2];
  finish_part<T, 2>(end, part);
}

template <class T, int MR>
void tile_of_terms(const DirectTile<T>& t) {
  one_tile_of_terms<T, MR, false>(t, t.a_offset, t.y_offset);
}
template <class T, int MR>
void even_tiles_of_terms(const DirectTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step) one_tile_of_terms<T, MR, true>(t, a, y);
}

}  // namespace
}  // namespace nhwc
