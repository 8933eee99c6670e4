// tests/kernels/test_conv_stream.cpp -- what a plan owes to the caches and the machine alone changes no bit
#include <doctest/doctest.h>

#include <cstring>

#include "kernels/conv_testing.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

struct Image {
  int64_t in, out, groups, h, w, k, stride;
  Activation activation;
};

/// The outputs of a plan for a machine with so large a cache, at an address `shift` floats from a line.
std::vector<float> outputs(const Image& s, size_t l3, const Machine* machine, int64_t shift, CpuPlan& plan) {
  ConvGeometry g;
  g.batch = 2;
  g.in_channels = s.in;
  g.out_channels = s.out;
  g.groups = s.groups;
  const int64_t in[2] = {s.h, s.w};
  for (int a = 1; a < 3; ++a) {
    g.in[a] = in[a - 1];
    g.kernel[a] = s.k;
    g.pad[a] = s.k / 2;
    g.stride[a] = s.stride;
    g.out[a] = (g.in[a] + 2 * g.pad[a] - s.k) / s.stride + 1;
  }
  ConvProblem q = normalize(g, ConvKind::forward, Dtype::float32);
  q.has_bias = true;
  q.activation = s.activation;
  DeviceFacts f = cpu_facts();
  f.wanted = plan_conv(q, f).algorithm;  // which the cache may decide
  f.l3 = l3;
  if (machine) f.machine = machine;
  plan = plan_conv(q, f);
  std::mt19937_64 rng(3);
  const Stored x(Dtype::float32, random_values(rng, Dtype::float32, q.batch * product(q.in) * s.in));
  const Stored w(Dtype::float32, random_values(rng, Dtype::float32, s.out * s.k * s.k * s.in / s.groups));
  const Stored bias(Dtype::float32, random_values(rng, Dtype::float32, s.out));
  const size_t n = static_cast<size_t>(q.batch * product(q.out) * s.out);
  const Scratch y((n + 16) * sizeof(float));
  ConvOperands a;
  set_strides(a.x_stride, q.in, s.in);
  a.x = x.data();
  a.w = w.data();
  a.bias = bias.data();
  a.y = y.as<float>() + shift;
  run_conv(plan, a);
  return {y.as<float>() + shift, y.as<float>() + shift + n};
}

}  // namespace

TEST_CASE("outputs that go past the caches are the same, wherever they lie") {
  Settings settings;
  set_num_threads(3);
  for (const Image& s :
       {Image{16, 96, 1, 40, 56, 1, 1, Activation::relu}, Image{3, 64, 1, 30, 60, 3, 1, Activation::none},
        Image{24, 48, 1, 29, 33, 3, 2, Activation::relu6}, Image{64, 64, 2, 20, 28, 5, 1, Activation::silu},
        Image{48, 48, 48, 30, 41, 5, 1, Activation::none}, Image{64, 64, 64, 30, 41, 3, 1, Activation::relu},
        Image{256, 256, 256, 17, 19, 5, 2, Activation::none}, Image{16, 20, 1, 30, 30, 1, 1, Activation::none},
        Image{64, 64, 1, 30, 41, 3, 1, Activation::relu}, Image{3, 64, 1, 61, 50, 7, 2, Activation::relu},
        Image{48, 48, 2, 30, 30, 3, 1, Activation::none}, Image{64, 208, 4, 20, 21, 1, 1, Activation::none},
        Image{64, 96, 2, 20, 21, 1, 1, Activation::none}})
    for (const std::string& isa : isa_choices()) {
      set_isa(isa);
      CpuPlan plan;
      const std::vector<float> kept = outputs(s, size_t(1) << 30, nullptr, 0, plan);
      CHECK(!plan.stream);
      for (const int64_t shift : {0, 4}) {
        const std::vector<float> got = outputs(s, 1 << 10, nullptr, shift, plan);
        CHECK_MESSAGE(std::memcmp(kept.data(), got.data(), kept.size() * sizeof(float)) == 0, "isa ", isa, " channels ",
                      s.in, " ", s.out, " shift ", shift);
      }
      if (s.out % 16 != 0 || current_isa() == Isa::baseline) CHECK(!plan.stream);
      if (s.out / s.groups % 16 == 0 && current_isa() == Isa::avx512) CHECK(plan.stream);
    }
}

TEST_CASE("where L3 is slow tiles are wider, and results the same") {
  Settings settings;
  set_num_threads(3);
  const Machine *slow = find_machine("sapphire_rapids"), *other = find_machine("zen5");
  REQUIRE((l3_is_slow(*slow) && !l3_is_slow(*other)));
  for (const std::string& isa : isa_choices()) {
    set_isa(isa);
    if (amx()) continue;  // has an algorithm without such tiles
    int wide = 0;
    for (const Image& s :
         {Image{64, 256, 1, 20, 31, 1, 1, Activation::relu}, Image{3, 64, 1, 30, 29, 3, 1, Activation::none},
          Image{16, 96, 1, 14, 15, 1, 1, Activation::none}, Image{5, 120, 1, 21, 23, 3, 2, Activation::silu},
          Image{32, 128, 2, 17, 26, 1, 2, Activation::relu6}, Image{24, 250, 1, 13, 40, 1, 1, Activation::none}}) {
      CpuPlan plan;
      const std::vector<float> narrow = outputs(s, size_t(1) << 30, other, 0, plan);
      const std::vector<float> got = outputs(s, size_t(1) << 30, slow, 0, plan);
      wide += plan.nr == 4 * plan.lanes;
      CHECK_MESSAGE(std::memcmp(narrow.data(), got.data(), got.size() * sizeof(float)) == 0, "isa ", isa, " channels ",
                    s.in, " ", s.out);
    }
    CHECK(wide == (current_isa() == Isa::avx512 ? 5 : 0));
  }
}
