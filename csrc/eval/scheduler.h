// csrc/eval/scheduler.h -- orders the lazy nodes behind some arrays and computes them
#pragma once

#include <span>
#include <vector>

#include "eval/fuse.h"
#include "nhwc/array.h"

namespace nhwc {

/// One computation: a node, or a chain that ends in it, or a chain and the reduction of its result. A raw pointer:
/// whoever reads the node keeps it alive until then.
struct Step {
  Node* node;
  ConvChain conv;
  ChainPool::Range chain;
};
struct Schedule {
  std::vector<Step> steps;
  ChainPool chains;
};

/// The steps that make `arrays` ready, inputs before users. Under the eval lock. The schedule is this thread's own and
/// lasts until the next: small programs are evaluated often, so its memory is used again.
Schedule& schedule(std::span<const Array> arrays);

/// Runs them. What a step leaves unread is freed at once; an exception leaves the steps not yet done lazy.
void run(Schedule& s);

}  // namespace nhwc
