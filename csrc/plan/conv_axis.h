// csrc/plan/conv_axis.h -- one spatial axis of a convolution split by phase, so that no zero of the dilation is read
// Outputs p = r + period * j of one residue r share the taps that meet an input there; tap k then reads input position
// base + j * step, valid where that is inside [0, in).
#pragma once

#include <cstdint>

#include "base/scratch_vec.h"
#include "plan/conv_problem.h"

namespace nhwc {

struct AxisTap {
  int64_t k, base;
};

/// The taps of one residue class, ascending, or of some neighbours in it.
struct AxisPhase {
  int64_t first, count;  // outputs first + period * j for j in [begin, begin + count)
  const AxisTap* taps;
  int64_t n_taps;
  int64_t begin = 0;
  int64_t end() const { return begin + count; }
};

class AxisPhases {
 public:
  AxisPhases(const ConvProblem& q, int axis);
  /// Residue classes that hold an output.
  int64_t phases() const { return static_cast<int64_t>(begin_.size()) - 1; }
  AxisPhase phase(int64_t r) const {
    return {r, (out_ - r + period - 1) / period, taps_.data() + begin_[r], begin_[r + 1] - begin_[r]};
  }
  int64_t period = 1, step = 1;

 private:
  int64_t out_;
  ScratchVec<AxisTap, 8> taps_;   // by phase, then by k
  ScratchVec<int64_t, 5> begin_;  // per phase, and the end
};

}  // namespace nhwc
