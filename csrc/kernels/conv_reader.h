// csrc/kernels/conv_reader.h -- the implicit im2col: pointers [tap][pixel] into the input for one register tile
// Nothing is unfolded. A pixel outside the input points at a row of zeros; a tap without any pixel inside is left out. Half
// types are widened into a patch, each pixel once per chunk of tiles. Knows no instruction set.
#pragma once

#include <cstring>

#include "kernels/arena.h"
#include "kernels/conv.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {

/// One residue class of every axis.
struct Phase {
  AxisPhase axis[3];
  int64_t step[3], period[3];
  int64_t pixels;  // outputs of this phase, over the whole batch
};

/// An output of a phase by its coordinates.
struct PixelAt {
  PixelAt(const Phase& ph, int64_t m) {
    for (int a = 2; a >= 0; --a) {
      j[a] = m % ph.axis[a].count;
      m /= ph.axis[a].count;
    }
    n = m;
  }
  void next(const Phase& ph) {
    for (int a = 2; a >= 0; --a) {
      if (++j[a] < ph.axis[a].count) return;
      j[a] = 0;
    }
    ++n;
  }
  int64_t n, j[3];
};

/// Finds the widened copy of a pixel by its offset in the input; open addressing, emptied per chunk.
template <class T, class S>
class PixelCache {
 public:
  PixelCache(const ConvKernels& k, Arena& arena, int64_t pixels, int64_t channels) : k_(k), channels_(channels) {
    while (mask_ < 2 * pixels) mask_ *= 2;
    slots_ = arena.take<Slot>(mask_--);
    patch_ = arena.take<T>(pixels * channels);
  }
  void clear() {
    std::memset(slots_, 0xff, static_cast<size_t>(mask_ + 1) * sizeof(Slot));
    used_ = 0;
  }
  const T* find(const S* x, int64_t offset) {
    int64_t i = static_cast<int64_t>(static_cast<uint64_t>(offset) * 0x9e3779b97f4a7c15u >> 32) & mask_;
    for (; slots_[i].index >= 0; i = (i + 1) & mask_)
      if (slots_[i].offset == offset) return patch_ + slots_[i].index * channels_;
    slots_[i] = {offset, used_};
    T* to = patch_ + used_++ * channels_;
    widen(k_, x + offset, to, channels_);
    return to;
  }

 private:
  struct Slot {
    int64_t offset, index;
  };
  const ConvKernels& k_;
  int64_t channels_, mask_ = 1, used_ = 0;
  Slot* slots_;
  T* patch_;
};

/// Pointers straight into the input.
template <class T>
class PixelCache<T, T> {
 public:
  PixelCache(const ConvKernels&, Arena&, int64_t, int64_t) {}
  void clear() {}
  const T* find(const T* x, int64_t offset) { return x + offset; }
};

template <class T, class S>
class InputReader {
 public:
  /// For chunks of at most `pixels` outputs; zeros holds as many zeros as a pixel has channels.
  InputReader(const ConvPlan& plan, const ConvOperands& a, const T* zeros, Arena& arena, int64_t pixels)
      : q_(plan.problem), x_(static_cast<const S*>(a.x)), s_(a.x_stride), zeros_(zeros),
        cache_(table_for(plan.isa).conv, arena, pixels * q_.kernel[0] * q_.kernel[1] * q_.kernel[2], q_.groups * q_.c) {}

  void new_chunk() { cache_.clear(); }

  /// Fills table [tap][mr] and ids [tap] for outputs m .. m + mr of the phase; returns the number of taps.
  int64_t fill(const Phase& ph, int64_t m, int mr, const T** table, int64_t* ids) {
    const PixelAt at(ph, m);
    return at.j[2] + mr <= ph.axis[2].count ? fill_row(ph, at, mr, table, ids) : fill_any(ph, at, mr, table, ids);
  }

 private:
  bool inside(int64_t i, int a) const { return static_cast<uint64_t>(i) < static_cast<uint64_t>(q_.in[a]); }

