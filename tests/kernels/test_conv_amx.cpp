// tests/kernels/test_conv_amx.cpp -- convolutions on the matrix unit, of bfloat16 and of float32 in three parts
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/conv_case.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

bool unavailable() {
  if (isa_choices().back() == "amx") return false;
  MESSAGE("skipped: no matrix unit here (AMX), or no permission to use it");
  return true;
}

constexpr ConvAlgorithm kAlgorithms[] = {ConvAlgorithm::amx, ConvAlgorithm::amx_bf16};
Dtype dtype_of(ConvAlgorithm a) { return a == ConvAlgorithm::amx ? Dtype::float32 : Dtype::bfloat16; }

}  // namespace

TEST_CASE("matrix unit: every tail of pixels, input and output channels") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t n = 1; n < 1 + tails(70); ++n)
    for (ConvAlgorithm a : kAlgorithms) {
      std::mt19937_64 rng(static_cast<uint64_t>(n));
      ConvGeometry line = square(1, 1, 2 + n % 9, n);
      line.in[2] = line.out[2] = n;
      ConvCase(line, rng, ConvKind::forward, dtype_of(a)).check("pixels and outputs", n, a, n % 3);
      if (n > 40) continue;
      ConvCase(square(5, 3, n, 40 - n / 2), rng, ConvKind::forward, dtype_of(a)).check("inputs", n, a, n % 2);
      ConvCase(square(5, 3, 33, n), rng, ConvKind::input_grad, dtype_of(a)).check("gradient", n, a);
      ConvCase(square(6, 2, n, 5, 3), rng, ConvKind::forward, dtype_of(a)).check("groups", n, a, 1);
    }
}

TEST_CASE("matrix unit: few channels, whose kernel rows are runs") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t c = 1; c < 8; ++c)
    for (int64_t k = 2; k <= 7; ++k)
      for (ConvAlgorithm a : kAlgorithms) {
        const int64_t seed = c * 10 + k;
        std::mt19937_64 rng(static_cast<uint64_t>(seed));
        ConvGeometry g = square(19, k, c, 20 * c - 3);
        for (int x = 1; x < 3; ++x) {
          g.stride[x] = 1 + seed % 3;
          g.out[x] = (19 + 2 * (k / 2) - k) / g.stride[x] + 1;
        }
        g.flip = k % 2;
        ConvCase(g, rng, ConvKind::forward, dtype_of(a)).check("rows", seed, a, seed % 2);
      }
}

TEST_CASE("matrix unit: groups of few channels are multiplied together") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t c : {1, 2, 3, 4, 8, 12, 16, 20})
    for (int64_t o : {1, 4, 8, 16, 24})
      for (int64_t groups : {2, 3, 8, 12})
        for (ConvAlgorithm a : kAlgorithms) {
          const int64_t seed = (c * 100 + o) * 100 + groups;
          std::mt19937_64 rng(static_cast<uint64_t>(seed));
          ConvCase(square(6, 3, c, o, groups), rng, ConvKind::forward, dtype_of(a)).check("groups", seed, a, seed % 2);
        }
}

TEST_CASE("matrix unit: random arguments, bias and activations, blocks of all sizes") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t seed = 1; seed < 1 + rounds(150); ++seed) {
    std::mt19937_64 rng(static_cast<uint64_t>(seed));
    const ConvGeometry g = random_geometry(rng);
    for (ConvKind kind : {ConvKind::forward, ConvKind::input_grad})
      for (ConvAlgorithm a : kAlgorithms) {
        ConvCase c(g, rng, kind, dtype_of(a));
        c.q.activation = static_cast<Activation>(pick(rng, 0, 7));
        c.q.has_bias = pick(rng, 0, 1);
        if (c.q.has_bias) c.bias = random_values(rng, c.q.dtype, c.channels());
        const Stored whole = c.run(a, true);
        c.l2 = size_t(1) << pick(rng, 8, 20);
        c.check("random", seed, a, pick(rng, 0, 2));
        const Stored cut = c.run(a, true);
        CHECK_MESSAGE(std::memcmp(whole.data(), cut.data(), whole.bytes()) == 0, "seed ", seed);
      }
  }
}

