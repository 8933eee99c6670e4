// csrc/kernels/conv_amx.cpp -- the loop nest of a convolution on the matrix unit; knows no instruction set
// A task takes a block of outputs of one image and a part of the weight panels. Group by group the pixels that the
// block reads are copied, rows with their padding one behind the other, so that every tap of every tile lies at one
// distance from it; outputs that only the ends of rows would have are not stored. Single pixels that fit are read in
// place.
#include "kernels/conv_amx.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_again.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_tasks.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

/// The outputs of one phase, and how they are divided into blocks.
class AmxPhase {
 public:
  AmxPhase(const RunShape& r, int64_t i)
      : q(amx_units(r.q)), phase(r.phase(i)), cut(r.plan.amx), geometry(q, cut, phase.axis, phase.step) {
    in_place = geometry.in_place && r.a.x_stride[3] % 2048 != 0;  // such pixels fall into few sets of L1
    divide(r);
  }
  int64_t rows_at_once() const { return geometry.along == 1 ? at_once : 1; }
  int64_t columns_at_once() const { return geometry.along == 2 ? at_once : geometry.count[2]; }

  ConvProblem q;  // of small groups, several as one
  Phase phase;
  const AmxCut& cut;
  AmxGeometry geometry;
  bool in_place;
  int64_t at_once, blocks, images, parts;  // outputs of a block; of the panels
  int64_t depths = 1;                      // slices of outputs of an image
  int64_t part;                            // elements from a part to the next, not in the same sets of L1

 private:
  /// No sum knows of it, so it may follow the number of threads.
  void divide(const RunShape& r) {
    const AmxGeometry& g = geometry;
    const int64_t n = g.count[g.along], slices = g.count[0];
    const int threads = num_threads();
    blocks = ceil_div(n, g.at_once);
    at_once = g.at_once;
    if (blocks == 1 && slices > 1) {
      const int64_t most = std::min(slices, std::max<int64_t>(1, slices * q.batch / (4 * threads)));
      while (depths < most &&
             2 * cut.parts * g.part_elems(depths + 1, rows_at_once(), columns_at_once()) <= cut.block_bytes)
        ++depths;
      depths = ceil_div(slices, ceil_div(slices, depths));
    }
    images = q.batch * ceil_div(slices, depths);
    parts = 1;
    if (threads > 1) {
      const int64_t wanted = ceil_div(4 * threads, std::max<int64_t>(1, images));
      const int64_t most = std::max(blocks, n / std::max(g.least, 2 * g.axis[g.along].span));
      blocks = std::min(std::max(wanted, blocks), most);
      if (blocks > 1 && images % threads != 0) blocks = round_up(blocks, threads);
      blocks = std::min(blocks, n);
      parts = std::clamp<int64_t>(wanted / blocks, 1, r.panels);
    }
    at_once = ceil_div(n, blocks);
    blocks = ceil_div(n, at_once);
    part = round_up(g.part_elems(depths, rows_at_once(), columns_at_once()), 2048) + 2 * kAmxValues;
  }
};

class AmxWorker {
 public:
  AmxWorker(const RunShape& r, const AmxPhase& p, const BFloat16* packed, const float* bias, int64_t image,
            NotFinite& bad)
      : r_(r),
        p_(p),
        g_(p.geometry),
        k_(*r.k.amx),
        packed_(packed),
        bias_(bias),
        image_(image),
        bad_(bad),
        half_(r.q.dtype == Dtype::bfloat16),
        end_(r.q.activation, r.a.residual_from_y, true),
        near_(r.panels * r.layout.full_elems * 2 <= 2 * p.cut.block_bytes),
        arena_(bytes()) {
    m_ = arena_.take<float>(kSums);
    finished_ = arena_.take<float>(kSums);
    at_ = arena_.take<int64_t>(g_.taps);
    ids_ = arena_.take<int64_t>(g_.taps);
    to_ = arena_.take<int64_t>(most_tiles() * kAmxPixels);
    if (!p_.in_place) copied_ = arena_.take<BFloat16>(copied_elems());
  }
  ~AmxWorker() { k_.end(); }
  AmxWorker(const AmxWorker&) = delete;

