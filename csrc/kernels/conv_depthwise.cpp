// csrc/kernels/conv_depthwise.cpp -- tiles x threads of the depthwise row kernels; knows no instruction set
// A task is a strip of columns over some output rows: going down the strip, the input rows of one output are still in
// L1 for the next. Under a dilation the columns of a strip are those whose taps meet the same inputs.
#include <algorithm>
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

constexpr int64_t kEnoughTasks = 32;  // strips are cut into fewer rows, then channels, until there are as many
constexpr int64_t kMaxTaskRows = 16;
constexpr int64_t kTableBytes = 24 << 10;   // tables of the tiles that go together
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
      if (!k.run[0]) continue;
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

/// A segment or a single tap: its first tap, and which of the columns (outputs) of a tile read the input.
struct Piece {
  int64_t tap, first, last;
};

/// A kernel row that meets the input: offsets of its column 0 and of its weights.
struct KernelRow {
  int64_t x, w;
};

/// Some outputs of every row: which kernel computes them, and which pieces of a kernel row meet an input.
struct Strip {
  int64_t w0, pixels, tile_pixels;
  int small;
  int64_t iw;            // input column of column 0, which may be outside
  int64_t lo, hi;        // columns inside the input
  int64_t counts[2][2];  // pieces [single][at a border], in this order
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
  const float* zeros;
  Epilogue<float> end;

  int64_t pointers_per_row() const {
    const int64_t px = f.depthwise_pixels[0];
    return cut.segments * (cut.columns(px, cut.kernel->columns) + 1) + cut.singles * (px + 1);
  }
  int64_t input_columns() const { return cut.columns(f.depthwise_pixels[0], q.kernel[2]); }
  int64_t input_rows(int64_t rows) const { return (rows - 1) * q.stride[1] + (q.kernel[1] - 1) * q.dilation[1] + 1; }
};

/// A task's work with its scratch.
template <class S>
class RowWorker {
  static constexpr bool kWidened = !std::is_same_v<S, float>;

 public:
  explicit RowWorker(const RowRun<S>& run) : r_(run), q_(run.q), arena_(plan_scratch()) {
    pieces_ = arena_.template take<Piece>(r_.cut.pieces());
    rows_ = arena_.template take<KernelRow>(q_.kernel[0] * q_.kernel[1]);
    table_ = arena_.template take<const float*>(group_ * table_pointers_);
    if (kWidened) {
      patch_ = arena_.template take<float>(patch_pixels_ * block_);
      out_ = arena_.template take<float>(group_ * r_.f.depthwise_pixels[0] * block_);
    }
  }

  /// Output rows [h0, h1) of channels [c0, c1) of strip number `strip` in plane (n, d).
  void run(int64_t n, int64_t d, int64_t strip, int64_t h0, int64_t h1, int64_t c0, int64_t c1) {
    if (!cut_strip(strip)) return;
    for (int64_t h = h0; h < h1; h += group_) {
      const int64_t rows = std::min(group_, h1 - h);
      for (int64_t c = c0; c < c1; c += block_) {
        const int64_t ce = std::min(c + block_, c1);
        if (kWidened) widen_patch(n, d, h, rows, c, ce);
        for (int64_t i = 0; i < rows; ++i) {
          if ((kWidened || c == c0) && !(i > 0 && move_down(tiles_[i - 1], tiles_[i], h + i)))
            fill(tiles_[i], table_ + i * table_pointers_, n, d, h + i, c);
          if (kWidened)
            run_widened(tiles_[i], i, n, d, h + i, c, ce);
          else
            r_.cut.kernel->run[strip_.small](tiles_[i], c, ce);
        }
      }
      if (!kWidened && r_.end.pass)
        for (int64_t i = 0; i < rows; ++i) activate(tiles_[i], c0, c1);
    }
  }

 private:
  size_t plan_scratch();
  bool cut_strip(int64_t index);
  int64_t cut_pieces(bool single, bool border, Piece* to) const;
  int64_t kernel_rows(int64_t d, int64_t h, int64_t c) const;
  void fill(DepthwiseRow<float>& t, const float** table, int64_t n, int64_t d, int64_t h, int64_t c) const;
  bool move_down(const DepthwiseRow<float>& above, DepthwiseRow<float>& t, int64_t h) const;
  void widen_patch(int64_t n, int64_t d, int64_t h, int64_t rows, int64_t c, int64_t ce);
  void run_widened(DepthwiseRow<float>& t, int64_t i, int64_t n, int64_t d, int64_t h, int64_t c, int64_t ce) const;
  void activate(const DepthwiseRow<float>& t, int64_t c0, int64_t c1) const {
    if (c1 - c0 == t.y_step) return r_.end.finish(r_.f, t.y, t.pixels * t.y_step);
    for (int p = 0; p < t.pixels; ++p) {
      float* y = t.y + p * t.y_step;
      r_.end.finish(r_.f, y + c0, c1 - c0);
    }
  }
  int64_t output(int64_t n, int64_t d, int64_t h) const {
    return (((n * q_.out[0] + d) * q_.out[1] + h) * q_.out[2] + strip_.w0) * q_.groups;
  }

