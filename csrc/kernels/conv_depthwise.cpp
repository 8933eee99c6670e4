// csrc/kernels/conv_depthwise.cpp -- tiles x threads of the depthwise row kernels; knows no instruction set
// A task is a strip of columns over some output rows: going down the strip, the input rows of one output are still in
// L1 for the next. Under a dilation the columns of a strip are those whose taps meet the same inputs. Each phase of a
// dilated input is a convolution of its own; their tasks take turns, as they read the same pixels.
#include <algorithm>
#include <limits>
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_tap_range.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {
namespace {

constexpr int64_t kEnoughTasks = 32;       // strips are cut into fewer rows, then channels, until there are as many
constexpr int64_t kMaxTaskRows = 16;       // of outputs
constexpr int64_t kBlockBytes = 32 << 10;  // weights and inputs of a block of channels: L1 less the outputs

/// How a kernel row is cut, and the outputs into strips. Outputs r + period * j of one residue r read the columns
/// stride * j + k, which are `dilation` input columns apart.
struct RowCut {
  RowCut(const ConvProblem& q, const FloatKernels<float>& f) {
    dilation = q.kernel[2] == 1 ? 1 : q.dilation[2];
    const int64_t common = std::gcd(q.stride[2], dilation);
    period = dilation / common;
    stride = q.stride[2] / common;
    residues = std::min(period, q.out[2]);
    double best = 0;
    for (const DepthwiseRowKernels<float>& k : f.depthwise_rows) {
      if (!k.run[0] || (k.stride == 1) != (stride == 1)) continue;
      const int64_t n = k.stride == stride ? q.kernel[2] / k.columns : 0, rest = q.kernel[2] - n * k.columns;
      // Half a cycle a product; its own load costs a single tap more, its weights and border a segment.
      const double cycles =
          static_cast<double>(n * (f.depthwise_pixels[0] * k.columns + 6) + rest * (f.depthwise_pixels[0] * 5 / 4 + 2));
      if (kernel && cycles >= best) continue;
      best = cycles;
      kernel = &k;
      segments = n;
      singles = rest;
    }
  }
  int64_t pieces() const { return segments + singles; }
  /// Input columns of a tile.
  int64_t columns(int64_t pixels, int64_t taps) const { return (pixels - 1) * stride + taps; }

  const DepthwiseRowKernels<float>* kernel = nullptr;
  int64_t dilation, period, stride, residues, segments, singles;
};

/// Some outputs of every row: which kernel computes them.
struct Strip {
  int64_t w0, pixels, tile_pixels;
  int small;
  int64_t iw;      // input column of column 0, which may be outside
  int64_t lo, hi;  // columns inside the input
};

/// One phase of a convolution as one whose input is not dilated, and where its outputs and weights lie. Steps by axis.
struct RowPhase {
  RowPhase(const ConvProblem& all, const AxisPhases (&axes)[3], int64_t w_tap, int64_t index) : q(all) {
    int64_t y = all.groups, w = w_tap;
    for (int a = 2; a >= 0; --a) {
      const AxisPhases& axis = axes[a];
      const AxisPhase ph = axis.phase(index % axis.phases());
      index /= axis.phases();
      const AxisTap* t = ph.taps;
      const bool several = ph.n_taps > 1;
      q.out[a] = ph.count;
      q.kernel[a] = ph.n_taps;
      q.stride[a] = axis.step;
      q.in_dilation[a] = 1;
      q.dilation[a] = several ? t[1].base - t[0].base : 1;
      q.pad[a] = ph.n_taps > 0 ? -t[0].base : 0;
      y_first += ph.first * y;
      y_step[a] = axis.period * y;
      w_first += ph.n_taps > 0 ? t[0].k * w : 0;
      w_step[a] = several ? (t[1].k - t[0].k) * w : w;
      y *= all.out[a];
      w *= all.kernel[a];
    }
    y_image = y;
  }
  ConvProblem q;
  int64_t y_first = 0, y_image, y_step[3], w_first = 0, w_step[3];
};

/// What all tasks of a phase share.
struct RowRun : RowPhase {
  const ConvOperands& a;
  const FloatKernels<float>& f;
  RowCut cut;
  const float* packed;
  const float* bias;
  Epilogue<float> end;
  bool prefetch, stream;

  /// Whether kernel rows are summed one by one, for many channels each: of pixels 1 KB apart L1 has room for few, and
  /// streams are fetched sooner. Steps between outputs make that worth sums that come and go (28x28x256 5x5, stride 2:
  /// 34 us against 29, stride 1: 75 against 88). Sums of channels that fill no vector cannot go on.
  bool row_by_row() const {
    return !half() && q.groups % f.lanes == 0 && cut.stride > 1 && cut.dilation * a.x_stride[3] % 256 == 0 &&
           q.kernel[0] * q.kernel[1] > 1;
  }
  bool half() const { return is_half(q.dtype); }
  /// An element of an operand.
  template <class P>
  P* at(P* p, int64_t element) const {
    using Byte = std::conditional_t<std::is_const_v<P>, const char, char>;
    return static_cast<Byte*>(p) + element * (half() ? 2 : 4);
  }
  int64_t input_columns() const { return cut.columns(f.depthwise_pixels[0], q.kernel[2]); }
};

/// A task's work with its scratch.
class RowWorker {
 public:
  explicit RowWorker(const RowRun& run) : r_(run), q_(run.q), arena_(plan_scratch()) {
    pieces_ = arena_.take<DepthwisePiece>(r_.cut.pieces());
    const int64_t row = r_.a.x_stride[2];
    DepthwiseRow<float>& t = tile_;
    t.x_step = r_.cut.dilation * r_.a.x_stride[3];
    t.pixel_step = r_.cut.stride * t.x_step;
    t.x_row = q_.dilation[1] * row;
    t.x_depth = q_.dilation[0] * r_.a.x_stride[1];
    t.w_step = r_.w_step[2];
    t.w_row = r_.w_step[1];
    t.w_depth = r_.w_step[0];
    t.pieces = pieces_;
    t.y_step = r_.cut.period * r_.y_step[2];
    t.lo = r_.end.lo;
    t.hi = r_.end.hi;
    t.adds = false;
    t.stream = r_.stream;
  }

  /// Output rows [h0, h1) of channels [c0, c1) of strip number `strip` in plane (n, d).
  void run(int64_t n, int64_t d, int64_t strip, int64_t h0, int64_t h1, int64_t c0, int64_t c1) {
    if (d >= q_.out[0] || !cut_strip(strip)) return;
    h1 = std::min(h1, q_.out[1]);
    for (int64_t c = c0, end; c < c1; c = end) {
      end = c1 - c < block_ + r_.f.lanes ? c1 : c + block_;  // less than a vector is no block
      for (int64_t h = h0; h < h1; ++h) {
        place(n, d, h);
        tile_.ahead_rows = r_.prefetch && !r_.row_by_row() ? ask_ahead(h, h0, h1, end - c) : 0;
        sum_rows(c, end);
        if (r_.end.pass) activate(c, end);
      }
    }
  }

 private:
  size_t plan_scratch();
  bool cut_strip(int64_t index);
  int64_t cut_pieces(bool single, DepthwisePiece* to) const;
  void place(int64_t n, int64_t d, int64_t h);
  int64_t ask_ahead(int64_t h, int64_t h0, int64_t h1, int64_t channels);
  void sum_rows(int64_t c, int64_t ce);
  void activate(int64_t c0, int64_t c1) const {
    float* y = static_cast<float*>(tile_.y);
    if (c1 - c0 == tile_.y_step) return r_.end.finish(r_.f, y, tile_.pixels * tile_.y_step);
    for (int p = 0; p < tile_.pixels; ++p) r_.end.finish(r_.f, y + p * tile_.y_step + c0, c1 - c0);
  }
  int64_t output(int64_t n, int64_t d, int64_t h) const {
    return r_.y_first + n * r_.y_image + d * r_.y_step[0] + h * r_.y_step[1] + strip_.w0 * r_.y_step[2];
  }

  const RowRun& r_;
  const ConvProblem& q_;
  int64_t block_;  // of channels
  Arena arena_;
  DepthwisePiece* pieces_;
  Strip strip_;
  DepthwiseRow<float> tile_;
};

/// A block of channels keeps its inputs and weights in L1 from row to row.
size_t RowWorker::plan_scratch() {
  const int64_t kernel_rows = q_.kernel[0] * q_.kernel[1], lanes = r_.f.lanes;
  const int64_t vector = (kernel_rows * q_.kernel[2] + kernel_rows * r_.input_columns()) * lanes * 4;
  const int64_t all = (q_.groups + lanes - 1) / lanes * lanes;
  block_ = kernel_rows < 4 ? all : std::min(all, std::max<int64_t>(kBlockBytes / vector, 2) * lanes);
  if (r_.row_by_row()) block_ = std::min(all, kBlockBytes / 2 / (r_.f.depthwise_pixels[0] * 4 * lanes) * lanes);
  return static_cast<size_t>(r_.cut.pieces()) * sizeof(DepthwisePiece) + kAlignment;
}

bool RowWorker::cut_strip(int64_t index) {
  const RowCut& cut = r_.cut;
  const int64_t residue = index % cut.residues, first = index / cut.residues * r_.f.depthwise_pixels[0];
  const int64_t count = (q_.out[2] - residue + cut.period - 1) / cut.period;
  if (first >= count) return false;
  Strip& s = strip_;
  s.w0 = residue + cut.period * first;
  s.pixels = std::min<int64_t>(count - first, r_.f.depthwise_pixels[0]);
  s.small = s.pixels <= r_.f.depthwise_pixels[1];
  s.tile_pixels = r_.f.depthwise_pixels[s.small];
  s.iw = s.w0 * q_.stride[2] - q_.pad[2];
  s.lo = s.iw >= 0 ? 0 : (-s.iw + cut.dilation - 1) / cut.dilation;
  s.hi = s.iw >= q_.in[2] ? 0 : (q_.in[2] - s.iw + cut.dilation - 1) / cut.dilation;
  DepthwiseRow<float>& t = tile_;
  t.segments = cut_pieces(false, pieces_);
  t.singles = cut_pieces(true, pieces_ + t.segments);
  t.pixels = static_cast<int>(s.pixels);
  return true;
}

/// The pieces of one kind that meet an input.
int64_t RowWorker::cut_pieces(bool single, DepthwisePiece* to) const {
  const RowCut& cut = r_.cut;
  const Strip& s = strip_;
  const int64_t n = single ? cut.singles : cut.segments, taps = single ? 1 : cut.kernel->columns;
  const int64_t apart = single ? cut.stride : 1, reads = single ? s.tile_pixels : cut.columns(s.tile_pixels, taps);
  int64_t found = 0;
  for (int64_t i = 0, tap = single ? cut.segments * cut.kernel->columns : 0; i < n; ++i, tap += taps) {
    const int64_t first = s.lo <= tap ? 0 : (s.lo - tap + apart - 1) / apart;
    const int64_t last = s.hi <= tap ? 0 : std::min(reads, (s.hi - tap + apart - 1) / apart);
    if (first >= last || first * apart >= cut.columns(s.pixels, taps)) continue;
    const uint64_t inside = (uint64_t{1} << last) - (uint64_t{1} << first);
    to[found++] = {tap * tile_.x_step, tap * tile_.w_step, static_cast<uint32_t>(inside)};
  }
  return found;
}

/// The tile of the outputs of row (n, d, h).
void RowWorker::place(int64_t n, int64_t d, int64_t h) {
  DepthwiseRow<float>& t = tile_;
  const TapRange depth(q_, 0, d), row(q_, 1, h);
  const int64_t* stride = r_.a.x_stride;
  t.depths = depth.count;
  t.rows = row.count;
  t.x = r_.at(r_.a.x, n * stride[0] + depth.input * stride[1] + row.input * stride[2] + strip_.iw * stride[3]);
  t.y = r_.at(r_.a.y, output(n, d, h));
  t.w = r_.packed + r_.w_first + depth.first * t.w_depth + row.first * t.w_row;
  t.bias = r_.bias;
}

/// The tile of row h of rows [h0, h1) asks for the input rows that the next row of outputs is the first to read, the
/// last one for the inputs of the next strip; returns how many rows. Memory is read fastest in the order in which it
/// lies: all channels of a pixel, and then the next.
int64_t RowWorker::ask_ahead(int64_t h, int64_t h0, int64_t h1, int64_t channels) {
  DepthwiseRow<float>& t = tile_;
  const RowCut& cut = r_.cut;
  const int64_t seen = cut.columns(strip_.pixels, q_.kernel[2]), shift = r_.f.depthwise_pixels[0] * cut.stride;
  const bool last = h + 1 == h1;
  if (cut.stride >= 2 * q_.kernel[2] || (last && cut.residues > 1)) return 0;
  const TapRange at(q_, 1, h), begin(q_, 1, h0);
  const int64_t extent = (q_.kernel[1] - 1) * q_.dilation[1] + 1;
  const int64_t next = last ? begin.input : h * q_.stride[1] - q_.pad[1] + std::max(extent, q_.stride[1]);
  const int64_t column = last ? std::max(seen, shift) : strip_.lo;
  t.ahead_row = last ? t.x_row : r_.a.x_stride[2];
  t.ahead_columns = std::min(strip_.hi, last ? shift + seen : seen) - column;
  if (next < 0 || at.count == 0 || t.ahead_columns <= 0) return 0;
  const bool dense = channels == t.x_step;
  t.ahead_step = dense ? r_.f.lanes : t.x_step;
  t.ahead_vector = dense ? t.ahead_columns : 1;
  t.ahead = r_.at(t.x, (next - at.input) * r_.a.x_stride[2] + column * t.x_step);
  return last ? begin.count : std::clamp<int64_t>(q_.in[1] - next, 0, std::min(q_.stride[1], extent));
}

/// Channels [c, ce) of the tile, at once or kernel row by kernel row.
void RowWorker::sum_rows(int64_t c, int64_t ce) {
  const auto run =
      r_.half() ? r_.cut.kernel->half[q_.dtype == Dtype::bfloat16][strip_.small] : r_.cut.kernel->run[strip_.small];
  if (!r_.row_by_row() || tile_.depths * tile_.rows < 2) return run(tile_, c, ce);
  DepthwiseRow<float> t = tile_;
  t.stream = false;
  t.depths = t.rows = 1;
  t.bias = nullptr;
  t.hi = std::numeric_limits<float>::infinity();
  t.lo = -t.hi;
  for (int64_t d = 0; d < tile_.depths; ++d)
    for (int64_t i = 0; i < tile_.rows; ++i) {
      t.x = r_.at(tile_.x, d * t.x_depth + i * t.x_row);
      t.w = tile_.w + (d * t.w_depth + i * t.w_row);
      if (d + 1 == tile_.depths && i + 1 == tile_.rows) {
        t.bias = tile_.bias;
        t.lo = tile_.lo;
        t.hi = tile_.hi;
      }
      run(t, c, ce);
      t.adds = true;
    }
}

/// Phase 0 has the most outputs; tasks beyond those of another do nothing there.
void run_tasks(const ConvProblem& q, const ScratchVec<RowRun, 1>& runs) {
  const RowRun& r = runs[0];
  const int64_t px = r.f.depthwise_pixels[0], lanes = r.f.lanes, vectors = (q.groups + lanes - 1) / lanes;
  const int64_t phases = static_cast<int64_t>(runs.size()), *out = r.q.out;
  int64_t strips = 0;
  for (const RowRun& run : runs) {
    const RowCut& cut = run.cut;
    strips = std::max(strips, ((run.q.out[2] + cut.period - 1) / cut.period + px - 1) / px * cut.residues);
  }
  const int64_t whole = q.batch * out[0] * strips;
  const int64_t task_rows =
      std::min(out[1], std::clamp<int64_t>(out[1] * whole * phases / kEnoughTasks, 4, kMaxTaskRows));
  const int64_t parts = (out[1] + task_rows - 1) / task_rows;
  const int64_t channel_parts =
      std::clamp<int64_t>(kEnoughTasks / (whole * parts * phases), 1, std::max<int64_t>(vectors / 64, 1));
  const int64_t tasks = whole * parts * channel_parts * phases;
  double flops = 2.0 * static_cast<double>(q.batch * q.groups);
  for (int i = 0; i < 3; ++i)
    flops *= static_cast<double>(q.out[i] * q.kernel[i]) / static_cast<double>(q.in_dilation[i]);
  // Depthwise is bound by memory: a flop takes about four times as long as in a GEMM.
  parallel_for(tasks, grain_of(tasks, 4 * flops), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      RowWorker worker(runs[static_cast<size_t>(i % phases)]);
      do {
        const int64_t j = i / phases, strip = j % strips, part = j / strips % parts, rest = j / strips / parts;
        const int64_t d = rest % out[0], slice = rest / out[0] % channel_parts, n = rest / out[0] / channel_parts;
        const int64_t c0 = vectors * slice / channel_parts * lanes, c1 = vectors * (slice + 1) / channel_parts * lanes;
        worker.run(n, d, strip, part * task_rows, (part + 1) * task_rows, c0, std::min(q.groups, c1));
      } while (++i < end && phases == 1);
    }
    if (r.stream) r.f.end_streams();
  });
}

