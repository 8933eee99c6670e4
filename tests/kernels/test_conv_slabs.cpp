// tests/kernels/test_conv_slabs.cpp -- half types, slab by slab or in place, against the reference
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "base/divide.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

constexpr Dtype kHalves[] = {Dtype::bfloat16, Dtype::float16};
constexpr ConvAlgorithm kAlgorithms[] = {ConvAlgorithm::direct,    ConvAlgorithm::merged,  ConvAlgorithm::dot,
                                         ConvAlgorithm::depthwise, ConvAlgorithm::grouped, ConvAlgorithm::winograd4,
                                         ConvAlgorithm::winograd6, ConvAlgorithm::fft,     ConvAlgorithm::col2im,
                                         ConvAlgorithm::planar,    ConvAlgorithm::diagonal};

std::vector<double> absolute(std::vector<double> v) {
  for (double& e : v) e = std::fabs(e);
  return v;
}

/// A convolution of a half type, and what the reference says.
struct HalfCase {
  HalfCase(std::mt19937_64& rng, const ConvGeometry& geometry, ConvKind k, Dtype t, bool has_bias, Activation f)
      : g(geometry), kind(k), q(normalize(g, k, t)) {
    q.activation = f;
    q.has_bias = has_bias;
    x = random_values(rng, t, q.batch * product(q.in) * q.groups * q.c);
    w = random_values(rng, t, g.out_channels * product(g.kernel) * g.in_channels / g.groups);
    bias = random_values(rng, t, has_bias ? q.groups * q.o / q.fold : 0);
    want = reference(x, w);
    const std::vector<double> sums = reference(absolute(x), absolute(w));
    for (double s : sums) scale = std::max(scale, s);
    if (!has_bias && f == Activation::none) return;
    const int64_t n = k == ConvKind::forward ? g.out_channels : g.in_channels;
    reference_epilogue(f, has_bias ? bias.data() : nullptr, static_cast<int64_t>(want.size()) / n, n, want.data());
  }
  std::vector<double> reference(const std::vector<double>& a, const std::vector<double>& b) const {
    std::vector<double> y(static_cast<size_t>(q.batch * product(q.out) * q.groups * q.o));
    kind == ConvKind::forward ? reference_conv(g, a.data(), b.data(), y.data())
                              : reference_conv_input_grad(g, a.data(), b.data(), y.data());
    return y;
  }
  /// In slabs of about so many bytes, weights packed in one go or panel by panel.
  CpuPlan plan(ConvAlgorithm algorithm, size_t bytes, bool by_panel) const {
    DeviceFacts f = cpu_facts();
    f.wanted = algorithm;
    f.bf16_dot = false;
    f.l3 = std::min(f.l3, 8 * bytes);
    CpuPlan p = plan_conv(q, f);
    if (by_panel) p.pack_bytes = 1;
    return p;
  }
  double worst(const Stored& got) const {
    double most = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double error = std::fabs(got.get(i) - want[i]) / tolerance(q.dtype, scale, want[i]);
      most = error <= most ? most : error;  // a NaN error is kept
    }
    return most;
  }
  ConvGeometry g;
  ConvKind kind;
  ConvProblem q;
  std::vector<double> x, w, bias, want;
  double scale = 0;
};

/// Checks every algorithm that takes the problem; which of them ran in several slabs.
void check(const HalfCase& c, std::mt19937_64& rng, uint64_t seed, std::set<ConvAlgorithm>& ran) {
  Settings settings;
  const std::vector<std::string>& isas = isa_choices();
  for (ConvAlgorithm algorithm : kAlgorithms) {
    set_isa(isas[static_cast<size_t>(pick(rng, 0, static_cast<int64_t>(isas.size()) - 1))]);
    const bool by_panel = pick(rng, 0, 2) == 0;
    const CpuPlan p = c.plan(algorithm, size_t(1) << pick(rng, 9, 18), by_panel);
    if (p.algorithm != algorithm) continue;
    const SlabCut& cut = p.slabs;
    REQUIRE(cut.images > 0);
    if (cut.images < c.q.batch || !std::equal(cut.out, cut.out + 3, c.q.out)) ran.insert(algorithm);
    const int64_t gap = pick(rng, 0, 2) ? 0 : pick(rng, 1, 3);
    set_num_threads(1);
    const Stored got = run_apart(p, c.x, c.w, c.bias, gap);
    const std::string text = "seed " + std::to_string(seed) + " " + describe(p) + " slabs of " +
                             std::to_string(cut.images) + " " + std::to_string(cut.out[0]) + "x" +
                             std::to_string(cut.out[1]) + "x" + std::to_string(cut.out[2]);
    CHECK_MESSAGE(c.worst(got) <= 1, text, " by panel ", by_panel);
    set_num_threads(3);
    CHECK_MESSAGE(same_bits(got, run_apart(p, c.x, c.w, c.bias, gap)), text, " threads");
  }
}

}  // namespace

