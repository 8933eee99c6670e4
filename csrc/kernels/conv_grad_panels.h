// csrc/kernels/conv_grad_panels.h -- weight gradients, channels x channels: a task's blocks of pixels as matrix
// products Operands of many channels are copied, block by block, so that a tile reads whole lines that follow each
// other: in place its pixels would lie a multiple of 4096 bytes apart, of which the first-level cache holds few. One
// copy serves all products of the block.
#pragma once

#include <algorithm>

#include "kernels/arena.h"
#include "kernels/conv_grad.h"

namespace nhwc {

/// One operand of the products as the tiles read it. Channels are cut into pieces; of a block there is
/// [piece][row][phase][column][width]: columns that a run reads one after the other, `step` apart, are neighbours, and
/// those of one residue are a phase. flat: [row][column][pixel], as in memory.
template <class T>
struct GradSide {
  /// Pixels that are no multiple of this apart are read in place.
  static constexpr int64_t kPlacedBytes = 512;

  GradSide(const Grad<T>& g, int64_t channels, int64_t stride, bool vector, const GradShape& s)
      : n(channels), pixel(stride) {
    const int64_t mr = g.plan.mr, pad = (mr + g.f.lanes - 1) / g.f.lanes * g.f.lanes;
    width = vector ? s.width : pad;
    pieces = vector ? s.panels : (s.scalars + mr - 1) / mr;
    cut = vector ? pieces * width : s.scalars;
    flat = in_place = g.same && stride * int64_t(sizeof(T)) % kPlacedBytes != 0 && (!vector || n == cut);
  }
  int64_t first(int64_t piece) const { return piece * cut / pieces; }
  int64_t row_elems() const { return flat ? columns * pixel : int64_t(residues.size()) * columns * width; }
  /// Where a piece lies from the first one of the task.
  int64_t offset(int64_t piece) const { return flat ? first(piece) : (piece - begin) * piece_elems; }
  int64_t run_step() const { return flat ? step * pixel : width; }
  int64_t phase(int64_t residue) const {
    return std::find(residues.begin(), residues.end(), residue) - residues.begin();
  }
  void add_phase(int64_t residue) {
    if (phase(residue) == int64_t(residues.size())) residues.push_back(residue);
  }
  int64_t packed_elems(int64_t rows) const {
    return in_place ? 0 : (flat ? 1 : end - begin) * rows * row_elems() + width;
  }

  bool in_place, flat;
  int64_t n, pixel, pieces, width, cut;  // piece i begins with channel i * cut / pieces
  int64_t begin = 0, end = 0;            // pieces of the task
  int64_t step = 1, columns = 0, piece_elems = 0;
  ScratchVec<int64_t, 4> residues;
  T* packed = nullptr;
};

/// Memory that is read soon, fetched a few lines at a time between other work.
class Fetch {
 public:
  void clear() { spans_.clear(), next_ = 0, lines_ = 0; }
  void add(const void* p, int64_t bytes) {
    spans_.push_back({static_cast<const char*>(p), static_cast<const char*>(p) + bytes});
    lines_ += bytes / 64 + 1;
  }
  /// All of it will have been fetched after so many steps; nothing where a step would wait for it.
  void divide(int64_t steps) {
    per_step_ = lines_ / steps + 1;
    if (per_step_ > kMost) per_step_ = 0;
  }
  void step() {
    for (int64_t n = per_step_; n > 0 && next_ < spans_.size(); --n) {
      Span& s = spans_[next_];
      __builtin_prefetch(s.p, 0, 2);
      s.p += 64;
      if (s.p >= s.end) ++next_;
    }
  }

