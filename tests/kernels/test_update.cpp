// tests/kernels/test_update.cpp -- every rule of an optimizer's step against its formula in double
#include <cmath>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/update.h"

using namespace nhwc;

namespace {

constexpr double kRate = 0.05;

/// What one element becomes: the new parameter, then the states.
struct Element {
  double parameter, state[2];
};

Element formula(UpdateRule rule, const float* c, const float* s, double g, double w, const double* h) {
  switch (rule) {
    case UpdateRule::sgd:
      return {w - s[0] * (g + c[0] * w), {}};
    case UpdateRule::momentum: {
      const double slope = g + c[1] * w, v = c[0] * h[0] + c[2] * slope;
      return {w - s[0] * (c[3] != 0 ? slope + c[0] * v : v), {v}};
    }
    case UpdateRule::adam: {
      const double m = c[0] * h[0] + c[1] * g, v = c[2] * h[1] + c[3] * g * g;
      return {w - s[0] * c[5] * w - s[1] * m / (std::sqrt(v) * s[2] + c[4]), {m, v}};
    }
    case UpdateRule::adamax: {
      const double m = c[0] * h[0] + c[1] * g, v = std::max(c[2] * h[1], std::fabs(g));
      return {w - s[0] * m / (v + c[3]), {m, v}};
    }
    case UpdateRule::rmsprop: {
      const double v = c[0] * h[0] + c[1] * g * g;
      return {w - s[0] * g / (std::sqrt(v) + c[2]), {v}};
    }
    case UpdateRule::adagrad: {
      const double v = h[0] + g * g;
      return {w - s[0] * g / (std::sqrt(v) + c[0]), {v}};
    }
    case UpdateRule::adadelta: {
      const double v = c[0] * h[0] + c[1] * g * g, d = std::sqrt(h[1] + c[2]) / std::sqrt(v + c[2]) * g;
      return {w - s[0] * d, {v, c[0] * h[1] + c[1] * d * d}};
    }
    case UpdateRule::lion: {
      const double step = c[0] * h[0] + c[1] * g;
      return {w - s[0] * ((step > 0) - (step < 0) + c[4] * w), {c[2] * h[0] + c[3] * g}};
    }
  }
  return {};
}

struct Case {
  UpdateRule rule;
  std::vector<float> constants, scalars;
};
const float kR = static_cast<float>(kRate);
const Case kCases[] = {
    {UpdateRule::sgd, {0}, {kR}},
    {UpdateRule::sgd, {0.1f}, {kR}},
    {UpdateRule::momentum, {0.9f, 0, 1, 0}, {kR}},
    {UpdateRule::momentum, {0.9f, 0.1f, 0.8f, 0}, {kR}},
    {UpdateRule::momentum, {0.9f, 0.1f, 1, 1}, {kR}},
    {UpdateRule::adam, {0.9f, 0.1f, 0.99f, 0.01f, 1e-3f, 0}, {kR, kR, 1}},
    {UpdateRule::adam, {0.9f, 0.1f, 0.99f, 0.01f, 1e-3f, 0.1f}, {kR, 0.2f, 1.5f}},
    {UpdateRule::adamax, {0.9f, 0.1f, 0.99f, 1e-3f}, {kR}},
    {UpdateRule::rmsprop, {0.9f, 0.1f, 1e-3f}, {kR}},
    {UpdateRule::adagrad, {1e-3f}, {kR}},
    {UpdateRule::adadelta, {0.9f, 0.1f, 1e-3f}, {kR}},
    {UpdateRule::lion, {0.9f, 0.1f, 0.99f, 0.01f, 0}, {kR}},
    {UpdateRule::lion, {0.9f, 0.1f, 0.99f, 0.01f, 0.1f}, {kR}},
};

}  // namespace

TEST_CASE("every rule of an update, in place and not, at every length of a tail") {
  std::mt19937 random(20);
  std::normal_distribution<float> normal;
  std::vector<bool> seen(kUpdateRuleCount);
  for (const Case& c : kCases) {
    const UpdateRuleFacts& facts = facts_of(c.rule);
    CAPTURE(facts.name);
    seen[static_cast<size_t>(c.rule)] = true;
    REQUIRE(c.constants.size() == static_cast<size_t>(facts.constants));
    REQUIRE(c.scalars.size() == static_cast<size_t>(facts.scalars));
    UpdateNumbers numbers{};
    std::copy(c.constants.begin(), c.constants.end(), numbers.constants);
    std::copy(c.scalars.begin(), c.scalars.end(), numbers.scalars);
    for (const int n : {0, 1, 3, 4, 5, 15, 16, 17, 100}) {
      std::vector<float> in[4], out[3];
      for (auto& x : in)
        for (int i = 0; i <= n; ++i) x.push_back(normal(random));
      for (auto& x : {&in[2], &in[3]})
        for (float& v : *x) v = std::fabs(v);  // running squares
      for (auto& x : out) x.assign(static_cast<size_t>(n) + 1, 7.0f);
      UpdateRun run{in[0].data(), in[1].data(), {}, out[0].data(), {}};
      for (int s = 0; s < facts.states; ++s) {
        run.state[s] = in[2 + s].data();
        run.new_state[s] = out[1 + s].data();
      }
      update_run(c.rule, numbers, run, n);
      for (int i = 0; i < n; ++i) {
        const auto at = static_cast<size_t>(i);
        const double held[] = {in[2][at], in[3][at]};
        const Element wanted = formula(c.rule, c.constants.data(), c.scalars.data(), in[0][at], in[1][at], held);
        CHECK(out[0][at] == doctest::Approx(wanted.parameter).epsilon(1e-5));
        for (int s = 0; s < facts.states; ++s) CHECK(out[1 + s][at] == doctest::Approx(wanted.state[s]).epsilon(1e-5));
      }
      for (const auto& x : out) CHECK(x.back() == 7.0f);  // nothing beyond the end
      run.new_parameter = in[1].data();
      for (int s = 0; s < facts.states; ++s) run.new_state[s] = in[2 + s].data();
      update_run(c.rule, numbers, run, n);
      for (int k = 0; k <= facts.states; ++k)
        for (int i = 0; i < n; ++i) CHECK(in[1 + k][static_cast<size_t>(i)] == out[k][static_cast<size_t>(i)]);
    }
  }
  for (const bool s : seen) CHECK(s);
}
