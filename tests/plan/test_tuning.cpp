// tests/plan/test_tuning.cpp -- tuned choices: that plans follow them, and their text form under damage of any kind
#include <doctest/doctest.h>

#include <random>

#include "kernels/conv_testing.h"
#include "plan/tuning.h"

using namespace nhwc;
using namespace nhwc::testing;

namespace {

const TuningOrigin kHere{"0.1.0", "zen5 49152 1048576 33554432"};
using Status = ParsedTuning::Status;

ConvProblem layer(int64_t c, int64_t o) {
  ConvProblem q;
  q.c = c;
  q.o = o;
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 56;
  q.kernel[1] = q.kernel[2] = 3;
  q.pad[1] = q.pad[2] = 1;
  return q;
}

DeviceFacts avx512() {
  DeviceFacts f;
  f.isa = Isa::avx512;
  return f;
}

TuningTable random_table(std::mt19937_64& rng, int n) {
  TuningTable t;
  constexpr Dtype kTypes[] = {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64};
  constexpr ConvAlgorithm kForward[] = {ConvAlgorithm::direct, ConvAlgorithm::winograd6, ConvAlgorithm::fft};
  for (int i = 0; i < n; ++i) {
    const bool grad = pick(rng, 0, 1);
    const ConvProblem q =
        normalize(random_geometry(rng), grad ? ConvKind::weight_grad : ConvKind::forward, kTypes[pick(rng, 0, 3)]);
    const ConvAlgorithm a = grad ? ConvAlgorithm::weight_grad : kForward[pick(rng, 0, 2)];
    t.add({static_cast<Isa>(pick(rng, 0, 2)), tuning_key(q, pick(rng, 0, 1)), {a, 0.5 + static_cast<double>(i)}, a, 2});
  }
  return t;
}

}  // namespace

TEST_CASE("a plan takes the tuned choice where it can, and the wanted one before it") {
  const ConvProblem q = layer(64, 64);
  DeviceFacts f = avx512();
  f.tuned = {ConvAlgorithm::direct, 123};
  CpuPlan plan = plan_conv(q, f);
  CHECK(plan.algorithm == ConvAlgorithm::direct);
  CHECK(plan.preferred == ConvAlgorithm::winograd6);
  CHECK(plan.measured_us == 123);
  CHECK(describe(plan).find("tuned: measured 123 us, the model preferred winograd6") != std::string::npos);
  f.wanted = ConvAlgorithm::winograd4;
  plan = plan_conv(q, f);
  CHECK(plan.algorithm == ConvAlgorithm::winograd4);
  CHECK(plan.measured_us == 0);
  f.wanted = ConvAlgorithm::depthwise;  // is refused
  CHECK(plan_conv(q, f).algorithm == ConvAlgorithm::direct);
}

TEST_CASE("a tuned choice that the planner refuses changes nothing") {
  DeviceFacts f = avx512();
  const ConvProblem q = layer(64, 64);
  for (ConvAlgorithm a : {ConvAlgorithm::depthwise, ConvAlgorithm::fft, ConvAlgorithm::weight_grad,
                          ConvAlgorithm::empty, ConvAlgorithm::grouped}) {
    f.tuned = {a, 1};
    const CpuPlan plan = plan_conv(q, f);
    CHECK(plan.algorithm == ConvAlgorithm::winograd6);
    CHECK(plan.measured_us == 0);
  }
  ConvProblem exact = q;
  exact.highest_precision = true;
  f.tuned = {ConvAlgorithm::winograd6, 1};
  CHECK(plan_conv(exact, f).algorithm == ConvAlgorithm::direct);
}

TEST_CASE("bias and activation are no part of the key; the batch is, unless it may not matter") {
  ConvProblem q = layer(8, 8), fused = q, larger = q;
  fused.has_bias = true;
  fused.activation = Activation::relu;
  larger.batch = 4;
  CHECK(tuning_key(q, false) == tuning_key(fused, false));
  CHECK(tuning_key(q, false) != tuning_key(larger, false));
  CHECK(tuning_key(q, true) == tuning_key(larger, true));
  CHECK(tuning_key(q, true) != tuning_key(q, false));
}

