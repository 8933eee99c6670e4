// csrc/kernels/conv_forward_nest.h -- tiles x threads of forward-like convolutions; knows no instruction set. Included
// where run_typed is instantiated.
// Order: chunk of a few tiles -> panel of weights -> tile, so that a panel is read from L2 once per chunk. The phases
// of a dilated input are interleaved chunk by chunk: they read the same pixels.
#pragma once

#include "kernels/conv_forward.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/conv_calls.h"
#include "kernels/conv_tasks.h"
#include "kernels/conv_tile.h"

namespace nhwc {
namespace {

constexpr int64_t kMaxRun = 4096;  // terms in one float accumulator; longer sums go in pieces, for accuracy and for L2

/// A run of the loop nest: what all its tasks share.
template <class T, class S>
struct Run : RunShape {
  Run(const CpuPlan& p, const ConvOperands& operands, const T* weights, int64_t first, int64_t last)
      : RunShape(p, operands, first, last),
        f(float_kernels<Sum<T>>(k)),
        packed(weights - layout.offset(first)),
        taps_at_once(std::max<int64_t>(1, kMaxRun / run_length())),
        end(q.activation, operands.residual_from_y,
            p.algorithm == ConvAlgorithm::direct || p.algorithm == ConvAlgorithm::merged),
        stream(p.stream && streamable(operands, end) &&
               run_length() * q.kernel[0] * q.kernel[1] * q.kernel[2] <= kMaxRun) {}

  S* output(const Phase& ph, const RowPiece& at) const { return static_cast<S*>(a.y) + RunShape::output(ph, at); }
  /// Nothing is done to the sums of a tile yet.
  template <class D>
  void start(D& d) const {
    d.bias = nullptr;
    d.hi = static_cast<Sum<T>>(__builtin_inf());
    d.lo = -d.hi;
    d.add = d.clamp = false;
    d.residual = 0;
    if constexpr (kPairs<T>) d.narrow = nullptr;
  }
  /// What is done to the sums of a tile in its kernel, besides the bias.
  template <class D>
  void finish(D& d, const Tile<T, S>& t, int64_t channel) const {
    d.lo = end.lo;
    d.hi = end.hi;
    d.residual = end.residual;
    d.clamp = end.lo > -__builtin_inf() || end.hi < __builtin_inf();
    if constexpr (kPairs<T>) {
      d.narrow = end.pass ? nullptr : t.y;
      d.narrow_offset = channel;
      d.narrow_step = t.y_step;
    }
  }

  /// From a pixel of an even tile to the one that is asked for: of the next row of outputs, or of the next tile.
  int64_t ahead(const Tile<T, S>& t) const {
    if (plan.prefetch_row && !is_merged(plan.algorithm)) return q.stride[1] * a.x_stride[2];
    return ahead_of_tile<T>(t.taps, t.mr * t.a_step);
  }

  const FloatKernels<Sum<T>>& f;
  const T* packed;  // panel 0, whether it is among those of this run or not
  int64_t taps_at_once;
  Epilogue<Sum<T>> end;
  bool stream;                   // outputs go past the caches
  const Sum<T>* bias = nullptr;  // (groups * o)
  const T* zeros = nullptr;      // as long as a run or a pixel
};

/// Where a tile writes: straight to y, or to float rows that are narrowed afterwards.
template <class T, class S>
class TileOutput {
  using R = Sum<T>;
  static constexpr bool kInPlace = std::is_same_v<S, R>;

 public:
  TileOutput(const Run<T, S>& run, Arena& arena, int64_t width) : run_(run), width_(width) {
    if constexpr (!kInPlace) {
      rows_ = arena.take<R*>(run.plan.mr);
      R* data = arena.take<R>(run.plan.mr * width);
      for (int m = 0; m < run.plan.mr; ++m) rows_[m] = data + m * width;
    }
  }
  R* const* rows(const Tile<T, S>& t) const {
    if constexpr (kInPlace)
      return t.y;
    else
      return rows_;
  }
  int64_t row_step(const Tile<T, S>& t) const { return kInPlace ? t.y_step : width_; }
  static int64_t offset(int64_t channel) { return kInPlace ? channel : 0; }
  /// What is left of the epilogue, and the conversion.
  void finish(const Tile<T, S>& t, int64_t channel, int64_t n) const {
    if (kInPlace && !run_.end.pass) return;
    for (int m = 0; m < t.rows(); ++m) {
      R* row;
      if constexpr (kInPlace)
        row = t.row(m) + channel;
      else
        row = rows_[m];
      if (run_.end.pass) run_.end.finish(run_.f, row, n);
      narrow(run_.k, run_.q.dtype, row, t.row(m) + channel, n);
    }
  }

