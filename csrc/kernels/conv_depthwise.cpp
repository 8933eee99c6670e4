// csrc/kernels/conv_depthwise.cpp -- tiles x threads of the depthwise row kernels; knows no instruction set
// A task is a strip of columns over some output rows: going down the strip, the input rows of one output are still in
// L1 for the next. Under a dilation the columns of a strip are those whose taps meet the same inputs.
#include <algorithm>
#include <limits>
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

constexpr int64_t kEnoughTasks = 32;        // strips are cut into fewer rows, then channels, until there are as many
constexpr int64_t kMaxTaskRows = 16;        // of outputs
constexpr int64_t kBlockBytes = 32 << 10;   // weights and inputs of a block of channels: L1 less the outputs
constexpr int64_t kPatchBytes = 256 << 10;  // widened inputs of a block of channels

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

/// What all tasks share.
template <class S>
struct RowRun {
  const ConvProblem& q;
  const ConvOperands& a;
  const ConvKernels& k;
  const FloatKernels<float>& f;
  RowCut cut;
  const float* packed;
  int64_t w_step;
  const float* bias;
  Epilogue<float> end;
  bool prefetch, stream;
  int64_t task_rows = 0;

  /// Whether kernel rows are summed one by one, for many channels each: of pixels 1 KB apart L1 has room for few, and
  /// streams are fetched sooner. Steps between outputs make that worth sums that come and go (28x28x256 5x5, stride 2:
  /// 34 us against 29, stride 1: 75 against 88). Sums of channels that fill no vector cannot go on.
  bool row_by_row() const {
    return q.groups % f.lanes == 0 && cut.stride > 1 && cut.dilation * a.x_stride[3] % 256 == 0 &&
           q.kernel[0] * q.kernel[1] > 1;
  }
  int64_t input_columns() const { return cut.columns(f.depthwise_pixels[0], q.kernel[2]); }
  int64_t input_rows(int64_t rows) const { return (rows - 1) * q.stride[1] + (q.kernel[1] - 1) * q.dilation[1] + 1; }
};

/// The kernel taps along an axis that meet an input.
struct TapRange {
  TapRange(const ConvProblem& q, int axis, int64_t output) {
    const int64_t at = output * q.stride[axis] - q.pad[axis], step = q.dilation[axis], in = q.in[axis];
    first = at >= 0 ? 0 : (-at + step - 1) / step;  // no division where all taps meet one
    const int64_t end = at + (q.kernel[axis] - 1) * step < in ? q.kernel[axis]
                        : at >= in                            ? 0
                                                              : (in - at + step - 1) / step;
    count = std::max<int64_t>(0, end - first);
    input = at + first * step;
  }
  int64_t first, count, input;  // the input that the first one meets
};

/// A task's work with its scratch.
template <class S>
class RowWorker {
  static constexpr bool kWidened = !std::is_same_v<S, float>;

 public:
  explicit RowWorker(const RowRun<S>& run) : r_(run), q_(run.q), arena_(plan_scratch()) {
    pieces_ = arena_.template take<DepthwisePiece>(r_.cut.pieces());
    if (kWidened) {
      patch_ = arena_.template take<float>(patch_pixels_ * block_);
      out_ = arena_.template take<float>(r_.f.depthwise_pixels[0] * block_);
    }
    const int64_t row = kWidened ? r_.input_columns() * block_ : r_.a.x_stride[2];
    DepthwiseRow<float>& t = tile_;
    t.x_step = kWidened ? block_ : r_.cut.dilation * r_.a.x_stride[3];
    t.pixel_step = r_.cut.stride * t.x_step;
    t.x_row = q_.dilation[1] * row;
    t.x_depth = kWidened ? patch_rows_ * row : q_.dilation[0] * r_.a.x_stride[1];
    t.w_step = r_.w_step;
    t.w_row = q_.kernel[2] * t.w_step;
    t.w_depth = q_.kernel[1] * t.w_row;
    t.pieces = pieces_;
    t.y_step = kWidened ? block_ : r_.cut.period * q_.groups;
    t.y = out_;
    t.lo = r_.end.lo;
    t.hi = r_.end.hi;
    t.adds = false;
    t.stream = r_.stream;
  }

