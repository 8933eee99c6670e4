// csrc/kernels/conv_amx.cpp -- the loop nest of a convolution on the matrix unit; knows no instruction set
// A task takes a block of outputs of one image and a part of the weight panels. Group by group the pixels that the
// block reads are copied, rows with their padding one behind the other, so that every tap of every tile lies at one
// distance from it; outputs that only the ends of rows would have are not stored. Single pixels that fit are read in
// place.
#include "kernels/conv_amx.h"

#include <algorithm>
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

/// The outputs of one phase, and how they are divided into blocks: of rows, or of columns where there is one row.
class AmxPhase {
 public:
  AmxPhase(const RunShape& r, int64_t i)
      : q(amx_units(r.q)),
        phase(r.phase(i)),
        cut(r.plan.amx),
        axis{{phase.axis[0], phase.step[0], false, 0},
             {phase.axis[1], phase.step[1], false, 0},
             {phase.axis[2], phase.step[2], cut.merged && phase.axis[2].n_taps > 0, r.q.kernel[2]}},
        taps(static_cast<int64_t>(axis[0].taps.size() * axis[1].taps.size() * axis[2].taps.size())),
        along(phase.axis[1].count > 1 ? 1 : 2) {
    together = cut.values() == q.c && !cut.merged ? q.groups : 1;
    const int64_t values = together * cut.values();  // rows of a power of two bytes would fall into few sets of L1
    pixel = cut.merged ? q.c * phase.step[2] : values + (values % 512 == 0 ? 32 : 0);
    in_place = cut.parts == 1 && q.kernel[0] * q.kernel[1] * q.kernel[2] == 1 && along == 2 && axis[2].step == 1 &&
               axis[2].low == 0 && phase.axis[2].count <= q.in[2] && axis[2].span == 0 && cut.values() == q.c &&
               axis[2].planes.size() == 1 && r.a.x_stride[3] % 2048 != 0;
    for (int x = 0; x < 2 && in_place; ++x) in_place = axis[x].low == 0 && q.in[x] == 1 && q.out[x] == 1;
    divide(r);
  }
  int64_t columns(int64_t cols) const { return axis[2].pixels(cols); }
  /// Elements of all planes of one part.
  int64_t part_elems(int64_t depths, int64_t rows, int64_t cols) const {
    const auto depth_taps = static_cast<int64_t>(axis[0].taps.size()),
               depth_planes = static_cast<int64_t>(axis[0].planes.size());
    return std::min(depth_taps * depths, depth_planes * axis[0].pixels(depths)) *
               static_cast<int64_t>(axis[1].planes.size() * axis[2].planes.size()) * axis[1].pixels(rows) *
               columns(cols) * pixel +
           2 * kAmxValues;
  }
  int64_t part_elems() const { return part_elems(depths, rows_at_once(), columns_at_once()); }
  int64_t rows_at_once() const { return along == 1 ? at_once : 1; }
  int64_t columns_at_once() const { return along == 2 ? at_once : phase.axis[2].count; }

  ConvProblem q;  // of small groups, several as one
  Phase phase;
  const AmxCut& cut;
  AmxAxis axis[3];
  int64_t taps, pixel;  // pixel: elements from the copied pixel of an output to that of the next
  int64_t together;     // groups that are copied at a time
  int along;            // the axis that is cut
  bool in_place;
  int64_t at_once, blocks, images, parts;  // outputs of a block along it; of the panels
  int64_t depths = 1;                      // slices of outputs of an image

