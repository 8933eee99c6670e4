// csrc/base/thread_pool.cpp -- the worker threads that loop nests run on
#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/env.h"
#include "base/fork_safe.h"
#include "base/host_scope.h"
#include "base/interrupt.h"
#include "nhwc/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nhwc {
namespace {

// How long an idle worker polls before it sleeps: about 20 us, longer than the gap between two kernels of one eval,
// short enough to leave the core to others.
constexpr int kSpins = 4000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // as long as x86's pause, which its own "yield" is not; a system call is a hundred times that
#else
  std::this_thread::yield();
#endif
}

int default_threads() {
  int n = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
#endif
  return static_cast<int>(env_int("NHWC_NUM_THREADS", std::max(n, 1), 1));
}

constexpr int kMaxShares = 64;

/// One parallel_for. Each thread begins with a share of the range that is the same from loop to loop, so that it finds
/// in its cache what it wrote for the loop before; who is done takes from the others' shares.
struct Loop {
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };

  Loop(RangeFn f, int64_t count, int64_t piece, int threads)
      : fn(f), n(count), grain(piece), scope(host_scope), n_shares(std::min(threads, kMaxShares)) {
    const int64_t pieces = (n + grain - 1) / grain, whole = pieces / n_shares, more = pieces % n_shares;
    int64_t begin = 0;
    for (int i = 0; i < n_shares; ++i) {
      shares[i].next.store(begin * grain, std::memory_order_relaxed);
      begin += whole + (i < more);
      shares[i].end = std::min(n, begin * grain);
    }
  }

  /// `thread` is 0 for the caller and from 1 on for workers; several may have the same.
  void work(int thread) {
    const InHostScope of_the_caller(scope);
    for (int i = 0; i < n_shares; ++i) drain(shares[(thread + i) % n_shares]);
  }

  RangeFn fn;
  int64_t n, grain;
  const HostScope* scope;
  int n_shares;
  Share shares[kMaxShares];
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  std::mutex error_mutex;

 private:
  void drain(Share& share) {
    for (;;) {
      const int64_t begin = share.next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= share.end || failed.load(std::memory_order_relaxed)) return;
      try {
        poll_interrupt();
        fn(begin, std::min(begin + grain, share.end));
      } catch (...) {
        std::lock_guard lock(error_mutex);
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  }
};

thread_local bool inside_loop = false;

class Pool {
 public:
  /// Runs the loop on up to `threads` threads, this one included; one loop at a time.
  void run(Loop& loop, int threads) {
    std::lock_guard one_at_a_time(run_mutex_);
    grow(threads - 1);
    {
      std::lock_guard lock(mutex_);
      loop_ = &loop;
      wanted_ = threads - 1;
      running_.store(0, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (sleepers_.load(std::memory_order_seq_cst) > 0) wake_.notify_all();
    inside_loop = true;
    loop.work(0);
    inside_loop = false;
    {
      std::lock_guard lock(mutex_);
      wanted_ = 0;  // who has not joined by now has nothing left to do
      loop_ = nullptr;
    }
    while (running_.load(std::memory_order_acquire) != 0) relax();
  }

 private:
  void grow(int workers) {
    while (static_cast<int>(threads_.size()) < workers) {
      threads_.emplace_back([this, i = static_cast<int>(threads_.size()) + 1] { serve(i); });
      threads_.back().detach();  // lives as long as the process; the pool is never destroyed
    }
  }

  void serve(int thread) {
    inside_loop = true;
    uint64_t seen = 0;
    for (;;) {
      wait_for_loop(seen);
      Loop* mine = nullptr;
      {
        std::lock_guard lock(mutex_);
        seen = generation_.load(std::memory_order_relaxed);
        if (wanted_ > 0) {
          --wanted_;
          mine = loop_;
          running_.fetch_add(1, std::memory_order_relaxed);
        }
      }
      if (!mine) continue;
      mine->work(thread);
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  void wait_for_loop(uint64_t seen) {
    for (int i = 0; i < kSpins; ++i) {
      if (generation_.load(std::memory_order_acquire) != seen) return;
      relax();
    }
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::mutex run_mutex_, mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> sleepers_{0}, running_{0};
  int wanted_ = 0;
  Loop* loop_ = nullptr;
  std::vector<std::thread> threads_;
};

std::atomic<int> thread_count{0};
HostPool process_pool;
/// A host's, or one without a function.
const HostPool& host_pool() { return host_scope && host_scope->pool ? *host_scope->pool : process_pool; }
// A forked child has none of the threads: it makes a new pool.
Pool& the_pool() {
  static ForkSafe<Pool> pool;
  return *pool.get();
}

}  // namespace

int num_threads() {
  if (const HostPool& host = host_pool(); host.run) return std::max(host.threads, 1);
  int n = thread_count.load(std::memory_order_relaxed);
  if (n == 0) thread_count.store(n = default_threads(), std::memory_order_relaxed);
  return n;
}

void set_num_threads(int n) {
  if (n < 1) raise<ValueError>("[set_num_threads] got ", n, "; expected at least 1");
  thread_count.store(n);
}

void set_host_pool(HostPool p) { process_pool = p; }

void parallel_for(int64_t n, int64_t grain, RangeFn f) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t pieces = (n + grain - 1) / grain;
  const int threads = inside_loop ? 1 : static_cast<int>(std::min<int64_t>(pieces, num_threads()));
  if (threads <= 1) {
    // In the same pieces as on many threads: a body may rely on `end - begin <= grain`.
    for (int64_t b = 0; b < n; b += grain) {
      if (b > 0) poll_interrupt();
      f(b, std::min(b + grain, n));
    }
    return;
  }
  Loop loop(f, n, grain, threads);
  if (const HostPool& host = host_pool(); host.run) {
    host.run(
        host.ctx, threads,
        [](void* l, int thread) {
          inside_loop = true;
          static_cast<Loop*>(l)->work(thread);
          inside_loop = false;
        },
        &loop);
  } else {
    the_pool().run(loop, threads);
  }
  if (loop.failed) std::rethrow_exception(loop.error);
}

}  // namespace nhwc
