// csrc/backend/metal/matmul.cpp -- Matmul on the GPU: batches of matrix products, operands read by their strides
#include <algorithm>

#include "backend/metal/conv_run.h"
#include "backend/metal/launch.h"
#include "backend/metal/run.h"
#include "backend/views.h"
#include "base/divide.h"
#include "params/conv.h"
#include "params/matmul.h"
#include "plan/metal_plan.h"

namespace nhwc::metal {
namespace {

struct Matrix {
  Reach reach;
  int64_t row, column;
  Strides batch;
  explicit Matrix(const Node& x)
      : reach(reach_of(x)),
        row(x.strides[x.strides.size() - 2]),
        column(x.strides.back()),
        batch(x.strides.begin(), x.strides.end() - 2) {}

  /// Whether a thread may load `vector` elements that follow each other along columns, else rows.
  bool aligned(int vector, bool along_columns, int64_t rows, int64_t columns, size_t item) const {
    const auto address = reinterpret_cast<uintptr_t>(reach.low) + static_cast<uintptr_t>(reach.first) * item;
    return (along_columns ? column : row) == 1 && (along_columns ? columns : rows) % vector == 0 &&
           (along_columns ? row : column) % vector == 0 && address % (static_cast<size_t>(vector) * item) == 0 &&
           std::all_of(batch.begin(), batch.end(), [vector](int64_t s) { return s % vector == 0; });
  }
};

MatmulOperand operand(const Matrix& x, const Strides& batch, size_t inner) {
  MatmulOperand o{x.reach.first, x.row, x.column, {}};
  for (size_t i = 0; i < inner; ++i) o.batch[kMatmulAxes - inner + i] = batch[batch.size() - inner + i];
  return o;
}

}  // namespace

void run(const Matmul&, Node& n) {
  const Node& x = *n.inputs[0].node();
  allocate_output(n);
  if (size_of(n.shape) == 0) return;
  if (x.shape.back() == 0) return sum_parts(nullptr, 0, n);
  const Matrix a(x), b(*n.inputs[1].node());
  const int64_t m = n.shape[n.shape.size() - 2], columns = n.shape.back(), k = x.shape.back();
  const size_t item = size_of(n.dtype);
  const Loop l = collapse(Shape(n.shape.begin(), n.shape.end() - 2), {&a.batch, &b.batch});
  const size_t axes = l.shape.size(), inner = std::min<size_t>(axes, kMatmulAxes);
  MatmulParams p{};
  p.m = m, p.n = columns, p.k = k;
  p.a = operand(a, l.strides[0], inner), p.b = operand(b, l.strides[1], inner);
  std::fill(p.batch, p.batch + kMatmulAxes, 1);
  int64_t products = 1, outer = 1;
  for (size_t i = 0; i < axes; ++i) (i + inner < axes ? outer : products) *= l.shape[i];
  for (size_t i = 0; i < inner; ++i) p.batch[kMatmulAxes - inner + i] = static_cast<int32_t>(l.shape[axes - inner + i]);

  const MetalPlan plan = plan_metal_matmul(m, columns, k, products * outer, n.dtype, facts_now());
  p.splits = static_cast<int32_t>(plan.splits);
  p.split_steps = static_cast<int32_t>(plan.split_steps);
  p.partial_stride = size_of(n.shape);
  const bool a_by_k = a.row == 1 && a.column != 1, b_by_k = b.column == 1 || b.row != 1;
  const bool vectors = a.aligned(plan.vector, !a_by_k, m, k, item) && b.aligned(plan.vector, b_by_k, k, columns, item);
  const std::string kernel = std::string("matmul_") + short_name(n.dtype) + "_" + tile_name(plan.tile) +
                             (vectors ? "_v4_" : "_v1_") + (a_by_k ? "t" : "n") + (b_by_k ? "n" : "t");
  float* sums = scratch_of(plan);
  for (int64_t i = 0; i < outer; ++i) {
    int64_t rest = i;
    p.a.first = a.reach.first, p.b.first = b.reach.first;
    for (size_t axis = axes - inner; axis-- > 0; rest /= l.shape[axis]) {
      p.a.first += rest % l.shape[axis] * l.strides[0][axis];
      p.b.first += rest % l.shape[axis] * l.strides[1][axis];
    }
    p.y_first = i * products * m * columns;
    Launch launch("matmul", kernel);
    launch.in(a.reach.low, a.reach.bytes).in(b.reach.low, b.reach.bytes).out(n);
    bind_sums(launch, sums, plan).params(p);
    launch.constant(kHasBias, false).constant(kHasResidual, false).constant(kActivation, 0);
    launch.run(blocks(columns, plan.tile.bn), blocks(m, plan.tile.bm), static_cast<uint32_t>(products * plan.splits),
               static_cast<uint32_t>(plan.tile.threads()));
  }
  if (sums) sum_parts(sums, plan.splits, n);
}

}  // namespace nhwc::metal
