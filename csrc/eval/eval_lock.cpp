// csrc/eval/eval_lock.cpp -- one evaluation at a time
#include "eval/eval_lock.h"

#include <chrono>

#include "base/fork_safe.h"
#include "base/interrupt.h"
#include "nhwc/error.h"

namespace nhwc {
namespace {

thread_local bool held = false;

std::timed_mutex& eval_mutex() {
  static ForkSafe<std::timed_mutex> mutex;
  return *mutex.get();
}

}  // namespace

EvalLock::EvalLock() : mutex_(eval_mutex()) {
  // Only a signal handler run by the interrupt check can get here twice; it must not touch what is half computed.
  if (held)
    throw std::runtime_error("[eval] a signal handler that interrupted an evaluation cannot evaluate arrays itself");
  // Most often it is free, and the clock need not be read. The system's clock, since ThreadSanitizer does not know the
  // call that waits by the steady one; where it jumps, an interrupt is seen sooner or later.
  if (!mutex_.try_lock())
    while (!mutex_.try_lock_until(std::chrono::system_clock::now() + std::chrono::milliseconds(50))) poll_interrupt();
  held = true;
}

EvalLock::~EvalLock() {
  held = false;
  mutex_.unlock();
}

}  // namespace nhwc