 private:
  static constexpr int64_t kMost = 96;
  struct Span {
    const char *p, *end;
  };
  ScratchVec<Span, 16> spans_;
  size_t next_ = 0;
  int64_t lines_ = 0, per_step_ = 0;
};

/// One task: [panel][tap][scalars][width] += the blocks [b0, b1).
template <class T>
class PanelTask {
 public:
  PanelTask(const Grad<T>& g, const GradShape& s)
      : g_(g),
        s_(s),
        max_rows_(std::min(g.rows_per_block, g.rows)),
        slots_(s.tap_rows_in_task > 1 ? 2 * max_rows_ + 8 : max_rows_),
        x_(g, g.q.c, g.a.x_stride[3], s.vector_is_c, s),
        gy_(g, g.q.o, g.a.gy_stride[3], !s.vector_is_c, s),
        arena_(layout()) {
    gy_rows_ = arena_.template take<int64_t>(max_rows_);
    x_rows_ = arena_.template take<InputRow>(max_rows_);
    held_ = arena_.template take<Held>(slots_);
    runs_ = arena_.template take<PixelRun<T>>(max_rows_);
    wide_ = arena_.template take<T>(wide_elems());
    x_.packed = arena_.template take<T>(x_.packed_elems(slots_));
    gy_.packed = arena_.template take<T>(gy_.packed_elems(max_rows_));
  }

  /// Kernel rows from `tap_row` on.
  void run(int64_t group, Columns panels, int64_t tap_row, int64_t b0, int64_t b1, T* acc) {
    const int64_t tap_rows = s_.tap_rows_in_task;
    const int64_t tap_elems = s_.scalars * s_.width, panel_elems = tap_rows * tap_count() * tap_elems;
    std::fill(acc, acc + (panels.end - panels.begin) * panel_elems, T(0));
    for (GradSide<T>* side : {&x_, &gy_}) side->begin = 0, side->end = side->pieces;
    vectors().begin = panels.begin, vectors().end = panels.end;
    std::fill(held_, held_ + slots_, Held{});
    for (int64_t b = b0; b < b1; ++b) {
      if (g_.pieces > 1) std::fill(held_, held_ + slots_, Held{});
      if (!enter(b)) continue;
      pack_gy(group);
      fetch_next(group, b + 1 < b1 ? b + 1 : b, tap_row + tap_rows - 1);
      for (int64_t r = 0; r < tap_rows; ++r) {
        if (!pack_x(group, b, tap_row + r)) continue;
        for (int64_t w = 0; w < tap_count(); ++w)
          if (const int64_t n = find_runs(group, w)) multiply(n, acc + (r * tap_count() + w) * tap_elems, panel_elems);
      }
    }
  }

 private:
  /// What a row of the block meets in a kernel row: the input row, its place in x and in the copy; -1: none.
  struct InputRow {
    int64_t row, offset, slot;
  };
  /// An input row that is in the copy, and the kernel row that needs it.
  struct Held {
    int64_t row = -1, tap_row = -1, block = -1;
  };

  GradSide<T>& vectors() { return s_.vector_is_c ? x_ : gy_; }
  GradSide<T>& scalars() { return s_.vector_is_c ? gy_ : x_; }
  int64_t tap_count() const { return int64_t(columns_.size()); }
  int64_t wide_elems() const { return g_.same ? 0 : std::max(x_.n, gy_.n); }

