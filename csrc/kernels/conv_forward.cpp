// csrc/kernels/conv_forward.cpp -- tiles x threads of forward-like convolutions; knows no instruction set
// Order: chunk of a few tiles -> panel of weights -> tile, so that a panel is read from L2 once per chunk. The phases
// of a dilated input are interleaved chunk by chunk: they read the same pixels.
#include "kernels/conv_forward.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_reader.h"

namespace nhwc {
namespace {

constexpr int64_t kMaxRun = 4096;  // terms in one float accumulator; longer sums go in pieces, for accuracy and for L2
constexpr int64_t kEnoughTasks = 32;  // below it the panels are divided among threads too

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
  static int64_t cut(int64_t n, int64_t parts, int64_t i) { return n / parts * i + std::min(i, n % parts); }

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

/// The tables of one register tile, or of several even ones that follow one another in a row.
template <class T, class S>
struct Tile {
  const T** a;   // [tap][mr]; even: [tap]
  int64_t* ids;  // [tap]
  int64_t taps;
  S** y;  // [mr]; even: one
  int mr, count;
  bool even;  // pixels at fixed steps
  int64_t a_step, y_step;

  int rows() const { return mr * count; }
  S* row(int m) const { return even ? y[0] + m * y_step : y[m]; }
};

/// A run of the loop nest: what all its tasks share.
template <class T, class S>
struct Run {
  Run(const ConvPlan& p, const ConvOperands& operands, const T* weights, int64_t begin, int64_t end)
      : plan(p),
        q(p.problem),
        a(operands),
        k(table_for(p.isa).conv),
        f(float_kernels<T>(k)),
        layout(p),
        packed(weights),
        first_panel(begin),
        panels(end - begin),
        axes{{q, 0}, {q, 1}, {q, 2}},
        clamp(clamp_of<T>(q.activation)),
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
  S* output(const Phase& ph, const RowPiece& at) const {
    int64_t i = at.n;
    for (int x = 0; x < 3; ++x) i = i * q.out[x] + ph.axis[x].first + at.j[x] * ph.period[x];
    return static_cast<S*>(a.y) + i * channels;
  }

  const ConvPlan& plan;
  const ConvProblem& q;
  const ConvOperands& a;
  const ConvKernels& k;
  const FloatKernels<T>& f;
  PackedLayout layout;
  const T* packed;
  int64_t first_panel, panels;
  AxisPhases axes[3];
  Clamp<T> clamp;
  int64_t channels;
  const T* bias = nullptr;   // (groups * o), of the compute type
  const T* zeros = nullptr;  // as long as a run or a pixel
};

/// Where a tile writes: straight to y, or to float rows that are narrowed afterwards.
template <class T, class S>
class TileOutput {
 public:
  TileOutput(const Run<T, S>& run, Arena& arena, int64_t width) : run_(run), width_(width) {
    if constexpr (!std::is_same_v<S, T>) {
      rows_ = arena.take<T*>(run.plan.mr);
      T* data = arena.take<T>(run.plan.mr * width);
      for (int m = 0; m < run.plan.mr; ++m) rows_[m] = data + m * width;
    }
  }
  T* const* rows(const Tile<T, S>& t) const {
    if constexpr (std::is_same_v<S, T>)
      return t.y;
    else
      return rows_;
  }
  int64_t row_step(const Tile<T, S>& t) const { return std::is_same_v<S, T> ? t.y_step : width_; }
  static int64_t offset(int64_t channel) { return std::is_same_v<S, T> ? channel : 0; }
  /// The activation that is not a clamp, and the conversion.
  void finish(const Tile<T, S>& t, int64_t channel, int64_t n) const {
    if (std::is_same_v<S, T> && !run_.clamp.pass) return;
    for (int m = 0; m < t.rows(); ++m) {
      T* row;
      if constexpr (std::is_same_v<S, T>)
        row = t.row(m) + channel;
      else
        row = rows_[m];
      if (run_.clamp.pass) run_.f.activate(row, row, n, run_.q.activation);
      narrow(run_.k, row, t.row(m) + channel, n);
    }
  }

