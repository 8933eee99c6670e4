// csrc/ops/update.h -- a step of an optimizer over many parameters as one node
#pragma once

#include "graph/node.h"
#include "graph/update.h"

namespace nhwc {

/// Whether a step that is made here and now can be one node: not on the GPU, where chains serve, nor where a derivative
/// or a batch needs rules of the single operations.
bool can_update();

/// The new parameters and states: those of the first parameter, of the next ... `inputs`: the rule's scalars, then
/// gradient, parameter and state of each parameter; all float32, and those of a parameter of one shape, which is the
/// caller's to check.
Arrays update(std::shared_ptr<const UpdateCall> call, NodeInputs&& inputs);

}  // namespace nhwc
