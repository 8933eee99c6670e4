// csrc/kernels/conv_tasks.h -- cuts a forward-like convolution into tasks: phases, register tiles, chunks of them,
// panels Knows no type of the operands, so it is compiled once.
#pragma once

#include <algorithm>

#include "kernels/conv_pack.h"
#include "kernels/conv_reader.h"

namespace nhwc {

inline constexpr int64_t kEnoughTasks = 32;  // below it the panels are divided among threads too

/// n things in parts whose sizes differ by one at most: the first `larger` have size + 1.
struct EvenCut {
  EvenCut() = default;
  EvenCut(int64_t n, int64_t parts) : size(n / parts), larger(n % parts) {}
  int64_t begin(int64_t part) const { return size * part + std::min(part, larger); }
  int64_t size = 0, larger = 0;
};

/// How the outputs of a phase are cut into register tiles: along rows where those fill a tile well, else across them;
/// evenly, so that no tile is small.
struct TileSplit {
  TileSplit(const Phase& ph, int mr) : line(ph.axis[2].count) {
    if (ph.pixels == 0) return;
    per_line = (line + mr - 1) / mr;
    if (10 * line >= 7 * mr * per_line) {
      tiles = ph.pixels / line * per_line;
    } else {
      line = ph.pixels;
      tiles = per_line = (line + mr - 1) / mr;
    }
    size = line / per_line;
    larger = line % per_line;
  }
  /// Tiles in their order, without a division for each.
  struct Cursor {
    int64_t pixel, in_line;  // the first output of the tile, and its number in its line
  };
  Cursor at(int64_t tile) const {
    const int64_t i = tile % per_line;
    return {tile / per_line * line + size * i + std::min(i, larger), i};
  }
  /// The outputs of the tile; moves on to the next.
  int step(Cursor& c) const {
    const int64_t n = size + (c.in_line < larger);
    c.pixel += n;
    if (++c.in_line == per_line) c.in_line = 0;
    return static_cast<int>(n);
  }
  /// How many tiles like the one of `mr` before the cursor, itself included, follow in its row, which has `room`.
  int same_size(const Cursor& c, int64_t most, int64_t room, int mr) const {
    if (c.in_line == 0) return 1;
    const int64_t alike = 1 + (mr > size ? larger : per_line) - c.in_line;
    return static_cast<int>(std::max<int64_t>(1, std::min({most, alike, room / mr})));
  }
  int64_t line, per_line = 1, tiles = 0, size = 0, larger = 0;
};

/// A run of the loop nest: what all its tasks share, whatever the types.
struct RunShape {
  RunShape(const ConvPlan& p, const ConvOperands& operands, int64_t begin, int64_t end)
      : plan(p),
        q(p.problem),
        a(operands),
        k(table_for(p.isa).conv),
        layout(p),
        first_panel(begin),
        panels(end - begin),
        axes{{q, 0}, {q, 1}, {q, 2}},
        channels(q.groups * q.o) {}

  Phase phase(int64_t i) const {
    Phase ph;
    ph.pixels = q.batch;
    for (int x = 2; x >= 0; --x) {
      ph.axis[x] = axes[x].phase(i % axes[x].phases());
      i /= axes[x].phases();
      ph.step[x] = axes[x].step;
      ph.period[x] = axes[x].period;
      ph.pixels *= ph.axis[x].count;
    }
    return ph;
  }
  int64_t phases() const { return axes[0].phases() * axes[1].phases() * axes[2].phases(); }
  /// The element of y where a piece begins.
  int64_t output(const Phase& ph, const RowPiece& at) const {
    int64_t i = at.n;
    for (int x = 0; x < 3; ++x) i = i * q.out[x] + ph.axis[x].first + at.j[x] * ph.period[x];
    return i * channels;
  }
  /// Whether a task computes all channels of its tiles.
  bool channelwise() const {
    return plan.algorithm == ConvAlgorithm::depthwise || plan.algorithm == ConvAlgorithm::grouped;
  }
  /// Values that a tap (of a merged plan: a row of taps) reads.
  int64_t run_length() const { return is_merged(plan.algorithm) ? q.kernel[2] * q.c : q.c; }

  const ConvPlan& plan;
  const ConvProblem& q;
  const ConvOperands& a;
  const ConvKernels& k;
  PackedLayout layout;
  int64_t first_panel, panels;
  AxisPhases axes[3];
  int64_t channels;
};

/// Tiles [first, last) of a phase by panels [begin, end).
struct ChunkTask {
  const Phase& phase;
  const TileSplit& split;
  int64_t first, last, begin, end;
};

class TaskList {
 public:
  explicit TaskList(const RunShape& r) : n_phases_(r.phases()), first_panel_(r.first_panel), panels_(r.panels) {
    for (int64_t i = 0; i < n_phases_; ++i) {
      phases_.emplace_back(r, i);
      chunks_ = std::max(chunks_, (phases_[i].split.tiles + r.plan.chunk_tiles - 1) / r.plan.chunk_tiles);
    }
    for (int64_t i = 0; i < n_phases_ && chunks_ > 0; ++i) phases_[i].tiles = {phases_[i].split.tiles, chunks_};
    const double flops = 2.0 * static_cast<double>(r.q.batch * r.q.out[0] * r.q.out[1] * r.q.out[2]) *
                         static_cast<double>(r.panels) * static_cast<double>(r.layout.full_elems);
    if (!r.channelwise() && flops > kInlineFlops && chunks_ * n_phases_ < kEnoughTasks)
      parts_ = std::min(r.panels, (kEnoughTasks + chunks_ * n_phases_ - 1) / (chunks_ * n_phases_));
    panel_parts_ = {panels_, parts_};
    grain_ = grain_of(size(), flops);
  }
  int64_t size() const { return chunks_ * n_phases_ * parts_; }
  int64_t grain() const { return grain_; }
  ChunkTask operator[](int64_t task) const {
    int64_t part = 0, phase = 0, chunk = task;
    if (parts_ > 1) part = chunk % parts_, chunk /= parts_;
    if (n_phases_ > 1) phase = chunk % n_phases_, chunk /= n_phases_;
    const Part& p = phases_[phase];
    return {p.phase,
            p.split,
            p.tiles.begin(chunk),
            p.tiles.begin(chunk + 1),
            first_panel_ + panel_parts_.begin(part),
            first_panel_ + panel_parts_.begin(part + 1)};
  }

 private:
  struct Part {
    Part(const RunShape& r, int64_t i) : phase(r.phase(i)), split(phase, r.plan.mr) {}
    Phase phase;
    TileSplit split;
    EvenCut tiles;  // into chunks
  };
  InlineVec<Part, 4> phases_;
  int64_t n_phases_, chunks_ = 0, parts_ = 1, grain_;  // parts: of the panels; each reads the tiles anew
  int64_t first_panel_, panels_;
  EvenCut panel_parts_;
};

}  // namespace nhwc
