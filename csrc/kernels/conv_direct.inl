// csrc/kernels/conv_direct.inl -- the register tile of the implicit GEMM: mr pixels x NV vectors of output channels
#pragma once

#include "kernels/conv_kernels.h"

namespace nhwc {
namespace {

#if defined(NHWC_MINIMAL)
constexpr bool kMinimal = true;  // no float64, no gradients of weights, one loop for a tile whatever its weights
#else
constexpr bool kMinimal = false;
#endif

/// Where a tile goes and what is done to it on the way: y[m][0..n) = clamp(acc (+ y) (+ bias) (+ what lies `residual`
/// behind y)) for m < rows.
template <class T>
struct TileEnd {
  T* const* y;
  int64_t y_offset;
  const T* bias;  // n values, or nullptr
  T lo, hi;
  int n, rows;
  bool add = false, clamp = true;
  int64_t y_step = 0;  // even tiles: y[0] + m * y_step
  int64_t residual = 0;
  T* row(int m) const { return (y_step ? y[0] + m * y_step : y[m]) + y_offset; }
};

/// The end of tiles that are cut off or added to what is there; one copy for all of them, where unrolling would cost
/// most of a kernel's size.
template <class T, int NV>
__attribute__((noinline)) void finish_part(const TileEnd<T>& e, const Vec<T>* acc) {
  constexpr int lanes = kLanes<T>;
  int n[NV];
  Vec<T> bias[NV];
  NHWC_UNROLL for (int v = 0; v < NV; ++v) {
    const int left = e.n - v * lanes;
    n[v] = left > lanes ? lanes : left < 0 ? 0 : left;
    bias[v] = e.bias ? load_n(e.bias + v * lanes, n[v]) : -Vec<T>{};
  }
  const Vec<T> lo = set1(e.lo), hi = set1(e.hi);
  const bool add = e.add;
  const int64_t residual = e.residual;
  for (int m = 0, rows = e.rows; m < rows; ++m, acc += NV) {
    T* row = e.row(m);
    NHWC_UNROLL for (int v = 0; v < NV; ++v) {
      T* y = row + v * lanes;
      Vec<T> x = acc[v];
      if (add) x += load_n(y, n[v]);
      x += bias[v];
      if (residual) x += load_n(y + residual, n[v]);
      x = min_keep_nan(max_keep_nan(x, lo), hi);
      if (n[v] == lanes)
        store(y, x);
      else
        store_n(y, x, n[v]);
    }
  }
}

/// An even tile whose last vector is cut off. Of whole vectors a masked store takes longer where memory is far.
template <class T, int MR, int NV>
NHWC_INLINE void store_part(const TileEnd<T>& e, const Vec<T> (&acc)[MR][NV]) {
  constexpr int lanes = kLanes<T>;
  const int last = e.n - (NV - 1) * lanes;
  Vec<T> bias[NV];
  NHWC_UNROLL for (int v = 0; v < NV; ++v) {
    const T* b = e.bias + v * lanes;
    bias[v] = !e.bias ? -Vec<T>{} : v == NV - 1 ? load_n(b, last) : load(b);
  }
  const Vec<T> lo = set1(e.lo), hi = set1(e.hi);
  T* y = e.row(0);
  NHWC_UNROLL for (int m = 0; m < MR; ++m, y += e.y_step) NHWC_UNROLL for (int v = 0; v < NV; ++v) {
    const Vec<T> x = min_keep_nan(max_keep_nan(acc[m][v] + bias[v], lo), hi);
    if (v < NV - 1)
      store(y + v * lanes, x);
    else
      store_n(y + v * lanes, x, last);
  }
}

/// The tiles of what is large: those smaller are rare in it, and not worth a copy of code.
template <int MR, int NV>
constexpr bool kLarge = kIsa == Isa::avx2 ? MR * NV >= 12 : (NV == 2 && MR >= 12) || (NV == 3 && MR >= 8);
/// Of these, with a loop and an end of their own for what is short or not clamped.
template <int MR, int NV>
constexpr bool kTwoLoops = kLarge<MR, NV> && !kMinimal;

template <class T, int MR, int NV, bool kEven, bool kStream, class F>
NHWC_INLINE void store_tile(const TileEnd<T>& e, const Vec<T> (&acc)[MR][NV], const Vec<T> (&bias)[NV], F f) {
  T* even = e.y[0] + e.y_offset;
  NHWC_UNROLL for (int m = 0; m < MR; ++m) {
    T* y = kEven ? even : e.y[m] + e.y_offset;
    NHWC_UNROLL for (int v = 0; v < NV; ++v) {
      const Vec<T> x = f(acc[m][v] + bias[v]);
      if constexpr (kStream)
        stream(y + v * kLanes<T>, x);
      else
        store(y + v * kLanes<T>, x);
    }
    even += e.y_step;
  }
}

template <class T, int MR, int NV, bool kEven = false, bool kStream = false>
NHWC_INLINE void finish_tile(const TileEnd<T>& e, const Vec<T> (&acc)[MR][NV]) {
  constexpr int lanes = kLanes<T>;
  if (e.n < NV * lanes || e.rows < MR || e.add || e.residual) {
    if constexpr (kEven && kFreeMasks && (MR >= 10 || (NV == 3 && MR >= 7)))
      if (!e.add && !e.residual) return store_part<T, MR, NV>(e, acc);
    const TileEnd<T> end = e;  // one that is not a copy would be written for whole tiles too
    Vec<T> part[MR * NV];      // a copy: an accumulator whose address is taken would live in memory
    NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) part[m * NV + v] = acc[m][v];
    finish_part<T, NV>(end, part);
    return;
  }
  Vec<T> bias[NV];  // -0 changes nothing, +0 would change -0
  NHWC_UNROLL for (int v = 0; v < NV; ++v) bias[v] = e.bias ? load(e.bias + v * lanes) : -Vec<T>{};
  if constexpr (kEven && (NV == 1 || NV >= 4 || (kTwoLoops<MR, NV> && !kStream))) {
    if (!e.clamp) return store_tile<T, MR, NV, kEven, kStream>(e, acc, bias, [](Vec<T> x) { return x; });
  }
  store_tile<T, MR, NV, kEven, kStream>(
      e, acc, bias, [lo = set1(e.lo), hi = set1(e.hi)](Vec<T> x) { return min_keep_nan(max_keep_nan(x, lo), hi); });
}

/// The pixels of a tile at one tap, each behind its pointer. There are more of them than registers: those that find one
/// are held, the others read from the table each time, rather than copied to places that are no better.
template <class T, int MR, bool kEven>
struct TilePixels {
  template <class Tile>
  NHWC_INLINE TilePixels(const Tile& t, int64_t tap, int64_t offset) : table_(t.a + tap * MR), offset_(offset) {
    NHWC_UNROLL for (int m = 0; m < kHeld; ++m) p_[m] = table_[m];
  }
  /// Before each step along the channels.
  NHWC_INLINE void next() { table_ = read_again(table_); }
  NHWC_INLINE const T& at(int m, int64_t k) const { return (m < kHeld ? p_[m] : table_[m])[offset_ + k]; }

