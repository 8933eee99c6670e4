// csrc/plan/conv_plan.cpp -- chooses the algorithm for a convolution; pure
#include "plan/conv_plan.h"

#include <algorithm>
#include <atomic>

#include "base/allocator.h"
#include "base/blas.h"
#include "base/divide.h"
#include "base/env.h"
#include "nhwc/error.h"
#include "nhwc/memory.h"
#include "plan/conv_chunk.h"
#include "plan/conv_cost.h"
#include "plan/conv_traffic.h"

namespace nhwc {
namespace {

using Form = ConvProblem::Form;

struct Candidate {
  Form form;
  ConvAlgorithm algorithm;
  cost::Refuses* refuses;
  cost::Cycles* cycles;
  const char* reason;
};

using namespace cost;  // the table reads better without the word in every row

constexpr Candidate kCandidates[] = {
    {Form::forward, ConvAlgorithm::empty, only_empty, nothing, "nothing is summed: the output is activation(bias)"},
    {Form::forward, ConvAlgorithm::direct, always, direct_cycles, "implicit GEMM reads the input in place"},
    {Form::forward, ConvAlgorithm::merged, can_merge, merged_cycles, "few input channels: a kernel row is one run"},
    {Form::forward, ConvAlgorithm::direct_bf16, can_direct_bf16, direct_bf16_cycles,
     "implicit GEMM on pairs of bfloat16 reads the input in place"},
    {Form::forward, ConvAlgorithm::merged_bf16, can_merged_bf16, merged_bf16_cycles,
     "few input channels: a kernel row is one run of pairs of bfloat16"},
#if defined(NHWC_AMX)
    {Form::forward, ConvAlgorithm::amx, can_amx, amx_cycles, "the matrix unit multiplies float32 in three parts"},
    {Form::forward, ConvAlgorithm::amx_bf16, can_amx_bf16, amx_bf16_cycles, "the matrix unit multiplies bfloat16"},
#endif
    {Form::forward, ConvAlgorithm::dot, can_dot, dot_cycles, "few output channels: vectors run along the inputs"},
    {Form::forward, ConvAlgorithm::depthwise, can_depthwise, depthwise_cycles, "a vector of channels, no reduction"},
    {Form::forward, ConvAlgorithm::grouped, can_group, grouped_cycles, "one vector holds several groups"},
    {Form::forward, ConvAlgorithm::diagonal, can_diagonal, diagonal_cycles,
     "one vector holds several groups, whose inputs are multiplied as they lie"},
    {Form::forward, ConvAlgorithm::winograd4, can_winograd4, winograd4_cycles,
     "Winograd tiles of 4 points: fewer products than taps"},
    {Form::forward, ConvAlgorithm::winograd6, can_winograd6, winograd6_cycles,
     "Winograd tiles of 6 points: far fewer products than taps"},
    {Form::forward, ConvAlgorithm::fft, can_fft, fft_cycles, "a large kernel: blocks are multiplied as spectra"},
    {Form::forward, ConvAlgorithm::col2im, can_col2im, col2im_cycles,
     "few output channels: inputs are multiplied with all taps, outputs gather"},
    {Form::forward, ConvAlgorithm::planar, can_planar, planar_cycles, "few channels: vectors run along the pixels"},
    {Form::forward, ConvAlgorithm::blas, can_blas, blas_cycles, "the system's matrix product has a unit of its own"},
    {Form::weight_grad, ConvAlgorithm::empty, only_empty, nothing, "nothing is summed: the gradient is zero"},
    {Form::weight_grad, ConvAlgorithm::weight_grad, always, grad_cycles,
     "pixels are summed in register tiles, in place"},
    {Form::weight_grad, ConvAlgorithm::depthwise_weight_grad, can_depthwise, depthwise_grad_cycles,
     "a vector of channels, pixels are summed"},
    {Form::weight_grad, ConvAlgorithm::grouped_weight_grad, can_group, grouped_cycles,
     "one vector holds several groups, pixels are summed"},
    {Form::weight_grad, ConvAlgorithm::winograd_weight_grad, can_winograd_grad, winograd_grad_cycles,
     "Winograd tiles of 6 points: far fewer products than taps"},
};

struct Option {
  const Candidate* candidate;
  double cost_us;
};

/// The problem as the algorithms see it that half types are widened for.
ConvProblem widened(ConvProblem q) {
  if (is_half(q.dtype) && q.form == Form::forward) q.dtype = Dtype::float32;
  return q;
}

/// The wanted one, else the tuned one, else the cheapest by the model.
void choose(CpuPlan& plan, const ConvProblem& q, const Sizes& s, const DeviceFacts& facts) {
  InlineVec<Option, 14> options;
  size_t cheapest = 0;
  const ConvProblem wide = widened(q);
  for (const Candidate& c : kCandidates) {
    if (c.form != q.form) continue;
    const bool as_it_is = reads_bf16(c.algorithm);
    const ConvProblem& seen = as_it_is ? q : wide;
    if (const char* why = c.refuses(seen, s)) {
      plan.rejected.push_back({c.algorithm, why, 0});
      continue;
    }
    const double cycles = c.cycles(seen, s) + (as_it_is ? 0 : conversion_cycles(q, s, c.algorithm)) +
                          (facts.packs_weights ? packing_cycles(q, s, c.algorithm) : 0);
    options.push_back({&c, cycles / (s.machine->ghz * 1000)});
    if (options.back().cost_us < options[cheapest].cost_us) cheapest = options.size() - 1;
    if (c.algorithm == ConvAlgorithm::empty) break;
  }
  const auto find = [&](std::optional<ConvAlgorithm> a) {
    size_t i = 0;
    while (i < options.size() && options[i].candidate->algorithm != a) ++i;
    return i;
  };
  size_t best = find(facts.wanted);
  if (best == options.size() && facts.tuned) {
    best = find(facts.tuned->algorithm);
    if (best < options.size()) plan.measured_us = facts.tuned->us;
  }
  if (best == options.size()) best = cheapest;
  for (size_t i = 0; i < options.size(); ++i)
    if (i != best) plan.rejected.push_back({options[i].candidate->algorithm, "slower", options[i].cost_us});
  plan.algorithm = options[best].candidate->algorithm;
  plan.reason = options[best].candidate->reason;
  plan.cost_us = options[best].cost_us;
  plan.preferred = options[cheapest].candidate->algorithm;
}

std::optional<ConvAlgorithm> algorithm_from_env() {
  const std::string text = env("NHWC_CONV_ALGORITHM");
  if (text.empty()) return {};
  if (const auto found = algorithm_named(text)) return found;
  std::string known;
  for (const Candidate& c : kCandidates)
    if (known.find(name(c.algorithm)) == std::string::npos)
      known += std::string(known.empty() ? "" : ", ") + name(c.algorithm);
  raise<ValueError>("environment variable NHWC_CONV_ALGORITHM=", text, " must be one of ", known);
}

bool pixels_tile(ConvAlgorithm a) { return a == ConvAlgorithm::depthwise || a == ConvAlgorithm::grouped; }

}  // namespace

namespace {
std::atomic<bool>& batch_invariance() {
  static std::atomic<bool> on{env_int("NHWC_BATCH_INVARIANT", 0, 0) != 0};
  return on;
}
}  // namespace

bool batch_invariant() { return batch_invariance().load(std::memory_order_relaxed); }
void set_batch_invariant(bool on) { batch_invariance().store(on, std::memory_order_relaxed); }

DeviceFacts cpu_facts() {
  const CpuInfo& info = cpu_info();
  DeviceFacts f;
  f.isa = current_isa();
  f.machine = &this_machine();
  f.vector_bytes = kConvTiles[static_cast<int>(f.isa)].vector_bytes;
  f.bf16_dot = bf16_dot();
  f.amx = amx();
  f.blas = has_blas();
  f.l1d = info.l1d;
  f.l2 = info.l2;
  f.l3 = info.l3;
  f.workspace_limit = get_workspace_limit();
  static const std::optional<ConvAlgorithm> wanted = algorithm_from_env();
  f.wanted = wanted;
  f.batch_invariant = batch_invariant();
  return f;
}

bool has_terms([[maybe_unused]] const ConvProblem& q, [[maybe_unused]] int lanes) {
#if defined(NHWC_MINIMAL)
  return false;  // the kernels are not worth the bytes
#else
  constexpr int64_t kLeastSum = 24, kMostSum = 4096;  // shorter ones do not outweigh the end of a tile, longer are cut
  const int64_t sum = q.kernel[0] * q.kernel[1] * q.kernel[2] * q.c;
  return lanes == 16 && q.o > lanes && q.o <= kTermsVectors * lanes / kTerms && q.c >= kTerms && sum >= kLeastSum &&
         sum <= kMostSum;
#endif
}

int rows_without_aliasing(int mr, int64_t bytes_apart, size_t l1d) {
  const int ways = static_cast<int>(l1d / kAliasBytes);
  return bytes_apart % kAliasBytes == 0 ? std::min(mr, std::max(1, ways - 2)) : mr;
}

PaddedRowsShape padded_rows(const CpuPlan& p, int tiles) {
  constexpr int64_t kLongest = 2048, kMost = 32768;  // values: of a row, of all
  const ConvProblem& q = p.problem;
  const int64_t pixels = (q.out[2] - 1) * q.stride[2] + q.kernel[2], values = pixels * q.c;
  const bool inside = q.pad[2] <= 0 && pixels - q.pad[2] <= q.in[2];
  if (!is_merged(p.algorithm) || inside || q.in_dilation[2] != 1 || q.out[2] == 0 || values > kLongest) return {};
  const TileSplit split(q.out[2], q.out[2], p.mr);
  if (!split.along_rows) return {};
  // Cycles a row of outputs: each row of the input once, and a look for it from each kernel row of its two border
  // tiles; or the pixels of these tiles for each kernel row.
  const int64_t kernel_rows = q.kernel[0] * q.kernel[1], new_rows = q.kernel[0] * std::min(q.stride[1], q.kernel[1]);
  const int64_t tile = 40 + p.mr * q.stride[2] * q.c / 8;
  if (new_rows * (60 + values / 3) + kernel_rows * 40 > kernel_rows * 2 * tile) return {};
  const int64_t lines = tiles / split.per_line + 2, each = lines * q.kernel[1];
  const int64_t span = (lines - 1) * q.stride[1] + 2 * ((q.kernel[1] - 1) * q.dilation[1] + 1);  // of two images
  const int64_t rows = q.kernel[0] * (lines <= q.out[1] ? std::min(each, span) : each);
  return rows * values > kMost ? PaddedRowsShape{} : PaddedRowsShape{rows, pixels};
}

size_t tile_scratch_bytes(const CpuPlan& p, int tiles) {
  const ConvProblem& q = p.problem;
  const bool merged = is_merged(p.algorithm), pairs = is_pairs(p.algorithm);
  const size_t compute = q.dtype == Dtype::float64 ? 8 : 4;
  const int64_t taps = q.kernel[0] * q.kernel[1] * (merged ? 1 : q.kernel[2]), pixels = int64_t(tiles) * p.mr;
  size_t bytes =
      static_cast<size_t>(pixels * taps * 8 + tiles * taps * 8 + pixels * 8 + tiles * 192) + 1024;  // alignment
  if (merged) bytes += static_cast<size_t>(pixels * taps * copied_pixels(q) * q.c) * compute;
  const PaddedRowsShape padded = padded_rows(p, tiles);
  bytes += static_cast<size_t>(padded.rows) * (static_cast<size_t>(padded.pixels * q.c) * compute + 4 * 24);
  if (pairs) bytes += static_cast<size_t>(p.mr * (q.groups * q.o + p.nr)) * compute + static_cast<size_t>(p.mr) * 8;
  return bytes;
}

size_t col2im_scratch_bytes(const CpuPlan& p) {
  const ConvProblem& q = p.problem;
  const Col2imGeometry g(q, p.lanes);
  const int64_t y = p.col2im.chunks * q.in_dilation[2] * q.o;
  return static_cast<size_t>(g.rows * (g.row_bytes(p.col2im.chunks) + 8) + (y + 2 * p.lanes) * 4 + 3 * 64);
}

size_t planar_scratch_bytes(const CpuPlan& p) {
  const ConvProblem& q = p.problem;
  const int64_t taps = q.kernel[0] * q.kernel[1] * q.kernel[2];
  return p.planar.plane_bytes + p.planar.sum_bytes + static_cast<size_t>(taps * q.c) * sizeof(PlanarTerm) +
         static_cast<size_t>(2 * kPlanarSlack * p.lanes) * 4 + 4 * 64;
}

namespace {
/// Whether the phases of a direct plan are cut into boxes; how many tiles then are as large as `most` whole ones.
int cut_direct(CpuPlan& plan, const Sizes& s, int most) {
  plan.tile_costs = tile_costs(plan.problem, s, plan.mr, is_pairs(plan.algorithm));
  const ConvCut cut = cut_conv(plan.problem, plan.tile_costs);
  plan.cut = cut.boxes > cut.phases;
  if (!plan.cut) return most;
  return static_cast<int>(std::min(most * plan.mr * cut.work.tiles / cut.outputs + 0.5, 16.0));
}

/// Register tiles of what is computed as it is written.
void cut_sums(CpuPlan& plan, const Sizes& s, const DeviceFacts& facts) {
  const ConvProblem& q = plan.problem;
  const bool dot = plan.algorithm == ConvAlgorithm::dot;
  const int element = is_pairs(plan.algorithm) ? 2 : q.dtype == Dtype::float64 ? 8 : 4;
  const int64_t step = q.stride[2] * q.groups * q.c * element;  // from one output's pixel to the next
  const bool direct = plan.algorithm == ConvAlgorithm::direct || plan.algorithm == ConvAlgorithm::col2im ||
                      is_merged(plan.algorithm) || is_pairs(plan.algorithm);
  if (direct || dot)
    plan.prefetch = step > (dot ? 8 : 63) && input_is_far(q, element, facts.l2);  // parts of lines come by themselves
  if (plan.algorithm == ConvAlgorithm::depthwise) order_depthwise(plan, q, *s.machine, facts);
  const int64_t run = round_up(q.c * element, 64);  // of a row of outputs, so much stays in L1 until the next
  plan.prefetch_row = plan.prefetch && direct && q.out[1] > 1 && q.in_dilation[1] == 1 &&
                      q.kernel[1] * q.in[2] * run <= static_cast<int64_t>(facts.l1d / 2);
  if (direct) plan.mr = rows_without_aliasing(plan.mr, step, facts.l1d);
  if (has_terms(plan)) plan.mr = std::max(2, plan.mr / 2 * 2);  // its tables have even numbers of pixels
  if (plan.algorithm == ConvAlgorithm::col2im) {
    plan.col2im = col2im_cut(q, {q, plan.lanes}, s.tile.mr, static_cast<int64_t>(facts.l1d));
    plan.workspace_bytes = col2im_scratch_bytes(plan);
    return;
  }
  int most = tiles_per_panel(plan, element, facts.l1d);
  if (plan.algorithm == ConvAlgorithm::direct || plan.algorithm == ConvAlgorithm::direct_bf16)
    most = cut_direct(plan, s, most);
  const double tables = table_share(q, s, is_pairs(plan.algorithm));
  const int64_t weights = q.kernel[0] * q.kernel[1] * q.kernel[2] * q.groups * q.c * q.o * element;
  const int least = weights > static_cast<int64_t>(facts.l2 / 2) ? 4 : 1;  // for weights that pass from beyond L2
  most = tiles_in_rows(plan, std::clamp(tiles_in_l1(plan, element, tables, facts.l1d), std::min(least, most), most));
  // Fewer where their tables alone would fill L2.
  plan.chunk_tiles = tile_scratch_bytes(plan, most) <= facts.l2 ? most : 1;
  plan.workspace_bytes = tile_scratch_bytes(plan, plan.chunk_tiles);
}

/// The register tile, but for algorithms with tiles of their own.
void choose_tile(CpuPlan& plan, const Sizes& s) {
  const bool dot = plan.algorithm == ConvAlgorithm::dot;
  plan.mr = pixels_tile(plan.algorithm) ? s.tile.pixels
            : dot                       ? dot_rows(s)
            : is_plain(plan.algorithm)  ? s.rows
                                        : s.tile.mr;
  if (plan.algorithm == ConvAlgorithm::direct) {
    plan.terms = has_terms(plan.problem, plan.lanes);
    plan.mr = direct_rows(plan.problem, s);
  }
  if (dot) plan.dot_form = s.dot.form;
  if (dot) plan.dot_segments = s.dot.segments;
  plan.nr = pixels_tile(plan.algorithm) ? s.lanes
            : dot                       ? std::max(s.dot.outputs, 1)
                                        : (is_plain(plan.algorithm) ? s.vectors : 2) * s.lanes;
}

/// Transformed weights are several times as large, and read once per block of tiles: they should stay in L3.
void cut_winograd(CpuPlan& plan, const Sizes& s, const DeviceFacts& facts) {
  const ConvProblem& q = plan.problem;
  plan.pack_bytes = std::min(plan.pack_bytes, facts.l3 / 3);
  winograd_geometry(q, plan.algorithm == ConvAlgorithm::winograd4 ? 4 : 6, plan.winograd);
  const ConvProblem units = winograd_units(q, plan.lanes);
  plan.mr = winograd_rows(s.tile, units.o, winograd_terms(q, plan.lanes));
  plan.weights_far = asks_for_parts(winograd_weight_bytes(units, plan.winograd), *s.machine, facts.l2);
  // From a slow L3 pixels come as soon without (28x28x128: 0.97 of the time), but not the lines of one group.
  plan.prefetch = units.groups == 1 ? !l3_is_slow(*s.machine) : asks_for_groups(units, *s.machine, facts);
  const int64_t tiles = plan.winograd.tiles(q);
  const size_t l3 = l3_for_blocks(*s.machine, facts.l2, facts.l3);
  for (bool several : {false, true}) {
    const WinogradCut& cut = plan.winograd_cut[several] =
        winograd_cut(units, plan.winograd, plan.mr, facts.l2, l3, several);
    const int64_t block = (tiles + cut.blocks - 1) / cut.blocks + plan.mr;
    const int64_t row = plan.winograd.summed_taps(q) * units.c + plan.nr + (cut.by_frequency ? units.o : 0);
    const int64_t bytes = plan.winograd.frequencies() * block * row * 4;
    plan.workspace_bytes = std::max(plan.workspace_bytes, static_cast<size_t>(bytes));
  }
}

/// Everything but the choice.
void cut_plan(CpuPlan& plan, const Sizes& s, const DeviceFacts& facts) {
  const ConvProblem& q = plan.problem;
  choose_tile(plan, s);
  plan.stream = streams_output(plan, facts);
  plan.prefetch_y = asks_for_output(q, *s.machine, facts.l2);
  plan.weights_far = weights_are_far(q, plan.nr, facts);
  plan.workspace_limit = facts.workspace_limit;
  plan.pack_bytes = facts.workspace_limit / 2;
  if (is_winograd(plan.algorithm)) {
    cut_winograd(plan, s, facts);
  } else if (plan.algorithm == ConvAlgorithm::fft) {
    std::copy(s.fft.n, s.fft.n + 2, plan.block);
    plan.block_pairs = s.fft.pairs;
    plan.workspace_bytes = static_cast<size_t>(s.fft.n[0] * (s.fft.n[1] + 1) * 12 * s.lanes);
  } else if (plan.algorithm == ConvAlgorithm::planar) {
    plan.nr = planar_outputs(q.o, plan.lanes);
    plan.mr = planar_vectors(facts.isa, plan.nr) * plan.lanes;
    plan.planar = planar_cut(q, facts.isa, plan.lanes, facts.l1d, facts.l2);
    if (is_interleaved(q)) plan.nr = static_cast<int>(plan.planar.weight_step);
    plan.prefetch = q.stride[2] * q.groups * q.c > 8 && input_is_far(q, 4, facts.l2);
    plan.workspace_bytes = planar_scratch_bytes(plan);
  } else if (plan.algorithm == ConvAlgorithm::blas) {
    cut_blas(plan, facts.l2);
  } else if (plan.algorithm == ConvAlgorithm::diagonal) {
    plan.diagonal = diagonal_cut(q, facts.isa, plan.lanes, facts.l1d, facts.l2);
    plan.mr = plan.diagonal.mr;
    plan.prefetch = input_is_far(q, 4, facts.l2);
    plan.nr = plan.lanes;
    plan.workspace_bytes = diagonal_scratch_bytes(q, plan.diagonal, plan.lanes);
#if defined(NHWC_AMX)
  } else if (is_amx(plan.algorithm)) {
    cut_amx(plan, facts.l2);
#endif
  } else if (q.form == Form::forward) {
    cut_sums(plan, s, facts);
  } else if (plan.algorithm == ConvAlgorithm::winograd_weight_grad) {
    winograd_geometry(q, 6, plan.winograd);
    plan.nr = winograd_grad_width(q, plan.lanes);
    plan.winograd_grad = winograd_grad_cut(q, plan.winograd, plan.nr, facts.l3, facts.workspace_limit);
    plan.workspace_bytes = winograd_grad_bytes(q, plan.winograd, plan.nr, plan.winograd_grad);
  } else if (plan.algorithm == ConvAlgorithm::weight_grad) {
    // The sums of a panel for one kernel row, and a block of pixels of both operands.
    const int64_t c = q.c, o = q.o;
    const int64_t elems = q.kernel[2] * std::max(c, o) * plan.nr + 256 * (c + o + plan.nr);
    plan.workspace_bytes = static_cast<size_t>(elems) * (q.dtype == Dtype::float64 ? 8 : 4);
  }
}

/// Half types are computed in float32, slab by slab, but where pairs of them are multiplied.
bool has_slabs(const CpuPlan& plan) {
  return is_half(plan.problem.dtype) && plan.problem.form == Form::forward && !reads_bf16(plan.algorithm) &&
         plan.algorithm != ConvAlgorithm::empty;
}

/// A slab fills L2, of which rows at a time are in use, or is as large as the weights, which pass once for each.
SlabLimits slab_limits(const CpuPlan& plan, const DeviceFacts& facts) {
  const ConvProblem& q = plan.problem;
  SlabLimits limits;
  WinogradGeometry w;
  if (is_winograd(plan.algorithm)) winograd_geometry(q, plan.algorithm == ConvAlgorithm::winograd4 ? 4 : 6, w);
  for (int a = 0; a < 3; ++a) limits.unit[a] = w.axis[a].transformed ? w.outputs() * w.axis[a].period : slab_unit(q, a);
  const int64_t taps = q.kernel[0] * q.kernel[1] * q.kernel[2], l2 = static_cast<int64_t>(facts.l2);
  const int64_t cap = std::min(static_cast<int64_t>(facts.l3), static_cast<int64_t>(facts.workspace_limit)) / 8;
  limits.most = cap;
  const bool far = plan.algorithm == ConvAlgorithm::fft;  // transforms whole blocks
  limits.bytes = std::min(cap, far ? cap : std::max(l2, 4 * q.groups * q.c * q.o * taps));
  return limits;
}

void cut_into_slabs(CpuPlan& plan, const Sizes& s, const DeviceFacts& facts) {
  const ConvProblem q = plan.problem;
  const SlabCut cut = plan.slabs = cut_slabs(q, slab_limits(plan, facts));
  int64_t begin[3];  // of one in the middle
  for (int a = 0; a < 3; ++a) begin[a] = (q.out[a] + cut.out[a] - 1) / cut.out[a] / 2 * cut.out[a];
  SlabAxis axes[3];
  plan.problem = slab_problem(q, cut, begin, axes);
  Sizes of_slab = plan.algorithm == ConvAlgorithm::fft ? s : sizes_of(plan.problem, facts);
  of_slab.dot = s.dot;  // the order of a sum knows nothing of slabs
  if (plan.algorithm == ConvAlgorithm::dot && q.o > 1 && dots_in_place(q, s)) {
    of_slab.dot.form = dot_form_of_rows(static_cast<int>(q.o));
    of_slab.dot.panels = 1;
    of_slab.dot.outputs = static_cast<int>(q.o);
  }
  cut_plan(plan, of_slab, facts);
  plan.prefetch = plan.prefetch && is_winograd(plan.algorithm);  // others read what is near in the order it lies
  plan.row_order = false;
  if (plan.algorithm == ConvAlgorithm::depthwise) order_depthwise(plan, q, *s.machine, facts);  // which may have none
  plan.prefetch_y = plan.stream = false;
  plan.workspace_bytes += static_cast<size_t>(slab_inputs(q, cut) + slab_outputs(q, cut)) * sizeof(float);
  plan.problem = q;
}

}  // namespace

CpuPlan plan_conv(const ConvProblem& problem, const DeviceFacts& facts) {
  CpuPlan plan;
  plan.problem = problem;
  plan.isa = facts.isa;
  ConvProblem priced = problem;  // in any batch the choice is that of one image
  if (facts.batch_invariant) priced.batch = std::min<int64_t>(problem.batch, 1);
  const Sizes s = sizes_of(widened(priced), facts);
  plan.lanes = s.lanes;
  plan.machine = s.machine;
  choose(plan, priced, s, facts);
  if (has_slabs(plan))
    cut_into_slabs(plan, s, facts);
  else
    cut_plan(plan, s, facts);
  return plan;
}

const char* name(ConvAlgorithm a) {
  constexpr const char* kNames[] = {"empty",
                                    "direct",
                                    "merged",
                                    "dot",
                                    "depthwise",
                                    "grouped",
                                    "diagonal",
                                    "winograd4",
                                    "winograd6",
                                    "fft",
                                    "col2im",
                                    "planar",
                                    "blas",
                                    "direct_bf16",
                                    "merged_bf16",
                                    "amx",
                                    "amx_bf16",
                                    "weight_grad",
                                    "depthwise_weight_grad",
                                    "grouped_weight_grad",
                                    "winograd_weight_grad"};
  return kNames[static_cast<int>(a)];
}

std::optional<ConvAlgorithm> algorithm_named(std::string_view text) {
  for (const Candidate& c : kCandidates)
    if (text == name(c.algorithm)) return c.algorithm;
  return {};
}

}  // namespace nhwc