  const RowRun<S>& r_;
  const ConvProblem& q_;
  int64_t table_pointers_, group_, block_, patch_pixels_ = 0;  // of one tile; tiles that go together; channels
  Arena arena_;
  Piece* pieces_;
  KernelRow* rows_;
  const float** table_;
  float *patch_ = nullptr, *out_ = nullptr;
  int64_t patch_row_ = 0, patch_rows_ = 0;  // the first input row of the patch, and their number per depth
  Strip strip_;
  DepthwiseRow<float> tiles_[kMaxTaskRows];
};

/// Tiles that go together keep their tables; a block of channels its inputs and weights in L1 from row to row.
template <class S>
size_t RowWorker<S>::plan_scratch() {
  const int64_t kernel_rows = q_.kernel[0] * q_.kernel[1], lanes = r_.f.lanes;
  table_pointers_ = kernel_rows * r_.pointers_per_row();
  group_ = std::clamp<int64_t>(kTableBytes / (table_pointers_ * 8), 1, kMaxTaskRows);
  const int64_t vector = (kernel_rows * q_.kernel[2] + kernel_rows * r_.input_columns()) * lanes * 4;
  const int64_t all = (q_.groups + lanes - 1) / lanes * lanes;
  block_ = group_ == 1 || kernel_rows < 4 ? all : std::min(all, std::max<int64_t>(kBlockBytes / vector, 2) * lanes);
  size_t bytes =
      static_cast<size_t>(r_.cut.pieces()) * sizeof(Piece) + static_cast<size_t>(kernel_rows) * sizeof(KernelRow);
  if (kWidened) {
    group_ = std::min<int64_t>(std::max<int64_t>(group_, 8), kMaxTaskRows);
    patch_pixels_ = q_.kernel[0] * r_.input_rows(group_) * r_.input_columns();
    block_ = std::min(all, std::max<int64_t>(kPatchBytes / (patch_pixels_ * lanes * 4), 1) * lanes);
    bytes += static_cast<size_t>((patch_pixels_ + group_ * r_.f.depthwise_pixels[0]) * block_) * 4;
  }
  return bytes + static_cast<size_t>(group_ * table_pointers_) * sizeof(float*) + 5 * kAlignment;
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
  Piece* to = pieces_;
  for (int single = 0; single < 2; ++single)
    for (int border = 0; border < 2; ++border) to += s.counts[single][border] = cut_pieces(single, border, to);
  return true;
}

/// The pieces of one kind that meet an input.
template <class S>
int64_t RowWorker<S>::cut_pieces(bool single, bool border, Piece* to) const {
  const RowCut& cut = r_.cut;
  const Strip& s = strip_;
  const int64_t n = single ? cut.singles : cut.segments, taps = single ? 1 : cut.kernel->columns;
  const int64_t apart = single ? cut.stride : 1, reads = single ? s.tile_pixels : cut.columns(s.tile_pixels, taps);
  int64_t found = 0;
  for (int64_t i = 0, tap = single ? cut.segments * cut.kernel->columns : 0; i < n; ++i, tap += taps) {
    const int64_t first = std::clamp<int64_t>((s.lo - tap + apart - 1) / apart, 0, reads);
    const int64_t last = s.hi <= tap ? 0 : std::min(reads, (s.hi - tap + apart - 1) / apart);
    if (first >= last || first * apart >= cut.columns(s.pixels, taps)) continue;
    if (border == (first > 0 || last < reads)) to[found++] = {tap, first, last};
  }
  return found;
}

