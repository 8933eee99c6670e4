// tests/plan/test_conv_plan.cpp -- normalisation, phases and the choice of the algorithm; needs no device
#include <doctest/doctest.h>

#include <array>
#include <map>

#include "kernels/conv_testing.h"
#include "plan/conv_axis.h"
#include "plan/conv_cut.h"
#include "plan/tuning.h"

using namespace nhwc;
using namespace nhwc::testing;

TEST_CASE("phases find exactly the taps that meet an input") {
  std::mt19937_64 rng(7);
  for (int i = 0; i < 2000; ++i) {
    ConvProblem q;
    q.in[2] = pick(rng, 1, 12);
    q.out[2] = pick(rng, 0, 20);
    q.kernel[2] = pick(rng, 1, 9);
    q.stride[2] = pick(rng, 1, 7);
    q.dilation[2] = pick(rng, 1, 7);
    q.in_dilation[2] = pick(rng, 1, 9);
    q.pad[2] = pick(rng, -9, 20);
    std::map<std::pair<int64_t, int64_t>, int64_t> found, want;  // (output, tap) -> input
    const AxisPhases axis(q, 2);
    int64_t outputs = 0;
    for (int64_t r = 0; r < axis.phases(); ++r) {
      const AxisPhase ph = axis.phase(r);
      outputs += ph.count;
      for (int64_t j = 0; j < ph.count; ++j)
        for (int64_t t = 0; t < ph.n_taps; ++t) {
          const int64_t in = ph.taps[t].base + j * axis.step;
          if (in >= 0 && in < q.in[2]) found[{ph.first + j * axis.period, ph.taps[t].k}] = in;
        }
    }
    for (int64_t p = 0; p < q.out[2]; ++p)
      for (int64_t k = 0; k < q.kernel[2]; ++k) {
        const int64_t t = p * q.stride[2] + k * q.dilation[2] - q.pad[2];
        if (t >= 0 && t % q.in_dilation[2] == 0 && t / q.in_dilation[2] < q.in[2]) want[{p, k}] = t / q.in_dilation[2];
      }
    CHECK(outputs == q.out[2]);
    CHECK(found == want);
  }
}

TEST_CASE("outputs that share no input are folded into channels") {
  ConvGeometry g;
  g.in_channels = 8;
  g.out_channels = 5;
  for (int a = 0; a < 3; ++a) g.in[a] = 6, g.out[a] = 12, g.kernel[a] = g.in_dilation[a] = 2, g.pad[a] = 1;
  ConvProblem q = normalize(g, ConvKind::forward, Dtype::float32);
  CHECK(q.fold == 2);
  CHECK(q.o == 10);
  CHECK(q.out[2] == 6);
  CHECK(q.kernel[2] * q.in_dilation[2] == 1);
  CHECK(q.pad[2] == 0);
  CHECK(q.out[1] == 12);
  CHECK(tuning_key(q, false).fold == 1);
  for (int a = 0; a < 3; ++a) g.in[a] = 1, g.out[a] = 2, g.in_dilation[a] = 1;
  q = normalize(g, ConvKind::forward, Dtype::float32);
  CHECK(q.fold == 8);
  CHECK(q.o == 40);
  CHECK(q.kernel[0] * q.kernel[1] * q.kernel[2] == 1);
  CHECK(normalize(g, ConvKind::weight_grad, Dtype::float32).fold == 1);
  g.out[2] = 1;  // the last output is not wanted
  CHECK(normalize(g, ConvKind::forward, Dtype::float32).fold == 1);
  g.out[2] = 3;  // one that reads nothing
  CHECK(normalize(g, ConvKind::forward, Dtype::float32).fold == 1);
}

