// tests/kernels/test_conv_diagonal.cpp -- small groups by the diagonals of their weights against the reference
#include <doctest/doctest.h>

#include <limits>

#include "kernels/conv_case.h"
#include "kernels/conv_each_isa.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

int check(std::mt19937_64& rng, uint64_t seed, const ConvGeometry& g, ConvKind kind = ConvKind::forward) {
  return check_each_isa(ConvAlgorithm::diagonal, rng, seed, g, kind);
}

}  // namespace

TEST_CASE("sums by diagonals agree with the definition, for any number of threads") {
  Settings settings;
  int ran = 0;
  for (uint64_t seed = 1; seed < 1 + rounds(300u); ++seed) {
    std::mt19937_64 rng(seed);
    ConvGeometry g = random_geometry(rng);
    const int64_t c = pick(rng, 2, kDiagonals);
    g.groups = pick(rng, 2, 40);
    g.in_channels = g.out_channels = g.groups * c;
    ran += check(rng, seed, g, seed % 3 == 0 ? ConvKind::input_grad : ConvKind::forward);
  }
  if (has_diagonals()) CHECK(ran > enough(100));
}

TEST_CASE("diagonals in blocks of columns and panels, every size of tile and of group") {
  Settings settings;
  std::mt19937_64 rng(7);
  int ran = 0;
  for (int64_t c = 2; c <= kDiagonals; ++c)
    for (int64_t columns = 1; columns < 15; ++columns)
      ran += check(rng, static_cast<uint64_t>(c), image(5 * c, 5 * c, 5, 4, columns, 3));
  for (const ConvGeometry& g : {image(20, 20, 5, 3, 4000, 3), image(2000, 2000, 500, 6, 9, 3),
                                image(1024, 1024, 128, 40, 30, 3), image(9, 9, 3, 50, 70, 7)})
    ran += check(rng, 9, g);
  ConvGeometry framed = image(64, 64, 16, 90, 100, 3);  // beyond L2; whole rows of outputs meet padding alone
  for (int a = 1; a < 3; ++a) framed.pad[a] = 5, framed.out[a] += 8;
  ran += check(rng, 10, framed);
  ConvGeometry solid = image(24, 24, 6, 9, 8, 3);  // three axes, rows apart, and a stride
  solid.in[0] = 7;
  solid.kernel[0] = 3;
  solid.pad[0] = 1;
  solid.stride[0] = 2;
  solid.dilation[1] = 2;
  solid.out[0] = 4;
  solid.out[1] = 7;
  ran += check(rng, 11, solid);
  if (has_diagonals()) CHECK(ran > 100);
}

TEST_CASE("diagonals whose weights are packed some panels at a time, of half types too") {
  Settings settings;
  if (!has_diagonals()) return;
  for (const Dtype t : {Dtype::float32, Dtype::bfloat16})
    for (const int64_t c : {3, 4, 8}) {
      std::mt19937_64 rng(static_cast<uint64_t>(c));
      ConvCase(square(9, 3, c, c, 23), rng, ConvKind::forward, t).check("diagonals", c, ConvAlgorithm::diagonal);
    }
}

TEST_CASE("diagonals pass infinities and NaN on to their own group alone") {
  Settings settings;
  const ConvGeometry g = image(15, 15, 5, 6, 7, 3);
  std::mt19937_64 rng(4);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const int64_t channel : {0, 4, 14}) {
      std::vector<double> x = random_values(rng, Dtype::float32, 42 * 15);
      const std::vector<double> w = random_values(rng, Dtype::float32, 15 * 9 * 3);
      x[static_cast<size_t>(20 * 15 + channel)] = bad;
      std::vector<double> want(static_cast<size_t>(product(g.out) * g.out_channels));
      reference_conv(g, x.data(), w.data(), want.data());
      for (const std::string& isa : isa_choices()) {
        set_isa(isa);
        const CpuPlan plan = forced_plan(ConvAlgorithm::diagonal, g);
        const Stored got = run_apart(plan, x, w, {}, 0);
        for (size_t i = 0; i < want.size(); ++i) {
          CHECK(std::isnan(got.get(i)) == std::isnan(want[i]));
          CHECK(std::isinf(got.get(i)) == std::isinf(want[i]));
        }
      }
    }
}