 private:
  const Run<T, S>& run_;
  int64_t width_;
  R** rows_ = nullptr;
};

template <class T, class S>
const auto& direct_kernels(const Run<T, S>& r) {
  if constexpr (kPairs<T>)
    return *r.k.pairs;
  else
    return r.f;
}

/// The taps of a tile from `tap` on that are summed together: cut at places that do not depend on the taps it leaves
/// out, which are those of its other outputs too.
template <class T, class S>
int64_t taps_of_run(const Tile<T, S>& t, int64_t tap, int64_t at_once) {
  if (t.phase_taps <= at_once || tap == t.taps) return t.taps - tap;
  int64_t end = tap + 1;
  while (end < t.taps && t.ids[end] / at_once == t.ids[tap] / at_once) ++end;
  return end - tap;
}

/// The implicit GEMM of some tiles with one panel of weights.
template <class T, class S>
void direct_panel(const Run<T, S>& r, const Tile<T, S>* tiles, int64_t n, const TileOutput<T, S>& out, int64_t panel,
                  bool first) {
  const ConvProblem& q = r.q;
  const int64_t g = panel / r.layout.per_group, o0 = panel % r.layout.per_group * r.layout.nr;
  const int64_t width = r.layout.width(panel), channel = g * q.o + o0;
  const int64_t k = r.run_length(), taps_at_once = r.taps_at_once, k_at_once = std::min(k, kMaxRun);
  std::conditional_t<kPairs<T>, PairTile, DirectTile<T>> d;
  const bool terms = has_terms(r.plan);
  d.w_tap = terms ? terms_tap_elems(r.plan) : (kPairs<T> ? k + k % 2 : k) * width;
  d.w_step = width;
  d.y_offset = out.offset(channel);
  d.n = static_cast<int>(std::min(width, q.o - o0));
  d.prefetch_y = r.plan.prefetch_y && !r.stream;
  d.weights_far = r.plan.weights_far;
  const T* w = r.packed + r.layout.offset(panel);
  const Sum<T>* bias = r.bias ? r.bias + channel : nullptr;
  const int64_t vectors = width / r.f.lanes;
  const bool ask = r.plan.prefetch && (first || o0 == 0);  // others read what these have read
  const auto& kernels = direct_kernels(r);
  for (const Tile<T, S>* t = tiles; t < tiles + n; ++t) {
    const int per_tap = t->even ? 1 : t->table;
    const int64_t at_once = vectors > 3 && !t->even ? 2 : vectors;
    auto kernel = (t->even ? kernels.even : kernels.direct)[at_once - 1][t->mr];
    if constexpr (!kPairs<T>) {
      if (terms) kernel = kernels.terms[t->even][t->even ? t->mr : t->table];
      if (r.stream && t->even && vectors == 2 && kernels.streaming[t->mr]) kernel = kernels.streaming[t->mr];
    }
    d.y = out.rows(*t);
    d.a_step = t->a_step;
    d.k_step = t->run_step;
    d.w_step = t->run_ids * width;
    d.y_step = out.row_step(*t);
    d.tiles = t->count;
    d.ahead = ask ? r.ahead(*t) : 0;
    r.start(d);
    int64_t tap = 0, k0 = 0;
    for (bool last = false; !last; d.add = true) {
      d.a = t->a + tap * per_tap;
      d.tap_ids = t->ids + tap;
      d.taps = taps_of_run(*t, tap, taps_at_once);
      d.a_offset = g * q.c + k0;
      d.k = std::min(k_at_once, k - k0) * t->run;
      d.w = w + k0 * width;
      k0 += d.k;
      if (k0 >= k || t->taps == 0) {
        k0 = 0;
        tap += d.taps;
      }
      last = tap == t->taps;
      if (last) {
        d.bias = bias;
        r.finish(d, *t, channel);
      }
      call_parts(r.a.sink, kernel, d, {d.taps * per_tap, d.taps, per_tap}, at_once * r.f.lanes);
    }
    if (!kPairs<T> || r.end.pass) out.finish(*t, channel, d.n);
  }
}

/// All groups of some tiles, each of few output channels.
template <class T, class S>
void dot_groups(const Run<T, S>& r, const Tile<T, S>* tiles, int64_t n, const TileOutput<T, S>& out, int64_t,
                bool first) {
  const ConvProblem& q = r.q;
  DotTile<T> d{};
  d.k = q.c;
  d.w = r.packed;
  d.w_tap = dot_segments_tap_elems(q.c, r.f.lanes);
  d.w_step = q.kernel[0] * q.kernel[1] * q.kernel[2] * d.w_tap;
  d.bias = r.bias;
  d.lo = r.end.lo;
  d.hi = r.end.hi;
  d.prefetch = first && r.plan.prefetch;
  d.n = static_cast<int>(q.groups * q.o);
  d.outputs = static_cast<int>(q.o);
  for (const Tile<T, S>* t = tiles; t < tiles + n; ++t) {
    d.a = t->a;
    d.tap_ids = t->ids;
    d.taps = t->taps;
    d.y = out.rows(*t);
    d.a_step = t->a_step;
    d.y_step = t->even ? out.row_step(*t) : 0;
    d.tiles = t->count;
    d.mr = t->mr;
    r.f.dot_groups[dot_segments(r.plan)](d);
    out.finish(*t, 0, d.n);
  }
}

/// Some tiles with few output channels.
template <class T, class S>
void dot_panel(const Run<T, S>& r, const Tile<T, S>* tiles, int64_t n_tiles, const TileOutput<T, S>& out, int64_t panel,
               bool first) {
  const ConvProblem& q = r.q;
  const int64_t g = panel / r.layout.per_group, o0 = panel % r.layout.per_group * r.layout.nr,
                n = r.layout.width(panel);
  const DotForm form = dot_form(r.plan);
  const int64_t channel = g * q.o + o0, step = dot_tap_elems(form, q.c, r.f.lanes), wide = form.outputs();
  const T* w = r.packed + r.layout.offset(panel);
  T bias[kDotLanes];
  std::fill(bias, bias + kDotLanes, T(-0.0));
  for (int64_t i = 0, j = 0; r.bias && i < kDotLanes; ++i, j = j + 1 < wide ? j + 1 : 0)
    if (j < n) bias[i] = r.bias[channel + j];
  for (const Tile<T, S>* t = tiles; t < tiles + n_tiles; ++t) {
    const DotTile<T> d{t->a,
                       t->ids,
                       t->taps,
                       q.c,
                       g * q.c,
                       w,
                       step,
                       0,
                       out.rows(*t),
                       out.offset(channel),
                       bias,
                       r.end.lo,
                       r.end.hi,
                       t->a_step,
                       t->even ? out.row_step(*t) : 0,
                       t->count,
                       first && r.plan.prefetch,
                       static_cast<int>(n),
                       t->mr};
    CallTables tables{t->taps * (t->even ? 1 : t->table), t->taps, t->even ? 1 : t->table};
    if (wide == 1) {
      call(r.a.sink, t->even ? r.f.even_dot[t->mr] : r.f.dot[t->table], d, tables);
    } else {
      const int kind = t->even ? 2 : 2 * t->mr > r.plan.mr;
      if (!t->even && t->taps > 0) std::fill(t->a + t->taps * t->mr, t->a + (t->taps - 1) * t->mr + r.plan.mr, t->a[0]);
      if (!t->even && t->taps > 0) tables.pointers += r.plan.mr - t->mr;
      call(r.a.sink, r.f.segments[kind][r.plan.dot_form], d, tables);
    }
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
  c.lo = r.end.lo;
  c.hi = r.end.hi;
  c.n = r.channels;
  c.channels_in = q.groups * q.c;
  c.c = q.c;
  c.kernel = q.kernel[0] * q.kernel[1] * q.kernel[2];
  (r.plan.algorithm == ConvAlgorithm::depthwise ? r.f.depthwise : r.f.grouped)[t.table](c);
  out.finish(t, 0, r.channels);
}

/// Reads the tiles of a chunk and runs panels [begin, end) over them.
template <class Reader, class T, class S>
class ChunkRunner {
 public:
  ChunkRunner(const Run<T, S>& run)
      : r_(run),
        channelwise_(run.channelwise()),
        joins_taps_(!kPairs<T> && run.plan.algorithm == ConvAlgorithm::direct && run.q.c == 1),
        pairs_of_rows_(
            run.plan.algorithm == ConvAlgorithm::depthwise || has_terms(run.plan) ||
            (run.plan.algorithm == ConvAlgorithm::dot && run.plan.dot_form < 0 && dot_segments(run.plan) == 0)),
        arena_(tile_scratch_bytes(run.plan, run.plan.chunk_tiles)),
        reader_(run.plan, run.a, run.zeros, arena_, int64_t(run.plan.chunk_tiles) * run.plan.mr),
        out_(run, arena_, channelwise_ ? run.channels : run.plan.nr) {
    const ConvProblem& q = run.q;
    const int64_t taps = q.kernel[0] * q.kernel[1] * (is_merged(run.plan.algorithm) ? 1 : q.kernel[2]);
    several_ = kPairs<T> ? !run.end.pass && taps * run.run_length() <= kMaxRun : std::is_same_v<S, T>;
    for (int i = 0; i < run.plan.chunk_tiles; ++i) {
      tiles_[i].a = arena_.take<const T*>(taps * run.plan.mr);
      tiles_[i].ids = arena_.take<int64_t>(taps);
      tiles_[i].y = arena_.take<S*>(run.plan.mr);
    }
  }

  void run(const ChunkTask& task) {
    if (task.first == task.last) return;
    read(task);
    const int64_t n = filled_;
    auto run_panel = direct_panel<T, S>;
    if constexpr (!kPairs<T>) {
      if (channelwise_) {
        for (int64_t i = 0; i < n; ++i) channel_tile(r_, tiles_[i], out_);
        return;
      }
      if (r_.plan.algorithm == ConvAlgorithm::dot)
        run_panel = dot_segments(r_.plan) > 0 ? dot_groups<T, S> : dot_panel<T, S>;
    }
    for (int64_t p = task.begin; p < task.end; ++p) run_panel(r_, tiles_, n, out_, p, p == task.begin);
  }

 private:
  bool has_even(int mr) const {
    if (dot_segments(r_.plan) > 0) return true;
    if (r_.plan.algorithm == ConvAlgorithm::dot)
      return r_.plan.dot_form < 0 ? r_.f.even_dot[1] != nullptr
                                  : mr >= least_even_pixels(r_.plan.mr) && r_.f.segments[2][r_.plan.dot_form];
    if (channelwise_) return false;
    if (has_terms(r_.plan)) return r_.f.terms[1][mr] != nullptr;
    const int64_t vectors = r_.layout.width(0) / r_.f.lanes;
    return direct_kernels(r_).even[vectors - 1][mr] != nullptr;
  }

  /// Fills the tables of a task's tiles, unless the task before had the same with other panels.
  void read(const ChunkTask& task) {
    if (task.box == read_.box && task.first == read_.first && task.last == read_.last) return;
    read_ = task;
    reader_.new_chunk();
    filled_ = 0;
    int64_t tile = task.first;
    for (const TaskBox* box = task.box; tile < task.last; ++box) {
      if (box != box_ || tile != next_) {
        cursor_ = box->split.at(tile - box->first);
        at_ = PixelAt(box->phase, cursor_.pixel);
      }
      box_ = box;
      for (const int64_t end = std::min(task.last, box->first + box->split.tiles); tile < end; ++filled_)
        tile += read(box->phase, box->split, cursor_, at_, end - tile, tiles_[filled_]);
      next_ = tile;
    }
  }

  /// Fills the tables of the next tile, or of as many even ones as follow in its row, `most` at most; returns how many.
  int64_t read(const Phase& ph, const TileSplit& split, TileSplit::Cursor& cursor, PixelAt& at, int64_t most,
               Tile<T, S>& t) {
    t.mr = split.step(cursor);
    t.y_step = ph.period[2] * r_.channels;
    t.phase_taps = ph.taps;
    if (has_even(t.mr)) {
      const bool any = dot_segments(r_.plan) > 0;  // number of pixels
      const int own = t.mr;
      const int all = several_ ? split.same_size(cursor, most, ph.axis[2].end() - at.j[2], own, any) : 1;
      const int tries[] = {all, all - 1, 1};  // the last one may meet the border
      for (int i = 0; i < std::min(all, 3); ++i) {
        TileSplit::Cursor next = cursor;
        int pixels = own;
        for (int j = 1; j < tries[i]; ++j) pixels += split.step(next);
        t.mr = any ? pixels : own;
        t.count = any ? 1 : tries[i];
        if (!read_even(ph, at, t)) continue;
        cursor = next;
        return tries[i];
      }
      t.mr = own;
    }
    RowPiece pieces[kMaxTilePixels + 1];
    int n = cut_rows(ph, at, t.mr, pieces);
    t.even = false;
    t.one_tap_a_run();
    t.a_step = 0;
    t.count = 1;
    t.table = t.mr;
    if (pairs_of_rows_ && t.mr % 2 != 0) {  // the last pixel is there again
      pieces[n] = {pieces[n - 1].n, {}, t.table++, 1};
      for (int x = 0; x < 3; ++x) pieces[n].j[x] = pieces[n - 1].j[x] + (x == 2 ? pieces[n - 1].count - 1 : 0);
      ++n;
    }
    t.taps = reader_.fill(ph, pieces, n, t.table, t.a, t.ids);
    if (kPairs<T> && t.taps == 0) {  // those kernels want one
      std::fill(t.a, t.a + t.mr, r_.zeros);
      t.ids[0] = 0;
      t.taps = 1;
    }
    for (int p = 0; p < n; ++p) {
      S* y = r_.output(ph, pieces[p]);
      for (int i = 0; i < pieces[p].count; ++i) t.y[pieces[p].first + i] = y + i * t.y_step;
    }
    return 1;
  }

  bool read_even(const Phase& ph, PixelAt& at, Tile<T, S>& t) {
    const RowPiece piece{at.n, {at.j[0], at.j[1], at.j[2]}, 0, t.rows()};
    if (at.j[2] + piece.count > ph.axis[2].end()) return false;
    t.taps = reader_.fill_even(ph, piece, t.a, t.ids, t.a_step);
    t.even = t.taps != kUneven && !(kPairs<T> && t.taps == 0);
    if (!t.even) return false;
    t.one_tap_a_run();
    if (joins_taps_ && t.phase_taps <= r_.taps_at_once) t.join_taps();
    t.y[0] = r_.output(ph, piece);
    at.j[2] += piece.count - 1;
    at.next(ph);
    return true;
  }

  const Run<T, S>& r_;
  bool channelwise_;
  bool joins_taps_;     // the sums of a direct plan of one channel
  bool pairs_of_rows_;  // tables have an even number of pixels: half the code
  bool several_;        // even tiles to a call: sums on their way have room for one
  Arena arena_;
  Reader reader_;
  TileOutput<T, S> out_;
  Tile<T, S> tiles_[kMostChunkTiles];
  TileSplit::Cursor cursor_{};  // where the tiles of the last chunk ended: the next one mostly begins there
  PixelAt at_;
  const TaskBox* box_ = nullptr;
  int64_t next_ = -1, filled_ = 0;  // filled: the first of tiles_
  ChunkTask read_{};                // which hold the tiles of this one
};

template <class Reader, class T, class S>
void run_tasks(const Run<T, S>& r, const TaskList& tasks) {
  parallel_for(tasks.size(), tasks.grain(), [&](int64_t begin, int64_t end) {
    ChunkRunner<Reader, T, S> runner(r);
    for (int64_t i = begin; i < end; ++i) runner.run(tasks[i]);
    if (r.stream) r.f.end_streams();
  });
}

/// A pixel outside the input: shared while it is short. Not const, which would put the zeros into the file.
template <class T>
const T* shared_zeros(int64_t n) {
  alignas(kAlignment) static T zeros[8192];
  return n <= 8192 ? zeros : nullptr;
}

/// A direct, merged, dot, depthwise or grouped plan. T: what the kernels read.
template <class S, class T = Compute<S>>
void run_typed(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  using R = Sum<T>;
  Run<T, S> run(plan, a, static_cast<const T*>(packed), begin, end);
  const ConvProblem& q = plan.problem;
  const bool merged = is_merged(plan.algorithm);
  const int64_t n_zeros = merged ? run.run_length() : q.groups * q.c;
  const bool own_zeros = shared_zeros<T>(n_zeros) == nullptr;
  const bool own_bias = q.has_bias && (q.fold > 1 || !std::is_same_v<S, R>);
  const Scratch zeros(own_zeros ? static_cast<size_t>(n_zeros) * sizeof(T) : 0);
  const Scratch bias(own_bias ? static_cast<size_t>(run.channels) * sizeof(R) : 0);
  if (own_zeros) std::memset(zeros.as<void>(), 0, static_cast<size_t>(n_zeros) * sizeof(T));
  run.zeros = own_zeros ? zeros.as<T>() : shared_zeros<T>(n_zeros);
  if (own_bias) {
    widen_bias(run.k, q, static_cast<const S*>(a.bias), bias.as<R>());
    run.bias = bias.as<R>();
  } else if constexpr (std::is_same_v<S, R>) {
    if (q.has_bias) run.bias = static_cast<const R*>(a.bias);
  }
  const bool fills = begin == 0 && run.fills();
  if constexpr (std::is_same_v<T, float>)
    if (a.sink) a.sink->zeros(*a.sink, own_zeros || own_bias || fills ? nullptr : run.zeros, n_zeros);
  if (fills) fill_unreached(plan, a);
  const TaskList tasks(run);
  if (merged)
    run_tasks<RowReader<T>>(run, tasks);
  else
    run_tasks<InputReader<T>>(run, tasks);
}

}  // namespace
}  // namespace nhwc