TEST_CASE("boxes hold every output once, and the taps that each of their outputs meets") {
  TileCosts costs;
  costs.tap = 100;
  costs.tile = 1;
  costs.panels = 1;
  costs.mr = 14;
  costs.even = true;
  int64_t cut = 0;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    std::mt19937_64 rng(seed);
    ConvProblem q;
    q.batch = pick(rng, 1, 3);
    for (int a = 0; a < 3; ++a) {
      q.in[a] = pick(rng, 1, a == 2 ? 40 : 9);
      q.out[a] = pick(rng, 1, a == 2 ? 50 : 12);
      q.kernel[a] = pick(rng, 1, 4);
      q.stride[a] = pick(rng, 1, 3);
      q.dilation[a] = pick(rng, 1, 12);
      q.in_dilation[a] = pick(rng, 0, 2) ? 1 : 2;
      q.pad[a] = pick(rng, -2, 14);
    }
    const AxisPhases axes[3] = {{q, 0}, {q, 1}, {q, 2}};
    const int64_t step[3] = {axes[0].step, axes[1].step, axes[2].step};
    const ConvBox phase{{axes[0].phase(0), axes[1].phase(0), axes[2].phase(0)}};
    ConvBoxes boxes;
    const BoxWork work = cut_phase(q, costs, phase, step, boxes);
    CHECK(work.cycles <= work_of(q, costs, phase, step).cycles);
    if (boxes.size() == 1) continue;
    ++cut;
    std::map<std::array<int64_t, 3>, int> held;
    for (const ConvBox& box : boxes) {
      for (int a = 0; a < 3; ++a)
        for (int64_t t = 0; t < phase.axis[a].n_taps; ++t) {
          const AxisTap& tap = phase.axis[a].taps[t];
          int64_t inside = 0;
          for (int64_t j = box.axis[a].begin; j < box.axis[a].end(); ++j)
            inside += tap.base + j * step[a] >= 0 && tap.base + j * step[a] < q.in[a];
          const int64_t at = &tap - box.axis[a].taps;
          const bool listed = at >= 0 && at < box.axis[a].n_taps;
          CHECK_MESSAGE((listed || inside == 0), "seed ", seed, " a tap is missing along ", a);
          if (listed && a < 2) CHECK_MESSAGE(inside == box.axis[a].count, "seed ", seed, " padding along ", a);
        }
      for (int64_t d = box.axis[0].begin; d < box.axis[0].end(); ++d)
        for (int64_t h = box.axis[1].begin; h < box.axis[1].end(); ++h)
          for (int64_t w = box.axis[2].begin; w < box.axis[2].end(); ++w) ++held[{d, h, w}];
    }
    CHECK(static_cast<int64_t>(held.size()) == phase.axis[0].count * phase.axis[1].count * phase.axis[2].count);
    for (const auto& [at, times] : held) CHECK_MESSAGE(times == 1, "seed ", seed, " d ", at[0]);
  }
  CHECK(cut > 100);
}

TEST_CASE("the model counts the taps that tiles meet") {
  // One tap of one output takes a cycle, and nothing else does: what is counted is what the tiles multiply.
  TileCosts costs;
  costs.tap = costs.panels = 1;
  costs.mr = 14;
  ConvProblem q;
  for (int a = 1; a < 3; ++a) {
    q.in[a] = q.out[a] = 33;
    q.kernel[a] = 3;
    q.dilation[a] = q.pad[a] = 18;
  }
  const AxisPhases axes[3] = {{q, 0}, {q, 1}, {q, 2}};
  const int64_t step[3] = {1, 1, 1};
  const BoxWork whole = work_of(q, costs, {{axes[0].phase(0), axes[1].phase(0), axes[2].phase(0)}}, step);
  CHECK(whole.cycles == doctest::Approx(63 * (2 + 3 + 2) * 11));  // tiles of 11 columns meet 2, 3 and 2 taps
  CHECK(cut_conv(q, costs).work.cycles == doctest::Approx(63 * 63));
  q.dilation[1] = q.dilation[2] = q.pad[1] = q.pad[2] = 40;  // all but the middle tap
  CHECK(cut_conv(q, costs).work.cycles == doctest::Approx(33 * 33));
  q.dilation[1] = q.dilation[2] = q.pad[1] = q.pad[2] = 1;
  for (int a = 1; a < 3; ++a) q.in[a] = q.out[a] = 56;
  CHECK(cut_conv(q, costs).work.cycles <= 56 * 3 * (56 * 3 - 2));
}

