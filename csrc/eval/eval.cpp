// csrc/eval/eval.cpp -- eval, async_eval and synchronize
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>

#include "base/fork_safe.h"
#include "base/interrupt.h"
#include "eval/eval_lock.h"
#include "eval/scheduler.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"
#include "nhwc/transforms.h"

namespace nhwc {
namespace {

bool all_ready(std::span<const Array> arrays) {
  for (const Array& a : arrays)
    if (!a.is_ready()) return false;
  return true;
}

void eval_now(std::span<const Array> arrays) {
  InterruptScope interruptible;
  EvalLock lock;
  run(schedule(arrays));
}

/// The thread behind async_eval, started by its first use.
class Background {
 public:
  void add(Arrays arrays) {
    std::lock_guard lock(mutex_);
    if (!started_) {
      std::thread([this] { serve(); }).detach();  // lives as long as the process
      started_ = true;
    }
    queue_.push_back(std::move(arrays));
    ++unfinished_;
    changed_.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    InterruptScope interruptible;
    while (unfinished_ > 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(50));
      poll_interrupt();
    }
  }

 private:
  void serve() {
    for (;;) {
      Arrays arrays;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !queue_.empty(); });
        arrays = std::move(queue_.front());
        queue_.pop_front();
      }
      try {
        eval_now(arrays);
      } catch (const std::exception&) {
        // What failed is still lazy: whoever asks for its value computes it again and gets the error there.
      }
      arrays.clear();
      std::lock_guard lock(mutex_);
      --unfinished_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Arrays> queue_;
  int unfinished_ = 0;
  bool started_ = false;
};

// Never destroyed: its thread may outlive static destructors. A forked child has no such thread and gets a new one.
Background* background() {
  static ForkSafe<Background> instance;
  return instance.get();
}

}  // namespace

void eval(const Arrays& arrays) {
  if (!all_ready(arrays)) eval_now(arrays);
}

void async_eval(const Arrays& arrays) {
  if (all_ready(arrays)) return;
  // A tracer's inputs are kept only by the thread that traces.
  if (tracing()) return eval(arrays);
  background()->add(arrays);
}

void evaluate(const Array& a) {
  if (!a.is_ready()) eval_now({&a, 1});
}

void synchronize() { background()->wait(); }

}  // namespace nhwc
