// tests/kernels/test_conv_fft.cpp -- convolutions by transforms against the definition: shapes, tails, isas, threads
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_testing.h"
#include "plan/conv_fft.h"
#include "plan/conv_tiles.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

int64_t next_power(int64_t k, int64_t at_least) {
  int64_t n = at_least;
  while (n < k) n *= 2;
  return n;
}

/// The plan of transforms of n points, whatever it costs.
CpuPlan fft_plan(const ConvProblem& q, int64_t n0, int64_t n1, int64_t pairs) {
  CpuPlan plan = plan_conv(q, cpu_facts());
  plan.algorithm = ConvAlgorithm::fft;
  plan.mr = kConvTiles[static_cast<int>(plan.isa)].mr;
  plan.nr = 2 * plan.lanes;
  plan.block[0] = n0;
  plan.block[1] = n1;
  plan.block_pairs = pairs;
  return plan;
}

struct Data {
  Data(const ConvProblem& p, std::mt19937_64& rng, int64_t gap = 0) : q(p) {
    const int64_t c = q.groups * q.c;
    set_strides(stride, q.in, c + gap);
    for (double v : random_values(rng, Dtype::float32, q.batch * stride[0])) x.push_back(static_cast<float>(v));
    for (double v : random_values(rng, Dtype::float32, q.groups * q.o * product(q.kernel) * q.c))
      w.push_back(static_cast<float>(v));
    if (q.has_bias)
      for (double v : random_values(rng, Dtype::float32, q.groups * q.o)) bias.push_back(static_cast<float>(v));
  }
  std::vector<float> run(const CpuPlan& plan, bool packed) const {
    std::vector<float> y(static_cast<size_t>(q.batch * product(q.out) * q.groups * q.o), std::nanf(""));
    ConvOperands a;
    a.x = x.data();
    std::copy(stride, stride + 4, a.x_stride);
    a.w = w.data();
    a.bias = bias.data();
    a.y = y.data();
    void* store = nullptr;
    if (packed) {
      store = std::aligned_alloc(64, (packed_weight_bytes(plan) + 127) / 64 * 64);
      pack_conv_weights(plan, w.data(), store);
      a.packed = store;
    }
    run_conv(plan, a);
    std::free(store);
    return y;
  }
  /// By the definition, of values or of their magnitudes.
  std::vector<double> reference(bool magnitudes) const;

  ConvProblem q;
  int64_t stride[4];
  std::vector<float> x, w, bias;
};

std::vector<double> Data::reference(bool magnitudes) const {
  const auto value = [&](float v) { return magnitudes ? std::fabs(double(v)) : double(v); };
  const int64_t channels = q.groups * q.o, taps = product(q.kernel);
  std::vector<double> y(static_cast<size_t>(q.batch * product(q.out) * channels));
  size_t at = 0;
  for (int64_t n = 0; n < q.batch; ++n)
    for (int64_t p = 0; p < product(q.out); ++p)
      for (int64_t ch = 0; ch < channels; ++ch, ++at) {
        const int64_t out[3] = {p / q.out[2] / q.out[1], p / q.out[2] % q.out[1], p % q.out[2]};
        double sum = 0;
        for (int64_t t = 0; t < taps; ++t) {
          const int64_t tap[3] = {t / q.kernel[2] / q.kernel[1], t / q.kernel[2] % q.kernel[1], t % q.kernel[2]};
          int64_t from = n * stride[0];
          bool inside = true;
          for (int a = 0; a < 3; ++a) {
            const int64_t i = out[a] * q.stride[a] + tap[a] * q.dilation[a] - q.pad[a];
            inside &= i >= 0 && i < q.in[a];
            from += i * stride[a + 1];
          }
          if (!inside) continue;
          const int64_t g = ch / q.o, o = ch % q.o, stored = q.flip ? taps - 1 - t : t;
          for (int64_t c = 0; c < q.c; ++c) {
            const int64_t wi =
                q.swapped ? ((g * q.c + c) * taps + stored) * q.o + o : ((g * q.o + o) * taps + stored) * q.c + c;
            sum += value(x[static_cast<size_t>(from + g * q.c + c)]) * value(w[static_cast<size_t>(wi)]);
          }
        }
        y[at] = sum;
      }
  if (!magnitudes)
    reference_epilogue(q.activation, q.has_bias ? std::vector<double>(bias.begin(), bias.end()).data() : nullptr,
                       static_cast<int64_t>(y.size()) / channels, channels, y.data());
  return y;
}

