// csrc/plan/conv_amx.cpp -- when the processor's matrix unit computes a convolution, in what steps, and how long it
// takes; pure
#include "plan/conv_amx.h"

#include <algorithm>
#include <cmath>

#include "base/divide.h"
#include "plan/conv_cost.h"

namespace nhwc {

AmxCut amx_cut(const ConvProblem& problem, bool bfloat16, size_t l2) {
  const ConvProblem q = amx_units(problem);
  AmxCut cut;
  cut.parts = bfloat16 ? 1 : 3;
  const bool adjacent = q.kernel[2] > 1 && q.groups == 1 && q.dilation[2] == 1 && q.in_dilation[2] == 1;
  const int64_t steps = ceil_div(q.c, kAmxValues), merged = ceil_div(q.kernel[2] * q.c, kAmxValues);
  cut.merged = adjacent && merged < q.kernel[2] * steps && q.c < kAmxValues;
  cut.run = std::max<int64_t>(1, cut.merged ? q.kernel[2] * q.c : q.c);
  cut.steps = ceil_div(cut.run, kAmxValues);
  cut.depth = round_up(ceil_div(cut.run, cut.steps), 2);
  cut.block_bytes = static_cast<int64_t>(l2 / 3);
  return cut;
}

AmxAxis::AmxAxis(const AxisPhase& phase, int64_t s, bool merged, int64_t kernel) : step(s), low(0), span(0) {
  if (merged) {  // its taps are values of a pixel; a row is copied as it lies
    taps.push_back({0, 0, 0});
    planes.push_back(0);
    low = phase.taps[0].base;
    span = ceil_div(kernel - 1, step);
    return;
  }
  int64_t high = 0;
  for (int64_t i = 0; i < phase.n_taps; ++i) {
    const int64_t at = floor_div(phase.taps[i].base, step);
    low = i == 0 ? at : std::min(low, at);
    high = i == 0 ? at : std::max(high, at);
  }
  span = high - low;
  for (int64_t i = 0; i < phase.n_taps; ++i) {
    const int64_t at = floor_div(phase.taps[i].base, step), rest = phase.taps[i].base - at * step;
    const auto found = std::find(planes.begin(), planes.end(), rest);
    taps.push_back({phase.taps[i].k, found - planes.begin(), at - low});
    if (found == planes.end()) planes.push_back(rest);
  }
}

AmxGeometry::AmxGeometry(const ConvProblem& q, const AmxCut& cut, const AxisPhase (&phase)[3], const int64_t (&step)[3])
    : axis{{phase[0], step[0], false, 0},
           {phase[1], step[1], false, 0},
           {phase[2], step[2], cut.merged && phase[2].n_taps > 0, q.kernel[2]}},
      count{phase[0].count, phase[1].count, phase[2].count},
      parts(cut.parts),
      taps(static_cast<int64_t>(axis[0].taps.size() * axis[1].taps.size() * axis[2].taps.size())),
      together(cut.values() == q.c && !cut.merged ? q.groups : 1),
      along(count[1] > 1 ? 1 : 2) {
  constexpr int64_t kLeastPixels = 64;
  const int64_t values = together * cut.values();  // rows of a power of two bytes would fall into few sets of L1
  pixel = cut.merged ? q.c * step[2] : values + (values % 512 == 0 ? 32 : 0);
  in_place = parts == 1 && along == 2 && taps == 1 && cut.values() == q.c && step[2] == 1 && count[2] <= q.in[2];
  for (int x = 0; x < 3; ++x)
    in_place =
        in_place && q.kernel[x] == 1 && phase[x].taps[0].base == 0 && (x == 2 || (q.in[x] == 1 && q.out[x] == 1));
  const int64_t n = count[along], span = axis[along].span;
  const int64_t one = 2 * parts *
                      (along == 1 ? part_elems(1, 2, count[2]) - part_elems(1, 1, count[2])
                                  : part_elems(1, 1, 2) - part_elems(1, 1, 1));
  least = along == 2 ? kLeastPixels : std::max<int64_t>(1, ceil_div(kLeastPixels, count[2]));
  at_once = std::max(cut.block_bytes / std::max<int64_t>(one, 1) - span, std::max(least, span));
  at_once = std::max<int64_t>(1, std::min(at_once, n));
}

int64_t AmxGeometry::part_elems(int64_t depths, int64_t rows, int64_t columns) const {
  const auto depth_taps = static_cast<int64_t>(axis[0].taps.size()),
             depth_planes = static_cast<int64_t>(axis[0].planes.size());
  return std::min(depth_taps * depths, depth_planes * axis[0].pixels(depths)) *
             static_cast<int64_t>(axis[1].planes.size() * axis[2].planes.size()) * axis[1].pixels(rows) *
             axis[2].pixels(columns) * pixel +
         2 * kAmxValues;
}

namespace {
/// A product of a tile with fewer pixels takes less: 19.4 ns for four of 16, 17.8 of 14, 12.2 of 8, 11.3 of 7, on a
/// Xeon that counts as Sapphire Rapids. Those were of zeros; numbers draw so much power that its clock sinks by a
/// quarter.
double product_cycles(double pixels) { return 25 * (3 + pixels) / (3 + kAmxPixels); }
}  // namespace

AmxTiling::AmxTiling(int64_t r, int64_t c, int64_t p) : across(false), rows(r), columns(c), pitch(p) {
  const int64_t all = (rows - 1) * pitch + columns, of_row = ceil_div(columns, kAmxPixels);
  const int64_t apart = ceil_div(columns, of_row), together = std::min<int64_t>(all, kAmxPixels);
  across = static_cast<double>(ceil_div(all, together)) * product_cycles(static_cast<double>(together)) <=
           static_cast<double>(rows * of_row) * product_cycles(static_cast<double>(apart));
  pixels = static_cast<int>(across ? together : apart);
  per_row = across ? ceil_div(all, pixels) : of_row;
}

int64_t AmxTiling::at(int64_t tile) const {
  if (across) return std::min(tile * pixels, (rows - 1) * pitch + columns - pixels);
  const int64_t row = tile / per_row;
  return row * pitch + std::min((tile - row * per_row) * pixels, columns - pixels);
}

double AmxTiling::cycles() const { return static_cast<double>(tiles()) * product_cycles(pixels); }

namespace {
/// Calls f(geometry) for every phase of units.
template <class F>
void for_phases(const ConvProblem& q, const AmxCut& cut, F f) {
  const AxisPhases axes[3] = {{q, 0}, {q, 1}, {q, 2}};
  const int64_t step[3] = {axes[0].step, axes[1].step, axes[2].step};
  for (int64_t i = 0; i < axes[0].phases(); ++i)
    for (int64_t j = 0; j < axes[1].phases(); ++j)
      for (int64_t k = 0; k < axes[2].phases(); ++k)
        f(AmxGeometry(q, cut, {axes[0].phase(i), axes[1].phase(j), axes[2].phase(k)}, step));
}

/// Copied pixels of the largest block.
int64_t block_bytes(const ConvProblem& units, const AmxCut& cut) {
  int64_t bytes = 0;
  for_phases(units, cut, [&](const AmxGeometry& g) { bytes = std::max(bytes, g.bytes()); });
  return bytes;
}
}  // namespace

void cut_amx(CpuPlan& plan, size_t l2) {
  plan.amx = amx_cut(plan.problem, plan.algorithm == ConvAlgorithm::amx_bf16, l2);
  plan.mr = kAmxPixels;
  plan.nr = 2 * kAmxOutputs;
  plan.workspace_bytes = static_cast<size_t>(block_bytes(amx_units(plan.problem), plan.amx));
}

namespace cost {
namespace {

const char* can_multiply(const ConvProblem& q, const Sizes& s, bool bfloat16) {
  constexpr size_t kSmall = size_t(8) << 20;  // the smallest blocks do not follow the workspace
  if (!s.amx) return "no matrix unit for bfloat16 (AMX)";
  if (q.highest_precision) return "precision=\"highest\" keeps what bfloat16 numbers lose";
  if (sums_nothing(q)) return "nothing is summed";
  const int64_t block = block_bytes(amx_units(q), amx_cut(q, bfloat16, s.l2));
  return static_cast<size_t>(block) > std::max(s.workspace / 8, kSmall) ? "the pixels of a block exceed the workspace"
                                                                        : nullptr;
}

/// Products by the unit, which waits for them where it has fewer than four sums; pixels that are copied, and sums that
/// are stored and read again.
double matrix_cycles(const ConvProblem& problem, const Sizes& s, bool bfloat16) {
  const ConvProblem q = amx_units(problem);
  const AmxCut cut = amx_cut(q, bfloat16, s.l2);
  const double outputs = std::ceil(static_cast<double>(q.o) / kAmxOutputs), g = static_cast<double>(q.groups);
  const double element = static_cast<double>(size_of(q.dtype));
  const double weights = 2.0 * cut.parts * g * s.taps / (cut.merged ? static_cast<double>(q.kernel[2]) : 1) *
                         static_cast<double>(cut.values()) * outputs * kAmxOutputs;
  double cycles = 1500, passes = 0, all_copied = 0;
  const bool row = one_row(q, s);
  for_phases(q, cut, [&](const AmxGeometry& p) {
    const int64_t pixels = p.count[1] * p.count[2];
    const AmxTiling tiling(row ? 1 : p.count[1], row ? pixels : p.count[2],
                           row ? pixels : p.axis[2].pixels(p.count[2]));
    const double images = static_cast<double>(q.batch * p.count[0]);
    const double steps = static_cast<double>(p.taps * cut.steps), tiles = images * static_cast<double>(tiling.tiles());
    const double waits = outputs == 1 && tiling.tiles() < kAmxTiles ? 2 : 1.1;
    const double product = std::max(tiling.cycles() / static_cast<double>(tiling.tiles()), 14.0) * waits;
    // An output tile that has no neighbour is stored alone.
    cycles += g * tiles * (outputs * (steps * cut.products() * product + 110) + 90 * std::fmod(outputs, 2));
    const double all = images * g / static_cast<double>(p.together);
    const bool in_place = row && bfloat16 && q.c == cut.values();
    const double copied = in_place ? 0 : all * static_cast<double>(p.part_elems(1, p.count[1], p.count[2]));
    cycles += copied * (bfloat16 ? 0.2 : 0.6) + images * g * 400;
    const double blocks = 2 * cut.parts * copied / all / static_cast<double>(cut.block_bytes);
    all_copied += copied;
    passes = std::max(passes, images * std::max(1.0, blocks));
  });
  double in = static_cast<double>(q.batch * q.groups * q.c);
  for (int a = 0; a < 3; ++a) in *= static_cast<double>(q.in[a]);
  const double out = s.outputs * g * static_cast<double>(q.o);
  return cycles + (all_copied > 0 ? stream_cycles : exposed_cycles)(element * in, s) +
         exposed_cycles(element * out, s) +
         (weights < 0.7 * static_cast<double>(s.l2) ? 0 : (0.5 + 0.5 * passes) * stream_cycles(weights, s));
}

}  // namespace

const char* can_amx(const ConvProblem& q, const Sizes& s) {
  return q.dtype == Dtype::float32 ? can_multiply(q, s, false) : "not float32";
}
const char* can_amx_bf16(const ConvProblem& q, const Sizes& s) {
  return q.dtype == Dtype::bfloat16 ? can_multiply(q, s, true) : "not bfloat16";
}
double amx_cycles(const ConvProblem& q, const Sizes& s) { return matrix_cycles(q, s, false); }
double amx_bf16_cycles(const ConvProblem& q, const Sizes& s) { return matrix_cycles(q, s, true); }

}  // namespace cost
}  // namespace nhwc