 private:
  const Run<T, S>& run_;
  int64_t width_;
  T** rows_ = nullptr;
};

/// The implicit GEMM of some tiles with one panel of weights.
template <class T, class S>
void direct_panel(const Run<T, S>& r, const Tile<T, S>* tiles, int64_t n, const TileOutput<T, S>& out, int64_t panel,
                  bool first) {
  const ConvProblem& q = r.q;
  const int64_t g = panel / r.layout.per_group, o0 = panel % r.layout.per_group * r.layout.nr;
  const int64_t width = r.layout.width(panel), channel = g * q.o + o0;
  const int64_t k = r.plan.algorithm == ConvAlgorithm::merged ? q.kernel[2] * q.c : q.c;
  const int64_t taps_at_once = std::max<int64_t>(1, kMaxRun / k), k_at_once = std::min(k, kMaxRun);
  const T inf = static_cast<T>(__builtin_inf());
  DirectTile<T> d;
  d.w_tap = k * width;
  d.w_step = width;
  d.y_offset = out.offset(channel);
  d.n = static_cast<int>(std::min(width, q.o - o0));
  const T* w = r.packed + (r.layout.offset(panel) - r.layout.offset(r.first_panel));
  const T* bias = r.bias ? r.bias + channel : nullptr;
  const bool wide = width > r.f.lanes;
  for (const Tile<T, S>* t = tiles; t < tiles + n; ++t) {
    const int64_t per_tap = t->even ? 1 : t->mr;
    const auto kernel = (t->even ? r.f.even : r.f.direct)[wide][t->mr];
    d.y = out.rows(*t);
    d.a_step = t->a_step;
    d.y_step = out.row_step(*t);
    d.tiles = t->count;
    d.prefetch = first && r.plan.prefetch;
    d.bias = nullptr;
    d.lo = -inf;
    d.hi = inf;
    d.add = false;
    int64_t tap = 0, k0 = 0;
    for (bool last = false; !last; d.add = true) {
      d.a = t->a + tap * per_tap;
      d.tap_ids = t->ids + tap;
      d.taps = std::min(taps_at_once, t->taps - tap);
      d.a_offset = g * q.c + k0;
      d.k = std::min(k_at_once, k - k0);
      d.w = w + k0 * width;
      k0 += d.k;
      if (k0 == k || t->taps == 0) {
        k0 = 0;
        tap += d.taps;
      }
      last = tap == t->taps;
      if (last) {
        d.bias = bias;
        d.lo = r.clamp.lo;
        d.hi = r.clamp.hi;
      }
      kernel(d);
    }
    out.finish(*t, channel, d.n);
  }
}

/// Some tiles with up to kDotOutputs output channels.
template <class T, class S>
void dot_panel(const Run<T, S>& r, const Tile<T, S>* tiles, int64_t n_tiles, const TileOutput<T, S>& out, int64_t panel,
               bool) {
  const ConvProblem& q = r.q;
  const int64_t g = panel / r.layout.per_group, o0 = panel % r.layout.per_group * r.layout.nr,
                n = r.layout.width(panel);
  const int64_t channel = g * q.o + o0, step = (q.c + r.f.lanes - 1) / r.f.lanes * r.f.lanes;
  const T* w = r.packed + (r.layout.offset(panel) - r.layout.offset(r.first_panel));
  T bias[kDotLanes];
  for (int64_t i = 0; i < kDotLanes; ++i) bias[i] = r.bias ? r.bias[channel + i % n] : T(-0.0);
  for (const Tile<T, S>* t = tiles; t < tiles + n_tiles; ++t) {
    const DotTile<T> d{t->a,    t->ids,     t->taps,    q.c,          g * q.c,
                       w,       n * step,   step,       out.rows(*t), out.offset(channel),
                       bias,    r.clamp.lo, r.clamp.hi, t->a_step,    t->even ? out.row_step(*t) : 0,
                       t->count};
    (t->even ? r.f.even_dot : r.f.dot)[n][t->mr](d);
    out.finish(*t, channel, n);
  }
}

/// All channels of one tile: depthwise, grouped.
template <class T, class S>
void channel_tile(const Run<T, S>& r, const Tile<T, S>& t, const TileOutput<T, S>& out) {
  const ConvProblem& q = r.q;
  ChannelTile<T> c;
  c.a = t.a;
  c.tap_ids = t.ids;
  c.taps = t.taps;
  c.w = r.packed;
  c.w_step = r.layout.nr;
  c.y = out.rows(t);
  c.bias = r.bias;
  c.lo = r.clamp.lo;
  c.hi = r.clamp.hi;
  c.n = r.channels;
  c.channels_in = q.groups * q.c;
  c.c = q.c;
  c.kernel = q.kernel[0] * q.kernel[1] * q.kernel[2];
  (r.plan.algorithm == ConvAlgorithm::depthwise ? r.f.depthwise : r.f.grouped)[t.mr](c);
  out.finish(t, 0, r.channels);
}

/// Reads the tiles of a chunk and runs panels [begin, end) over them.
template <class Reader, class T, class S>
class ChunkRunner {
 public:
  ChunkRunner(const Run<T, S>& run)
      : r_(run),
        channelwise_(run.plan.algorithm == ConvAlgorithm::depthwise || run.plan.algorithm == ConvAlgorithm::grouped),
        evens_(run.plan.algorithm == ConvAlgorithm::dot ? run.f.even_dot[1][1] != nullptr
                                                        : !channelwise_ && run.f.even[0][1] != nullptr),
        arena_(tile_scratch_bytes(run.plan, run.plan.chunk_tiles)),
        reader_(run.plan, run.a, run.zeros, arena_, int64_t(run.plan.chunk_tiles) * run.plan.mr),
        out_(run, arena_, channelwise_ ? run.channels : run.plan.nr) {
    const ConvProblem& q = run.q;
    const int64_t taps = q.kernel[0] * q.kernel[1] * (run.plan.algorithm == ConvAlgorithm::merged ? 1 : q.kernel[2]);
    for (int i = 0; i < run.plan.chunk_tiles; ++i) {
      tiles_[i].a = arena_.take<const T*>(taps * run.plan.mr);
      tiles_[i].ids = arena_.take<int64_t>(taps);
      tiles_[i].y = arena_.take<S*>(run.plan.mr);
    }
  }

