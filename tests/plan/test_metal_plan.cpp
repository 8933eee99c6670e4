// tests/plan/test_metal_plan.cpp -- what the planner chooses for Apple GPUs, which are not here
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "params/conv.h"
#include "plan/metal_cost.h"
#include "plan/metal_plan.h"

using namespace nhwc;

namespace {

constexpr const char* kChips[] = {
#define NHWC_METAL_CHIP(name, family, cores, gflops, half_rate, bandwidth) name,
#include "plan/metal_chips.inc"
#undef NHWC_METAL_CHIP
};

MetalFacts facts_of(const char* name) { return metal_facts(metal_chip(name, 0)); }

ConvGeometry layer(int64_t batch, int64_t size, int64_t c, int64_t o, int64_t kernel, int64_t stride = 1,
                   int64_t groups = 1) {
  ConvGeometry g;
  g.batch = batch;
  g.in_channels = c;
  g.out_channels = o;
  g.groups = groups;
  for (int a : {1, 2}) {
    g.in[a] = size;
    g.kernel[a] = kernel;
    g.stride[a] = stride;
    g.pad[a] = kernel / 2;
    g.out[a] = (size + 2 * g.pad[a] - kernel) / stride + 1;
  }
  return g;
}

const std::vector<ConvGeometry>& layers() {
  static const std::vector<ConvGeometry> all = {
      layer(1, 224, 3, 64, 7, 2),        layer(8, 56, 64, 64, 3),          layer(1, 7, 512, 512, 3),
      layer(1, 14, 1024, 256, 1),        layer(32, 28, 128, 128, 3, 2),    layer(1, 112, 32, 32, 3, 1, 32),
      layer(4, 14, 576, 576, 3, 1, 576), layer(1, 56, 128, 128, 3, 1, 32), layer(1, 1, 2048, 1000, 1),
  };
  return all;
}

constexpr ConvKind kKinds[] = {ConvKind::forward, ConvKind::input_grad, ConvKind::weight_grad};
constexpr Dtype kTypes[] = {Dtype::float32, Dtype::float16, Dtype::bfloat16};

}  // namespace

TEST_CASE("chips are found by name, unknown ones by their family") {
  CHECK(std::string(metal_chip("Apple M2 Max", 8).name) == "M2 Max");
  CHECK(std::string(metal_chip("M4", 9).name) == "M4");
  CHECK(std::string(metal_chip("Apple M7", 9).name) == "M3");   // the smallest of the family
  CHECK(std::string(metal_chip("Apple M9", 12).name) == "M5");  // the newest that is known
  CHECK(std::string(metal_chip("Apple A10", 3).name) == "M1");
  CHECK(metal_facts(metal_chip("M1", 7), 7).cores == 7);
  CHECK(metal_facts(metal_chip("M1", 7)).cores == 8);
}

TEST_CASE("every plan for every chip keeps the limits and covers the sum") {
  for (const char* chip : kChips)
    for (const ConvGeometry& g : layers())
      for (ConvKind kind : kKinds)
        for (Dtype t : kTypes) {
          MetalFacts f = facts_of(chip);
          f.workspace_limit = size_t(4) << 20;
          const ConvProblem q = normalize(g, kind, t);
          const MetalPlan p = plan_metal_conv(q, f);
          INFO(describe(p));
          CHECK(p.problem == q);
          CHECK(p.cost_us > 0);
          CHECK(p.threadgroup_bytes <= 32768);
          CHECK(p.workspace_bytes <= f.workspace_limit);
          CHECK(p.images >= 1);
          CHECK(*p.reason != 0);
          for (const MetalRejected& r : p.rejected) CHECK(*r.why != 0);
          if (!p.tile.bm || p.algorithm == MetalAlgorithm::winograd) continue;
          const int64_t sum = kind == ConvKind::weight_grad ? q.batch * metal_cost::pixels_of_phase(q)
                                                            : metal_cost::taps_of_phase(q) * q.c;
          const int64_t steps = (sum + p.tile.bk - 1) / p.tile.bk;
          CHECK(p.splits * p.split_steps >= steps);
          CHECK((p.splits - 1) * p.split_steps < steps);  // no part is empty
          CHECK((p.vector == 1 || (q.c % 4 == 0 && (!q.swapped || q.o % 4 == 0))));
        }
}

