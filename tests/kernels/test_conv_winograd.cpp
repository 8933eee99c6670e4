// tests/kernels/test_conv_winograd.cpp -- Winograd convolutions: axes, slides, dilation, accuracy, values not finite
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/thread_pool.h"
#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

struct Arrays {
  std::vector<double> x, w;
  std::vector<double> exact;
};

DeviceFacts wanting(ConvAlgorithm algorithm) {
  DeviceFacts facts = cpu_facts();
  facts.wanted = algorithm;
  return facts;
}

/// A convolution by the algorithm; an empty result where the planner refuses it.
std::vector<double> run_by(ConvAlgorithm algorithm, const ConvGeometry& g, const std::vector<double>& x,
                           const std::vector<double>& w, bool packed, Dtype dtype = Dtype::float32) {
  const ConvProblem q = normalize(g, ConvKind::forward, dtype);
  const CpuPlan plan = plan_conv(q, wanting(algorithm));
  if (plan.algorithm != algorithm) return {};
  const Stored xs(dtype, x), ws(dtype, w);
  const int64_t outputs = g.batch * product(g.out) * g.out_channels;
  Stored y(dtype, static_cast<size_t>(outputs));
  ConvOperands a;
  set_strides(a.x_stride, g.in, g.in_channels);
  a.x = xs.data();
  a.w = ws.data();
  a.y = y.data();
  std::vector<float> store;
  if (packed) {
    store.resize(packed_weight_bytes(plan) / sizeof(float) + 16);
    float* aligned = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(store.data()) + 63) / 64 * 64);
    pack_conv_weights(plan, ws.data(), aligned);
    a.packed = aligned;
    run_conv(plan, a);
  } else {
    run_conv(plan, a);
  }
  std::vector<double> r(static_cast<size_t>(outputs));
  for (size_t i = 0; i < r.size(); ++i) r[i] = y.get(i);
  return r;
}

std::vector<double> exactly(const ConvGeometry& g, const std::vector<double>& x, const std::vector<double>& w) {
  std::vector<double> y(static_cast<size_t>(g.batch * product(g.out) * g.out_channels));
  reference_conv(g, x.data(), w.data(), y.data());
  return y;
}

ConvGeometry square(int64_t batch, int64_t size, int64_t c, int64_t o, int64_t groups = 1, int64_t kernel = 3) {
  ConvGeometry g;
  g.batch = batch;
  g.in_channels = c;
  g.out_channels = o;
  g.groups = groups;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = size;
    g.kernel[a] = kernel;
    g.pad[a] = kernel / 2;
    g.out[a] = size + 2 * g.pad[a] - kernel + 1;
  }
  return g;
}

ConvGeometry strided(ConvGeometry g) {
  for (int a = 1; a < 3; ++a) {
    g.stride[a] = 2;
    g.out[a] = (g.in[a] + 2 * g.pad[a] - g.kernel[a]) / 2 + 1;
  }
  return g;
}

/// Any of what the planner lets Winograd do, and some of what it does not.
ConvGeometry transformable(std::mt19937_64& rng) {
  ConvGeometry g;
  g.rank = 3;
  g.batch = pick(rng, 1, 3);
  const bool small = pick(rng, 0, 3) == 0;  // groups that share a vector
  g.groups = small ? pick(rng, 2, 12) : pick(rng, 0, 2) ? 1 : pick(rng, 2, 3);
  g.in_channels = g.groups * pick(rng, 1, small || pick(rng, 0, 2) == 0 ? 9 : 40);
  g.out_channels = g.groups * pick(rng, 1, small ? 9 : 70);
  const int64_t usual = pick(rng, 0, 2) ? 3 : pick(rng, 4, 5);
  for (int a = 0; a < 3; ++a) {
    g.kernel[a] = pick(rng, 0, 2) ? usual : pick(rng, 0, 1) ? 1 : pick(rng, 2, 5);
    g.dilation[a] = pick(rng, 0, 2) ? 1 : pick(rng, 2, 4);
    g.stride[a] = pick(rng, 0, 3) ? 1 : pick(rng, 2, 3);
    if (g.stride[a] > 1 && g.kernel[a] > 1 && pick(rng, 0, 1)) {
      g.kernel[a] = usual * g.stride[a] - pick(rng, 0, 1);
      g.dilation[a] = 1;
    }
    if (g.stride[a] == 1 && a > 0 && pick(rng, 0, 5) == 0) g.kernel[a] = pick(rng, 6, 12);  // in parts
    g.pad[a] = pick(rng, 0, 3);
    g.in[a] = pick(rng, 1, a == 0 ? 5 : 13);
    if (a > 0 && pick(rng, 0, 2) == 0) {  // as a transposed convolution has it
      g.in_dilation[a] = pick(rng, 2, 4);
      g.kernel[a] = pick(rng, 2, 9);
      g.dilation[a] = g.stride[a] = 1;
    }
    const int64_t span = g.dilation[a] * (g.kernel[a] - 1) + 1;
    while (g.in_dilation[a] * (g.in[a] - 1) + 1 + 2 * g.pad[a] < span) ++g.in[a];
    const int64_t room = g.in_dilation[a] * (g.in[a] - 1) + 1 + 2 * g.pad[a] - span;
    g.out[a] = std::max<int64_t>(room, 0) / g.stride[a] + 1;
  }
  g.flip = pick(rng, 0, 1);
  return g;
}