  void run(const Phase& ph, const TileSplit& split, int64_t first, int64_t last, int64_t begin, int64_t end) {
    reader_.new_chunk();
    TileSplit::Cursor cursor = split.at(first);
    PixelAt at(ph, cursor.pixel);
    int64_t n = 0;
    for (int64_t left = last - first; left > 0; ++n) left -= read(ph, split, cursor, at, left, tiles_[n]);
    if (channelwise_) {
      for (int64_t i = 0; i < n; ++i) channel_tile(r_, tiles_[i], out_);
      return;
    }
    const auto run_panel = r_.plan.algorithm == ConvAlgorithm::dot ? dot_panel<T, S> : direct_panel<T, S>;
    for (int64_t p = begin; p < end; ++p) run_panel(r_, tiles_, n, out_, p, p == begin);
  }

 private:
  /// Fills the tables of the next tile, or of as many even ones as follow in its row, `most` at most; returns how many.
  int64_t read(const Phase& ph, const TileSplit& split, TileSplit::Cursor& cursor, PixelAt& at, int64_t most,
               Tile<T, S>& t) {
    t.mr = split.step(cursor);
    t.y_step = ph.period[2] * r_.channels;
    if (evens_) {
      const int all = std::is_same_v<S, T> ? split.same_size(cursor, most, ph.axis[2].count - at.j[2], t.mr) : 1;
      const int tries[] = {all, all - 1, 1};  // the last one may meet the border
      for (int i = 0; i < std::min(all, 3); ++i) {
        t.count = tries[i];
        if (!read_even(ph, at, t)) continue;
        for (int j = 1; j < t.count; ++j) split.step(cursor);
        return t.count;
      }
    }
    RowPiece pieces[kMaxTilePixels];
    const int n = cut_rows(ph, at, t.mr, pieces);
    t.even = false;
    t.count = 1;
    t.taps = reader_.fill(ph, pieces, n, t.mr, t.a, t.ids);
    for (int p = 0; p < n; ++p) {
      S* y = r_.output(ph, pieces[p]);
      for (int i = 0; i < pieces[p].count; ++i) t.y[pieces[p].first + i] = y + i * t.y_step;
    }
    return 1;
  }

  bool read_even(const Phase& ph, PixelAt& at, Tile<T, S>& t) {
    const RowPiece piece{at.n, {at.j[0], at.j[1], at.j[2]}, 0, t.rows()};
    if (at.j[2] + piece.count > ph.axis[2].count) return false;
    t.taps = reader_.fill_even(ph, piece, t.a, t.ids, t.a_step);
    t.even = t.taps != kUneven;
    if (!t.even) return false;
    t.y[0] = r_.output(ph, piece);
    at.j[2] += piece.count - 1;
    at.next(ph);
    return true;
  }

