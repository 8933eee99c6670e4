// csrc/base/fork_safe.h -- a process-wide object that a forked child makes anew
#pragma once

#include <atomic>
#include <cstdint>

namespace nhwc {

/// How many forks lie between this process and the one that loaded the library, from the first call on.
uint32_t fork_generation();

/// Threads and locked mutexes do not survive fork, so what holds them is made again in the child; the parent's copy is
/// lost there on purpose. Never destroyed: it may be used while static objects are being destroyed.
template <class T>
class ForkSafe {
 public:
  T* get() {
    T* p = object_.load(std::memory_order_acquire);
    if (p && made_in_.load(std::memory_order_relaxed) == fork_generation()) return p;
    return make();
  }

 private:
  T* make() {
    while (making_.test_and_set(std::memory_order_acquire)) {
    }
    T* p = object_.load(std::memory_order_relaxed);
    if (!p || made_in_.load(std::memory_order_relaxed) != fork_generation()) {
      p = new T;
      made_in_.store(fork_generation(), std::memory_order_relaxed);
      object_.store(p, std::memory_order_release);
    }
    making_.clear(std::memory_order_release);
    return p;
  }

  std::atomic<T*> object_{nullptr};
  std::atomic<uint32_t> made_in_{0};
  std::atomic_flag making_ = ATOMIC_FLAG_INIT;
};

}  // namespace nhwc
