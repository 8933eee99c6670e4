// tests/kernels/test_conv_winograd_grad.cpp -- Winograd weight gradients: axes, tails, dilation, layouts, accuracy,
// values not finite
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// Arrays whose pixels, rows and images are `gap` elements further apart than they need to be.
struct Spread {
  Spread(const std::vector<double>& v, int64_t batch, const int64_t (&n)[3], int64_t channels, int64_t gap) {
    stride[3] = channels + gap;
    for (int a = 2; a >= 0; --a) stride[a] = stride[a + 1] * n[a] + gap;
    data.assign(static_cast<size_t>(batch * stride[0]), std::numeric_limits<float>::quiet_NaN());
    size_t i = 0;
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t d = 0; d < n[0]; ++d)
        for (int64_t h = 0; h < n[1]; ++h)
          for (int64_t w = 0; w < n[2]; ++w)
            for (int64_t c = 0; c < channels; ++c)
              data[static_cast<size_t>(b * stride[0] + d * stride[1] + h * stride[2] + w * stride[3] + c)] =
                  static_cast<float>(v[i++]);
  }
  std::vector<float> data;
  int64_t stride[4];
};

CpuPlan plan_of(const ConvGeometry& g, ConvAlgorithm wanted) {
  DeviceFacts facts = cpu_facts();
  facts.wanted = wanted;
  return plan_conv(normalize(g, ConvKind::weight_grad, Dtype::float32), facts);
}

std::vector<double> run(const CpuPlan& plan, const ConvGeometry& g, const std::vector<double>& x,
                        const std::vector<double>& gy, int64_t gap = 0) {
  const Spread xs(x, g.batch, g.in, g.in_channels, gap), gys(gy, g.batch, g.out, g.out_channels, gap);
  std::vector<float> dw(static_cast<size_t>(g.out_channels * product(g.kernel) * (g.in_channels / g.groups)), 1e30f);
  ConvWeightGradOperands a;
  a.x = xs.data.data();
  a.gy = gys.data.data();
  a.dw = dw.data();
  std::copy(xs.stride, xs.stride + 4, a.x_stride);
  std::copy(gys.stride, gys.stride + 4, a.gy_stride);
  run_conv_weight_grad(plan, a);
  return {dw.begin(), dw.end()};
}

std::vector<double> exactly(const ConvGeometry& g, const std::vector<double>& x, const std::vector<double>& gy) {
  std::vector<double> dw(static_cast<size_t>(g.out_channels * product(g.kernel) * (g.in_channels / g.groups)));
  reference_conv_weight_grad(g, x.data(), gy.data(), dw.data());
  return dw;
}

/// Three taps along the last axis or the last two, anything along the others as long as it is one tap.
ConvGeometry random_tiles(std::mt19937_64& rng) {
  ConvGeometry g;
  g.rank = 3;
  g.batch = pick(rng, 1, 6);
  g.in_channels = pick(rng, 1, 70);
  g.out_channels = pick(rng, 1, 40);
  g.flip = pick(rng, 0, 1);
  const int64_t taps = pick(rng, 1, 6);  // by bit: which axes have three
  for (int a = 0; a < 3; ++a) {
    g.kernel[a] = taps >> a & 1 ? 3 : 1;
    g.stride[a] = g.kernel[a] == 3 ? 1 : pick(rng, 1, 2);
    g.dilation[a] = pick(rng, 0, 2) ? 1 : pick(rng, 2, 4);
    g.pad[a] = pick(rng, -1, 4);
    const int64_t high = pick(rng, -1, 4), span = g.dilation[a] * (g.kernel[a] - 1) + 1;
    g.in[a] = pick(rng, 1, a == 0 ? 6 : 15);
    while (g.in[a] + g.pad[a] + high < span) ++g.in[a];
    g.out[a] = (g.in[a] + g.pad[a] + high - span) / g.stride[a] + 1;
  }
  return g;
}

