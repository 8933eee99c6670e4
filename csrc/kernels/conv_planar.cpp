// csrc/kernels/conv_planar.cpp -- tasks x threads of convolutions along planes of channels; knows no instruction set
// A task transposes the pixels that its outputs read into planes, sums a vector's channels at a time along them, and
// transposes these back; interleaved, it copies them, and sums and writes them as they lie.
#include <algorithm>

#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_float_run.h"
#include "kernels/conv_forward.h"
#include "plan/conv_axis.h"

namespace nhwc {
namespace {

constexpr float kInf = __builtin_inff();
alignas(kAlignment) const float kNoBias[16] = {-0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f,
                                               -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f};

/// Outputs of one phase of an axis, and where their taps lie.
struct PhaseAxis {
  PhaseAxis(const AxisPhases& phases, int64_t r) : outputs(phases.phase(r)), planes(outputs, phases.step) {}
  AxisPhase outputs;
  PlanarAxis planes;
};

/// What all tasks share.
struct PlanarRun : FloatRun {
  PlanarRun(const CpuPlan& p, const ConvOperands& operands, const void* weights)
      : FloatRun(p, operands, weights),
        cut(p.planar),
        axes{{q, 0}, {q, 1}, {q, 2}},
        channels(q.groups * q.o),
        interleaved(is_interleaved(q)) {}
  PlanarCut cut;
  AxisPhases axes[3];
  int64_t channels;
  bool interleaved;
  const float* bias = nullptr;  // (channels); interleaved: of each task's groups as weights of a tap lie
};

/// Some outputs: rows [row, row + rows) x columns of a phase in one plane of outputs, of groups [g0, g1).
struct PlanarTask {
  int64_t n, depth, row, rows, column, columns, g0, g1;
};

/// All of one phase in its tasks.
class PhaseTasks {
 public:
  PhaseTasks(const PlanarRun& run, int64_t phase)
      : r_(run),
        depth_(run.axes[0], phase % run.axes[0].phases()),
        rows_(run.axes[1], phase / run.axes[0].phases() % run.axes[1].phases()),
        columns_(run.axes[2], phase / run.axes[0].phases() / run.axes[1].phases()),
        down_(ceil_div(rows_.outputs.count, run.cut.rows)),
        across_(ceil_div(columns_.outputs.count, run.cut.columns)),
        parts_(ceil_div(run.q.groups, run.cut.groups)) {}
  int64_t size() const { return r_.q.batch * depth_.outputs.count * down_ * across_ * parts_; }

  PlanarTask operator[](int64_t i) const {
    const auto range = [&](int64_t parts, int64_t at_once, int64_t n, int64_t& first, int64_t& count) {
      first = i % parts * at_once;
      count = std::min(at_once, n - first);
      i /= parts;
    };
    PlanarTask t;
    range(parts_, r_.cut.groups, r_.q.groups, t.g0, t.g1);
    t.g1 += t.g0;
    range(across_, r_.cut.columns, columns_.outputs.count, t.column, t.columns);
    range(down_, r_.cut.rows, rows_.outputs.count, t.row, t.rows);
    t.depth = i % depth_.outputs.count;
    t.n = i / depth_.outputs.count;
    return t;
  }
  int64_t taps() const { return depth_.outputs.n_taps * rows_.outputs.n_taps * columns_.outputs.n_taps; }
  const PhaseAxis& axis(int i) const { return i == 0 ? depth_ : i == 1 ? rows_ : columns_; }

