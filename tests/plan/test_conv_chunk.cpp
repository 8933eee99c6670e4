// tests/plan/test_conv_chunk.cpp -- how many tiles share a panel of weights; needs no device
#include "plan/conv_chunk.h"

#include <doctest/doctest.h>

#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

CpuPlan direct_plan(const ConvGeometry& g, size_t l1d = 48 << 10, ConvAlgorithm wanted = ConvAlgorithm::direct) {
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  f.l1d = l1d;
  f.wanted = wanted;
  return plan_conv(normalize(g, ConvKind::forward, Dtype::float32), f);
}

/// 3x3 with padding 1 on images of `size` x `size`.
ConvGeometry image(int64_t size, int64_t groups, int64_t c, int64_t o, int64_t stride = 1) {
  ConvGeometry g;
  g.groups = groups;
  g.in_channels = groups * c;
  g.out_channels = groups * o;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = size;
    g.kernel[a] = 3;
    g.stride[a] = stride;
    g.pad[a] = 1;
    g.out[a] = (size - 1) / stride + 1;
  }
  return g;
}

}  // namespace

TEST_CASE("tiles of short groups are few enough to stay in L1, those of long sums share their weights") {
  CHECK(direct_plan(image(28, 1, 256, 256)).chunk_tiles >= 4);
  CHECK(direct_plan(image(224, 1, 32, 64)).chunk_tiles >= 4);
  CHECK(direct_plan(image(12, 32, 2, 16, 2)).chunk_tiles <= 4);
  // Pixels 2 KB apart share two sets of the cache: the lines of one tile are lost before the next group.
  CHECK(direct_plan(image(14, 32, 16, 16)).chunk_tiles <= 2);
  CHECK(direct_plan(image(14, 32, 16, 16), 1 << 20).chunk_tiles > 2);
}

TEST_CASE("chunks hold whole rows, and more of them where few panels read their tiles") {
  const auto tiles = [](int64_t size, int64_t o) {
    return direct_plan(image(size, 1, 3, o), 48 << 10, ConvAlgorithm::merged).chunk_tiles;
  };
  CHECK(tiles(240, 32) == 36);  // 18 to a row
  CHECK(tiles(240, 128) == 18);
  CHECK(tiles(600, 32) == 43);
  CHECK(tiles(1000, 32) == 32);  // 72: too many
  CHECK(tiles(8, 32) == 32);     // tiles go across rows
}

TEST_CASE("a larger cache never means fewer tiles") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 rng(seed);
    const ConvGeometry g = random_geometry(rng);
    const CpuPlan plan = direct_plan(g);
    if (plan.algorithm != ConvAlgorithm::direct) continue;
    int last = 1;
    for (size_t l1d = 8 << 10; l1d <= 512 << 10; l1d *= 2) {
      const int tiles = std::min(tiles_per_panel(plan, 4, l1d), tiles_in_l1(plan, 4, 1, l1d));
      CHECK_MESSAGE(tiles >= last, "seed ", seed, " L1 ", l1d, " ", describe(plan));
      CHECK_MESSAGE(tiles <= 16, "seed ", seed, " L1 ", l1d, " ", describe(plan));
      last = tiles;
    }
  }
}
