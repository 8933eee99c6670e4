// csrc/kernels/conv_dot_groups.inl -- few outputs of groups with few channels: vectors hold the channels of several
// groups as they lie in memory, and the sums of all lanes of a tile share their steps (plan/conv_dot.h)
#pragma once

#include "kernels/conv_segments.inl"

namespace nhwc {
namespace {

/// Where the accumulators of a tile read: of even pixels, bytes behind the first; of a table, addresses.
template <class T>
class DotGroupReader {
 public:
  explicit DotGroupReader(const DotTile<T>& t)
      : t_(t), even_(t.y_step != 0), pixels_(static_cast<int>(t.mr * t.tiles)) {
    const DotGroups& d = t.groups;
    const int outputs = d.slots * d.segments / d.groups;
    const int64_t vector = d.segments > 1 ? kLanes<T> : t.k;
    for (int i = 0; i < kLanes<T>; ++i) {
      const int m = i / d.slots;
      pixel_[i] = m < d.pixels && m < pixels_ ? m : 0;
      slot_[i] = (t.a_offset + i % d.slots / outputs * vector) * kElement;
      if (even_) at[i] = slot_[i] + pixel_[i] * t.a_step * kElement;
    }
  }
  /// What is added to `at` for the pixels from `first` on.
  NHWC_INLINE uintptr_t read(int64_t tap, int first) {
    if (even_) return reinterpret_cast<uintptr_t>(t_.a[tap] + first * t_.a_step);
    const T* const* table = t_.a + tap * t_.mr + first;
    for (int i = 0; i < kLanes<T>; ++i) at[i] = reinterpret_cast<intptr_t>(table[pixel_[i]]) + slot_[i];
    return 0;
  }
  int pixels() const { return pixels_; }
  T* y(int m) const { return (even_ ? t_.y[0] + m * t_.y_step : t_.y[m]) + t_.y_offset; }

  int64_t at[kLanes<T>];

 private:
  static constexpr int64_t kElement = sizeof(T);
  const DotTile<T>& t_;
  bool even_;
  int pixels_, pixel_[kLanes<T>];
  int64_t slot_[kLanes<T>];
};

/// Stores the outputs of n pixels.
template <class T>
NHWC_INLINE void store_groups(const DotTile<T>& t, const DotGroupReader<T>& a, int first, int n, const T* sums) {
  constexpr int lanes = kLanes<T>;
  const int wide = t.groups.slots * t.groups.segments;
  const bool all = t.y_step == wide && t.n == wide;  // of all pixels one after another
  const int values = all ? n * wide : t.n, rows = all ? 1 : n;
  for (int m = 0; m < rows; ++m, sums += wide) {
    T* y = a.y(first + m);
    for (int j = 0; j < values; j += lanes)
      store_n(y + j, load(sums + t.skip + j), values - j < lanes ? values - j : lanes);
  }
}

template <class T, int S>
void dot_groups_tile(const DotTile<T>& t) {
  constexpr int lanes = kLanes<T>, segment = lanes / S;
  const Vec<T> lo = set1(t.lo), hi = set1(t.hi);
  const auto from = *reinterpret_cast<const typename VectorOf<IntOf<T>>::unaligned*>(t.w);
  DotGroupReader<T> a(t);
  const int pixels = a.pixels(), at_once = t.groups.pixels;
  T out[(S + 1) * lanes];  // a vector more is read
  for (int m = 0; m < pixels; m += at_once) {
    const int last = pixels - at_once > 0 ? pixels - at_once : 0, first = m < last ? m : last;
    Vec<T> acc[lanes];
    NHWC_UNROLL for (int i = 0; i < lanes; ++i) acc[i] = Vec<T>{};
    for (int64_t tap = 0; tap < t.taps; ++tap) {
      const uintptr_t base = a.read(tap, first);
      const T* w = t.w + lanes + t.tap_ids[tap] * t.w_tap;
      const auto x = [&](int i) { return reinterpret_cast<const T*>(base + static_cast<uintptr_t>(a.at[i])); };
      if (t.prefetch && tap == t.taps - 1)
        for (int i = 0; i < lanes; ++i) __builtin_prefetch(x(i) + kDotAhead<T>);
      if constexpr (S > 1) {
        NHWC_UNROLL for (int i = 0; i < lanes; ++i) acc[i] = fma(load(x(i)), load(w + i * lanes), acc[i]);
        continue;
      }
      for (int64_t k = 0; k < t.k; k += lanes, w += lanes * lanes) {
        const int here = static_cast<int>(t.k - k < lanes ? t.k - k : lanes);
        NHWC_UNROLL for (int i = 0; i < lanes; ++i) acc[i] =
            fma(load_n(x(i) + k, here), load(w + i * lanes), acc[i]);
      }
    }
    Vec<T> part[lanes];  // a copy: an accumulator whose address is taken would live in memory
    NHWC_UNROLL for (int i = 0; i < lanes; ++i) part[i] = acc[i];
    NHWC_UNROLL for (int r = 0; r < S; ++r) {
      Vec<T> sum = sum_vectors<T, segment>(*reinterpret_cast<const Vec<T>(*)[segment]>(part + r * segment));
      if (S > 1) sum = permute<T>(sum, from);
      store(out + r * lanes, min_keep_nan(max_keep_nan(sum + load(t.bias + r * lanes), lo), hi));
    }
    store_groups(t, a, first, pixels < at_once ? pixels : at_once, out);
  }
}

}  // namespace
}  // namespace nhwc
