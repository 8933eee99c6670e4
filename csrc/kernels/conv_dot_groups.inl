// csrc/kernels/conv_dot_groups.inl -- few outputs of several groups: vectors hold the channels of neighbouring groups
// as they lie in memory, or of one, and the lanes of all sums of a tile are added together (plan/conv_dot.h)
#pragma once

#include "kernels/conv_segments.inl"

namespace nhwc {
namespace {

/// The sums of two vectors of weights for as many pixels as give an accumulator a lane, in the order of the outputs.
/// `pairs`: the two are outputs of the same S groups, else of neighbouring ones.
template <class T, int S>
NHWC_INLINE Vec<T> group_sums(const Vec<T>* acc, bool pairs) {
  constexpr int lanes = kLanes<T>, segment = lanes / S;
  const Vec<T> sum = sum_vectors<T, segment>(*reinterpret_cast<const Vec<T>(*)[segment]>(acc));
  if (S == 1) return sum;
  Vec<IntOf<T>> of_pairs = {}, from = {};
  NHWC_UNROLL for (int i = 0; i < lanes; ++i) {
    of_pairs[i] = i % (2 * S) / 2 * segment + i / (2 * S) * 2 + i % 2;
    from[i] = i % S * segment + i / S;
  }
  return permute<T>(sum, pairs ? of_pairs : from);
}

/// Stores the sums of `count` pixels from `first` on, outputs o, o + 1 ... of them.
template <class T, int S>
NHWC_INLINE void store_groups(const DotTile<T>& t, int first, int count, int o, const Vec<T> (&sum)[S]) {
  constexpr int lanes = kLanes<T>, MR = lanes / 2, wide = 2 * S;
  const bool even = t.y_step != 0;
  T* y = t.y[even ? 0 : first] + t.y_offset + o + (even ? first * t.y_step : 0);
  if (t.y_step == wide && t.n == wide && count == MR) {
    NHWC_UNROLL for (int r = 0; r < S; ++r) store(y + r * lanes, sum[r]);
    return;
  }
  T out[S * lanes];
  NHWC_UNROLL for (int r = 0; r < S; ++r) store(out + r * lanes, sum[r]);
  if (even && count == MR) {
    NHWC_UNROLL for (int m = 0; m < MR; ++m, y += t.y_step) __builtin_memcpy(y, out + m * wide, wide * sizeof(T));
    return;
  }
  for (int m = 0; m < count; ++m) {
    __builtin_memcpy(y, out + m * wide, wide * sizeof(T));
    y = m + 1 == count || even ? y + t.y_step : t.y[first + m + 1] + t.y_offset + o;
  }
}

template <class T, int S>
void dot_groups_tile(const DotTile<T>& tile) {
  const DotTile<T> t = tile;  // a copy: no store may change it
  constexpr int lanes = kLanes<T>, MR = lanes / 2, segment = lanes / S, wide = 2 * S;
  const Vec<T> lo = set1(t.lo), hi = set1(t.hi);
  const bool even = t.y_step != 0;
  const int pixels = t.mr * static_cast<int>(t.tiles), count = pixels < MR ? pixels : MR;
  const bool evenly = even && count == MR;
  int place[MR];
  for (int m = 0; m < MR; ++m) place[m] = m < count ? m : count - 1;
  for (int begin = 0; begin < pixels; begin += MR) {
    const int first = begin <= pixels - count ? begin : pixels - count;  // the last pixels and outputs are there again
    const T* weights = t.w;
    for (int next = 0; next < t.n; next += wide, weights += t.w_step) {
      const int o = next <= t.n - wide ? next : t.n - wide, o1 = o + (t.outputs == 1 ? S : 1);
      const int64_t x0 = t.a_offset + o / t.outputs * t.k, x1 = t.a_offset + o1 / t.outputs * t.k;
      Vec<T> acc[lanes];
      NHWC_UNROLL for (int i = 0; i < lanes; ++i) acc[i] = Vec<T>{};
      for (int64_t tap = 0; tap < t.taps; ++tap) {
        const T *w = weights + t.tap_ids[tap] * t.w_tap, *p[MR];
        if (evenly) {
          p[0] = t.a[tap] + first * t.a_step;
          NHWC_UNROLL for (int m = 1; m < MR; ++m) p[m] = read_again(p[m - 1] + t.a_step);
        } else {
          const T* const* x = t.a + (even ? tap : tap * t.mr + first);
          NHWC_UNROLL for (int m = 0; m < MR; ++m) p[m] = read_again(even ? x[0] + place[m] * t.a_step : x[place[m]]);
        }
        if (t.prefetch && tap == t.taps - 1)
          for (int64_t m = 0, at = x0 + kDotAhead<T>; m < count; ++m, at += t.a_step) {
            __builtin_prefetch(p[0] + at);
            __builtin_prefetch(p[0] + at + (x1 - x0));
          }
        for (int64_t k = 0; k < t.k; k += lanes, w += 2 * lanes) {
          const int here = static_cast<int>(t.k - k < lanes ? t.k - k : lanes);
          // Else all sums of pointers and offsets would be held, for which there is no room.
          const int64_t at0 = read_again(x0 + k), at1 = read_again(x1 + k);
          const Vec<T> b0 = load(w), b1 = load(w + lanes);
          NHWC_UNROLL for (int m = 0; m < MR; ++m) {
            acc[2 * m] = fma(S > 1 ? load(p[m] + at0) : load_n(p[m] + at0, here), b0, acc[2 * m]);
            acc[2 * m + 1] = fma(S > 1 ? load(p[m] + at1) : load_n(p[m] + at1, here), b1, acc[2 * m + 1]);
          }
          if (S > 1) break;
        }
      }
      Vec<T> part[lanes], sum[S];  // a copy: an accumulator whose address is taken would live in memory
      NHWC_UNROLL for (int i = 0; i < lanes; ++i) part[i] = acc[i];
      const Vec<T> bias = t.bias ? repeat<wide>(t.bias + o) : set1(T(-0.0));
      NHWC_UNROLL for (int r = 0; r < S; ++r) {
        const Vec<T>* sums = part + r * segment;
        sum[r] = min_keep_nan(max_keep_nan(group_sums<T, S>(sums, t.outputs == 2) + bias, lo), hi);
      }
      store_groups<T, S>(t, first, count, o, sum);
    }
  }
}

}  // namespace
}  // namespace nhwc
