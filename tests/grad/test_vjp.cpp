// tests/grad/test_vjp.cpp -- derivatives of every primitive against differences, forward against reverse, twice
#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "grad/cases.h"
#include "nhwc/error.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

Arrays random_like(const Arrays& arrays, unsigned seed) {
  Arrays r;
  for (const Array& a : arrays)
    r.push_back(is_floating(a.dtype()) ? astype(random64(a.shape(), -1, 1, seed++), a.dtype()) : zeros_like(a));
  return r;
}

double dot(const Arrays& a, const Arrays& b) {
  double s = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!is_floating(a[i].dtype())) continue;
    const std::vector<double> x = values(a[i]), y = values(b[i]);
    for (size_t k = 0; k < x.size(); ++k) s += x[k] * y[k];
  }
  return s;
}

// The gradient of <ct, f> by central differences.
Arrays differences(const Function& f, const Arrays& arguments, const Arrays& ct) {
  constexpr double h = 1e-5;  // the cube root of float64's epsilon: truncation and rounding are alike
  Arrays result;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!is_floating(arguments[i].dtype())) {
      result.push_back(zeros_like(arguments[i]));
      continue;
    }
    const std::vector<double> x = values(arguments[i]);
    std::vector<double> g(x.size());
    for (size_t k = 0; k < x.size(); ++k) {
      auto at = [&](double d) {
        std::vector<double> moved = x;
        moved[k] += d;
        Arrays a = arguments;
        a[i] = of64(moved, arguments[i].shape());
        return dot(f(a), ct);
      };
      g[k] = (at(h) - at(-h)) / (2 * h);
    }
    result.push_back(of64(g, arguments[i].shape()));
  }
  return result;
}

// Reverse mode against differences, and <ct, J t> = <J^T ct, t>.
void check_derivatives(const std::string& name, const Function& f, const Arrays& arguments) {
  const Arrays outputs = f(arguments);
  const Arrays ct = random_like(outputs, 100), tangents = random_like(arguments, 200);
  const auto [again, gradients] = vjp(f, arguments, ct);
  CHECK_MESSAGE(difference(outputs, again, 1e-12) == "", name);
  CHECK_MESSAGE(difference(differences(f, arguments, ct), gradients, 1e-7) == "", name);
  const auto [forward, along] = jvp(f, arguments, tangents);
  CHECK_MESSAGE(difference(outputs, forward, 1e-12) == "", name);
  CHECK_MESSAGE(dot(ct, along) == doctest::Approx(dot(gradients, tangents)).epsilon(1e-9), name);
}

Arrays gradient(const Function& f, const Arrays& a) {
  std::vector<int> by(a.size());
  for (size_t i = 0; i < by.size(); ++i) by[i] = static_cast<int>(i);
  return value_and_grad(f, by)(a).second;
}
double grad1(const Function& f, double x) { return gradient(f, {Array::scalar(x, Dtype::float64)})[0].item(); }

}  // namespace

TEST_CASE("first derivatives of every primitive") {
  for (const Case& c : cases()) check_derivatives(c.name, c.f, c.arguments);
}

TEST_CASE("second derivatives of every primitive, reverse over reverse and forward over reverse") {
  for (const Case& c : cases()) {
    const Arrays ct = random_like(c.f(c.arguments), 300);
    eval(ct);
    const Function first = [&](const Arrays& a) { return vjp(c.f, a, ct).second; };
    check_derivatives("gradient of " + c.name, first, c.arguments);
  }
}

TEST_CASE("derivatives of forward mode") {
  for (const Case& c : cases()) {
    const Arrays tangents = random_like(c.arguments, 400);
    eval(tangents);
    const Function along = [&](const Arrays& a) { return jvp(c.f, a, tangents).second; };
    check_derivatives("tangent of " + c.name, along, c.arguments);
  }
}

