// tests/kernels/test_conv_small_caches.cpp -- what large convolutions do (streams, fetches ahead, cuts) on small ones:
// plans for a machine with hardly any cache
#include <doctest/doctest.h>

#include "base/blas.h"
#include "base/thread_pool.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// Channels that fill whole vectors, in all or in each group, as often as not.
ConvGeometry usual_channels(ConvGeometry g, std::mt19937_64& rng) {
  int64_t c = g.in_channels / g.groups, o = g.out_channels / g.groups;
  const int64_t kind = pick(rng, 0, 4);
  if (c == 1 && o == 1 && g.groups > 1) {
    if (kind < 3) g.groups = pick(rng, 1, 5) * 16;
  } else if (kind == 0) {
    o = pick(rng, 1, 6) * 16;
  } else if (kind == 1) {  // groups that begin anywhere
    g.groups = 4;
    o = pick(rng, 1, 20) * 4;
  } else if (kind == 2) {
    c = o = pick(rng, 1, 3) * 16;
  }
  g.in_channels = g.groups * c;
  g.out_channels = g.groups * o;
  return g;
}

/// The outputs, which begin at a line of the cache.
std::vector<double> outputs(const CpuPlan& plan, const Stored& x, const Stored& w, const Stored& bias) {
  const ConvProblem& q = plan.problem;
  const size_t n = static_cast<size_t>(q.batch * product(q.out) * q.groups * q.o);
  const Scratch y(n * sizeof(float) + 64);
  std::memset(y.as<char>(), 0x7f, n * sizeof(float));
  ConvOperands a;
  set_strides(a.x_stride, q.in, q.groups * q.c);
  a.x = x.data();
  a.w = w.data();
  a.bias = bias.data();
  a.y = y.as<float>();
  run_conv(plan, a);
  return {y.as<float>(), y.as<float>() + n};
}

}  // namespace

TEST_CASE("a machine with hardly any cache: every algorithm agrees with the definition") {
  Settings settings;
  const uint64_t base = 20261122;
  int ran[32] = {}, streamed = 0, all = 0;
  for (int i = 0; i < rounds(400); ++i) {
    const uint64_t seed = base + static_cast<uint64_t>(i);
    std::mt19937_64 rng(seed);
    const ConvGeometry g = usual_channels(random_geometry(rng), rng);
    const auto x = random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels);
    const auto w = random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * (g.in_channels / g.groups));
    const auto bias = random_values(rng, Dtype::float32, g.out_channels);
    const Stored xs(Dtype::float32, x), ws(Dtype::float32, w), bs(Dtype::float32, bias);
    ConvProblem q = normalize(g, ConvKind::forward, Dtype::float32);
    q.has_bias = true;
    std::vector<double> want(static_cast<size_t>(g.batch * product(g.out) * g.out_channels));
    reference_conv(g, x.data(), w.data(), want.data());
    reference_epilogue(Activation::none, bias.data(), g.batch * product(g.out), g.out_channels, want.data());
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      DeviceFacts f = cpu_facts();
      f.l1d = 2 << 10;
      f.l2 = 8 << 10;
      f.l3 = 16 << 10;
      for (int a = 0; a <= static_cast<int>(ConvAlgorithm::blas); ++a) {
        f.wanted = static_cast<ConvAlgorithm>(a);
        const CpuPlan plan = plan_conv(q, f);
        if (plan.algorithm != *f.wanted) continue;
        set_num_threads(1);
        const auto got = outputs(plan, xs, ws, bs);
        CHECK_MESSAGE(l2_error(got, want) < 3e-6, "seed ", seed, " isa ", isa, " ", describe(plan));
        set_num_threads(3);
        CHECK_MESSAGE(outputs(plan, xs, ws, bs) == got, "three threads, seed ", seed, " isa ", isa, " ",
                      describe(plan));
        ++ran[a];
        ++all;
        streamed += plan.stream;
      }
    }
  }
  MESSAGE(all, " plans, ", streamed, " of them past the caches");
  for (int a = 1; a <= static_cast<int>(ConvAlgorithm::blas) - !has_blas(); ++a) {
    const auto algorithm = static_cast<ConvAlgorithm>(a);
    if (algorithm == ConvAlgorithm::diagonal && !has_diagonals()) continue;
    CHECK_MESSAGE((ran[a] > enough(0) || current_isa() == Isa::baseline), name(algorithm));
  }
  if (current_isa() == Isa::avx512) CHECK(streamed > enough(50));
}
