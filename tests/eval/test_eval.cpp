// tests/eval/test_eval.cpp -- scheduling, fusion of convolution chains, failure, interruption, several threads
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "eval/fuse.h"
#include "graph/node.h"
#include "graph/trace_scope.h"
#include "nhwc/nhwc.h"

using namespace nhwc;

namespace {

Array ramp(const Shape& shape, float scale = 0.01f) {
  Array a = arange(0, static_cast<double>(size_of(shape)), 1, Dtype::float32);
  Array r = reshape(a * Array(scale), shape);
  eval({r});
  return r;
}

bool same(const Array& a, const Array& b) { return array_equal(a, b).item() != 0; }
bool close(const Array& a, const Array& b) { return allclose(a, b, 1e-5, 1e-5).item() != 0; }

}  // namespace

TEST_CASE("a graph 200,000 deep is evaluated and destroyed") {
  Array x(1.0f);
  for (int i = 0; i < 200'000; ++i) x = add(x, Array(1.0f));
  CHECK(x.item() == 200'001);
  Array never = Array(1.0f);
  for (int i = 0; i < 200'000; ++i) never = add(never, Array(1.0f));
}

TEST_CASE("inputs are let go once nobody reads them") {
  Array x = ramp({1000});
  const size_t before = get_active_memory();
  Array y = x;
  for (int i = 0; i < 50; ++i) y = sin(y);
  reset_peak_memory();
  eval({y});
  CHECK(y.node()->inputs.empty());
  CHECK(get_peak_memory() <= before + 3 * 4096 * 9 / 8);
}

TEST_CASE("bias and activation are computed with the convolution, and give the same values") {
  Array x = ramp({2, 5, 6, 3}), w = ramp({4, 3, 3, 3}, -0.003f), b = ramp({4});
  for (const char* activation : {"relu", "relu6", "leaky_relu", "silu", "gelu", "tanh", "sigmoid"}) {
    ConvExtras extras{b, activation, {}};
    Array fused = conv2d(x, w, {1}, Ints{1}, {1}, 1, extras);
    CHECK_MESSAGE(find_conv_chain(fused).conv != nullptr, activation);
    Array plain = conv2d(x, w, {1}, Ints{1});
    eval({plain});
    Array biased = plain + b;
    eval({biased});
    CHECK_MESSAGE(close(fused, nhwc::activation(biased, activation, "test")), activation);
  }
  Array written_out = maximum(conv2d(x, w) + b, Array(0.0f));
  CHECK(find_conv_chain(written_out).conv != nullptr);
  Array kept = conv2d(x, w);
  Array read_twice = maximum(kept + b, Array(0.0f));
  CHECK(find_conv_chain(read_twice).conv == nullptr);
  CHECK(same(read_twice, written_out));
}

TEST_CASE("a broadcast bias that is evaluated before the convolution that adds it is added") {
  Array x = ramp({1, 4, 4, 3}), w = ramp({8, 1, 1, 3}), b = ramp({8}, 1.0f);
  Array spread = broadcast_to(b, {1, 4, 4, 8});
  Array y = conv2d(x, w) + spread;
  eval({spread, y});
  CHECK(close(y, conv2d(x, w) + b));
}

TEST_CASE("an exception while evaluating leaves the rest lazy and usable") {
  Array x = ramp({10});
  Array good = x + Array(1.0f);
  Array bad = take(x, Array(11), 0);
  Array user = good + sum(bad);
  CHECK_THROWS_AS(eval({user}), IndexError);
  CHECK(!user.is_ready());
  CHECK(!bad.is_ready());
  CHECK_THROWS_AS(eval({user}), IndexError);
  CHECK(same(good, x + Array(1.0f)));
}

TEST_CASE("out of memory raises at eval with the operation's name, and other arrays stay usable") {
  Array small = ramp({16});
  Array big = zeros({int64_t(1) << 20, int64_t(1) << 20}) + Array(1.0f);
  try {
    eval({big});
    FAIL("a terabyte was allocated");
  } catch (const MemoryError& e) {
    CHECK(std::string(e.what()).find("add") != std::string::npos);
  }
  CHECK(sum(small).item() == doctest::Approx(1.2));
}

TEST_CASE("async_eval computes in the background; synchronize waits; errors show where the value is used") {
  Array y = sum(ramp({1000}) * Array(2.0f));
  async_eval({y});
  synchronize();
  CHECK(y.is_ready());
  Array bad = take(ramp({3}), Array(7), 0);
  async_eval({bad});
  synchronize();
  CHECK_THROWS_AS(bad.data(), IndexError);
}

TEST_CASE("a tracer keeps its inputs when it is evaluated while its trace runs, and only then") {
  Array x = ramp({4}), y;
  {
    TraceScope scope;
    y = make_tracer(x) * Array(3.0f);
    CHECK(y.node()->tracer());
    eval({y});
    CHECK(!y.node()->inputs.empty());
    CHECK(tape_of({y}).size() == 2);
  }
  CHECK(!y.node()->tracer());
}

TEST_CASE("graphs are built and evaluated on several threads that share arrays") {
  Array shared = ramp({64, 64}) * Array(0.5f);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        Array y = sum(shared + Array(static_cast<float>(t)));
        const double expected = 0.01 * 0.5 * (4095.0 * 4096 / 2) + 4096.0 * t;
        if (std::abs(y.item() - expected) > 1e-2 * expected + 1e-3) ++wrong;
      }
    });
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
}

TEST_CASE("explain names the algorithm of the nearest convolution, and says so where there is none") {
  Array x = ramp({1, 8, 8, 8}), w = ramp({8, 3, 3, 8});
  CHECK(explain(maximum(conv2d(x, w), Array(0.0f))).find("direct") != std::string::npos);
  CHECK_THROWS_AS(explain(x), ValueError);
}

TEST_CASE("export_to_dot names the operations") {
  const std::string dot = export_to_dot({ramp({2}) + Array(1.0f)}, {"y"});
  CHECK(dot.find("add") != std::string::npos);
  CHECK(dot.find("\"y\"") != std::string::npos);
}
