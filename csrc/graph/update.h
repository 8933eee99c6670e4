// csrc/graph/update.h -- what the nodes of one optimizer step share, and its results
#pragma once

#include "base/allocator.h"
#include "base/update_rules.h"
#include "graph/primitives.h"

namespace nhwc {

/// Parameters that are updated by one rule in one pass: `count` of them, float32.
struct UpdateCall {
  UpdateRule rule;
  float constants[kMaxUpdateConstants];
  size_t count;

  size_t scalars() const { return static_cast<size_t>(facts_of(rule).scalars); }
  /// Outputs per parameter: itself and its state. Inputs are one more, the gradient.
  size_t outputs() const { return 1 + static_cast<size_t>(facts_of(rule).states); }
  /// Where the inputs of parameter i begin: its gradient, itself, its state.
  size_t first_input(size_t i) const { return scalars() + i * (outputs() + 1); }
};

/// Storage of the outputs of a pass that has run, until the node of each takes its own.
struct UpdateResults {
  struct One {
    BufferRef buffer;
    int64_t offset = 0;
  };
  std::vector<One> outputs;
};

}  // namespace nhwc