ConvGeometry square(int64_t batch, int64_t size, int64_t c, int64_t o) {
  ConvGeometry g;
  g.batch = batch;
  g.in_channels = c;
  g.out_channels = o;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = g.out[a] = size;
    g.kernel[a] = 3;
    g.pad[a] = 1;
  }
  return g;
}

}  // namespace

TEST_CASE("Winograd weight gradients: axes, tails, dilation and layouts agree with the definition on every thread") {
  Settings settings;
  const Isa most = current_isa();
  const uint64_t base = 20261122;
  int ran = 0;
  for (int i = 0; i < rounds(300); ++i) {
    const uint64_t seed = base + static_cast<uint64_t>(i);
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_tiles(rng);
    const auto x = random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels);
    const auto gy = random_values(rng, Dtype::float32, g.batch * product(g.out) * g.out_channels);
    const auto want = exactly(g, x, gy);
    const int64_t gap = pick(rng, 0, 2) ? 0 : pick(rng, 1, 20);
    for (Isa isa : supported_isas()) {
      if (isa == Isa::baseline) continue;
      set_isa(name(isa));
      set_workspace_limit(pick(rng, 0, 1) ? settings.workspace : size_t(1) << 20);
      const CpuPlan plan = plan_of(g, ConvAlgorithm::winograd_weight_grad);
      if (plan.algorithm != ConvAlgorithm::winograd_weight_grad) continue;
      ++ran;
      set_num_threads(1);
      const auto got = run(plan, g, x, gy, gap);
      CHECK_MESSAGE(l2_error(got, want) < 3e-6, "seed ", seed, " ", describe(plan));
      for (int threads = 2; threads <= 4; ++threads) {
        set_num_threads(threads);
        CHECK_MESSAGE(run(plan, g, x, gy, gap) == got, threads, " threads change bits: seed ", seed);
      }
    }
  }
  if (most >= Isa::avx2) CHECK(ran > enough(250));
}

TEST_CASE("Winograd weight gradients: several ranges, parts and blocks are the same sums") {
  Settings settings;
  struct Case {
    int64_t batch, size, c, o;
    size_t workspace;
  };
  bool parts = false, ranges = false;
  for (const Case& t : {Case{5, 33, 40, 30, size_t(64) << 20}, Case{2, 12, 200, 70, size_t(4) << 20},
                        Case{3, 20, 33, 17, size_t(1) << 20}, Case{1, 7, 100, 129, size_t(64) << 20}}) {
    const ConvGeometry g = square(t.batch, t.size, t.c, t.o);
    set_workspace_limit(t.workspace);
    const CpuPlan plan = plan_of(g, ConvAlgorithm::winograd_weight_grad);
    if (plan.algorithm != ConvAlgorithm::winograd_weight_grad) continue;
    parts |= plan.winograd_grad.parts > 1;
    ranges |= plan.winograd_grad.panels * plan.nr < t.c;
    std::mt19937_64 rng(7);
    const auto x = random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels);
    const auto gy = random_values(rng, Dtype::float32, g.batch * product(g.out) * g.out_channels);
    set_num_threads(1);
    const auto got = run(plan, g, x, gy);
    CHECK_MESSAGE(l2_error(got, exactly(g, x, gy)) < 3e-6, describe(plan));
    for (int threads = 2; threads <= 4; ++threads) {
      set_num_threads(threads);
      CHECK(run(plan, g, x, gy) == got);
    }
  }
  if (current_isa() >= Isa::avx2) CHECK((parts && ranges));
}

