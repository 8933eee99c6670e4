// csrc/kernels/conv_winograd.cpp -- the loop nest of a Winograd convolution; knows no instruction set
// A task takes a block of tiles and a part of the weight panels; group by group: inputs -> v[slot][frequency][tile]
// [channel], then per panel one matrix product per frequency through the direct micro-kernel ->
// m[frequency][tile][output] -> outputs. Small groups are merged (winograd_units): its problem is the one seen here.
// Where a third axis has taps, the transformed slices that the next outputs need again stay in a ring.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_again.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"
#include "kernels/conv_winograd_window.h"

namespace nhwc {
namespace {

constexpr int64_t kPartElems = 1 << 17;  // of the transformed weights of some groups
constexpr int64_t kRowGap = 16;          // floats between the rows of two frequencies, or they would share cache sets

class WinogradRun {
 public:
  WinogradRun(const CpuPlan& plan, const ConvOperands& operands, const float* bias, const float* weights, int64_t begin,
              int64_t end)
      : plan_(plan),
        q_(winograd_units(plan.problem, plan.lanes)),
        g_(plan.winograd),
        a_(operands),
        bias_(bias),
        kernels_(table_for(plan.isa).conv),
        wk_(kernels_.winograd[g_.points == 6][g_.axes == 2][g_.taps]),
        tiling_(q_, g_),
        layout_(plan),
        packed_(weights),
        first_panel_(begin),
        panels_(end - begin),
        tiles_(g_.tiles(q_)),
        terms_(winograd_terms(plan.problem, plan.lanes)),
        window_(tiling_, static_cast<const float*>(operands.x), operands.x_stride),
        in_one_vector_(in_one_vector(q_, g_, plan.lanes)),
        end_(q_.activation, operands.residual_from_y, true),
        stream_(plan.stream && q_.o % plan.lanes == 0 && streamable(operands, end_)) {
    // Tiles are cut into pieces of at most mr, pieces evenly into blocks.
    pieces_ = (tiles_ + plan.mr - 1) / plan.mr;
    cut_work();
    block_ = (pieces_ + blocks_ - 1) / blocks_ * plan.mr;
    v_vector_ = block_ * plan.lanes;
    v_step_ = (q_.c + plan.lanes - 1) / plan.lanes * v_vector_ + kRowGap;
    m_step_ = block_ * (layout_.per_group > 1 ? layout_.nr : layout_.last) + kRowGap;
    // The products of one vector with one vector of a piece of tiles may take the place of their inputs.
    in_place_ =
        q_.groups > 1 && q_.c <= plan.lanes && q_.o <= plan.lanes && g_.summed_taps(q_) == 1 && block_ <= plan.mr;
    for (int f = 0; f < g_.frequencies(); ++f)
      for (int64_t i = 0; i < g_.filter_parts(); ++i) meets_.push_back(meets(q_, g_, f, i));
    int64_t y = q_.groups * q_.o;
    for (int x = 2; x >= 0; --x) {
      y_stride_[x] = y;
      y *= q_.out[x];
    }
  }

  /// Adds the images to `bad` of which an output is not finite.
  void run(const float* zeros, NotFinite& bad) {
    const int64_t slides = slides_along(), blocks = g_.phases() * blocks_, chunks = chunks_, parts = parts_;
    const double flops = 2.0 * static_cast<double>(g_.phases() * tiles_ * slides) *
                         static_cast<double>(g_.frequencies() * q_.groups * q_.c) *
                         static_cast<double>(g_.summed_taps(q_) * q_.o);
    const int64_t tasks = blocks * chunks * parts;
    parallel_for(tasks, grain_of(tasks, flops), [&](int64_t begin, int64_t end) {
      Worker worker(*this, zeros, bad);
      for (int64_t i = begin; i < end; ++i) {
        int64_t part = i % parts, chunk = i / parts % chunks, block = i / parts / chunks;
        if (q_.groups > 1) {
          block = i % blocks;
          chunk = i / blocks % chunks;
          part = i / blocks / chunks;
        }
        worker.run(block, slides * chunk / chunks, slides * (chunk + 1) / chunks, first_panel_ + panels_ * part / parts,
                   first_panel_ + panels_ * (part + 1) / parts);
      }
      if (stream_) kernels_.f32.end_streams();
    });
  }

