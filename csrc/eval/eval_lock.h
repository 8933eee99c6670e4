// csrc/eval/eval_lock.h -- one evaluation at a time
#pragma once

#include <mutex>

namespace nhwc {

/// Held while nodes are evaluated: only then may inputs of nodes be let go. An evaluation uses every core already, and
/// two that share nodes would have to wait for each other anyway. Waiting can be interrupted.
class EvalLock {
 public:
  EvalLock();
  ~EvalLock();
  EvalLock(const EvalLock&) = delete;
  EvalLock& operator=(const EvalLock&) = delete;

 private:
  std::timed_mutex& mutex_;
};

}  // namespace nhwc
