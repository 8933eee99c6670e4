// csrc/kernels/conv_winograd_grad.cpp -- the loop nest of a Winograd weight gradient; knows no instruction set
// The transpose of F(4, 3) in its filter: dw = G^T [sum over tiles of (B^T x B) * (A gy A^T)] G, with six points and
// three taps along one or two axes. A task takes some panels of input channels and a part of the tiles: block by block
// inputs -> v[frequency][tile][c] and gradients -> z[frequency][tile][o], then one matrix product per frequency through
// the tile of the direct weight gradient, added to m[frequency][panel][o][width]. Parts are added in order.
#include <algorithm>
#include <atomic>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_types.h"
#include "kernels/conv_weight_grad.h"
#include "kernels/conv_winograd_tiles.h"

namespace nhwc {
namespace {

constexpr int64_t kRowGap = 16;        // floats between the rows of two frequencies, or they would share cache sets
constexpr int64_t kAliasFloats = 128;  // rows of tiles that are multiples of this apart would do so too
constexpr int64_t kOutputsAtOnce = 8;  // rows of sums that are transformed back by one task at least

int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to; }

/// The pixels of a tile: inputs, and gradients of outputs.
struct TileTable {
  const float *x[kMaxFrequencies], *gy[16];
};

class GradRun {
 public:
  GradRun(const CpuPlan& plan, const ConvWeightGradOperands& operands)
      : plan_(plan),
        q_(plan.problem),
        g_(plan.winograd),
        cut_(plan.winograd_grad),
        a_(operands),
        kernels_(table_for(plan.isa).conv),
        tiling_(q_, g_),
        tiles_(g_.tiles(q_)),
        width_(plan.nr),
        panels_(up(q_.c, width_)),
        ranges_(up(panels_, cut_.panels)),
        x_row_(row(cut_.panels * width_)),
        z_row_(row(q_.o)),
        v_step_(cut_.block * x_row_ + kRowGap),
        z_step_(cut_.block * z_row_ + kRowGap),
        m_step_(cut_.panels * q_.o * width_ + kRowGap) {}

