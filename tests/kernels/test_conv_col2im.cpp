// tests/kernels/test_conv_col2im.cpp -- products of inputs with all taps, gathered by outputs, against the reference
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// Few outputs, a stride of the transposed convolution, any padding.
ConvGeometry few_outputs(std::mt19937_64& rng, ConvKind kind) {
  ConvGeometry g;
  const bool back = kind == ConvKind::input_grad;
  g.batch = pick(rng, 1, 3);
  (back ? g.out_channels : g.in_channels) = pick(rng, 1, 40);
  (back ? g.in_channels : g.out_channels) = pick(rng, 1, 12);
  g.flip = back ? false : pick(rng, 0, 1);
  const int rank = g.rank = static_cast<int>(pick(rng, 1, 3));
  for (int a = 3 - rank; a < 3; ++a) {
    const int64_t k = g.kernel[a] = pick(rng, 2, 6), step = pick(rng, 1, 4),
                  in = pick(rng, 1,
                            a == 2   ? 90
                            : a == 1 ? 9
                                     : 4);
    const int64_t dilation = g.dilation[a] = a < 2 ? pick(rng, 1, 2) : 1, reach = dilation * (k - 1);
    int64_t low = pick(rng, -2, reach + 2), out = step * (in - 1) + 1 + low + pick(rng, -1, reach) - reach;
    if (out < 1) low += 1 - out, out = 1;
    (back ? g.out : g.in)[a] = in;
    (back ? g.in : g.out)[a] = out;
    (back ? g.stride : g.in_dilation)[a] = step;
    g.pad[a] = back ? reach - low : low;
  }
  return g;
}

}  // namespace

TEST_CASE("gathered products agree with the definition, for any number of threads") {
  Settings settings;
  int ran = 0;
  for (uint64_t seed = 1; seed < 1 + rounds(200u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvKind kind = seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward;
    const ConvGeometry g = few_outputs(rng, kind);
    const Activation activation = std::array{Activation::none, Activation::relu, Activation::silu}[pick(rng, 0, 2)];
    const bool has_bias = pick(rng, 0, 1);
    const ConvProblem q = normalize(g, kind, Dtype::float32);
    const std::vector<double> x = random_values(rng, Dtype::float32, q.batch * product(q.in) * q.c);
    const std::vector<double> w =
        random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * g.in_channels);
    const std::vector<double> bias = random_values(rng, Dtype::float32, has_bias ? q.o : 0);
    std::vector<double> want(static_cast<size_t>(q.batch * product(q.out) * q.o));
    kind == ConvKind::forward ? reference_conv(g, x.data(), w.data(), want.data())
                              : reference_conv_input_grad(g, x.data(), w.data(), want.data());
    reference_epilogue(activation, has_bias ? bias.data() : nullptr, q.batch * product(q.out), q.o, want.data());
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      const CpuPlan plan = forced_plan(ConvAlgorithm::col2im, g, kind, has_bias, activation);
      if (plan.algorithm != ConvAlgorithm::col2im) continue;
      ++ran;
      set_num_threads(1);
      const Stored got = run_apart(plan, x, w, bias, pick(rng, 0, 1));
      double worst = 0;
      const double scale = 4 * std::sqrt(static_cast<double>(q.c * product(q.kernel)));
      for (size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(got.get(i) - want[i]) / tolerance(Dtype::float32, scale, want[i]);
        worst = error <= worst ? worst : error;
      }
      CHECK_MESSAGE(worst <= 1, "seed ", seed, " ", describe(plan));
      set_num_threads(3);
      CHECK_MESSAGE(same_bits(got, run_apart(plan, x, w, bias, 0)), "seed ", seed, " ", describe(plan));
    }
  }
  CHECK(ran > enough(300));
}

TEST_CASE("gathered products pass NaN on where the definition does") {
  Settings settings;
  ConvGeometry g;
  g.in_channels = 20;
  g.out_channels = 3;
  for (int a = 1; a < 3; ++a) g.in[a] = 9, g.out[a] = 18, g.kernel[a] = 4, g.in_dilation[a] = 2, g.pad[a] = 2;
  std::mt19937_64 rng(4);
  std::vector<double> x = random_values(rng, Dtype::float32, 81 * 20);
  const std::vector<double> w = random_values(rng, Dtype::float32, 3 * 16 * 20);
  for (const int64_t pixel : {0, 8, 40, 80}) {
    const double kept = std::exchange(x[static_cast<size_t>(pixel * 20 + 7)], std::numeric_limits<double>::quiet_NaN());
    std::vector<double> want(18 * 18 * 3);
    reference_conv(g, x.data(), w.data(), want.data());
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      const CpuPlan plan = forced_plan(ConvAlgorithm::col2im, g);
      REQUIRE(plan.algorithm == ConvAlgorithm::col2im);
      const Stored got = run_apart(plan, x, w, {}, 0);
      int differ = 0;
      for (size_t i = 0; i < want.size(); ++i) differ += std::isnan(got.get(i)) != std::isnan(want[i]);
      CHECK_MESSAGE(differ == 0, "pixel ", pixel, " isa ", isa);
    }
    x[static_cast<size_t>(pixel * 20 + 7)] = kept;
  }
}

TEST_CASE("the planner gathers products of few outputs, and says why it does not") {
  DeviceFacts f;
  f.isa = Isa::avx512;
  ConvGeometry g;
  g.in_channels = 128;
  g.out_channels = 3;
  for (int a = 1; a < 3; ++a) g.in[a] = 32, g.out[a] = 64, g.kernel[a] = 4, g.in_dilation[a] = 2, g.pad[a] = 2;
  CHECK(plan_conv(normalize(g, ConvKind::forward, Dtype::float32), f).algorithm == ConvAlgorithm::col2im);
  const auto why = [&](const ConvGeometry& other, Dtype t) -> std::string {
    for (const Rejected& r : plan_conv(normalize(other, ConvKind::forward, t), f).rejected)
      if (r.algorithm == ConvAlgorithm::col2im) return r.why;
    return "";
  };
  CHECK(why(g, Dtype::float64) == "not float32");
  ConvGeometry other = g;
  other.in_channels = 5000;
  CHECK(why(other, Dtype::float32) == "the sums are too long");
  other = g;
  other.out_channels = 2048;
  CHECK(why(other, Dtype::float32) == "the weights exceed L2");
  other = g;
  other.in_channels = 1, other.out_channels = 100;
  for (int a = 1; a < 3; ++a) other.kernel[a] = 30, other.pad[a] = 29;
  CHECK(why(other, Dtype::float32) == "the products of a task exceed L3");
}