  /// Output rows [h0, h1) of channels [c0, c1) of strip number `strip` in plane (n, d).
  void run(int64_t n, int64_t d, int64_t strip, int64_t h0, int64_t h1, int64_t c0, int64_t c1) {
    if (!cut_strip(strip)) return;
    for (int64_t c = c0, end; c < c1; c = end) {
      end = c1 - c < block_ + (kWidened ? 0 : r_.f.lanes) ? c1 : c + block_;  // less than a vector is no block
      if (kWidened) widen_patch(n, d, h0, h1 - h0, c, end);
      for (int64_t h = h0; h < h1; ++h) {
        place(n, d, h, c);
        tile_.ahead_rows = !kWidened && r_.prefetch && h + 1 < h1 ? ask_ahead(h) : 0;
        if (kWidened) {
          run_widened(n, d, h, c, end);
          continue;
        }
        sum_rows(c, end);
        if (r_.end.pass) activate(c, end);
      }
    }
  }

 private:
  size_t plan_scratch();
  bool cut_strip(int64_t index);
  int64_t cut_pieces(bool single, DepthwisePiece* to) const;
  void place(int64_t n, int64_t d, int64_t h, int64_t c);
  int64_t ask_ahead(int64_t h);
  void sum_rows(int64_t c, int64_t ce);
  void widen_patch(int64_t n, int64_t d, int64_t h, int64_t rows, int64_t c, int64_t ce);
  void run_widened(int64_t n, int64_t d, int64_t h, int64_t c, int64_t ce);
  void activate(int64_t c0, int64_t c1) const {
    if (c1 - c0 == tile_.y_step) return r_.end.finish(r_.f, tile_.y, tile_.pixels * tile_.y_step);
    for (int p = 0; p < tile_.pixels; ++p) r_.end.finish(r_.f, tile_.y + p * tile_.y_step + c0, c1 - c0);
  }
  int64_t output(int64_t n, int64_t d, int64_t h) const {
    return (((n * q_.out[0] + d) * q_.out[1] + h) * q_.out[2] + strip_.w0) * q_.groups;
  }

  const RowRun<S>& r_;
  const ConvProblem& q_;
  int64_t block_, patch_rows_ = 0, patch_pixels_ = 0;  // channels; inputs of a task: rows per depth, in all
  Arena arena_;
  DepthwisePiece* pieces_;
  float *patch_ = nullptr, *out_ = nullptr;
  int64_t patch_row_ = 0;  // the first input row of the patch
  Strip strip_;
  DepthwiseRow<float> tile_;
};

/// A block of channels keeps its inputs and weights in L1 from row to row.
template <class S>
size_t RowWorker<S>::plan_scratch() {
  const int64_t kernel_rows = q_.kernel[0] * q_.kernel[1], lanes = r_.f.lanes;
  const int64_t vector = (kernel_rows * q_.kernel[2] + kernel_rows * r_.input_columns()) * lanes * 4;
  const int64_t all = (q_.groups + lanes - 1) / lanes * lanes;
  block_ = kernel_rows < 4 ? all : std::min(all, std::max<int64_t>(kBlockBytes / vector, 2) * lanes);
  if (r_.row_by_row()) block_ = std::min(all, kBlockBytes / 2 / (r_.f.depthwise_pixels[0] * 4 * lanes) * lanes);
  size_t bytes = static_cast<size_t>(r_.cut.pieces()) * sizeof(DepthwisePiece);
  if (kWidened) {
    patch_rows_ = r_.input_rows(r_.task_rows);
    patch_pixels_ = q_.kernel[0] * patch_rows_ * r_.input_columns();
    block_ = std::min(all, std::max<int64_t>(kPatchBytes / (patch_pixels_ * lanes * 4), 1) * lanes);
    bytes += static_cast<size_t>((patch_pixels_ + r_.f.depthwise_pixels[0]) * block_) * 4;
  }
  return bytes + 3 * kAlignment;
}

