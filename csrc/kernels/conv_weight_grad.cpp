// csrc/kernels/conv_weight_grad.cpp -- tiles x threads of the weight gradient; knows no instruction set
// dw[tap] = sum over pixels of x and gy, without unfolding: for one tap the pixels that meet an input form runs along
// w. A task owns a panel of dw for one row of taps and one part of the pixels; parts are added in order. The cut into
// parts and blocks follows from the problem alone, so neither threads nor timing change a bit of the result.
#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {
namespace {

constexpr int64_t kBlockPixels = 256;   // in one float accumulator: short enough for accuracy, its gy panel stays in L1
constexpr int64_t kChannelPixels = 64;  // the same where x and gy are both four vectors per pixel
constexpr int64_t kBlockRows = 64;
constexpr int64_t kEnoughTasks = 16;  // below it the pixels are divided too
constexpr double kPartFlops = 4e6;    // a part should be worth the reduction that follows

/// A piece of an output row.
struct Segment {
  int64_t n, d, h, w0, w1;
};

/// What one panel holds: `scalars` broadcast channels x `width` vector lanes for each tap, as [tap][scalars][width].
struct Shape2 {
  int64_t panels, scalars, width;
  bool vector_is_c;  // lanes run over input channels, else over output channels
};

template <class T, class S>
struct Grad {
  Grad(const ConvPlan& p, const ConvWeightGradOperands& operands)
      : plan(p),
        q(p.problem),
        a(operands),
        k(table_for(p.isa).conv),
        f(float_kernels<T>(k)),
        axes{{q, 0}, {q, 1}, {q, 2}} {
    const int64_t pixels = p.algorithm == ConvAlgorithm::weight_grad ? kBlockPixels : kChannelPixels;
    rows_per_block = std::clamp<int64_t>(pixels / q.out[2], 1, kBlockRows);
    pieces = (q.out[2] + pixels - 1) / pixels;
    rows = q.batch * q.out[0] * q.out[1];
    blocks = pieces > 1 ? rows * pieces : (rows + rows_per_block - 1) / rows_per_block;
    taps = q.kernel[0] * q.kernel[1] * q.kernel[2];
    rows_in_task = p.algorithm == ConvAlgorithm::weight_grad ? 1 : q.kernel[0] * q.kernel[1];
  }
  Segment segment(int64_t row, int64_t piece) const {
    Segment s;
    s.h = row % q.out[1];
    s.d = row / q.out[1] % q.out[0];
    s.n = row / q.out[1] / q.out[0];
    s.w0 = piece * q.out[2] / pieces;
    s.w1 = (piece + 1) * q.out[2] / pieces;
    return s;
  }
  const ConvPlan& plan;
  const ConvProblem& q;
  const ConvWeightGradOperands& a;
  const ConvKernels& k;
  const FloatKernels<T>& f;
  AxisPhases axes[3];
  int64_t rows_per_block, pieces, rows, blocks, taps;
  int64_t rows_in_task;  // kernel rows: all of them where a tap is so little work that reading x again would dominate
};

/// A tap of one axis: outputs r + period * j read input base + step * j.
struct TapAxis {
  int64_t r = -1, base = 0, period = 1, step = 1;
};

TapAxis find_tap(const AxisPhases& axis, int64_t k) {
  for (int64_t r = 0; r < axis.phases(); ++r) {
    const AxisPhase ph = axis.phase(r);
    for (int64_t i = 0; i < ph.n_taps; ++i)
      if (ph.taps[i].k == k) return {r, ph.taps[i].base, axis.period, axis.step};
  }
  return {};
}

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

/// The input position of output p, or -1 where the tap meets none.
int64_t input_of(const TapAxis& t, int64_t p, int64_t in) {
  if (t.r < 0 || p < t.r || (p - t.r) % t.period != 0) return -1;
  const int64_t i = t.base + (p - t.r) / t.period * t.step;
  return i < in ? i : -1;
}

/// The runs of one tap within a block of rows, as element offsets into x and gy.
struct OffsetRun {
  int64_t x, gy, n;
};

/// Which of a row's outputs j (see TapAxis) are meant.
struct Columns {
  int64_t begin = 0, end = INT64_MAX;
};
/// Those whose input column exists.
Columns valid_columns(const TapAxis& t, int64_t in) {
  return {std::max<int64_t>(0, ceil_div(-t.base, t.step)), ceil_div(in - t.base, t.step)};
}

template <class T, class S>
int64_t find_runs(const Grad<T, S>& g, const TapAxis (&tap)[3], Columns columns, int64_t block, OffsetRun* runs) {
  const ConvProblem& q = g.q;
  if (tap[0].r < 0 || tap[1].r < 0 || tap[2].r < 0) return 0;
  const int64_t row0 = g.pieces > 1 ? block / g.pieces : block * g.rows_per_block;
  const int64_t row1 = g.pieces > 1 ? row0 + 1 : std::min(g.rows, row0 + g.rows_per_block);
  int64_t n = 0;
  for (int64_t row = row0; row < row1; ++row) {
    const Segment s = g.segment(row, g.pieces > 1 ? block % g.pieces : 0);
    const int64_t id = input_of(tap[0], s.d, q.in[0]), ih = input_of(tap[1], s.h, q.in[1]);
    if (id < 0 || ih < 0) continue;
    const TapAxis& t = tap[2];
    const int64_t j0 = std::max(ceil_div(s.w0 - t.r, t.period), columns.begin);
    const int64_t j1 = std::min(ceil_div(s.w1 - t.r, t.period), columns.end);
    if (j0 >= j1) continue;
    const int64_t ow = t.r + j0 * t.period, iw = t.base + j0 * t.step;
    runs[n++] = {s.n * g.a.x_stride[0] + id * g.a.x_stride[1] + ih * g.a.x_stride[2] + iw * g.a.x_stride[3],
                 s.n * g.a.gy_stride[0] + s.d * g.a.gy_stride[1] + s.h * g.a.gy_stride[2] + ow * g.a.gy_stride[3],
                 j1 - j0};
  }
  return n;
}

/// Copies `n` channels of every pixel of the runs to rows of `width` of the compute type, zero beyond n.
template <class T, class S>
T* gather(const ConvKernels& k, const S* src, int64_t pixels, int64_t step, int64_t n, int64_t width, T* to) {
  for (int64_t p = 0; p < pixels; ++p, to += width) {
    widen(k, src + p * step, to, n);
    std::fill(to + n, to + width, T(0));
  }
  return to;
}

/// Lanes over the channels that fill vectors better; among equals over c, whose order is that of dw.
Shape2 shape_of(const ConvProblem& q, int lanes) {
  const auto widths = [&](int64_t n) { return n <= lanes ? lanes : 2 * lanes; };
  const auto cost = [&](int64_t vec, int64_t scalar) {
    const int64_t w = widths(vec);
    return (vec + w - 1) / w * w * std::max<int64_t>(scalar, 6);
  };
  Shape2 s;
  s.vector_is_c = cost(q.c, q.o) <= cost(q.o, q.c);
  const int64_t vec = s.vector_is_c ? q.c : q.o;
  s.scalars = s.vector_is_c ? q.o : q.c;
  s.width = widths(vec);
  s.panels = (vec + s.width - 1) / s.width;
  return s;
}

/// One task: [taps of a kernel row][scalars][width] += the blocks [b0, b1).
template <class T, class S>
class PanelTask {
 public:
  PanelTask(const Grad<T, S>& g, const Shape2& s)
      : g_(g),
        s_(s),
        arena_(bytes(g, s)),
        offsets_(arena_.take<OffsetRun>(kBlockRows)),
        runs_(arena_.take<PixelRun<T>>(kBlockRows)),
        vectors_(arena_.take<T>(kBlockPixels * s.width)),
        scalars_(std::is_same_v<S, T> ? nullptr : arena_.take<T>(kBlockPixels * s.scalars)) {}