/// The kernel rows that outputs of row (d, h) read. c: the channel that the patch begins with.
template <class S>
int64_t RowWorker<S>::kernel_rows(int64_t d, int64_t h, int64_t c) const {
  const int64_t* stride = r_.a.x_stride;
  int64_t n = 0;
  for (int64_t kd = 0; kd < q_.kernel[0]; ++kd) {
    const int64_t id = d * q_.stride[0] + kd * q_.dilation[0] - q_.pad[0];
    if (id < 0 || id >= q_.in[0]) continue;
    for (int64_t kh = 0; kh < q_.kernel[1]; ++kh) {
      const int64_t ih = h * q_.stride[1] + kh * q_.dilation[1] - q_.pad[1];
      if (ih < 0 || ih >= q_.in[1]) continue;
      const int64_t x = kWidened ? (kd * patch_rows_ + ih - patch_row_) * r_.input_columns() * block_
                                 : id * stride[1] + ih * stride[2] + strip_.iw * stride[3];
      rows_[n++] = {x, (kd * q_.kernel[1] + kh) * q_.kernel[2] * r_.w_step + (kWidened ? c : 0)};
    }
  }
  return n;
}

/// The tables of the outputs of row (n, d, h).
template <class S>
void RowWorker<S>::fill(DepthwiseRow<float>& t, const float** table, int64_t n, int64_t d, int64_t h, int64_t c) const {
  const RowCut& cut = r_.cut;
  const Strip& s = strip_;
  const int64_t rows = kernel_rows(d, h, c), step = kWidened ? block_ : cut.dilation * r_.a.x_stride[3];
  const float* x = kWidened ? patch_ : static_cast<const float*>(r_.a.x) + n * r_.a.x_stride[0];
  const Piece* kind = pieces_;
  for (int single = 0; single < 2; ++single) {
    const int64_t reads = single ? s.tile_pixels : cut.columns(s.tile_pixels, cut.kernel->columns);
    const int64_t apart = (single ? cut.stride : 1) * step;
    for (int border = 0; border < 2; ++border) {
      const int64_t pieces = s.counts[single][border], entries = pieces * rows;
      const float **to = table, **w = table + entries * (border ? reads : 1);
      (single ? t.taps : t.segments)[border] = {to, w, entries};
      table = w + entries;
      // Row by row: the columns that a piece shares with the next are still in L1.
      for (int64_t r = 0; r < rows; ++r)
        for (const Piece* p = kind; p < kind + pieces; ++p) {
          const int64_t row = rows_[r].x + p->tap * step;
          *w++ = r_.packed + rows_[r].w + p->tap * r_.w_step;
          if (!border) {
            *to++ = x + row;
            continue;
          }
          int64_t j = 0;
          for (; j < p->first; ++j) *to++ = r_.zeros;
          for (; j < p->last; ++j) *to++ = x + (row + j * apart);
          for (; j < reads; ++j) *to++ = r_.zeros;
        }
      kind += pieces;
    }
  }
  t.x_offset = 0;
  t.x_step = step;
  t.pixel_step = cut.stride * step;
  t.w_step = r_.w_step;
  t.y_step = cut.period * q_.groups;
  if constexpr (!kWidened) t.y = static_cast<float*>(r_.a.y) + output(n, d, h);
  t.bias = r_.bias ? r_.bias + (kWidened ? c : 0) : nullptr;
  t.lo = r_.end.lo;
  t.hi = r_.end.hi;
  t.pixels = static_cast<int>(s.pixels);
}

/// The tile of row h by the tables of the one above, where both read all kernel rows and no border.
template <class S>
bool RowWorker<S>::move_down(const DepthwiseRow<float>& above, DepthwiseRow<float>& t, int64_t h) const {
  const int64_t pieces = strip_.counts[0][0] + strip_.counts[1][0], read = above.segments[0].n + above.taps[0].n;
  if (kWidened || strip_.counts[0][1] + strip_.counts[1][1] > 0 || read < pieces * q_.kernel[0] * q_.kernel[1] ||
      h * q_.stride[1] - q_.pad[1] + (q_.kernel[1] - 1) * q_.dilation[1] >= q_.in[1])
    return false;
  t = above;
  t.x_offset += q_.stride[1] * r_.a.x_stride[2];
  t.y += q_.out[2] * q_.groups;
  return true;
}

/// Channels [c, ce) of the inputs of `rows` output rows from h on, as floats [depth][row][column][block].
template <class S>
void RowWorker<S>::widen_patch(int64_t n, int64_t d, int64_t h, int64_t rows, int64_t c, int64_t ce) {
  const Strip& s = strip_;
  const int64_t columns = r_.input_columns();
  const int64_t end = std::min(s.hi, r_.cut.columns(s.tile_pixels, q_.kernel[2]));
  patch_row_ = h * q_.stride[1] - q_.pad[1];
  patch_rows_ = r_.input_rows(rows);
  for (int64_t kd = 0; kd < q_.kernel[0]; ++kd) {
    const int64_t id = d * q_.stride[0] + kd * q_.dilation[0] - q_.pad[0];
    if (id < 0 || id >= q_.in[0]) continue;
    const int64_t last = std::min(patch_row_ + patch_rows_, q_.in[1]);
    for (int64_t ih = std::max<int64_t>(patch_row_, 0); ih < last; ++ih) {
      const S* x = static_cast<const S*>(r_.a.x) + n * r_.a.x_stride[0] + id * r_.a.x_stride[1] + ih * r_.a.x_stride[2];
      float* to = patch_ + (kd * patch_rows_ + ih - patch_row_) * columns * block_;
      for (int64_t j = s.lo; j < end; ++j)
        widen(r_.k, r_.q.dtype, x + (s.iw + j * r_.cut.dilation) * r_.a.x_stride[3] + c, to + j * block_, ce - c);
    }
  }
}

