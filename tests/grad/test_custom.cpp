// tests/grad/test_custom.cpp -- functions with derivatives of their own, and checkpoint
#include <doctest/doctest.h>

#include "grad/cases.h"
#include "graph/node.h"
#include "nhwc/error.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

Array gradient(const Function& f, const Array& x) {
  const Function summed = [&](const Arrays& a) {
    Array total = Array::scalar(0, Dtype::float64);
    for (const Array& o : f(a)) total = total + sum(o);
    return Arrays{total};
  };
  return value_and_grad(summed, {0})({x}).second[0];
}

const Function kSine = [](const Arrays& a) { return Arrays{sin(a[0])}; };

}  // namespace

TEST_CASE("the vjp rule is used, once for all outputs") {
  int calls = 0;
  CustomRules rules;
  rules.vjp = [&](const Arrays& p, const Arrays& o, const Arrays& c) {
    ++calls;
    CHECK(o.size() == 2);
    CHECK(c.size() == 2);
    return Arrays{c[0] * p[0] + c[1] * Array::scalar(7, Dtype::float64)};
  };
  const Function f = custom_function([](const Arrays& a) { return Arrays{sin(a[0]), cos(a[0])}; }, rules);
  CHECK(values(gradient(f, of64({1, 2}))) == std::vector<double>{8, 9});
  CHECK(calls == 1);
  const Function second_only = [&](const Arrays& a) { return Arrays{f(a)[1]}; };
  CHECK(values(gradient(second_only, of64({1, 2}))) == std::vector<double>{7, 7});
  CHECK(difference(f({of64({1, 2})}), {sin(of64({1, 2})), cos(of64({1, 2}))}, 0) == "");
}

TEST_CASE("a direction without a rule is that of the body, as in MLX") {
  const Array x = of64({1, 2});
  CustomRules reverse, forward;
  reverse.vjp = [](const Arrays&, const Arrays&, const Arrays& c) {
    return Arrays{c[0] * Array::scalar(7, Dtype::float64)};
  };
  forward.jvp = [](const Arrays&, const Arrays& t) { return Arrays{t[0] * Array::scalar(5, Dtype::float64)}; };
  CHECK(difference(jvp(custom_function(kSine, reverse), {x}, {x}).second[0], x * cos(x), 1e-14) == "");
  CHECK(values(jvp(custom_function(kSine, forward), {x}, {x}).second[0]) == std::vector<double>{5, 10});
  CHECK(difference(gradient(custom_function(kSine, forward), x), cos(x), 1e-14) == "");
}

TEST_CASE("an empty cotangent is zero; wrong ones are told") {
  CustomRules rules;
  rules.vjp = [](const Arrays&, const Arrays&, const Arrays&) { return Arrays{Array()}; };
  const Array x = of64({1, 2});
  CHECK(values(gradient(custom_function(kSine, rules), x)) == std::vector<double>{0, 0});
  rules.vjp = [](const Arrays&, const Arrays&, const Arrays&) { return Arrays{Array(1.0f)}; };
  CHECK_THROWS_WITH_AS(gradient(custom_function(kSine, rules), x), doctest::Contains("(2,)"), ValueError);
  rules.vjp = [](const Arrays&, const Arrays&, const Arrays&) { return Arrays{}; };
  CHECK_THROWS_AS(gradient(custom_function(kSine, rules), x), ValueError);
}

TEST_CASE("custom derivatives are kept by vmap and compile") {
  CustomRules rules;
  rules.vjp = [](const Arrays& p, const Arrays&, const Arrays& c) { return Arrays{c[0] * p[1], sum(c[0] * p[0])}; };
  rules.jvp = [](const Arrays& p, const Arrays& t) { return Arrays{t[0] * p[1] * Array::scalar(3, Dtype::float64)}; };
  const Function f = custom_function([](const Arrays& a) { return Arrays{a[0] * a[1]}; }, rules);
  const Array x = random64({4, 3}), s = Array::scalar(2, Dtype::float64), c = random64({4, 3}, -1, 1, 9);
  const Function mapped = vmap(f, {0, kNoAxis}, {0});
  const Arrays g = vjp(mapped, {x, s}, {c}).second;
  CHECK(difference(g, {c * s, sum(c * x)}, 1e-14) == "");
  CHECK(difference(jvp(mapped, {x, s}, {c, s}).second[0], c * s * Array::scalar(3, Dtype::float64), 1e-14) == "");
  const auto trace = trace_function(mapped, {x, s});
  const Function again = [&](const Arrays& a) { return replay(*trace, a); };
  CHECK(difference(vjp(again, {x, s}, {c}).second, g, 1e-14) == "");
  CHECK(difference(vjp(again, {x, s}, {c}).second, g, 1e-14) == "");
}