  void run(int64_t group, int64_t panel, int64_t tap_row, int64_t b0, int64_t b1, T* acc) {
    const ConvProblem& q = g_.q;
    std::fill(acc, acc + q.kernel[2] * s_.scalars * s_.width, T(0));
    TapAxis tap[3] = {find_tap(g_.axes[0], tap_row / q.kernel[1]), find_tap(g_.axes[1], tap_row % q.kernel[1]), {}};
    InlineVec<TapAxis, 8> columns;
    for (int64_t w = 0; w < q.kernel[2]; ++w) columns.push_back(find_tap(g_.axes[2], w));
    for (int64_t b = b0; b < b1; ++b)
      for (int64_t w = 0; w < q.kernel[2]; ++w) {
        tap[2] = columns[static_cast<size_t>(w)];
        const int64_t n = find_runs(g_, tap, valid_columns(tap[2], q.in[2]), b, offsets_);
        if (n > 0) add(group, panel, n, tap[2], acc + w * s_.scalars * s_.width);
      }
  }

 private:
  static size_t bytes(const Grad<T, S>&, const Shape2& s) {
    return kBlockRows * (sizeof(OffsetRun) + sizeof(PixelRun<T>)) +
           static_cast<size_t>(kBlockPixels * (s.width + (std::is_same_v<S, T> ? 0 : s.scalars))) * sizeof(T) + 1024;
  }

