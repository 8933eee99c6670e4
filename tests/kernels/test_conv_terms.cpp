// tests/kernels/test_conv_terms.cpp -- outputs that leave two vectors a quarter empty, whose sums hold two terms side
// by side: every tile, odd channels, groups, residuals
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/conv_each_isa.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// The outputs of a plan that adds `residual`, which lies behind them.
std::vector<double> run_beside(const CpuPlan& plan, const Wanted& want, const std::vector<double>& residual) {
  const ConvProblem& q = plan.problem;
  const Stored x(Dtype::float32, want.x), w(Dtype::float32, want.w), bias(Dtype::float32, want.bias);
  const size_t n = residual.size();
  Stored y(Dtype::float32, 2 * n);
  for (size_t i = 0; i < n; ++i) y.set(n + i, residual[i]);
  ConvOperands a;
  set_strides(a.x_stride, q.in, q.groups * q.c);
  a.x = x.data();
  a.w = w.data();
  a.bias = bias.data();
  a.y = y.data();
  a.residual_from_y = static_cast<int64_t>(n);
  run_conv(plan, a);
  std::vector<double> got(n);
  for (size_t i = 0; i < n; ++i) got[i] = y.get(i);
  return got;
}

void check(uint64_t seed, const ConvGeometry& g) {
  std::mt19937_64 rng(seed);
  const Wanted want(rng, g, ConvKind::forward, true, Activation::none);
  const std::vector<double> residual = random_values(rng, Dtype::float32, static_cast<int64_t>(want.y.size()));
  const double scale = 4 * std::sqrt(static_cast<double>(want.q.c * product(want.q.kernel)));
  const CpuPlan plan = forced_plan(ConvAlgorithm::direct, g, ConvKind::forward, true, Activation::relu);
  REQUIRE(plan.algorithm == ConvAlgorithm::direct);
  CHECK(plan.terms == (plan.lanes == 16));
  set_num_threads(1);
  const std::vector<double> got = run_beside(plan, want, residual);
  for (size_t i = 0; i < got.size(); ++i) {
    const double y = std::max(want.y[i] + residual[i], 0.0);
    CHECK_MESSAGE(std::fabs(got[i] - y) <= tolerance(Dtype::float32, scale, y), "seed ", seed, " ", describe(plan));
  }
  set_num_threads(3);
  CHECK(run_beside(plan, want, residual) == got);
}

}  // namespace

TEST_CASE("two terms side by side: every tile and odd channels, with a residual") {
  Settings settings;
  for (int64_t n = 1; n <= tails(18); ++n)
    for (const int64_t o : {17, 20, 24})
      for (const int64_t groups : {1, 2}) {
        const int64_t c = 3 + n % 4;
        check(static_cast<uint64_t>(n * 100 + o), image(c * groups, o * groups, groups, 3, n, 3));
      }
  check(1, image(256, 18, 1, 5, 7, 3));    // weights beyond L1
  check(2, image(1024, 20, 1, 5, 18, 1));  // pixels a page apart
}

#if !defined(NHWC_MINIMAL)
TEST_CASE("two terms side by side: which sums have them") {
  const auto terms = [](int64_t c, int64_t o, int64_t k, int lanes = 16) {
    return has_terms(normalize(image(c, o, 1, 9, 9, k), ConvKind::forward, Dtype::float32), lanes);
  };
  for (int64_t o = 1; o <= 33; ++o) CHECK(terms(32, o, 3) == (o > 16 && o <= 24));
  CHECK(!terms(1, 20, 5));
  CHECK(terms(2, 20, 5));
  CHECK(!terms(23, 20, 1));
  CHECK(terms(24, 20, 1));
  CHECK(terms(4096, 20, 1));
  CHECK(!terms(4097, 20, 1));
  CHECK(!terms(32, 20, 3, 8));
}
#endif