/// Values of x and w.
std::pair<std::vector<double>, std::vector<double>> operands(const ConvGeometry& g, std::mt19937_64& rng) {
  std::vector<double> x = random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels);
  return {std::move(x),
          random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * (g.in_channels / g.groups))};
}

constexpr ConvAlgorithm kBoth[] = {ConvAlgorithm::winograd4, ConvAlgorithm::winograd6};

}  // namespace

TEST_CASE("Winograd: every choice of axes, slide, dilation, groups and sizes agrees with the definition") {
  Settings settings;
  const uint64_t base = 20261121;
  int ran = 0, phases = 0, merged = 0, taps[6] = {}, parts = 0, strided_parts = 0, one_vector = 0;
  for (int i = 0; i < rounds(800); ++i) {
    const uint64_t seed = base + static_cast<uint64_t>(i);
    std::mt19937_64 rng(seed);
    const ConvGeometry g = transformable(rng);
    const auto [x, w] = operands(g, rng);
    const auto want = exactly(g, x, w);
    for (ConvAlgorithm a : kBoth) {
      set_num_threads(1);
      const auto got = run_by(a, g, x, w, false);
      if (got.empty()) continue;
      ++ran;
      phases += g.in_dilation[1] > 1 || g.in_dilation[2] > 1;
      const ConvProblem q = normalize(g, ConvKind::forward, Dtype::float32);
      const CpuPlan plan = plan_conv(q, wanting(a));
      merged += winograd_units(q, plan.lanes).groups < q.groups;
      ++taps[plan.winograd.taps];
      one_vector += in_one_vector(winograd_units(q, plan.lanes), plan.winograd, plan.lanes);
      parts += plan.winograd.filter_parts() > 1;
      strided_parts += plan.winograd.filter_parts() > 1 && q.stride[1] * q.stride[2] > 1;
      CHECK_MESSAGE(l2_error(got, want) < 3e-6, "seed ", seed, " ",
                    describe(plan_conv(normalize(g, ConvKind::forward, Dtype::float32), cpu_facts())));
      const Dtype half = pick(rng, 0, 1) ? Dtype::bfloat16 : Dtype::float16;
      const auto halves = run_by(a, g, x, w, false, half);  // rounded inputs, weights and results
      CHECK_MESSAGE(l2_error(halves, want) < (half == Dtype::bfloat16 ? 8e-3 : 1e-3), "seed ", seed, ", half type");
      set_num_threads(static_cast<int>(pick(rng, 2, 4)));
      CHECK_MESSAGE(run_by(a, g, x, w, true) == got, "threads or packing change bits: seed ", seed, " ",
                    std::string(name(a)));
    }
  }
  CHECK(ran > enough(150));
  CHECK(phases > enough(30));
  CHECK(merged > enough(3));
  for (int k = 2; k <= 5; ++k) CHECK_MESSAGE(taps[k] > enough(10), k, " taps");
  CHECK(strided_parts > enough(30));
  CHECK(parts > enough(strided_parts + 30));
  CHECK(one_vector > enough(30));
}

