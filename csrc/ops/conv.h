// csrc/ops/conv.h -- convolution nodes, for the layers above: gradients and batching
#pragma once

#include <memory>

#include "nhwc/array.h"
#include "plan/conv_problem.h"

namespace nhwc {

/// One of the three kinds of the convolution `g`: forward (x, w) -> y; input_grad (gy, w) -> gx; weight_grad (x, gy) ->
/// gw. The operands have g's shapes and one floating dtype.
Array conv_node(ConvKind kind, std::shared_ptr<const ConvGeometry> g, Array a, Array b);

}  // namespace nhwc