  /// False where a result is not finite.
  bool run() {
    const int64_t tasks = ranges_ * cut_.parts, m_elems = g_.frequencies() * m_step_;
    const double flops = 2.0 * static_cast<double>(tiles_ * g_.frequencies()) * static_cast<double>(q_.c * q_.o);
    const Scratch zeros(static_cast<size_t>(std::max(q_.c, q_.o)) * sizeof(float));
    std::fill_n(zeros.as<float>(), std::max(q_.c, q_.o), 0.0f);
    zeros_ = zeros.as<float>();
    const Scratch partial(cut_.parts > 1 ? static_cast<size_t>(tasks * m_elems) * sizeof(float) : 0);
    parallel_for(tasks, grain_of(tasks, flops), [&](int64_t begin, int64_t end) {
      Arena arena(scratch_bytes());
      float* v = arena.take<float>(g_.frequencies() * v_step_);
      float* z = arena.take<float>(g_.frequencies() * z_step_);
      const Scratch own(cut_.parts > 1 ? 0 : static_cast<size_t>(m_elems) * sizeof(float));
      for (int64_t i = begin; i < end; ++i) {
        float* m = cut_.parts > 1 ? partial.as<float>() + i * m_elems : own.as<float>();
        sum(i / cut_.parts, i % cut_.parts, v, z, m);
        if (cut_.parts == 1) finish(i, 0, q_.o, m, m_elems);
      }
    });
    if (cut_.parts > 1) {
      const int64_t rows = up(q_.o, kOutputsAtOnce), jobs = ranges_ * rows;
      parallel_for(jobs, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t range = i / rows, o = i % rows * kOutputsAtOnce;
          finish(range, o, std::min(q_.o, o + kOutputsAtOnce), partial.as<float>() + range * cut_.parts * m_elems,
                 m_elems);
        }
      });
    }
    return !bad_.load(std::memory_order_relaxed);
  }

 private:
  int64_t row(int64_t channels) const {
    const int64_t n = up(channels, plan_.lanes) * plan_.lanes;
    return n % kAliasFloats == 0 ? n + kRowGap : n;
  }
  size_t scratch_bytes() const {
    return static_cast<size_t>(g_.frequencies() * (v_step_ + z_step_)) * sizeof(float) + 4 * kAlignment;
  }
  int64_t first_panel(int64_t range) const { return range * cut_.panels; }
  int64_t end_panel(int64_t range) const { return std::min(panels_, (range + 1) * cut_.panels); }
  /// Of a panel: two vectors, or the one that the last channels fit.
  int64_t panel_width(int64_t panel) const {
    return q_.c - panel * width_ <= plan_.lanes ? std::min<int64_t>(plan_.lanes, width_) : width_;
  }

  /// m = the products of one part of the tiles with some panels.
  void sum(int64_t range, int64_t part, float* v, float* z, float* m) const {
    std::fill_n(m, g_.frequencies() * m_step_, 0.0f);
    const int64_t blocks = up(tiles_, cut_.block);
    for (int64_t b = blocks * part / cut_.parts; b < blocks * (part + 1) / cut_.parts; ++b) {
      const int64_t first = tiles_ * b / blocks, n = tiles_ * (b + 1) / blocks - first;
      TileTable tables[2];  // while one tile is transformed, the pixels of the next come near
      for (int64_t t = 0; t <= n; ++t) {
        if (t < n) find(first + t, range, tables[t % 2]);
        if (t > 0) transform(tables[(t - 1) % 2], range, v + (t - 1) * x_row_, z + (t - 1) * z_row_);
      }
      for (int f = 0; f < g_.frequencies(); ++f) multiply(range, n, v + f * v_step_, z + f * z_step_, m + f * m_step_);
    }
  }

  /// The pixels of a tile, which are fetched on the way.
  void find(int64_t t, int64_t range, TileTable& to) const {
    const TileAt at = tiling_.at(0, t);
    tiling_.fill_table(at, static_cast<const float*>(a_.x) + first_panel(range) * width_, a_.x_stride, zeros_, to.x);
    for (int i = 0; i < g_.frequencies(); ++i) fetch(to.x[i], channels(range));
    fill_outputs(at, to.gy);
    const int outputs = g_.axes == 2 ? g_.outputs() * g_.outputs() : g_.outputs();
    for (int i = 0; i < outputs; ++i) fetch(to.gy[i], q_.o);
  }
  int64_t channels(int64_t range) const {
    return std::min(q_.c, end_panel(range) * width_) - first_panel(range) * width_;
  }

  void transform(const TileTable& from, int64_t range, float* v, float* z) const {
    kernels_.winograd[1][g_.axes == 2][3].input({from.x, 0, v, v_step_, plan_.lanes, channels(range)});
    kernels_.winograd_grad[g_.axes == 2].outputs({from.gy, 0, z, z_step_, plan_.lanes, q_.o});
  }

  /// The gradients of a tile's outputs; zeros where it has none.
  void fill_outputs(const TileAt& at, const float** table) const {
    const int rows = tiling_.row_axis, columns = tiling_.column_axis, n = g_.outputs();
    const float* base = static_cast<const float*>(a_.gy) + at.n * a_.gy_stride[0];
    for (int x = 0; x < 3; ++x) base += at.out[x] * a_.gy_stride[1 + x];
    const int64_t down = rows < 0 ? 0 : a_.gy_stride[1 + rows] * g_.axis[rows].period;
    const int64_t right = a_.gy_stride[1 + columns] * g_.axis[columns].period;
    for (int i = 0; i < (rows < 0 ? 1 : n); ++i)
      for (int j = 0; j < n; ++j, ++table)
        *table = (rows < 0 || i < at.valid[rows]) && j < at.valid[columns] ? base + i * down + j * right : zeros_;
  }

  /// The product of one frequency: the tiles are its inner dimension.
  void multiply(int64_t range, int64_t tiles, const float* v, const float* z, float* m) const {
    const int64_t pieces = up(q_.o, plan_.mr);
    const PixelRun<float> run{z, v, tiles};
    GradTile<float> t;
    t.runs = &run;
    t.n_runs = 1;
    t.a_step = z_row_;
    t.b_step = x_row_;
    t.acc_step = width_;
    for (int64_t p = first_panel(range); p < end_panel(range); ++p, m += q_.o * width_) {
      const auto& kernels = kernels_.f32.grad[panel_width(p) > plan_.lanes];
      t.b_offset = (p - first_panel(range)) * width_;
      for (int64_t i = 0; i < pieces; ++i) {
        const int64_t begin = q_.o * i / pieces, end = q_.o * (i + 1) / pieces;
        t.a_offset = begin;
        t.acc = m + begin * width_;
        kernels[end - begin](t);
      }
    }
  }

  /// The sums of outputs [begin, end) of a range to dw; m: of the first part, the next is m_elems away.
  void finish(int64_t range, int64_t begin, int64_t end, const float* m, int64_t m_elems) {
    const int64_t taps = q_.kernel[0] * q_.kernel[1] * q_.kernel[2];
    bool bad = false;
    WinogradGradOutput<float> t;
    t.m_step = m_step_;
    t.parts = cut_.parts;
    t.part_step = m_elems;
    t.w_step = q_.flip ? -q_.c : q_.c;
    t.not_finite = &bad;
    for (int64_t p = first_panel(range); p < end_panel(range); ++p, m += q_.o * width_) {
      t.n = static_cast<int>(std::min(width_, q_.c - p * width_));
      for (int64_t o = begin; o < end; ++o) {
        t.m = m + o * width_;
        t.w = static_cast<float*>(a_.dw) + (o * taps + (q_.flip ? taps - 1 : 0)) * q_.c + p * width_;
        kernels_.winograd_grad[g_.axes == 2].sums(t);
      }
    }
    if (bad) bad_.store(true, std::memory_order_relaxed);
  }

  const CpuPlan& plan_;
  const ConvProblem& q_;
  const WinogradGeometry& g_;
  const WinogradGradCut& cut_;
  const ConvWeightGradOperands& a_;
  const ConvKernels& kernels_;
  WinogradTiles tiling_;
  int64_t tiles_, width_, panels_, ranges_, x_row_, z_row_, v_step_, z_step_, m_step_;
  const float* zeros_ = nullptr;
  std::atomic<bool> bad_{false};
};

}  // namespace

void run_winograd_weight_grad(const CpuPlan& plan, const ConvWeightGradOperands& a) {
  if (GradRun(plan, a).run()) return;
  // A transform met a value that is not finite, or overflowed: by the definition.
  ConvProblem q = plan.problem;
  q.highest_precision = true;
  DeviceFacts facts = cpu_facts();
  facts.isa = plan.isa;
  facts.wanted.reset();
  run_conv_weight_grad(plan_conv(q, facts), a);
}

}  // namespace nhwc
