// csrc/kernels/conv_reader.h -- the implicit im2col: pointers [tap][pixel] into the input for one register tile
// Nothing is unfolded. A pixel outside the input points at a row of zeros; a tap without any pixel inside is left out.
// Where the pixels of a tile are evenly spaced, one pointer per tap stands for all of them.
// Knows no instruction set.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/arena.h"
#include "kernels/conv.h"
#include "kernels/conv_padded_rows.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {

/// One residue class of every axis, or a box of its outputs.
struct Phase {
  AxisPhase axis[3];
  int64_t step[3], period[3];
  int64_t pixels;  // outputs, over the whole batch
  int64_t taps;    // of the whole phase; merged: kernel rows
};

/// An output of a phase by its coordinates.
struct PixelAt {
  PixelAt() = default;
  PixelAt(const Phase& ph, int64_t m) {
    for (int a = 2; a >= 0; --a) {
      j[a] = ph.axis[a].begin + m % ph.axis[a].count;
      m /= ph.axis[a].count;
    }
    n = m;
  }
  void next(const Phase& ph) {
    for (int a = 2; a >= 0; --a) {
      if (++j[a] < ph.axis[a].end()) return;
      j[a] = ph.axis[a].begin;
    }
    ++n;
  }
  int64_t n = 0, j[3] = {};
};

/// The outputs of a tile cut at row ends: within a piece, input columns advance evenly.
struct RowPiece {
  int64_t n, j[3];
  int first, count;
};

/// The mr outputs from `at` on, which moves behind them.
inline int cut_rows(const Phase& ph, PixelAt& at, int mr, RowPiece* pieces) {
  int n = 0;
  for (int i = 0; i < mr;) {
    const int64_t room = ph.axis[2].end() - at.j[2];
    const int count = room < mr - i ? static_cast<int>(room) : mr - i;
    pieces[n++] = {at.n, {at.j[0], at.j[1], at.j[2]}, i, count};
    i += count;
    at.j[2] += count - 1;
    at.next(ph);
  }
  return n;
}

constexpr int64_t kNoRow = INT64_MIN;
constexpr int64_t kUneven = -1;

/// The offset of the input row that a piece reads through taps d and h, or kNoRow outside.
inline int64_t input_row(const ConvProblem& q, const int64_t* stride, const Phase& ph, const RowPiece& p, int64_t d,
                         int64_t h) {
  const int64_t id = ph.axis[0].taps[d].base + p.j[0] * ph.step[0], ih = ph.axis[1].taps[h].base + p.j[1] * ph.step[1];
  const bool in = static_cast<uint64_t>(id) < static_cast<uint64_t>(q.in[0]) &&
                  static_cast<uint64_t>(ih) < static_cast<uint64_t>(q.in[1]);
  return in ? p.n * stride[0] + id * stride[1] + ih * stride[2] : kNoRow;
}

/// A tap is one pixel of all channels.
template <class T>
class InputReader {
 public:
  /// zeros holds as many zeros as a pixel has channels.
  InputReader(const CpuPlan& plan, const ConvOperands& a, const T* zeros, Arena&, int64_t)
      : q_(plan.problem), x_(static_cast<const T*>(a.x)), s_(a.x_stride), zeros_(zeros) {}

  void new_chunk() {}

