// tests/kernels/test_conv_dot_groups.cpp -- dot tiles of several groups at a time against the reference
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/conv_testing.h"
#include "plan/conv_dot.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// Of few channels and outputs; one to three axes, strided, dilated, or the gradient of a strided one.
ConvGeometry few_outputs(std::mt19937_64& rng) {
  ConvGeometry g;
  g.rank = static_cast<int>(pick(rng, 1, 3));
  g.batch = pick(rng, 1, 2);
  g.groups = pick(rng, 2, 13);
  g.in_channels = g.groups * std::array{2, 4, 4, 5, 8, 8, 12, 16, 20, 33}[pick(rng, 0, 9)];
  g.out_channels = g.groups * pick(rng, 1, 4);
  g.flip = pick(rng, 0, 1);
  for (int a = 3 - g.rank; a < 3; ++a) {
    g.kernel[a] = pick(rng, 1, 3);
    g.stride[a] = pick(rng, 1, 3);
    g.dilation[a] = pick(rng, 1, 2);
    g.pad[a] = pick(rng, 0, 2);
    const int64_t span = g.dilation[a] * (g.kernel[a] - 1) + 1;
    g.in[a] = span + pick(rng, 0, a == 2 ? 40 : 6);
    g.out[a] = (g.in[a] + 2 * g.pad[a] - span) / g.stride[a] + 1;
  }
  return g;
}

}  // namespace

TEST_CASE("dot tiles of several groups agree with the definition, for any number of threads") {
  Settings settings;
  std::array<int, kDotSegments + 1> ran{};
  for (uint64_t seed = 1; seed < 1 + rounds(400u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = few_outputs(rng);
    const ConvKind kind = seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward;
    const Activation activation = std::array{Activation::none, Activation::relu6, Activation::silu}[pick(rng, 0, 2)];
    const bool has_bias = pick(rng, 0, 1);
    const ConvProblem q = normalize(g, kind, Dtype::float32);
    const int64_t pixels = q.batch * product(q.out), channels = q.groups * q.o;
    const std::vector<double> x = random_values(rng, Dtype::float32, q.batch * product(q.in) * q.groups * q.c);
    const std::vector<double> w =
        random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * g.in_channels / g.groups);
    const std::vector<double> bias = random_values(rng, Dtype::float32, has_bias ? channels : 0);
    std::vector<double> want(static_cast<size_t>(pixels * channels));
    kind == ConvKind::forward ? reference_conv(g, x.data(), w.data(), want.data())
                              : reference_conv_input_grad(g, x.data(), w.data(), want.data());
    reference_epilogue(activation, has_bias ? bias.data() : nullptr, pixels, channels, want.data());
    const double scale = 4 * std::sqrt(static_cast<double>(q.c * product(q.kernel)));
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      const CpuPlan plan = forced_plan(ConvAlgorithm::dot, g, kind, has_bias, activation);
      if (dot_segments(plan) == 0) continue;
      ++ran[static_cast<size_t>(dot_segments(plan))];
      set_num_threads(1);
      const Stored got = run_apart(plan, x, w, bias, pick(rng, 0, 1));
      double worst = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(got.get(i) - want[i]) / tolerance(Dtype::float32, scale, want[i]);
        worst = error <= worst ? worst : error;
      }
      CHECK_MESSAGE(worst <= 1, "seed ", seed, " ", describe(plan));
      set_num_threads(3);
      CHECK_MESSAGE(same_bits(got, run_apart(plan, x, w, bias, 0)), "seed ", seed, " ", describe(plan));
    }
  }
  for (const std::string& isa : isa_choices())
    for (int s : {1, 2, 4}) {
      set_isa(isa);
      if (has_dot_segments(s, static_cast<int>(conv_tile(current_isa(), false).vector_bytes) / 4))
        CHECK(ran[static_cast<size_t>(s)] > 10);
    }
}

TEST_CASE("a NaN reaches its own group alone") {
  Settings settings;
  for (const int64_t c : {4, 8, 12, 16, 20})
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      ConvGeometry g;
      g.groups = 9;
      g.in_channels = 9 * c;
      g.out_channels = 9;
      g.in[2] = g.out[2] = 21;
      g.kernel[2] = 3;
      g.pad[2] = 1;
      const CpuPlan plan = forced_plan(ConvAlgorithm::dot, g);
      if (dot_segments(plan) == 0) continue;
      std::mt19937_64 rng(3);
      std::vector<double> x = random_values(rng, Dtype::float32, 21 * 9 * c);
      const std::vector<double> w = random_values(rng, Dtype::float32, 9 * 3 * c);
      for (const int64_t group : {0, 4, 7, 8})
        for (const int64_t channel : {int64_t(0), c - 1}) {
          const size_t at = static_cast<size_t>((10 * 9 + group) * c + channel);
          const double kept = std::exchange(x[at], std::numeric_limits<double>::quiet_NaN());
          const Stored got = run_apart(plan, x, w, {}, 0);
          x[at] = kept;
          int differ = 0;
          for (int64_t p = 0; p < 21; ++p)
            for (int64_t o = 0; o < 9; ++o)
              differ += std::isnan(got.get(static_cast<size_t>(p * 9 + o))) != (o == group && p >= 9 && p <= 11);
          CHECK_MESSAGE(differ == 0, "isa ", isa, " c ", c, " group ", group);
        }
    }
}
