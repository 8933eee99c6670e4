// csrc/kernels/conv_depthwise.cpp -- tiles x threads of the depthwise row kernels; knows no instruction set
// A task is a strip of columns over some output rows: going down the strip, the input rows of one output are still in
// L1 for the next.
#include <algorithm>

#include "base/thread_pool.h"
#include "kernels/arena.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

constexpr int kMaxColumns = 2 * (kMaxTilePixels - 1) + 7;  // input columns of a tile, by the largest row of the list
constexpr int64_t kMaxRows = 64;                           // kernel rows; more of them run on the pointer table
constexpr int64_t kEnoughTasks = 32;                       // strips are cut into fewer rows until there are as many

template <class T>
struct Rows {
  const ConvPlan& plan;
  const ConvProblem& q;
  const ConvOperands& a;
  const FloatKernels<T>& f;
  const DepthwiseRowKernels<T>& kernel;
  const T* packed;
  const T* zeros;
  int64_t w_step;
  Clamp<T> clamp;

  /// Outputs [w0, w0 + pixels) of row (n, d, h).
  void tile(int64_t n, int64_t d, int64_t h, int64_t w0, int pixels) const {
    const ConvProblem& p = q;
    const int columns = (f.depthwise_pixels - 1) * kernel.stride + kernel.columns;
    const T* table[kMaxRows * kMaxColumns];
    const T* weights[kMaxRows];
    const int64_t iw = w0 * p.stride[2] - p.pad[2];
    const bool inside = iw >= 0 && iw + columns <= p.in[2];
    DepthwiseRow<T> t;
    t.rows = 0;
    for (int64_t kd = 0; kd < p.kernel[0]; ++kd)
      for (int64_t kh = 0; kh < p.kernel[1]; ++kh) {
        const int64_t id = d * p.stride[0] + kd * p.dilation[0] - p.pad[0];
        const int64_t ih = h * p.stride[1] + kh * p.dilation[1] - p.pad[1];
        if (id < 0 || id >= p.in[0] || ih < 0 || ih >= p.in[1]) continue;
        const T* row = static_cast<const T*>(a.x) + n * a.x_stride[0] + id * a.x_stride[1] + ih * a.x_stride[2];
        weights[t.rows] = packed + (kd * p.kernel[1] + kh) * p.kernel[2] * w_step;
        if (inside)
          table[t.rows] = row + iw * a.x_stride[3];
        else
          for (int j = 0; j < columns; ++j)
            table[t.rows * columns + j] =
                static_cast<uint64_t>(iw + j) < static_cast<uint64_t>(p.in[2]) ? row + (iw + j) * a.x_stride[3] : zeros;
        ++t.rows;
      }
    t.x = table;
    t.w = weights;
    t.x_step = a.x_stride[3];
    t.w_step = w_step;
    t.n = t.y_step = p.groups;
    t.y = static_cast<T*>(a.y) + (((n * p.out[0] + d) * p.out[1] + h) * p.out[2] + w0) * p.groups;
    t.bias = p.has_bias ? static_cast<const T*>(a.bias) : nullptr;
    t.lo = clamp.lo;
    t.hi = clamp.hi;
    t.pixels = pixels;
    (inside ? kernel.inside : kernel.border)(t);
    if (clamp.pass) f.activate(t.y, t.y, pixels * p.groups, p.activation);
  }

  void run() const {
    const int64_t strips = (q.out[2] + f.depthwise_pixels - 1) / f.depthwise_pixels;
    const int64_t whole = q.batch * q.out[0] * strips;
    const int64_t task_rows = std::clamp<int64_t>(q.out[1] * whole / kEnoughTasks, 4, 16);
    const int64_t parts = (q.out[1] + task_rows - 1) / task_rows, tasks = whole * parts;
    const double flops = 2.0 * static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2]) *
                         static_cast<double>(q.groups * q.kernel[0] * q.kernel[1] * q.kernel[2]);
    // Depthwise is bound by memory: a flop takes about four times as long as in a GEMM.
    parallel_for(tasks, grain_of(tasks, 4 * flops), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t strip = i % strips, part = i / strips % parts, plane = i / strips / parts;
        const int64_t w0 = strip * f.depthwise_pixels;
        const int pixels = static_cast<int>(std::min<int64_t>(f.depthwise_pixels, q.out[2] - w0));
        for (int64_t h = part * task_rows; h < std::min(q.out[1], (part + 1) * task_rows); ++h)
          tile(plane / q.out[0], plane % q.out[0], h, w0, pixels);
      }
    });
  }
};

template <class T>
bool run_typed(const ConvPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  const FloatKernels<T>& f = float_kernels<T>(table_for(plan.isa).conv);
  const DepthwiseRowKernels<T>* found = nullptr;
  for (const DepthwiseRowKernels<T>& k : f.depthwise_rows)
    if (k.columns == q.kernel[2] && k.stride == q.stride[2]) found = &k;
  if (!found || q.dilation[2] != 1 || q.kernel[0] * q.kernel[1] > kMaxRows) return false;
  for (int x = 0; x < 3; ++x)
    if (q.in_dilation[x] != 1) return false;
  const Scratch zeros(static_cast<size_t>(q.groups) * sizeof(T));
  std::memset(zeros.as<T>(), 0, static_cast<size_t>(q.groups) * sizeof(T));
  Rows<T>{plan,
          q,
          a,
          f,
          *found,
          static_cast<const T*>(packed),
          zeros.as<T>(),
          PackedLayout(plan).nr,
          clamp_of<T>(q.activation)}
      .run();
  return true;
}

}  // namespace

bool run_depthwise_rows(const ConvPlan& plan, const ConvOperands& a, const void* packed) {
  return plan.problem.dtype == Dtype::float32 && run_typed<float>(plan, a, packed);
}

}  // namespace nhwc
