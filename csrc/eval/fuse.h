// csrc/eval/fuse.h -- which nodes are computed in one pass with the one that reads them
#pragma once

#include <vector>

#include "eval/recompute.h"
#include "graph/chain.h"

namespace nhwc {

/// Empties a vector that is used again, and gives its memory back where it was much.
template <class T>
void clear(std::vector<T>& v) {
  v.clear();
  if (v.capacity() > 1024) v = {};
}

/// A convolution, its bias, what is added to it and its activation that can be computed in one pass.
struct ConvChain {
  Node* conv = nullptr;             // nullptr: no chain
  const Array* bias = nullptr;      // (C_out,) or (1, ..., 1, C_out); may be null
  const Array* residual = nullptr;  // of the result's shape; may be null
  Activation activation = Activation::none;
};

/// The chain that ends in `a`, where every link but `a` is lazy and read by nobody else.
ConvChain find_conv_chain(const Array& a);

/// The elementwise chains of one schedule.
class ChainPool {
 public:
  /// Where the pool holds a chain; `ops` is 0 where there is none.
  struct Range {
    uint32_t first_op = 0, first_leaf = 0;
    uint8_t ops = 0, leaves = 0;
  };
  /// Empty, for the schedule of `roots`, whose nodes have mark `epoch`.
  void begin(std::span<const Array> roots, uint32_t epoch) {
    clear(ops_);
    clear(leaves_);
    recompute_.begin(roots, epoch);
  }
  /// The longest chain that ends in `n`, or in the input of `n` where that is a reduction: elementwise nodes that are
  /// lazy and read by nodes of the chain only, or cheap enough to be computed in each chain that reads them.
  Range find(Node& n);
  Chain at(const Range& r) const {
    return {{ops_.data() + r.first_op, r.ops}, {leaves_.data() + r.first_leaf, r.leaves}};
  }
  const ChainLeaf& leaf(const Range& r, uint32_t i) const { return leaves_[r.first_leaf + i]; }

 private:
  Range place(Node& last);

  std::vector<ChainOp> ops_;
  std::vector<ChainLeaf> leaves_;
  Recompute recompute_;
};

/// Whether elementwise chains are looked for; the values do not depend on it. For tests.
bool fusion_enabled();
void set_fusion_enabled(bool on);

}  // namespace nhwc