  static constexpr int kMaxChunk = 16;
  const Run<T, S>& r_;
  bool channelwise_, evens_;
  Arena arena_;
  Reader reader_;
  TileOutput<T, S> out_;
  Tile<T, S> tiles_[kMaxChunk];
};

template <class Reader, class T, class S>
void run_tasks(const Run<T, S>& r) {
  const int64_t n_phases = r.phases();
  struct Part {
    Phase phase;
    TileSplit split;
  };
  InlineVec<Part, 4> phases;
  int64_t chunks = 0;
  for (int64_t i = 0; i < n_phases; ++i) {
    const Phase ph = r.phase(i);
    phases.push_back({ph, TileSplit(ph, r.plan.mr)});
    chunks = std::max(chunks, (phases[i].split.tiles + r.plan.chunk_tiles - 1) / r.plan.chunk_tiles);
  }
  const bool channelwise = r.plan.algorithm == ConvAlgorithm::depthwise || r.plan.algorithm == ConvAlgorithm::grouped;
  const double flops = 2.0 * static_cast<double>(r.q.batch * r.q.out[0] * r.q.out[1] * r.q.out[2]) *
                       static_cast<double>(r.panels) * static_cast<double>(r.layout.full_elems);
  int64_t parts = 1;  // of the panels; each reads the tiles anew
  if (!channelwise && flops > kInlineFlops && chunks * n_phases < kEnoughTasks)
    parts = std::min(r.panels, (kEnoughTasks + chunks * n_phases - 1) / (chunks * n_phases));
  const int64_t tasks = chunks * n_phases * parts;
  parallel_for(tasks, grain_of(tasks, flops), [&](int64_t begin, int64_t end) {
    ChunkRunner<Reader, T, S> runner(r);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t part = task % parts, phase = task / parts % n_phases, chunk = task / parts / n_phases;
      const auto& [ph, split] = phases[phase];
      const int64_t first = TileSplit::cut(split.tiles, chunks, chunk),
                    last = TileSplit::cut(split.tiles, chunks, chunk + 1);
      if (first == last) continue;
      runner.run(ph, split, first, last, r.first_panel + TileSplit::cut(r.panels, parts, part),
                 r.first_panel + TileSplit::cut(r.panels, parts, part + 1));
    }
  });
}

/// A pixel outside the input: shared while it is short. Not const, which would put the zeros into the file.
template <class T>
const T* shared_zeros(int64_t n) {
  alignas(kAlignment) static T zeros[8192];
  return n <= 8192 ? zeros : nullptr;
}

/// Whether every output reads the one pixel at its own place, and all pixels lie evenly apart.
bool pointwise(const ConvProblem& q, const ConvOperands& a) {
  int64_t step = a.x_stride[3];
  for (int i = 2; i >= 0; --i) {
    if (q.kernel[i] != 1 || q.pad[i] != 0 || q.in_dilation[i] != 1 || q.stride[i] != 1 || q.in[i] != q.out[i])
      return false;
    step *= q.in[i];
    if (a.x_stride[i] != step && (i > 0 ? q.in[i - 1] : q.batch) > 1) return false;
  }
  return true;
}

template <class S>
void run_typed(const ConvPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  using T = Compute<S>;
  Run<T, S> run(plan, a, static_cast<const T*>(packed), begin, end);
  const ConvProblem& q = plan.problem;
  const int64_t n_zeros = plan.algorithm == ConvAlgorithm::merged ? q.kernel[2] * q.c : q.groups * q.c;
  const bool own_zeros = shared_zeros<T>(n_zeros) == nullptr, wide_bias = q.has_bias && !std::is_same_v<S, T>;
  const Scratch zeros(own_zeros ? static_cast<size_t>(n_zeros) * sizeof(T) : 0);
  const Scratch bias(wide_bias ? static_cast<size_t>(run.channels) * sizeof(T) : 0);
  if (own_zeros) std::memset(zeros.as<T>(), 0, static_cast<size_t>(n_zeros) * sizeof(T));
  run.zeros = own_zeros ? zeros.as<T>() : shared_zeros<T>(n_zeros);
  if constexpr (std::is_same_v<S, T>) {
    if (q.has_bias) run.bias = static_cast<const T*>(a.bias);
  } else if (wide_bias) {
    widen(run.k, static_cast<const S*>(a.bias), bias.as<T>(), run.channels);
    run.bias = bias.as<T>();
  }
  if (plan.algorithm == ConvAlgorithm::merged)
    run_tasks<RowReader<T, S>>(run);
  else
    run_tasks<InputReader<T, S>>(run);
}

}  // namespace

void run_forward(const ConvPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  if (is_winograd(plan.algorithm)) return run_winograd(plan, a, packed, begin, end);
  if (plan.algorithm == ConvAlgorithm::depthwise && run_depthwise_rows(plan, a, packed)) return;
  const auto run = [&](const ConvPlan& p) {
    visit_float(p.problem.dtype, [&]<class S>() { run_typed<S>(p, a, packed, begin, end); });
  };
  const ConvProblem& q = plan.problem;
  const int64_t rows = q.batch * q.out[0] * q.out[1];
  if (rows == 1 || !pointwise(q, a)) return run(plan);
  ConvPlan one_row = plan;  // rows may end in the middle of a tile, one row does not
  one_row.problem.batch = 1;
  for (int64_t* size : {one_row.problem.in, one_row.problem.out}) {
    size[0] = size[1] = 1;
    size[2] *= rows;
  }
  run(one_row);
}

}  // namespace nhwc