TEST_CASE("Winograd weight gradients: the error is at most four times that of the direct sum, whatever the data") {
  for (const ConvGeometry& g :
       {square(2, 28, 48, 32), square(4, 14, 64, 64), square(8, 7, 64, 48), square(2, 8, 32, 32)})
    for (uint64_t seed = 1; seed <= 2; ++seed)
      for (const char* data :
           {"normal", "positive", "large mean", "small gradients", "cancelling", "wide range", "spikes"}) {
        std::mt19937_64 rng(seed);
        std::normal_distribution<double> normal;
        const std::string kind = data;
        const auto fill = [&](std::vector<double>& v, bool is_x) {
          size_t i = 0;
          for (double& e : v) {
            e = normal(rng);
            if (kind == "positive") e = std::fabs(e);
            if (kind == "large mean" && is_x) e += 1000;
            if (kind == "cancelling" && is_x) e += 100;
            if (kind == "small gradients" && !is_x) e *= 1e-6;
            if (kind == "wide range" && is_x) e *= std::pow(10.0, std::uniform_real_distribution<double>(-6, 6)(rng));
            if (kind == "spikes" && is_x && i++ % (4 * 64) < 64) e *= 1e6;
            e = static_cast<float>(e);
          }
        };
        std::vector<double> x(static_cast<size_t>(g.batch * product(g.in) * g.in_channels));
        std::vector<double> gy(static_cast<size_t>(g.batch * product(g.out) * g.out_channels));
        fill(x, true);
        fill(gy, false);
        const CpuPlan plan = plan_of(g, ConvAlgorithm::winograd_weight_grad);
        if (plan.algorithm != ConvAlgorithm::winograd_weight_grad) continue;
        const auto want = exactly(g, x, gy);
        const double direct = l2_error(run(plan_of(g, ConvAlgorithm::weight_grad), g, x, gy), want);
        const double error = l2_error(run(plan, g, x, gy), want);
        CHECK_MESSAGE(error <= 4 * direct, kind, " seed ", seed, ": ", error, ", direct ", direct);
      }
}

TEST_CASE("Winograd weight gradients: NaN, inf and overflow reach what they reach in the definition") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const ConvGeometry g = square(2, 13, 20, 33);
  const CpuPlan plan = plan_of(g, ConvAlgorithm::winograd_weight_grad);
  if (plan.algorithm != ConvAlgorithm::winograd_weight_grad) return;
  for (double bad : {nan, inf, -inf, 3e38})
    for (bool in_x : {true, false}) {
      std::mt19937_64 rng(4);
      auto x = random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels);
      auto gy = random_values(rng, Dtype::float32, g.batch * product(g.out) * g.out_channels);
      (in_x ? x : gy)[static_cast<size_t>(7 * 13 * (in_x ? 20 : 33) + 5)] = bad;
      const auto got = run(plan, g, x, gy), direct = run(plan_of(g, ConvAlgorithm::weight_grad), g, x, gy);
      int finite = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        finite += std::isfinite(direct[i]);
        if (std::isfinite(direct[i])) CHECK(std::isfinite(got[i]));
        if (std::isnan(direct[i])) CHECK(std::isnan(got[i]));
        if (std::isinf(direct[i])) CHECK(got[i] == direct[i]);
      }
      CHECK(finite > 0);
    }
}

TEST_CASE("Winograd weight gradients: what they cannot compute is refused") {
  const auto taken = [](const ConvGeometry& g, Dtype t = Dtype::float32) {
    DeviceFacts facts = cpu_facts();
    facts.wanted = ConvAlgorithm::winograd_weight_grad;
    return plan_conv(normalize(g, ConvKind::weight_grad, t), facts).algorithm == ConvAlgorithm::winograd_weight_grad;
  };
  const ConvGeometry g = square(2, 16, 32, 32);
  CHECK(taken(g) == (current_isa() != Isa::baseline));
  CHECK_FALSE(taken(g, Dtype::float64));
  CHECK_FALSE(taken(g, Dtype::bfloat16));
  ConvGeometry other = g;
  other.groups = 2;
  CHECK_FALSE(taken(other));
  other = g;
  other.highest_precision = true;
  CHECK_FALSE(taken(other));
  other = g;
  other.in_dilation[2] = 2;
  CHECK_FALSE(taken(other));
  other = g;
  other.kernel[0] = 3;
  CHECK_FALSE(taken(other));
  other = g;
  other.stride[1] = other.stride[2] = 2;
  CHECK_FALSE(taken(other));
  other = g;
  other.kernel[1] = other.kernel[2] = 2;
  CHECK_FALSE(taken(other));
  CHECK_FALSE(taken(square(1, 8, 32, 32)));  // four tiles are too short a sum
}
