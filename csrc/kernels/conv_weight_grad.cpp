// csrc/kernels/conv_weight_grad.cpp -- tiles x threads of the weight gradient; knows no instruction set
// dw[tap] = sum over pixels of x and gy, without unfolding: for one tap the pixels that meet an input form runs along
// w. A task owns some panels of dw for some rows of taps and one part of the pixels; parts are added in order. The cut
// into parts and blocks follows from the problem alone, so neither threads nor timing change a bit of the result.
#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/conv_grad_channels.h"
#include "kernels/conv_grad_panels.h"
#include "kernels/conv_weight_grad.h"

namespace nhwc {
namespace {

// Pixels of a block are summed in one register, few enough for accuracy.
constexpr int64_t kPanelBytes = 32 << 10;   // of a panel of vectors: a block's stays in L1 ...
constexpr int64_t kFewBytes = 6 << 10;      // ... but fewer pixels cost more in sums than they save
constexpr int64_t kBlockBytes = 512 << 10;  // of both operands: a block stays in L2 ...
constexpr int64_t kTaskBytes = 640 << 10;   // the sums of a task
constexpr int64_t kDepthwiseVectors = 16;   // of a depthwise panel: whole pixels are read, and calls are few
constexpr int64_t kMergedChannels = 24;     // more fill tiles on their own
constexpr int64_t kEnoughTasks = 16;        // below it the pixels are divided too
constexpr double kPartFlops = 4e6;          // a part should be worth the reduction that follows
constexpr int64_t kPartPixels = 1024;
constexpr int64_t kPartBlocks = 1024;  // more in one float accumulator cost accuracy

int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to; }

/// Cycles per pixel of the products of `vec` lanes with `scalar` broadcasts: a tile of m x v does two multiply-adds or
/// two loads in a cycle, and waits four for a sum.
double tile_cycles(int64_t vec, int64_t scalar, int64_t lanes, int64_t mr) {
  const int64_t v = vec <= lanes ? 1 : 2, tiles = up(scalar, mr);
  const double m = static_cast<double>(up(scalar, tiles)), width = static_cast<double>(v);
  return static_cast<double>(up(vec, v * lanes) * tiles) * std::max({m * width / 2, (m + width) / 2, 4.0});
}

/// Lanes over the channels that fill tiles better; among equals over c, whose order is that of dw.
GradShape shape_of(const ConvProblem& q, int64_t lanes, int64_t mr) {
  const double row = static_cast<double>(q.kernel[2]);
  const double over_c = row * tile_cycles(q.c, q.o, lanes, mr), over_o = row * tile_cycles(q.o, q.c, lanes, mr);
  const bool can_merge = q.c <= kMergedChannels && q.kernel[2] > 1 && q.kernel[2] >= q.stride[2] &&
                         q.dilation[2] == 1 && q.in_dilation[2] == 1;
  const double merged = can_merge ? tile_cycles(q.o, q.kernel[2] * q.c, lanes, mr) : over_c + over_o;
  GradShape s;
  s.merged = merged <= std::min(over_c, over_o);
  s.vector_is_c = !s.merged && over_c <= over_o;
  const int64_t vec = s.vector_is_c ? q.c : q.o;
  s.scalars = s.merged ? q.kernel[2] * q.c : s.vector_is_c ? q.o : q.c;
  s.width = vec <= lanes ? lanes : 2 * lanes;
  s.panels = up(vec, s.width);
  return s;
}

int64_t tap_elems(const ConvProblem& q, const GradShape& s) { return (s.merged ? q.c : s.scalars) * s.width; }

/// All panels together, then all rows of taps, where their sums stay in the cache: what they share is copied once, and
/// whole pixels are read.
void divide(const ConvProblem& q, GradShape& s, int64_t fit) {
  const int64_t rows = q.kernel[0] * q.kernel[1], row_elems = q.kernel[2] * tap_elems(q, s);
  const int64_t panels = std::clamp<int64_t>(fit / row_elems, 1, s.panels);
  s.panels_in_task = up(s.panels, up(s.panels, panels));
  s.tap_rows_in_task = s.panels_in_task == s.panels && rows * s.panels * row_elems <= fit ? rows : 1;
}

/// Writes a finished panel of `tap_rows` kernel rows to dw, in dw's order and dtype.
template <class T>
void write_panel(const Grad<T>& g, const GradShape& s, int64_t group, int64_t panel, int64_t tap_row, const T* acc) {
  const ConvProblem& q = g.q;
  const bool channelwise = g.plan.algorithm != ConvAlgorithm::weight_grad;
  const int64_t v0 = panel * s.width, row_step = g.taps * q.c;
  const int64_t vec = channelwise ? q.groups * q.o : s.vector_is_c ? q.c : q.o, n = std::min(s.width, vec - v0);
  for (int64_t w = 0; w < s.tap_rows_in_task * q.kernel[2]; ++w) {
    int64_t tap = tap_row * q.kernel[2] + w;
    if (q.flip) tap = g.taps - 1 - tap;
    const T* from = acc + w * tap_elems(q, s);
    const int64_t to = group * q.o * row_step + tap * q.c + (s.vector_is_c ? v0 : v0 * row_step);
    if (s.vector_is_c) {
      for (int64_t o = 0; o < q.o; ++o) g.narrow(from + o * s.width, to + o * row_step, n);
    } else if (g.same) {
      g.f.transpose(from, s.width, q.c, n, static_cast<T*>(g.a.dw) + to, row_step);
    } else {
      T row[64];
      for (int64_t l = 0; l < n; ++l)
        for (int64_t c0 = 0; c0 < q.c; c0 += 64) {
          const int64_t m = std::min<int64_t>(64, q.c - c0);
          for (int64_t c = 0; c < m; ++c) row[c] = from[(c0 + c) * s.width + l];
          g.narrow(row, to + l * row_step + c0, m);
        }
    }
  }
}

/// How many parts the pixels are cut into: from the problem and the workspace limit alone.
template <class T>
int64_t parts_of(const Grad<T>& g, int64_t tasks, int64_t task_elems) {
  const int64_t pixels = g.rows * g.q.out[2];
  const double flops = 2.0 * static_cast<double>(pixels) * static_cast<double>(tasks * task_elems);
  const int64_t worth = std::min(static_cast<int64_t>(flops / kPartFlops), pixels / kPartPixels);
  const int64_t wanted = std::max(std::min(up(kEnoughTasks, tasks), worth), up(g.blocks, kPartBlocks));
  const size_t dw_bytes = static_cast<size_t>(tasks * task_elems) * sizeof(T);
  const int64_t fit = static_cast<int64_t>(g.plan.workspace_limit / 2 / dw_bytes);
  return std::max<int64_t>(1, std::min({wanted, fit, g.blocks}));
}

/// Sixteen at a time, which this file's flags make vectors of.
template <class T>
void add(T* __restrict sum, const T* __restrict part, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int64_t j = 0; j < 16; ++j) sum[i + j] += part[i + j];
  for (; i < n; ++i) sum[i] += part[i];
}

