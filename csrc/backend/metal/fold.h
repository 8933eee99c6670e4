// csrc/backend/metal/fold.h -- sums, products and extrema over part of an array's axes
#pragma once

#include "backend/metal/axes.h"

namespace nhwc::metal {

enum class Fold : int32_t { sum, prod, max, min };  // as in metal/common/combine.h

/// What is folded.
struct FoldPass {
  Source x;
  Loop kept, reduced;
  int64_t outputs, length;  // positions of either
  Fold fold;
  bool truth;  // of x only whether an element is zero
  Dtype accumulator;
};
FoldPass pass_of(const Reduce& p, const Node& x, Dtype out);
/// Of partial results, one after another: element c * outputs + output is part c of an output.
FoldPass pass_of_partial(Fold kind, const void* partial, int64_t parts, int64_t outputs, Dtype accumulator);
Fold fold_of(ReduceKind kind);
/// In which partial results of a reduction to dtype `out` are kept.
Dtype partial_dtype(ReduceKind kind, Dtype out);
/// `chunk` of an axis of `length`, or as many more as keep the partial results of all chunks, of `bytes` together for
/// each, within a part of the workspace.
int64_t chunk_within_workspace(int64_t chunk, int64_t length, int64_t bytes);
/// Writes `outputs` elements of dtype `out`.
void fold(const FoldPass& p, void* y, Dtype out);

}  // namespace nhwc::metal
