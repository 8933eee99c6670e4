// tests/eval/test_chain.cpp -- elementwise chains: which nodes make one, what they give, interruption, threads
#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/interrupt.h"
#include "eval/eval_lock.h"
#include "eval/fuse.h"
#include "eval/scheduler.h"
#include "graph/node.h"
#include "graph/trace_scope.h"
#include "nhwc/nhwc.h"

using namespace nhwc;

namespace {

Array ramp(const Shape& shape, Dtype t = Dtype::float32, double scale = 0.01) {
  Array r =
      astype(reshape(arange(-7, static_cast<double>(size_of(shape)) - 7, 1, Dtype::float32) * Array(scale), shape), t);
  eval({r});
  return r;
}

/// Ops of the step that computes `a`; 0 where it is no chain. A temporary of the expression that makes `a` would be a
/// handle like any other, so what is not a variable comes as a function.
int ops_of(const Array& a) {
  EvalLock lock;
  return schedule({&a, 1}).steps.back().chain.ops;
}
template <class F>
int ops_of(const F& make) {
  const Array a = make();
  return ops_of(a);
}

bool same_bits(const Array& a, const Array& b) {
  eval({a, b});
  return a.shape() == b.shape() && a.dtype() == b.dtype() && std::memcmp(a.data(), b.data(), a.nbytes()) == 0;
}

struct OneByOne {
  OneByOne() { set_fusion_enabled(false); }
  ~OneByOne() { set_fusion_enabled(true); }
};
template <class F>
bool same_either_way(const F& f) {
  Array fused = f(), single = f();
  eval({fused});
  OneByOne scope;
  return same_bits(fused, single);
}

}  // namespace

TEST_CASE("a chain takes what nobody else reads, the shared too, and stops at what others hold") {
  Array x = ramp({4, 6}), c = ramp({6});
  CHECK(ops_of(x + x) == 0);
  CHECK(ops_of([&] { return sin(x) + c; }) == 2);
  CHECK(ops_of([&] { return where(greater(x, c), x * c, exp(x)); }) == 4);
  {
    Array t = sin(x);
    Array y = t * sigmoid(t);
    CHECK(ops_of(y) == 2);  // t is held here
    t = Array();
    CHECK(ops_of(y) == 3);
  }
  Array held = x * x, y = exp(held) + held;
  CHECK(ops_of(y) == 2);
  eval({y});
  CHECK(!y.node()->tracer());
  CHECK(held.is_ready());
  CHECK(ops_of([&] { return sum(x * x, {}, false); }) == 0);
  Array large = ramp({1000, 6});
  CHECK(ops_of([&] { return sum(large * large, {}, false); }) == 1);
  Array reduced = sum(exp(large - c), {}, false);
  {
    EvalLock lock;
    CHECK(schedule({&reduced, 1}).steps.size() == 1);
  }
  Array image = ramp({1, 4, 4, 3}), w = ramp({2, 1, 1, 3}), b = ramp({2}), zero(0.0f), two(2.0f);
  CHECK(ops_of([&] { return maximum(conv2d(image, w) + b, zero) * two; }) == 0);  // the convolution's own chain
}

TEST_CASE("a tracer that is evaluated is no chain: its inputs may be asked for") {
  Array x = ramp({8}), y;
  TraceScope scope;
  y = exp(make_tracer(x) * Array(2.0f)) + Array(1.0f);
  CHECK(ops_of(y) == 0);
  eval({y});
  CHECK(!y.node()->inputs.empty());
}

TEST_CASE("a chain of more than its limit of ops is cut, and every cut gives the same") {
  for (int ops : {31, 32, 33, 64, 65, 200}) {
    const auto make = [&] {
      Array y = ramp({3, 100});
      for (int i = 0; i < ops; ++i) y = i % 3 ? y * Array(0.9f) : y + Array(0.1f);
      return y;
    };
    CHECK(ops_of(make()) == std::min(ops, kChainOps));
    CHECK_MESSAGE(same_either_way(make), ops);
  }
}

TEST_CASE("wide trees keep their results apart, of every size of element") {
  for (Dtype t : {Dtype::uint8, Dtype::float16, Dtype::float32, Dtype::float64}) {
    const auto make = [&] {
      Arrays level;
      for (int i = 0; i < 16; ++i) level.push_back(square(ramp({5000}, t) + Array::scalar(i, t)));
      while (level.size() > 1) {
        Arrays next;
        for (size_t i = 0; i < level.size(); i += 2) next.push_back(level[i] - level[i + 1]);
        level = next;
      }
      return level[0];
    };
    CHECK_MESSAGE(same_either_way(make), std::string(name(t)));
  }
}

TEST_CASE("leaves of every layout, broadcast along any axes") {
  const Shape shape = {3, 5, 40, 130};
  for (const Shape& leaf : {Shape{}, Shape{130}, Shape{40, 1}, Shape{5, 1, 130}, Shape{3, 1, 1, 1}, Shape{3, 1, 1, 130},
                            Shape{1, 5, 40, 130}, Shape{3, 5, 40, 1}})
    for (bool turned : {false, true}) {
      const auto make = [&] {
        Array a = ramp(leaf);
        if (turned && leaf.size() > 1) {
          Shape back(leaf.size());
          std::vector<int> axes;
          for (size_t i = 0; i < leaf.size(); ++i) {
            back[i] = leaf[leaf.size() - 1 - i];
            axes.push_back(static_cast<int>(leaf.size() - 1 - i));
          }
          a = transpose(ramp(back), axes);
        }
        return (exp(ramp(shape, Dtype::float32, 1e-4)) - a) * a + Array(0.5f);
      };
      CHECK_MESSAGE(same_either_way(make), to_string(leaf), turned);
    }
}

TEST_CASE("results do not depend on the number of threads") {
  const int before = num_threads();
  const auto make = [] { return sum(square(sin(ramp({300, 77, 13})) - ramp({13})), Axes({0, 1}), false); };
  set_num_threads(1);
  Array one = make();
  eval({one});
  set_num_threads(4);
  CHECK(same_bits(make(), one));
  set_num_threads(before);
}

TEST_CASE("an interrupted chain stays lazy") {
  static std::atomic<bool> stop;
  Array x = ramp({1 << 22});
  Array y = exp(sin(x)) + Array(1.0f);
  const int before = num_threads();
  set_num_threads(1);  // else others might do it all before this thread, the one that is asked, gets to run
  stop = true;
  set_interrupt_check([] { return stop.load(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  CHECK_THROWS_AS(eval({y}), Interrupted);
  CHECK(!y.is_ready());
  stop = false;
  set_interrupt_check(nullptr);
  set_num_threads(before);
  CHECK(same_bits(y, exp(sin(x)) + Array(1.0f)));
}

TEST_CASE("out of memory in a chain names the operation and leaves it lazy") {
  Array big = exp(zeros({int64_t(1) << 20, int64_t(1) << 20}) + Array(1.0f)) * Array(2.0f);
  try {
    eval({big});
    FAIL("a terabyte was allocated");
  } catch (const MemoryError& e) {
    CHECK(std::string(e.what()).find("multiply") != std::string::npos);
  }
  CHECK(!big.is_ready());
  CHECK(!big.node()->inputs.empty());
}