  /// Fills table [tap] for a piece whose pixels are `step` elements apart at every tap; returns the number of taps, or
  /// kUneven.
  int64_t fill_even(const Phase& ph, const RowPiece& p, const T** table, int64_t* ids, int64_t& step) {
    const AxisPhase& columns = ph.axis[2];
    const int64_t first = p.j[2] * ph.step[2], last = first + (p.count - 1) * ph.step[2];
    int64_t begin = 0, end = columns.n_taps;  // the taps that meet the input; the others lie beside it with all pixels
    while (begin < end && columns.taps[begin].base + last < 0) ++begin;
    while (end > begin && columns.taps[end - 1].base + first >= q_.in[2]) --end;
    if (begin < end && (columns.taps[begin].base + first < 0 || columns.taps[end - 1].base + last >= q_.in[2]))
      return kUneven;
    step = ph.step[2] * s_[3];
    int64_t taps = 0;
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d)
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h) {
        const int64_t row = input_row(q_, s_, ph, p, d, h);
        if (row == kNoRow) continue;
        const int64_t row_id = (ph.axis[0].taps[d].k * q_.kernel[1] + ph.axis[1].taps[h].k) * q_.kernel[2];
        for (int64_t w = begin; w < end; ++w) {
          table[taps] = x_ + row + (columns.taps[w].base + first) * s_[3];
          ids[taps++] = row_id + columns.taps[w].k;
        }
      }
    return taps;
  }

  /// Fills table [tap][mr] and ids [tap] for the mr outputs of n pieces; returns the number of taps.
  int64_t fill(const Phase& ph, const RowPiece* pieces, int n, int mr, const T** table, int64_t* ids) {
    const T* x = x_;  // these are read once: `table` could hide them
    const T* zeros = zeros_;
    const AxisPhase& columns = ph.axis[2];
    Place places[kMaxTilePixels];
    int64_t rows[kMaxTilePixels], taps = 0;
    const bool long_pieces = 5 * n <= mr;  // runs of pointers pay from five on
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d)
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h) {
        bool any_row = false;
        for (int i = 0; i < n; ++i) {
          rows[i] = input_row(q_, s_, ph, pieces[i], d, h);
          any_row |= long_pieces ? rows[i] != kNoRow : find_places(ph, pieces[i], rows[i], places + pieces[i].first);
        }
        if (!any_row) continue;
        const int64_t row_id = (ph.axis[0].taps[d].k * q_.kernel[1] + ph.axis[1].taps[h].k) * q_.kernel[2];
        for (int64_t w = 0; w < columns.n_taps; ++w) {
          const int64_t base = columns.taps[w].base, shift = base * s_[3];
          const T** to = table + taps * mr;
          bool any = false;
          if (long_pieces) {
            for (int i = 0; i < n; ++i)
              any |= fill_piece(rows[i], base + pieces[i].j[2] * ph.step[2], ph.step[2], pieces[i].count,
                                to + pieces[i].first);
            if (any) ids[taps++] = row_id + columns.taps[w].k;
            continue;
          }
          for (int m = 0; m < mr; ++m) {
            const bool in = static_cast<uint64_t>(places[m].column + base) < places[m].width;
            to[m] = in ? x + places[m].offset + shift : zeros;
            any |= in;
          }
          if (any) ids[taps++] = row_id + columns.taps[w].k;
        }
      }
    return taps;
  }

 private:
  /// What an output reads of an input row through a tap at column 0.
  struct Place {
    int64_t column, offset;
    uint64_t width;  // of the row; 0 where it is outside the input
  };

  /// `count` pixels of the row at offset `row` from `column` on; false where none is inside the input.
  bool fill_piece(int64_t row, int64_t column, int64_t step, int count, const T** to) const {
    const T* const zeros = zeros_;
    const int64_t end = row == kNoRow || column >= q_.in[2]      ? 0
                        : column + (count - 1) * step < q_.in[2] ? count
                                                                 : (q_.in[2] - 1 - column) / step + 1;
    const int64_t begin = column >= 0 ? 0 : std::min((-column + step - 1) / step, end);
    std::fill(to, to + begin, zeros);
    if (begin < end) {
      const T* x = x_ + row + (column + begin * step) * s_[3];
      const int64_t advance = step * s_[3];
      for (int64_t i = begin; i < end; ++i, x += advance) to[i] = x;
    }
    std::fill(to + end, to + count, zeros);
    return begin < end;
  }

  /// The places of a piece in the row at offset `row`; false where that is kNoRow.
  bool find_places(const Phase& ph, const RowPiece& p, int64_t row, Place* to) const {
    const bool in = row != kNoRow;
    const int64_t step = ph.step[2], advance = step * s_[3];
    Place at{p.j[2] * step, (in ? row : 0) + p.j[2] * advance, static_cast<uint64_t>(in ? q_.in[2] : 0)};
    for (int i = 0; i < p.count; ++i, at.column += step, at.offset += advance) to[i] = at;
    return in;
  }

  const ConvProblem& q_;
  const T* x_;
  const int64_t* s_;
  const T* zeros_;
};

/// Few channels: a kernel row is one run of kernel[2] * c values. Runs that cross the border, and those of an input
/// whose pixels are not adjacent, are copied into a patch.
template <class T>
class RowReader {
 public:
  RowReader(const CpuPlan& plan, const ConvOperands& a, const T* zeros, Arena& arena, int64_t pixels)
      : q_(plan.problem),
        x_(static_cast<const T*>(a.x)),
        s_(a.x_stride),
        zeros_(zeros),
        mr_(plan.mr),
        panels_((q_.o + plan.nr - 1) / plan.nr),
        patch_(arena.take<T>(pixels * q_.kernel[0] * q_.kernel[1] * copied_pixels(q_) * q_.c)),
        padded_(plan, a, arena) {}