void run_plan(const CpuPlan& plan, const ConvOperands& a, const void* packed, const float* bias) {
  const ConvProblem& q = plan.problem;
  const Epilogue<float> end(q.activation, a.residual_from_y, false);
  const FloatKernels<float>& f = table_for(plan.isa).conv.f32;
  const AxisPhases axes[3] = {{q, 0}, {q, 1}, {q, 2}};
  const int64_t phases = axes[0].phases() * axes[1].phases() * axes[2].phases();
  ScratchVec<RowRun, 1> runs;
  for (int64_t i = 0; i < phases; ++i) {
    const RowPhase phase(q, axes, PackedLayout(plan).nr, i);
    const int64_t* taps = phase.q.kernel;
    if (taps[0] * taps[1] * taps[2] == 0 && a.residual_from_y == 0) continue;
    runs.push_back({phase, a, f, RowCut(phase.q, f), static_cast<const float*>(packed), bias, end,
                    plan.prefetch && runs.empty(), plan.stream && streamable(a, end)});
  }
  if (static_cast<int64_t>(runs.size()) < phases) fill_unreached(plan, a);
  if (!runs.empty()) run_tasks(q, runs);
}

}  // namespace

bool run_depthwise_rows(const CpuPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  if (!depthwise_rows(q)) return false;
  const ConvKernels& k = table_for(plan.isa).conv;
  if (!is_half(q.dtype)) {
    run_plan(plan, a, packed, static_cast<const float*>(q.has_bias ? a.bias : nullptr));
    return true;
  }
  if (!RowCut(q, k.f32).kernel->half[q.dtype == Dtype::bfloat16][0] || q.groups < k.f32.lanes ||
      Epilogue<float>(q.activation, a.residual_from_y, false).pass)
    return false;
  const Scratch bias(q.has_bias ? static_cast<size_t>(q.groups) * sizeof(float) : 0);
  if (q.has_bias) widen(k, q.dtype, static_cast<const AnyHalf*>(a.bias), bias.as<float>(), q.groups);
  run_plan(plan, a, packed, q.has_bias ? bias.as<float>() : nullptr);
  return true;
}

}  // namespace nhwc