 private:
  const PlanarRun& r_;
  PhaseAxis depth_, rows_, columns_;
  int64_t down_, across_, parts_;
};

/// What the terms of a task depend on: taps along the depth, planes and their sizes.
struct TermKey {
  int64_t first = 0, last = 0, planes = 0, plane = 0, row = 0;
  friend bool operator==(const TermKey&, const TermKey&) = default;
};

class PlanarWorker {
 public:
  PlanarWorker(const PlanarRun& run, const PhaseTasks& tasks)
      : r_(run),
        q_(run.q),
        rows_(tasks.axis(1)),
        columns_(tasks.axis(2)),
        depth_(tasks.axis(0)),
        arena_(planar_scratch_bytes(run.plan)) {
    const int64_t slack = kPlanarSlack * run.plan.lanes;
    const int64_t planes = static_cast<int64_t>(run.cut.plane_bytes / sizeof(float)) + slack;
    planes_ = arena_.take<float>(planes);
    std::fill(planes_, planes_ + planes, 0.0f);  // tiles read behind planes: subnormal numbers would cost time
    sums_ = arena_.take<float>(static_cast<int64_t>(run.cut.sum_bytes / sizeof(float)) + slack);
    terms_ = arena_.take<PlanarTerm>(q_.kernel[0] * q_.kernel[1] * q_.kernel[2] * q_.c);
  }

  void run(const PlanarTask& t) {
    t_ = t;
    unit_ = r_.interleaved ? t.g1 - t.g0 : 1;
    planes_of_tap_ = r_.interleaved ? 1 : (t.g1 - t.g0) * q_.c;
    wide_ = (t.columns + columns_.planes.extent) * unit_;
    high_ = t.rows + rows_.planes.extent;
    plane_ = plane_elems(high_ * wide_, 1, r_.plan.lanes);
    sum_step_ = plane_elems(t.rows * wide_, kPlanarSlack, r_.plan.lanes);
    read();
    if (r_.interleaved) {
      const int64_t part = t.g0 / r_.cut.groups;
      sum(part, sums_);
      return write(t.g0, static_cast<int>(unit_), r_.bias + part * r_.cut.weight_step);
    }
    const int64_t per_group = r_.layout.per_group, last = t.g1 * per_group;
    for (int64_t p = t.g0 * per_group; p < last;) {
      const int64_t channel = first_output(p);
      int64_t n = 0;
      for (; p < last && n + r_.layout.width(p) <= r_.plan.lanes; n += r_.layout.width(p++))
        sum(p, sums_ + n * sum_step_);
      write(channel, static_cast<int>(n), r_.bias + channel);
    }
  }

 private:
  int64_t first_output(int64_t panel) const {
    return panel / r_.layout.per_group * q_.o + panel % r_.layout.per_group * r_.layout.nr;
  }

  /// The planes and terms of the taps that meet an input along the depth, which are neighbours.
  void read() {
    const int64_t per_tap =
        static_cast<int64_t>(rows_.planes.residues.size() * columns_.planes.residues.size()) * planes_of_tap_ * plane_;
    const AxisPhase& ph = depth_.outputs;
    const auto input = [&](int64_t tap) { return ph.taps[tap].base + t_.depth * r_.axes[0].step; };
    int64_t first = 0, last = ph.n_taps;
    while (first < last && input(first) < 0) ++first;
    while (first < last && input(last - 1) >= q_.in[0]) --last;
    const TermKey key{first, last, planes_of_tap_, plane_, wide_};
    const bool same = key == terms_of_;
    if (!same) n_terms_ = 0;
    terms_of_ = key;
    float* to = planes_;
    for (int64_t k = first; k < last; ++k, to += per_tap) {
      if (!same) add_terms(ph.taps[k].k, to - planes_);
      read_planes(static_cast<const float*>(r_.a.x) + t_.n * r_.a.x_stride[0] + input(k) * r_.a.x_stride[1], to);
    }
  }

  void add_terms(int64_t depth_tap, int64_t from) {
    const int64_t across = static_cast<int64_t>(columns_.planes.residues.size());
    for (size_t i = 0; i < rows_.planes.taps.size(); ++i)
      for (size_t j = 0; j < columns_.planes.taps.size(); ++j) {
        const PlanarAxis::Tap &row = rows_.planes.taps[i], &column = columns_.planes.taps[j];
        const int64_t planes = (row.residue * across + column.residue) * planes_of_tap_;
        const int64_t x = from + planes * plane_ + row.shift * wide_ + column.shift * unit_;
        const int64_t tap =
            (depth_tap * q_.kernel[1] + rows_.outputs.taps[i].k) * q_.kernel[2] + columns_.outputs.taps[j].k;
        for (int64_t c = 0; c < q_.c; ++c)
          terms_[n_terms_++] = {static_cast<int32_t>(x + c * plane_), static_cast<int32_t>(tap * q_.c + c)};
      }
  }