TEST_CASE("conv slabs: every output meets the inputs of the definition") {
  for (uint64_t seed = 1; seed < 1 + rounds(4000u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvProblem q =
        normalize(random_geometry(rng), pick(rng, 0, 1) ? ConvKind::forward : ConvKind::input_grad, Dtype::bfloat16);
    size_t wrong = 0;
    for (int a = 0; a < 3; ++a) {
      const int64_t unit = slab_unit(q, a), begin = pick(rng, 0, (q.out[a] - 1) / unit) * unit;
      const int64_t n = pick(rng, 1, q.out[a] - begin + 2);
      const SlabAxis slab = slab_axis(q, a, begin, n);
      wrong += slab.count < 1 || slab.first < 0 || slab.first + (slab.count - 1) * slab.step >= q.in[a];
      for (int64_t o = 0; o < std::min(n, q.out[a] - begin); ++o)
        for (int64_t k = 0; k < q.kernel[a]; ++k) {
          const auto input = [&](int64_t t, int64_t size) {
            return t < 0 || t % q.in_dilation[a] != 0 || t / q.in_dilation[a] >= size ? -1 : t / q.in_dilation[a];
          };
          const int64_t want = input((begin + o) * q.stride[a] + k * q.dilation[a] - q.pad[a], q.in[a]);
          const int64_t got = input(o * slab.stride + k * q.dilation[a] - slab.pad, slab.count);
          wrong += want != (got < 0 ? -1 : slab.first + got * slab.step);
        }
    }
    CHECK_MESSAGE(wrong == 0, "seed ", seed, " ", describe(q));
  }
}

TEST_CASE("conv slabs: every algorithm on random problems of half types") {
  std::set<ConvAlgorithm> ran;
  for (uint64_t seed = 5000; seed < 5000 + rounds(400u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_geometry(rng);
    const ConvKind kind = pick(rng, 0, 2) ? ConvKind::forward : ConvKind::input_grad;
    const Activation f = std::array{Activation::none, Activation::relu, Activation::silu}[pick(rng, 0, 2)];
    check(HalfCase(rng, g, kind, kHalves[seed % 2], pick(rng, 0, 1), f), rng, seed, ran);
  }
  for (ConvAlgorithm a : kAlgorithms)
    if (a != ConvAlgorithm::fft && !emulated()) CHECK_MESSAGE(ran.count(a), std::string(name(a)));
}

TEST_CASE("conv slabs: filters that are transformed, dilated, strided and transposed") {
  std::set<ConvAlgorithm> ran;
  for (uint64_t seed = 6000; seed < 6000 + rounds(200u); ++seed) {
    std::mt19937_64 rng(seed);
    ConvGeometry g;
    g.rank = static_cast<int>(pick(rng, 1, 3));
    g.batch = pick(rng, 1, 3);
    g.groups = pick(rng, 0, 2) ? 1 : 4;
    g.in_channels = g.groups * pick(rng, 8, 24);
    g.out_channels = g.groups * pick(rng, 1, 40);
    const int64_t kernel = pick(rng, 2, 7), how = pick(rng, 0, 3), step = pick(rng, 2, 3);
    for (int a = 3 - g.rank; a < 3; ++a) {
      g.kernel[a] = a == 0 ? pick(rng, 1, 3) : kernel;
      if (a > 0) (how == 1 ? g.stride : how == 2 ? g.dilation : g.in_dilation)[a] = how ? step : 1;
      g.in[a] = pick(rng, 1, g.rank == 1 ? 90 : a == 0 ? 5 : 24);
      const int64_t span = g.dilation[a] * (g.kernel[a] - 1) + 1, dilated = g.in_dilation[a] * (g.in[a] - 1) + 1;
      g.pad[a] = pick(rng, 0, span);
      const int64_t after = std::max(pick(rng, 0, span), span - dilated - g.pad[a]);
      g.out[a] = (dilated + g.pad[a] + after - span) / g.stride[a] + 1;
    }
    check(HalfCase(rng, g, ConvKind::forward, kHalves[seed % 2], pick(rng, 0, 1), Activation::none), rng, seed, ran);
  }
  CHECK(ran.count(ConvAlgorithm::winograd4));
  CHECK(ran.count(ConvAlgorithm::winograd6));
}

TEST_CASE("conv slabs: few outputs of every number of channels, every tail of pixels") {
  Settings settings;
  for (int64_t c = 1; c < 1 + tails(70); ++c)
    for (int64_t o = 1; o <= 4; ++o) {
      const uint64_t seed = static_cast<uint64_t>(10 * c + o);
      std::mt19937_64 rng(seed);
      ConvGeometry g;
      g.batch = pick(rng, 1, 2);
      g.in_channels = c;
      g.out_channels = o;
      g.in[1] = g.out[1] = pick(rng, 1, 5);
      g.in[2] = g.out[2] = pick(rng, 1, 60);
      const Activation f = std::array{Activation::none, Activation::relu6, Activation::gelu}[pick(rng, 0, 2)];
      const HalfCase h(rng, g, ConvKind::forward, kHalves[seed % 2], pick(rng, 0, 1), f);
      for (const std::string& isa : isa_choices()) {
        set_isa(isa);
        const CpuPlan p = h.plan(ConvAlgorithm::dot, 1 << 14, false);
        if (p.algorithm != ConvAlgorithm::dot) {  // segments of several outputs need channels
          CHECK((o > 1 && c < p.lanes));
          continue;
        }
        set_num_threads(1);
        const Stored got = run_apart(p, h.x, h.w, h.bias, 0);
        CHECK_MESSAGE(h.worst(got) <= 1, "seed ", seed, " ", describe(p));
        CHECK_MESSAGE(h.worst(run_apart(p, h.x, h.w, h.bias, 2)) <= 1, "apart, seed ", seed, " ", describe(p));
        set_num_threads(3);
        CHECK(same_bits(got, run_apart(p, h.x, h.w, h.bias, 0)));
      }
    }
}

TEST_CASE("conv slabs: NaN and inf reach the outputs they reach in the definition") {
  for (uint64_t seed = 7000; seed < 7000 + rounds(120u); ++seed) {
    std::mt19937_64 rng(seed);
    HalfCase c(rng, random_geometry(rng), ConvKind::forward, kHalves[seed % 2], false, Activation::none);
    constexpr double kBad[] = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()};
    for (int i = 0; i < 2; ++i)
      c.x[static_cast<size_t>(pick(rng, 0, static_cast<int64_t>(c.x.size()) - 1))] = kBad[pick(rng, 0, 1)];
    const std::vector<double> want = c.reference(c.x, c.w);
    for (ConvAlgorithm algorithm : kAlgorithms) {
      const CpuPlan p = c.plan(algorithm, size_t(1) << pick(rng, 10, 16), false);
      if (p.algorithm != algorithm) continue;
      const Stored got = run_apart(p, c.x, c.w, c.bias, 0);
      size_t wrong = 0;
      for (size_t i = 0; i < want.size(); ++i)
        wrong += std::isfinite(got.get(i)) != std::isfinite(want[i]) || std::isnan(got.get(i)) != std::isnan(want[i]);
      CHECK_MESSAGE(wrong == 0, "seed ", seed, " ", wrong, " of ", want.size(), " ", describe(p));
    }
  }
}

TEST_CASE("conv slabs: subnormal results keep their bits") {
  Settings settings;
  for (const std::string& isa : isa_choices()) {
    set_isa(isa);
    std::mt19937_64 rng(3);
    for (int64_t kernel : {1, 3, 5}) {  // by way of a row, going down a strip, along rows
      ConvGeometry g;
      g.groups = g.in_channels = g.out_channels = 35;
      g.kernel[1] = g.kernel[2] = kernel;
      g.pad[1] = g.pad[2] = kernel / 2;
      g.in[1] = g.out[1] = 9;
      g.in[2] = g.out[2] = 23;
      HalfCase c(rng, g, ConvKind::forward, Dtype::bfloat16, false, Activation::none);
      std::fill(c.w.begin(), c.w.end(), 0);
      const size_t taps = static_cast<size_t>(kernel * kernel);
      for (size_t i = 0; i < 35; ++i) c.w[i * taps + taps / 2] = i % 3 ? 1 : 0x1p-20;
      for (size_t i = 0; i < c.x.size(); ++i) c.x[i] = rounded(Dtype::bfloat16, c.x[i] * (i % 7 ? 1 : 0x1p-110));
      c.want = c.reference(c.x, c.w);
      const CpuPlan p = c.plan(ConvAlgorithm::depthwise, 1 << 20, false);
      const Stored got = run_apart(p, c.x, c.w, c.bias, 0);
      size_t wrong = 0;
      for (size_t i = 0; i < c.want.size(); ++i) wrong += got.get(i) != rounded(Dtype::bfloat16, c.want[i]);
      CHECK_MESSAGE(wrong == 0, wrong, " of ", c.want.size(), " ", describe(p));
    }
  }
}
