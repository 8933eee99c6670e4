// tests/kernels/test_conv_planar.cpp -- convolutions along planes of channels against the reference
#include <doctest/doctest.h>

#include <limits>
#include <utility>

#include "kernels/conv_each_isa.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

int check(std::mt19937_64& rng, uint64_t seed, const ConvGeometry& g, ConvKind kind) {
  return check_each_isa(ConvAlgorithm::planar, rng, seed, g, kind);
}

}  // namespace

TEST_CASE("sums along planes agree with the definition, for any number of threads") {
  Settings settings;
  int ran = 0;
  for (uint64_t seed = 1; seed < 1 + rounds(400u); ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_geometry(rng);
    ran += check(rng, seed, g, seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward);
  }
  CHECK(ran > enough(400));
}

TEST_CASE("planes in blocks of rows, columns and channels") {
  Settings settings;
  std::mt19937_64 rng(7);
  int ran = 0;
  for (const ConvGeometry& g :
       {image(3, 5, 1, 40, 2100, 3), image(36, 36, 36, 70, 90, 3), image(256, 256, 256, 9, 40, 5),
        image(100, 100, 100, 30, 60, 7), image(40, 40, 20, 33, 61, 3), image(64, 8, 8, 20, 30, 5),
        image(8, 64, 8, 50, 50, 2), image(2, 33, 1, 120, 130, 4), image(1000, 1000, 1000, 5, 7, 3)})
    ran += check(rng, 7, g, ConvKind::forward);
  CHECK(ran >= 9);
}

TEST_CASE("planes pass NaN on where the definition does") {
  Settings settings;
  for (const bool depthwise : {false, true}) {
    ConvGeometry g = depthwise ? image(5, 5, 5, 9, 11, 3) : image(5, 3, 1, 9, 11, 3);
    g.dilation[2] = 2, g.out[2] -= 2;
    std::mt19937_64 rng(4);
    std::vector<double> x = random_values(rng, Dtype::float32, 99 * 5);
    const std::vector<double> w = random_values(rng, Dtype::float32, 5 * 9 * 5);
    for (const size_t pixel : {0u, 10u, 50u, 98u}) {
      const double kept = std::exchange(x[pixel * 5 + 2], std::numeric_limits<double>::quiet_NaN());
      std::vector<double> want(static_cast<size_t>(product(g.out) * g.out_channels));
      reference_conv(g, x.data(), w.data(), want.data());
      for (const std::string& isa : isa_choices()) {
        set_isa(isa);
        const CpuPlan plan = forced_plan(ConvAlgorithm::planar, g);
        if (plan.algorithm != ConvAlgorithm::planar) continue;
        const Stored got = run_apart(plan, x, w, {}, 0);
        int differ = 0;
        for (size_t i = 0; i < want.size(); ++i) differ += std::isnan(got.get(i)) != std::isnan(want[i]);
        CHECK_MESSAGE(differ == 0, "pixel ", pixel, " isa ", isa, depthwise ? " depthwise" : "");
      }
      x[pixel * 5 + 2] = kept;
    }
  }
}

TEST_CASE("the planner takes planes for few channels, and says why it does not") {
  DeviceFacts f;
  f.isa = Isa::avx512;
  const auto plan = [&](const ConvGeometry& g, Dtype t = Dtype::float32) {
    return plan_conv(normalize(g, ConvKind::forward, t), f);
  };
  const auto why = [&](const ConvGeometry& g, Dtype t = Dtype::float32) -> std::string {
    for (const Rejected& r : plan(g, t).rejected)
      if (r.algorithm == ConvAlgorithm::planar) return r.why;
    return "";
  };
  CHECK(plan(image(8, 8, 8, 60, 60, 3)).algorithm == ConvAlgorithm::planar);
  CHECK(plan(image(16, 8, 8, 60, 60, 3)).algorithm == ConvAlgorithm::planar);
  CHECK(why(image(8, 8, 8, 60, 60, 3), Dtype::float64) == "not float32");
  CHECK(why(image(65, 8, 1, 20, 20, 3)) == "the channels of a group fill vectors");
  CHECK(why(image(64, 8, 1, 20, 20, 9)) == "the sums are too long");
  ConvGeometry far = image(60, 8, 1, 20, 5000, 3);
  far.dilation[1] = 400, far.pad[1] = 400;
  CHECK(why(far) == "the planes of a task exceed L2");
  f.isa = Isa::baseline;
  CHECK(why(image(8, 8, 8, 60, 60, 3)) == "this instruction set has too few registers");
}