/// Panels and rows of taps of one task.
struct TaskPlace {
  int64_t group, tap_row;
  Columns panels;
};

/// All tasks of a problem but for the division of the pixels.
struct Tasks {
  Tasks(const ConvProblem& q, const GradShape& s, int64_t n)
      : groups(n),
        ranges(up(s.panels, s.panels_in_task)),
        tap_rows(q.kernel[0] * q.kernel[1] / s.tap_rows_in_task),
        panel_elems(s.tap_rows_in_task * q.kernel[2] * tap_elems(q, s)),
        elems(s.panels_in_task * panel_elems),
        shape(s) {}
  int64_t count() const { return groups * ranges * tap_rows; }
  TaskPlace at(int64_t t) const {
    const int64_t range = t / tap_rows % ranges, begin = range * shape.panels_in_task;
    return {t / tap_rows / ranges,
            t % tap_rows * shape.tap_rows_in_task,
            {begin, std::min(begin + shape.panels_in_task, shape.panels)}};
  }
  int64_t groups, ranges, tap_rows, panel_elems, elems;
  const GradShape& shape;
};

template <class Task, class T>
void run_tasks(const Grad<T>& g, const GradShape& s) {
  const ConvProblem& q = g.q;
  const Tasks tasks(q, s, g.plan.algorithm == ConvAlgorithm::weight_grad ? q.groups : 1);
  const int64_t count = tasks.count(), elems = tasks.elems, parts = parts_of(g, count, elems);
  const Scratch partial(parts > 1 ? static_cast<size_t>(parts * count * elems) * sizeof(T) : 0);
  const double flops = 2.0 * static_cast<double>(g.rows * q.out[2]) * static_cast<double>(count * elems);
  const auto write = [&](int64_t t, const T* acc) {
    const TaskPlace at = tasks.at(t);
    for (int64_t p = at.panels.begin; p < at.panels.end; ++p, acc += tasks.panel_elems)
      write_panel(g, s, at.group, p, at.tap_row, acc);
  };
  parallel_for(count * parts, grain_of(count * parts, flops), [&](int64_t begin, int64_t end) {
    Task task(g, s);
    const Scratch own(parts > 1 ? 0 : static_cast<size_t>(elems) * sizeof(T));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = i / parts, part = i % parts;
      const TaskPlace at = tasks.at(t);
      T* acc = parts > 1 ? partial.as<T>() + i * elems : own.as<T>();
      task.run(at.group, at.panels, at.tap_row, g.blocks * part / parts, g.blocks * (part + 1) / parts, acc);
      if (parts == 1) write(t, acc);
    }
  });
  if (parts == 1) return;
  parallel_for(count, grain_of(count, static_cast<double>(count * parts * elems)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      T* sum = partial.as<T>() + t * parts * elems;
      const TaskPlace at = tasks.at(t);
      const int64_t used = (at.panels.end - at.panels.begin) * tasks.panel_elems;
      for (int64_t p = 1; p < parts; ++p) add(sum, sum + p * elems, used);
      write(t, sum);
    }
  });
}

