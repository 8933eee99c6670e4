// csrc/kernels/conv_diagonal.cpp -- the loop nest of small groups by diagonals; knows no instruction set
// A task takes rows of outputs of one image and some panels, each a vector of groups. Rows of the input come into a
// ring, one place for each kernel row, and stay there, without a dilation, for the next rows of outputs that read them.
#include "kernels/conv_diagonal.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_types.h"
#include "kernels/table.h"

namespace nhwc {
namespace {

class DiagonalRun {
 public:
  DiagonalRun(const CpuPlan& plan, const ConvOperands& a, const float* packed, int64_t begin, int64_t end)
      : q_(plan.problem),
        a_(a),
        cut_(plan.diagonal),
        k_(table_for(plan.isa).conv),
        lanes_(plan.lanes),
        first_panel_(begin),
        panels_(end - begin),
        packed_(packed),
        end_(q_.activation, a.residual_from_y, true),
        prefetch_(plan.prefetch) {
    channels_ = q_.groups * q_.o;
    w_panel_ = diagonal_rows_kept(q_) * q_.kernel[2] * q_.c * lanes_;
    blocks_ = ceil_div(q_.out[2], cut_.columns);
    // No sum knows of how rows are shared out, so it may follow the number of threads.
    lines_ = q_.out[0] * q_.out[1];
    panel_parts_ = ceil_div(panels_, cut_.panels);
    const int64_t wanted = num_threads() == 1 ? 1 : 4 * num_threads(), have = q_.batch * blocks_ * panel_parts_;
    line_parts_ = std::clamp<int64_t>(ceil_div(wanted, have), 1, std::max<int64_t>(1, lines_ / 4));
    if (have * line_parts_ < wanted)
      panel_parts_ = std::min(panels_, ceil_div(wanted, q_.batch * blocks_ * line_parts_));
  }

  void run() {
    const int64_t tasks = q_.batch * blocks_ * line_parts_ * panel_parts_;
    const double flops =
        2.0 * static_cast<double>(q_.batch * lines_ * q_.out[2] * panels_) * static_cast<double>(w_panel_);
    parallel_for(tasks, grain_of(tasks, flops), [&](int64_t begin, int64_t end) {
      Worker worker(*this);
      for (int64_t i = begin; i < end; ++i) worker.run(i);
    });
  }

 private:
  int64_t most_panels() const { return ceil_div(panels_, panel_parts_); }
  /// From the row of one panel to that of the next, in the ring; of one kernel row; not in the same sets of L1.
  int64_t panel_elems() const { return cut_.pixels * lanes_; }
  int64_t row_elems() const { return most_panels() * panel_elems() + lanes_; }

  class Worker {
   public:
    explicit Worker(const DiagonalRun& r)
        : r_(r),
          arena_(static_cast<size_t>(diagonal_rows_kept(r.q_)) *
                     (static_cast<size_t>(r.row_elems()) * sizeof(float) + 3 * sizeof(int64_t)) +
                 5 * kAlignment) {
      const int64_t rows = diagonal_rows_kept(r_.q_);
      ring_ = arena_.take<float>(rows * r_.row_elems());
      held_ = arena_.take<int64_t>(rows);
      ids_ = arena_.take<int64_t>(rows);
      at_ = arena_.take<const float*>(rows);
    }

    void run(int64_t task) {
      const ConvProblem& q = r_.q_;
      const int64_t part = task % r_.panel_parts_, lines = task / r_.panel_parts_ % r_.line_parts_,
                    block = task / r_.panel_parts_ / r_.line_parts_ % r_.blocks_;
      n_ = task / r_.panel_parts_ / r_.line_parts_ / r_.blocks_;
      begin_ = r_.panels_ * part / r_.panel_parts_;
      end_ = r_.panels_ * (part + 1) / r_.panel_parts_;
      if (begin_ == end_) return;
      column_ = block * r_.cut_.columns;
      columns_ = std::min(r_.cut_.columns, q.out[2] - column_);
      const int64_t rows = diagonal_rows_kept(q), first = column_ * q.stride[2] - q.pad[2];
      inside_begin_ = std::clamp<int64_t>(-first, 0, r_.cut_.pixels);
      inside_end_ = std::clamp<int64_t>(q.in[2] - first, inside_begin_, r_.cut_.pixels);
      first_ = first;
      std::fill(held_, held_ + rows, int64_t(-1));
      std::memset(ring_, 0, static_cast<size_t>(rows * r_.row_elems()) * sizeof(float));  // the padding
      for (int64_t i = r_.lines_ * lines / r_.line_parts_; i < r_.lines_ * (lines + 1) / r_.line_parts_; ++i)
        run_row(i / q.out[1], i % q.out[1]);
    }

   private:
    /// Where the row (depth, row) of the input lies for tap (kd, kh).
    int64_t place(int64_t kd, int64_t kh, int64_t row) const {
      const ConvProblem& q = r_.q_;
      return kd * q.kernel[1] + (q.dilation[1] == 1 ? row % q.kernel[1] : kh);
    }

    void run_row(int64_t od, int64_t oh) {
      const ConvProblem& q = r_.q_;
      int64_t n = 0;
      for (int64_t kd = 0; kd < q.kernel[0]; ++kd) {
        const int64_t d = od * q.stride[0] - q.pad[0] + kd * q.dilation[0];
        if (d < 0 || d >= q.in[0]) continue;
        for (int64_t kh = 0; kh < q.kernel[1]; ++kh) {
          const int64_t h = oh * q.stride[1] - q.pad[1] + kh * q.dilation[1];
          if (h < 0 || h >= q.in[1]) continue;
          const int64_t to = place(kd, kh, h), id = d * q.in[1] + h;
          if (held_[to] != id) copy(d, h, ring_ + to * r_.row_elems());
          held_[to] = id;
          at_[n] = ring_ + to * r_.row_elems();
          ids_[n++] = kd * q.kernel[1] + kh;
        }
      }
      multiply(od, oh, n);
    }

