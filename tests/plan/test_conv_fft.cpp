// tests/plan/test_conv_fft.cpp -- when a convolution is transformed, and in what blocks; needs no device
#include <doctest/doctest.h>

#include "plan/conv_fft.h"
#include "plan/conv_plan.h"

using namespace nhwc;

namespace {

/// A "same" convolution along one or two axes.
ConvGeometry same(int axes, int64_t size, int64_t kernel, int64_t groups, int64_t c, int64_t o) {
  ConvGeometry g;
  g.rank = axes;
  g.groups = groups;
  g.in_channels = groups * c;
  g.out_channels = groups * o;
  for (int a = 3 - axes; a < 3; ++a) {
    g.in[a] = g.out[a] = size;
    g.kernel[a] = kernel;
    g.pad[a] = kernel / 2;
  }
  return g;
}

DeviceFacts avx512() {
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  return f;
}

CpuPlan plan(const ConvGeometry& g, ConvKind kind = ConvKind::forward, Dtype t = Dtype::float32) {
  return plan_conv(normalize(g, kind, t), avx512());
}

bool transformed(const ConvGeometry& g) { return plan(g).algorithm == ConvAlgorithm::fft; }

/// Why fft was not taken.
std::string refusal(const CpuPlan& p) {
  for (const Rejected& r : p.rejected)
    if (r.algorithm == ConvAlgorithm::fft) return r.why;
  return "";
}

}  // namespace

TEST_CASE("long and large kernels are transformed, short ones are not") {
  for (int64_t k : {127, 511, 2047}) {
    CHECK(transformed(same(1, 16384, k, 1, 1, 1)));
    CHECK(transformed(same(1, 16384, k, 64, 1, 1)));
    CHECK(transformed(same(1, 16384, k, 1, 64, 64)));
  }
  for (int64_t k : {15, 31, 63}) {
    CHECK(transformed(same(2, 128, k, 1, 1, 1)));
    CHECK(transformed(same(2, 128, k, 64, 1, 1)));
    CHECK(transformed(same(2, 128, k, 1, 16, 16)));
  }
  CHECK(!transformed(same(1, 16384, 9, 64, 1, 1)));
  CHECK(!transformed(same(2, 56, 3, 1, 64, 64)));
  CHECK(!transformed(same(2, 56, 7, 64, 1, 1)));
  CHECK(!transformed(same(2, 14, 5, 1, 64, 64)));
  CHECK(!transformed(same(1, 20, 31, 64, 1, 1)));
}

TEST_CASE("the input gradient of a long convolution is transformed too, the weight gradient is not") {
  const ConvGeometry g = same(1, 4096, 511, 1, 16, 32);
  CHECK(plan(g, ConvKind::input_grad).algorithm == ConvAlgorithm::fft);
  CHECK(plan(g, ConvKind::weight_grad).algorithm == ConvAlgorithm::weight_grad);
}

TEST_CASE("what cannot be transformed says why") {
  const ConvGeometry g = same(1, 4096, 511, 1, 16, 32);
  const auto why = [&](auto change) {
    ConvGeometry other = g;
    change(other);
    const CpuPlan p = plan(other);
    CHECK(p.algorithm != ConvAlgorithm::fft);
    return refusal(p);
  };
  CHECK(why([](ConvGeometry& q) { q.highest_precision = true; }).find("highest") != std::string::npos);
  CHECK(why([](ConvGeometry& q) { q.stride[2] = 2; }) == "strided");
  CHECK(why([](ConvGeometry& q) { q.dilation[2] = 2; }).find("dilation") != std::string::npos);
  CHECK(why([](ConvGeometry& q) { q.in_dilation[2] = 2; }) == "the input is dilated");
  CHECK(why([](ConvGeometry& q) { q.in[2] = q.kernel[2] = 40000; }).find("longest") != std::string::npos);
  CHECK(refusal(plan(g, ConvKind::forward, Dtype::float64)).find("float32") != std::string::npos);
  for (Dtype t : {Dtype::float16, Dtype::bfloat16})
    CHECK(plan(g, ConvKind::forward, t).algorithm == ConvAlgorithm::fft);
  const std::string text = describe(plan(same(2, 56, 5, 64, 1, 1)));
  CHECK(text.find("not fft") != std::string::npos);
  CHECK(describe(plan(g)).find("fft on avx512") != std::string::npos);
}

TEST_CASE("blocks fit the workspace, and cover the outputs") {
  for (size_t limit : {size_t(1) << 20, size_t(8) << 20, size_t(64) << 20})
    for (int axes : {1, 2})
      for (int64_t kernel : {5, 15, 31, 63, 127, 1000})
        for (int64_t c : {1, 16, 64}) {
          const ConvProblem q = normalize(same(axes, 2000, kernel, 1, c, c), ConvKind::forward, Dtype::float32);
          const FftBlocks b = plan_fft(q, {.workspace = limit});
          if (b.refused) continue;
          const FftGrid grid(q, b.n);
          CHECK(b.pairs >= 1);
          CHECK(b.cycles > 0);
          CHECK(grid.points * 12 * 16 <= static_cast<int64_t>(limit / 4));
          for (int a = 0; a < 2; ++a) {
            CHECK(b.n[a] >= q.kernel[a + 1]);
            CHECK((b.n[a] & (b.n[a] - 1)) == 0);
            CHECK(grid.step[a] * grid.blocks[a] >= q.out[a + 1]);
            CHECK(grid.step[a] * (grid.blocks[a] - 1) < q.out[a + 1]);
          }
        }
}

TEST_CASE("the plan of a transform does not depend on its length when there are enough outputs") {
  const CpuPlan a = plan(same(1, 100000, 511, 64, 1, 1)), b = plan(same(1, 200000, 511, 64, 1, 1));
  CHECK(a.block[1] == b.block[1]);  // so that the packed weights are found again
}