TEST_CASE("Winograd: groups of 8 outputs, whose sums hold two terms side by side, in every geometry") {
  Settings settings;
  const uint64_t base = 20261123;
  int ran = 0, in_parts = 0;
  for (int i = 0; i < rounds(400); ++i) {
    const uint64_t seed = base + static_cast<uint64_t>(i);
    std::mt19937_64 rng(seed);
    ConvGeometry g = transformable(rng);
    g.groups = pick(rng, 0, 2) ? 2 : 2 * pick(rng, 2, 3);
    g.in_channels = g.groups * 2 * pick(rng, 1, 4);
    g.out_channels = g.groups * 8;
    const auto [x, w] = operands(g, rng);
    const auto want = exactly(g, x, w);
    for (ConvAlgorithm a : kBoth) {
      set_num_threads(1);
      const auto got = run_by(a, g, x, w, false);
      if (got.empty()) continue;
      const CpuPlan plan = plan_conv(normalize(g, ConvKind::forward, Dtype::float32), wanting(a));
      ran += winograd_terms(plan.problem, plan.lanes) == 2;
      in_parts += plan.winograd.filter_parts() > 1 &&
                  in_one_vector(winograd_units(plan.problem, plan.lanes), plan.winograd, plan.lanes);
      CHECK_MESSAGE(l2_error(got, want) < 3e-6, "seed ", seed, " ", describe(plan));
      set_num_threads(3);
      CHECK_MESSAGE(run_by(a, g, x, w, true) == got, "threads or packing change bits: seed ", seed);
    }
  }
  if (current_isa() == Isa::avx512) CHECK(ran > enough(100));
  if (current_isa() == Isa::avx512) CHECK(in_parts > enough(5));
}

TEST_CASE("Winograd: the order of frequencies, panels and blocks changes no bit") {
  Settings settings;
  for (const ConvGeometry& g : {strided(square(3, 22, 20, 70)), strided(square(2, 30, 33, 40, 1, 5))})
    for (ConvAlgorithm a : kBoth) {
      std::mt19937_64 rng(11);
      const Stored x(Dtype::float32, random_values(rng, Dtype::float32, g.batch * product(g.in) * g.in_channels)),
          w(Dtype::float32, random_values(rng, Dtype::float32, g.out_channels * product(g.kernel) * g.in_channels));
      CpuPlan plan = plan_conv(normalize(g, ConvKind::forward, Dtype::float32), wanting(a));
      if (plan.algorithm != a) continue;
      const auto run = [&](WinogradCut cut) {
        plan.winograd_cut[0] = plan.winograd_cut[1] = cut;
        Stored y(Dtype::float32, static_cast<size_t>(g.batch * product(g.out) * g.out_channels));
        ConvOperands operands;
        set_strides(operands.x_stride, g.in, g.in_channels);
        operands.x = x.data();
        operands.w = w.data();
        operands.y = y.data();
        run_conv(plan, operands);
        std::vector<double> values(y.size());
        for (size_t i = 0; i < values.size(); ++i) values[i] = y.get(i);
        return values;
      };
      const auto want = run({1, false});
      for (const WinogradCut& cut : {WinogradCut{1, true}, WinogradCut{2, true}, WinogradCut{2, false}})
        for (int threads : {1, 3}) {
          set_num_threads(threads);
          CHECK(run(cut) == want);
        }
    }
}

