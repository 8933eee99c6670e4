// csrc/plan/conv_blas.cpp -- when the system's matrix product computes a convolution, in what tiles, and how long it
// takes; pure
#include "plan/conv_blas.h"

#include <algorithm>
#include <cmath>

#include "base/divide.h"
#include "plan/conv_cost.h"

namespace nhwc {

BlasCut blas_cut(const ConvProblem& q, int lanes, size_t l2) {
  constexpr int64_t kMostRows = 512, kLeastRows = 32, kMostOutputs = 512;
  const int64_t kernel_rows = q.kernel[0] * q.kernel[1], run = std::max<int64_t>(1, q.kernel[2] * q.c);
  BlasCut cut;
  cut.at_once = std::clamp<int64_t>(kMaxBlasRun / run, 1, std::max<int64_t>(1, kernel_rows));
  cut.rows = std::clamp(static_cast<int64_t>(l2 / 2 / sizeof(float)) / (cut.at_once * run), kLeastRows, kMostRows);
  const int64_t panels = ceil_div(q.o, kMostOutputs);
  cut.panel = round_up(ceil_div(q.o, std::max<int64_t>(1, panels)), lanes);
  return cut;
}

size_t blas_scratch_bytes(const ConvProblem& q, const BlasCut& cut) {
  return static_cast<size_t>(cut.rows * cut.at_once * q.kernel[2] * q.c) * sizeof(float) + 64;
}

void cut_blas(CpuPlan& plan, size_t l2) {
  plan.blas = blas_cut(plan.problem, plan.lanes, l2);
  plan.mr = static_cast<int>(plan.blas.rows);
  plan.nr = static_cast<int>(plan.blas.panel);
  plan.workspace_bytes = blas_scratch_bytes(plan.problem, plan.blas);
}

namespace cost {

const char* can_blas(const ConvProblem& q, const Sizes& s) {
  if (!s.blas) return "no BLAS that reaches a matrix unit";
  if (q.dtype != Dtype::float32) return "not float32";
  if (s.tile.isa == Isa::baseline) return "this instruction set has no kernel for what follows the product";
  if (q.groups != 1) return "has groups";
  for (int a = 0; a < 3; ++a)
    if (q.in_dilation[a] != 1) return "the input is dilated";
  if (q.kernel[2] * q.c > kMaxBlasRun) return "the sums are too long";
  return sums_nothing(q) ? "nothing is summed" : nullptr;
}

/// The products by the unit's rate, which is for 32 outputs at a time; a microsecond a call, of which every tile and
/// panel has one; gathered inputs are read and written once, and the outputs passed over once more. Estimates: nothing
/// of it was measured.
double blas_cycles(const ConvProblem& q, const Sizes& s) {
  const BlasCut cut = blas_cut(q, s.lanes, s.l2);
  const double c = static_cast<double>(q.c), o = static_cast<double>(q.o);
  const double wide = static_cast<double>(round_up(q.o, 32));
  const double rate = s.machine->matrix > 0 ? s.machine->matrix : 2.0 * s.lanes / s.product;
  const double tiles = std::ceil(s.outputs / static_cast<double>(cut.rows));
  const double calls = static_cast<double>(ceil_div(q.o, cut.panel)) *
                       std::ceil(static_cast<double>(q.kernel[0] * q.kernel[1]) / static_cast<double>(cut.at_once));
  const double gathered = s.kernel == 1 ? 0 : s.outputs * s.taps * (c * 0.6 / s.lanes + 1);
  return s.outputs * s.taps * c * wide / rate + tiles * calls * 3000 + gathered + s.outputs * (o / s.lanes + 2);
}

}  // namespace cost
}  // namespace nhwc