  size_t scratch_bytes() const {
    const int64_t v = planes() * g_.frequencies() * v_step_, m = products_ * g_.frequencies() * m_step_;
    const int64_t pointers = in_one_vector_ ? 0 : block_ * g_.frequencies() * g_.filter_parts();
    return static_cast<size_t>(v + m) * sizeof(float) + static_cast<size_t>(pointers) * sizeof(void*) +
           static_cast<size_t>(block_) * sizeof(TileAt) + static_cast<size_t>(patch_elems()) * sizeof(float) +
           8 * kAlignment;
  }

 private:
  /// Transformed inputs of a tile that are kept at a time.
  int64_t planes() const { return in_one_vector_ ? g_.slide_taps(q_) : g_.summed_taps(q_); }
  int64_t slides_along() const { return g_.slide < 0 ? 1 : q_.out[g_.slide]; }
  /// Divides the work of a run: the tiles into blocks, the slide axis into chunks, the panels into parts. No sum knows
  /// of it, so it may follow the number of threads.
  void cut_work() {
    const int threads = num_threads();
    const auto [planned, by_frequency, share_weights] = plan_.winograd_cut[threads > 1];
    by_frequency_ = by_frequency;
    const int64_t enough = threads == 1 ? 1 : by_frequency ? 2 * threads : std::max<int64_t>(16, 2 * threads);
    blocks_ = planned;
    // A chunk of the slide axis transforms some slices again; that should be little of it.
    const int64_t most_chunks = std::max<int64_t>(1, slides_along() / (4 * g_.slide_taps(q_)));
    chunks_ = std::clamp<int64_t>(enough / (g_.phases() * blocks_), 1, most_chunks);
    products_ = 1;
    if (!by_frequency && q_.groups == 1) return cut_evenly(threads);
    const int64_t missing = enough / (g_.phases() * blocks_ * chunks_);
    if (by_frequency && !share_weights) blocks_ = std::clamp<int64_t>(missing * blocks_, blocks_, pieces_);
    parts_ = enough / (g_.phases() * blocks_ * chunks_);
    // Groups share no inputs: a part of them keeps its weights in L2 for all blocks.
    if (q_.groups > 1) parts_ = std::max((parts_ + 1) / 2, panels_ * layout_.full_elems / kPartElems);
    parts_ = std::clamp<int64_t>(parts_, 1, panels_);
    if (by_frequency) products_ = ceil_div(panels_, parts_);
  }
  /// Blocks, those planned at least, and parts whose tasks keep all threads at work for the shortest time. Each part of
  /// the panels transforms the inputs of its block again.
  void cut_evenly(int threads) {
    constexpr double kTransform = 0.15;  // of the work of a block
    constexpr double kTask = 0.01;       // weights that pass once more, too
    const int64_t planned = blocks_, most = std::min(pieces_, std::max<int64_t>(planned, 4 * threads));
    parts_ = 1;
    double best = INFINITY;
    for (int64_t blocks = planned; blocks <= (threads > 1 ? most : planned); ++blocks) {
      const int64_t of_a_part = g_.phases() * blocks * chunks_;
      for (int64_t parts = 1; parts <= std::min(panels_, ceil_div(2 * threads, of_a_part)); ++parts) {
        const int64_t tasks = of_a_part * parts;
        const double share = static_cast<double>(ceil_div(panels_, parts)) / static_cast<double>(panels_);
        const double time = static_cast<double>(ceil_div(tasks, threads) * ceil_div(pieces_, blocks)) *
                            (kTransform + share) * (1 + kTask * static_cast<double>(blocks * parts));
        if (time < best) best = time, blocks_ = blocks, parts_ = parts;
      }
    }
  }
  /// A tile of inputs that is not read as it is.
  int64_t patch_elems() const { return in_one_vector_ ? WinogradWindow::copy_elems(q_, g_) : 0; }
  /// Where part i of n tiles ends; even, as the products are.
  static int64_t even_cut(int64_t n, int64_t i, int64_t parts) { return std::min(n, (n + 1) / 2 * i / parts * 2); }
  int64_t first_tile(int64_t block) const { return even_cut(tiles_, pieces_ * block / blocks_, pieces_); }