template <class T>
void run_typed(const CpuPlan& plan, const ConvWeightGradOperands& a) {
  const ConvProblem& q = plan.problem;
  const int64_t lanes = float_kernels<T>(table_for(plan.isa).conv).lanes, channels = q.groups * q.o;
  if (plan.algorithm == ConvAlgorithm::weight_grad) {
    GradShape s = shape_of(q, lanes, plan.mr);
    divide(q, s, kTaskBytes / int64_t(sizeof(T)));
    const int64_t elems = (s.vector_is_c ? q.o : q.c) + s.panels_in_task * s.width;
    const int64_t pixels = std::clamp(kBlockBytes / elems, kFewBytes / s.width, kPanelBytes / s.width);
    return run_tasks<PanelTask<T>>(Grad<T>(plan, a, pixels / int64_t(sizeof(T))), s);
  }
  GradShape s;
  s.width = plan.algorithm == ConvAlgorithm::grouped_weight_grad
                ? lanes
                : std::min(kDepthwiseVectors, up(channels, lanes)) * lanes;
  s.panels = up(channels, s.width);
  s.scalars = q.c;
  s.tap_rows_in_task = q.kernel[0] * q.kernel[1];  // a tap is so little work that reading x again would dominate
  run_tasks<ChannelTask<T>>(Grad<T>(plan, a, kChannelPixels), s);
}

}  // namespace

void run_conv_weight_grad(const CpuPlan& plan, const ConvWeightGradOperands& a) {
  const ConvProblem& q = plan.problem;
  NHWC_CHECK(q.form == ConvProblem::Form::weight_grad, "run_conv_weight_grad got a forward problem");
  if (plan.algorithm == ConvAlgorithm::empty) {
    const int64_t n = q.groups * q.o * q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c;
    if (n > 0) std::memset(a.dw, 0, static_cast<size_t>(n) * size_of(q.dtype));
    return;
  }
  NHWC_CHECK(is_floating(q.dtype), "a weight gradient of integers");
  if (plan.algorithm == ConvAlgorithm::winograd_weight_grad) return run_winograd_weight_grad(plan, a);
  return q.dtype == Dtype::float64 ? run_typed<double>(plan, a) : run_typed<float>(plan, a);
}

}  // namespace nhwc
