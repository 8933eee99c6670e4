// tests/trace/test_compile.cpp -- traced functions: replay, constants, merging, transformations of them
#include <doctest/doctest.h>

#include <thread>

#include "grad/cases.h"
#include "graph/node.h"
#include "graph/program.h"
#include "graph/trace_scope.h"
#include "nhwc/error.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

size_t program_size(const Function& f, const Arrays& arguments) {
  TraceScope scope(true);
  Arrays placeholders;
  for (const Array& a : arguments) placeholders.push_back(make_placeholder(a.shape(), a.dtype()));
  return Program(placeholders, f(placeholders), scope.id()).size();
}

Arrays other(const Arrays& arguments) {
  Arrays r;
  for (const Array& a : arguments) r.push_back(is_floating(a.dtype()) ? a * Array::scalar(1.125, a.dtype()) : a);
  return r;
}

}  // namespace

TEST_CASE("replay is the function") {
  for (const Case& c : cases()) {
    const auto t = trace_function(c.f, c.arguments);
    CHECK_MESSAGE(difference(replay(*t, c.arguments), c.f(c.arguments), 1e-12) == "", c.name);
    const Arrays more = other(c.arguments);
    CHECK_MESSAGE(difference(replay(*t, more), c.f(more), 1e-12) == "", c.name);
  }
}

TEST_CASE("traced gradients, gradients of what was traced, and both under vmap") {
  for (const Case& c : cases()) {
    Arrays ct;
    for (const Array& o : c.f(c.arguments)) ct.push_back(astype(random64(o.shape(), -1, 1, 5), o.dtype()));
    eval(ct);
    const Function g = [&](const Arrays& a) { return vjp(c.f, a, ct).second; };
    const Arrays expected = g(c.arguments);
    const auto traced_gradient = trace_function(g, c.arguments);
    CHECK_MESSAGE(difference(replay(*traced_gradient, c.arguments), expected, 1e-12) == "", c.name);
    const auto t = trace_function(c.f, c.arguments);
    const Function again = [&](const Arrays& a) { return replay(*t, a); };
    CHECK_MESSAGE(difference(vjp(again, c.arguments, ct).second, expected, 1e-12) == "", c.name);
    Arrays pairs;
    for (const Array& a : c.arguments) pairs.push_back(stack({a, a}));
    const std::vector<int> axes(pairs.size(), 0);
    const Function replayed = [&](const Arrays& a) { return replay(*traced_gradient, a); };
    for (const Function& f : {g, replayed})
      for (size_t i = 0; i < expected.size(); ++i) {
        const Array two = vmap(f, axes, {0})(pairs)[i];
        CHECK_MESSAGE(difference(take(two, Array(1), 0), expected[i], 1e-12) == "", c.name);
      }
  }
}

TEST_CASE("outputs that are arguments or constants") {
  const Array k = of64({7});
  const Function f = [&](const Arrays& a) { return Arrays{a[1], k, a[0], a[0] + a[1], ones({2}, Dtype::float64)}; };
  const Array x = of64({1, 2}), y = of64({3, 4});
  const auto t = trace_function(f, {x, y});
  CHECK(difference(replay(*t, {x, y}), f({x, y}), 0) == "");
  CHECK(replay(*t, {x, y})[0].node() == y.node());
  CHECK(replay(*t, {x, y})[1].node() == k.node());
}

TEST_CASE("what is computed twice is recorded once, what depends on nothing not at all") {
  const Array x = random64({3});
  const Function twice = [](const Arrays& a) {
    return Arrays{sin(a[0]) * Array::scalar(2, Dtype::float64) + sin(a[0]) * Array::scalar(2, Dtype::float64)};
  };
  CHECK(program_size(twice, {x}) == 3);
  const Function constants = [](const Arrays& a) { return Arrays{a[0] + sum(exp(arange(0, 10, 1, Dtype::float64)))}; };
  CHECK(program_size(constants, {x}) == 1);
  const Function unused = [](const Arrays& a) {
    sin(a[0]);
    return Arrays{cos(a[0])};
  };
  CHECK(program_size(unused, {x}) == 1);
  const Function apart = [](const Arrays& a) {
    return Arrays{sum(a[0], std::vector<int>{0}) + sum(a[0], std::vector<int>{1})};
  };
  CHECK(program_size(apart, {random64({3, 3})}) == 3);
}

TEST_CASE("large constants are computed by each replay, not kept") {
  const Array x(1.0f);
  const auto t =
      trace_function([](const Arrays& a) { return Arrays{a[0] + sum(sin(arange(0, 1e6, 1, Dtype::float32)))}; }, {x});
  eval(replay(*t, {x}));
  const size_t before = get_active_memory();
  eval(replay(*t, {x}));
  CHECK(get_active_memory() == before);
  CHECK(before < 4'000'000);
}

TEST_CASE("a traced function that fails leaves nothing behind") {
  const Function f = [](const Arrays& a) -> Arrays { return {a[0] + zeros({5}, Dtype::float64)}; };
  CHECK_THROWS_AS(trace_function(f, {of64({1, 2})}), ValueError);
  CHECK_FALSE(tracing());
  CHECK_THROWS_AS(vjp(f, {of64({1, 2})}, {of64({1, 2})}), ValueError);
  CHECK_FALSE(tracing());
  CHECK(values(of64({1, 2}) + of64({1, 1})) == std::vector<double>{2, 3});
}

TEST_CASE("other shapes or dtypes than were traced are told") {
  const auto t = trace_function([](const Arrays& a) { return Arrays{a[0] * a[0]}; }, {of64({1, 2})});
  CHECK_THROWS_WITH_AS(replay(*t, {of64({1, 2, 3})}), doctest::Contains("(3,)"), ValueError);
  CHECK_THROWS_WITH_AS(replay(*t, {Array(1.0f)}), doctest::Contains("float32"), ValueError);
  CHECK_THROWS_AS(replay(*t, {}), ValueError);
}

TEST_CASE("several threads replay one trace") {
  const Function f = [](const Arrays& a) { return Arrays{sum(sin(a[0]) * exp(arange(0, 100, 1, Dtype::float64)))}; };
  const Array x = random64({100});
  const double expected = f({x})[0].item();
  const auto t = trace_function(f, {x});
  std::vector<std::thread> threads;
  std::vector<double> got(4);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int k = 0; k < 50; ++k) got[i] = replay(*t, {x})[0].item();
    });
  for (std::thread& th : threads) th.join();
  for (double g : got) CHECK(g == expected);
}

TEST_CASE("a scope inside another does not see the other's tracers as its own") {
  TraceScope outer;
  const Array x = make_tracer(of64({1, 2}));
  const Array y = x * x;
  TraceScope inner;
  const Array z = make_tracer(y) + x;
  CHECK(tape_of({z}, inner.id()).size() == 2);
  CHECK(tape_of({z}, outer.id()).size() == 4);
}