TEST_CASE("matrix unit: slices of three axes that are copied once for several outputs") {
  if (unavailable()) return;
  Settings settings;
  for (int64_t seed = 1; seed < 1 + rounds(30); ++seed) {
    std::mt19937_64 rng(static_cast<uint64_t>(seed));
    ConvGeometry g = square(pick(rng, 5, 9), 3, pick(rng, 1, 40), pick(rng, 1, 40));
    g.in[0] = pick(rng, 7, 12);
    g.kernel[0] = pick(rng, 2, 3);
    g.stride[0] = pick(rng, 1, 3);
    g.dilation[0] = pick(rng, 1, 3);
    g.pad[0] = pick(rng, 0, 2);
    g.out[0] = (g.in[0] + 2 * g.pad[0] - (g.kernel[0] - 1) * g.dilation[0] - 1) / g.stride[0] + 1;
    for (ConvAlgorithm a : kAlgorithms)
      for (ConvKind kind : {ConvKind::forward, ConvKind::input_grad})
        ConvCase(g, rng, kind, dtype_of(a)).check("slices", seed, a);
  }
}

TEST_CASE("matrix unit: float32 in three parts loses no more than float32 sums do, whatever the sizes of the numbers") {
  if (unavailable()) return;
  Settings settings;
  std::mt19937_64 rng(11);
  for (const double scale : {0x1p-60, 1.0, 0x1p50, 0x1p80}) {
    ConvCase c(square(8, 3, 40, 33), rng, ConvKind::forward, Dtype::float32);
    // Means far from zero, and a wide range.
    for (double& v : c.a) v = rounded(Dtype::float32, (v + 100) * scale);
    for (double& v : c.w) v = rounded(Dtype::float32, v * std::exp2(static_cast<double>(pick(rng, -20, 20))));
    const std::vector<double> want = c.reference(false), size = c.reference(true);
    const Stored y = c.run(ConvAlgorithm::amx, true);
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::fabs(y.get(i) - want[i]) / size[i]);
    CHECK_MESSAGE(worst < 4 * 0x1p-23, "scale ", scale, " error ", worst);
  }
}

TEST_CASE("matrix unit: NaN and inf reach the outputs they reach in the definition, and numbers next to inf stay") {
  if (unavailable()) return;
  Settings settings;
  for (ConvAlgorithm a : kAlgorithms)
    for (int64_t channels : {1, 3, 16, 33, 64})
      for (double bad : {kNan, kInf, -kInf, 0x1.fffffep127}) {
        std::mt19937_64 rng(9);
        ConvCase c(square(9, 3, channels, 20), rng, ConvKind::forward, dtype_of(a));
        for (double& v : c.w) v = v == 0 ? 1 : v;
        if (std::isfinite(bad))
          for (double& v : c.w) v = rounded(c.q.dtype, v * 0x1p-10);
        c.a[static_cast<size_t>((4 * 9 + 4) * channels + channels / 2)] = rounded(c.q.dtype, bad);
        const std::vector<double> want = c.reference(false);
        for (int64_t gap : {0, 1}) {
          const Stored got = c.run(a, true, gap);
          int wrong = 0;
          for (size_t j = 0; j < want.size(); ++j)
            wrong += std::isnan(want[j])   ? !std::isnan(got.get(j))
                     : std::isinf(want[j]) ? got.get(j) != want[j]
                                           : !(std::fabs(got.get(j) - want[j]) <= 0.01 * std::fabs(want[j]) + 1);
          CHECK_MESSAGE(wrong == 0, name(a), " ", channels, " channels, ", bad);
        }
      }
}

TEST_CASE("matrix unit: subnormal numbers may count as zero, but not in the highest precision") {
  if (unavailable()) return;
  Settings settings;
  set_isa("amx");
  std::mt19937_64 rng(3);
  for (Dtype t : {Dtype::float32, Dtype::bfloat16}) {
    ConvCase c(square(40, 1, 64, 64), rng, ConvKind::forward, t);
    c.q.highest_precision = true;
    CHECK(!is_amx(plan_conv(c.q, cpu_facts()).algorithm));
  }
}

TEST_CASE("matrix unit: an image's bits do not depend on the batch") {
  if (unavailable()) return;
  Settings settings;
  for (ConvAlgorithm a : kAlgorithms)
    for (int64_t kernel : {1, 3}) {
      std::mt19937_64 rng(5);
      ConvGeometry g = square(7, kernel, 64, 45);
      g.batch = 5;
      ConvCase all(g, rng, ConvKind::forward, dtype_of(a)), one = all;
      one.g.batch = 1;
      one.q = normalize(one.g, ConvKind::forward, dtype_of(a));
      const Stored y = all.run(a, true);
      const auto image = static_cast<int64_t>(all.a.size() / 5);
      for (int64_t i = 0; i < 5; ++i) {
        one.a.assign(all.a.begin() + i * image, all.a.begin() + (i + 1) * image);
        const Stored part = one.run(a, true);
        CHECK(std::memcmp(part.data(), static_cast<const char*>(y.data()) + static_cast<size_t>(i) * part.bytes(),
                          part.bytes()) == 0);
      }
    }
}

