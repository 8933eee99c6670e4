// tests/plan/test_machine.cpp -- the list of processor families, and planning for processors that are not this one
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "plan/conv_plan.h"
#include "plan/machine.h"

using namespace nhwc;

namespace {

struct Models {
  const char* vendor;
  int family;
  uint32_t first, last;
  const char* id;
};

constexpr char amd[] = "AuthenticAMD", intel[] = "GenuineIntel", arm[] = "ARM", apple[] = "Apple";
constexpr Models kModels[] = {
#define NHWC_MACHINE(id, name, ghz, baseline, avx2, avx512, neon, pairs, matrix, l2, l3, dram)
#define NHWC_MODELS(vendor, family, first, last, id) {vendor, family, first, last, #id},
#include "plan/machines.inc"
#undef NHWC_MACHINE
#undef NHWC_MODELS
};

DeviceFacts facts_of(const char* id, Isa isa) {
  DeviceFacts f;
  f.isa = isa;
  f.machine = find_machine(id);
  REQUIRE(f.machine);
  return f;
}

/// A 1 x 1 convolution of 28 x 28 pixels: all algorithms but the direct one refuse.
ConvProblem pointwise(int64_t c, int64_t o) {
  ConvProblem q;
  q.c = c;
  q.o = o;
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 28;
  return q;
}

double direct_us(const ConvProblem& q, DeviceFacts f) {
  f.wanted = ConvAlgorithm::direct;
  const CpuPlan plan = plan_conv(q, f);
  REQUIRE(plan.algorithm == ConvAlgorithm::direct);
  return plan.cost_us;
}

}  // namespace

TEST_CASE("every model belongs to one family of the list, with sensible figures") {
  for (const Models& m : kModels) {
    CAPTURE(m.id);
    CAPTURE(m.first);
    REQUIRE(find_machine(m.id));
    const Machine& row = *find_machine(m.id);
    CHECK(m.first <= m.last);
    CHECK((row.ghz > 1 && row.ghz < 7));
    CHECK((row.l2 > row.l3 && row.l3 > row.dram && row.dram > 0));
    const Isa strongest = row.products[3] > 0 ? Isa::neon : row.products[2] > 0 ? Isa::avx512 : Isa::avx2;
    for (uint32_t model : {m.first, m.last}) CHECK(&machine_of(m.vendor, m.family, model, strongest) == &row);
    for (const Models& other : kModels)
      if (&other != &m && other.vendor == m.vendor && other.family == m.family)
        CHECK((other.last < m.first || m.last < other.first));
  }
}

TEST_CASE("processors that are not listed have the row of their instruction set") {
  CHECK(std::string(machine_of("GenuineIntel", 6, 0xfe, Isa::avx512).id) == "generic_avx512");
  CHECK(std::string(machine_of("AuthenticAMD", 0x2f, 1, Isa::avx2).id) == "generic_avx2");
  CHECK(std::string(machine_of("", 0, 0, Isa::baseline).id) == "generic_baseline");
  CHECK(std::string(machine_of("AuthenticAMD", 0x1a, 0x02, Isa::avx512).id) == "zen5");
  CHECK(std::string(machine_of("AuthenticAMD", 0x19, 0x11, Isa::avx512).id) == "zen4");
  CHECK(std::string(machine_of("GenuineIntel", 6, 0x55, Isa::avx512).id) == "skylake_server");
  // Zen 3 has no AVX-512: what says so is another processor.
  CHECK(std::string(machine_of("AuthenticAMD", 0x19, 0x01, Isa::avx512).id) == "generic_avx512");
  // Rocket Lake by its number, with instructions that it never had; the same of AMD, whose families differ more.
  CHECK(std::string(machine_of("GenuineIntel", 6, 0xa7, Isa::avx512, true).id) == "sapphire_rapids");
  CHECK(std::string(machine_of("GenuineIntel", 6, 0xa7, Isa::avx512).id) == "ice_lake");
  CHECK(std::string(machine_of("AuthenticAMD", 0x19, 0x01, Isa::avx512, true).id) == "generic_avx512");
  CHECK(std::string(machine_of("ARM", 0, 0xd40, Isa::neon).id) == "neoverse_v1");
  CHECK(std::string(machine_of("Apple", 0, 0xda33d83d, Isa::neon).id) == "apple_m2");
  CHECK(std::string(machine_of("ARM", 0, 0xfff, Isa::neon).id) == "generic_neon");
  CHECK(find_machine("pdp11") == nullptr);
}

TEST_CASE("this processor has figures for every instruction set it runs") {
  for (Isa isa : supported_isas()) CHECK(this_machine().products[static_cast<int>(isa)] > 0);
  CHECK(cpu_facts().machine == &this_machine());
}