  void new_chunk() {
    used_ = 0;
    padded_.clear();
  }

  int64_t fill_even(const Phase& ph, const RowPiece& p, const T** table, int64_t* ids, int64_t& step) {
    const int64_t first = ph.axis[2].taps[0].base + p.j[2] * ph.step[2];
    const int64_t pixels = (p.count - 1) * ph.step[2] + q_.kernel[2];
    const bool adjacent = s_[3] == q_.c;
    const bool in_place = adjacent && first >= 0 && first + pixels <= q_.in[2];
    if (!in_place && !padded_.any()) {
      if (pixels > p.count * copied_pixels(q_)) return kUneven;
      if (adjacent && p.count > mr_ && !saves_calls(first, pixels)) return kUneven;
    }
    step = ph.step[2] * q_.c;
    int64_t rows = 0;
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d)
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h) {
        const int64_t row = input_row(q_, s_, ph, p, d, h);
        if (row == kNoRow) continue;
        if (in_place) {
          table[rows] = x_ + row + first * q_.c;
        } else if (padded_.any()) {
          const T* whole = padded_.find(row);
          if (!whole) return kUneven;
          table[rows] = whole + first * q_.c;
        } else {
          table[rows] = patch(x_ + row, first, pixels);
        }
        ids[rows++] = ph.axis[0].taps[d].k * q_.kernel[1] + ph.axis[1].taps[h].k;
      }
    return rows;
  }

  int64_t fill(const Phase& ph, const RowPiece* pieces, int n, int mr, const T** table, int64_t* ids) {
    int64_t rows = 0;
    for (int64_t d = 0; d < ph.axis[0].n_taps; ++d)
      for (int64_t h = 0; h < ph.axis[1].n_taps; ++h) {
        bool any = false;
        for (int i = 0; i < n; ++i)
          any |=
              fill_runs(input_row(q_, s_, ph, pieces[i], d, h), ph.axis[2].taps[0].base + pieces[i].j[2] * ph.step[2],
                        ph.step[2], pieces[i].count, table + rows * mr + pieces[i].first);
        if (any) ids[rows++] = ph.axis[0].taps[d].k * q_.kernel[1] + ph.axis[1].taps[h].k;
      }
    return rows;
  }

 private:
  bool fill_runs(int64_t row, int64_t first, int64_t step, int count, const T** to) {
    const int64_t kernel = q_.kernel[2], last = first + (count - 1) * step;
    if (row == kNoRow || last + kernel <= 0 || first >= q_.in[2]) {
      for (int i = 0; i < count; ++i) to[i] = zeros_;
      return false;
    }
    const bool in_place = s_[3] == q_.c;
    if (in_place && first >= 0 && last + kernel <= q_.in[2]) {
      const T* x = x_ + row + first * q_.c;
      for (int i = 0; i < count; ++i) to[i] = x + i * step * q_.c;
      return true;
    }
    for (int i = 0; i < count; ++i, first += step) {
      if (in_place && first >= 0 && first + kernel <= q_.in[2])
        to[i] = x_ + row + first * q_.c;
      else
        to[i] = first < q_.in[2] && first + kernel > 0 ? patch(x_ + row, first, kernel) : zeros_;
    }
    return true;
  }

  /// n pixels of a row from iw on, zeros outside.
  const T* patch(const T* row, int64_t iw, int64_t n) {
    T* to = patch_ + used_;
    used_ += n * q_.c;
    copy_pixels(q_, row, s_[3], iw, n, to);
    return to;
  }

  /// Whether the copy of a row's pixels takes no longer than calls for the tiles at its borders alone: the cycles of
  /// each, of which there is one a panel.
  bool saves_calls(int64_t first, int64_t pixels) const {
    constexpr int64_t kCall = 180, kRow = 40, kValues = 8;
    const int64_t borders = (first < 0) + (first + pixels > q_.in[2]);
    return q_.kernel[0] * q_.kernel[1] * (kRow + pixels * q_.c / kValues) <= borders * panels_ * kCall;
  }

  const ConvProblem& q_;
  const T* x_;
  const int64_t* s_;
  const T* zeros_;
  int64_t mr_, panels_, used_ = 0;
  T* patch_;
  PaddedRows<T> padded_;
};

}  // namespace nhwc