 private:
  void divide(const RunShape& r) {
    constexpr int64_t kLeastPixels = 64;
    const int64_t n = phase.axis[along].count, span = axis[along].span;
    const int64_t one = (along == 1 ? part_elems(1, 2, phase.axis[2].count) - part_elems(1, 1, phase.axis[2].count)
                                    : part_elems(1, 1, 2) - part_elems(1, 1, 1)) *
                        2 * cut.parts;
    const int64_t least = along == 2 ? kLeastPixels : std::max<int64_t>(1, ceil_div(kLeastPixels, phase.axis[2].count));
    at_once = std::clamp(cut.block_bytes / std::max<int64_t>(one, 1) - span, std::max(least, span), std::max(n, least));
    blocks = std::max<int64_t>(1, ceil_div(n, at_once));
    parts = 1;
    if (const int64_t slices = phase.axis[0].count; blocks == 1 && slices > 1) {
      const int64_t most = std::min(slices, std::max<int64_t>(1, slices * q.batch / (4 * num_threads())));
      while (depths < most &&
             part_elems(depths + 1, along == 1 ? n : 1, along == 2 ? n : phase.axis[2].count) * 2 * cut.parts <=
                 cut.block_bytes)
        ++depths;
      depths = ceil_div(slices, ceil_div(slices, depths));
    }
    images = q.batch * ceil_div(phase.axis[0].count, depths);
    if (const int threads = num_threads(); threads > 1) {
      const int64_t wanted = ceil_div(4 * threads, std::max<int64_t>(1, images));
      blocks = std::clamp(wanted, blocks, std::max(blocks, n / std::max(least, 2 * span)));
      if (blocks > 1) blocks = round_up(blocks, images % threads == 0 ? 1 : threads);
      blocks = std::min(blocks, std::max<int64_t>(n, 1));
      parts = std::clamp<int64_t>(wanted / blocks, 1, r.panels);
    }
    at_once = ceil_div(n, blocks);
    blocks = ceil_div(n, at_once);
  }
};

class AmxWorker {
 public:
  AmxWorker(const RunShape& r, const AmxPhase& p, const BFloat16* packed, const float* bias, NotFinite& bad)
      : r_(r),
        p_(p),
        k_(*r.k.amx),
        packed_(packed),
        bias_(bias),
        bad_(bad),
        half_(r.q.dtype == Dtype::bfloat16),
        end_(r.q.activation, r.a.residual_from_y, true),
        near_(r.panels * r.layout.full_elems * 2 <= 2 * p.cut.block_bytes),
        arena_(bytes()) {
    m_ = arena_.take<float>(kSums);
    at_ = arena_.take<int64_t>(p_.taps);
    ids_ = arena_.take<int64_t>(p_.taps);
    to_ = arena_.take<int64_t>(most_tiles() * kAmxPixels);
    if (!p_.in_place) copied_ = arena_.take<BFloat16>(copied_elems());
  }
  ~AmxWorker() { k_.end(); }
  AmxWorker(const AmxWorker&) = delete;

