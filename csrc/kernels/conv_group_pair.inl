// csrc/kernels/conv_group_pair.inl -- the register tile of two groups whose outputs beyond one vector share another
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

/// Its upper half, in both halves.
template <class T>
NHWC_INLINE Vec<T> upper_half(Vec<T> a) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> index{};
  NHWC_UNROLL for (int l = 0; l < lanes; ++l) index[l] = lanes / 2 + l % (lanes / 2);
  return permute<T>(a, index);
}

/// n outputs of one of the groups.
template <class T, int MR, bool kEven>
NHWC_INLINE void finish_group(const DirectTile<T>& t, int64_t y_offset, const T* bias, const Vec<T> (&acc)[MR][2]) {
  const TileEnd<T> e{t.y, y_offset, bias, t.lo, t.hi, t.n, MR, t.add, t.clamp, kEven ? t.y_step : 0, t.residual};
  if constexpr (kEven)
    if (!t.add && !t.residual) return store_part<T, MR, 2>(e, acc);
  Vec<T> part[MR * 2];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < 2; ++v) part[m * 2 + v] = acc[m][v];
  finish_part<T, 2>(e, part);
}

/// Weights of a k: a vector of the first group, half a vector of each, a vector of the second.
template <class T, int MR, bool kEven>
NHWC_INLINE void one_group_pair(const DirectTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>;
  constexpr int64_t kAhead = 4096 / sizeof(T);  // as in conv_direct.inl
  Vec<T> acc[MR][3];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < 3; ++v) acc[m][v] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    TilePixels<T, MR, kEven> a(t, tap, a_offset);
    if (kEven && t.prefetch) NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, MR * t.a_step));
    for (int64_t k = 0; k < t.k; ++k, w += 3 * lanes) {
      Vec<T> b[3];
      NHWC_UNROLL for (int v = 0; v < 3; ++v) {
        b[v] = load(w + v * lanes);
        __builtin_prefetch(w + v * lanes + kAhead);
      }
      a.next();
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = in_register(set1(a.at(m, k))), y = in_register(set1(a.at(m, k + t.group)));
        acc[m][0] = fma(x, b[0], acc[m][0]);
        acc[m][1] = fma(halves_of(x, y), b[1], acc[m][1]);
        acc[m][2] = fma(y, b[2], acc[m][2]);
      }
    }
  }
  Vec<T> first[MR][2], second[MR][2];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) {
    first[m][0] = acc[m][0];
    first[m][1] = acc[m][1];
    second[m][0] = acc[m][2];
    second[m][1] = upper_half<T>(acc[m][1]);
  }
  finish_group<T, MR, kEven>(t, y_offset, t.bias, first);
  finish_group<T, MR, kEven>(t, y_offset + t.n, t.bias ? t.bias + t.n : nullptr, second);
}

template <class T, int MR>
void group_pair(const DirectTile<T>& t) {
  one_group_pair<T, MR, false>(t, t.a_offset, t.y_offset);
}
template <class T, int MR>
void even_group_pairs(const DirectTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step) one_group_pair<T, MR, true>(t, a, y);
}

}  // namespace
}  // namespace nhwc