TEST_CASE("algorithms and tiles follow the chip and the problem") {
  ConvProblem large = normalize(layer(32, 56, 256, 256, 3), ConvKind::forward, Dtype::float32);
  const ConvProblem small = normalize(layer(1, 7, 512, 512, 3), ConvKind::forward, Dtype::float32);
  for (const char* chip : kChips) {
    INFO(std::string(chip));
    large.highest_precision = false;
    CHECK(plan_metal_conv(large, facts_of(chip)).algorithm == MetalAlgorithm::winograd);
    large.highest_precision = true;
    const MetalPlan p = plan_metal_conv(large, facts_of(chip));
    CHECK(option_name(p.algorithm, p.tile) == "igemm_64x64x16");
    CHECK(p.splits == 1);
    const MetalPlan parts = plan_metal_conv(small, facts_of(chip));
    CHECK(parts.algorithm == MetalAlgorithm::igemm);
    CHECK(parts.splits > 1);  // 49 outputs do not fill a GPU
  }
  CHECK(plan_metal_conv(small, facts_of("M1 Ultra")).splits > plan_metal_conv(small, facts_of("M1")).splits);
}

TEST_CASE("Winograd goes through its tiles in passes that the workspace holds") {
  MetalFacts f = facts_of("M2");
  f.wanted = "winograd";
  const ConvProblem q = normalize(layer(8, 56, 64, 64, 3), ConvKind::forward, Dtype::float32);
  const MetalPlan whole = plan_metal_conv(q, f);
  CHECK(whole.algorithm == MetalAlgorithm::winograd);
  CHECK(whole.winograd_tiles == 8 * 14 * 14);
  const int64_t weights = 36 * 64 * 64 * 4, tile = 36 * (64 + 64) * 4;
  f.workspace_limit = static_cast<size_t>(weights + 10 * tile + tile - 1);
  CHECK(plan_metal_conv(q, f).winograd_tiles == 10);
  CHECK(plan_metal_conv(q, f).workspace_bytes == static_cast<size_t>(weights + 10 * tile));
  f.workspace_limit = static_cast<size_t>(weights + tile - 1);
  CHECK(plan_metal_conv(q, f).algorithm != MetalAlgorithm::winograd);
  // Half types have as many points and their products, beside fewer bytes: wide layers gain, narrow ones do not.
  for (Dtype t : {Dtype::float16, Dtype::bfloat16}) {
    CHECK(plan_metal_conv(normalize(layer(32, 56, 256, 256, 3), ConvKind::forward, t), facts_of("M2")).algorithm ==
          MetalAlgorithm::winograd);
    CHECK(plan_metal_conv(normalize(layer(8, 56, 16, 16, 3), ConvKind::forward, t), facts_of("M2")).algorithm ==
          MetalAlgorithm::igemm);
  }
}

TEST_CASE("what exceeds the threadgroup's memory is refused") {
  MetalFacts f = facts_of("M3");
  f.threadgroup_memory = 8000;
  const MetalPlan p = plan_metal_conv(normalize(layers()[1], ConvKind::forward, Dtype::float32), f);
  CHECK(p.threadgroup_bytes <= 8000);
  CHECK(std::any_of(p.rejected.begin(), p.rejected.end(), [](const MetalRejected& r) {
    return option_name(r.algorithm, r.tile) == "igemm_64x64x16" &&
           std::string(r.why) == "the tiles exceed the threadgroup's memory";
  }));
  f.threadgroup_memory = 100;
  for (ConvKind kind : kKinds) {
    const MetalPlan none = plan_metal_conv(normalize(layers()[1], kind, Dtype::float32), f);
    CHECK(none.tile.bm == 0);
    CHECK(none.threadgroup_bytes == 0);
  }
}

TEST_CASE("the workspace bounds the parts of a sum") {
  MetalFacts f = facts_of("M2 Ultra");
  const ConvProblem q = normalize(layers()[2], ConvKind::forward, Dtype::float32);
  const size_t result = size_t(7 * 7 * 512) * sizeof(float);
  CHECK(plan_metal_conv(q, f).splits > 3);
  f.workspace_limit = 3 * result;
  CHECK(plan_metal_conv(q, f).splits <= 3);
  f.workspace_limit = 2 * result - 1;
  CHECK(plan_metal_conv(q, f).splits == 1);
}

