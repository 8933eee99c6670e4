// csrc/kernels/conv_tasks.h -- cuts a forward-like convolution into tasks: phases, boxes, register tiles, chunks of
// them, panels. Knows no type of the operands, so it is compiled once.
#pragma once

#include <algorithm>

#include "kernels/conv_pack.h"
#include "kernels/conv_reader.h"
#include "plan/conv_chunk.h"
#include "plan/conv_cut.h"

namespace nhwc {

inline constexpr int64_t kEnoughTasks =
    32;                                     // below it chunks are smaller, and the panels are divided among threads too
inline constexpr int64_t kSharedTiles = 4;  // that read a panel of weights at least where it is not in L1

/// n things in parts whose sizes differ by one at most: the first `larger` have size + 1.
struct EvenCut {
  EvenCut() = default;
  EvenCut(int64_t n, int64_t parts) : size(n / parts), larger(n % parts) {}
  int64_t begin(int64_t part) const { return size * part + std::min(part, larger); }
  int64_t size = 0, larger = 0;
};

/// A run of the loop nest: what all its tasks share, whatever the types.
struct RunShape {
  RunShape(const CpuPlan& p, const ConvOperands& operands, int64_t begin, int64_t end)
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
    ph.taps = ph.axis[0].n_taps * ph.axis[1].n_taps * (is_merged(plan.algorithm) ? 1 : ph.axis[2].n_taps);
    return ph;
  }
  /// Visits the boxes of a phase, each as one of its own.
  template <class Visit>
  void for_boxes(Phase ph, Visit visit) const {
    if (!plan.cut) return visit(ph);
    ConvBoxes boxes;
    cut_phase(q, plan.tile_costs, {{ph.axis[0], ph.axis[1], ph.axis[2]}}, ph.step, boxes);
    for (const ConvBox& box : boxes) {
      ph.pixels = q.batch;
      for (int x = 0; x < 3; ++x) {
        ph.axis[x] = box.axis[x];
        ph.pixels *= box.axis[x].count;
      }
      visit(ph);
    }
  }
  /// Whether the outputs of a phase meet no input and are left to fill_unreached().
  bool filled(const Phase& ph) const { return ph.taps == 0 && a.residual_from_y == 0; }
  bool fills() const {
    for (int64_t i = 0; i < phases(); ++i)
      if (filled(phase(i))) return true;
    return false;
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

  const CpuPlan& plan;
  const ConvProblem& q;
  const ConvOperands& a;
  const ConvKernels& k;
  PackedLayout layout;
  int64_t first_panel, panels;
  AxisPhases axes[3];
  int64_t channels;
};

/// Outputs of one phase that are cut into tiles together; `first` tiles of the phase come before them.
struct TaskBox {
  TaskBox(const Phase& ph, int mr, int64_t tiles_before)
      : phase(ph), split(ph.axis[2].count, ph.pixels, mr), first(tiles_before) {}
  Phase phase;
  TileSplit split;
  int64_t first;
};

/// Tiles [first, last) of a phase by panels [begin, end); `box` is the one that holds the first.
struct ChunkTask {
  const TaskBox* box;
  int64_t first, last, begin, end;
};

class TaskList {
 public:
  explicit TaskList(const RunShape& r) : first_panel_(r.first_panel), panels_(r.panels) {
    int64_t all = 0;
    for (int64_t i = 0; i < r.phases(); ++i) {
      const Phase phase = r.phase(i);
      if (r.filled(phase)) continue;
      phases_.push_back({static_cast<int64_t>(boxes_.size()), 0, 1, {}});
      int64_t& tiles = phases_.back().tiles;
      r.for_boxes(phase, [&](const Phase& ph) {
        boxes_.emplace_back(ph, r.plan.mr, tiles);
        tiles += boxes_.back().split.tiles;
      });
      all += tiles;
    }
    n_phases_ = static_cast<int64_t>(phases_.size());
    const double flops = 2.0 * static_cast<double>(r.q.batch * r.q.out[0] * r.q.out[1] * r.q.out[2]) *
                         static_cast<double>(r.panels) / static_cast<double>(r.layout.panels()) *
                         static_cast<double>(r.layout.elems());
    int64_t chunk = r.plan.chunk_tiles;
    if (flops > kInlineFlops)
      chunk = std::clamp((all + kEnoughTasks - 1) / kEnoughTasks, std::min(chunk, kSharedTiles), chunk);
    for (PhaseTiles& p : phases_) {
      p.unit = unit(p, chunk);
      const int64_t units = p.tiles / p.unit, at_once = chunk / p.unit;
      chunks_ = std::max(chunks_, (units + at_once - 1) / at_once);
    }
    for (PhaseTiles& p : phases_)
      if (chunks_ > 0) p.chunks = {p.tiles / p.unit, chunks_};
    if (!r.channelwise() && flops > kInlineFlops && chunks_ > 0 && chunks_ * n_phases_ < kEnoughTasks)
      parts_ = std::min((r.panels + least_panels(r) - 1) / least_panels(r),
                        (kEnoughTasks + chunks_ * n_phases_ - 1) / (chunks_ * n_phases_));
    panel_parts_ = {panels_, parts_};
    grain_ = grain_of(size(), flops);
  }
  int64_t size() const { return chunks_ * n_phases_ * parts_; }
  int64_t grain() const { return grain_; }
  ChunkTask operator[](int64_t task) const {
    int64_t part = 0, phase = 0, chunk = task;
    if (parts_ > 1) part = chunk % parts_, chunk /= parts_;
    if (n_phases_ > 1) phase = chunk % n_phases_, chunk /= n_phases_;
    const PhaseTiles& p = phases_[static_cast<size_t>(phase)];
    const int64_t first = p.chunks.begin(chunk) * p.unit, last = p.chunks.begin(chunk + 1) * p.unit;
    const TaskBox* box = &boxes_[static_cast<size_t>(p.first_box)];
    if (first < last)
      while (first >= box->first + box->split.tiles) ++box;
    return {box, first, last, first_panel_ + panel_parts_.begin(part), first_panel_ + panel_parts_.begin(part + 1)};
  }

 private:
  /// Panels of a part, at least: a pointer of a tile's tables takes as long as six products of a vector, and each part
  /// fills them anew, which should be an eighth of its work at most.
  static int64_t least_panels(const RunShape& r) {
    const int64_t lanes = r.plan.lanes, width = r.layout.width(0), k = r.run_length();
    const int64_t products =
        r.plan.algorithm == ConvAlgorithm::dot ? (k + lanes - 1) / lanes * width : k * ((width + lanes - 1) / lanes);
    return std::max<int64_t>(1, 48 / products);
  }
  struct PhaseTiles {
    int64_t first_box, tiles, unit;  // unit: tiles that are not cut
    EvenCut chunks;
  };
  /// The tiles of a row, where chunks of whole rows have about as many as they may.
  int64_t unit(const PhaseTiles& p, int64_t chunk) const {
    const TileSplit& split = boxes_[static_cast<size_t>(p.first_box)].split;
    if (p.tiles == 0 || p.tiles != split.tiles || !split.along_rows) return 1;
    return 4 * (chunk / split.per_line * split.per_line) >= 3 * chunk ? split.per_line : 1;
  }
  ScratchVec<TaskBox, 4> boxes_;  // of all phases, one after another
  ScratchVec<PhaseTiles, 4> phases_;
  int64_t n_phases_ = 0, chunks_ = 0, parts_ = 1, grain_;  // parts: of the panels; each reads the tiles anew
  int64_t first_panel_, panels_;
  EvenCut panel_parts_;
};

}  // namespace nhwc