  void add(int64_t group, int64_t panel, int64_t n, const TapAxis& t, T* acc) {
    const ConvProblem& q = g_.q;
    const S* x = static_cast<const S*>(g_.a.x) + group * q.c;
    const S* gy = static_cast<const S*>(g_.a.gy) + group * q.o;
    const int64_t x_step = t.step * g_.a.x_stride[3], gy_step = t.period * g_.a.gy_stride[3];
    const S* vec = (s_.vector_is_c ? x : gy) + panel * s_.width;
    const S* scalar = s_.vector_is_c ? gy : x;
    const int64_t valid = std::min(s_.width, (s_.vector_is_c ? q.c : q.o) - panel * s_.width);
    const int64_t vec_step = s_.vector_is_c ? x_step : gy_step, scalar_step = s_.vector_is_c ? gy_step : x_step;
    const bool copy = !std::is_same_v<S, T> || valid < s_.width;
    GradTile<T> tile;
    tile.a_step = std::is_same_v<S, T> ? scalar_step : s_.scalars;
    tile.b_step = copy ? s_.width : vec_step;
    T *vectors = vectors_, *scalars = scalars_;
    for (int64_t i = 0; i < n; ++i) {
      const OffsetRun& r = offsets_[i];
      const S* v = vec + (s_.vector_is_c ? r.x : r.gy);
      const S* c = scalar + (s_.vector_is_c ? r.gy : r.x);
      runs_[i].n = r.n;
      runs_[i].b = vectors;
      runs_[i].a = scalars;
      if (copy) vectors = gather(g_.k, v, r.n, vec_step, valid, s_.width, vectors);
      if constexpr (std::is_same_v<S, T>) {
        if (!copy) runs_[i].b = v;
        runs_[i].a = c;
      } else {
        scalars = gather(g_.k, c, r.n, scalar_step, s_.scalars, s_.scalars, scalars);
      }
    }
    tile.runs = runs_;
    tile.n_runs = n;
    tile.b_offset = 0;
    tile.acc_step = s_.width;
    const int64_t tiles = (s_.scalars + g_.plan.mr - 1) / g_.plan.mr;
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t m0 = i * s_.scalars / tiles, m1 = (i + 1) * s_.scalars / tiles;
      tile.a_offset = m0;
      tile.acc = acc + m0 * s_.width;
      g_.f.grad[s_.width > g_.f.lanes][m1 - m0](tile);
    }
  }

  const Grad<T, S>& g_;
  const Shape2& s_;
  Arena arena_;
  OffsetRun* offsets_;
  PixelRun<T>* runs_;
  T *vectors_, *scalars_;
};