double l2(const std::vector<float>& got, const std::vector<double>& want) {
  double error = 0, norm = 1e-30;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

/// Every output within what the magnitudes that meet in its block allow; here all data are of one size.
void check(uint64_t seed, const ConvProblem& q, int64_t n0, int64_t n1, int64_t pairs, std::mt19937_64& rng) {
  Settings settings;
  const Data d(q, rng, pick(rng, 0, 1) ? 0 : pick(rng, 1, 3));
  const std::vector<double> want = d.reference(false), scale = d.reference(true);
  const double top = *std::max_element(scale.begin(), scale.end());
  for (Isa isa : supported_isas()) {
    set_isa(name(isa));
    CpuPlan plan = fft_plan(q, n0, n1, pairs);
    set_num_threads(1);
    const std::vector<float> one = d.run(plan, true);
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      const double error = std::fabs(one[i] - want[i]) / (0x1p-21 * (top + std::fabs(want[i]) + 1));
      worst = error <= worst ? worst : error;  // a NaN error is kept
    }
    CHECK_MESSAGE(worst <= 1, "seed ", seed, " ", describe(plan));
    set_num_threads(static_cast<int>(pick(rng, 2, 4)));
    const auto same = [&](const std::vector<float>& y) {
      return std::memcmp(y.data(), one.data(), one.size() * sizeof(float)) == 0;
    };
    CHECK_MESSAGE(same(d.run(plan, true)), "seed ", seed, " threads ", describe(plan));
    plan.workspace_limit = 1024;  // spectra are made panel by panel
    plan.block_pairs = 1;
    CHECK_MESSAGE(same(d.run(plan, false)), "seed ", seed, " blocked ", describe(plan));
  }
}

/// Any problem that can be transformed, small.
ConvProblem random_problem(std::mt19937_64& rng) {
  ConvProblem q;
  q.batch = pick(rng, 1, 3);
  const int64_t kind = pick(rng, 0, 3);
  q.groups = kind == 0 ? pick(rng, 1, 37) : kind == 1 ? pick(rng, 2, 4) : 1;
  q.c = kind == 0 ? 1 : pick(rng, 1, 19);
  q.o = kind == 0 ? 1 : pick(rng, 0, 3) ? pick(rng, 1, 19) : pick(rng, 20, 70);
  q.flip = pick(rng, 0, 1);
  q.swapped = pick(rng, 0, 1);
  q.has_bias = pick(rng, 0, 1);
  q.activation = static_cast<Activation>(pick(rng, 0, 2) ? 0 : pick(rng, 0, 7));
  const int64_t axes = pick(rng, 1, 3);  // 1: columns, 2: rows, 3: both
  for (int a = 1; a < 3; ++a) {
    const bool transformed = axes & (a == 2 ? 1 : 2);
    q.kernel[a] = transformed ? pick(rng, 2, axes == 3 ? 9 : 40) : 1;
    q.in[a] = pick(rng, 1, transformed ? (axes == 3 ? 24 : 90) : 3);
    q.pad[a] = pick(rng, -2, q.kernel[a] + 1);
    if (!transformed) q.stride[a] = pick(rng, 1, 2);
    q.out[a] = std::max<int64_t>(1, (q.in[a] + q.pad[a] + pick(rng, -1, q.kernel[a]) - q.kernel[a]) / q.stride[a] + 1);
  }
  if (pick(rng, 0, 3) == 0) {
    q.in[0] = pick(rng, 1, 3);
    q.pad[0] = pick(rng, 0, 1);
    q.out[0] = pick(rng, 1, 3);
  }
  return q;
}

}  // namespace

TEST_CASE("convolutions by transforms agree with the definition") {
  const char* more = std::getenv("NHWC_TEST_REPEAT");
  for (int i = 0; i < rounds(150) * (more ? std::atoi(more) : 1); ++i) {
    const uint64_t seed = 4100 + static_cast<uint64_t>(i);
    std::mt19937_64 rng(seed);
    const ConvProblem q = random_problem(rng);
    int64_t n[2];
    for (int a = 0; a < 2; ++a)
      n[a] = q.kernel[a + 1] == 1 ? 1 : next_power(q.kernel[a + 1], int64_t(4) << pick(rng, 0, 4));
    check(seed, q, n[0], n[1], pick(rng, 1, 9), rng);
  }
}

TEST_CASE("every tail of channels, of one channel and of many") {
  for (int64_t n = 1; n <= 34; ++n) {
    std::mt19937_64 rng(static_cast<uint64_t>(n));
    ConvProblem q;
    q.in[2] = 100;
    q.kernel[2] = 25;
    q.out[2] = 76;
    q.groups = n;
    check(static_cast<uint64_t>(n), q, 1, 32, 1, rng);
    q.groups = 1;
    q.c = n;
    q.o = 3;
    check(static_cast<uint64_t>(n), q, 1, 64, 5, rng);
    q.c = 2;
    q.o = n;
    check(static_cast<uint64_t>(n), q, 1, 64, 5, rng);
  }
}

TEST_CASE("long transforms") {
  std::mt19937_64 rng(3);
  for (int64_t n : {1024, 4096, 65536}) {
    ConvProblem q;
    q.kernel[2] = n / 4 + 1;
    q.in[2] = q.kernel[2] + 99;
    q.out[2] = 100;
    check(3, q, 1, n, 1, rng);
  }
  ConvProblem q;
  q.kernel[1] = q.kernel[2] = 40;
  q.in[1] = q.in[2] = 70;
  q.pad[1] = q.pad[2] = 5;
  q.out[1] = q.out[2] = 41;
  q.groups = 17;
  check(4, q, 64, 128, 1, rng);
}

