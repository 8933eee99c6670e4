// tests/kernels/test_conv_padding.cpp -- direct convolutions of which much is padding: boxes of outputs with equal taps
#include <doctest/doctest.h>

#include <cstring>

#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

/// Taps that miss the input often: dilation and padding as large as the image, or larger, on both sides apart.
ConvGeometry padded_geometry(std::mt19937_64& rng) {
  ConvGeometry g;
  g.rank = static_cast<int>(pick(rng, 1, 3));
  g.batch = pick(rng, 1, 3);
  g.groups = pick(rng, 0, 4) ? 1 : 2;
  g.in_channels = g.groups * pick(rng, 1, 40);
  g.out_channels = g.groups * pick(rng, 1, 70);
  g.flip = pick(rng, 0, 1);
  g.highest_precision = pick(rng, 0, 1);
  const int64_t top = g.rank == 1 ? 60 : g.rank == 2 ? 17 : 6;
  for (int a = 3 - g.rank; a < 3; ++a) {
    g.in[a] = pick(rng, 1, top);
    g.kernel[a] = pick(rng, 1, 5);
    g.dilation[a] = pick(rng, 0, 1) ? pick(rng, 1, g.in[a] + 3) : pick(rng, 1, 2);
    g.stride[a] = pick(rng, 0, 2) ? 1 : pick(rng, 2, 3);
    g.in_dilation[a] = pick(rng, 0, 3) ? 1 : pick(rng, 2, 3);
    const int64_t reach = g.dilation[a] * (g.kernel[a] - 1);
    const int64_t kind = pick(rng, 0, 3);
    g.pad[a] = kind == 0 ? reach / 2 : kind == 1 ? reach : pick(rng, -1, top + 5);
    int64_t high = kind == 0 ? reach - reach / 2 : pick(rng, 0, kind == 3 ? top + 5 : 3);
    const int64_t without = g.in_dilation[a] * (g.in[a] - 1) + g.pad[a] - reach;
    high = std::max(high, -without);  // at least one output
    g.out[a] = (without + high) / g.stride[a] + 1;
  }
  return g;
}

struct Problem {
  Problem(const ConvGeometry& geometry, Dtype t, std::mt19937_64& rng)
      : g(geometry),
        q(normalize(g, ConvKind::forward, t)),
        x(random_values(rng, t, g.batch * product(g.in) * g.in_channels)),
        w(random_values(rng, t, g.out_channels * product(g.kernel) * (g.in_channels / g.groups))) {}

  std::vector<double> reference(const std::vector<double>& a, const std::vector<double>& b) const {
    std::vector<double> y(static_cast<size_t>(g.batch * product(g.out) * g.out_channels));
    reference_conv(g, a.data(), b.data(), y.data());
    return y;
  }

  bool takes(ConvAlgorithm algorithm) const {
    DeviceFacts facts = cpu_facts();
    facts.wanted = algorithm;
    return plan_conv(q, facts).algorithm == algorithm;
  }

  /// Images [first, first + n) with the algorithm, elements of a pixel `gap` further apart than they must be.
  Stored run(ConvAlgorithm algorithm, int64_t first, int64_t n, int64_t gap, bool& cut) const {
    ConvProblem part = q;
    part.batch = n;
    DeviceFacts facts = cpu_facts();
    facts.wanted = algorithm;
    const CpuPlan plan = plan_conv(part, facts);
    cut = plan.cut;
    ConvOperands a;
    set_strides(a.x_stride, g.in, g.in_channels + gap);
    Stored in(q.dtype, static_cast<size_t>(n * a.x_stride[0]) + 1);
    std::memset(in.data(), 0x7f, in.bytes());
    const int64_t pixels = product(g.in);
    for (int64_t p = 0; p < n * pixels; ++p)
      for (int64_t c = 0; c < g.in_channels; ++c)
        in.set(static_cast<size_t>(p * a.x_stride[3] + c),
               x[static_cast<size_t>((first * pixels + p) * g.in_channels + c)]);
    const Stored weight(q.dtype, w);
    Stored y(q.dtype, static_cast<size_t>(n * product(g.out) * g.out_channels));
    std::memset(y.data(), 0x7f, y.bytes());
    a.x = in.data();
    a.w = weight.data();
    a.y = y.data();
    run_conv(plan, a);
    return y;
  }

  ConvGeometry g;
  ConvProblem q;
  std::vector<double> x, w;
};

double worst(const Problem& p, const Stored& got, const std::vector<double>& want, const std::vector<double>& scale) {
  double w = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double error = std::fabs(got.get(i) - want[i]) / tolerance(p.q.dtype, scale[i], want[i]);
    w = error <= w ? w : error;  // a NaN error is kept
  }
  return w;
}

std::vector<double> absolute(std::vector<double> v) {
  for (double& x : v) x = std::fabs(x);
  return v;
}