/// Depthwise: lanes over channels, one sum per tap. grouped: lanes over output channels, c sums per tap.
template <class T, class S>
class ChannelTask {
 public:
  ChannelTask(const Grad<T, S>& g, const Shape2& s)
      : g_(g),
        s_(s),
        grouped_(g.plan.algorithm == ConvAlgorithm::grouped_weight_grad),
        x_width_(grouped_ ? 2 * g.f.lanes : s.width),
        arena_(bytes(g, s, x_width_)),
        offsets_(arena_.take<OffsetRun>(kBlockRows)),
        runs_(arena_.take<PixelRun<T>>(kBlockRows)),
        x_(arena_.take<T>(kChannelPixels * x_width_)),
        gy_(arena_.take<T>(kChannelPixels * s.width)),
        index_(arena_.take<Index>(g.q.c * g.f.lanes)) {}

  void run(int64_t, int64_t panel, int64_t, int64_t b0, int64_t b1, T* acc) {
    const ConvProblem& q = g_.q;
    const int64_t size = s_.scalars * s_.width;
    std::fill(acc, acc + g_.taps * size, T(0));
    const int64_t first = panel * s_.width, total = q.groups * q.o;
    n_ = std::min(s_.width, total - first);
    first_ = x0_ = first;
    x_n_ = n_;
    if (grouped_) set_index(first, total);
    InlineVec<TapAxis, 8> axis[3];
    for (int a = 0; a < 3; ++a)
      for (int64_t k = 0; k < q.kernel[a]; ++k) axis[a].push_back(find_tap(g_.axes[a], k));
    for (int64_t b = b0; b < b1; ++b) {
      T* to = acc;
      for (const TapAxis& d : axis[0])
        for (const TapAxis& h : axis[1]) {
          for (int64_t w = 0, taps; w < q.kernel[2]; w += taps, to += taps * size) {
            taps = in_place && !grouped_ && q.in_dilation[2] == 1 ? std::min<int64_t>(kGradTaps, q.kernel[2] - w) : 1;
            add_taps(d, h, axis[2].data() + w, taps, b, to);
          }
        }
    }
  }

 private:
  static constexpr bool in_place = std::is_same_v<S, T>;
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

  static size_t bytes(const Grad<T, S>& g, const Shape2& s, int64_t x_width) {
    return kBlockRows * (sizeof(OffsetRun) + sizeof(PixelRun<T>)) +
           static_cast<size_t>(kChannelPixels * (s.width + x_width) + g.q.c * g.f.lanes) * sizeof(T) + 1024;
  }

  void set_index(int64_t first, int64_t total) {
    const ConvProblem& q = g_.q;
    const int64_t lanes = g_.f.lanes, last = std::min(first + lanes, total) - 1;
    x0_ = first / q.o * q.c;
    const int64_t span = last / q.o * q.c + q.c - x0_;
    x_n_ = std::min(q.groups * q.c - x0_, span <= lanes ? lanes : 2 * lanes);
    for (int64_t c = 0; c < q.c; ++c)
      for (int64_t l = 0; l < lanes; ++l)
        index_[c * lanes + l] = first + l <= last ? static_cast<Index>((first + l) / q.o * q.c + c - x0_) : Index(0);
  }

  /// Several taps of a kernel row: together where all of them meet an input, one by one at the borders.
  void add_taps(const TapAxis& d, const TapAxis& h, const TapAxis* w, int64_t taps, int64_t block, T* acc) {
    const int64_t in = g_.q.in[2];
    Columns common = valid_columns(w[0], in);
    for (int64_t k = 1; k < taps; ++k) {
      const Columns c = valid_columns(w[k], in);
      common = {std::max(common.begin, c.begin), std::min(common.end, c.end)};
    }
    if (common.begin >= common.end) common = {0, 0};  // then every tap on its own
    if (common.end > 0)
      add(d, h, w[0], common, taps, taps > 1 ? (w[1].base - w[0].base) * g_.a.x_stride[3] : 0, block, acc);
    for (int64_t k = 0; k < taps; ++k) {
      const Columns all = valid_columns(w[k], in);
      T* to = acc + k * s_.scalars * s_.width;
      if (all.begin < common.begin) add(d, h, w[k], {all.begin, std::min(all.end, common.begin)}, 1, 0, block, to);
      if (common.end < all.end) add(d, h, w[k], {std::max(all.begin, common.end), all.end}, 1, 0, block, to);
    }
  }

