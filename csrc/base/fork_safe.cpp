// csrc/base/fork_safe.cpp -- counts forks
#include "base/fork_safe.h"

#include <pthread.h>

namespace nhwc {
namespace {

std::atomic<uint32_t> generation{0};

}  // namespace

uint32_t fork_generation() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
  (void)registered;
  return generation.load(std::memory_order_relaxed);
}

}  // namespace nhwc
