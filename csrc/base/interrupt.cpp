// csrc/base/interrupt.cpp -- asks now and then whether a long computation should stop
#include "base/interrupt.h"

#include <atomic>
#include <chrono>

#include "nhwc/error.h"

namespace nhwc {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kEvery = std::chrono::milliseconds(50);

std::atomic<bool (*)()> interrupt_check{nullptr};
thread_local bool interruptible = false;
thread_local Clock::time_point next_check;

}  // namespace

void set_interrupt_check(bool (*check)()) { interrupt_check.store(check); }

InterruptScope::InterruptScope() : before_(interruptible) {
  // next_check is kept from the scope before: many short evaluations in a row are asked too, but none more than every
  // 50 ms
  interruptible = interrupt_check.load(std::memory_order_relaxed) != nullptr;
}
InterruptScope::~InterruptScope() { interruptible = before_; }

UninterruptedScope::UninterruptedScope() : before_(interruptible) { interruptible = false; }
UninterruptedScope::~UninterruptedScope() { interruptible = before_; }

void poll_interrupt() {
  if (!interruptible) return;
  const auto now = Clock::now();
  if (now < next_check) return;
  next_check = now + kEvery;
  if (interrupt_check.load(std::memory_order_relaxed)()) throw Interrupted();
}

}  // namespace nhwc
