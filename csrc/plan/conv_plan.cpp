// csrc/plan/conv_plan.cpp -- chooses the algorithm for a convolution; pure
#include "plan/conv_plan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <sstream>

#include "base/allocator.h"
#include "base/env.h"
#include "nhwc/error.h"
#include "nhwc/memory.h"
#include "plan/conv_fft.h"
#include "plan/conv_tiles.h"

namespace nhwc {
namespace {

using Form = ConvProblem::Form;

constexpr double kCyclesPerUs = 4000;  // only ratios matter; the right order of magnitude keeps explain() honest
constexpr int64_t kMergeBelow = 8;     // channels under which a kernel row as one run wins (facts-cpu.md)
constexpr size_t kTileScratch = size_t(1) << 20;  // tables and patches of one chunk should stay in L2

/// What every candidate looks at, computed once.
struct Sizes {
  ConvTile tile;
  int lanes;
  double outputs, taps, reads;  // output positions with the batch; taps; reads: outputs x taps that meet an input
  int64_t kernel;               // taps, exact
  size_t l2, l3;
  FftBlocks fft;
};

ConvTile tile_for(Isa isa) {
  for (const ConvTile& t : kConvTiles)
    if (t.isa == isa) return t;
  return kConvTiles[0];
}

Sizes sizes_of(const ConvProblem& q, const DeviceFacts& f) {
  Sizes s;
  s.l2 = f.l2;
  s.l3 = f.l3;
  s.tile = tile_for(f.isa);
  s.lanes = s.tile.vector_bytes / (q.dtype == Dtype::float64 ? 8 : 4);
  s.kernel = q.kernel[0] * q.kernel[1] * q.kernel[2];
  s.outputs = static_cast<double>(q.batch);
  double dilated = 1;
  for (int a = 0; a < 3; ++a) {
    s.outputs *= static_cast<double>(q.out[a]);
    dilated *= static_cast<double>(q.in_dilation[a]);
  }
  s.taps = static_cast<double>(s.kernel);
  s.reads = s.outputs * s.taps / dilated;
  s.fft.refused = "not a forward problem";
  if (q.form == Form::forward && s.outputs > 0 && q.c > 0 && q.o > 0)
    s.fft = plan_fft(q, s.lanes, s.tile.mr, f.workspace_limit);
  if (f.batch_invariant) s.fft.refused = "blocks of two images may share a transform (batch_invariant)";
  return s;
}

bool sums_nothing(const ConvProblem& q) {
  if (q.batch == 0 || q.c == 0 || q.o == 0 || q.groups == 0) return true;
  for (int a = 0; a < 3; ++a)
    if (q.in[a] == 0 || q.out[a] == 0 || q.kernel[a] == 0) return true;
  return false;
}

/// A panel of one vector waits for its loads: 0.58 to 0.66 of the time of two (3x3, 7x7 and 1x1 on 16 to 320 channels).
double panels(const ConvProblem& q, const Sizes& s) {
  const int64_t nr = 2 * s.lanes, rest = q.o % nr;
  return static_cast<double>(q.o / nr) + (rest == 0 ? 0 : rest <= s.lanes ? 0.62 : 1.0);
}

/// Reading what was read one pass ago: by the level that holds it (facts: 190, 105 and 38 GB/s at 4.1 GHz).
double stream_cycles(double bytes, const Sizes& s) {
  const double per_cycle = bytes < 0.7 * static_cast<double>(s.l2)   ? 46
                           : bytes < 0.7 * static_cast<double>(s.l3) ? 25
                                                                     : 9;
  return bytes / per_cycle;
}

/// Most groups that one aligned vector of output channels touches, times the channels of each.
int64_t group_span(const ConvProblem& q, int lanes) {
  if (lanes % q.o == 0) return std::min<int64_t>(lanes / q.o, q.groups) * q.c;
  if (q.o % lanes == 0) return q.c;
  return std::min<int64_t>((lanes - 2) / q.o + 2, q.groups) * q.c;
}

const char* always(const ConvProblem&, const Sizes&) { return nullptr; }

const char* only_empty(const ConvProblem& q, const Sizes&) {
  return sums_nothing(q) ? nullptr : "there is something to sum";
}

const char* can_merge(const ConvProblem& q, const Sizes&) {
  if (q.groups != 1) return "has groups";
  if (q.c >= kMergeBelow) return "8 or more input channels fill a run on their own";
  if (q.kernel[2] == 1) return "a kernel row is one tap";
  if (q.dilation[2] != 1) return "the taps of a kernel row are apart (dilation)";
  for (int a = 0; a < 3; ++a)
    if (q.in_dilation[a] != 1) return "the input is dilated";
  return nullptr;
}

const char* can_dot(const ConvProblem& q, const Sizes& s) {
  if (q.o > 2 * kDotOutputs) return "more than 8 output channels";
  if (q.dtype == Dtype::float64) return "float64 has no such kernel";
  return q.c >= s.lanes ? nullptr : "the input channels do not fill a vector";
}

const char* can_depthwise(const ConvProblem& q, const Sizes&) {
  return q.c == 1 && q.o == 1 && q.groups > 1 ? nullptr : "not one channel in and one out per group";
}

const char* can_group(const ConvProblem& q, const Sizes& s) {
  if (q.groups == 1) return "one group";
  if (s.tile.isa == Isa::baseline) return "this instruction set has no lane permutation";
  if (q.dtype == Dtype::float64) return "float64 has no such kernel";
  if (q.o > s.lanes) return "a group fills a vector on its own";
  return group_span(q, s.lanes) <= 2 * s.lanes ? nullptr : "the inputs of one output vector span more than two vectors";
}

const char* can_fft(const ConvProblem&, const Sizes& s) { return s.fft.refused; }

double direct_cycles(const ConvProblem& q, const Sizes& s) {
  const double g = static_cast<double>(q.groups), c = static_cast<double>(q.c), p = panels(q, s), mr = s.tile.mr;
  return g * s.reads * p * (c + 28 / mr) + s.outputs * (g * p * 40 / mr + 12) + 1.5 * s.reads;
}
double merged_cycles(const ConvProblem& q, const Sizes& s) {
  const double rows = static_cast<double>(s.kernel / q.kernel[2]), run = static_cast<double>(q.kernel[2] * q.c);
  const double p = panels(q, s), mr = s.tile.mr;
  return s.outputs * (rows * (p * (run + 8 / mr) + 6) + p * 40 / mr + 6);
}
/// Within 20 % on 1 to 8 outputs, 1 to 49 taps and 16 to 320 channels. A tap of a tile costs its pointers, a tile the
/// sums of its lanes.
double dot_cycles(const ConvProblem& q, const Sizes& s) {
  const double g = static_cast<double>(q.groups), o = static_cast<double>(q.o);
  const double vectors = static_cast<double>((q.c + s.lanes - 1) / s.lanes);
  const double pixels = dot_pixels(s.tile, static_cast<int>(std::min<int64_t>(q.o, kDotOutputs)));
  const double parts = std::ceil(o / kDotOutputs);
  return g * s.reads * vectors * (o * 0.55 + parts * 0.6) + s.reads * (2.4 + 12 / pixels) +
         g * s.outputs * (o * 6 + parts * 120 / pixels);
}
double depthwise_grad_cycles(const ConvProblem& q, const Sizes& s) {
  const double vectors = static_cast<double>((q.groups + s.lanes - 1) / s.lanes);
  return s.reads * (vectors + 1) + s.outputs * vectors * 2;
}
/// Row kernels: 0.6 cycles a product, tiles that stick out of the image included, and a table of pointers per tile;
/// half types are converted. Else a load and a pointer a product.
double depthwise_cycles(const ConvProblem& q, const Sizes& s) {
  if (!depthwise_rows(q)) return depthwise_grad_cycles(q, s);
  const double vectors = static_cast<double>((q.groups + s.lanes - 1) / s.lanes), px = s.tile.pixels;
  const double per_row = static_cast<double>(q.out[2]), small = s.tile.isa == Isa::avx512 ? px / 2 : px;
  const double waste = std::ceil(per_row / small) * small / per_row, rows = s.taps / static_cast<double>(q.kernel[2]);
  const double tile = 60 + 8 * rows + s.taps / 2;
  return s.reads * vectors * 0.6 * waste + s.outputs * (vectors * (is_half(q.dtype) ? 8 : 4) + tile * waste / px);
}
double grouped_cycles(const ConvProblem& q, const Sizes& s) {
  const double vectors = static_cast<double>((q.groups * q.o + s.lanes - 1) / s.lanes);
  return s.reads * (vectors * (static_cast<double>(q.c) * 0.85 + 0.3) + 1) + s.outputs * vectors * 2;
}
double fft_cycles(const ConvProblem&, const Sizes& s) { return s.fft.cycles; }
double grad_cycles(const ConvProblem& q, const Sizes& s) {
  const double g = static_cast<double>(q.groups), c = static_cast<double>(q.c), o = static_cast<double>(q.o);
  const double nr = 2.0 * s.lanes;
  const auto cost = [&](double vec, double scalar) { return std::max(1.0, vec / nr) * std::max(scalar, 6.0); };
  return g * s.reads * std::min(cost(o, c), cost(c, o));
}
double nothing(const ConvProblem&, const Sizes&) { return 0; }

/// Products of all tiles, the weights that pass once per block, and what is transformed.
double winograd_cycles(const ConvProblem& q, const Sizes& s, int points) {
  WinogradGeometry w;
  winograd_geometry(q, points, w);
  const double slides = w.slide < 0 ? 1 : static_cast<double>(q.out[w.slide]);
  const double phases = static_cast<double>(w.phases());
  const double per_slide = static_cast<double>(w.tiles(q)), tiles = per_slide * slides * phases;
  const double taps = static_cast<double>(w.slide_taps(q)), c = static_cast<double>(q.c);
  const double g = static_cast<double>(q.groups), f = w.frequencies(), p = panels(q, s), mr = s.tile.mr;
  const double blocks = static_cast<double>(winograd_blocks(q, w, s.tile.mr, s.l2));
  const double piece = per_slide / std::max(std::ceil(per_slide / mr), blocks);
  // A piece of m tiles takes m cycles a channel for its products, but (m + 2) / 2 for its loads and 4 for the latency
  // of a sum; 60 more a piece for the call, and its stores. Within 15 % on 3 to 256 channels from 7x7 to 56x56.
  const double product = std::max({piece, piece / 2 + 1, 4.0}) / piece;
  const double gemm = tiles * g * f * p * (taps * c * product + 4 + 60 / piece);
  const double weights = blocks * slides * phases * stream_cycles(g * f * taps * p * c * 2 * s.lanes * 4, s);
  // Per point and vector: inputs come and go through L2, products stay in it. Per tile: tables and calls.
  const double in_vectors = std::ceil(g * c / s.lanes), out_vectors = std::ceil(static_cast<double>(q.o) / s.lanes) * g;
  return gemm + weights + tiles * (f * (6 * in_vectors + 4.5 * out_vectors) + 120);
}
const char* can_winograd(const ConvProblem& q, const Sizes& s, int points) {
  if (q.highest_precision) return "precision=\"highest\" transforms nothing";
  if (q.dtype == Dtype::float64) return "float64 is computed as it is written";
  if (sums_nothing(q)) return "nothing is summed";
  if (s.tile.isa == Isa::baseline) return "this instruction set has too few registers";
  WinogradGeometry g;
  return winograd_geometry(q, points, g);
}
const char* can_winograd4(const ConvProblem& q, const Sizes& s) { return can_winograd(q, s, 4); }
const char* can_winograd6(const ConvProblem& q, const Sizes& s) { return can_winograd(q, s, 6); }
double winograd4_cycles(const ConvProblem& q, const Sizes& s) { return winograd_cycles(q, s, 4); }
double winograd6_cycles(const ConvProblem& q, const Sizes& s) { return winograd_cycles(q, s, 6); }

struct Candidate {
  Form form;
  ConvAlgorithm algorithm;
  const char* (*refuses)(const ConvProblem&, const Sizes&);  // why not, or nullptr
  double (*cycles)(const ConvProblem&, const Sizes&);
  const char* reason;
};

constexpr Candidate kCandidates[] = {
    {Form::forward, ConvAlgorithm::empty, only_empty, nothing, "nothing is summed: the output is activation(bias)"},
    {Form::forward, ConvAlgorithm::direct, always, direct_cycles, "implicit GEMM reads the input in place"},
    {Form::forward, ConvAlgorithm::merged, can_merge, merged_cycles, "few input channels: a kernel row is one run"},
    {Form::forward, ConvAlgorithm::dot, can_dot, dot_cycles, "few output channels: vectors run along the inputs"},
    {Form::forward, ConvAlgorithm::depthwise, can_depthwise, depthwise_cycles, "a vector of channels, no reduction"},
    {Form::forward, ConvAlgorithm::grouped, can_group, grouped_cycles, "one vector holds several groups"},
    {Form::forward, ConvAlgorithm::winograd4, can_winograd4, winograd4_cycles,
     "Winograd tiles of 4 points: fewer products than taps"},
    {Form::forward, ConvAlgorithm::winograd6, can_winograd6, winograd6_cycles,
     "Winograd tiles of 6 points: far fewer products than taps"},
    {Form::forward, ConvAlgorithm::fft, can_fft, fft_cycles, "a large kernel: blocks are multiplied as spectra"},
    {Form::weight_grad, ConvAlgorithm::empty, only_empty, nothing, "nothing is summed: the gradient is zero"},
    {Form::weight_grad, ConvAlgorithm::weight_grad, always, grad_cycles,
     "pixels are summed in register tiles, in place"},
    {Form::weight_grad, ConvAlgorithm::depthwise_weight_grad, can_depthwise, depthwise_grad_cycles,
     "a vector of channels, pixels are summed"},
    {Form::weight_grad, ConvAlgorithm::grouped_weight_grad, can_group, grouped_cycles,
     "one vector holds several groups, pixels are summed"},
};

void choose(ConvPlan& plan, const ConvProblem& q, const Sizes& s, std::optional<ConvAlgorithm> wanted) {
  const Candidate* best = nullptr;
  for (const Candidate& c : kCandidates) {
    if (c.form != q.form) continue;
    if (const char* why = c.refuses(q, s)) {
      plan.rejected.push_back({c.algorithm, why, 0});
      continue;
    }
    const double cost = c.cycles(q, s) / kCyclesPerUs;
    const bool forced = wanted == c.algorithm;
    if (best && !forced && (cost >= plan.cost_us || wanted == best->algorithm)) {
      plan.rejected.push_back({c.algorithm, "slower", cost});
      continue;
    }
    if (best) plan.rejected.push_back({best->algorithm, "slower", plan.cost_us});
    best = &c;
    plan.cost_us = cost;
    if (c.algorithm == ConvAlgorithm::empty) break;
  }
  plan.algorithm = best->algorithm;
  plan.reason = best->reason;
}

std::optional<ConvAlgorithm> algorithm_from_env() {
  const std::string text = env("NHWC_CONV_ALGORITHM");
  if (text.empty()) return {};
  std::string known;
  for (const Candidate& c : kCandidates) {
    if (text == name(c.algorithm)) return c.algorithm;
    known += std::string(known.empty() ? "" : ", ") + name(c.algorithm);
  }
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
  f.vector_bytes = tile_for(f.isa).vector_bytes;
  f.l1d = info.l1d;
  f.l2 = info.l2;
  f.l3 = info.l3;
  f.workspace_limit = get_workspace_limit();
  static const std::optional<ConvAlgorithm> wanted = algorithm_from_env();
  f.wanted = wanted;
  f.batch_invariant = batch_invariant();
  return f;
}

int rows_without_aliasing(int mr, int64_t bytes_apart, size_t l1d) {
  const int ways = static_cast<int>(l1d / kAliasBytes);
  return bytes_apart % kAliasBytes == 0 ? std::min(mr, std::max(1, ways - 2)) : mr;
}

size_t tile_scratch_bytes(const ConvPlan& p, int tiles) {
  const ConvProblem& q = p.problem;
  const bool merged = p.algorithm == ConvAlgorithm::merged, half = is_half(q.dtype);
  const size_t compute = q.dtype == Dtype::float64 ? 8 : 4;
  const int64_t taps = q.kernel[0] * q.kernel[1] * (merged ? 1 : q.kernel[2]), pixels = int64_t(tiles) * p.mr;
  const int64_t run = merged ? q.kernel[2] * q.c : q.groups * q.c;
  size_t bytes = static_cast<size_t>(pixels * taps * 8 + tiles * taps * 8 + pixels * 8) + 1024;  // 1024: alignment
  if (merged || half) bytes += static_cast<size_t>(pixels * taps * run) * compute;
  if (half && !merged)
    bytes += static_cast<size_t>(pixels * taps) * 4 * 16;  // the map from pixels to their float32 copy
  if (half) bytes += static_cast<size_t>(p.mr * (q.groups * q.o + p.nr)) * compute + static_cast<size_t>(p.mr) * 8;
  return bytes;
}

ConvPlan plan_conv(const ConvProblem& problem, const DeviceFacts& facts) {
  ConvPlan plan;
  plan.problem = problem;
  plan.isa = facts.isa;
  ConvProblem priced = problem;  // in any batch the choice is that of one image
  if (facts.batch_invariant) priced.batch = std::min<int64_t>(problem.batch, 1);
  const Sizes s = sizes_of(priced, facts);
  plan.lanes = s.lanes;
  choose(plan, priced, s, facts.wanted);
  const bool dot = plan.algorithm == ConvAlgorithm::dot;
  plan.mr = pixels_tile(plan.algorithm) ? s.tile.pixels
            : dot ? dot_pixels(s.tile, static_cast<int>(std::min<int64_t>(problem.o, kDotOutputs)))
                  : s.tile.mr;
  plan.nr = pixels_tile(plan.algorithm) ? s.lanes : dot ? kDotOutputs : 2 * s.lanes;
  plan.workspace_limit = facts.workspace_limit;
  // Transformed weights are several times as large, and read once per block of tiles: they should stay in L3.
  plan.pack_bytes = facts.workspace_limit / 2;
  if (is_winograd(plan.algorithm)) plan.pack_bytes = std::min(plan.pack_bytes, facts.l3 / 3);
  if (is_winograd(plan.algorithm)) {
    winograd_geometry(problem, plan.algorithm == ConvAlgorithm::winograd4 ? 4 : 6, plan.winograd);
    plan.winograd_blocks = winograd_blocks(problem, plan.winograd, plan.mr, facts.l2);
    const int64_t block = (plan.winograd.tiles(problem) + plan.winograd_blocks - 1) / plan.winograd_blocks + plan.mr;
    const int64_t row = plan.winograd.slide_taps(problem) * problem.groups * problem.c + plan.nr;
    plan.workspace_bytes = static_cast<size_t>(plan.winograd.frequencies() * block * row) * 4;
  } else if (plan.algorithm == ConvAlgorithm::fft) {
    std::copy(s.fft.n, s.fft.n + 2, plan.block);
    plan.block_pairs = s.fft.pairs;
    plan.workspace_bytes = static_cast<size_t>(s.fft.n[0] * (s.fft.n[1] + 1) * 12 * s.lanes);
  } else if (problem.form == Form::forward) {
    if (plan.algorithm == ConvAlgorithm::direct)
      plan.mr = rows_without_aliasing(
          plan.mr, problem.stride[2] * problem.groups * problem.c * (problem.dtype == Dtype::float64 ? 8 : 4),
          facts.l1d);
    // Four tiles share each panel of weights while it is in L1; less where their tables alone would fill L2.
    plan.chunk_tiles = tile_scratch_bytes(plan, 4) <= kTileScratch ? 4 : 1;
    plan.workspace_bytes = tile_scratch_bytes(plan, plan.chunk_tiles);
  } else if (plan.algorithm == ConvAlgorithm::weight_grad) {
    // The sums of a panel for one kernel row, and a block of pixels of both operands.
    const int64_t c = problem.c, o = problem.o;
    const int64_t elems = problem.kernel[2] * std::max(c, o) * plan.nr + 256 * (c + o + plan.nr);
    plan.workspace_bytes = static_cast<size_t>(elems) * (problem.dtype == Dtype::float64 ? 8 : 4);
  }
  return plan;
}

const char* name(ConvAlgorithm a) {
  constexpr const char* kNames[] = {"empty",
                                    "direct",
                                    "merged",
                                    "dot",
                                    "depthwise",
                                    "grouped",
                                    "winograd4",
                                    "winograd6",
                                    "fft",
                                    "weight_grad",
                                    "depthwise_weight_grad",
                                    "grouped_weight_grad"};
  return kNames[static_cast<int>(a)];
}

std::string describe(const ConvPlan& plan) {
  const ConvProblem& q = plan.problem;
  std::ostringstream s;
  const auto axes = [&s](const char* what, const int64_t (&v)[3]) {
    s << ' ' << what << '=' << v[0] << 'x' << v[1] << 'x' << v[2];
  };
  s << (q.form == Form::forward ? "forward" : "weight gradient") << ' ' << name(q.dtype) << " batch=" << q.batch
    << " groups=" << q.groups << " c=" << q.c << " o=" << q.o;
  axes("in", q.in);
  axes("out", q.out);
  axes("kernel", q.kernel);
  axes("stride", q.stride);
  axes("dilation", q.dilation);
  axes("in_dilation", q.in_dilation);
  axes("pad", q.pad);
  s << (q.flip ? " flipped" : "") << (q.swapped ? " swapped" : "") << "\n  " << name(plan.algorithm) << " on "
    << name(plan.isa) << ", tile " << plan.mr << 'x' << plan.nr << ", scratch per thread " << plan.workspace_bytes
    << " bytes, about " << plan.cost_us << " us on one core: " << plan.reason << '\n';
  if (plan.algorithm == ConvAlgorithm::fft)
    s << "  blocks of " << plan.block[0] << 'x' << plan.block[1] << " points, " << plan.block_pairs
      << " pairs at a time\n";
  for (const Rejected& r : plan.rejected) {
    s << "  not " << name(r.algorithm) << ": " << r.why;
    if (r.cost_us > 0) s << ", about " << r.cost_us << " us";
    s << '\n';
  }
  return s.str();
}

}  // namespace nhwc