TEST_CASE("the input gradient of the input gradient is the convolution") {
  std::mt19937_64 rng(8);
  for (int i = 0; i < 200; ++i) {
    const ConvGeometry g = random_geometry(rng);
    const ConvProblem q = normalize(g, ConvKind::input_grad, Dtype::float32);
    if (q.fold > 1) continue;
    CHECK(q.c * q.groups == g.out_channels);
    CHECK(q.o * q.groups == g.in_channels);
    CHECK(q.flip != g.flip);
    for (int a = 0; a < 3; ++a) {
      CHECK(q.dilation[a] * (q.kernel[a] - 1) - q.pad[a] == g.pad[a]);
      CHECK(q.stride[a] == g.in_dilation[a]);
      CHECK(q.in_dilation[a] == g.stride[a]);
      CHECK(q.in[a] == g.out[a]);
      CHECK(q.out[a] == g.in[a]);
    }
  }
}

namespace {

ConvAlgorithm chosen(int64_t groups, int64_t c, int64_t o, ConvKind kind = ConvKind::forward, bool highest = false) {
  ConvGeometry g;
  g.highest_precision = highest;
  g.groups = groups;
  g.in_channels = groups * c;
  g.out_channels = groups * o;
  for (int a = 1; a < 3; ++a) {
    g.in[a] = g.out[a] = 56;
    g.kernel[a] = 3;
    g.pad[a] = 1;
  }
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  return plan_conv(normalize(g, kind, Dtype::float32), f).algorithm;
}

}  // namespace

TEST_CASE("the planner takes the algorithm that fits") {
  CHECK(chosen(1, 64, 64) == ConvAlgorithm::winograd6);
  CHECK(chosen(1, 64, 64, ConvKind::input_grad) == ConvAlgorithm::winograd6);
  CHECK(chosen(1, 64, 64, ConvKind::forward, true) == ConvAlgorithm::direct);
  CHECK(chosen(1, 3, 64) == ConvAlgorithm::merged);
  CHECK(chosen(96, 1, 1) == ConvAlgorithm::depthwise);
  CHECK(chosen(32, 4, 4) == ConvAlgorithm::diagonal);
  CHECK(chosen(2, 64, 64) == ConvAlgorithm::winograd6);
  CHECK(chosen(1, 0, 64) == ConvAlgorithm::empty);
  CHECK(chosen(1, 64, 64, ConvKind::weight_grad) == ConvAlgorithm::winograd_weight_grad);
  CHECK(chosen(1, 3, 16, ConvKind::weight_grad) == ConvAlgorithm::weight_grad);
  CHECK(chosen(96, 1, 1, ConvKind::weight_grad) == ConvAlgorithm::depthwise_weight_grad);
  CHECK(chosen(32, 4, 4, ConvKind::weight_grad) == ConvAlgorithm::grouped_weight_grad);
}

TEST_CASE("weights that are packed in every call are not transformed for a small image") {
  const auto chosen_for = [&](int64_t size, int64_t c, bool packs_weights) {
    ConvGeometry g;
    g.in_channels = g.out_channels = c;
    for (int a = 1; a < 3; ++a) {
      g.in[a] = g.out[a] = size;
      g.kernel[a] = 3;
      g.pad[a] = 1;
    }
    DeviceFacts f;
    f.isa = Isa::avx512;
    f.vector_bytes = 64;
    f.packs_weights = packs_weights;
    return plan_conv(normalize(g, ConvKind::forward, Dtype::float32), f).algorithm;
  };
  CHECK(is_winograd(chosen_for(7, 512, false)));
  CHECK(chosen_for(7, 512, true) == ConvAlgorithm::direct);
  CHECK(chosen_for(56, 64, true) == ConvAlgorithm::winograd6);
}

