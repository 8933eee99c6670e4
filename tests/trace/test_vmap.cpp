// tests/trace/test_vmap.cpp -- vmap of every primitive against a loop
#include <doctest/doctest.h>

#include "grad/cases.h"
#include "nhwc/error.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

constexpr int kBatch = 3;

struct Mapped {
  Arrays arguments;
  std::vector<int> axes;

  Arrays element(int64_t i) const {
    Arrays r;
    for (size_t k = 0; k < arguments.size(); ++k)
      r.push_back(axes[k] == kNoAxis ? arguments[k] : take(arguments[k], Array(static_cast<int>(i)), axes[k]));
    return r;
  }
};

// The case's arguments, those in `mask` with a batch of different elements along a first, middle or last axis.
Mapped mapped(const Case& c, unsigned mask) {
  Mapped m;
  for (size_t k = 0; k < c.arguments.size(); ++k) {
    const Array& a = c.arguments[k];
    if (!(mask >> k & 1)) {
      m.arguments.push_back(a);
      m.axes.push_back(kNoAxis);
      continue;
    }
    const int axis = static_cast<int>((mask + k) % (a.ndim() + 1));
    Arrays elements{a};
    for (int i = 1; i < kBatch; ++i)
      elements.push_back(is_floating(a.dtype()) ? a * Array::scalar(1 + 0.125 * i, a.dtype()) : roll(a, {i}));
    m.arguments.push_back(stack(elements, axis));
    m.axes.push_back(axis);
  }
  return m;
}

Arrays looped(const Function& f, const Mapped& m) {
  std::vector<Arrays> outputs;
  for (int64_t i = 0; i < kBatch; ++i) {
    const Arrays o = f(m.element(i));
    outputs.resize(o.size());
    for (size_t k = 0; k < o.size(); ++k) outputs[k].push_back(o[k]);
  }
  Arrays r;
  for (const Arrays& o : outputs) r.push_back(stack(o));
  return r;
}

void check_vmap(const std::string& name, const Case& c, const Function& f) {
  for (unsigned mask = 1; mask < 1u << c.arguments.size(); ++mask) {
    const Mapped m = mapped(c, mask);
    eval(m.arguments);
    const std::string d = difference(vmap(f, m.axes, {0})(m.arguments), looped(f, m), 1e-11);
    CHECK_MESSAGE(d == "", name, " mask ", mask);
  }
}

}  // namespace

TEST_CASE("vmap is a loop, whichever arguments are mapped") {
  for (const Case& c : cases()) check_vmap(c.name, c, c.f);
}

TEST_CASE("vmap of gradients is a loop over gradients") {
  for (const Case& c : cases()) {
    const Function g = [&](const Arrays& a) {
      Arrays ct;
      for (const Array& o : c.f(a)) ct.push_back(cos(o));
      return vjp(c.f, a, ct).second;
    };
    check_vmap("gradient of " + c.name, c, g);
  }
}

TEST_CASE("gradients of vmap are those of a loop") {
  for (const Case& c : cases())
    for (unsigned mask = 1; mask < 1u << c.arguments.size(); ++mask) {
      const Mapped m = mapped(c, mask);
      const Function batched = vmap(c.f, m.axes, {0});
      const Function loop = [&](const Arrays& a) { return looped(c.f, {a, m.axes}); };
      Arrays ct;
      for (const Array& o : loop(m.arguments)) ct.push_back(random64(o.shape(), -1, 1, 11));
      for (size_t i = 0; i < ct.size(); ++i) ct[i] = astype(ct[i], Dtype::float64);
      const std::string d = difference(vjp(batched, m.arguments, ct).second, vjp(loop, m.arguments, ct).second, 1e-11);
      CHECK_MESSAGE(d == "", c.name, " mask ", mask);
    }
}

TEST_CASE("vmap of vmap") {
  for (const Case& c : cases()) {
    if (c.arguments.size() > 3) continue;
    for (unsigned mask = 1; mask < 1u << c.arguments.size(); ++mask) {
      const Mapped m = mapped(c, mask);
      const Case outer{c.name, vmap(c.f, m.axes, {0}), m.arguments};
      check_vmap("twice " + c.name, outer, outer.f);
    }
  }
}

TEST_CASE("where the batch goes") {
  const Array x = random64({2, 3}), s = Array::scalar(1, Dtype::float64);
  const Function same = [](const Arrays& a) { return a; };
  CHECK(difference(vmap(same, {1}, {1})({x})[0], x, 0) == "");
  CHECK(difference(vmap(same, {-1}, {0})({x})[0], transpose(x), 0) == "");
  CHECK(difference(vmap(same, {0}, {-1})({x})[0], transpose(x), 0) == "");
  const Function constant = [&](const Arrays&) { return Arrays{s}; };
  CHECK(values(vmap(constant, {0}, {0})({x})[0]) == std::vector<double>{1, 1});
  CHECK(vmap(constant, {0}, {kNoAxis})({x})[0].shape() == Shape{});
  CHECK(vmap(same, {0}, {0})({zeros({0, 3})})[0].shape() == Shape{0, 3});
}

TEST_CASE("random bits for a batch of keys") {
  const Array keys = random::split(random::key(5), 4);
  const Function f = [](const Arrays& k) {
    return Arrays{random::uniform(Array(0.0f), Array(1.0f), {5}, Dtype::float32, k[0])};
  };
  Arrays one;
  for (int i = 0; i < 4; ++i) one.push_back(f({take(keys, Array(i), 0)})[0]);
  CHECK(difference(vmap(f, {0}, {0})({keys})[0], stack(one), 0) == "");
}

TEST_CASE("mistakes are told") {
  const Function f = [](const Arrays& a) { return Arrays{a[0] + a[a.size() - 1]}; };
  const Array x = random64({2, 3}), y = random64({3});
  CHECK_THROWS_WITH_AS(vmap(f, {2}, {0})({x}), doctest::Contains("axis 2"), ValueError);
  CHECK_THROWS_WITH_AS(vmap(f, {0, 0}, {0})({x, y}), doctest::Contains("one size"), ValueError);
  CHECK_THROWS_WITH_AS(vmap(f, {kNoAxis}, {0})({x}), doctest::Contains("no input is mapped"), ValueError);
  CHECK_THROWS_AS(vmap(f, {0}, {0})({x, y}), ValueError);
  CHECK_THROWS_AS(vmap(f, {0}, {3})({x}), ValueError);
  CHECK_THROWS_AS(vmap(f, {0}, {0, 0})({x}), ValueError);
  CHECK_THROWS_AS(vmap(f, {0}, {kNoAxis})({x}), ValueError);
  const Function evaluates = [](const Arrays& a) { return Arrays{Array(static_cast<float>(sum(a[0]).item()))}; };
  CHECK_THROWS_WITH_AS(vmap(evaluates, {0}, {0})({x}), doctest::Contains("vmap"), ValueError);
}