TEST_CASE("matrix unit: every NaN stays one, whatever its bits, in pixels and weights") {
  if (unavailable()) return;
  Settings settings;
  const auto has_nan = [](const std::vector<float>& x, const std::vector<float>& w) {
    ConvProblem q = normalize(square(4, 1, 40, 20), ConvKind::forward, Dtype::float32);
    const CpuPlan plan = plan_conv(q, facts(ConvAlgorithm::amx));
    REQUIRE(plan.algorithm == ConvAlgorithm::amx);
    std::vector<float> y(16 * 20);
    ConvOperands op;
    set_strides(op.x_stride, q.in, q.c);
    op.x = x.data();
    op.w = w.data();
    op.y = y.data();
    run_conv(plan, op);
    return std::isnan(y[3 * 20 + 7]);
  };
  for (const uint32_t bits : {0x7fffffffu, 0xffffffffu, 0x7f800001u, 0x7fff8000u, 0xffff7fffu, 0x7fc00000u}) {
    std::vector<float> x(16 * 40, 1), w(20 * 40, 1);
    x[3 * 40 + 5] = std::bit_cast<float>(bits);
    CHECK_MESSAGE(has_nan(x, w), bits);
    x[3 * 40 + 5] = 1;
    w[7 * 40 + 30] = std::bit_cast<float>(bits);
    CHECK_MESSAGE(has_nan(x, w), bits);
  }
}

TEST_CASE("matrix unit: rows without a tap, kernels larger than the image, groups in place") {
  if (unavailable()) return;
  Settings settings;
  for (ConvAlgorithm a : kAlgorithms) {
    std::mt19937_64 rng(21);
    ConvGeometry row = square(1, 1, 64, 64);  // its one row of outputs reads the row before the first
    row.in[2] = row.out[2] = 30;
    row.stride[1] = 3;
    row.in_dilation[1] = 2;
    row.pad[1] = 1;
    ConvCase(row, rng, ConvKind::forward, dtype_of(a)).check("no tap", 1, a);
    ConvGeometry tall = square(2, 1, 8, 8);
    tall.in[2] = tall.out[2] = 64;
    tall.kernel[1] = 59;
    tall.pad[1] = 29;
    ConvCase(tall, rng, ConvKind::forward, dtype_of(a)).check("tall", 1, a);
    ConvGeometry wide = square(1, 1, 8, 8);
    wide.in[2] = wide.out[2] = 10;
    wide.kernel[2] = 5;
    wide.dilation[2] = 20;
    wide.pad[2] = 40;
    ConvCase(wide, rng, ConvKind::forward, dtype_of(a)).check("wide", 1, a);
    ConvGeometry groups = square(1, 1, 64, 64, 3);
    groups.in[2] = groups.out[2] = 40;
    ConvCase(groups, rng, ConvKind::forward, dtype_of(a)).check("groups in place", 1, a);
  }
}

TEST_CASE("matrix unit: an infinity in one image changes no bit of another") {
  if (unavailable()) return;
  Settings settings;
  for (ConvAlgorithm a : kAlgorithms)
    for (Activation f : {Activation::none, Activation::silu}) {
      std::mt19937_64 rng(8);
      ConvGeometry g = square(5, 1, 64, 40);  // images of 25 pixels, which share tiles
      g.batch = 3;
      ConvCase c(g, rng, ConvKind::forward, dtype_of(a));
      c.q.activation = f;
      const Stored before = c.run(a, true);
      c.a[static_cast<size_t>((25 + 12) * 64)] = kInf;
      const Stored after = c.run(a, true);
      const size_t image = before.bytes() / 3;
      for (size_t i : {0, 2})
        CHECK(std::memcmp(static_cast<const char*>(before.data()) + i * image,
                          static_cast<const char*>(after.data()) + i * image, image) == 0);
      CHECK(!std::isfinite(after.get((25 + 12) * 40)));
    }
}

TEST_CASE("matrix unit: what would copy more than the workspace goes another way") {
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  f.amx = true;
  f.wanted = ConvAlgorithm::amx_bf16;
  ConvGeometry g = square(512, 3, 512, 64);
  for (int x = 1; x < 3; ++x) g.dilation[x] = g.pad[x] = 64;
  CHECK(!is_amx(plan_conv(normalize(g, ConvKind::forward, Dtype::bfloat16), f).algorithm));
#if defined(NHWC_AMX)
  for (int x = 1; x < 3; ++x) g.dilation[x] = g.pad[x] = 1;
  const CpuPlan plan = plan_conv(normalize(g, ConvKind::forward, Dtype::bfloat16), f);
  CHECK(plan.algorithm == ConvAlgorithm::amx_bf16);
  CHECK(plan.workspace_bytes < size_t(8) << 20);
#endif
}