  /// Taps along the row, and how much of a row a block reads; the scratch they need.
  size_t layout() {
    const ConvProblem& q = g_.q;
    const int64_t outputs = (q.out[2] + g_.pieces - 1) / g_.pieces;
    x_.step = g_.axes[2].step, gy_.step = g_.axes[2].period;
    const int64_t span = ((outputs + gy_.step - 1) / gy_.step - 1) * x_.step;
    gy_.columns = (outputs - 1) / gy_.step + 2;
    if (s_.merged) {
      columns_.push_back({0, -q.pad[2], 1, x_.step});
      gy_.residues.push_back(0);
      x_.in_place = false, x_.flat = true;
      x_.pixel = q.c;
      x_.columns = span + q.kernel[2];
    } else {
      int64_t lo = INT64_MAX, hi = 0;
      for (int64_t w = 0; w < q.kernel[2]; ++w) {
        const TapAxis t = find_tap(g_.axes[2], w);
        columns_.push_back(t);
        if (t.r < 0) continue;
        lo = std::min(lo, t.base), hi = std::max(hi, t.base);
        x_.add_phase(residue(t.base));
        gy_.add_phase(t.r);
      }
      x_.columns = std::min(q.in[2], std::max<int64_t>(0, hi - lo) + span) / x_.step + 2;
    }
    vectors().end = s_.panels_in_task;
    scalars().end = scalars().pieces;
    x_.piece_elems = slots_ * x_.row_elems();
    gy_.piece_elems = max_rows_ * gy_.row_elems();
    return static_cast<size_t>(max_rows_) * (sizeof(int64_t) + sizeof(InputRow) + sizeof(PixelRun<T>)) +
           static_cast<size_t>(slots_) * sizeof(Held) + 1024 +
           static_cast<size_t>(x_.packed_elems(slots_) + gy_.packed_elems(max_rows_) + wide_elems()) * sizeof(T);
  }
  int64_t residue(int64_t column) const { return (column % x_.step + x_.step) % x_.step; }

  /// The input columns [begin, end) that a segment meets; with merged taps also such as do not exist.
  Columns input_columns(const Segment& s) const {
    if (s_.merged) {
      const int64_t begin = s.w0 * x_.step - g_.q.pad[2];
      return {begin, begin + (s.w1 - 1 - s.w0) * x_.step + g_.q.kernel[2]};
    }
    Columns found{INT64_MAX, INT64_MIN};
    for (const TapAxis& t : columns_) {
      if (t.r < 0) continue;
      const Columns c = within(t, valid_columns(t, g_.q.in[2]), s);
      if (c.begin >= c.end) continue;
      found.begin = std::min(found.begin, t.base + c.begin * t.step);
      found.end = std::max(found.end, t.base + (c.end - 1) * t.step + 1);
    }
    return found;
  }

  /// The rows and columns of a block; false where no tap meets an input.
  bool enter(int64_t block) {
    std::tie(row0_, row1_) = g_.rows_of(block);
    block_ = block;
    segment_ = g_.segment(row0_, block);
    x_columns_ = input_columns(segment_);
    return x_columns_.begin < x_columns_.end;
  }

  InputRow input_row(int64_t row, int64_t block, const TapAxis& d, const TapAxis& h) const {
    const ConvProblem& q = g_.q;
    const Segment s = g_.segment(row, block);
    const int64_t id = input_of(d, s.d, q.in[0]), ih = input_of(h, s.h, q.in[1]);
    if (id < 0 || ih < 0) return {-1, 0, 0};
    return {(s.n * q.in[0] + id) * q.in[1] + ih, g_.x_row(s, id, ih), 0};
  }
  TapAxis tap_d(int64_t tap_row) const { return find_tap(g_.axes[0], tap_row / g_.q.kernel[1]); }
  TapAxis tap_h(int64_t tap_row) const { return find_tap(g_.axes[1], tap_row % g_.q.kernel[1]); }

  const char* gy_row(int64_t group, int64_t i) const { return g_.gy(group * g_.q.o + gy_rows_[i]); }

  void pack_gy(int64_t group) {
    for (int64_t row = row0_; row < row1_; ++row) {
      gy_rows_[row - row0_] = g_.gy_row(g_.segment(row, block_));
      if (!gy_.in_place)
        pack_row(gy_, gy_row(group, row - row0_), g_.a.gy_stride[3], row - row0_, segment_.w0, segment_.w1);
    }
  }