TEST_CASE("a rule under vmap may return nothing for zero") {
  CustomRules rules;
  rules.vjp = [](const Arrays&, const Arrays&, const Arrays&) { return Arrays{Array()}; };
  rules.jvp = [](const Arrays&, const Arrays&) { return Arrays{Array()}; };
  const Function mapped = vmap(custom_function(kSine, rules), {0}, {0});
  const Array x = random64({2, 3});
  CHECK(difference(gradient(mapped, x), zeros_like(x), 0) == "");
  CHECK(difference(jvp(mapped, {x}, {x}).second[0], zeros_like(x), 0) == "");
}

TEST_CASE("two replays of one custom call in one graph stay apart") {
  CustomRules rules;
  rules.vjp = [](const Arrays& p, const Arrays&, const Arrays& c) { return Arrays{c[0] * p[0] + c[1]}; };
  const Function f = custom_function([](const Arrays& a) { return Arrays{sin(a[0]), cos(a[0])}; }, rules);
  const Array x = of64({1, 2});
  const auto trace = trace_function(f, {x});
  auto twice = [](const Function& g) -> Function {
    return [g](const Arrays& a) { return Arrays{g(a)[0] * g({a[0] + a[0]})[1]}; };
  };
  const Function again = [&](const Arrays& a) { return replay(*trace, a); };
  CHECK(difference(gradient(twice(again), x), gradient(twice(f), x), 1e-14) == "");
}

TEST_CASE("vmap rule") {
  CustomRules rules;
  rules.vmap = [](const Arrays& p, const std::vector<int>& axes) {
    CHECK(axes == std::vector<int>{0, kNoAxis});
    return std::pair(Arrays{transpose(p[0]) * p[1] * Array::scalar(100, Dtype::float64)}, std::vector<int>{1});
  };
  const Function f = custom_function([](const Arrays& a) { return Arrays{a[0] * a[1]}; }, rules);
  const Array x = random64({4, 3}), s = Array::scalar(2, Dtype::float64);
  CHECK(difference(vmap(f, {0, kNoAxis}, {0})({x, s})[0], x * Array::scalar(200, Dtype::float64), 1e-14) == "");
  auto throws = [&](const Arrays& outputs, const std::vector<int>& axes) {
    rules.vmap = [=](const Arrays&, const std::vector<int>&) { return std::pair(outputs, axes); };
    const Function wrong = custom_function([](const Arrays& a) { return Arrays{a[0] * a[1]}; }, rules);
    CHECK_THROWS_AS(vmap(wrong, {0, kNoAxis}, {0})({x, s}), ValueError);
  };
  throws({x}, {});
  throws({Array()}, {0});
  throws({x}, {1});
}

TEST_CASE("checkpoint gives what it captures its gradient, and does not draw again") {
  const Array x = of64({1, 2});
  const Function f = [&](const Arrays& a) {
    const Array captured = a[0] * a[0];
    return checkpoint([&](const Arrays& b) { return Arrays{b[0] * captured}; })({sin(x)});
  };
  CHECK(difference(gradient(f, x), Array::scalar(2, Dtype::float64) * x * sin(x), 1e-14) == "");

  int drawn = 0;
  const Function noisy = [&](const Arrays& a) {
    ++drawn;
    const Array noise = random::uniform(Array(0.0f), Array(1.0f), {2}, Dtype::float32, random::key(drawn));
    return Arrays{a[0] * astype(noise, Dtype::float64)};
  };
  const Array expected = noisy({ones({2}, Dtype::float64)})[0];
  drawn = 0;
  CHECK(difference(gradient(checkpoint(noisy), x), expected, 1e-14) == "");
  CHECK(drawn == 1);
}

TEST_CASE("checkpoint keeps less memory than the whole graph") {
  const int64_t n = 100'000;
  const Array x = random64({n});
  eval({x});
  auto peak = [&](bool on) {
    const Function layer = [](const Arrays& a) {
      Array y = a[0];
      for (int i = 0; i < 10; ++i) y = sin(y);
      return Arrays{y};
    };
    const Function f = [&](const Arrays& a) {
      Arrays y = a;
      for (int i = 0; i < 10; ++i) y = (on ? checkpoint(layer) : layer)(y);
      return y;
    };
    const Array g = gradient(f, x);
    const size_t before = get_active_memory();
    reset_peak_memory();
    eval({g});
    return get_peak_memory() - before;
  };
  CHECK(peak(true) < peak(false) / 2);
}
