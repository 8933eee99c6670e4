// csrc/kernels/conv_depthwise_walk.cpp -- strips x threads of the 3x3 depthwise kernel that goes down its strip
// Under a dilation the rows and columns of a strip are those of one residue, which read the same inputs.
#include <algorithm>
#include <tuple>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

constexpr int64_t kEnoughTasks = 16;  // strips are cut into channels, then rows, until there are as many
constexpr int64_t kLeastRows = 14;    // two rows more are read
constexpr int64_t kMostRows = 32;  // of them and of the vectors of a slice, so that inputs are still in L2 for the next
constexpr int64_t kSliceVectors = 8;

/// Outputs of one residue along an axis: first + dilation * j for j < count.
struct Residue {
  int64_t first, count;
};
Residue residue_of(const ConvProblem& q, int axis, int64_t r) {
  return {r, (q.out[axis] - r + q.dilation[axis] - 1) / q.dilation[axis]};
}
/// The inputs [first, second) that exist, of those at + dilation * i.
std::pair<int64_t, int64_t> inside(const ConvProblem& q, int axis, int64_t at) {
  const int64_t step = q.dilation[axis];
  return {at >= 0 ? 0 : (-at + step - 1) / step, at >= q.in[axis] ? 0 : (q.in[axis] - at + step - 1) / step};
}

/// What all tasks share.
struct WalkRun {
  const ConvProblem& q;
  const ConvOperands& a;
  const FloatKernels<float>& f;
  const float* packed;
  int64_t w_step;
  const float* bias;
  Epilogue<float> end;
  bool prefetch, stream;
  void (*walk)(const DepthwiseWalk&, int64_t begin, int64_t end);

  /// Outputs [j0, j1) of row residue rh by tile `strip` of column residue rw, channels [c0, c1) of plane (n, d).
  void run(int64_t n, int64_t d, int64_t rh, int64_t rw, int64_t j0, int64_t j1, int64_t strip, int64_t c0,
           int64_t c1) const {
    const Residue row = residue_of(q, 1, rh), column = residue_of(q, 2, rw);
    const int64_t first = strip * kWalkPixels;
    j1 = std::min(j1, row.count);
    if (j0 >= j1 || first >= column.count) return;
    const int64_t h = row.first + j0 * q.dilation[1], w = column.first + first * q.dilation[2];
    const int64_t ih = h - q.pad[1], iw = w - q.pad[2];
    const int64_t* stride = a.x_stride;
    const int64_t id = d * q.stride[0] - q.pad[0];
    const auto [k0, k1] = inside(q, 0, id);
    DepthwiseWalk t;
    const int64_t element = static_cast<int64_t>(size_of(q.dtype));
    t.x = static_cast<const char*>(a.x) +
          (n * stride[0] + (id + k0 * q.dilation[0]) * stride[1] + ih * stride[2] + iw * stride[3]) * element;
    t.x_slice = q.dilation[0] * stride[1];
    t.slices = std::max<int64_t>(0, std::min(k1, q.kernel[0]) - k0);
    t.x_step = q.dilation[2] * stride[3];
    t.ahead = prefetch ? f.lanes : 0;  // the next vector, which goes the same way
    t.x_row = q.dilation[1] * stride[2];
    std::tie(t.top, t.bottom) = inside(q, 1, ih);
    const auto [lo, hi] = inside(q, 2, iw);
    t.first = static_cast<int>(std::min<int64_t>(lo, kWalkPixels + 2));
    t.last = static_cast<int>(std::min<int64_t>(hi, kWalkPixels + 2));
    t.pixels = static_cast<int>(std::min<int64_t>(column.count - first, kWalkPixels));
    t.w = packed + k0 * 9 * w_step;
    t.w_step = w_step;
    t.y = static_cast<char*>(a.y) + (((n * q.out[0] + d) * q.out[1] + h) * q.out[2] + w) * q.groups * element;
    t.y_step = q.dilation[2] * q.groups;
    t.y_row = q.dilation[1] * q.out[2] * q.groups;
    t.rows = j1 - j0;
    t.bias = bias;
    t.lo = end.lo;
    t.hi = end.hi;
    t.stream = stream;
    walk(t, c0, c1);
    if (!end.pass) return;
    for (int64_t i = 0; i < t.rows; ++i)
      for (int p = 0; p < t.pixels; ++p)
        end.finish(f, static_cast<float*>(t.y) + i * t.y_row + p * t.y_step + c0, c1 - c0);
  }
};

