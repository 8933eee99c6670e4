// csrc/kernels/conv_segments.inl -- dot tiles of several outputs: each has a segment of a vector (plan/conv_dot.h), and
// a load repeats the channels of a pixel for all of them
#pragma once

#include "kernels/conv_dot.inl"

namespace nhwc {
namespace {

template <int NV, int S>
constexpr int kFormPixels = dot_form_pixels({NV, S}, kConvTiles[static_cast<int>(kIsa)]);

/// Sums the segments of n vectors, as many as segments have lanes: n segments of the first, then of the second ...
template <class T, int n>
NHWC_INLINE Vec<T> sum_segments(const Vec<T>* acc) {
  Vec<IntOf<T>> index = {};
  NHWC_UNROLL for (int l = 0; l < kLanes<T>; ++l) index[l] = l % (kLanes<T> / n) * n + l / (kLanes<T> / n);
  return permute<T>(sum_vectors<T, n>(*reinterpret_cast<const Vec<T>(*)[n]>(acc)), index);
}

/// Adds the bias to what t.mr pixels accumulated, in NV vectors each, clamps and stores it; readable up to whole
/// vectors of sums.
template <class T, int MR, int NV, int S>
NHWC_INLINE void store_segments(const DotTile<T>& t, int64_t y_offset, const Vec<T>* acc) {
  constexpr int lanes = kLanes<T>, O = NV * S, segment = lanes / S, sums = (MR * NV + segment - 1) / segment;
  const Vec<T> lo = set1(t.lo), hi = set1(t.hi);
  Vec<T> sum[sums];
  NHWC_UNROLL for (int i = 0; i < sums; ++i) sum[i] =
      min_keep_nan(max_keep_nan(sum_segments<T, segment>(acc + i * segment) + load(t.bias + i * lanes % O), lo), hi);
  const int n = t.n, mr = t.mr;
  T* y = t.y[0] + y_offset;
  if (mr * O == sums * lanes && t.y_step == O && n == O) {
    NHWC_UNROLL for (int i = 0; i < sums; ++i) store(y + i * lanes, sum[i]);
    return;
  }
  T out[sums * lanes];
  NHWC_UNROLL for (int i = 0; i < sums; ++i) store(out + i * lanes, sum[i]);
  for (int m = 0; m < mr; ++m) {
    if (t.y_step == 0) y = t.y[m] + y_offset;
    if (n == O) {
      __builtin_memcpy(y, out + m * O, O * sizeof(T));
    } else {
      __builtin_memcpy(y, out + m * O, O / 2 * sizeof(T));  // more than half of the segments are there
      NHWC_UNROLL for (int j = O / 2; j < O - 1; ++j) if (j < n) y[j] = out[m * O + j];
    }
    y += t.y_step;
  }
}
/// One copy for all tiles that are not worth code of their own.
template <class T, int NV, int S>
__attribute__((noinline)) void finish_segments(const DotTile<T>& t, int64_t y_offset, const Vec<T>* acc) {
  store_segments<T, kFormPixels<NV, S>, NV, S>(t, y_offset, acc);
}

/// The pixels of a tile of t.mr at one tap, which may be fewer than MR: the last of even ones is there again, behind
/// those of a table are other pointers.
template <class T, int MR, bool kEven>
struct SegmentPixels {
  NHWC_INLINE SegmentPixels(const DotTile<T>& t, int64_t tap, int64_t offset) {
    const T* const* table = t.a + tap * t.mr;
    NHWC_UNROLL for (int m = 0; m < MR; ++m) p_[m] = table[m] + offset;
  }
  NHWC_INLINE const T* at(int m, int64_t k) const { return p_[m] + k; }

 private:
  const T* p_[MR];
};
template <class T, int MR>
struct SegmentPixels<T, MR, true> {
  NHWC_INLINE SegmentPixels(const DotTile<T>& t, int64_t tap, int64_t offset) : step_(t.a_step) {
    const T* const first = t.a[tap] + offset;
    NHWC_UNROLL for (int m = 0; m < kOwn; m += 3) p_[m / 3] = first + m * step_;
    NHWC_UNROLL for (int m = kOwn; m < MR; ++m) last_[m - kOwn] = first + (m < t.mr ? m : t.mr - 1) * step_;
  }
  NHWC_INLINE const T* at(int m, int64_t k) const {
    return m < kOwn ? p_[m / 3] + k + m % 3 * step_ : last_[m - kOwn] + k;
  }

 private:
  static constexpr int kOwn = least_even_pixels(MR);
  const T *p_[(kOwn + 2) / 3], *last_[MR - kOwn];
  int64_t step_;
};

/// The last channels that do not fill a segment overlap those before; both have half the weight of what they share.
template <class T, int MR, int NV, int S, bool kEven>
NHWC_INLINE void one_segments(const DotTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>, segment = lanes / S;
  Vec<T> acc[MR][NV];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<T>{};
  const int64_t n = t.k, last = n - segment;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    const SegmentPixels<T, MR, kEven> a(t, tap, a_offset);
    for (int64_t i = 0; i < n; i += segment, w += NV * lanes) {
      const int64_t k = i < last ? i : last;
      Vec<T> b[NV];
      NHWC_UNROLL for (int v = 0; v < NV; ++v) b[v] = load(w + v * lanes);
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        const Vec<T> x = in_register(repeat<segment>(a.at(m, k)));
        NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, b[v], acc[m][v]);
      }
    }
  }
  constexpr int sums = (kFormPixels<NV, S> * NV + segment - 1) / segment * segment;
  Vec<T> part[sums];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int i = 0; i < sums; ++i) part[i] = i < MR * NV ? acc[i / NV][i % NV] : Vec<T>{};
  if constexpr (kEven)
    store_segments<T, MR, NV, S>(t, y_offset, part);
  else
    finish_segments<T, NV, S>(t, y_offset, part);
}

template <class T, int MR, int NV, int S>
void segment_tile(const DotTile<T>& t) {
  one_segments<T, MR, NV, S, false>(t, t.a_offset, t.y_offset);
}

/// The pixels of later tiles are asked for: few are, where the input is far.
template <class T>
__attribute__((noinline)) void fetch_ahead(const DotTile<T>& t, int64_t a_offset) {
  const T* a = t.a[t.taps - 1] + a_offset + kDotAhead<T>;
  for (int m = 0; m < t.mr; ++m, a += t.a_step)
    for (int64_t k = 0; k < t.k; k += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(a + k);
}
template <class T, int MR, int NV, int S>
void even_segments(const DotTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += t.mr * t.a_step, y += t.mr * t.y_step) {
    if (t.prefetch && t.taps > 0) fetch_ahead(t, a);
    one_segments<T, MR, NV, S, true>(t, a, y);
  }
}

}  // namespace
}  // namespace nhwc
