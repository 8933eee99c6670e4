// csrc/kernels/conv_amx.inl -- the kernels of a convolution on the matrix unit
#pragma once

#include <algorithm>

#include "kernels/conv_amx.h"
#include "simd/amx.h"

namespace nhwc {
namespace {

// Tiles 0 to 3 hold sums, 4 and 5 pixels, 6 and 7 weights.
constexpr int kPixelTile = 4, kWeightTile = 6;
constexpr int64_t kRowBytes = 64;

void begin_tiles(int pixels, int64_t depth) {
  TileShapes s;
  for (int t = 0; t < 8; ++t) {
    s.rows[t] = static_cast<uint8_t>(t < kWeightTile ? pixels : depth / 2);
    s.row_bytes[t] = static_cast<uint16_t>(t < kPixelTile || t >= kWeightTile ? kRowBytes : 2 * depth);
  }
  set_shapes(s);
}
void end_tiles() { release_tiles(); }

/// The weights of one part, at w, of the halves.
template <int kHalves>
NHWC_INLINE const BFloat16* load_weights(const BFloat16* w, int64_t half) {
  load_tile<kWeightTile>(w, kRowBytes);
  if constexpr (kHalves == 2) load_tile<kWeightTile + 1>(w + half, kRowBytes);
  return w;
}
template <int kTiles>
NHWC_INLINE void load_pixels(const AmxTile& t, int64_t at) {
  load_tile<kPixelTile>(t.x[0] + at, 2 * t.x_step);
  if constexpr (kTiles > 1) load_tile<kPixelTile + 1>(t.x[1] + at, 2 * t.x_step);
}
/// Two tiles by two halves stay in registers; more than two tiles are loaded as they are multiplied.
template <int kTiles, int kHalves>
NHWC_INLINE void multiply_all(const AmxTile& t, int64_t at) {
  multiply_tiles<0, kPixelTile, kWeightTile>();
  if constexpr (kHalves == 2) multiply_tiles<1, kPixelTile, kWeightTile + 1>();
  if constexpr (kTiles > 1) {
    multiply_tiles<kHalves, kPixelTile + 1, kWeightTile>();
    if constexpr (kHalves == 2) multiply_tiles<3, kPixelTile + 1, kWeightTile + 1>();
  }
  if constexpr (kTiles > 2) {
    load_tile<kPixelTile>(t.x[2] + at, 2 * t.x_step);
    multiply_tiles<2, kPixelTile, kWeightTile>();
  }
  if constexpr (kTiles > 3) {
    load_tile<kPixelTile + 1>(t.x[3] + at, 2 * t.x_step);
    multiply_tiles<3, kPixelTile + 1, kWeightTile>();
  }
}

template <int kParts, int kHalves, int kTiles>
void multiply_amx(const AmxTile& t) {
  constexpr int64_t kAhead = 8192 / sizeof(BFloat16);
  zero_tile<0>();
  zero_tile<1>();
  zero_tile<2>();
  zero_tile<3>();
  const int64_t half = 16 * t.depth, part = kHalves * half;
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const BFloat16* w = t.w + t.ids[tap] * t.w_tap;
    int64_t at = t.at[tap];
    for (int64_t s = 0; s < t.steps; ++s, at += t.depth, w += kParts * part) {
      if (t.ask)
        for (int64_t i = 0; i < kParts * part; i += 32) __builtin_prefetch(w + kAhead + i);
      if constexpr (kParts == 1) {
        load_weights<kHalves>(w, half);
        load_pixels<kTiles>(t, at);
        multiply_all<kTiles, kHalves>(t, at);
      } else {
        // The least products first: of the largest part of the pixels with all parts of the weights, of the next with
        // two, of the last with one.
        const BFloat16 *least = w, *middle = w + part, *most = w + 2 * part;
        const auto with = [&](int64_t x, const BFloat16* weights, bool fresh) {
          load_weights<kHalves>(weights, half);
          if (fresh || kTiles > 2) load_pixels<kTiles>(t, x);
          multiply_all<kTiles, kHalves>(t, x);
        };
        with(at, least, true);
        with(at, middle, false);
        with(at, most, false);
        with(at + t.x_part, most, true);
        with(at + t.x_part, middle, false);
        with(at + 2 * t.x_part, most, true);
      }
    }
  }
  constexpr int64_t kRow = 64 * kHalves, kTile = 16 * 16 * kHalves;
  store_tile<0>(t.m, kRow);
  if constexpr (kHalves == 2) store_tile<1>(t.m + 16, kRow);
  if constexpr (kTiles > 1) store_tile<kHalves>(t.m + kTile, kRow);
  if constexpr (kTiles > 1 && kHalves == 2) store_tile<3>(t.m + kTile + 16, kRow);
  if constexpr (kTiles > 2) store_tile<2>(t.m + 2 * kTile, kRow);
  if constexpr (kTiles > 3) store_tile<3>(t.m + 3 * kTile, kRow);
}

/// The sums of one pixel: a vector, or two.
template <int kHalves>
struct AmxSums {
  Vec<float> v[kHalves];
  NHWC_INLINE void store(float* y) const {
    NHWC_UNROLL for (int h = 0; h < kHalves; ++h) nhwc::store(y + h * kLanes<float>, v[h]);
  }
  NHWC_INLINE void store(BFloat16* y) const {
    if constexpr (kHalves == 2)
      narrow_sums(y, v[0], v[1]);
    else
      narrow_sum(y, v[0]);
  }
  NHWC_INLINE void store_n(float* y, int n) const {
    NHWC_UNROLL for (int h = 0; h < kHalves; ++h)
        nhwc::store_n(y + h * kLanes<float>, v[h], std::clamp(n - h * kLanes<float>, 0, kLanes<float>));
  }
  NHWC_INLINE void store_n(BFloat16* y, int n) const { narrow_sums_n(y, v[0], v[kHalves - 1], n); }
};

/// kPlain: no bias, no clamp, whole vectors; of them half of the time would go to what changes nothing.
template <class S, int kHalves, bool kPart, bool kPlain>
NHWC_INLINE void finish_pixels(const AmxEnd& e) {
  constexpr int lanes = kLanes<float>;
  const Vec<float> lo = set1(e.lo), hi = set1(e.hi);
  Vec<float> bias[kHalves], bad = {};
  int n[kHalves];
  NHWC_UNROLL for (int h = 0; h < kHalves; ++h) {
    n[h] = std::clamp(e.n - h * lanes, 0, lanes);
    bias[h] = e.bias ? load_n(e.bias + h * lanes, n[h]) : -Vec<float>{};
  }
  const float* m = e.m;
  for (int64_t p = 0; p < e.pixels; ++p, m += kHalves * lanes) {
    if (e.to[p] < 0) continue;
    S* y = static_cast<S*>(e.y) + e.to[p];
    AmxSums<kHalves> x;
    NHWC_UNROLL for (int h = 0; h < kHalves; ++h) {
      x.v[h] = load(m + h * lanes);
      bad = fma(x.v[h], Vec<float>{}, bad);  // NaN where a sum is not finite
      if constexpr (kPlain) continue;
      x.v[h] += bias[h];
      if constexpr (kPart && sizeof(S) == sizeof(float))
        if (e.residual) x.v[h] += load_n(y + e.residual + h * lanes, n[h]);
      x.v[h] = min_keep_nan(max_keep_nan(x.v[h], lo), hi);
    }
    if constexpr (kPart)
      x.store_n(y, e.n);
    else
      x.store(y);
  }
  if (has_nan(bad)) *e.not_finite = true;
}
template <class S, int kHalves>
void finish_amx(const AmxEnd& e) {
  if (e.n < kHalves * kLanes<float> || e.residual)
    finish_pixels<S, kHalves, true, false>(e);
  else if (e.bias || e.clamp)
    finish_pixels<S, kHalves, false, false>(e);
  else
    finish_pixels<S, kHalves, false, true>(e);
}

void copy_parts(const AmxPixels& c) {
  constexpr int lanes = kLanes<float>;
  const float* x = static_cast<const float*>(c.x);
  BFloat16* to = c.to;
  for (int64_t p = 0; p < c.pixels; ++p, x += c.x_step, to += c.to_step) {
    for (int64_t i = 0; i < c.width; i += 2 * lanes) {
      const int n = static_cast<int>(std::clamp<int64_t>(c.n - i, 0, 2 * lanes));
      const int width = static_cast<int>(std::min<int64_t>(c.width - i, 2 * lanes));
      const bool whole = n == 2 * lanes;
      Vec<float> first = whole ? load(x + i) : load_n(x + i, std::min(n, lanes)),
                 second = whole ? load(x + i + lanes) : load_n(x + i + lanes, std::max(n - lanes, 0));
      for (int part = 0; part < 3; ++part) {
        const bool last = part == 2;  // which is a bfloat16 number already, or NaN
        const Vec<float> a = last ? first : nearest_bf16(first), b = last ? second : nearest_bf16(second);
        BFloat16* const at = to + i + part * c.to_part;
        if (width == 2 * lanes)
          narrow_sums(at, a, b);
        else
          narrow_sums_n(at, a, b, width);
        first -= a;
        second -= b;
      }
    }
  }
}

void copy_pairs(const AmxPixels& c) {
  constexpr int lanes = 2 * kLanes<float>;
  const BFloat16* x = static_cast<const BFloat16*>(c.x);
  BFloat16* to = c.to;
  for (int64_t p = 0; p < c.pixels; ++p, x += c.x_step, to += c.to_step)
    for (int64_t i = 0; i < c.width; i += lanes)
      copy_padded(x + i, to + i, static_cast<int>(std::clamp<int64_t>(c.n - i, 0, lanes)),
                  static_cast<int>(std::min<int64_t>(c.width - i, lanes)));
}

void pack_amx(const AmxWeights& c) {
  constexpr int lanes = kLanes<float>;
  const int64_t halves = c.width / lanes, half = lanes * c.depth, part = halves * half;
  const auto row = [&](int64_t k, int64_t h) {
    return k < c.values ? load(c.w + k * c.width + h * lanes) : Vec<float>{};
  };
  for (int64_t k = 0; k < c.steps * c.depth; k += 2)
    for (int64_t h = 0; h < halves; ++h) {
      BFloat16* to = c.to + k / c.depth * c.parts * part + h * half + k % c.depth * lanes;
      Vec<float> even = row(k, h), odd = row(k + 1, h);
      for (int i = c.parts - 1; i >= 0; --i) {
        const Vec<float> most_even = i == 0 ? even : nearest_bf16(even), most_odd = i == 0 ? odd : nearest_bf16(odd);
        store_pairs(to + i * part, most_even, most_odd);
        even -= most_even;
        odd -= most_odd;
      }
    }
}

template <int kParts>
void add_multiply(AmxKernels& k) {
  auto& to = k.multiply[kParts == 3];
  to[0][1] = multiply_amx<kParts, 1, 1>;
  to[0][2] = multiply_amx<kParts, 1, 2>;
  to[0][3] = multiply_amx<kParts, 1, 3>;
  to[0][4] = multiply_amx<kParts, 1, 4>;
  to[1][1] = multiply_amx<kParts, 2, 1>;
  to[1][2] = multiply_amx<kParts, 2, 2>;
}

}  // namespace
}  // namespace nhwc
