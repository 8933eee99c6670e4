// csrc/kernels/conv_slabs.cpp -- half types: runs the float32 plan of a slab, slab after slab
#include <algorithm>

#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_fft.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

constexpr int64_t kConverted = 1 << 14;  // values that a thread converts at a time, at least

/// The tiles of the last slab of an axis, which may have fewer outputs than the plan is for.
void fit_winograd(CpuPlan& part) {
  winograd_geometry(part.problem, part.winograd.points, part.winograd);
  const int64_t pieces = std::max<int64_t>(1, ceil_div(part.winograd.tiles(part.problem), part.mr));
  for (WinogradCut& cut : part.winograd_cut) cut.blocks = std::min(cut.blocks, pieces);
}

class SlabRun {
 public:
  SlabRun(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end)
      : plan_(plan), q_(plan.problem), a_(a), packed_(packed), begin_(begin), end_(end), k_(table_for(plan.isa).conv) {
    for (int x = 0; x < 3; ++x) parts_[x] = ceil_div(q_.out[x], plan.slabs.out[x]);
    const bool all = plan.algorithm == ConvAlgorithm::fft;
    channels_[0] = all ? 0 : first_channel(begin);
    channels_[1] = all ? q_.groups * q_.o : first_channel(end);
  }
  int64_t size() const { return ceil_div(q_.batch, plan_.slabs.images) * parts_[0] * parts_[1] * parts_[2]; }

  /// Slab i in scratch of inputs() and outputs() values.
  void run(int64_t i, float* x, float* y, const float* bias) const {
    int64_t begin[3];
    for (int axis = 2; axis >= 0; --axis) {
      begin[axis] = i % parts_[axis] * plan_.slabs.out[axis];
      i /= parts_[axis];
    }
    const int64_t n = i * plan_.slabs.images, images = std::min(plan_.slabs.images, q_.batch - n);
    SlabAxis axes[3];
    CpuPlan part = plan_;
    part.slabs = {};
    part.prefetch = false;
    SlabCut cut = plan_.slabs;
    cut.images = images;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t phases = std::min(cut.out[axis], q_.in_dilation[axis]);  // all of them, as weights are packed
      cut.out[axis] = std::clamp(q_.out[axis] - begin[axis], phases, cut.out[axis]);
    }
    part.problem = slab_problem(q_, cut, begin, axes);
    if (is_winograd(plan_.algorithm)) fit_winograd(part);
    ConvOperands a;
    int64_t step = q_.groups * q_.c;
    for (int axis = 2; axis >= 0; --axis) {
      a.x_stride[axis + 1] = step;
      step *= axes[axis].count;
    }
    a.x_stride[0] = step;
    widen_inputs(n, images, axes, x);
    a.x = x;
    a.y = y;
    a.w = a_.w;
    a.weights_dtype = a_.weights_dtype;
    a.bias = bias;
    if (plan_.algorithm == ConvAlgorithm::fft) {
      a.packed = packed_;
      run_fft(part, a);
    } else {
      if (begin_ > 0) fill_unreached(part, a);
      run_forward(part, a, packed_, begin_, end_);
    }
    narrow_outputs(n, cut, begin, y);
  }
  int64_t inputs() const { return slab_inputs(q_, plan_.slabs); }
  int64_t outputs() const { return slab_outputs(q_, plan_.slabs); }

 private:
  /// The first output channel of a panel; of the one behind the last, all channels.
  int64_t first_channel(int64_t panel) const {
    const PackedLayout layout(plan_);
    const int64_t groups = panel_groups(plan_);
    if (panel == layout.panels()) return q_.groups * q_.o;
    return panel / layout.per_group * (q_.groups * q_.o / layout.q_groups) +
           panel % layout.per_group * (groups > 1 ? groups * q_.o : layout.nr);
  }

  /// Calls f(row, length) for rows of inputs or outputs that lie together, in parallel.
  template <class F>
  void for_rows(int64_t rows, int64_t row, const F& f) const {
    parallel_for(rows, std::max<int64_t>(1, kConverted / std::max<int64_t>(row, 1)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(i);
    });
  }

  void widen_inputs(int64_t n, int64_t images, const SlabAxis (&axes)[3], float* to) const {
    const int64_t pixel = q_.groups * q_.c, columns = axes[2].count, step = axes[2].step * a_.x_stride[3];
    const bool together = step == pixel;
    const auto* x = static_cast<const AnyHalf*>(a_.x) + n * a_.x_stride[0];
    for (int axis = 0; axis < 3; ++axis) x += axes[axis].first * a_.x_stride[axis + 1];
    for_rows(images * axes[0].count * axes[1].count, columns * pixel, [&](int64_t i) {
      const int64_t h = i % axes[1].count, d = i / axes[1].count % axes[0].count,
                    image = i / axes[1].count / axes[0].count;
      const AnyHalf* from =
          x + image * a_.x_stride[0] + d * axes[0].step * a_.x_stride[1] + h * axes[1].step * a_.x_stride[2];
      float* row = to + i * columns * pixel;
      if (together) return widen(k_, q_.dtype, from, row, columns * pixel);
      for (int64_t j = 0; j < columns; ++j) widen(k_, q_.dtype, from + j * step, row + j * pixel, pixel);
    });
  }

  void narrow_outputs(int64_t n, const SlabCut& cut, const int64_t (&begin)[3], const float* from) const {
    const int64_t pixel = q_.groups * q_.o, *size = cut.out;
    int64_t count[3];
    for (int axis = 0; axis < 3; ++axis) count[axis] = std::min(size[axis], q_.out[axis] - begin[axis]);
    const int64_t channels = channels_[1] - channels_[0];
    for_rows(cut.images * count[0] * count[1], count[2] * channels, [&](int64_t i) {
      const int64_t h = i % count[1], d = i / count[1] % count[0], image = i / count[1] / count[0];
      const float* row = from + ((image * size[0] + d) * size[1] + h) * size[2] * pixel + channels_[0];
      AnyHalf* y =
          static_cast<AnyHalf*>(a_.y) + channels_[0] +
          ((((n + image) * q_.out[0] + begin[0] + d) * q_.out[1] + begin[1] + h) * q_.out[2] + begin[2]) * pixel;
      if (channels == pixel) return narrow(k_, q_.dtype, row, y, count[2] * pixel);
      for (int64_t j = 0; j < count[2]; ++j) narrow(k_, q_.dtype, row + j * pixel, y + j * pixel, channels);
    });
  }

  const CpuPlan& plan_;
  const ConvProblem& q_;
  const ConvOperands& a_;
  const void* packed_;
  int64_t begin_, end_;
  const ConvKernels& k_;
  int64_t parts_[3], channels_[2];
};

}  // namespace

