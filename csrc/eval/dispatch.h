// csrc/eval/dispatch.h -- from a node to the backend of its device
#pragma once

#include "graph/node.h"

namespace nhwc {

/// Computes one node whose inputs are ready; on return its storage fields are set.
void dispatch(Node& n, bool may_reuse);

}  // namespace nhwc