TEST_CASE("half the multiply-adds make products take twice the cycles") {
  const ConvProblem q = pointwise(512, 512);
  const double full = direct_us(q, facts_of("zen5", Isa::avx512)) * find_machine("zen5")->ghz;
  const double half = direct_us(q, facts_of("zen4", Isa::avx512)) * find_machine("zen4")->ghz;
  CHECK(half / full > 1.9);
  CHECK(half / full < 2);
  // With 256 bits they are alike, but for the caches that weights pass through.
  const double a = direct_us(q, facts_of("zen5", Isa::avx2)) * find_machine("zen5")->ghz;
  const double b = direct_us(q, facts_of("zen4", Isa::avx2)) * find_machine("zen4")->ghz;
  CHECK(a == doctest::Approx(b).epsilon(0.02));
}

TEST_CASE("dot products of bfloat16 pairs have a rate of their own") {
  ConvProblem q = pointwise(512, 512);
  q.dtype = Dtype::bfloat16;
  const auto cycles = [&q](const char* id) {
    DeviceFacts f = facts_of(id, Isa::avx512);
    f.bf16_dot = true;
    f.wanted = ConvAlgorithm::direct_bf16;
    const CpuPlan plan = plan_conv(q, f);
    REQUIRE(plan.algorithm == ConvAlgorithm::direct_bf16);
    return plan.cost_us * f.machine->ghz;
  };
  CHECK(cycles("zen4") > 1.8 * cycles("zen5"));
  CHECK(cycles("sapphire_rapids") > 1.8 * cycles("zen4"));
}

TEST_CASE("the choice follows the machine: where products cost twice, a transform that saves them wins sooner") {
  const DeviceFacts zen5 = facts_of("zen5", Isa::avx512), zen4 = facts_of("zen4", Isa::avx512);
  int sooner = 0, later = 0;
  for (int64_t c : {4, 8, 12, 16, 24, 32, 48, 64})
    for (int64_t side : {4, 7, 14, 28, 56})
      for (int axes : {1, 2}) {
        ConvProblem q = pointwise(c, c);
        for (int a = 3 - axes; a < 3; ++a) {
          q.in[a] = q.out[a] = side;
          q.kernel[a] = 3;
          q.pad[a] = 1;
        }
        const ConvAlgorithm there = plan_conv(q, zen4).algorithm, here = plan_conv(q, zen5).algorithm;
        sooner += is_winograd(there) && !is_winograd(here);
        later += is_winograd(here) && (there == ConvAlgorithm::direct || there == ConvAlgorithm::merged);
      }
  CHECK(sooner > 0);
  CHECK(later == 0);
}

TEST_CASE("where L3 is slow for one core, what leaves L2 is read in the order of memory, and blocks stay small") {
  const DeviceFacts near = facts_of("zen5", Isa::avx512), mesh = facts_of("sapphire_rapids", Isa::avx512);
  ConvProblem q = pointwise(1, 1);
  q.groups = 192;
  for (int a : {1, 2}) q.kernel[a] = 3, q.pad[a] = 1;
  const auto rows = [&](const DeviceFacts& f, int64_t batch) {
    q.batch = batch;
    const CpuPlan plan = plan_conv(q, f);
    REQUIRE(plan.algorithm == ConvAlgorithm::depthwise);
    return plan.row_order;
  };
  CHECK(rows(mesh, 8));
  CHECK(!rows(mesh, 1));
  CHECK(!rows(near, 8));
  // Of two caches that are alike otherwise: bytes of scratch.
  ConvProblem strided;
  strided.batch = 8;
  strided.c = strided.o = 256;
  for (int a : {1, 2}) {
    strided.in[a] = 28;
    strided.out[a] = 14;
    strided.kernel[a] = 3;
    strided.stride[a] = 2;
    strided.pad[a] = 1;
  }
  const auto scratch = [&](DeviceFacts f) {
    f.l2 = size_t(2) << 20;
    f.l3 = size_t(128) << 20;
    f.wanted = ConvAlgorithm::winograd4;
    const CpuPlan plan = plan_conv(strided, f);
    REQUIRE(plan.algorithm == ConvAlgorithm::winograd4);
    return plan.workspace_bytes;
  };
  CHECK(scratch(mesh) < scratch(near) / 2);
}

TEST_CASE("a slower memory makes the same plan take longer, never shorter") {
  Machine slow = *find_machine("zen5");
  slow.l2 /= 2;
  slow.l3 /= 2;
  slow.dram /= 2;
  ConvProblem q = pointwise(512, 512);  // the transformed weights are 38 MB
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 14;
  q.kernel[1] = q.kernel[2] = 3;
  q.pad[1] = q.pad[2] = 1;
  DeviceFacts f = facts_of("zen5", Isa::avx512);
  f.wanted = ConvAlgorithm::winograd6;
  const double fast_us = plan_conv(q, f).cost_us;
  f.machine = &slow;
  CHECK(plan_conv(q, f).cost_us > 1.1 * fast_us);
}

TEST_CASE("a plan names the machine it was priced for") {
  CHECK(describe(plan_conv(pointwise(64, 64), facts_of("haswell", Isa::avx2))).find("Haswell") != std::string::npos);
  DeviceFacts f;
  f.isa = Isa::avx2;
  CHECK(std::string(plan_conv(pointwise(64, 64), f).machine->id) == "generic_avx2");
}
