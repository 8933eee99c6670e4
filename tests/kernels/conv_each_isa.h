// tests/kernels/conv_each_isa.h -- a float32 convolution by one algorithm on every instruction set, beside the
// reference
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <utility>

#include "kernels/conv_testing.h"

namespace nhwc::testing {

/// What the reference says, and how far a result may be from it.
struct Wanted {
  Wanted(std::mt19937_64& rng, const ConvGeometry& g, ConvKind kind, bool has_bias, Activation activation)
      : q(normalize(g, kind, Dtype::float32)) {
    const int64_t in = q.batch * product(q.in) * q.groups * q.c, pixels = q.batch * product(q.out);
    x = random_values(rng, Dtype::float32, in);
    w = random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * g.in_channels / g.groups);
    bias = random_values(rng, Dtype::float32, has_bias ? q.groups * q.o : 0);
    y.resize(static_cast<size_t>(pixels * q.groups * q.o));
    kind == ConvKind::forward ? reference_conv(g, x.data(), w.data(), y.data())
                              : reference_conv_input_grad(g, x.data(), w.data(), y.data());
    reference_epilogue(activation, has_bias ? bias.data() : nullptr, pixels, q.groups * q.o, y.data());
  }
  double worst(const Stored& got) const {
    const double scale = 4 * std::sqrt(static_cast<double>(q.c * product(q.kernel)));
    double most = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double error = std::fabs(got.get(i) - y[i]) / tolerance(Dtype::float32, scale, y[i]);
      most = error <= most ? most : error;
    }
    return most;
  }
  ConvProblem q;
  std::vector<double> x, w, bias, y;
};

/// Checks an algorithm on every instruction set, one thread and three; how many sets it ran on.
inline int check_each_isa(ConvAlgorithm algorithm, std::mt19937_64& rng, uint64_t seed, const ConvGeometry& g,
                          ConvKind kind) {
  const Activation activation = std::array{Activation::none, Activation::relu, Activation::silu}[pick(rng, 0, 2)];
  const bool has_bias = pick(rng, 0, 1) && normalize(g, kind, Dtype::float32).fold == 1;
  const Wanted want(rng, g, kind, has_bias, activation);
  int ran = 0;
  for (const std::string& isa : isa_choices()) {
    set_isa(isa);
    const CpuPlan plan = forced_plan(algorithm, g, kind, has_bias, activation);
    if (plan.algorithm != algorithm) continue;
    ++ran;
    set_num_threads(1);
    const Stored got = run_apart(plan, want.x, want.w, want.bias, pick(rng, 0, 1));
    CHECK_MESSAGE(want.worst(got) <= 1, "seed ", seed, " ", describe(plan));
    set_num_threads(3);
    CHECK_MESSAGE(same_bits(got, run_apart(plan, want.x, want.w, want.bias, 0)), "seed ", seed, " ", describe(plan));
  }
  return ran;
}

inline ConvGeometry image(int64_t in, int64_t out, int64_t groups, int64_t h, int64_t w, int64_t k) {
  ConvGeometry g;
  g.in_channels = in;
  g.out_channels = out;
  g.groups = groups;
  g.in[1] = g.out[1] = h;
  g.in[2] = g.out[2] = w;
  for (int a = 1; a < 3; ++a) g.kernel[a] = k, g.pad[a] = k / 2, g.out[a] = g.in[a] + 2 * g.pad[a] - k + 1;
  return g;
}

}  // namespace nhwc::testing
