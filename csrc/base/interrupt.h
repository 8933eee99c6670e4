// csrc/base/interrupt.h -- asks now and then whether a long computation should stop
#pragma once

#include "nhwc/memory.h"

namespace nhwc {

/// Marks this thread as one that may be interrupted: the one that called eval.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  bool before_;
};

/// While it lives this thread is not interrupted: what it does overwrites its own inputs and must run to its end.
class UninterruptedScope {
 public:
  UninterruptedScope();
  ~UninterruptedScope();
  UninterruptedScope(const UninterruptedScope&) = delete;
  UninterruptedScope& operator=(const UninterruptedScope&) = delete;

 private:
  bool before_;
};

/// Throws Interrupted where the check says so. Cheap enough for every tile and node: reads the clock at most.
void poll_interrupt();

}  // namespace nhwc