  /// The scratch of one thread, and what it does with it.
  class Worker {
   public:
    Worker(const WinogradRun& run, const float* zeros, NotFinite& bad)
        : r_(run), zeros_(zeros), bad_(bad), arena_(run.scratch_bytes()) {
      slots_ = r_.g_.slide_taps(r_.q_);
      filter_parts_ = r_.g_.filter_parts();
      v_ = arena_.take<float>(r_.planes() * r_.g_.frequencies() * r_.v_step_);
      m_ = r_.in_place_ ? v_ : arena_.take<float>(r_.products_ * r_.g_.frequencies() * r_.m_step_);
      pixels_ = arena_.take<const float*>(r_.in_one_vector_ ? 0 : filter_parts_ * r_.block_ * r_.g_.frequencies());
      at_ = arena_.take<TileAt>(r_.block_);
      patch_ = arena_.take<float>(r_.patch_elems());
    }

    void run(int64_t block, int64_t slide_begin, int64_t slide_end, int64_t panel_begin, int64_t panel_end) {
      phase_ = block / r_.blocks_;
      block %= r_.blocks_;
      const int64_t first = r_.first_tile(block);
      n_ = static_cast<int>(r_.first_tile(block + 1) - first);
      if (n_ % 2 != 0) clear_last();
      for (int t = 0; t < n_; ++t) {
        at_[t] = r_.tiling_.at(phase_, first + t);
        if (r_.in_one_vector_) continue;
        const float* outside = r_.g_.slide < 0 ? zeros_ : nullptr;
        for (int64_t part = 0; part < filter_parts_; ++part) {
          TileAt at = at_[t];
          for (int x = 0; x < 3; ++x) at.in[x] += r_.g_.part_along(x, part) * r_.g_.axis[x].apart;
          r_.tiling_.fill_table(at, static_cast<const float*>(r_.a_.x), r_.a_.x_stride, outside,
                                pixels_ + (part * n_ + t) * r_.g_.frequencies());
        }
      }
      const int64_t per_group = r_.layout_.per_group;
      for (int64_t p = panel_begin; p < panel_end;) {
        group_ = p / per_group;
        const int64_t end = std::min(panel_end, (group_ + 1) * per_group);
        run_group(p, end, slide_begin, slide_end);
        p = end;
      }
    }

   private:
    /// The tile that makes their number even is multiplied too. What scratch happens to hold may be subnormal numbers,
    /// each of whose products would take a hundred cycles.
    void clear_last() {
      const int64_t lanes = r_.plan_.lanes, planes = r_.planes() * r_.g_.frequencies();
      for (int64_t i = 0; i < planes; ++i)
        for (int64_t at = 0; at + r_.v_vector_ <= r_.v_step_; at += r_.v_vector_)
          std::memset(v_ + i * r_.v_step_ + at + n_ * lanes, 0, static_cast<size_t>(lanes) * sizeof(float));
    }