  /// The input rows that the block meets in a kernel row, copied unless they are there; false where there is none.
  bool pack_x(int64_t group, int64_t block, int64_t tap_row) {
    const TapAxis d = tap_d(tap_row), h = tap_h(tap_row);
    bool any = false;
    for (int64_t i = 0; i < row1_ - row0_; ++i) {
      InputRow& r = x_rows_[i] = input_row(row0_ + i, block, d, h);
      if (r.row < 0) continue;
      any = true;
      if (x_.in_place) continue;
      r.slot = r.row % slots_;
      while (held_[r.slot].row != r.row && held_[r.slot].tap_row == tap_row && held_[r.slot].block == block)
        r.slot = (r.slot + 1) % slots_;
      const bool there = held_[r.slot].row == r.row;
      held_[r.slot] = {r.row, tap_row, block};
      if (there) continue;
      if (s_.merged)
        pack_merged(g_.x(group * g_.q.c + r.offset), x_.packed + r.slot * x_.row_elems());
      else
        pack_row(x_, g_.x(group * g_.q.c + r.offset), g_.a.x_stride[3], r.slot, x_columns_.begin, x_columns_.end);
    }
    return any;
  }

  /// While this block is multiplied, the pixels that the next one copies come near; those of flat sides do so by
  /// themselves.
  void fetch_next(int64_t group, int64_t block, int64_t last_tap_row) {
    fetch_.clear();
    if (g_.q.groups > 1 || block == block_) return;
    const auto [row0, row1] = g_.rows_of(block);
    const TapAxis d = tap_d(last_tap_row), h = tap_h(last_tap_row);
    const Columns columns = input_columns(g_.segment(row0, block));
    const bool x = !x_.flat && x_.end - x_.begin == x_.pieces, gy = !gy_.flat && gy_.end - gy_.begin == gy_.pieces;
    for (int64_t row = row0; row < row1; ++row) {
      const Segment s = g_.segment(row, block);
      if (gy)
        fetch_.add(g_.gy(group * g_.q.o + g_.gy_row(s) + s.w0 * g_.a.gy_stride[3]),
                   (s.w1 - s.w0) * g_.a.gy_stride[3] * g_.stored);
      const InputRow r = input_row(row, block, d, h);
      const int64_t begin = std::max<int64_t>(columns.begin, 0), end = std::min(columns.end, g_.q.in[2]);
      if (x && r.row >= 0 && begin < end)
        fetch_.add(g_.x(group * g_.q.c + r.offset + begin * g_.a.x_stride[3]),
                   (end - begin) * g_.a.x_stride[3] * g_.stored);
    }
    fetch_.divide(s_.tap_rows_in_task * tap_count() * (vectors().end - vectors().begin) * scalars().pieces);
  }

  /// Columns [lo, hi) of one row, phase by phase.
  void pack_row(const GradSide<T>& side, const char* row, int64_t stride, int64_t slot, int64_t lo, int64_t hi) {
    T* to = side.packed + slot * side.row_elems();
    for (const int64_t residue : side.residues) {
      const int64_t skip = ceil_div(lo - residue, side.step), n = ceil_div(hi - residue, side.step) - skip;
      // A phase may begin one column late.
      GradPack<T> p{
          nullptr,         side.step * stride, n,        side.n,     side.cut,
          side.pieces,     side.begin,         side.end, side.width, to + (skip - lo / side.step) * side.width,
          side.piece_elems};
      const char* from = row + (skip * side.step + residue) * stride * g_.stored;
      if (g_.same) {
        p.src = reinterpret_cast<const T*>(from);
        g_.f.grad_pack(p);
      } else {
        p.src = wide_, p.pixels = 1;
        for (int64_t i = 0; i < n; ++i, p.dst += side.width) {
          g_.widen(from + i * side.step * stride * g_.stored, wide_, side.n);
          g_.f.grad_pack(p);
        }
      }
      to += side.columns * side.width;
    }
  }

