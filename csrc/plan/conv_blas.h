// csrc/plan/conv_blas.h -- implicit GEMM by the system's matrix product: its tiles; pure
// A tile is so many outputs. Their inputs of some kernel rows are gathered side by side, as a matrix that stays in L2,
// which the product reads; a convolution of single pixels is read in place.
#pragma once

#include "plan/conv_problem.h"

namespace nhwc {

struct BlasCut {
  int64_t rows = 0;     // outputs of a tile
  int64_t panel = 0;    // output channels of a product
  int64_t at_once = 0;  // kernel rows that are gathered together
};
/// Sums of more than `kMaxBlasRun` terms go in pieces, cut between kernel rows.
inline constexpr int64_t kMaxBlasRun = 4096;
BlasCut blas_cut(const ConvProblem& q, int lanes, size_t l2);
struct CpuPlan;
void cut_blas(CpuPlan& plan, size_t l2);
/// Scratch of a task.
size_t blas_scratch_bytes(const ConvProblem& q, const BlasCut& cut);

}  // namespace nhwc
