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
/// Writes `outputs` elements of dtype `out`.
void fold(const FoldPass& p, void* y, Dtype out);

}  // namespace nhwc::metal
