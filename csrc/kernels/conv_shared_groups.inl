// csrc/kernels/conv_shared_groups.inl -- the register tile of groups whose outputs beyond one vector share another
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

/// The lanes from `at` on, first.
template <class T>
NHWC_INLINE Vec<T> from_lane(Vec<T> a, int at) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> index{};
  NHWC_UNROLL for (int l = 0; l < lanes; ++l) index[l] = (at + l) % lanes;
  return permute<T>(a, index);
}

/// n outputs of one of the groups; even tiles have no residual.
template <class T, int MR, bool kEven>
NHWC_INLINE void finish_group(const DirectTile<T>& t, int64_t y_offset, const T* bias, const Vec<T> (&acc)[MR][2]) {
  const TileEnd<T> e{t.y, y_offset, bias, t.lo, t.hi, t.n, MR, t.add, t.clamp, kEven ? t.y_step : 0, t.residual};
  if constexpr (kEven) {
    store_part<T, MR, 2>(e, acc);
  } else {
    Vec<T> part[MR * 2];  // a copy: an accumulator whose address is taken would live in memory
    NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < 2; ++v) part[m * 2 + v] = acc[m][v];
    finish_part<T, 2>(e, part);
  }
}

/// Weights of a k: a vector of each of the G groups, then one that they share evenly.
template <class T, int G, int MR, bool kEven>
NHWC_INLINE void one_shared_tile(const DirectTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>, share = lanes / G;
  constexpr int64_t kAhead = 4096 / sizeof(T);  // as in conv_direct.inl
  Vec<T> acc[MR][G + 1];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v <= G; ++v) acc[m][v] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    TilePixels<T, MR, kEven> a(t, tap, a_offset);
    if (kEven && t.ahead) NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, t.ahead));
    for (int64_t k = 0; k < t.k; ++k, w += (G + 1) * lanes) {
      Vec<T> b[G + 1];
      NHWC_UNROLL for (int v = 0; v <= G; ++v) {
        b[v] = load(w + v * lanes);
        if (G == 2) __builtin_prefetch(w + v * lanes + kAhead);  // of more, loads would take longer than products
      }
      a.next();
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        Vec<T> shared{};
        NHWC_UNROLL for (int g = 0; g < G; ++g) {
          const Vec<T> x = in_register(set1(a.at(m, k + g * t.group)));
          acc[m][g] = fma(x, b[g], acc[m][g]);
          shared = g == 0 ? x : lanes_of(shared, x, g * share);
        }
        acc[m][G] = fma(shared, b[G], acc[m][G]);
      }
    }
  }
  NHWC_UNROLL for (int g = 0; g < G; ++g) {
    Vec<T> part[MR][2];
    NHWC_UNROLL for (int m = 0; m < MR; ++m) {
      part[m][0] = acc[m][g];
      part[m][1] = g == 0 ? acc[m][G] : from_lane<T>(acc[m][G], g * share);
    }
    finish_group<T, MR, kEven>(t, y_offset + g * t.n, t.bias ? t.bias + g * t.n : nullptr, part);
  }
}

template <class T, int G, int MR>
void shared_tile(const DirectTile<T>& t) {
  one_shared_tile<T, G, MR, false>(t, t.a_offset, t.y_offset);
}
template <class T, int G, int MR>
void even_shared_tiles(const DirectTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step)
    one_shared_tile<T, G, MR, true>(t, a, y);
}

}  // namespace
}  // namespace nhwc
