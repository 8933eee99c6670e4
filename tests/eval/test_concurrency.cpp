// tests/eval/test_concurrency.cpp -- a host's threads build, differentiate and evaluate at once, sharing what they can
// The ground on which free-threaded Python is declared: it has to be quiet under ThreadSanitizer.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "base/allocator.h"
#include "nhwc/nhwc.h"

using namespace nhwc;

namespace {

constexpr int kThreads = 4, kRounds = 12;

/// Runs `work(thread)` on several threads that begin together; the number that threw or returned false.
int failures(const std::function<bool(int)>& work) {
  std::atomic<int> failed{0}, waiting{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      --waiting;
      while (waiting.load() > 0) std::this_thread::yield();
      try {
        if (!work(t)) ++failed;
      } catch (const std::exception& error) {
        MESSAGE(error.what());
        ++failed;
      }
    });
  for (std::thread& t : threads) t.join();
  return failed;
}

Array ramp(const Shape& shape, double from = -1) {
  const Array steps = arange(0, static_cast<double>(size_of(shape)), 1, Dtype::float32);
  Array a = reshape(steps * Array(0.01f) + Array(static_cast<float>(from)), shape);
  eval({a});
  return a;
}

bool close(const Array& a, const Array& b) { return allclose(a, b, 1e-4, 1e-4).item() != 0; }

}  // namespace

TEST_CASE("one lazy graph evaluated by several threads at once has one result") {
  const Array x = ramp({2, 8, 8, 8}), w = ramp({8, 3, 3, 8});
  for (int round = 0; round < kRounds; ++round) {
    const Array y = tanh(conv2d(x, w, {1}, Ints{1}) * Array(0.1f)), z = sum(y);
    const Array again = sum(tanh(conv2d(x, w, {1}, Ints{1}) * Array(0.1f)));
    const double expected = again.item();
    CHECK(failures([&](int t) { return t % 2 ? z.item() == expected : (eval({y, z}), z.item() == expected); }) == 0);
  }
}

TEST_CASE("convolutions of the same weights by several threads share what was packed") {
  const Array x = ramp({1, 12, 12, 16}), w = ramp({32, 3, 3, 16});
  const Array expected = conv2d(x, w);
  eval({expected});
  CHECK(failures([&](int t) {
          for (int i = 0; i < kRounds; ++i) {
            if (t == 0) clear_cache();  // takes packed weights away from under the others
            if (!close(conv2d(x, w), expected)) return false;
          }
          return true;
        }) == 0);
}

TEST_CASE("what was derived is looked for, and its buffer dropped, while another thread clears the cache") {
  constexpr uint64_t kKey[3] = {1, 2, 3};
  const BufferRef shared = allocate(64);
  CHECK(failures([&](int t) {
          for (int i = 0; i < 2000; ++i) {
            if (t == 0) clear_cache();
            if (t == 1) add_derived(*shared.get(), kKey, 64);
            if (t == 2) find_derived(*shared.get(), kKey);
            if (t == 3) add_derived(*allocate(64).get(), kKey, 64);
          }
          return true;
        }) == 0);
}

TEST_CASE("several threads differentiate the same function of the same weights") {
  const Array x = ramp({2, 6, 6, 4}), w = ramp({4, 3, 3, 4}), b = ramp({4});
  const auto gradients = value_and_grad(
      [&](const Arrays& p) -> Arrays { return {sum(square(maximum(conv2d(x, p[0]) + p[1], Array(0.0f))))}; }, {0, 1});
  const auto [values, expected] = gradients({w, b});
  eval(expected);
  CHECK(failures([&](int) {
          for (int i = 0; i < kRounds; ++i) {
            const auto [value, found] = gradients({w, b});
            if (!close(found[0], expected[0]) || !close(found[1], expected[1])) return false;
          }
          return true;
        }) == 0);
}

TEST_CASE("several threads trace, replay and vmap at once") {
  const Array x = ramp({3, 5, 5, 2}), w = ramp({2, 3, 3, 2});
  const Function f = [](const Arrays& a) -> Arrays { return {sigmoid(conv2d(a[0], a[1], {1}, Ints{1}))}; };
  const Array expected = f({x, w})[0];
  eval({expected});
  const auto trace = trace_function(f, {x, w});
  const Function mapped =
      vmap([&](const Arrays& a) -> Arrays { return {f({expand_dims(a[0], {0}), w})[0]}; }, {0}, {0});
  CHECK(failures([&](int t) {
          for (int i = 0; i < kRounds; ++i) {
            const Array y = t % 2 ? replay(*trace, {x, w})[0] : reshape(mapped({x})[0], expected.shape());
            const Array own = replay(*trace_function(f, {x, w}), {x, w})[0];
            if (!close(y, expected) || !close(own, expected)) return false;
          }
          return true;
        }) == 0);
}

TEST_CASE("settings may change while others evaluate") {
  const Array x = ramp({4, 10, 10, 8}), w = ramp({8, 3, 3, 8});
  const Array expected = conv2d(x, w);
  eval({expected});
  const size_t workspace = get_workspace_limit(), cache = set_cache_limit(size_t(1) << 30);
  const int threads = num_threads();
  CHECK(failures([&](int t) {
          for (int i = 0; i < kRounds; ++i) {
            if (t == 0) set_num_threads(1 + i % 3);
            if (t == 1) set_workspace_limit(workspace / static_cast<size_t>(1 + i % 2)), reset_peak_memory();
            if (t == 2) set_cache_limit(size_t(1) << (20 + i % 10));
            const Array y = conv2d(x, w);
            async_eval({y});
            if (!close(y, expected) || get_active_memory() == 0) return false;
          }
          return true;
        }) == 0);
  set_num_threads(threads);
  set_workspace_limit(workspace);
  set_cache_limit(cache);
}

TEST_CASE("arrays made on one thread are dropped on another") {
  CHECK(failures([&](int) {
          for (int i = 0; i < kRounds; ++i) {
            Arrays made;
            std::thread maker([&] {
              for (int k = 0; k < 20; ++k) made.push_back(ramp({50}) + Array(static_cast<float>(k)));
              async_eval({made[3], made[7]});
            });
            maker.join();
            for (int k = 0; k < 20; k += 3)
              if (!close(made[static_cast<size_t>(k)] - Array(static_cast<float>(k)), ramp({50}))) return false;
          }
          return true;
        }) == 0);
}
