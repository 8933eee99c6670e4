// csrc/plan/conv_diagonal.h -- small groups with as many outputs as inputs: several to a vector; pure
// Rows of the input are copied vector by vector of groups, with their padding, so that all pixels of a row of outputs
// lie at one step from each other. A row is copied once for all rows of outputs that follow each other and read it.
#pragma once

#include "plan/conv_problem.h"
#include "plan/conv_tiles.h"

namespace nhwc {

/// How a task goes about its outputs.
struct DiagonalCut {
  int64_t groups = 0;   // of a vector
  int64_t panels = 0;   // vectors whose rows are kept at a time
  int64_t columns = 0;  // outputs of a row
  int64_t pixels = 0;   // that they read, and that the last tile would if it were whole
  int mr = 0;           // outputs of a tile
};
DiagonalCut diagonal_cut(const ConvProblem& q, Isa isa, int lanes, size_t l1d, size_t l2);

/// Scratch of a task, at most.
size_t diagonal_scratch_bytes(const ConvProblem& q, const DiagonalCut& cut, int lanes);

/// Rows of the input that a row of outputs reads.
inline int64_t diagonal_rows_kept(const ConvProblem& q) { return q.kernel[0] * q.kernel[1]; }

}  // namespace nhwc
