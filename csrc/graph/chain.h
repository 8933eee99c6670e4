// csrc/graph/chain.h -- elementwise nodes that are computed together, in one pass over their elements
#pragma once

#include <span>

#include "graph/node.h"

namespace nhwc {

/// So many that what a chain needs beside its arrays fits a thread's stack and the nearest cache.
inline constexpr int kChainOps = 32, kChainLeaves = 48;

/// One node of a chain. An operand below kChainOps is the result of the op with that index; past it, a leaf.
struct ChainOp {
  const Node* node;
  uint8_t operands[3];
};

/// What a chain reads: an array of the chain's shape, or one that is broadcast to it.
struct ChainLeaf {
  const Array* array;
  uint8_t reads;  // how many inputs of the chain's nodes are this array itself; 0: it is behind a broadcast, or other
                  // chains compute from it again
};

/// Ops in an order in which each comes after its operands; all have one shape. The last gives the chain's result, and
/// nobody sees the results of the others: other chains that need one compute it again. Non-owning.
struct Chain {
  std::span<const ChainOp> ops;
  std::span<const ChainLeaf> leaves;
};

}  // namespace nhwc