  /// All outputs in one row: whole kernel rows are inside or outside, and the columns advance evenly.
  int64_t fill_row(const Phase& ph, const PixelAt& at, int mr, const T** table, int64_t* ids) {
    int64_t taps = 0;
    const int64_t step = ph.step[2], origin = at.j[2] * step, reach = (mr - 1) * step;
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d) {
      const int64_t id = ph.axis[0].taps[d].base + at.j[0] * ph.step[0];
      if (!inside(id, 0)) continue;
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h) {
        const int64_t ih = ph.axis[1].taps[h].base + at.j[1] * ph.step[1];
        if (!inside(ih, 1)) continue;
        const int64_t row = at.n * s_[0] + id * s_[1] + ih * s_[2];
        const int64_t row_id = (ph.axis[0].taps[d].k * q_.kernel[1] + ph.axis[1].taps[h].k) * q_.kernel[2];
        for (int64_t w = 0; w < ph.axis[2].n_taps; ++w) {
          const int64_t first = ph.axis[2].taps[w].base + origin;
          if (first + reach < 0 || first >= q_.in[2]) continue;
          if (!fill_columns(row, first, step, mr, table + taps * mr)) continue;
          ids[taps++] = row_id + ph.axis[2].taps[w].k;
        }
      }
    }
    return taps;
  }

  bool fill_columns(int64_t row, int64_t first, int64_t step, int mr, const T** to) {
    if (first >= 0 && first + (mr - 1) * step < q_.in[2]) {
      for (int i = 0; i < mr; ++i) to[i] = cache_.find(x_, row + (first + i * step) * s_[3]);
      return true;
    }
    bool any = false;
    for (int i = 0; i < mr; ++i) {
      const int64_t iw = first + i * step;
      to[i] = inside(iw, 2) ? cache_.find(x_, row + iw * s_[3]) : zeros_;
      any |= inside(iw, 2);
    }
    return any;
  }

  int64_t fill_any(const Phase& ph, PixelAt at, int mr, const T** table, int64_t* ids) {
    int64_t batch[kMaxTilePixels], origin[3][kMaxTilePixels];
    for (int i = 0; i < mr; ++i, at.next(ph)) {
      batch[i] = at.n * s_[0];
      for (int a = 0; a < 3; ++a) origin[a][i] = at.j[a] * ph.step[a];
    }
    int64_t taps = 0;
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d)
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h)
        for (int64_t w = 0; w < ph.axis[2].n_taps; ++w) {
          const AxisTap t[3] = {ph.axis[0].taps[d], ph.axis[1].taps[h], ph.axis[2].taps[w]};
          const T** to = table + taps * mr;
          bool any = false;
          for (int i = 0; i < mr; ++i) {
            const int64_t p[3] = {t[0].base + origin[0][i], t[1].base + origin[1][i], t[2].base + origin[2][i]};
            const bool in = inside(p[0], 0) && inside(p[1], 1) && inside(p[2], 2);
            to[i] = in ? cache_.find(x_, batch[i] + p[0] * s_[1] + p[1] * s_[2] + p[2] * s_[3]) : zeros_;
            any |= in;
          }
          if (any) ids[taps++] = (t[0].k * q_.kernel[1] + t[1].k) * q_.kernel[2] + t[2].k;
        }
    return taps;
  }

  const ConvProblem& q_;
  const S* x_;
  const int64_t* s_;
  const T* zeros_;
  PixelCache<T, S> cache_;
};

/// Few channels: a kernel row is one run of kernel[2] * c values. Runs that cross the border, and those of an input whose
/// pixels are not adjacent or not of the compute type, are copied into a patch.
template <class T, class S>
class RowReader {
 public:
  RowReader(const ConvPlan& plan, const ConvOperands& a, const T* zeros, Arena& arena, int64_t pixels)
      : q_(plan.problem), k_(table_for(plan.isa).conv), x_(static_cast<const S*>(a.x)), s_(a.x_stride), zeros_(zeros),
        run_(q_.kernel[2] * q_.c), patch_(arena.take<T>(pixels * q_.kernel[0] * q_.kernel[1] * run_)) {}

  void new_chunk() { used_ = 0; }

  int64_t fill(const Phase& ph, int64_t m, int mr, const T** table, int64_t* ids) {
    PixelAt first(ph, m);
    int64_t rows = 0;
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d)
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h) {
        PixelAt at = first;
        bool any = false;
        for (int i = 0; i < mr; ++i, at.next(ph)) {
          const int64_t id = ph.axis[0].taps[d].base + at.j[0] * ph.step[0];
          const int64_t ih = ph.axis[1].taps[h].base + at.j[1] * ph.step[1];
          const int64_t iw = ph.axis[2].taps[0].base + at.j[2] * ph.step[2];
          const bool in = static_cast<uint64_t>(id) < static_cast<uint64_t>(q_.in[0]) &&
                          static_cast<uint64_t>(ih) < static_cast<uint64_t>(q_.in[1]) && iw < q_.in[2] &&
                          iw + q_.kernel[2] > 0;
          table[rows * mr + i] = in ? run(x_ + at.n * s_[0] + id * s_[1] + ih * s_[2], iw) : zeros_;
          any |= in;
        }
        if (any) ids[rows++] = ph.axis[0].taps[d].k * q_.kernel[1] + ph.axis[1].taps[h].k;
      }
    return rows;
  }

 private:
  const T* run(const S* row, int64_t iw) {
    if constexpr (std::is_same_v<S, T>)
      if (s_[3] == q_.c && iw >= 0 && iw + q_.kernel[2] <= q_.in[2]) return row + iw * q_.c;
    T* to = patch_ + used_;
    used_ += run_;
    const int64_t b = iw < 0 ? -iw : 0, e = iw + q_.kernel[2] > q_.in[2] ? q_.in[2] - iw : q_.kernel[2];
    std::memset(to, 0, static_cast<size_t>(b * q_.c) * sizeof(T));
    if (s_[3] == q_.c)
      widen(k_, row + (iw + b) * q_.c, to + b * q_.c, (e - b) * q_.c);
    else
      for (int64_t w = b; w < e; ++w) widen(k_, row + (iw + w) * s_[3], to + w * q_.c, q_.c);
    std::memset(to + e * q_.c, 0, static_cast<size_t>((q_.kernel[2] - e) * q_.c) * sizeof(T));
    return to;
  }

  const ConvProblem& q_;
  const ConvKernels& k_;
  const S* x_;
  const int64_t* s_;
  const T* zeros_;
  int64_t run_, used_ = 0;
  T* patch_;
};

}  // namespace nhwc