void run_slabs(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end) {
  const ConvProblem& q = plan.problem;
  ConvOperands operands = a;
  operands.weights_dtype = q.dtype;
  const bool fft = plan.algorithm == ConvAlgorithm::fft;  // which reads the weights itself
  const Scratch weights(fft ? widened_weight_bytes(plan) : 0);
  if (fft) {
    operands.w = widen_weights(plan, a.w, weights.as<float>());
    operands.weights_dtype = {};
  }
  const SlabRun run(plan, operands, packed, begin, end);
  const int64_t n_bias = q.has_bias ? q.groups * q.o / q.fold : 0;
  const Scratch bias(static_cast<size_t>(n_bias) * sizeof(float));
  widen(table_for(plan.isa).conv, q.dtype, static_cast<const AnyHalf*>(a.bias), bias.as<float>(), n_bias);
  const int64_t threads = num_threads();
  const auto slabs = [&](int64_t first, int64_t last) {
    Arena arena(static_cast<size_t>(run.inputs() + run.outputs() + 32) * sizeof(float));
    float *x = arena.take<float>(run.inputs()), *y = arena.take<float>(run.outputs());
    for (int64_t i = first; i < last; ++i) run.run(i, x, y, bias.as<float>());
  };
  // Few slabs are shared by all threads, one after the other.
  if (threads > 1 && run.size() < 4 * threads) return slabs(0, run.size());
  parallel_for(run.size(), ceil_div(run.size(), 8 * threads), slabs);
}

}  // namespace nhwc