TEST_CASE("third derivative") {
  const Function f = [](const Arrays& a) { return Arrays{power(a[0], Array::scalar(5, Dtype::float64))}; };
  auto d = [](const Function& g) -> Function { return [g](const Arrays& a) { return gradient(g, a); }; };
  CHECK(d(d(d(f)))({Array::scalar(2, Dtype::float64)})[0].item() == doctest::Approx(240));
  CHECK(d(d(d(d(d(d(f))))))({Array::scalar(2, Dtype::float64)})[0].item() == doctest::Approx(0));
}

TEST_CASE("kinks and edges have MLX's values") {
  auto pair = [](Array (*f)(const Array&, const Array&), double a, double b) {
    const Arrays g = gradient([f](const Arrays& x) { return Arrays{f(x[0], x[1])}; },
                              {Array::scalar(a, Dtype::float64), Array::scalar(b, Dtype::float64)});
    return std::pair(g[0].item(), g[1].item());
  };
  CHECK(pair(maximum, 1, 1) == std::pair(0.0, 1.0));
  CHECK(pair(minimum, 1, 1) == std::pair(0.0, 1.0));
  CHECK(pair(remainder, -5, 2) == std::pair(1.0, 3.0));
  CHECK(pair(floor_divide, 5, 2) == std::pair(0.0, 0.0));
  CHECK(pair(power, 0, 2) == std::pair(0.0, 0.0));
  CHECK(pair(power, 0, 1) == std::pair(1.0, 0.0));
  CHECK(pair(power, 0, 0) == std::pair(0.0, 0.0));
  CHECK(pair(logaddexp, INFINITY, INFINITY) == std::pair(0.5, 0.5));
  CHECK(pair(logaddexp, -INFINITY, -INFINITY) == std::pair(0.5, 0.5));
  CHECK(pair(logaddexp, -INFINITY, 0) == std::pair(0.0, 1.0));
  auto unary = [](Array (*f)(const Array&), double x) {
    return grad1([f](const Arrays& a) { return Arrays{f(a[0])}; }, x);
  };
  CHECK(unary(abs, 0) == 0);
  CHECK(unary(relu, 0) == 0);
  CHECK(unary(relu6, 0) == 0);
  CHECK(unary(relu6, 6) == 0);
  CHECK(unary(leaky_relu, 0) == 1);
  CHECK(unary(sqrt, 0) == INFINITY);
  const Array x = of64({1, 2, 2});
  CHECK(values(gradient([](const Arrays& a) { return Arrays{max(a[0])}; }, {x})[0]) ==
        std::vector<double>{0, 0.5, 0.5});
}

TEST_CASE("second derivatives of power where the base or the exponent is zero") {
  for (double exponent : {0.0, 1.0, 2.0, 3.0}) {
    const Function f = [&](const Arrays& a) { return Arrays{power(a[0], Array::scalar(exponent, Dtype::float64))}; };
    const Function df = [&](const Arrays& a) { return gradient(f, a); };
    CHECK(grad1(df, 0) == (exponent == 2 ? 2 : 0));
  }
  const Function f = [](const Arrays& a) { return Arrays{power(a[0], a[1])}; };
  const Function by_base = [&](const Arrays& a) { return Arrays{gradient(f, a)[0]}; };
  const Arrays mixed = gradient(by_base, {Array::scalar(2, Dtype::float64), Array::scalar(0, Dtype::float64)});
  CHECK(mixed[1].item() == doctest::Approx(0.5));  // d/db (b * a^(b-1)) = 1/a
}

TEST_CASE("set with an index named twice: only the update that stays has a gradient") {
  const Function f = [](const Arrays& a) {
    return Arrays{sum(scatter(zeros({3}, Dtype::float64), {of_ints({0, 0, 1}, {3})}, reshape(a[0], {3, 1}), {0}) *
                      of64({1, 2, 3}))};
  };
  CHECK(values(gradient(f, {of64({1, 2, 3})})[0]) == std::vector<double>{0, 1, 2});
}