TEST_CASE("depthwise layers and small groups take boxes that fit") {
  for (const char* chip : kChips)
    for (const ConvGeometry& g : {layers()[5], layers()[6], layers()[7], layer(8, 28, 64, 64, 5, 2, 64)})
      for (ConvKind kind : {ConvKind::forward, ConvKind::input_grad}) {
        const ConvProblem q = normalize(g, kind, Dtype::float32);
        const MetalPlan p = plan_metal_conv(q, facts_of(chip));
        INFO(describe(p));
        CHECK(p.algorithm == MetalAlgorithm::grouped);
        int64_t inputs = p.box.groups * q.c;
        for (int a = 0; a < 3; ++a) {
          const MetalPhases f = phases_of(q, a);
          inputs *= (p.box.out[a] - 1) * f.step + ((q.kernel[a] + f.tap_step - 1) / f.tap_step - 1) * f.reach + 1;
        }
        CHECK(inputs <= kBoxInputs);
        CHECK(p.box.groups * q.o * metal_cost::taps_of_phase(q) * q.c <= kBoxWeights);
      }
  ConvProblem far = normalize(layers()[5], ConvKind::forward, Dtype::float32);
  far.dilation[1] = far.dilation[2] = 100;
  CHECK(plan_metal_conv(far, facts_of("M1")).algorithm != MetalAlgorithm::grouped);
}

TEST_CASE("batch invariance: the choice of one image, whatever the batch") {
  MetalFacts f = facts_of("M2");
  f.batch_invariant = true;
  const MetalPlan one = plan_metal_conv(normalize(layer(1, 14, 256, 256, 3), ConvKind::forward, Dtype::float32), f);
  const MetalPlan many = plan_metal_conv(normalize(layer(64, 14, 256, 256, 3), ConvKind::forward, Dtype::float32), f);
  CHECK(one.tile == many.tile);
  CHECK(one.split_steps == many.split_steps);
}

TEST_CASE("the wanted option is taken where it is possible") {
  MetalFacts f = facts_of("M2");
  const ConvProblem q = normalize(layers()[1], ConvKind::forward, Dtype::float32);
  for (const char* wanted : {"igemm_64x32x16", "igemm_32x32x16", "direct"}) {
    f.wanted = wanted;
    const MetalPlan p = plan_metal_conv(q, f);
    CHECK(option_name(p.algorithm, p.tile) == wanted);
  }
  f.wanted = "igemm_64x64x16";
  f.threadgroup_memory = 100;
  CHECK(plan_metal_conv(q, f).algorithm == MetalAlgorithm::direct);
}

TEST_CASE("phases of a dilated input cover every output once") {
  ConvProblem q;
  for (int64_t dilated : {1, 2, 3, 4, 6})
    for (int64_t stride : {1, 2, 3, 4})
      for (int64_t tap : {1, 2, 3})
        for (int64_t out : {1, 2, 5, 12}) {
          q.in_dilation[2] = dilated;
          q.stride[2] = stride;
          q.dilation[2] = tap;
          q.out[2] = out;
          const MetalPhases p = phases_of(q, 2);
          CHECK(p.count <= out);
          if (p.count < out) {  // one output of a phase to the next: whole inputs
            CHECK(p.count * stride == p.step * dilated);
          }
          CHECK(p.tap_step * tap == p.reach * dilated);
        }
}

TEST_CASE("an image larger than counts of 32 bits is left to threads that count in 64") {
  ConvGeometry g = layer(1, 40000, 1, 1, 3);
  const MetalPlan p = plan_metal_conv(normalize(g, ConvKind::forward, Dtype::float16), facts_of("M2"));
  CHECK(p.algorithm == MetalAlgorithm::direct);
  g = layer(3, 20000, 4, 4, 3);
  const ConvProblem q = normalize(g, ConvKind::forward, Dtype::float16);
  CHECK(plan_metal_conv(q, facts_of("M2")).images < 3);
}
