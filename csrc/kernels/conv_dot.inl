// csrc/kernels/conv_dot.inl -- few output channels: vectors run along the input channels and are summed at the end
#pragma once

#include "kernels/conv_direct.inl"

namespace nhwc {
namespace {

/// Two vectors whose segments of 2 * S lanes are to be summed become one with segments of S lanes, taken in turn from a
/// and b.
template <class T, int S>
NHWC_INLINE Vec<T> add_halves(Vec<T> a, Vec<T> b) {
  constexpr int lanes = kLanes<T>;
  Vec<IntOf<T>> of_b = {}, other = {};  // what stays in its lane, which costs less than a shuffle, and what comes to it
  NHWC_UNROLL for (int l = 0; l < lanes; ++l) {
    of_b[l] = -(l / S % 2);
    other[l] = (l / S % 2) * lanes + (l ^ S);
  }
  return (of_b ? b : a) + permute2<T>(a, b, other);
}

/// Lane l of the result is the sum of the lanes of v[l]; as many vectors as lanes, or fewer by powers of two with
/// segments of S lanes.
template <class T, int S>
NHWC_INLINE Vec<T> sum_vectors(const Vec<T> (&v)[S]) {
  if constexpr (S == 1) {
    return v[0];
  } else {
    Vec<T> half[S / 2];
    NHWC_UNROLL for (int i = 0; i < S / 2; ++i) half[i] = add_halves<T, S / 2>(v[i], v[i + S / 2]);
    return sum_vectors<T, S / 2>(half);
  }
}

/// The clamped sums of the lanes of a whole vector of accumulators, each with its bias.
template <class T>
NHWC_INLINE Vec<T> dot_sums(const DotTile<T>& t, const Vec<T>* acc, int first) {
  constexpr int lanes = kLanes<T>;
  const Vec<T> sum = sum_vectors<T, lanes>(*reinterpret_cast<const Vec<T>(*)[lanes]>(acc + first));
  return min_keep_nan(max_keep_nan(sum + load(t.bias + first), set1(t.lo)), set1(t.hi));
}

/// Sums, adds the bias, clamps and stores mr * O accumulators, readable up to whole vectors of sums; one copy for all
/// tiles.
template <class T, int O>
__attribute__((noinline)) void finish_dot(const DotTile<T>& t, int64_t y_offset, const Vec<T>* acc, int mr) {
  constexpr int lanes = kLanes<T>;
  T out[kDotLanes];
  for (int first = 0; first < mr * O; first += lanes) store(out + first, dot_sums(t, acc, first));
  for (int m = 0; m < mr; ++m) {
    T* y = (t.y_step ? t.y[0] + m * t.y_step : t.y[m]) + y_offset;
    NHWC_UNROLL for (int j = 0; j < O; ++j) y[j] = out[m * O + j];
  }
}

/// How far ahead pixels are asked for: as far as memory is away while a tile takes few cycles.
template <class T>
constexpr int64_t kDotAhead = 4096 / sizeof(T);

/// Whether a tile is as large as they come, so that its sums nearly fill one vector: these are worth code of their own.
template <int MR, int O>
constexpr bool kWholeDots = MR == dot_pixels(kConvTiles[static_cast<int>(kIsa)], O) && MR * O <= kLanes<float>;

template <class T, int MR, int O, bool kEven>
NHWC_INLINE void one_dot(const DotTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>;
  constexpr bool kOneLoop = kFreeMasks && !(kEven && (kWholeDots<MR, O> || kWholeDots<MR + 1, O>));
  Vec<T> acc[MR][O];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = Vec<T>{};
  const int64_t whole = t.k / lanes * lanes;
  const int rest = static_cast<int>(t.k - whole);
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    const TilePixels<T, MR, kEven> a(t, tap, a_offset);
    if constexpr (kEven && kWholeDots<MR, O>) {
      if (t.prefetch && tap == t.taps - 1)
        for (int64_t k = 0; k < t.k; k += 64 / static_cast<int64_t>(sizeof(T)))
          NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, k) + kDotAhead<T>);
    }
    // Rare tiles read all vectors as the last: half the code.
    for (int64_t k = 0; k < (kOneLoop ? t.k : whole); k += lanes) {
      const int here = static_cast<int>(t.k - k < lanes ? t.k - k : lanes);
      Vec<T> b[O];
      NHWC_UNROLL for (int j = 0; j < O; ++j) b[j] = load(w + j * t.w_step + k);
      NHWC_UNROLL for (int m = 0; m < MR; ++m) {
        Vec<T> x = kOneLoop ? load_n(&a.at(m, k), here) : load(&a.at(m, k));
        if (O > 1) x = in_register(x);
        NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(x, b[j], acc[m][j]);
      }
    }
    if (kOneLoop || rest == 0) continue;
    NHWC_UNROLL for (int m = 0; m < MR; ++m) {
      const Vec<T> x = load_n(&a.at(m, whole), rest);
      NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(x, load(w + j * t.w_step + whole), acc[m][j]);
    }
  }
  constexpr int whole_sums = (MR * O + lanes - 1) / lanes * lanes;
  Vec<T> sums[whole_sums];  // a copy: an accumulator whose address is taken would live in memory
  NHWC_UNROLL for (int i = MR * O; i < whole_sums; ++i) sums[i] = Vec<T>{};
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) sums[m * O + j] = acc[m][j];
  if constexpr (kEven && kWholeDots<MR, O>) {
    const Vec<T> sum = dot_sums(t, sums, 0);
    T* y = t.y[0] + y_offset;
    if (t.y_step == O) return store_n(y, sum, MR * O);
    T out[lanes];
    store(out, sum);
    NHWC_UNROLL for (int m = 0; m < MR; ++m, y += t.y_step) __builtin_memcpy(y, out + m * O, O * sizeof(T));
    return;
  }
  finish_dot<T, O>(t, y_offset, sums, MR);
}

