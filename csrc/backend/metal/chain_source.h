// csrc/backend/metal/chain_source.h -- Metal source for a chain of elementwise nodes
#pragma once

#include <string>
#include <vector>

#include "graph/chain.h"

namespace nhwc::metal {

/// How a kernel finds the elements of a leaf.
struct LeafAccess {
  static constexpr int kDense = -1, kOne = -2;
  Dtype dtype;
  int slot;  // in row-major order, one element, or the number of its strides in the parameters
};
/// An op of the chain with its operands: results of ops of the same kernel, or leaves.
struct SourceOp {
  const Node* node;
  struct Operand {
    bool leaf;
    int index;
  } operands[3];
  bool stored;  // to the next of the kernel's results
};
/// A kernel; shapes are no part of it.
struct ChainKernel {
  std::vector<LeafAccess> leaves;  // buffers 0, 1, ...; the results follow, then the parameters
  std::vector<SourceOp> ops;
  int slots, axes;  // of the strided leaves
  bool wide;        // 64-bit places
  int per_thread;   // elements
};

inline constexpr const char* kChainLibrary = "chain";
inline constexpr const char* kChainName = "chain";

/// What follows metal/chain.metal.
std::string source_of(const ChainKernel& k);

}  // namespace nhwc::metal
