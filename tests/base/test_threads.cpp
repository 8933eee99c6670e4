// tests/base/test_threads.cpp -- the thread pool and the interrupt
#include <doctest/doctest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "nhwc/error.h"

using namespace nhwc;

namespace {

struct Threads {  // sets the count for one test
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

}  // namespace

TEST_CASE("parallel_for covers every index once, in pieces of at most the grain") {
  for (int threads : {1, 2, 4}) {
    Threads scope(threads);
    for (int64_t n : {0, 1, 7, 64, 1000}) {
      for (int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> hits(n);
        parallel_for(n, grain, [&](int64_t b, int64_t e) {
          CHECK(e - b <= grain);
          CHECK(b % grain == 0);
          for (int64_t i = b; i < e; ++i) ++hits[i];
        });
        for (auto& h : hits) REQUIRE(h == 1);
      }
    }
  }
}

TEST_CASE("parallel_for: an exception reaches the caller, and the pool works on") {
  Threads scope(3);
  CHECK_THROWS_AS(parallel_for(100, 1,
                               [](int64_t b, int64_t) {
                                 if (b == 50) throw IndexError("x");
                               }),
                  IndexError);
  std::atomic<int> sum{0};
  parallel_for(100, 1, [&](int64_t b, int64_t) { sum += static_cast<int>(b); });
  CHECK(sum == 4950);
}

TEST_CASE("parallel_for: nested loops and loops from many threads run to their end") {
  Threads scope(3);
  std::atomic<int> count{0};
  parallel_for(8, 1, [&](int64_t, int64_t) { parallel_for(8, 1, [&](int64_t, int64_t) { ++count; }); });
  CHECK(count == 64);
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) parallel_for(16, 1, [&](int64_t, int64_t) { ++count; });
    });
  for (auto& c : callers) c.join();
  CHECK(count == 64 + 4 * 200 * 16);
}

TEST_CASE("parallel_for: a host's own pool is used") {
  struct Host {
    int calls = 0;
  } host;
  set_host_pool({&host, 3, [](void* ctx, int n, void (*body)(void*, int), void* arg) {
                   ++static_cast<Host*>(ctx)->calls;
                   for (int i = 0; i < n; ++i) body(arg, i);
                 }});
  std::vector<int> hits(10);
  parallel_for(10, 1, [&](int64_t b, int64_t) { ++hits[b]; });
  set_host_pool({});
  CHECK(host.calls == 1);
  CHECK(std::accumulate(hits.begin(), hits.end(), 0) == 10);
}

TEST_CASE("set_num_threads refuses less than one") { CHECK_THROWS_AS(set_num_threads(0), ValueError); }

TEST_CASE("a loop is interrupted within its pieces") {
  set_interrupt_check([] { return true; });
  {
    InterruptScope scope;
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    CHECK_THROWS_AS(
        parallel_for(1000, 1, [](int64_t, int64_t) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }),
        Interrupted);
  }
  set_interrupt_check(nullptr);
}