  /// [residue of rows][residue of columns][channel] of one plane of the input.
  void read_planes(const float* x, float* to) const {
    const int64_t step = r_.axes[2].step, columns = wide_ / unit_;
    x += t_.g0 * q_.c;
    for (const int64_t row_residue : rows_.planes.residues)
      for (const int64_t residue : columns_.planes.residues) {
        const int64_t first = (t_.column + columns_.planes.first) * step + residue;  // input column of plane column 0
        const int64_t lo = std::clamp<int64_t>(first >= 0 ? 0 : ceil_div(-first, step), 0, columns);
        const int64_t hi = std::clamp<int64_t>(first >= q_.in[2] ? 0 : ceil_div(q_.in[2] - first, step), lo, columns);
        for (int64_t i = 0; i < high_; ++i) {
          const int64_t h = (t_.row + i + rows_.planes.first) * r_.axes[1].step + row_residue;
          const bool inside = lo < hi && h >= 0 && h < q_.in[1];
          if (inside) read_row(x + h * r_.a.x_stride[2] + first * r_.a.x_stride[3], lo, hi, to + i * wide_);
          clear(to + i * wide_, inside ? lo * unit_ : 0, inside ? hi * unit_ : 0);
        }
        to += planes_of_tap_ * plane_;
      }
  }

  /// Columns [lo, hi) of a row of planes; what comes behind the row is overwritten by the next.
  void read_row(const float* x, int64_t lo, int64_t hi, float* to) const {
    const int64_t lanes = r_.plan.lanes, step = r_.axes[2].step * r_.a.x_stride[3];
    const int64_t ahead = r_.plan.prefetch ? r_.axes[1].step * r_.a.x_stride[2] : 0;
    if (r_.interleaved) {
      const bool together = step == unit_;
      return r_.f.pass({x + lo * step, step, to + lo * unit_, unit_, together ? 1 : hi - lo,
                        together ? (hi - lo) * unit_ : unit_, kNoBias, 1, -kInf, kInf, ahead});
    }
    for (int64_t c = 0; c < planes_of_tap_; c += lanes) {
      const int n = static_cast<int>(std::min(lanes, planes_of_tap_ - c));
      r_.f.to_planes({to + c * plane_ + lo, plane_, const_cast<float*>(x) + lo * step + c, step, hi - lo, n, nullptr, 0,
                      0, ahead});
    }
  }

  /// Zeros around values [lo, hi) of a row of all planes.
  void clear(float* row, int64_t lo, int64_t hi) const {
    for (int64_t c = 0; c < planes_of_tap_; ++c, row += plane_) {
      for (int64_t j = 0; j < lo; ++j) row[j] = 0;
      for (int64_t j = hi; j < wide_; ++j) row[j] = 0;
    }
  }

  /// The sums of a panel.
  void sum(int64_t panel, float* to) const {
    const int64_t g = r_.interleaved ? 0 : panel / r_.layout.per_group - t_.g0, lanes = r_.plan.lanes;
    const auto kernel = r_.interleaved ? r_.f.interleaved : r_.f.planar[r_.layout.width(panel)];
    PlanarTile<float> tile{
        planes_ + g * q_.c * plane_, terms_,       n_terms_, r_.packed + r_.layout.offset(panel), to, sum_step_, 0,
        r_.cut.weight_step,          r_.cut.period};
    const int64_t row = t_.columns * unit_;
    tile.vectors = ceil_div(r_.cut.flat ? (t_.rows - 1) * wide_ + row : row, lanes);
    for (int64_t i = 0; i < (r_.cut.flat ? 1 : t_.rows); ++i, tile.x += wide_, tile.y += wide_) kernel(tile);
  }