TEST_CASE("pointwise convolutions to few outputs run along the input channels") {
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  const auto pointwise = [&](int64_t c, int64_t o) {
    ConvGeometry g;
    g.in_channels = c;
    g.out_channels = o;
    g.in[1] = g.in[2] = g.out[1] = g.out[2] = 64;
    return plan_conv(normalize(g, ConvKind::forward, Dtype::float32), f).algorithm;
  };
  for (int64_t o = 1; o <= 4; ++o) {
    CHECK(pointwise(16, o) == ConvAlgorithm::dot);
    CHECK(pointwise(64, o) == ConvAlgorithm::dot);
  }
  CHECK(pointwise(16, 8) == ConvAlgorithm::dot);
  CHECK(pointwise(16, 9) == ConvAlgorithm::direct);
  CHECK(pointwise(2, 4) != ConvAlgorithm::dot);
}

TEST_CASE("calls that are kept make tables free, and choose what can be kept") {
  const auto planned = [](int64_t pad, bool kept) {
    ConvGeometry g;
    g.in_channels = g.out_channels = 8;
    for (int a = 1; a < 3; ++a) {
      g.in[a] = 4;
      g.kernel[a] = 3;
      g.pad[a] = pad;
      g.out[a] = 2 + 2 * pad;
    }
    DeviceFacts f;
    f.isa = Isa::avx512;
    f.vector_bytes = 64;
    f.calls_kept = kept;
    return plan_conv(normalize(g, ConvKind::forward, Dtype::float32), f);
  };
  for (int64_t pad : {0, 1}) {
    const CpuPlan kept = planned(pad, true);
    CHECK(kept.cost_us < planned(pad, false).cost_us);
    CHECK((kept.algorithm == ConvAlgorithm::dot || kept.algorithm == ConvAlgorithm::direct));
  }
}

TEST_CASE("Winograd merges groups that share a vector, evenly") {
  ConvProblem q;
  const auto merged = [&](int64_t groups, int64_t c, int64_t o) {
    q.groups = groups;
    q.c = c;
    q.o = o;
    const ConvProblem units = winograd_units(q, 16);
    CHECK(units.groups * units.c == groups * c);
    CHECK(units.groups * units.o == groups * o);
    return groups / units.groups;
  };
  CHECK(merged(32, 8, 8) == 2);
  CHECK(merged(32, 4, 2) == 4);
  CHECK(merged(5, 3, 3) == 5);
  CHECK(merged(7, 4, 4) == 1);  // 4 would fit, but do not divide 7
  CHECK(merged(6, 4, 4) == 3);
  CHECK(merged(32, 8, 16) == 1);
  CHECK(merged(9, 48, 48) == 1);
  CHECK(merged(1, 4, 4) == 1);
}

TEST_CASE("small groups go through Winograd from eight channels on") {
  ConvProblem q;
  q.groups = 32;
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 28;
  q.kernel[1] = q.kernel[2] = 3;
  q.pad[1] = q.pad[2] = 1;
  DeviceFacts f;
  f.isa = Isa::avx512;
  for (int64_t c : {4, 8, 16, 24, 48}) {
    q.c = q.o = c;
    CHECK(plan_conv(q, f).algorithm == (c < 8 ? ConvAlgorithm::diagonal : ConvAlgorithm::winograd6));
  }
}

TEST_CASE("Winograd refuses more slide taps than its kernel has room for") {
  ConvProblem q;
  q.c = q.o = 16;
  q.in[0] = 60;
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 20;
  q.kernel[1] = q.kernel[2] = 3;
  q.pad[1] = q.pad[2] = 1;
  DeviceFacts f;
  f.isa = Isa::avx512;
  for (int64_t taps : {4, 16, 17, 40}) {
    q.kernel[0] = taps;
    q.out[0] = q.in[0] - taps + 1;
    WinogradGeometry g;
    for (int points : {4, 6}) CHECK((winograd_geometry(q, points, g) == nullptr) == (taps <= kMaxSummedTaps));
    for (ConvAlgorithm wanted : {ConvAlgorithm::winograd4, ConvAlgorithm::winograd6}) {
      f.wanted = wanted;
      CHECK((plan_conv(q, f).algorithm == wanted) == (taps <= kMaxSummedTaps));
    }
  }
}

