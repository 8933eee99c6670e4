// tests/kernels/test_conv_blas.cpp -- convolutions on the system's matrix product, and when the planner takes it
#include <doctest/doctest.h>

#include <array>
#include <string>

#include "base/blas.h"
#include "base/thread_pool.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// Runs the plan on one thread and on three; says how it differs from the definition.
void check(const CpuPlan& plan, const ConvGeometry& g, ConvKind kind, std::mt19937_64& rng, const std::string& what) {
  const ConvProblem& q = plan.problem;
  const auto x = random_values(rng, Dtype::float32, q.batch * product(q.in) * q.c);
  const auto w = random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * g.in_channels);
  const auto bias = random_values(rng, Dtype::float32, q.has_bias ? q.o : 0);
  std::vector<double> want(static_cast<size_t>(q.batch * product(q.out) * q.o));
  kind == ConvKind::forward ? reference_conv(g, x.data(), w.data(), want.data())
                            : reference_conv_input_grad(g, x.data(), w.data(), want.data());
  reference_epilogue(q.activation, q.has_bias ? bias.data() : nullptr, q.batch * product(q.out), q.o, want.data());
  const int64_t gap = pick(rng, 0, 1) * pick(rng, 1, 9);
  set_num_threads(1);
  const Stored got = run_apart(plan, x, w, bias, gap);
  std::vector<double> values(want.size());
  for (size_t i = 0; i < want.size(); ++i) values[i] = got.get(i);
  CHECK_MESSAGE(l2_error(values, want) < 3e-6, what, " ", describe(plan));
  set_num_threads(3);
  CHECK_MESSAGE(same_bits(got, run_apart(plan, x, w, bias, gap)), what, " on three threads ", describe(plan));
}

ConvGeometry square(int64_t c, int64_t o, int64_t side, int64_t kernel) {
  ConvGeometry g;
  g.in_channels = c;
  g.out_channels = o;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = g.out[a] = side;
    g.kernel[a] = kernel;
    g.pad[a] = kernel / 2;
  }
  return g;
}

/// What is chosen for a problem of a processor that is not this one, whose build has a BLAS.
ConvAlgorithm chosen(const ConvGeometry& g, const char* machine, bool blas = true, bool batch_invariant = false) {
  DeviceFacts f;
  f.isa = Isa::neon;
  f.machine = find_machine(machine);
  REQUIRE(f.machine);
  f.l1d = 128 << 10;
  f.l2 = 3 << 20;
  f.l3 = 12 << 20;
  f.blas = blas;
  f.batch_invariant = batch_invariant;
  return plan_conv(normalize(g, ConvKind::forward, Dtype::float32), f).algorithm;
}

}  // namespace

TEST_CASE("convolutions on the system's matrix product agree with the definition, for any number of threads") {
  if (!has_blas()) return;
  Settings settings;
  int ran = 0;
  for (uint64_t seed = 1; seed < 1 + rounds(300u); ++seed) {
    std::mt19937_64 rng(seed);
    ConvGeometry g = random_geometry(rng);
    g.in_channels /= g.groups;
    g.out_channels /= g.groups;
    g.groups = 1;
    const ConvKind kind = seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward;
    const Activation activation = std::array{Activation::none, Activation::relu, Activation::silu}[pick(rng, 0, 2)];
    CpuPlan plan = forced_plan(ConvAlgorithm::blas, g, kind, pick(rng, 0, 1), activation);
    if (plan.algorithm != ConvAlgorithm::blas) continue;
    ++ran;
    plan.blas.rows = pick(rng, 0, 1) ? plan.blas.rows : pick(rng, 1, 40);
    plan.blas.at_once = pick(rng, 1, plan.blas.at_once);
    check(plan, g, kind, rng, "seed " + std::to_string(seed));
  }
  CHECK(ran > enough(100));
}

TEST_CASE("long sums go in pieces to the matrix product, many outputs in panels that are packed one by one") {
  if (!has_blas()) return;
  Settings settings;
  std::mt19937_64 rng(5);
  for (const ConvGeometry& g : {square(600, 20, 5, 3), square(8, 1030, 6, 1), square(40, 700, 7, 3)}) {
    CpuPlan plan = forced_plan(ConvAlgorithm::blas, g, ConvKind::forward, true, Activation::relu6);
    REQUIRE(plan.algorithm == ConvAlgorithm::blas);
    CHECK((plan.blas.at_once < plan.problem.kernel[1] || plan.blas.panel < g.out_channels));
    check(plan, g, ConvKind::forward, rng, "all panels");
    plan.pack_bytes = 1;
    check(plan, g, ConvKind::forward, rng, "one panel at a time");
  }
}

TEST_CASE("the matrix product is taken for dense convolutions where there is a matrix unit, and nowhere else") {
  for (const char* machine : {"apple_m1", "apple_m4"}) {
    CHECK(chosen(square(128, 128, 28, 3), machine) == ConvAlgorithm::blas);
    CHECK(chosen(square(256, 64, 56, 1), machine) == ConvAlgorithm::blas);
    CHECK(chosen(square(64, 64, 3, 1), machine) != ConvAlgorithm::blas);  // small
    CHECK(chosen(square(3, 3, 112, 3), machine) != ConvAlgorithm::blas);  // few channels
    ConvGeometry depthwise = square(96, 96, 56, 3), grouped = square(128, 128, 28, 3);
    depthwise.groups = 96;
    grouped.groups = 32;
    CHECK(chosen(depthwise, machine) == ConvAlgorithm::depthwise);
    CHECK(chosen(grouped, machine) != ConvAlgorithm::blas);
    CHECK(chosen(square(128, 128, 28, 3), machine, false) != ConvAlgorithm::blas);
    CHECK(chosen(square(128, 128, 28, 3), machine, true, true) != ConvAlgorithm::blas);
  }
  CHECK(chosen(square(128, 128, 28, 3), "neoverse_v1") != ConvAlgorithm::blas);
}