/// Against the definition, on every instruction set; the same bits with more threads. Returns how many were cut.
int check(uint64_t seed, const Problem& p, std::mt19937_64& rng) {
  Settings settings;
  const std::vector<double> want = p.reference(p.x, p.w), scale = p.reference(absolute(p.x), absolute(p.w));
  int cuts = 0;
  for (const std::string& isa : isa_choices())
    for (ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::direct_bf16, ConvAlgorithm::dot}) {
      set_isa(isa);
      if (!p.takes(algorithm)) continue;
      set_num_threads(1);
      bool cut = false;
      const int64_t gap = pick(rng, 0, 2);
      const Stored y = p.run(algorithm, 0, p.g.batch, gap, cut);
      cuts += cut;
      CHECK_MESSAGE(worst(p, y, want, scale) <= 1, "seed ", seed, " ", isa, " ", std::string(name(algorithm)), " ",
                    describe(p.q));
      set_num_threads(3);
      CHECK_MESSAGE(same_bits(y, p.run(algorithm, 0, p.g.batch, 0, cut)), "seed ", seed, " ", isa, " threads");
    }
  return cuts;
}

constexpr Dtype kDtypes[] = {Dtype::float32, Dtype::bfloat16, Dtype::float64, Dtype::float16};

}  // namespace

TEST_CASE("padding of every size: random convolutions agree with the definition") {
  int cuts = 0;
  for (uint64_t seed = 4100; seed < 4100 + rounds(230u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = padded_geometry(rng);
    if (g.highest_precision || product(g.out) <= 4000) cuts += check(seed, {g, kDtypes[seed % 4], rng}, rng);
  }
  CHECK(cuts > enough(250));
}

TEST_CASE("dilated rows and planes of every width, whose outer taps reach beyond the image") {
  int cuts = 0;
  for (int64_t n = 1; n <= 40; ++n) {
    std::mt19937_64 rng(static_cast<uint64_t>(n));
    ConvGeometry g;
    g.in_channels = 20 + n;
    g.out_channels = 1 + 2 * n;
    for (int a = 1; a < 3; ++a) {
      g.in[a] = g.out[a] = a == 1 ? std::max<int64_t>(1, n / 3) : n;
      g.kernel[a] = 3;
      g.dilation[a] = g.pad[a] = std::max<int64_t>(1, g.in[a] * (1 + n % 3) / 3);
    }
    cuts += check(static_cast<uint64_t>(n), {g, kDtypes[n % 2], rng}, rng);
  }
  CHECK(cuts > enough(40));
}

TEST_CASE("an image has the bits that it has in any batch, however its tiles are cut") {
  struct Shape {
    int64_t size, c, o, k, stride, dilation, in_dilation;
  };
  const Shape shapes[] = {{7, 512, 40, 3, 1, 1, 1},  // more terms than an accumulator adds at once
                          {5, 700, 33, 3, 1, 2, 1}, {14, 600, 20, 3, 2, 1, 1}, {4, 1100, 20, 4, 1, 1, 2},
                          {9, 50, 70, 3, 1, 6, 1},  {7, 30, 30, 7, 1, 1, 1}};
  uint64_t seed = 90;
  for (const Shape& s : shapes) {
    std::mt19937_64 rng(++seed);
    ConvGeometry g;
    g.batch = 3;
    g.in_channels = s.c;
    g.out_channels = s.o;
    for (int a = 1; a < 3; ++a) {
      g.in[a] = s.size;
      g.kernel[a] = s.k;
      g.stride[a] = s.stride;
      g.dilation[a] = s.dilation;
      g.in_dilation[a] = s.in_dilation;
      g.pad[a] = s.dilation * (s.k - 1) / 2;
      g.out[a] = ((s.size - 1) * s.in_dilation + 2 * g.pad[a] - s.dilation * (s.k - 1)) / s.stride + 1;
    }
    for (Dtype t : {Dtype::float32, Dtype::bfloat16}) {
      const Problem p(g, t, rng);
      Settings settings;
      for (const std::string& isa : isa_choices())
        for (ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::direct_bf16}) {
          set_isa(isa);
          if (!p.takes(algorithm)) continue;
          bool cut;
          const Stored all = p.run(algorithm, 0, g.batch, 0, cut);
          const size_t image = all.bytes() / static_cast<size_t>(g.batch);
          for (int64_t n = 0; n < g.batch; ++n) {
            const Stored one = p.run(algorithm, n, 1, 0, cut);
            const auto* in_all = static_cast<const unsigned char*>(all.data()) + static_cast<size_t>(n) * image;
            CHECK_MESSAGE(std::memcmp(in_all, one.data(), image) == 0, "seed ", seed, " ", isa, " ",
                          std::string(name(algorithm)), " image ", n, " of ", describe(p.q));
          }
        }
    }
  }
}

TEST_CASE("a weight that is not finite reaches only outputs whose tap meets the input") {
  std::mt19937_64 rng(3);
  ConvGeometry g;
  g.in_channels = 40;
  g.out_channels = 33;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = g.out[a] = 33;
    g.kernel[a] = 3;
    g.dilation[a] = g.pad[a] = 18;
  }
  Problem p(g, Dtype::float32, rng);
  p.w[0] = std::numeric_limits<double>::quiet_NaN();  // of output channel 0, the tap above on the left
  bool cut = false;
  const Stored y = p.run(ConvAlgorithm::direct, 0, 1, 0, cut);
  CHECK(cut);
  for (int64_t h = 0; h < 33; ++h)
    for (int64_t w = 0; w < 33; ++w)
      CHECK(std::isnan(y.get(static_cast<size_t>((h * 33 + w) * 33))) == (h >= 18 && w >= 18));
}