  void add(const TapAxis& d, const TapAxis& h, const TapAxis& t, Columns columns, int64_t taps, int64_t a_tap,
           int64_t block, T* acc) {
    const TapAxis tap[3] = {d, h, t};
    const int64_t n = find_runs(g_, tap, columns, block, offsets_);
    if (n == 0) return;
    ChannelGrad<T> c;
    const int64_t x_step = t.step * g_.a.x_stride[3], gy_step = t.period * g_.a.gy_stride[3];
    const S* x = static_cast<const S*>(g_.a.x) + x0_;
    const S* gy = static_cast<const S*>(g_.a.gy) + first_;
    T *xs = x_, *gys = gy_;
    for (int64_t i = 0; i < n; ++i) {
      const OffsetRun& r = offsets_[i];
      if constexpr (in_place) {
        runs_[i] = {x + r.x, gy + r.gy, r.n};
      } else {
        runs_[i] = {xs, gys, r.n};
        xs = gather(g_.k, x + r.x, r.n, x_step, x_n_, x_width_, xs);
        gys = gather(g_.k, gy + r.gy, r.n, gy_step, n_, s_.width, gys);
      }
    }
    c.runs = runs_;
    c.n_runs = n;
    c.a_step = in_place ? x_step : x_width_;
    c.b_step = in_place ? gy_step : s_.width;
    c.n = static_cast<int>(n_);
    c.a_n = static_cast<int>(x_n_);
    c.acc = acc;
    c.index = index_;
    c.a_tap = a_tap;
    c.acc_tap = s_.scalars * s_.width;
    if (!grouped_) return g_.f.depthwise_grad[taps](c);
    for (int64_t c0 = 0; c0 < g_.q.c; c0 += kGradChannels) {
      c.acc = acc + c0 * s_.width;
      c.index = index_ + c0 * s_.width;
      g_.f.grouped_grad[std::min<int64_t>(kGradChannels, g_.q.c - c0)](c);
    }
  }

  const Grad<T, S>& g_;
  const Shape2& s_;
  bool grouped_;
  int64_t x_width_;
  Arena arena_;
  OffsetRun* offsets_;
  PixelRun<T>* runs_;
  T *x_, *gy_;
  Index* index_;
  int64_t first_ = 0, n_ = 0, x0_ = 0, x_n_ = 0;
};

/// Writes a finished panel of one kernel row to dw, in dw's order and dtype.
template <class T, class S>
void write_panel(const Grad<T, S>& g, const Shape2& s, int64_t group, int64_t panel, int64_t tap_row, const T* acc) {
  const ConvProblem& q = g.q;
  const bool channelwise = g.plan.algorithm != ConvAlgorithm::weight_grad;
  S* dw = static_cast<S*>(g.a.dw);
  const int64_t v0 = panel * s.width;
  const int64_t vec = channelwise ? q.groups * q.o : s.vector_is_c ? q.c : q.o, n = std::min(s.width, vec - v0);
  for (int64_t w = 0; w < g.rows_in_task * q.kernel[2]; ++w) {
    int64_t tap = tap_row * q.kernel[2] + w;
    if (q.flip) tap = g.taps - 1 - tap;
    const T* from = acc + w * s.scalars * s.width;
    if (s.vector_is_c) {
      for (int64_t o = 0; o < q.o; ++o)
        narrow(g.k, from + o * s.width, dw + ((group * q.o + o) * g.taps + tap) * q.c + v0, n);
      continue;
    }
    T row[64];
    for (int64_t l = 0; l < n; ++l)
      for (int64_t c0 = 0; c0 < q.c; c0 += 64) {
        const int64_t m = std::min<int64_t>(64, q.c - c0);
        for (int64_t c = 0; c < m; ++c) row[c] = from[(c0 + c) * s.width + l];
        narrow(g.k, row, dw + ((group * q.o + v0 + l) * g.taps + tap) * q.c + c0, m);
      }
  }
}

