// csrc/backend/metal/conv_far.h -- convolutions whose positions along an axis need more than 32 bits, in parts; pure
#pragma once

#include "plan/conv_problem.h"

namespace nhwc::metal {

/// What of an axis says nothing may be any number and becomes 1.
ConvProblem narrowed(ConvProblem q);

/// The first axis along which positions pass what the kernels count in 32 bits; 3 where none does. Of a narrowed
/// problem.
int far_axis(const ConvProblem& q);

/// Some of the outputs along an axis as a problem of its own, whose first input is `from` of the whole.
struct AxisPart {
  ConvProblem q;
  int64_t from;
};
/// `count` outputs from `begin` on. The input is not dilated.
AxisPart part_along(const ConvProblem& q, int axis, int64_t begin, int64_t count);
/// Outputs of a part along the far axis. ValueError, which names the axis and the limit, where parts do not help: the
/// input is dilated, the kernel itself is as far, outputs of a part are not neighbours in memory, or it is a weight
/// gradient.
int64_t outputs_of_part(const ConvProblem& q, int axis);

}  // namespace nhwc::metal