TEST_CASE("Winograd cuts long filters into the parts with the fewest products") {
  ConvProblem q;
  q.c = q.o = 16;
  q.in[2] = 100;
  const struct {
    int64_t kernel;
    int parts, taps;
  } wanted[] = {{2, 1, 2}, {3, 1, 3}, {4, 1, 4}, {5, 1, 5},  {6, 2, 3},
                {7, 2, 4}, {8, 2, 4}, {9, 3, 3}, {11, 3, 4}, {12, 3, 4}};
  for (const auto& w : wanted) {
    q.kernel[2] = w.kernel;
    q.out[2] = q.in[2] - w.kernel + 1;
    WinogradGeometry g;
    REQUIRE(winograd_geometry(q, 6, g) == nullptr);
    CHECK_MESSAGE(g.filter_parts() == w.parts, w.kernel, " taps");
    CHECK_MESSAGE(g.taps == w.taps, w.kernel, " taps");
    int64_t covered = 0;  // every tap once
    for (int64_t part = 0; part < w.parts; ++part)
      for (int64_t t = 0; t < w.taps; ++t) covered += g.tap_along(2, part, t) == covered && covered < w.kernel;
    CHECK(covered == w.kernel);
  }
}

TEST_CASE("Winograd tiles cover every output once, for any axes, dilation and sizes") {
  std::mt19937_64 rng(11);
  for (int i = 0; i < 300; ++i) {
    ConvProblem q;
    q.batch = pick(rng, 1, 3);
    for (int a = 0; a < 3; ++a) {
      q.kernel[a] = pick(rng, 0, 2) ? 3 : 1;
      q.dilation[a] = pick(rng, 1, 4);
      q.out[a] = pick(rng, 1, 30);
      q.stride[a] = pick(rng, 0, 3) ? 1 : 2;
    }
    WinogradGeometry g;
    for (int points : {4, 6}) {
      if (winograd_geometry(q, points, g)) continue;
      CHECK(g.axes >= 1);
      for (int a = 0; a < 3; ++a) {
        if (!g.axis[a].transformed) {
          CHECK(g.axis[a].tiles() == q.out[a]);
          continue;
        }
        // Each residue is covered, and its last tile is not empty where the residue is the longest.
        const int64_t longest = (q.out[a] + q.dilation[a] - 1) / q.dilation[a];
        CHECK(g.axis[a].residues == std::min(q.dilation[a], q.out[a]));
        CHECK(g.axis[a].per_residue * g.outputs() >= longest);
        CHECK((g.axis[a].per_residue - 1) * g.outputs() < longest);
      }
      CHECK(winograd_cut(q, g, 14, 1 << 20, 32 << 20, true).blocks >= 1);
    }
  }
}

TEST_CASE("an algorithm that is wanted is taken where it is possible") {
  ConvProblem q;
  q.c = q.o = 64;
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 56;
  q.kernel[1] = q.kernel[2] = 3;
  q.pad[1] = q.pad[2] = 1;
  DeviceFacts f;
  f.isa = Isa::avx512;
  for (ConvAlgorithm a : {ConvAlgorithm::direct, ConvAlgorithm::winograd4, ConvAlgorithm::winograd6}) {
    f.wanted = a;
    CHECK(plan_conv(q, f).algorithm == a);
  }
  f.wanted = ConvAlgorithm::depthwise;
  CHECK(plan_conv(q, f).algorithm == ConvAlgorithm::winograd6);
}