/// One tile of channels [c, ce) into floats, which are narrowed.
template <class S>
void RowWorker<S>::run_widened(DepthwiseRow<float>& t, int64_t i, int64_t n, int64_t d, int64_t h, int64_t c,
                               int64_t ce) const {
  const int64_t step = t.y_step;
  t.y = out_ + i * r_.f.depthwise_pixels[0] * block_;
  t.y_step = block_;
  r_.cut.kernel->run[strip_.small](t, 0, ce - c);
  if (r_.end.pass) activate(t, 0, ce - c);
  S* y = static_cast<S*>(r_.a.y) + output(n, d, h) + c;
  for (int64_t p = 0; p < strip_.pixels; ++p) narrow(r_.k, r_.q.dtype, t.y + p * block_, y + p * step, ce - c);
}

template <class S>
void run_tasks(const RowRun<S>& r) {
  const ConvProblem& q = r.q;
  const int64_t px = r.f.depthwise_pixels[0], lanes = r.f.lanes, vectors = (q.groups + lanes - 1) / lanes;
  const int64_t per_residue = ((q.out[2] + r.cut.period - 1) / r.cut.period + px - 1) / px;
  const int64_t strips = per_residue * r.cut.residues, whole = q.batch * q.out[0] * strips;
  const int64_t task_rows = std::clamp<int64_t>(q.out[1] * whole / kEnoughTasks, 4, kMaxTaskRows);
  const int64_t parts = (q.out[1] + task_rows - 1) / task_rows;
  const int64_t channel_parts =
      std::clamp<int64_t>(kEnoughTasks / (whole * parts), 1, std::max<int64_t>(vectors / 64, 1));
  const int64_t tasks = whole * parts * channel_parts;
  const double flops = 2.0 * static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2]) *
                       static_cast<double>(q.groups * q.kernel[0] * q.kernel[1] * q.kernel[2]);
  // Depthwise is bound by memory: a flop takes about four times as long as in a GEMM.
  parallel_for(tasks, grain_of(tasks, 4 * flops), [&](int64_t begin, int64_t end) {
    RowWorker<S> worker(r);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t strip = i % strips, part = i / strips % parts, slice = i / strips / parts % channel_parts;
      const int64_t plane = i / strips / parts / channel_parts;
      const int64_t c0 = vectors * slice / channel_parts * lanes, c1 = vectors * (slice + 1) / channel_parts * lanes;
      worker.run(plane / q.out[0], plane % q.out[0], strip, part * task_rows,
                 std::min(q.out[1], (part + 1) * task_rows), c0, std::min(q.groups, c1));
    }
  });
}

template <class S>
void run_typed(const ConvPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  const ConvKernels& k = table_for(plan.isa).conv;
  const bool widened = !std::is_same_v<S, float>;
  const Scratch scratch(static_cast<size_t>(q.groups * (widened && q.has_bias ? 2 : 1)) * sizeof(float));
  float* zeros = scratch.as<float>();
  std::memset(zeros, 0, static_cast<size_t>(q.groups) * sizeof(float));
  const float* bias = q.has_bias ? static_cast<const float*>(a.bias) : nullptr;
  if (widened && q.has_bias) {
    widen(k, q.dtype, static_cast<const S*>(a.bias), zeros + q.groups, q.groups);
    bias = zeros + q.groups;
  }
  run_tasks<S>({q,
                a,
                k,
                k.f32,
                RowCut(q, k.f32),
                static_cast<const float*>(packed),
                PackedLayout(plan).nr,
                bias,
                zeros,
                {q.activation, a.residual_from_y, false}});
}

}  // namespace

bool run_depthwise_rows(const ConvPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  if (!depthwise_rows(q)) return false;
  if (q.dtype == Dtype::float32)
    run_typed<float>(plan, a, packed);
  else
    run_typed<AnyHalf>(plan, a, packed);
  return true;
}

}  // namespace nhwc