TEST_CASE("multiplying updates of one place by zeros") {
  const Array x = of64({2, 3}), u = of64({0, 5, 7, 0, 0});
  const Function f = [](const Arrays& a) {
    return Arrays{scatter(a[0], {of_ints({0, 0, 0, 1, 1}, {5})}, reshape(a[1], {5, 1}), {0}, Update::multiply)};
  };
  check_derivatives("one zero at the first place, two at the second", f, {x, u});
}

TEST_CASE("what stops a gradient, and what has none") {
  const Function stops = [](const Arrays& a) { return Arrays{sum(a[0] * stop_gradient(a[0]))}; };
  CHECK(values(gradient(stops, {of64({2, 3})})[0]) == std::vector<double>{2, 3});
  const Function rounds = [](const Arrays& a) {
    return Arrays{sum(astype(astype(a[0], Dtype::int32), Dtype::float64))};
  };
  CHECK(values(gradient(rounds, {of64({2, 3})})[0]) == std::vector<double>{0, 0});
  const Function ignores = [](const Arrays& a) { return Arrays{sum(a[0])}; };
  CHECK(values(gradient(ignores, {of64({2, 3}), of64({1})})[1]) == std::vector<double>{0});
  const Function constant = [](const Arrays&) { return Arrays{Array(1.0f)}; };
  CHECK(values(gradient(constant, {of64({2, 3})})[0]) == std::vector<double>{0, 0});
}

TEST_CASE("gradients have the dtype and shape of the argument") {
  for (Dtype t : {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64})
    for (const Case& c : cases()) {
      Arrays a = c.arguments;
      for (Array& x : a)
        if (is_floating(x.dtype())) x = astype(x, t);
      const Arrays outputs = c.f(a);
      const Arrays g = vjp(c.f, a, random_like(outputs, 1)).second;
      const Arrays d = jvp(c.f, a, random_like(a, 1)).second;
      for (size_t i = 0; i < a.size(); ++i)
        CHECK_MESSAGE((g[i].dtype() == a[i].dtype() && g[i].shape() == a[i].shape()), c.name);
      for (size_t i = 0; i < d.size(); ++i) CHECK_MESSAGE(d[i].dtype() == outputs[i].dtype(), c.name);
    }
}

TEST_CASE("mistakes are told") {
  const Array x = of64({1, 2});
  const Function f = [](const Arrays& a) { return Arrays{a[0] * a[0]}; };
  CHECK_THROWS_WITH_AS(value_and_grad(f, {0})({x}), doctest::Contains("(2,)"), ValueError);
  CHECK_THROWS_WITH_AS(value_and_grad(f, {0})({Array(3)}), doctest::Contains("int32"), ValueError);
  CHECK_THROWS_AS(value_and_grad(f, {1})({x}), ValueError);
  CHECK_THROWS_AS(vjp(f, {x}, {}), ValueError);
  CHECK_THROWS_AS(vjp(f, {x}, {of64({1, 2, 3})}), ValueError);
  CHECK_THROWS_AS(jvp(f, {x}, {}), ValueError);
  CHECK_THROWS_AS(jvp(f, {x}, {of64({1, 2, 3})}), ValueError);
}

TEST_CASE("several threads differentiate functions of the same lazy array") {
  const Array w = sin(random64({1000}));
  const Function f = [&](const Arrays& a) { return Arrays{sum(a[0] * square(w))}; };
  const Function g = [&](const Arrays& a) { return gradient(f, a); };
  std::vector<Array> got(4);
  std::vector<std::thread> threads;
  for (Array& r : got) threads.emplace_back([&] { r = jvp(g, {w}, {w}).second[0] + g({w})[0]; });
  for (std::thread& t : threads) t.join();
  for (const Array& r : got) CHECK(difference(r, square(w), 1e-14) == "");
}

TEST_CASE("a gradient through 20,000 operations") {
  const Function f = [](const Arrays& a) {
    Array x = a[0];
    for (int i = 0; i < 20'000; ++i) x = x + a[0];
    return Arrays{x};
  };
  CHECK(grad1(f, 1) == 20'001);
}