 private:
  static constexpr int kHeld = MR < 7 || kManyPointers ? MR : 7;
  const T* p_[kHeld];
  const T* const* table_;
  int64_t offset_;
};
/// At fixed steps: few pointers stay in registers where a table of them would be read again for every product.
template <class T, int MR>
struct TilePixels<T, MR, true> {
  template <class Tile>
  NHWC_INLINE TilePixels(const Tile& t, int64_t tap, int64_t offset) : step_(t.a_step) {
    NHWC_UNROLL for (int i = 0; i < kBases; ++i) {
      p_[i] = t.a[tap] + offset + kPixels * i * step_;
      if (kManyPointers) p_[i] = read_again(p_[i]);  // else each would be made from the one before, every time
    }
  }
  NHWC_INLINE void next() {}
  NHWC_INLINE const T& at(int m, int64_t k) const { return (p_[m / kPixels] + k)[m % kPixels * step_]; }

 private:
  static constexpr int kPixels = kManyPointers ? 1 : 3, kBases = (MR + kPixels - 1) / kPixels;
  const T* p_[kBases];
  int64_t step_;
};

/// Whether one of several vectors that begin at a line is the first of it: to ask for one twice is a load more.
template <class T>
constexpr bool begins_line(int v) {
  return v * sizeof(Vec<T>) % 64 == 0;
}

/// Over k from 0 to `end`, weights a step apart.
template <bool kAsk, class T, int MR, int NV, bool kEven>
NHWC_INLINE void add_products(Vec<T> (&acc)[MR][NV], TilePixels<T, MR, kEven>& a, const T* w, int64_t step,
                              int64_t k_step, int64_t end) {
  constexpr int lanes = kLanes<T>;
  constexpr int64_t kAhead = 4096 / sizeof(T);  // weights beyond L2: 4 KB of prefetch gains 5-45 % (facts-cpu.md)
  for (int64_t k = 0; k != end; k += k_step) {
    Vec<T> b[NV];
    NHWC_UNROLL for (int v = 0; v < NV; ++v) {
      b[v] = load(w + v * lanes);
      if (kAsk && begins_line<T>(v)) ask_for(w + v * lanes + kAhead);
    }
    w += step;
    a.next();
    NHWC_UNROLL for (int m = 0; m < MR; ++m) {
      const Vec<T> x = splat(&a.at(m, k));
      NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = fma(x, b[v], acc[m][v]);
    }
  }
}

template <class T, int MR, int NV, bool kEven, bool kStream = false>
NHWC_INLINE void one_tile(const DirectTile<T>& t, int64_t a_offset, int64_t y_offset) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[MR][NV];
  NHWC_UNROLL for (int m = 0; m < MR; ++m) NHWC_UNROLL for (int v = 0; v < NV; ++v) acc[m][v] = Vec<T>{};
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const T* w = t.w + t.tap_ids[tap] * t.w_tap;
    TilePixels<T, MR, kEven> a(t, tap, a_offset);
    if (kEven && t.ahead) NHWC_UNROLL for (int m = 0; m < MR; ++m) __builtin_prefetch(&a.at(m, t.ahead));
    if constexpr (kEven && kLarge<MR, NV> && MR >= 8)
      if (t.prefetch_y && tap == 0) {
        const T* y = t.y[0] + y_offset + 2 * MR * t.y_step;
        NHWC_UNROLL for (int m = 0; m < MR; ++m, y += t.y_step) NHWC_UNROLL for (int v = 0; v < NV; ++v)
            __builtin_prefetch(y + v * lanes, 1);
      }
    const int64_t k_step = kEven ? t.k_step : 1, end = t.k * k_step;
    if (kIsa == Isa::neon || (kEven && (NV == 1 || NV >= 4 || (kTwoLoops<MR, NV> && !kStream && !t.weights_far))))
      add_products<false>(acc, a, w, t.w_step, k_step, end);
    else
      add_products<true>(acc, a, w, t.w_step, k_step, end);
  }
  finish_tile<T, MR, NV, kEven, kStream>(
      {t.y, y_offset, t.bias, t.lo, t.hi, t.n, MR, t.add, t.clamp, kEven ? t.y_step : 0, t.residual}, acc);
}

template <class T, int MR, int NV>
void direct_tile(const DirectTile<T>& t) {
  one_tile<T, MR, NV, false>(t, t.a_offset, t.y_offset);
}
/// kStream: every vector of y is a whole line, and goes past the caches.
template <class T, int MR, int NV, bool kStream = false>
void even_tiles(const DirectTile<T>& t) {
  int64_t a = t.a_offset, y = t.y_offset;
  for (int64_t i = 0; i < t.tiles; ++i, a += MR * t.a_step, y += MR * t.y_step)
    one_tile<T, MR, NV, true, kStream>(t, a, y);
}

}  // namespace
}  // namespace nhwc
