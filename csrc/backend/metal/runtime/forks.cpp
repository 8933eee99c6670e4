// csrc/backend/metal/runtime/forks.cpp -- notices fork()
#include "backend/metal/runtime/forks.h"

#include <pthread.h>

#include <atomic>
#include <new>

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {
namespace {

std::atomic<bool> is_child{false};
std::shared_mutex* held = nullptr;

void before() { held->lock(); }
void in_parent() { held->unlock(); }
// A lock knows the thread that took it, and the child's has another number: it is made anew.
void in_child() {
  is_child = true;
  new (held) std::shared_mutex;
}

}  // namespace

void watch_forks(std::shared_mutex& mutex) {
  held = &mutex;
  pthread_atfork(before, in_parent, in_child);
}

bool forked() { return is_child.load(std::memory_order_relaxed); }

void refuse_forked() {
  if (forked())
    fail(GpuStatus::no_device,
         "this process was forked from one that had opened the GPU, and Metal does not survive that; start it by "
         "spawn instead, or use the CPU in it");
}

}  // namespace nhwc::metal