  void run(int64_t task) {
    const int64_t part = task % p_.parts, block = task / p_.parts % p_.blocks;
    const int64_t image = task / p_.parts / p_.blocks;
    const int64_t slices = g_.count[0], of_image = ceil_div(slices, p_.depths), first = block * p_.at_once;
    n_ = image / of_image;
    slice_ = image % of_image * p_.depths;
    depths_ = std::min(p_.depths, slices - slice_);
    row_ = g_.along == 1 ? first : 0;
    column_ = g_.along == 2 ? first : 0;
    rows_ = std::min(p_.rows_at_once(), g_.count[1] - row_);
    columns_ = std::min(p_.columns_at_once(), g_.count[2] - column_);
    if (rows_ <= 0 || columns_ <= 0) return;
    const AmxTiling tiling(rows_, columns_, p_.in_place ? columns_ : columns());
    k_.begin(tiling.pixels, p_.cut.depth);
    find_outputs(tiling);
    const int64_t begin = r_.first_panel + r_.panels * part / p_.parts;
    const int64_t end = r_.first_panel + r_.panels * (part + 1) / p_.parts;
    const int64_t per_group = r_.layout.per_group, groups = ceil_div(end, per_group);
    if (begin >= end) return;
    for (int64_t first_group = begin / per_group, next; first_group < groups; first_group = next) {
      next = p_.in_place ? groups : std::min(groups, first_group + g_.together);
      if (!p_.in_place) copy(first_group, next - first_group);
      for (int64_t group = first_group; group < next; ++group)
        for (int64_t depth = 0; depth < depths_; ++depth)
          run_group(tiling, group, group - first_group, depth, std::max(begin, group * per_group),
                    std::min(end, (group + 1) * per_group));
    }
  }

 private:
  static constexpr int64_t kSums = kAmxTiles * kAmxPixels * kAmxOutputs;

  int64_t most_tiles() const {
    const int64_t rows = p_.rows_at_once(), columns = p_.columns_at_once();
    return std::max(((rows - 1) * g_.axis[2].pixels(columns) + columns) / kAmxPixels + 1,
                    rows * ceil_div(columns, kAmxPixels));
  }
  int64_t copied_elems() const { return p_.cut.parts * p_.part; }
  /// Of a copied row.
  int64_t columns() const { return g_.axis[2].pixels(columns_); }
  size_t bytes() const {
    return static_cast<size_t>(2 * kSums) * sizeof(float) +
           static_cast<size_t>(2 * g_.taps + most_tiles() * kAmxPixels) * sizeof(int64_t) +
           (p_.in_place ? 0 : static_cast<size_t>(copied_elems()) * sizeof(BFloat16)) + 8 * kAlignment;
  }

  /// Where the outputs of each tile begin.
  void find_outputs(const AmxTiling& t) {
    const Phase& ph = p_.phase;
    const ConvProblem& q = r_.q;
    const int64_t plane = n_ * q.out[0] + ph.axis[0].first + slice_ * ph.period[0];
    const int64_t first = plane * q.out[1] * q.out[2] + (ph.axis[1].first + row_ * ph.period[1]) * q.out[2] +
                          ph.axis[2].first + column_ * ph.period[2];
    const int64_t row_step = ph.period[1] * q.out[2] * r_.channels, step = ph.period[2] * r_.channels;
    for (int64_t tile = 0; tile < t.tiles(); ++tile) {
      int64_t* const to = to_ + tile * kAmxPixels;
      const int64_t row = t.at(tile) / t.pitch;
      int64_t column = t.at(tile) - row * t.pitch, y = first * r_.channels + row * row_step;
      const int64_t done = t.overlap(tile);  // once: an activation may follow
      for (int i = 0; i < t.pixels; ++i) {
        to[i] = column < columns_ && i >= done ? y + column * step : -1;
        if (++column == t.pitch) column = 0, y += row_step;
      }
      std::fill(to + t.pixels, to + kAmxPixels, -1);
    }
  }