    /// All tiles of the block with panels of one group.
    void run_group(int64_t panel_begin, int64_t panel_end, int64_t slide_begin, int64_t slide_end) {
      const ConvProblem& q = r_.q_;
      const int s = r_.g_.slide;
      const int64_t plane = r_.g_.frequencies() * r_.v_step_;
      int64_t next = INT64_MIN;  // slices before it are transformed
      for (int64_t o = slide_begin; o < slide_end; ++o) {
        int64_t taps = 0, ids[kMaxSummedTaps], at[kMaxSummedTaps];
        const auto add = [&](int64_t id, int64_t slot) {
          for (int64_t i = 0; i < filter_parts_; ++i, ++taps) {
            ids[taps] = id * filter_parts_ + i;
            at[taps] = r_.in_one_vector_ ? slot * plane + i * q.c : (slot * filter_parts_ + i) * plane;
          }
        };
        if (s < 0) {
          transform(0, 0);
          add(0, 0);
        } else {
          for (int64_t k = 0; k < q.kernel[s]; ++k) {
            const int64_t in = o * q.stride[s] - q.pad[s] + k * q.dilation[s];
            if (in < 0 || in >= q.in[s]) continue;
            const bool ring = q.dilation[s] == 1;
            const int64_t slot = ring ? in % slots_ : k;
            add(k, slot);
            if (ring && in < next) continue;
            transform(in, slot);
            next = in + 1;
          }
        }
        const int frequencies = r_.g_.frequencies();
        if (r_.by_frequency_) {
          const int64_t m_panel = frequencies * r_.m_step_;
          for (int f = 0; f < frequencies; ++f)
            for (int64_t p = panel_begin; p < panel_end; ++p)
              multiply(p, f, f + 1, taps, ids, at, m_ + (p - panel_begin) * m_panel);
          for (int64_t p = panel_begin; p < panel_end; ++p) finish(p, o, m_ + (p - panel_begin) * m_panel);
          continue;
        }
        for (int64_t p = panel_begin; p < panel_end; ++p) {
          multiply(p, 0, frequencies, taps, ids, at, m_);
          finish(p, o, m_);
        }
      }
    }

    /// The inputs of all tiles of the block, at slice `in` of the slide axis, to `slot`. While one tile is transformed
    /// the pixels of the next may come near: the hardware does not see where they go on. Of groups it is those of the
    /// next group.
    void transform(int64_t in, int64_t slot) {
      const int frequencies = r_.g_.frequencies();
      const int64_t channels = r_.q_.c;
      const int64_t offset = group_ * channels + (r_.g_.slide < 0 ? 0 : in * r_.a_.x_stride[1 + r_.g_.slide]);
      const float** pixels = pixels_;
      if (r_.in_one_vector_) return gather(in, slot);
      for (int64_t i = 0, all = filter_parts_ * n_; i < all; ++i, pixels += frequencies) {
        const int64_t part = i / n_, t = i - part * n_;
        float* v = v_ + (slot * filter_parts_ + part) * frequencies * r_.v_step_ + t * r_.plan_.lanes;
        if (r_.plan_.prefetch && r_.q_.groups > 1)
          for (int f = 0; f < frequencies; ++f) {
            if (pixels[f]) fetch_later<false>(pixels[f] + offset + channels, channels);
          }
        else if (r_.plan_.prefetch && i + 1 < all)
          for (int f = 0; f < frequencies; ++f)
            if (pixels[frequencies + f]) fetch(pixels[frequencies + f] + offset, channels);
        if (r_.g_.slide < 0) {
          r_.wk_.input({pixels, offset, v, r_.v_step_, r_.v_vector_, channels});
          continue;
        }
        const float* table[kMaxFrequencies];
        for (int f = 0; f < frequencies; ++f) table[f] = pixels[f] ? pixels[f] + offset : zeros_;
        r_.wk_.input({table, 0, v, r_.v_step_, r_.v_vector_, channels});
      }
    }

