// csrc/eval/fuse.h -- which nodes are computed in one pass with the one that reads them
#pragma once

#include "graph/node.h"

namespace nhwc {

/// A convolution, its bias and its activation that can be computed in one pass.
struct ConvChain {
  Node* conv = nullptr;         // nullptr: no chain
  const Array* bias = nullptr;  // (C_out,) or (1, ..., 1, C_out); may be null
  Activation activation = Activation::none;
};

/// The chain that ends in `a`, where every link but `a` is lazy and read by nobody else.
ConvChain find_conv_chain(const Array& a);

}  // namespace nhwc