  void run_group(const AmxTiling& tiling, int64_t group, int64_t copied_group, int64_t depth, int64_t begin,
                 int64_t end) {
    const BFloat16* pixels;
    AmxTile t;
    if (p_.in_place) {
      t.x_step = r_.a.x_stride[3];
      pixels = static_cast<const BFloat16*>(r_.a.x) + n_ * r_.a.x_stride[0] + column_ * t.x_step + group * p_.q.c;
      at_[0] = ids_[0] = 0;
      t.taps = 1;
    } else {
      pixels = copied_ + copied_group * p_.q.c;
      t.x_step = g_.pixel;
      t.taps = find_taps(depth);
    }
    y_slice_ = depth * p_.phase.period[0] * r_.q.out[1] * r_.q.out[2] * r_.channels;
    t.x_part = p_.part;
    t.at = at_;
    t.ids = ids_;
    t.steps = p_.cut.steps;
    t.depth = p_.cut.depth;
    t.m = m_;
    const int64_t tiles = tiling.tiles();
    const auto run = [&](int64_t panel, int64_t first) {
      const int halves = r_.layout.width(panel) > kAmxOutputs ? 2 : 1;
      const int64_t most = kAmxTiles / halves, last = std::min(first + kAmxTiles, tiles);
      t.w = packed_ + (r_.layout.offset(panel) - r_.layout.offset(r_.first_panel));
      t.w_tap = p_.cut.steps * p_.cut.parts * halves * kAmxOutputs * p_.cut.depth;
      for (int64_t tile = first; tile < last; tile += most) {
        const int n = static_cast<int>(std::min(most, last - tile));
        t.ask = !near_ && tile == 0;  // others read what these have read
        for (int i = 0; i < n; ++i) t.x[i] = pixels + tiling.at(tile + i) * t.x_step;
        const AmxEnd e = end_of(panel, tile, n, halves);
        ask_for(e);
        k_.multiply[p_.cut.parts == 3][halves - 1][n](t);
        finish(e, halves);
      }
    };
    // Near weights pass for every few tiles, whose outputs are written together.
    if (near_) {
      for (int64_t tile = 0; tile < tiles; tile += kAmxTiles)
        for (int64_t p = begin; p < end; ++p) run(p, tile);
    } else {
      for (int64_t p = begin; p < end; ++p)
        for (int64_t tile = 0; tile < tiles; tile += kAmxTiles) run(p, tile);
    }
  }

  /// What is done to the sums of n tiles with a panel.
  AmxEnd end_of(int64_t panel, int64_t tile, int n, int halves) {
    const int64_t o0 = panel % r_.layout.per_group * r_.layout.nr;
    const int64_t channel = panel / r_.layout.per_group * p_.q.o + o0;
    AmxEnd e;
    e.m = m_;
    e.to = to_ + tile * kAmxPixels;
    e.pixels = n * kAmxPixels;
    e.y = static_cast<char*>(r_.a.y) + (y_slice_ + channel) * size();
    e.bias = bias_ ? bias_ + channel : nullptr;
    e.lo = end_.lo;
    e.hi = end_.hi;
    e.clamp = end_.lo > -__builtin_inff() || end_.hi < __builtin_inff();
    e.n = static_cast<int>(std::min<int64_t>(halves * kAmxOutputs, p_.q.o - o0));
    e.residual = end_.residual;
    e.not_finite = &not_finite_;
    return e;
  }
  int64_t size() const { return half_ ? 2 : 4; }  // bytes of an element

  /// Outputs come while the tiles are multiplied.
  void ask_for(const AmxEnd& e) const {
    const char* const y = static_cast<const char*>(e.y);
    for (int64_t i = 0; i < e.pixels; ++i) {
      __builtin_prefetch(y + e.to[i] * size(), 1);
      if (!half_) __builtin_prefetch(y + e.to[i] * size() + 64, 1);
    }
  }

  void finish(const AmxEnd& e, int halves) {
    not_finite_ = false;
    if (half_ && end_.pass) {
      finish_half(e, halves);
    } else {
      k_.finish[half_][halves - 1](e);
      if (end_.pass)
        for (int64_t p = 0; p < e.pixels; ++p)
          if (e.to[p] >= 0) end_.finish(r_.k.f32, static_cast<float*>(e.y) + e.to[p], e.n);
    }
    if (not_finite_) find_not_finite(e, halves);
  }
  /// An activation that is no clamp: in float32 first.
  void finish_half(const AmxEnd& end, int halves) {
    AmxEnd e = end;
    int64_t to[kAmxTiles * kAmxPixels];
    for (int64_t p = 0; p < e.pixels; ++p) to[p] = end.to[p] < 0 ? -1 : p * halves * kAmxOutputs;
    e.to = to;
    e.y = finished_;
    k_.finish[0][halves - 1](e);
    for (int64_t p = 0; p < e.pixels; ++p) {
      if (to[p] < 0) continue;
      end_.finish(r_.k.f32, finished_ + to[p], e.n);
      narrow(r_.k, finished_ + to[p], static_cast<BFloat16*>(end.y) + end.to[p], e.n);
    }
  }
  /// The images that sums belong to which are not finite; a row of pixels may go on from one to the next.
  void find_not_finite(const AmxEnd& e, int halves) {
    const float* m = m_;
    for (int64_t p = 0; p < e.pixels; ++p, m += halves * kAmxOutputs)
      if (e.to[p] >= 0 && !std::all_of(m, m + e.n, [](float v) { return std::isfinite(v); }))
        bad_.add((y_slice_ + e.to[p]) / image_);
  }