    /// The same where one vector holds all channels.
    void gather(int64_t in, int64_t slot) {
      WinogradGather<float> t;
      t.v = v_ + slot * r_.g_.frequencies() * r_.v_step_;
      t.v_step = r_.v_step_;
      for (int i = 0; i < n_; ++i, t.v += r_.plan_.lanes) {
        TileAt at = at_[i];
        if (r_.g_.slide >= 0) at.in[r_.g_.slide] = in;
        r_.window_.set(at, t, patch_);
        r_.wk_.gather(t);
      }
    }

    /// One product for each of some frequencies, for all tiles of the block with one panel of weights.
    void multiply(int64_t panel, int begin, int end, int64_t taps, const int64_t* ids, const int64_t* at, float* m) {
      const WinogradRun& r = r_;
      const int64_t width = r.layout_.width(panel);
      const int mr = r.plan_.mr, pieces = (n_ + mr - 1) / mr, frequencies = r.g_.frequencies();
      const auto* products =
          r.terms_ == 2 ? r.kernels_.winograd_halves : r.kernels_.winograd_product[width > r.plan_.lanes];
      WinogradProduct<float> p;
      p.v_vector = r.v_vector_;
      p.v_step = r.v_step_;
      p.at = at;
      p.ids = ids;
      p.taps = taps;
      int64_t met_ids[kMaxSummedTaps], met_at[kMaxSummedTaps];
      p.k = r.q_.c;
      p.u_tap = r.q_.c / r.terms_ * width;
      p.u_step = r.g_.summed_taps(r.q_) * p.u_tap;
      p.m_step = r.m_step_;
      // Many pieces share the weights of a frequency while they are near; one piece takes all of them in one go.
      p.frequencies = pieces == 1 && filter_parts_ == 1 ? end - begin : 1;
      // Those of the next frequency follow in memory, and are the next unless all panels of this one come first.
      const bool spread = pieces > 1 && width > r.plan_.lanes && r.plan_.weights_far && !r.by_frequency_;
      p.next_step = width / pieces;
      const float* u =
          r.packed_ + (r.layout_.offset(panel) - r.layout_.offset(r.first_panel_)) + phase_ * frequencies * p.u_step;
      for (int f = begin; f < end; f += p.frequencies) {
        p.u = u + f * p.u_step;
        if (filter_parts_ > 1) {
          const bool* meets = &r.meets_[f * filter_parts_];
          // Parts in one vector that all meet are one sum, but where groups divide each.
          const int64_t at_once =
              r.in_one_vector_ && r.terms_ == 1 && std::all_of(meets, meets + filter_parts_, [](bool m) { return m; })
                  ? filter_parts_
                  : 1;
          p.k = at_once * r.q_.c;
          p.ids = met_ids;
          p.at = met_at;
          p.taps = 0;
          for (int64_t i = 0; i < taps; i += at_once) {
            if (!meets[i % filter_parts_]) continue;
            met_ids[p.taps] = ids[i];
            met_at[p.taps++] = at[i];
          }
        }
        for (int i = 0, t = 0; i < pieces; ++i) {
          if (spread) p.next = p.u + p.u_step + i * p.taps * p.k * p.next_step;
          const int next = static_cast<int>(even_cut(n_, i + 1, pieces));
          p.v = v_ + f * r.v_step_ + t * r.plan_.lanes;
          p.m = m + f * r.m_step_ + t * width;
          products[next - t](p);
          t = next;
        }
      }
    }