template <class S>
bool RowWorker<S>::cut_strip(int64_t index) {
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
template <class S>
int64_t RowWorker<S>::cut_pieces(bool single, DepthwisePiece* to) const {
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
    to[found++] = {tap * tile_.x_step, tap * r_.w_step, static_cast<uint32_t>(inside)};
  }
  return found;
}

/// The tile of the outputs of row (n, d, h); c: the channel that the patch begins with.
template <class S>
void RowWorker<S>::place(int64_t n, int64_t d, int64_t h, int64_t c) {
  DepthwiseRow<float>& t = tile_;
  const TapRange depth(q_, 0, d), row(q_, 1, h);
  const int64_t* stride = r_.a.x_stride;
  t.depths = depth.count;
  t.rows = row.count;
  if (kWidened) {
    const int64_t columns = r_.input_columns() * block_;
    t.x = patch_ + (depth.first * patch_rows_ + row.input - patch_row_) * columns;
  } else {
    t.x = static_cast<const float*>(r_.a.x) +
          (n * stride[0] + depth.input * stride[1] + row.input * stride[2] + strip_.iw * stride[3]);
    t.y = static_cast<float*>(r_.a.y) + output(n, d, h);
  }
  t.w = r_.packed + depth.first * t.w_depth + row.first * t.w_row + (kWidened ? c : 0);
  t.bias = r_.bias ? r_.bias + (kWidened ? c : 0) : nullptr;
}

/// The tile asks for the input rows that the next row of outputs is the first to read; their number.
template <class S>
int64_t RowWorker<S>::ask_ahead(int64_t h) {
  DepthwiseRow<float>& t = tile_;
  const int64_t first = h * q_.stride[1] - q_.pad[1], next = first + (q_.kernel[1] - 1) * q_.dilation[1] + 1;
  if (first < 0 || r_.row_by_row()) return 0;
  t.ahead = t.x + ((next - first) * r_.a.x_stride[2] + strip_.lo * t.x_step);
  t.ahead_row = r_.a.x_stride[2];
  t.ahead_columns = std::min(strip_.hi, r_.cut.columns(strip_.pixels, q_.kernel[2])) - strip_.lo;
  return std::clamp<int64_t>(q_.in[1] - next, 0, q_.stride[1]);
}