  /// The input's slice that a tap of a slice of outputs reads, and its pixel along another axis.
  int64_t input(const AmxAxis& axis, const AmxAxis::Tap& tap, int64_t output) const {
    return (output + tap.at + axis.low) * axis.step + axis.planes[static_cast<size_t>(tap.plane)];
  }
  /// Whether outputs [first, first + n) meet the input, of `in` pixels, at a tap.
  bool meets(const AmxAxis& axis, const AmxAxis::Tap& tap, int64_t first, int64_t n, int64_t in) const {
    return input(axis, tap, first) < in && input(axis, tap, first + n - 1) >= 0;
  }

  /// The taps that a slice of outputs meets; returns how many.
  int64_t find_taps(int64_t depth) {
    const AmxAxis &d = g_.axis[0], &h = g_.axis[1], &w = g_.axis[2];
    const bool merged = p_.cut.merged;
    int64_t taps = 0;
    for (const AmxAxis::Tap& td : d.taps) {
      const int64_t at = input(d, td, slice_ + depth);
      if (at < 0 || at >= r_.q.in[0]) continue;
      const int64_t slice = std::find(slices_.begin(), slices_.end(), at) - slices_.begin();
      for (const AmxAxis::Tap& th : h.taps) {
        if (!meets(h, th, row_, rows_, r_.q.in[1])) continue;
        for (const AmxAxis::Tap& tw : w.taps) {
          if (!merged && !meets(w, tw, column_, columns_, r_.q.in[2])) continue;
          at_[taps] = slice * slice_elems() + (th.plane * static_cast<int64_t>(w.planes.size()) + tw.plane) * plane() +
                      th.at * pitch() + tw.at * g_.pixel;
          ids_[taps++] = merged ? td.k * r_.q.kernel[1] + th.k : (td.k * r_.q.kernel[1] + th.k) * r_.q.kernel[2] + tw.k;
        }
      }
    }
    return taps;
  }

  int64_t pitch() const { return columns() * g_.pixel; }
  int64_t plane() const { return g_.axis[1].pixels(rows_) * pitch(); }
  int64_t slice_elems() const {
    return static_cast<int64_t>(g_.axis[1].planes.size() * g_.axis[2].planes.size()) * plane();
  }

  /// The pixels of some groups that the block reads, [part][slice][plane of rows][plane of columns][row][column].
  void copy(int64_t group, int64_t groups) {
    const AmxAxis &d = g_.axis[0], &h = g_.axis[1], &w = g_.axis[2];
    slices_.clear();
    for (int64_t depth = 0; depth < depths_; ++depth)
      for (const AmxAxis::Tap& td : d.taps) {
        const int64_t at = input(d, td, slice_ + depth);
        if (at >= 0 && at < r_.q.in[0] && std::find(slices_.begin(), slices_.end(), at) == slices_.end())
          slices_.push_back(at);
      }
    BFloat16* to = copied_;
    for (const int64_t slice : slices_)
      for (const int64_t h_rest : h.planes)
        for (const int64_t w_rest : w.planes)
          for (int64_t m = 0; m < h.pixels(rows_); ++m, to += pitch())
            copy_row(group, groups, slice, (row_ + m + h.low) * h.step + h_rest, w_rest, to);
    // A run may go on behind the last pixel, with weights that are zero.
    for (int i = 0; i < p_.cut.parts; ++i) clear(to + i * p_.part, 2 * kAmxValues);
  }
  static void clear(BFloat16* to, int64_t n) {
    std::memset(static_cast<void*>(to), 0, static_cast<size_t>(n) * sizeof(BFloat16));
  }