    /// The rows that the next row of outputs is the first to read, where all of them is read: their first value, and
    /// how many.
    std::pair<const float*, int64_t> next_rows(int64_t od, int64_t oh) const {
      const ConvProblem& q = r_.q_;
      const int64_t (&stride)[4] = r_.a_.x_stride;
      if (!r_.prefetch_ || r_.blocks_ * r_.panel_parts_ > 1 || q.kernel[0] * q.dilation[1] != 1) return {nullptr, 0};
      const int64_t d = od * q.stride[0] - q.pad[0], top = oh * q.stride[1] - q.pad[1];
      const int64_t begin = std::max<int64_t>(top + std::max(q.stride[1], q.kernel[1]), 0),
                    end = std::min(top + q.stride[1] + q.kernel[1], q.in[1]);
      if (oh + 1 == q.out[1] || d < 0 || d >= q.in[0] || begin >= end) return {nullptr, 0};
      const float* x = static_cast<const float*>(r_.a_.x) + n_ * stride[0] + d * stride[1] + begin * stride[2];
      return {x, (end - begin - 1) * stride[2] + q.in[2] * stride[3]};
    }

    void copy(int64_t d, int64_t h, float* to) {
      const ConvProblem& q = r_.q_;
      const int64_t (&stride)[4] = r_.a_.x_stride;
      const int64_t n = r_.cut_.groups * q.c, first = (r_.first_panel_ + begin_) * n;
      const int64_t vectors = end_ - begin_, last = std::min(n, r_.channels_ - first - (vectors - 1) * n);
      const float* x = static_cast<const float*>(r_.a_.x) + n_ * stride[0] + d * stride[1] + h * stride[2] +
                       (first_ + inside_begin_) * stride[3] + first;
      r_.k_.diagonal.copy({x, stride[3], inside_end_ - inside_begin_, vectors, n, static_cast<int>(last),
                           to + inside_begin_ * r_.lanes_, r_.panel_elems()});
    }

    void multiply(int64_t od, int64_t oh, int64_t n_rows) {
      const ConvProblem& q = r_.q_;
      DiagonalRow t;
      t.rows = at_;
      t.ids = ids_;
      t.n_rows = n_rows;
      t.columns = q.kernel[2];
      t.x_tap = q.dilation[2] * r_.lanes_;
      t.x_step = q.stride[2] * r_.lanes_;
      t.w_row = q.kernel[2] * q.c * r_.lanes_;
      t.c = q.c;
      t.y_step = r_.channels_;
      t.pixels = columns_;
      t.lo = r_.end_.lo;
      t.hi = r_.end_.hi;
      t.residual = r_.end_.residual;
      // What is asked for is shared out evenly among the taps of all panels: many requests at once wait for each other.
      const auto [ahead, values] = next_rows(od, oh);
      const int64_t asks = ceil_div(columns_, r_.cut_.mr) * n_rows * q.kernel[2] * (q.c > 4 ? 2 : 1);  // of a panel
      t.ahead_step = values > 0 && asks > 0 ? ceil_div(values, (end_ - begin_) * asks) : 0;
      const int64_t n = r_.cut_.groups * q.c;
      float* y =
          static_cast<float*>(r_.a_.y) + (((n_ * q.out[0] + od) * q.out[1] + oh) * q.out[2] + column_) * r_.channels_;
      for (int64_t p = begin_; p < end_; ++p) {
        const int64_t channel = (r_.first_panel_ + p) * n;
        t.w = r_.packed_ + p * r_.w_panel_;
        t.ahead = t.ahead_step > 0 ? ahead + (p - begin_) * asks * t.ahead_step : r_.packed_;
        t.y = y + channel;
        t.n = static_cast<int>(std::min(n, r_.channels_ - channel));
        t.bias = q.has_bias ? static_cast<const float*>(r_.a_.bias) + channel : nullptr;
        r_.k_.diagonal.row[r_.cut_.mr](t);
        for (int64_t i = 0; i < n_rows; ++i) at_[i] += r_.panel_elems();
        if (r_.end_.pass)
          for (int64_t i = 0; i < t.pixels; ++i) r_.end_.finish(r_.k_.f32, t.y + i * t.y_step, t.n);
      }
    }

    const DiagonalRun& r_;
    Arena arena_;
    float* ring_;
    int64_t *held_, *ids_;  // held: the row of the input that a place holds
    const float** at_;
    int64_t n_ = 0, begin_ = 0, end_ = 0, column_ = 0, columns_ = 0;
    int64_t first_ = 0, inside_begin_ = 0, inside_end_ = 0;  // of the pixels of a row in the ring: which the input has
  };

  const ConvProblem& q_;
  const ConvOperands& a_;
  const DiagonalCut& cut_;
  const ConvKernels& k_;
  int64_t lanes_, first_panel_, panels_;
  const float* packed_;
  Epilogue<float> end_;
  bool prefetch_;
  int64_t channels_, w_panel_, blocks_, lines_, line_parts_, panel_parts_;
};

}  // namespace

void run_diagonal(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  DiagonalRun(plan, a, static_cast<const float*>(packed), begin, end).run();
}

}  // namespace nhwc