TEST_CASE("NaN and inf reach the outputs they reach in the definition, and nothing else") {
  const float inf = std::numeric_limits<float>::infinity();
  Settings settings;
  for (Isa isa : supported_isas()) {
    set_isa(name(isa));
    for (int which = 0; which < 4; ++which)
      for (float bad : {std::nanf(""), inf, -inf, 3e38f}) {
        ConvProblem q;
        q.batch = 2;
        q.groups = which == 1 ? 20 : 1;
        q.c = q.o = which >= 2 ? 5 : 1;
        q.in[2] = 200;
        q.kernel[2] = 30;
        q.pad[2] = 10;
        q.out[2] = 191;
        if (which == 3) {
          q.in[1] = q.out[1] = 40;
          q.in[2] = q.out[2] = 40;
          q.kernel[1] = q.kernel[2] = 7;
          q.pad[1] = q.pad[2] = 3;
        }
        std::mt19937_64 rng(9);
        Data d(q, rng);
        const size_t at = d.x.size() / 2 + 61 * static_cast<size_t>(q.groups * q.c);
        d.x[at] = bad;
        if (!std::isfinite(bad)) d.x[at + 1] = bad;  // the sum of two large ones may overflow on its way
        const CpuPlan plan = fft_plan(q, which == 3 ? 16 : 1, which == 3 ? 16 : 64, 3);
        const std::vector<float> got = d.run(plan, true);
        const std::vector<double> want = d.reference(false);
        bool same = true;
        size_t spread = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          const float w = static_cast<float>(want[i]);
          spread += !std::isfinite(w);
          same &= std::isnan(got[i]) == std::isnan(w) && std::isinf(got[i]) == std::isinf(w);
          if (std::isinf(w)) same &= got[i] == w;
        }
        CHECK_MESSAGE(same, "case ", which, " ", bad, " ", std::string(name(isa)));
        CHECK(spread > 0);
        CHECK(spread < got.size());
      }
  }
}

TEST_CASE("weights that are not finite, and numbers at the ends of the range") {
  Settings settings;
  for (Isa isa : supported_isas()) {
    set_isa(name(isa));
    for (int64_t groups : {1, 20}) {
      ConvProblem q;
      q.groups = groups;
      q.in[2] = 300;
      q.kernel[2] = 31;
      q.out[2] = 270;
      std::mt19937_64 rng(11);
      Data d(q, rng);
      const CpuPlan plan = fft_plan(q, 1, 64, 3);
      const std::pair<float, float> sizes[] = {{1e-30f, 1e30f}, {1e30f, 1e-30f}, {1e-20f, 1e-17f}, {1e-38f, 1e38f},
                                               {1e18f, 1e18f},  {0.0f, 1e-3f},   {1e-3f, 1e-38f},  {1e37f, 1e-37f}};
      for (const auto& [x_size, w_size] : sizes) {
        Data s = d;
        for (float& v : s.x) v *= x_size;
        for (float& v : s.w) v *= w_size * 0.1f;
        std::vector<float> got = s.run(plan, true);
        std::vector<double> want = s.reference(false);
        const float norm = 0.1f * x_size * w_size;  // errors of subnormal results do not count
        for (size_t i = 0; i < got.size(); ++i) {
          CHECK(std::fabs(got[i] - want[i]) <= 1e-5 * norm + 1e-43);
          CHECK(std::isfinite(got[i]));
        }
      }
      // One number whose products overflow: what it does not reach is zero, not the noise of a transform.
      Data s = d;
      std::fill(s.x.begin(), s.x.end(), 0.0f);
      s.x[s.x.size() / 2] = 3e38f;
      for (float& v : s.w) v *= 1e37f;
      const std::vector<float> overflown = s.run(plan, true);
      const std::vector<double> products = s.reference(false);
      int reached = 0, wrong = 0;
      for (size_t i = 0; i < products.size(); ++i) {
        reached += products[i] != 0;
        wrong += overflown[i] != static_cast<float>(products[i]);
      }
      CHECK(reached == 31);
      CHECK(wrong == 0);
      d.w[3] = std::nanf("");
      const std::vector<float> got = d.run(plan, true);
      const std::vector<double> want = d.reference(false);
      bool same = true;
      for (size_t i = 0; i < got.size(); ++i) same &= std::isnan(got[i]) == std::isnan(want[i]);
      CHECK(same);
    }
  }
}

TEST_CASE("a loud image does not drown a faint one in the same block") {
  for (int64_t groups : {1, 20}) {
    ConvProblem q;
    q.batch = 2;
    q.groups = groups;
    q.in[2] = 94;
    q.kernel[2] = 31;
    q.out[2] = 64;
    std::mt19937_64 rng(12);
    Data d(q, rng);
    for (size_t i = 0; i < d.x.size() / 2; ++i) d.x[i] *= 1e12f;
    const std::vector<float> got = d.run(fft_plan(q, 1, 128, 1), true);
    const std::vector<double> want = d.reference(false);
    const size_t half = got.size() / 2;
    CHECK(l2({got.begin() + static_cast<long>(half), got.end()}, {want.begin() + static_cast<long>(half), want.end()}) <
          1e-6);
  }
}