  void write(int64_t channel, int channels, const float* bias) const {
    const int64_t step = r_.axes[2].period * r_.channels, columns = t_.columns;
    const bool together = channels == step;  // the outputs of a row are neighbours
    const int64_t depth = depth_.outputs.first + t_.depth * r_.axes[0].period;
    for (int64_t i = 0; i < t_.rows; ++i) {
      const int64_t row = rows_.outputs.first + (t_.row + i) * r_.axes[1].period;
      const int64_t column = columns_.outputs.first + t_.column * r_.axes[2].period;
      float* y = static_cast<float*>(r_.a.y) +
                 (((t_.n * q_.out[0] + depth) * q_.out[1] + row) * q_.out[2] + column) * r_.channels + channel;
      float* const sums = sums_ + i * wide_;
      if (r_.interleaved)
        r_.f.pass({sums, channels, y, step, together ? 1 : columns, together ? columns * step : channels, bias,
                   r_.cut.period, r_.end.lo, r_.end.hi});
      else
        r_.f.from_planes({sums, sum_step_, y, step, columns, channels, bias, r_.end.lo, r_.end.hi, 0});
      if (!r_.end.pass) continue;
      if (together)
        r_.end.finish(r_.f, y, columns * step);
      else
        for (int64_t j = 0; j < columns; ++j) r_.end.finish(r_.f, y + j * step, channels);
    }
  }

  const PlanarRun& r_;
  const ConvProblem& q_;
  const PhaseAxis &rows_, &columns_, &depth_;
  Arena arena_;
  float *planes_, *sums_;
  PlanarTerm* terms_;
  int64_t n_terms_ = 0;
  TermKey terms_of_;
  PlanarTask t_{};
  int64_t unit_ = 1, planes_of_tap_ = 0;     // values of a pixel in a plane; planes of a residue
  int64_t wide_ = 0, high_ = 0, plane_ = 0;  // values of a row, rows, values of a plane
  int64_t sum_step_ = 0;                     // values of the sums of an output
};

}  // namespace

void run_planar(const CpuPlan& plan, const ConvOperands& a, const void* packed) {
  PlanarRun r(plan, a, packed);
  const ConvProblem& q = r.q;
  // One for every weight of a tap; outputs without a bias have -0, which changes nothing.
  const int64_t parts = r.interleaved ? r.layout.q_groups : 1, step = r.interleaved ? r.cut.weight_step : r.channels;
  const Scratch bias(static_cast<size_t>(parts * step) * sizeof(float));
  r.bias = bias.as<float>();
  std::fill(bias.as<float>(), bias.as<float>() + parts * step, -0.0f);
  if (q.has_bias && r.interleaved) {
    for (int64_t i = 0; i < parts * step; ++i)
      bias.as<float>()[i] = static_cast<const float*>(a.bias)[i / step * r.cut.groups + i % step % r.cut.groups];
  } else if (q.has_bias) {
    widen_bias(table_for(plan.isa).conv, q, static_cast<const float*>(a.bias), bias.as<float>());
  }
  const int64_t phases = r.axes[0].phases() * r.axes[1].phases() * r.axes[2].phases();
  const auto filled = [&](const PhaseTasks& tasks) { return tasks.taps() == 0 && a.residual_from_y == 0; };
  bool fills = false;
  for (int64_t phase = 0; phase < phases; ++phase) fills |= filled({r, phase});
  if (fills) fill_unreached(plan, a);
  const double flops = 2.0 * static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2]) *
                       static_cast<double>(r.layout.elems()) / static_cast<double>(phases);
  for (int64_t phase = 0; phase < phases; ++phase) {
    const PhaseTasks tasks(r, phase);
    if (filled(tasks)) continue;
    parallel_for(tasks.size(), grain_of(tasks.size(), flops), [&](int64_t begin, int64_t end) {
      PlanarWorker worker(r, tasks);
      for (int64_t i = begin; i < end; ++i) worker.run(tasks[i]);
    });
  }
}

}  // namespace nhwc