/// How many parts the pixels are cut into: from the problem and the workspace limit alone.
template <class T, class S>
int64_t parts_of(const Grad<T, S>& g, int64_t tasks, int64_t task_elems) {
  const double flops = 2.0 * static_cast<double>(g.rows * g.q.out[2]) * static_cast<double>(tasks * task_elems);
  const int64_t wanted = (kEnoughTasks + tasks - 1) / tasks, worth = static_cast<int64_t>(flops / kPartFlops);
  const size_t dw_bytes = static_cast<size_t>(tasks * task_elems) * sizeof(T);
  const int64_t fit = static_cast<int64_t>(g.plan.workspace_limit / 2 / dw_bytes);
  return std::max<int64_t>(1, std::min({wanted, worth, fit, g.blocks}));
}

template <class Task, class T, class S>
void run_tasks(const Grad<T, S>& g, const Shape2& s) {
  const ConvProblem& q = g.q;
  const int64_t groups = g.plan.algorithm == ConvAlgorithm::weight_grad ? q.groups : 1;
  const int64_t tap_rows = q.kernel[0] * q.kernel[1] / g.rows_in_task, tasks = groups * s.panels * tap_rows;
  const int64_t elems = g.rows_in_task * q.kernel[2] * s.scalars * s.width, parts = parts_of(g, tasks, elems);
  const Scratch partial(parts > 1 ? static_cast<size_t>(parts * tasks * elems) * sizeof(T) : 0);
  const double flops = 2.0 * static_cast<double>(g.rows * q.out[2]) * static_cast<double>(tasks * elems);
  const auto write = [&](int64_t t, const T* acc) {
    write_panel(g, s, t / tap_rows / s.panels, t / tap_rows % s.panels, t % tap_rows, acc);
  };
  parallel_for(tasks * parts, grain_of(tasks * parts, flops), [&](int64_t begin, int64_t end) {
    Task task(g, s);
    const Scratch own(parts > 1 ? 0 : static_cast<size_t>(elems) * sizeof(T));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = i / parts, part = i % parts;
      T* acc = parts > 1 ? partial.as<T>() + i * elems : own.as<T>();
      task.run(t / tap_rows / s.panels, t / tap_rows % s.panels, t % tap_rows, g.blocks * part / parts,
               g.blocks * (part + 1) / parts, acc);
      if (parts == 1) write(t, acc);
    }
  });
  if (parts == 1) return;
  parallel_for(tasks, grain_of(tasks, static_cast<double>(tasks * parts * elems)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      T* sum = partial.as<T>() + t * parts * elems;
      for (int64_t p = 1; p < parts; ++p)
        for (int64_t e = 0; e < elems; ++e) sum[e] += sum[p * elems + e];
      write(t, sum);
    }
  });
}

template <class S>
void run_typed(const ConvPlan& plan, const ConvWeightGradOperands& a) {
  using T = Compute<S>;
  const Grad<T, S> g(plan, a);
  const ConvProblem& q = plan.problem;
  const int64_t lanes = g.f.lanes, channels = q.groups * q.o;
  if (plan.algorithm == ConvAlgorithm::weight_grad)
    return run_tasks<PanelTask<T, S>>(g, shape_of(q, static_cast<int>(lanes)));
  const int64_t width = plan.algorithm == ConvAlgorithm::grouped_weight_grad ? lanes : kGradVectors * lanes;
  run_tasks<ChannelTask<T, S>>(g, Shape2{(channels + width - 1) / width, q.c, width, false});
}

}  // namespace

void run_conv_weight_grad(const ConvPlan& plan, const ConvWeightGradOperands& a) {
  const ConvProblem& q = plan.problem;
  NHWC_CHECK(q.form == ConvProblem::Form::weight_grad, "run_conv_weight_grad got a forward problem");
  if (plan.algorithm == ConvAlgorithm::empty) {
    const int64_t n = q.groups * q.o * q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c;
    if (n > 0) std::memset(a.dw, 0, static_cast<size_t>(n) * size_of(q.dtype));
    return;
  }
  visit_float(q.dtype, [&]<class S>() { run_typed<S>(plan, a); });
}

}  // namespace nhwc
