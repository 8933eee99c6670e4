// csrc/kernels/conv_col2im.cpp -- products of input rows with all taps, gathered by output rows; knows no instruction
// set A task walks down its output rows and keeps the products of the input rows that they share.
#include <algorithm>
#include <cstring>

#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_float_run.h"
#include "kernels/conv_forward.h"
#include "plan/conv_axis.h"
#include "plan/conv_col2im.h"

namespace nhwc {
namespace {

/// What all tasks share.
struct Col2imRun : FloatRun {
  Col2imRun(const CpuPlan& p, const ConvOperands& operands, const void* weights)
      : FloatRun(p, operands, weights),
        geometry(q, p.lanes),
        cut(p.col2im),
        planes(q, 0),
        rows(q, 1),
        chunk(q.in_dilation[2] * q.o) {
    for (int64_t i = 0; i < round_up(chunk, p.lanes); ++i)
      bias.push_back(q.has_bias ? static_cast<const float*>(a.bias)[i % q.o] : -0.0f);
  }
  Col2imGeometry geometry;
  Col2imCut cut;
  AxisPhases planes, rows;
  int64_t chunk;               // values
  ScratchVec<float, 64> bias;  // of a chunk, in whole vectors
};

/// Chunks [begin, end) of the output rows of one plane.
class ColumnBlock {
 public:
  ColumnBlock(const Col2imRun& run)
      : r_(run),
        g_(run.geometry),
        q_(run.q),
        row_elems_((run.cut.chunks + g_.overlap - 1) * g_.columns),
        arena_(col2im_scratch_bytes(run.plan)),
        products_(arena_.take<float>(g_.rows * row_elems_ + run.plan.lanes)),
        y_row_(arena_.take<float>(run.cut.chunks * run.chunk + run.plan.lanes)),
        held_(arena_.take<int64_t>(g_.rows)) {}

  void begin(int64_t n, int64_t plane, int64_t first, int64_t last) {
    const ConvOperands& a = r_.a;
    const AxisPhase phase = r_.planes.phase(plane % r_.planes.period);
    x_.clear();
    ids_.clear();
    for (int64_t t = 0; t < phase.n_taps; ++t) {
      const int64_t input = phase.taps[t].base + plane / r_.planes.period * r_.planes.step;
      if (input < 0 || input >= q_.in[0]) continue;
      x_.push_back(static_cast<const float*>(a.x) + n * a.x_stride[0] + input * a.x_stride[1]);
      ids_.push_back(phase.taps[t].k);
    }
    y_ = static_cast<float*>(a.y) + (n * q_.out[0] + plane) * q_.out[1] * q_.out[2] * q_.o;
    first_ = first;
    last_ = last;
    std::fill(held_, held_ + g_.rows, int64_t(-1));
  }

  void output_row(int64_t row) {
    const AxisPhase phase = r_.rows.phase(row % r_.rows.period);
    const int64_t at = row / r_.rows.period * r_.rows.step, taps = q_.kernel[1], d = q_.in_dilation[2];
    ScratchVec<const float*, 16> x;
    ScratchVec<int64_t, 16> values;
    for (int64_t t = 0; t < phase.n_taps; ++t) {
      const int64_t input = phase.taps[t].base + at;
      if (input < 0 || input >= q_.in[1]) continue;
      const float* row_products = products(input) + (taps - 1 - phase.taps[t].k) * q_.kernel[2] * q_.o;
      for (int64_t i = 0; i < g_.overlap; ++i) {
        x.push_back(row_products + (g_.overlap - 1 - i) * g_.columns + i * d * q_.o);
        values.push_back(std::min(d, q_.kernel[2] - i * d) * q_.o);
      }
    }
    r_.f.gather({x.data(), values.data(), static_cast<int64_t>(x.size()), g_.columns, y_row_, r_.chunk, last_ - first_,
                 r_.bias.data(), r_.end.lo, r_.end.hi});
    const int64_t chunks_at = (g_.first_chunk + first_) * d - (g_.first_chunk * d + g_.before);
    const int64_t from = std::max<int64_t>(0, chunks_at), to = std::min(q_.out[2], chunks_at + (last_ - first_) * d);
    if (from >= to) return;
    float* y = y_ + (row * q_.out[2] + from) * q_.o;
    std::memcpy(y, y_row_ + (from - chunks_at) * q_.o, static_cast<size_t>((to - from) * q_.o) * sizeof(float));
    if (r_.end.pass) r_.end.finish(r_.f, y, (to - from) * q_.o);
  }