TEST_CASE("pairs of bfloat16 where the processor multiplies them, and nothing asks for the highest precision") {
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  const auto chosen = [&](Dtype t, int64_t c, int64_t k, bool dot, bool highest = false) {
    ConvProblem q;
    q.dtype = t;
    q.c = c;
    q.o = 64;
    q.in[1] = q.in[2] = 28;
    q.out[1] = q.out[2] = 28 - k + 1;
    q.kernel[1] = q.kernel[2] = k;
    q.highest_precision = highest;
    f.bf16_dot = dot;
    return plan_conv(q, f).algorithm;
  };
  CHECK(chosen(Dtype::bfloat16, 64, 1, true) == ConvAlgorithm::direct_bf16);
  CHECK(chosen(Dtype::bfloat16, 64, 1, false) == ConvAlgorithm::direct);
  CHECK(chosen(Dtype::bfloat16, 64, 1, true, true) == ConvAlgorithm::direct);
  CHECK(chosen(Dtype::float16, 64, 1, true) == ConvAlgorithm::direct);
  CHECK(chosen(Dtype::float32, 64, 1, true) == ConvAlgorithm::direct);
  CHECK(chosen(Dtype::bfloat16, 3, 7, true) == ConvAlgorithm::merged_bf16);
  CHECK(chosen(Dtype::bfloat16, 1, 1, true) == ConvAlgorithm::direct);
}

TEST_CASE("the matrix unit where there is one, of float32 where nothing is transformed") {
  DeviceFacts f;
  f.isa = Isa::avx512;
  f.vector_bytes = 64;
  f.machine = find_machine("sapphire_rapids");
  f.bf16_dot = true;
  const auto chosen = [&](Dtype t, int64_t k, bool amx, bool highest = false) {
    ConvProblem q;
    q.dtype = t;
    q.c = q.o = 128;
    q.in[1] = q.in[2] = 28;
    q.out[1] = q.out[2] = 28 - k + 1;
    q.kernel[1] = q.kernel[2] = k;
    q.highest_precision = highest;
    f.amx = amx;
    return plan_conv(q, f).algorithm;
  };
#if defined(NHWC_AMX)
  CHECK(chosen(Dtype::bfloat16, 1, true) == ConvAlgorithm::amx_bf16);
  CHECK(chosen(Dtype::bfloat16, 3, true) == ConvAlgorithm::amx_bf16);
  CHECK(chosen(Dtype::float32, 1, true) == ConvAlgorithm::amx);
  CHECK(chosen(Dtype::float16, 1, true) == ConvAlgorithm::amx);
#endif
  CHECK(is_winograd(chosen(Dtype::float32, 3, true)));
  for (Dtype t : {Dtype::bfloat16, Dtype::float32, Dtype::float64})
    for (int64_t k : {1, 3}) {
      CHECK(!is_amx(chosen(t, k, false)));
      CHECK(!is_amx(chosen(t, k, true, true)));
    }
}

TEST_CASE("the tiles of the matrix unit cover every output of a block once") {
  for (int64_t rows : {1, 2, 7, 33})
    for (int64_t columns : {1, 5, 7, 16, 17, 33, 100})
      for (int64_t more : {0, 1, 2, 9, 40}) {
        const AmxTiling t(rows, columns, columns + more);
        std::vector<int> stored(static_cast<size_t>(rows * columns));
        for (int64_t tile = 0; tile < t.tiles(); ++tile)
          for (int64_t i = t.overlap(tile); i < t.pixels; ++i) {
            const int64_t at = t.at(tile) + i, row = at / t.pitch, column = at % t.pitch;
            REQUIRE(row < rows);
            if (column < columns) ++stored[static_cast<size_t>(row * columns + column)];
          }
        CHECK(std::all_of(stored.begin(), stored.end(), [](int n) { return n == 1; }));
      }
}

TEST_CASE("a plan says what it does and why the others lost") {
  ConvProblem q;
  q.c = q.o = 64;
  q.in[1] = q.in[2] = q.out[1] = q.out[2] = 56;
  const CpuPlan plan = plan_conv(q, cpu_facts());
  const std::string text = describe(plan);
  CHECK(text.find("direct") != std::string::npos);
  CHECK(text.find("not depthwise") != std::string::npos);
  CHECK(plan.rejected.size() >= 3);
}

TEST_CASE("equal problems hash alike, others differ") {
  ConvProblem a, b;
  CHECK(hash_value(a) == hash_value(b));
  b.kernel[2] = 3;
  CHECK(hash_value(a) != hash_value(b));
  b = a;
  b.activation = Activation::relu;
  CHECK(hash_value(a) != hash_value(b));
}