/// Tiles of pixels that fit one vector each, and whose outputs are adjacent: nothing but the sums takes time.
template <class T, int MR, int O>
void short_dots(DotTile<T> t) {
  constexpr int lanes = kLanes<T>;
  Vec<T> w[O];
  NHWC_UNROLL for (int j = 0; j < O; ++j) w[j] = load(t.w + t.tap_ids[0] * t.w_tap + j * t.w_step);
  const T* a = t.a[0] + t.a_offset;
  T* y = t.y[0] + t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, y += MR * O) {
    Vec<T> sums[lanes];
    NHWC_UNROLL for (int i = MR * O; i < lanes; ++i) sums[i] = Vec<T>{};
    NHWC_UNROLL for (int m = 0; m < MR; ++m, a += t.a_step) {
      const Vec<T> x = load_n(a, static_cast<int>(t.k));
      __builtin_prefetch(a + kDotAhead<T>);
      NHWC_UNROLL for (int j = 0; j < O; ++j) sums[m * O + j] = fma(x, w[j], Vec<T>{});
    }
    store_n(y, dot_sums(t, sums, 0), MR * O);
  }
}

template <class T, int MR, int O>
void dot_tile(const DotTile<T>& t) {
  one_dot<T, MR, O, false>(t, t.a_offset, t.y_offset);
}
template <class T, int MR, int O>
void even_dots(const DotTile<T>& t) {
  if constexpr (kWholeDots<MR, O>)
    if (t.taps == 1 && t.k <= kLanes<T> && t.y_step == O) return short_dots<T, MR, O>(t);
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step) one_dot<T, MR, O, true>(t, a, y);
}

/// The products of a vector of channels of MR pixels, which `read` widens.
template <int MR, int O, class X, class Read>
NHWC_INLINE void add_pixels(const X* x, int64_t step, const float* w, Vec<float> (&acc)[MR][O], const Read& read) {
  Vec<float> b[O];
  NHWC_UNROLL for (int j = 0; j < O; ++j) b[j] = load(w + j * kLanes<float>);
  NHWC_UNROLL for (int m = 0; m < MR; ++m, x += step) {
    const Vec<float> v = in_register(read(x));
    __builtin_prefetch(x + 2 * kDotAhead<float>);
    NHWC_UNROLL for (int j = 0; j < O; ++j) acc[m][j] = fma(v, b[j], acc[m][j]);
  }
}

/// All outputs of MR pixels at a time; the last ones overlap those before, as the last channels of several outputs do.
template <class X, int O>
void pixel_dots(const PixelDots& t) {
  constexpr int lanes = kLanes<float>, MR = dot_pixels(kConvTiles[static_cast<int>(kIsa)], O);
  static_assert(MR * O <= lanes);
  const int64_t whole = t.k / lanes * lanes;
  const int rest = static_cast<int>(t.k - whole);
  const Vec<float> bias = load(t.bias), lo = set1(t.lo), hi = set1(t.hi);
  for (int64_t i = 0; i < t.n; i += MR) {
    const int64_t first = i + MR <= t.n ? i : t.n - MR;
    const X* x = static_cast<const X*>(t.x) + first * t.step;
    const float* w = t.w;
    Vec<float> acc[MR][O] = {};
    for (int64_t k = 0; k < whole; k += lanes, w += O * lanes)
      add_pixels(x + k, t.step, w, acc, [](const X* at) { return widen(at); });
    if (O > 1 && rest > 0)
      add_pixels(x + (t.k - lanes), t.step, w, acc, [](const X* at) { return widen(at); });
    else if (rest > 0)
      add_pixels(x + whole, t.step, w, acc, [=](const X* at) { return widen_n(at, rest); });
    Vec<float> sums[lanes] = {};
    NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int j = 0; j < O; ++j) sums[m * O + j] = acc[m][j];
    X out[lanes];
    narrow(out, min_keep_nan(max_keep_nan(sum_vectors<float, lanes>(sums) + bias, lo), hi));
    __builtin_memcpy(static_cast<X*>(t.y) + first * O, out, MR * O * sizeof(X));
  }
}

}  // namespace
}  // namespace nhwc