 private:
  /// The products of an input row; those of pixels outside are zero.
  const float* products(int64_t row) {
    float* to = products_ + row % g_.rows * row_elems_;
    if (held_[row % g_.rows] == row) return to;
    held_[row % g_.rows] = row;
    const int64_t first = g_.first_chunk + first_ - (g_.overlap - 1), n = last_ - first_ + g_.overlap - 1;
    const int64_t b = std::clamp<int64_t>(-first, 0, n), e = std::clamp<int64_t>(q_.in[2] - first, b, n);
    std::memset(to, 0, static_cast<size_t>(b * g_.columns) * sizeof(float));
    if (b < e) multiply(row * r_.a.x_stride[2] + (first + b) * r_.a.x_stride[3], e - b, to + b * g_.columns);
    std::memset(to + e * g_.columns, 0, static_cast<size_t>((n - e) * g_.columns) * sizeof(float));
    return to;
  }

  /// y[pixel][columns] = sum over the planes of x[from][pixel][c] * weights.
  void multiply(int64_t from, int64_t pixels, float* y) const {
    const int64_t tiles = ceil_div(pixels, r_.plan.mr), size = pixels / tiles, larger = pixels % tiles;
    DirectTile<float> d{};
    d.a = x_.data();
    d.tap_ids = ids_.data();
    d.taps = static_cast<int64_t>(x_.size());
    d.k = q_.c;
    d.lo = -__builtin_inff();
    d.hi = __builtin_inff();
    d.a_step = r_.a.x_stride[3];
    d.y_step = g_.columns;
    for (int64_t p = 0, column = 0; p < r_.layout.panels(); ++p, column += d.w_step) {
      d.w = r_.packed + r_.layout.offset(p);
      d.w_step = r_.layout.width(p);
      d.w_tap = q_.c * d.w_step;
      d.n = static_cast<int>(d.w_step);
      d.ahead = p == 0 && r_.plan.prefetch ? ahead_of_tile<float>(d.taps, size * d.a_step) : 0;
      const auto& kernels = r_.f.even[d.w_step > r_.f.lanes];
      float* to = y + column;
      d.y = &to;
      d.a_offset = from;
      d.tiles = larger;
      if (larger > 0) kernels[size + 1](d);
      d.a_offset += larger * (size + 1) * d.a_step;
      to += larger * (size + 1) * d.y_step;
      d.tiles = tiles - larger;
      kernels[size](d);
    }
  }

  const Col2imRun& r_;
  const Col2imGeometry& g_;
  const ConvProblem& q_;
  int64_t row_elems_;
  Arena arena_;
  float* products_;  // a ring of rows
  float* y_row_;
  int64_t* held_;                  // which row lies where
  ScratchVec<const float*, 8> x_;  // the input planes, and the taps that read them
  ScratchVec<int64_t, 8> ids_;
  float* y_ = nullptr;
  int64_t first_ = 0, last_ = 0;
};

}  // namespace

void run_col2im(const CpuPlan& plan, const ConvOperands& a, const void* packed) {
  const Col2imRun r(plan, a, packed);
  const ConvProblem& q = r.q;
  const int64_t down = ceil_div(q.out[1], r.cut.rows), across = ceil_div(r.geometry.chunks, r.cut.chunks);
  const int64_t tasks = q.batch * q.out[0] * down * across;
  const double flops =
      2.0 * static_cast<double>(q.batch * q.out[0] * q.in[1] * q.in[2]) * static_cast<double>(q.c * r.geometry.columns);
  parallel_for(tasks, grain_of(tasks, flops), [&](int64_t begin, int64_t end) {
    ColumnBlock block(r);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t column = task % across * r.cut.chunks, row = task / across % down * r.cut.rows;
      const int64_t plane = task / across / down;
      block.begin(plane / q.out[0], plane % q.out[0], column, std::min(r.geometry.chunks, column + r.cut.chunks));
      for (int64_t y = row; y < std::min(q.out[1], row + r.cut.rows); ++y) block.output_row(y);
    }
  });
}

}  // namespace nhwc