  void run(int64_t task) {
    const int64_t part = task % p_.parts, block = task / p_.parts % p_.blocks;
    image_ = task / p_.parts / p_.blocks;
    const int64_t slices = p_.phase.axis[0].count, of_image = ceil_div(slices, p_.depths), first = block * p_.at_once;
    n_ = image_ / of_image;
    slice_ = image_ % of_image * p_.depths;
    depths_ = std::min(p_.depths, slices - slice_);
    row_ = p_.along == 1 ? first : 0;
    column_ = p_.along == 2 ? first : 0;
    rows_ = p_.along == 1 ? std::min(p_.at_once, p_.phase.axis[1].count - first) : p_.phase.axis[1].count;
    columns_ = p_.along == 2 ? std::min(p_.at_once, p_.phase.axis[2].count - first) : p_.phase.axis[2].count;
    if (rows_ <= 0 || columns_ <= 0) return;
    const AmxTiling tiling(rows_, columns_, p_.in_place ? columns_ : p_.columns(columns_));
    k_.begin(tiling.pixels, p_.cut.depth);
    find_outputs(tiling);
    const int64_t begin = r_.first_panel + r_.panels * part / p_.parts;
    const int64_t end = r_.first_panel + r_.panels * (part + 1) / p_.parts;
    const int64_t per_group = r_.layout.per_group, groups = ceil_div(end, per_group);
    if (begin >= end) return;
    for (int64_t first_group = begin / per_group, next; first_group < groups; first_group = next) {
      next = p_.in_place ? groups : std::min(groups, first_group + p_.together);
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
    return std::max(ceil_div((rows - 1) * p_.columns(columns) + columns, 1) / kAmxPixels + 1,
                    rows * ceil_div(columns, kAmxPixels));
  }
  int64_t copied_elems() const { return p_.cut.parts * part(); }
  /// From a part to the next, not in the same sets of L1.
  int64_t part() const { return round_up(p_.part_elems(), 2048) + 2 * kAmxValues; }
  size_t bytes() const {
    return static_cast<size_t>(kSums) * sizeof(float) +
           static_cast<size_t>(2 * p_.taps + most_tiles() * kAmxPixels) * sizeof(int64_t) +
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
    const BFloat16* pixels = copied_ + copied_group * p_.q.c;
    AmxTile t;
    t.x_step = p_.pixel;
    if (p_.in_place) {
      t.x_step = r_.a.x_stride[3];
      pixels = static_cast<const BFloat16*>(r_.a.x) + n_ * r_.a.x_stride[0] + column_ * t.x_step + group * p_.q.c;
      at_[0] = ids_[0] = 0;
      t.taps = 1;
    } else {
      t.taps = find_taps(depth);
    }
    y_slice_ = depth * p_.phase.period[0] * r_.q.out[1] * r_.q.out[2] * r_.channels;
    t.x_part = part();
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
        ask_for(panel, tile, n);
        k_.multiply[p_.cut.parts == 3][halves - 1][n](t);
        finish(panel, tile, n, halves);
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

  /// Outputs of n tiles, which come while these are multiplied.
  void ask_for(int64_t panel, int64_t tile, int n) const {
    const int64_t channel = panel / r_.layout.per_group * p_.q.o + panel % r_.layout.per_group * r_.layout.nr;
    const int64_t *to = to_ + tile * kAmxPixels, size = half_ ? 2 : 4;
    const char* const y = static_cast<const char*>(r_.a.y) + (y_slice_ + channel) * size;
    for (int i = 0; i < n * kAmxPixels; ++i) {
      __builtin_prefetch(y + to[i] * size, 1);
      if (!half_) __builtin_prefetch(y + to[i] * size + 64, 1);
    }
  }

  /// n tiles with a panel.
  void finish(int64_t panel, int64_t tile, int n, int halves) {
    const int64_t o0 = panel % r_.layout.per_group * r_.layout.nr;
    const int64_t channel = panel / r_.layout.per_group * p_.q.o + o0, size = half_ ? 2 : 4;
    bool bad = false;
    AmxEnd e;
    e.m = m_;
    e.to = to_ + tile * kAmxPixels;
    e.pixels = n * kAmxPixels;
    e.y = static_cast<char*>(r_.a.y) + (y_slice_ + channel) * size;
    e.bias = bias_ ? bias_ + channel : nullptr;
    e.lo = end_.lo;
    e.hi = end_.hi;
    e.clamp = end_.lo > -__builtin_inff() || end_.hi < __builtin_inff();
    e.n = static_cast<int>(std::min<int64_t>(halves * kAmxOutputs, p_.q.o - o0));
    e.residual = end_.residual;
    e.not_finite = &bad;
    if (half_ && end_.pass) {
      finish_half(e, halves);
    } else {
      k_.finish[half_][halves - 1](e);
      if (end_.pass)
        for (int64_t p = 0; p < e.pixels; ++p)
          if (e.to[p] >= 0) end_.finish(r_.k.f32, static_cast<float*>(e.y) + e.to[p], e.n);
    }
    if (bad) bad_.add(n_);
  }
  /// An activation that is no clamp: in float32, where the sums lie.
  void finish_half(const AmxEnd& end, int halves) {
    AmxEnd e = end;
    int64_t to[kAmxTiles * kAmxPixels];
    for (int64_t p = 0; p < e.pixels; ++p) to[p] = end.to[p] < 0 ? -1 : p * halves * kAmxOutputs;
    e.to = to;
    e.y = m_;
    k_.finish[0][halves - 1](e);
    for (int64_t p = 0; p < e.pixels; ++p) {
      if (to[p] < 0) continue;
      end_.finish(r_.k.f32, m_ + to[p], e.n);
      narrow(r_.k, m_ + to[p], static_cast<BFloat16*>(end.y) + end.to[p], e.n);
    }
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
    const AmxAxis &d = p_.axis[0], &h = p_.axis[1], &w = p_.axis[2];
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
                      th.at * pitch() + tw.at * p_.pixel;
          ids_[taps++] = merged ? td.k * r_.q.kernel[1] + th.k : (td.k * r_.q.kernel[1] + th.k) * r_.q.kernel[2] + tw.k;
        }
      }
    }
    return taps;
  }

  int64_t pitch() const { return p_.columns(columns_) * p_.pixel; }
  int64_t plane() const { return p_.axis[1].pixels(rows_) * pitch(); }
  int64_t slice_elems() const {
    return static_cast<int64_t>(p_.axis[1].planes.size() * p_.axis[2].planes.size()) * plane();
  }

  /// The pixels of some groups that the block reads, [part][slice][plane of rows][plane of columns][row][column].
  void copy(int64_t group, int64_t groups) {
    const AmxAxis &d = p_.axis[0], &h = p_.axis[1], &w = p_.axis[2];
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
    for (int i = 0; i < p_.cut.parts; ++i) clear(to + i * part(), 2 * kAmxValues);
  }
  static void clear(BFloat16* to, int64_t n) {
    std::memset(static_cast<void*>(to), 0, static_cast<size_t>(n) * sizeof(BFloat16));
  }

  /// A row of a plane: every step-th pixel from `rest` on, or of a merged plan all.
  void copy_row(int64_t group, int64_t groups, int64_t slice, int64_t row, int64_t rest, BFloat16* to) {
    const ConvProblem& q = p_.q;
    const AmxAxis& w = p_.axis[2];
    const bool merged = p_.cut.merged;
    const int64_t step = merged ? 1 : w.step, width = merged ? q.c : p_.pixel;
    const int64_t n = p_.columns(columns_) * (merged ? w.step : 1);
    const int64_t first = merged ? column_ * w.step + w.low : (column_ + w.low) * step + rest;
    int64_t begin = 0, end = 0;  // of the pixels that are in the input
    if (row >= 0 && row < q.in[1]) {
      end = std::clamp<int64_t>(ceil_div(q.in[2] - first, step), 0, n);
      begin = std::clamp<int64_t>(ceil_div(-first, step), 0, end);
    }
    for (int i = 0; i < p_.cut.parts; ++i) {
      clear(to + i * part(), begin * width);
      clear(to + i * part() + end * width, (n - end) * width);
    }
    if (begin == end) return;
    const int64_t (&s)[4] = r_.a.x_stride;
    const int64_t x = n_ * s[0] + slice * s[1] + row * s[2] + (first + begin * step) * s[3] + group * q.c;
    AmxPixels c;
    c.x = static_cast<const char*>(r_.a.x) + x * (half_ ? 2 : 4);
    c.x_step = step * s[3];
    c.pixels = end - begin;
    c.n = groups * q.c;
    c.width = merged || groups > 1 ? c.n : p_.cut.values();
    c.to = to + begin * width;
    c.to_step = width;
    c.to_part = part();
    if (c.x_step == c.n && c.n == c.width && c.width == width) {  // one run of values
      c.n = c.width = c.pixels * c.n;
      c.pixels = 1;
    }
    k_.copy[half_](c);
  }

  const RunShape& r_;
  const AmxPhase& p_;
  const AmxKernels& k_;
  const BFloat16* packed_;
  const float* bias_;
  NotFinite& bad_;
  bool half_;
  Epilogue<float> end_;
  bool near_;  // the weights stay in L2
  Arena arena_;
  float* m_;
  int64_t *at_, *ids_, *to_;
  BFloat16* copied_ = nullptr;
  ScratchVec<int64_t, 8> slices_;  // of the input, as they are copied
  int64_t image_ = 0, n_ = 0, slice_ = 0, depths_ = 1, y_slice_ = 0, row_ = 0, rows_ = 0, column_ = 0, columns_ = 0;
};

}  // namespace

void run_amx(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  const RunShape r(plan, a, begin, end);
  const ConvProblem& q = r.q;
  const Scratch bias(q.has_bias ? static_cast<size_t>(r.channels) * sizeof(float) : 0);
  if (q.has_bias)
    visit_float(q.dtype, [&]<class S>() {
      if constexpr (!std::is_same_v<S, double>) widen_bias(r.k, q, static_cast<const S*>(a.bias), bias.as<float>());
    });
  NotFinite bad(q.batch);
  for (int64_t i = 0; i < r.phases(); ++i) {
    const AmxPhase phase(r, i);
    const int64_t tasks = phase.images * phase.blocks * phase.parts;
    const double flops = 2.0 / 8 * static_cast<double>(phase.phase.pixels * phase.taps * plan.amx.values()) *
                         static_cast<double>(plan.amx.products() * r.panels * plan.nr);
    parallel_for(tasks, grain_of(tasks, flops), [&](int64_t first, int64_t last) {
      AmxWorker worker(r, phase, static_cast<const BFloat16*>(packed), q.has_bias ? bias.as<float>() : nullptr, bad);
      for (int64_t task = first; task < last; ++task) worker.run(task);
    });
  }
  bad.run_again(plan, a);
}

}  // namespace nhwc