  /// A row of a plane: every step-th pixel from `rest` on, or of a merged plan all.
  void copy_row(int64_t group, int64_t groups, int64_t slice, int64_t row, int64_t rest, BFloat16* to) {
    const ConvProblem& q = p_.q;
    const AmxAxis& w = g_.axis[2];
    const bool merged = p_.cut.merged;
    const int64_t step = merged ? 1 : w.step, width = merged ? q.c : g_.pixel;
    const int64_t n = columns() * (merged ? w.step : 1);
    const int64_t first = merged ? column_ * w.step + w.low : (column_ + w.low) * step + rest;
    int64_t begin = 0, end = 0;  // of the pixels that are in the input
    if (row >= 0 && row < q.in[1]) {
      end = std::clamp<int64_t>(ceil_div(q.in[2] - first, step), 0, n);
      begin = std::clamp<int64_t>(ceil_div(-first, step), 0, end);
    }
    for (int i = 0; i < p_.cut.parts; ++i) {
      clear(to + i * p_.part, begin * width);
      clear(to + i * p_.part + end * width, (n - end) * width);
    }
    if (begin == end) return;
    const int64_t (&s)[4] = r_.a.x_stride;
    const int64_t x = n_ * s[0] + slice * s[1] + row * s[2] + (first + begin * step) * s[3] + group * q.c;
    AmxPixels c;
    c.x = static_cast<const char*>(r_.a.x) + x * size();
    c.x_step = step * s[3];
    c.pixels = end - begin;
    c.n = groups * q.c;
    c.width = merged || groups > 1 ? c.n : p_.cut.values();
    c.to = to + begin * width;
    c.to_step = width;
    c.to_part = p_.part;
    if (c.x_step == c.n && c.n == c.width && c.width == width) {  // one run of values
      c.n = c.width = c.pixels * c.n;
      c.pixels = 1;
    }
    k_.copy[half_](c);
  }

  const RunShape& r_;
  const AmxPhase& p_;
  const AmxGeometry& g_;
  const AmxKernels& k_;
  const BFloat16* packed_;
  const float* bias_;
  int64_t image_;  // elements of y
  NotFinite& bad_;
  bool half_;
  Epilogue<float> end_;
  bool near_;  // the weights stay in L2
  Arena arena_;
  float *m_, *finished_;
  int64_t *at_, *ids_, *to_;
  BFloat16* copied_ = nullptr;
  bool not_finite_ = false;
  ScratchVec<int64_t, 8> slices_;  // of the input, as they are copied
  int64_t n_ = 0, slice_ = 0, depths_ = 1, y_slice_ = 0, row_ = 0, rows_ = 0, column_ = 0, columns_ = 0;
};

}  // namespace

void run_amx(const CpuPlan& plan, const CpuPlan& images, const ConvOperands& a, const void* packed, int64_t begin,
             int64_t end) {
  const RunShape r(plan, a, begin, end);
  const ConvProblem& q = r.q;
  const Scratch bias(q.has_bias ? static_cast<size_t>(r.channels) * sizeof(float) : 0);
  if (q.has_bias)
    visit_float(q.dtype, [&]<class S>() {
      if constexpr (!std::is_same_v<S, double>) widen_bias(r.k, q, static_cast<const S*>(a.bias), bias.as<float>());
    });
  const ConvProblem& whole = images.problem;
  const int64_t image = whole.out[0] * whole.out[1] * whole.out[2] * r.channels;
  NotFinite bad(whole.batch);
  for (int64_t i = 0; i < r.phases(); ++i) {
    const AmxPhase phase(r, i);
    const int64_t tasks = phase.images * phase.blocks * phase.parts;
    const double flops = 2.0 / 8 * static_cast<double>(phase.phase.pixels * phase.geometry.taps * plan.amx.values()) *
                         static_cast<double>(plan.amx.products() * r.panels * plan.nr);
    parallel_for(tasks, grain_of(tasks, flops), [&](int64_t first, int64_t last) {
      AmxWorker worker(r, phase, static_cast<const BFloat16*>(packed), q.has_bias ? bias.as<float>() : nullptr, image,
                       bad);
      for (int64_t task = first; task < last; ++task) worker.run(task);
    });
  }
  bad.run_again(images, a);
}

}  // namespace nhwc
