// csrc/backend/metal/chain_part.h -- a chain over a part of its shape, so that what it needs beside its arrays is
// bounded
#pragma once

#include <vector>

#include "graph/chain.h"

namespace nhwc::metal {

/// The part [begin, end) along an axis of the chain's shape: the same ops over parts of the leaves.
class ChainPart {
 public:
  ChainPart(const Chain& whole, const Shape& shape, size_t axis, int64_t begin, int64_t end);
  ChainPart(const ChainPart&) = delete;
  ChainPart& operator=(const ChainPart&) = delete;

  const Shape& shape() const { return shape_; }
  Chain chain() const { return {ops_, leaves_}; }

 private:
  std::span<const ChainOp> ops_;
  Shape shape_;
  std::vector<Array> arrays_;
  std::vector<ChainLeaf> leaves_;
};

}  // namespace nhwc::metal