    void finish(int64_t panel, int64_t slide_out, const float* m) {
      const WinogradRun& r = r_;
      const int64_t o0 = panel % r.layout_.per_group * r.layout_.nr;
      const int64_t channel = panel / r.layout_.per_group * r.q_.o + o0;
      const int64_t width = r.layout_.width(panel);
      bool bad = false;
      WinogradOutput<float> t;
      t.m_step = r.m_step_;
      t.y_row = r.tiling_.row_axis < 0 ? 0 : r.y_stride_[r.tiling_.row_axis] * r.g_.axis[r.tiling_.row_axis].period;
      t.y_column = r.y_stride_[r.tiling_.column_axis] * r.g_.axis[r.tiling_.column_axis].period;
      t.n = static_cast<int>(std::min(width, r.q_.o - o0));
      t.bias = r.bias_ ? r.bias_ + channel : nullptr;
      t.lo = r.end_.lo;
      t.hi = r.end_.hi;
      t.residual = r.end_.residual;
      t.stream = r.stream_;
      t.not_finite = &bad;
      for (int i = 0; i < n_; ++i) {
        const TileAt& at = at_[i];
        t.rows = r.tiling_.row_axis < 0 ? 1 : at.valid[r.tiling_.row_axis];
        t.columns = at.valid[r.tiling_.column_axis];
        if (t.rows <= 0 || t.columns <= 0) continue;
        t.m = m + i * width;
        t.y = static_cast<float*>(r.a_.y) + channel + at.n * r.q_.out[0] * r.y_stride_[0];
        for (int x = 0; x < 3; ++x) t.y += (x == r.g_.slide ? slide_out : at.out[x]) * r.y_stride_[x];
        if (r.plan_.prefetch && r.q_.groups > 1 && !t.stream)
          for (int row = 0; row < t.rows; ++row)
            for (int column = 0; column < t.columns; ++column)
              fetch_later<true>(t.y + row * t.y_row + column * t.y_column + t.n, t.n);
        run_output(t);
        if (bad) bad_.add(at.n);
        bad = false;
      }
    }

    /// The outputs of one tile, and what is left of the epilogue.
    void run_output(const WinogradOutput<float>& t) {
      r_.wk_.output(t);
      if (!r_.end_.pass) return;
      for (int row = 0; row < t.rows; ++row)
        for (int column = 0; column < t.columns; ++column)
          r_.end_.finish(r_.kernels_.f32, t.y + row * t.y_row + column * t.y_column, t.n);
    }

    const WinogradRun& r_;
    const float* zeros_;
    NotFinite& bad_;
    Arena arena_;
    float *v_, *m_, *patch_;
    TileAt* at_;
    const float** pixels_;  // [part of the filter][tile][frequency]
    int64_t slots_, filter_parts_, phase_ = 0, group_ = 0;
    int n_ = 0;
  };

  const CpuPlan& plan_;
  const ConvProblem q_;
  const WinogradGeometry& g_;
  const ConvOperands& a_;
  const float* bias_;
  const ConvKernels& kernels_;
  const WinogradKernels<float>& wk_;
  WinogradTiles tiling_;
  PackedLayout layout_;
  const float* packed_;
  int64_t first_panel_, panels_, tiles_, pieces_, terms_;
  WinogradWindow window_;
  bool in_one_vector_;
  Epilogue<float> end_;
  bool stream_;  // outputs go past the caches
  bool by_frequency_, in_place_;
  int64_t blocks_, chunks_, parts_;
  int64_t products_;  // panels whose products are kept at a time
  int64_t block_, v_vector_, v_step_, m_step_, y_stride_[3];
  ScratchVec<bool, 4 * kMaxFrequencies> meets_;  // [frequency][part of the filter]
};

}  // namespace

void run_winograd(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  const ConvProblem& q = plan.problem;
  const int64_t channels_in = q.groups * q.c, channels_out = q.groups * q.o;
  const Scratch scratch(static_cast<size_t>(channels_in + channels_out) * sizeof(float));
  float *zeros = scratch.as<float>(), *wide = zeros + channels_in;
  std::memset(zeros, 0, static_cast<size_t>(channels_in) * sizeof(float));
  NotFinite bad(q.batch);
  if (q.has_bias) widen_bias(table_for(plan.isa).conv, q, static_cast<const float*>(a.bias), wide);
  WinogradRun(plan, a, q.has_bias ? wide : nullptr, static_cast<const float*>(packed), begin, end).run(zeros, bad);
  bad.run_again(plan, a);
}

}  // namespace nhwc