TEST_CASE("Winograd: the error is at most four times that of the direct sum, whatever the data") {
  const ConvGeometry shapes[] = {square(1, 28, 64, 64),
                                 square(1, 28, 64, 64, 4),
                                 square(1, 28, 64, 64, 8),
                                 square(1, 28, 64, 64, 16),
                                 square(1, 20, 64, 64, 2, 5),
                                 square(1, 20, 16, 16, 1, 5),
                                 strided(square(1, 28, 64, 64)),
                                 strided(square(1, 28, 64, 64, 1, 5)),
                                 square(1, 28, 4, 16),
                                 square(1, 28, 6, 16),
                                 square(1, 28, 8, 16),
                                 square(1, 28, 1, 16),
                                 square(1, 28, 5, 16, 1, 4),
                                 square(1, 28, 64, 64, 1, 4),
                                 square(1, 28, 3, 16, 1, 5),
                                 square(1, 28, 16, 16, 4, 5),
                                 strided(square(1, 56, 2, 16, 1, 7)),
                                 strided(square(1, 56, 3, 16, 1, 7)),
                                 strided(square(1, 28, 40, 40, 1, 8)),
                                 square(1, 28, 2, 16, 1, 7),
                                 square(1, 28, 64, 64, 1, 7),
                                 square(1, 28, 16, 16, 1, 9),
                                 square(1, 28, 8, 16, 1, 11)};
  for (const ConvGeometry& g : shapes)
    for (const char* data : {"normal", "large mean", "wide range", "cancelling", "positive"}) {
      const uint64_t seed = static_cast<uint64_t>(g.groups * 10 + g.kernel[1]);
      std::mt19937_64 rng(seed);
      std::normal_distribution<double> normal;
      const std::string kind = data;
      std::vector<double> x(static_cast<size_t>(product(g.in) * g.in_channels));
      const int64_t terms = product(g.kernel) * g.in_channels / g.groups;
      std::vector<double> w(static_cast<size_t>(g.out_channels * terms));
      for (double& v : x) {
        v = normal(rng);
        if (kind == "large mean") v += 1000;
        if (kind == "wide range") v *= std::pow(10.0, std::uniform_real_distribution<double>(-6, 6)(rng));
        if (kind == "cancelling") v += 100;
        if (kind == "positive") v = std::fabs(v);
        v = static_cast<float>(v);
      }
      for (double& v : w) v = static_cast<float>(kind == "positive" ? std::fabs(normal(rng)) : normal(rng));
      if (kind == "cancelling")  // each filter sums to nearly nothing, as an edge detector does
        for (int64_t o = 0; o < g.out_channels; ++o) {
          double* f = w.data() + o * terms;
          double mean = 0;
          for (int64_t i = 0; i < terms; ++i) mean += f[i] / static_cast<double>(terms);
          for (int64_t i = 0; i < terms; ++i) f[i] = static_cast<float>(f[i] - mean);
        }
      const auto want = exactly(g, x, w);
      const double direct = l2_error(run_by(ConvAlgorithm::direct, g, x, w, false), want);
      for (ConvAlgorithm a : kBoth) {
        const auto got = run_by(a, g, x, w, false);
        if (got.empty()) continue;
        CHECK_MESSAGE(l2_error(got, want) <= 4 * direct, std::string(name(a)), " ", kind, " groups ", g.groups,
                      " kernel ", g.kernel[1], " seed ", seed, ": ", l2_error(got, want), ", direct ", direct);
      }
    }
}

TEST_CASE("Winograd: NaN, inf and overflow reach what they reach in the definition, other images not at all") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (double bad : {nan, inf, -inf, 3e38})
    for (const ConvGeometry& g :
         {square(3, 13, 20, 33), square(3, 13, 40, 40, 5), square(3, 13, 48, 48, 6), square(3, 13, 40, 66, 2, 5),
          strided(square(3, 13, 20, 33)), strided(square(3, 13, 3, 33, 1, 7)), square(3, 13, 9, 10)}) {
      std::mt19937_64 rng(4);
      auto [x, w] = operands(g, rng);
      for (ConvAlgorithm a : kBoth) {
        const auto before = run_by(a, g, x, w, false);
        if (before.empty()) continue;
        auto with = x;
        with[static_cast<size_t>(((13 + 6) * 13 + 5) * g.in_channels + 7)] = bad;  // in the second image
        const auto got = run_by(a, g, with, w, false), direct = run_by(ConvAlgorithm::direct, g, with, w, false);
        const size_t image = got.size() / 3;
        for (size_t i = 0; i < got.size(); ++i) {
          if (i / image != 1) {
            CHECK(got[i] == before[i]);
          } else if (std::isfinite(direct[i])) {
            CHECK(std::isfinite(got[i]));
          } else {
            CHECK((std::isnan(direct[i]) ? std::isnan(got[i]) : got[i] == direct[i]));
          }
        }
      }
    }
}