/// Channels [c, ce) of the tile, at once or kernel row by kernel row.
template <class S>
void RowWorker<S>::sum_rows(int64_t c, int64_t ce) {
  const auto run = r_.cut.kernel->run[strip_.small];
  if (!r_.row_by_row() || tile_.depths * tile_.rows < 2) return run(tile_, c, ce);
  DepthwiseRow<float> t = tile_;
  t.stream = false;
  t.depths = t.rows = 1;
  t.bias = nullptr;
  t.hi = std::numeric_limits<float>::infinity();
  t.lo = -t.hi;
  for (int64_t d = 0; d < tile_.depths; ++d)
    for (int64_t i = 0; i < tile_.rows; ++i) {
      t.x = tile_.x + (d * t.x_depth + i * t.x_row);
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

/// Channels [c, ce) of the inputs of `rows` output rows from h on, as floats [depth][row][column][block].
template <class S>
void RowWorker<S>::widen_patch(int64_t n, int64_t d, int64_t h, int64_t rows, int64_t c, int64_t ce) {
  const Strip& s = strip_;
  const int64_t columns = r_.input_columns();
  const int64_t end = std::min(s.hi, r_.cut.columns(s.tile_pixels, q_.kernel[2]));
  patch_row_ = h * q_.stride[1] - q_.pad[1];
  for (int64_t kd = 0; kd < q_.kernel[0]; ++kd) {
    const int64_t id = d * q_.stride[0] + kd * q_.dilation[0] - q_.pad[0];
    if (id < 0 || id >= q_.in[0]) continue;
    const int64_t last = std::min(patch_row_ + r_.input_rows(rows), q_.in[1]);
    for (int64_t ih = std::max<int64_t>(patch_row_, 0); ih < last; ++ih) {
      const S* x = static_cast<const S*>(r_.a.x) + n * r_.a.x_stride[0] + id * r_.a.x_stride[1] + ih * r_.a.x_stride[2];
      float* to = patch_ + (kd * patch_rows_ + ih - patch_row_) * columns * block_;
      for (int64_t j = s.lo; j < end; ++j)
        widen(r_.k, r_.q.dtype, x + (s.iw + j * r_.cut.dilation) * r_.a.x_stride[3] + c, to + j * block_, ce - c);
    }
  }
}

/// The tile of channels [c, ce) into floats, which are narrowed.
template <class S>
void RowWorker<S>::run_widened(int64_t n, int64_t d, int64_t h, int64_t c, int64_t ce) {
  r_.cut.kernel->run[strip_.small](tile_, 0, ce - c);
  if (r_.end.pass) activate(0, ce - c);
  S* y = static_cast<S*>(r_.a.y) + output(n, d, h) + c;
  for (int64_t p = 0; p < strip_.pixels; ++p)
    narrow(r_.k, r_.q.dtype, tile_.y + p * block_, y + p * r_.cut.period * q_.groups, ce - c);
}

template <class S>
void run_tasks(RowRun<S> r) {
  const ConvProblem& q = r.q;
  const int64_t px = r.f.depthwise_pixels[0], lanes = r.f.lanes, vectors = (q.groups + lanes - 1) / lanes;
  const int64_t per_residue = ((q.out[2] + r.cut.period - 1) / r.cut.period + px - 1) / px;
  const int64_t strips = per_residue * r.cut.residues, whole = q.batch * q.out[0] * strips;
  r.task_rows = std::min(q.out[1], std::clamp<int64_t>(q.out[1] * whole / kEnoughTasks, 4, kMaxTaskRows));
  const int64_t parts = (q.out[1] + r.task_rows - 1) / r.task_rows;
  const int64_t channel_parts =
      std::clamp<int64_t>(kEnoughTasks / (whole * parts), 1, std::max<int64_t>(vectors / 64, 1));
  const int64_t tasks = whole * parts * channel_parts;
  const double flops = 2.0 * static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2]) *
                       static_cast<double>(q.groups * q.kernel[0] * q.kernel[1] * q.kernel[2]);
  // Depthwise is bound by memory: a flop takes about four times as long as in a GEMM.
  parallel_for(tasks, grain_of(tasks, 4 * flops), [&](int64_t begin, int64_t end) {
    RowWorker<S> worker(r);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t strip = i % strips, part = i / strips % parts, rest = i / strips / parts, d = rest % q.out[0];
      const int64_t slice = rest / q.out[0] % channel_parts, n = rest / q.out[0] / channel_parts;
      const int64_t c0 = vectors * slice / channel_parts * lanes, c1 = vectors * (slice + 1) / channel_parts * lanes;
      worker.run(n, d, strip, part * r.task_rows, std::min(q.out[1], (part + 1) * r.task_rows), c0,
                 std::min(q.groups, c1));
    }
    if (r.stream) r.f.end_streams();
  });
}

template <class S>
void run_typed(const ConvPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  const ConvKernels& k = table_for(plan.isa).conv;
  const bool widened = !std::is_same_v<S, float>;
  const Scratch scratch(widened && q.has_bias ? static_cast<size_t>(q.groups) * sizeof(float) : 0);
  const float* bias = q.has_bias ? static_cast<const float*>(a.bias) : nullptr;
  if (widened && q.has_bias) {
    widen(k, q.dtype, static_cast<const S*>(a.bias), scratch.as<float>(), q.groups);
    bias = scratch.as<float>();
  }
  run_tasks<S>({q,
                a,
                k,
                k.f32,
                RowCut(q, k.f32),
                static_cast<const float*>(packed),
                PackedLayout(plan).nr,
                bias,
                {q.activation, a.residual_from_y, false},
                plan.prefetch,
                plan.stream && streamable(a, Epilogue<float>(q.activation, a.residual_from_y, false))});
}

}  // namespace

bool run_depthwise_rows(const ConvPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  if (!depthwise_rows(q)) return false;
  run_typed<float>(plan, a, packed);
  return true;
}

}  // namespace nhwc