int type_of(const ConvProblem& q) { return q.dtype == Dtype::float16 ? 1 : q.dtype == Dtype::bfloat16 ? 2 : 0; }

/// Whether it computes the problem, and sooner than the row kernels. Pixels that fall into one or two sets of L1 take
/// it twice the time (14x14x512: 32 us against 26, 14x14x528: 12 against 22), those kernels less; but of few outputs,
/// as residues have, their tiles are mostly border (33x33x256, dilation 12: 68 us against 112).
bool can_walk(const ConvProblem& q, const ConvOperands& a, const FloatKernels<float>& f, bool passes) {
  for (int i = 1; i < 3; ++i)
    if (q.kernel[i] != 3 || q.stride[i] != 1) return false;
  if (!f.depthwise_walk[type_of(q)] || q.dtype == Dtype::float64 || (passes && is_half(q.dtype)) ||
      q.groups < f.lanes || q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] != 1)
    return false;
  if (residue_of(q, 1, 0).count < 3) return false;  // every input row is multiplied for three rows of outputs
  const bool alias = q.dilation[2] * a.x_stride[3] * int64_t(size_of(q.dtype)) % (kAliasBytes / 2) == 0;
  return !alias || (q.dilation[2] > 1 && residue_of(q, 2, 0).count < 2 * kWalkPixels);
}

}  // namespace

bool run_depthwise_walk(const CpuPlan& plan, const ConvOperands& a, const void* packed) {
  const ConvProblem& q = plan.problem;
  const ConvKernels& k = table_for(plan.isa).conv;
  const FloatKernels<float>& f = k.f32;
  const Epilogue<float> end(q.activation, a.residual_from_y, false);
  if (plan.row_order || !can_walk(q, a, f, end.pass)) return false;
  const bool half = is_half(q.dtype);
  const Scratch wide(half && q.has_bias ? static_cast<size_t>(q.groups) * sizeof(float) : 0);
  const float* bias = !q.has_bias ? nullptr : half ? wide.as<float>() : static_cast<const float*>(a.bias);
  if (half && q.has_bias) widen(k, q.dtype, static_cast<const AnyHalf*>(a.bias), wide.as<float>(), q.groups);
  const WalkRun run{q,
                    a,
                    f,
                    static_cast<const float*>(packed),
                    PackedLayout(plan).nr,
                    bias,
                    end,
                    plan.prefetch,
                    plan.stream && streamable(a, end),
                    f.depthwise_walk[type_of(q)]};
  const int64_t row_residues = std::min(q.dilation[1], q.out[1]), column_residues = std::min(q.dilation[2], q.out[2]);
  const int64_t rows = residue_of(q, 1, 0).count;
  const int64_t strips = (residue_of(q, 2, 0).count + kWalkPixels - 1) / kWalkPixels;
  const int64_t vectors = (q.groups + f.lanes - 1) / f.lanes;
  const int64_t across = q.batch * q.out[0] * row_residues * column_residues * strips;
  const int64_t slices = (vectors + kSliceVectors - 1) / kSliceVectors;
  const int64_t row_parts =
      std::clamp<int64_t>(std::max(kEnoughTasks / (across * slices), (rows + kMostRows - 1) / kMostRows), 1,
                          std::max<int64_t>(1, rows / kLeastRows));
  const int64_t tasks = across * slices * row_parts;
  const double flops = 18.0 * static_cast<double>(q.batch * q.out[0] * q.out[1] * q.out[2] * q.kernel[0]) *
                       static_cast<double>(q.groups);
  parallel_for(tasks, grain_of(tasks, 4 * flops), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t i = task;
      const auto next = [&](int64_t n) {
        const int64_t rest = i % n;
        i /= n;
        return rest;
      };
      const int64_t strip = next(strips), rw = next(column_residues), part = next(row_parts), rh = next(row_residues);
      const int64_t slice = next(slices);
      run.run(i / q.out[0], i % q.out[0], rh, rw, rows * part / row_parts, rows * (part + 1) / row_parts, strip,
              vectors * slice / slices * f.lanes, std::min(q.groups, vectors * (slice + 1) / slices * f.lanes));
    }
    if (run.stream) f.end_streams();
  });
  return true;
}

}  // namespace nhwc