  /// Columns [x_columns_.begin, x_columns_.end) of one row as they are, zeros where there is no input.
  void pack_merged(const char* row, T* to) {
    const int64_t c = g_.q.c, stride = g_.a.x_stride[3];
    const int64_t begin = std::clamp<int64_t>(0, x_columns_.begin, x_columns_.end),
                  end = std::clamp(g_.q.in[2], begin, x_columns_.end);
    to = std::fill_n(to, (begin - x_columns_.begin) * c, T(0));
    if (stride == c) {
      g_.widen(row + begin * c * g_.stored, to, (end - begin) * c);
      to += (end - begin) * c;
    } else {
      for (int64_t w = begin; w < end; ++w, to += c) g_.widen(row + w * stride * g_.stored, to, c);
    }
    std::fill_n(to, (x_columns_.end - end) * c, T(0));
  }

  /// The pixels of tap w, row by row; rows that follow each other in both operands are one run.
  int64_t find_runs(int64_t group, int64_t w) {
    const TapAxis& t = columns_[static_cast<size_t>(w)];
    if (t.r < 0) return 0;
    const Columns c = within(t, s_.merged ? Columns{} : valid_columns(t, g_.q.in[2]), segment_);
    if (c.begin >= c.end) return 0;
    const int64_t ow = t.r + c.begin * t.period, iw = t.base + c.begin * t.step, count = c.end - c.begin;
    int64_t n = 0;
    for (int64_t i = 0; i < row1_ - row0_; ++i) {
      if (x_rows_[i].row < 0) continue;
      const T* x = at(x_, g_.x(group * g_.q.c + x_rows_[i].offset), x_rows_[i].slot, iw, x_columns_.begin);
      const T* gy = at(gy_, gy_row(group, i), i, ow, segment_.w0);
      const T *a = s_.vector_is_c ? gy : x, *b = s_.vector_is_c ? x : gy;
      PixelRun<T>& last = runs_[n - (n > 0)];
      if (n > 0 && a == last.a + last.n * scalars().run_step() && b == last.b + last.n * vectors().run_step())
        last.n += count;
      else
        runs_[n++] = {a, b, count};
    }
    return n;
  }
  /// A column of a row, in place or in the copy.
  static const T* at(const GradSide<T>& side, const char* row, int64_t slot, int64_t column, int64_t lo) {
    if (side.in_place) return reinterpret_cast<const T*>(row) + column * side.pixel;
    const T* p = side.packed + slot * side.row_elems();
    if (side.flat) return p + (column - lo) * side.pixel;
    return p + (side.phase(column % side.step) * side.columns + column / side.step - lo / side.step) * side.width;
  }

  void multiply(int64_t n_runs, T* acc, int64_t panel_elems) {
    const GradSide<T>&scalar = scalars(), &vec = vectors();
    GradTile<T> tile{runs_, n_runs, scalar.run_step(), vec.run_step(), 0, 0, nullptr, s_.width};
    for (int64_t p = vec.begin; p < vec.end; ++p, acc += panel_elems) {
      tile.b_offset = vec.offset(p);
      for (int64_t i = 0, m0 = 0, m1; i < scalar.pieces; ++i, m0 = m1) {
        fetch_.step();
        m1 = scalar.first(i + 1);
        tile.a_offset = scalar.offset(i);
        tile.acc = acc + m0 * s_.width;
        g_.f.grad[s_.width > g_.f.lanes][m1 - m0](tile);
      }
    }
  }

  const Grad<T>& g_;
  const GradShape& s_;
  int64_t max_rows_, slots_;  // rows of a block; input rows in the copy
  ScratchVec<TapAxis, 8> columns_;
  GradSide<T> x_, gy_;
  Arena arena_;
  int64_t* gy_rows_;
  InputRow* x_rows_;
  Held* held_;
  PixelRun<T>* runs_;
  T* wide_;  // one pixel in the compute type
  Fetch fetch_;
  // Of the block.
  int64_t block_ = 0, row0_ = 0, row1_ = 0;
  Columns x_columns_;
  Segment segment_{};
};

}  // namespace nhwc
