// csrc/ops/host_call.h -- a result that a function of the host program makes when it is evaluated
#pragma once

#include "graph/node.h"

namespace nhwc {

/// call(x) of the evaluated `x`, of the shape given and x's dtype. It runs on the thread that evaluates and must not
/// evaluate itself. It has no derivative and no batch of its own: a custom function around it gives those.
Array host_call(const Array& x, Shape shape, std::function<Array(const Array&)> call);

}  // namespace nhwc