TEST_CASE("a table finds what was added, by instruction set, and keeps the older of two") {
  TuningTable t;
  const ConvProblem q = layer(8, 8);
  CHECK(t.find(Isa::avx2, q) == nullptr);
  CHECK(t.add({Isa::avx2, q, {ConvAlgorithm::direct, 1}, ConvAlgorithm::direct, 1}));
  CHECK_FALSE(t.add({Isa::avx2, q, {ConvAlgorithm::winograd4, 2}, ConvAlgorithm::direct, 3}));
  CHECK(t.add({Isa::avx512, q, {ConvAlgorithm::winograd4, 2}, ConvAlgorithm::direct, 3}));
  CHECK(t.find(Isa::avx2, q)->tuned == Tuned{ConvAlgorithm::direct, 1});
  CHECK(t.find(Isa::avx512, q)->tuned == Tuned{ConvAlgorithm::winograd4, 2});
  CHECK(t.find(Isa::baseline, q) == nullptr);
  CHECK(t.find(Isa::avx2, layer(8, 16)) == nullptr);
  t.clear();
  CHECK(t.find(Isa::avx2, q) == nullptr);
}

TEST_CASE("what was written is read back the same") {
  const unsigned seed = 21;
  CAPTURE(seed);
  std::mt19937_64 rng(seed);
  for (int n : {0, 1, 7, 100}) {
    const TuningTable t = random_table(rng, n);
    const ParsedTuning p = parse_tuning(format_tuning(t, kHere), kHere);
    CHECK(p.status == Status::good);
    CHECK(p.problem == "");
    REQUIRE(p.entries.size() == t.entries().size());
    for (size_t i = 0; i < p.entries.size(); ++i) {
      const TuningEntry &a = p.entries[i], &b = t.entries()[i];
      CHECK(a.isa == b.isa);
      CHECK(a.key == b.key);
      CHECK(a.tuned == b.tuned);
      CHECK(a.preferred == b.preferred);
      CHECK(a.preferred_us == b.preferred_us);
    }
  }
}

TEST_CASE("a file that is cut off anywhere is refused as a whole") {
  std::mt19937_64 rng(22);
  const std::string text = format_tuning(random_table(rng, 5), kHere);
  for (size_t n = 0; n < text.size(); ++n) {
    const ParsedTuning p = parse_tuning(text.substr(0, n), kHere);
    CHECK(p.status != Status::good);
    CHECK(p.entries.empty());
    CHECK(p.problem != "");
  }
}

TEST_CASE("a byte changed anywhere never crashes, and what is still accepted is well formed") {
  std::mt19937_64 rng(23);
  const std::string text = format_tuning(random_table(rng, 5), kHere);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = text;
    for (int64_t k = pick(rng, 1, 3); k > 0; --k)
      bad[static_cast<size_t>(pick(rng, 0, static_cast<int64_t>(bad.size()) - 1))] =
          static_cast<char>(pick(rng, 0, 3) ? pick(rng, 32, 126) : pick(rng, 0, 255));
    const ParsedTuning p = parse_tuning(bad, kHere);
    if (p.status != Status::good) CHECK(p.entries.empty());
    for (const TuningEntry& e : p.entries) {
      CHECK(e.tuned.us > 0);
      CHECK(static_cast<int>(e.isa) <= 2);
      CHECK(algorithm_named(name(e.tuned.algorithm)) == e.tuned.algorithm);
    }
  }
}

TEST_CASE("files of other machines, other versions, and unknown algorithms") {
  TuningTable t;
  t.add({Isa::avx512, layer(8, 8), {ConvAlgorithm::direct, 1}, ConvAlgorithm::direct, 1});
  t.add({Isa::avx512, layer(8, 16), {ConvAlgorithm::winograd4, 1}, ConvAlgorithm::direct, 1});
  const std::string text = format_tuning(t, kHere);
  CHECK(parse_tuning(text, {"0.1.0", "zen4 32768 1048576 33554432"}).status == Status::other_machine);
  CHECK(parse_tuning(text, {"0.2.0", kHere.machine}).status == Status::other_version);
  std::string newer = text;
  newer.replace(newer.find("tuning 1"), 8, "tuning 2");
  CHECK(parse_tuning(newer, kHere).status == Status::other_version);
  std::string unknown = text;
  unknown.replace(unknown.find("winograd4"), 9, "alchemy99");
  const ParsedTuning p = parse_tuning(unknown, kHere);
  CHECK(p.status == Status::good);
  CHECK(p.entries.size() == 1);
  CHECK(p.problem.find("alchemy99") != std::string::npos);
}
