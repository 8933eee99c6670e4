// csrc/plan/metal_cost.cpp -- when an Apple GPU's algorithm can compute a convolution, and how long it takes; pure
#include "plan/metal_cost.h"

#include <algorithm>

#include "base/divide.h"
#include "params/conv.h"

namespace nhwc::metal_cost {
namespace {

constexpr int64_t kCount = int64_t(1) << 30;  // kernels count outputs, taps and positions in 32 bits, sums of two too
constexpr double kLaunchUs = 5;
// Share of a core's products that the matrix units reach on tiles of 64 x 64; smaller ones load more per product.
constexpr double kProductShare = 0.8, kGroupedShare = 0.25, kDirectShare = 0.15;
// Bytes from a cache in the time of one from memory.
constexpr double kCacheRate = 8;
// Threadgroups of a core at a time that hide each other's loads; a sum is split until there are so many.
constexpr int64_t kResident = 3;
constexpr int64_t kLeastSteps = 8;  // of a part of a split sum

int64_t product_of(const int64_t (&v)[3]) { return v[0] * v[1] * v[2]; }

/// A batch of matrix products.
struct Product {
  int64_t m, n, k, count;
};

Product product_of(const ConvProblem& q) {
  return {q.batch * pixels_of_phase(q), q.o, taps_of_phase(q) * q.c, q.groups * phases(q)};
}

size_t tile_bytes(const MetalTile& t, bool a_by_k, bool b_by_k, size_t item) {
  const auto bytes = [item](int rows, int columns) {
    return static_cast<size_t>(rows) * (static_cast<size_t>(columns) * item + 16);
  };
  return (a_by_k ? bytes(t.bk, t.bm) : bytes(t.bm, t.bk)) + (b_by_k ? bytes(t.bk, t.bn) : bytes(t.bn, t.bk));
}

double output_count(const ConvProblem& q) {
  return static_cast<double>(q.batch) * static_cast<double>(product_of(q.out)) * static_cast<double>(q.groups * q.o);
}
double weight_count(const ConvProblem& q) {
  return static_cast<double>(q.groups * q.o) * static_cast<double>(product_of(q.kernel)) * static_cast<double>(q.c);
}
int64_t result_bytes(const ConvProblem& q) {  // as partial sums
  const bool forward = q.form == ConvProblem::Form::forward;
  return static_cast<int64_t>((forward ? output_count(q) : weight_count(q)) * sizeof(float));
}

/// Bytes that are read and written at least.
double least_bytes(const ConvProblem& q) {
  const double in = static_cast<double>(q.batch * product_of(q.in) * q.groups * q.c);
  return (in + weight_count(q) + output_count(q)) * static_cast<double>(size_of(q.dtype));
}

double us_of(double flops, double bytes, double share, const ConvProblem& q, const MetalFacts& f) {
  const double rate = is_half(q.dtype) ? f.chip->half_rate : 1;
  const double compute = flops / (f.chip->gflops * f.cores * share * rate * 1e3);
  return kLaunchUs + std::max(compute, bytes / (f.chip->bandwidth * 1e3));
}

/// As many parts of `steps` as fill the GPU and the scratch holds, where each has `least` at least.
void split(MetalPlan& plan, int64_t steps, int64_t blocks, int64_t least, const MetalFacts& f) {
  const int64_t wanted = ceil_div(kResident * f.cores, std::max<int64_t>(1, blocks));
  const int64_t bytes = std::max<int64_t>(1, result_bytes(plan.problem));
  const int64_t fit = static_cast<int64_t>(f.workspace_limit) / bytes;
  const int64_t parts = std::max<int64_t>(1, std::min({wanted, steps / least, fit}));
  plan.split_steps = std::max<int64_t>(1, ceil_div(steps, parts));
  plan.splits = std::max<int64_t>(1, ceil_div(steps, plan.split_steps));
  if (plan.splits > 1) plan.workspace_bytes = static_cast<size_t>(plan.splits * bytes);
}

/// Inputs along an axis that `outputs` of a phase read.
int64_t extent(const ConvProblem& q, int axis, int64_t outputs) {
  const MetalPhases f = phases_of(q, axis);
  return (outputs - 1) * f.step + (ceil_div(q.kernel[axis], f.tap_step) - 1) * f.reach + 1;
}

/// The box that reads the fewest inputs per output of those that fit; no groups: none fits.
MetalBox box_of(const ConvProblem& q) {
  constexpr int64_t kChannels = 16;  // 64 bytes of float32 that lie side by side
  MetalBox best;
  const int64_t groups = std::clamp<int64_t>(kChannels / q.c, 1, q.groups);
  if (groups * q.o * taps_of_phase(q) * q.c > kBoxWeights) return best;
  const int64_t pixels = kBoxInputs / (groups * q.c);
  const auto most = [&q, pixels](int a) { return std::min(ceil_div(q.out[a], phases_of(q, a).count), pixels); };
  double least = 0;
  for (int64_t d = 1; d <= std::min<int64_t>(most(0), 8); ++d)
    for (int64_t h = 1; h <= most(1) && extent(q, 0, d) * extent(q, 1, h) * extent(q, 2, 1) <= pixels; ++h) {
      const int64_t rows = extent(q, 0, d) * extent(q, 1, h);
      const int64_t room = pixels / rows - extent(q, 2, 1);  // beside the inputs of one output
      const int64_t w = std::min(most(2), room / phases_of(q, 2).step + 1);
      const double reads = static_cast<double>(rows * extent(q, 2, w)) / static_cast<double>(d * h * w);
      if (best.groups && reads >= least) continue;
      best = {{d, h, w}, groups};
      least = reads;
    }
  return best;
}

int64_t all_winograd_tiles(const ConvProblem& q) { return q.batch * ceil_div(q.out[1], 4) * ceil_div(q.out[2], 4); }
/// Tiles of a pass, as many as the scratch holds.
int64_t winograd_tiles(const ConvProblem& q, const MetalFacts& f) {
  constexpr auto kPoint = static_cast<int64_t>(kWinogradPoints * sizeof(float));
  const int64_t left = static_cast<int64_t>(f.workspace_limit) - kPoint * q.c * q.o;
  return std::clamp<int64_t>(left / (kPoint * (q.c + q.o)), 0, all_winograd_tiles(q));
}

double sums_bytes(const MetalPlan& plan) { return 2 * static_cast<double>(plan.workspace_bytes); }
double sums_us(const MetalPlan& plan) { return plan.splits > 1 ? kLaunchUs : 0; }

void price_product(MetalPlan& plan, const Product& p, bool may_split, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  const MetalTile& t = plan.tile;
  const int64_t blocks = ceil_div(p.m, t.bm) * ceil_div(p.n, t.bn) * p.count;
  const int64_t steps = ceil_div(p.k, t.bk);
  split(plan, steps, blocks, may_split ? kLeastSteps : std::max<int64_t>(1, steps), f);
  // The last wave of threadgroups leaves cores idle.
  const auto all = static_cast<double>(std::max<int64_t>(1, blocks * plan.splits));
  const double waves = static_cast<double>(ceil_div(blocks * plan.splits, f.cores)) * f.cores;
  const double share = kProductShare / (0.75 + 8.0 / t.bm + 8.0 / t.bn);
  const double flops = 2 * static_cast<double>(blocks * steps) * t.bk * t.bm * t.bn * std::max(1.0, waves / all);
  plan.cost_us = us_of(flops, least_bytes(q) + sums_bytes(plan), share, q, f) + sums_us(plan);
}

Product product_of_weight_grad(const ConvProblem& q) {
  return {q.o, taps_of_phase(q) * q.c, q.batch * pixels_of_phase(q), q.groups * phases(q)};
}

}  // namespace

bool sums_nothing(const ConvProblem& q) {
  const bool forward = q.form == ConvProblem::Form::forward;
  return product_of(q.in) * q.c == 0 || (forward ? product_of(q.kernel) : q.batch * product_of(q.out)) == 0;
}

int64_t phases(const ConvProblem& q) { return phases_of(q, 0).count * phases_of(q, 1).count * phases_of(q, 2).count; }
int64_t pixels_of_phase(const ConvProblem& q) {
  int64_t n = 1;
  for (int a = 0; a < 3; ++a) n *= ceil_div(q.out[a], phases_of(q, a).count);
  return n;
}
int64_t taps_of_phase(const ConvProblem& q) {
  int64_t n = 1;
  for (int a = 0; a < 3; ++a) n *= ceil_div(q.kernel[a], phases_of(q, a).tap_step);
  return n;
}

bool has_unmet_taps(const ConvProblem& q) {
  for (int a = 0; a < 3; ++a)
    if (phases_of(q, a).count < q.in_dilation[a]) return true;
  return false;
}

int64_t images_per_launch(const ConvProblem& q) {
  return std::clamp<int64_t>(kCount / std::max<int64_t>(1, pixels_of_phase(q)), 1, std::max<int64_t>(1, q.batch));
}

const char* always(const ConvProblem&, const MetalTile&, const MetalFacts&) { return nullptr; }
const char* only_empty(const ConvProblem& q, const MetalTile&, const MetalFacts&) {
  return sums_nothing(q) ? nullptr : "something is summed";
}

const char* refuses_igemm(const ConvProblem& q, const MetalTile& t, const MetalFacts& f) {
  if (pixels_of_phase(q) > kCount || taps_of_phase(q) * q.c > kCount || q.groups * q.o > kCount)
    return "too many outputs or taps for counts of 32 bits";
  if (tile_bytes(t, false, q.swapped, size_of(q.dtype)) > f.threadgroup_memory)
    return "the tiles exceed the threadgroup's memory";
  return nullptr;
}

const char* refuses_grouped(const ConvProblem& q, const MetalTile&, const MetalFacts& f) {
  if (q.c > 16 || q.o > 16) return "more than 16 channels per group";
  if (pixels_of_phase(q) > kCount || q.groups * std::max(q.c, q.o) > kCount)
    return "too many outputs for counts of 32 bits";
  if ((kBoxInputs + kBoxWeights) * size_of(q.dtype) > f.threadgroup_memory)
    return "the box exceeds the threadgroup's memory";
  return box_of(q).groups ? nullptr : "what an output reads exceeds the threadgroup's memory";
}

const char* refuses_winograd(const ConvProblem& q, const MetalTile& t, const MetalFacts& f) {
  if (q.highest_precision) return "precision=\"highest\" transforms nothing";
  if (q.kernel[0] != 1 || q.kernel[1] != 3 || q.kernel[2] != 3 || q.in[0] != 1 || q.out[0] != 1 || q.pad[0] != 0)
    return "not a kernel of 3x3";
  for (int a = 0; a < 3; ++a)
    if (q.stride[a] * q.dilation[a] * q.in_dilation[a] != 1) return "strided or dilated";
  if (q.groups != 1) return "several groups";
  if (tile_bytes(t, false, true, sizeof(float)) > f.threadgroup_memory)
    return "the tiles exceed the threadgroup's memory";
  if (q.batch * product_of(q.out) > kCount || q.c * q.o > kCount) return "too many outputs for counts of 32 bits";
  return winograd_tiles(q, f) > 0 ? nullptr : "the workspace holds no tile beside the weights";
}

const char* refuses_weight_grad(const ConvProblem& q, const MetalTile& t, const MetalFacts& f) {
  if (q.batch * pixels_of_phase(q) > kCount || taps_of_phase(q) * q.c > kCount || q.groups * q.o > kCount)
    return "too many pixels or weights for counts of 32 bits";
  if (tile_bytes(t, true, true, size_of(q.dtype)) > f.threadgroup_memory)
    return "the tiles exceed the threadgroup's memory";
  return nullptr;
}

void nothing(MetalPlan&, const MetalFacts&) {}

void price_igemm(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  plan.vector = q.c % 4 == 0 && (!q.swapped || q.o % 4 == 0) ? 4 : 1;
  plan.threadgroup_bytes = tile_bytes(plan.tile, false, q.swapped, size_of(q.dtype));
  price_product(plan, product_of(q), images_per_launch(q) >= q.batch && !f.batch_invariant, f);
}

void price_matmul(MetalPlan& plan, const MetalFacts& f) {
  plan.vector = 4;
  plan.threadgroup_bytes = tile_bytes(plan.tile, false, false, size_of(plan.problem.dtype));
  price_product(plan, product_of(plan.problem), true, f);
}

void price_weight_grad(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  plan.vector = q.c % 4 == 0 && q.o % 4 == 0 ? 4 : 1;
  plan.threadgroup_bytes = tile_bytes(plan.tile, true, true, size_of(q.dtype));
  price_product(plan, product_of_weight_grad(q), !has_unmet_taps(q), f);
}

void price_direct_weight_grad(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  const int64_t pixels = q.batch * product_of(q.out);
  split(plan, pixels, ceil_div(static_cast<int64_t>(weight_count(q)), 256), 64, f);
  const double products = static_cast<double>(pixels) * weight_count(q);
  plan.cost_us = us_of(2 * products, least_bytes(q) + sums_bytes(plan), kDirectShare, q, f) + sums_us(plan);
}

void price_grouped(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  plan.box = box_of(q);
  plan.threadgroup_bytes = (kBoxInputs + kBoxWeights) * size_of(q.dtype);
  double outputs = 1, read = 1;
  for (int a = 0; a < 3; ++a) {
    const int64_t phase = ceil_div(q.out[a], phases_of(q, a).count), boxes = ceil_div(phase, plan.box.out[a]);
    outputs *= static_cast<double>(boxes * plan.box.out[a] * phases_of(q, a).count);
    read *= static_cast<double>(boxes * extent(q, a, plan.box.out[a]) * phases_of(q, a).count);
  }
  const auto batch = static_cast<double>(q.batch);
  const double flops = 2 * batch * outputs * static_cast<double>(q.groups * q.o * q.c * taps_of_phase(q));
  const double bytes = batch * read * static_cast<double>(q.groups * q.c * static_cast<int64_t>(size_of(q.dtype)));
  plan.cost_us = us_of(flops, least_bytes(q) + bytes / kCacheRate, kGroupedShare, q, f);
}

void price_winograd(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  const MetalTile& t = plan.tile;
  plan.vector = q.c % 4 == 0 && q.o % 4 == 0 ? 4 : 1;
  plan.threadgroup_bytes = tile_bytes(t, false, true, sizeof(float));
  plan.winograd_tiles = winograd_tiles(q, f);
  const int64_t all = all_winograd_tiles(q), passes = ceil_div(all, plan.winograd_tiles);
  const int64_t floats = kWinogradPoints * (q.c * q.o + plan.winograd_tiles * (q.c + q.o));
  plan.workspace_bytes = static_cast<size_t>(floats) * sizeof(float);
  const double rows = static_cast<double>(ceil_div(plan.winograd_tiles, t.bm) * t.bm * passes);
  const double columns = static_cast<double>(round_up(q.o, t.bn)), depth = static_cast<double>(round_up(q.c, t.bk));
  const double moved =
      2 * static_cast<double>(kWinogradPoints * sizeof(float)) * static_cast<double>(all * (q.c + q.o) + q.c * q.o);
  const double share = kProductShare / (0.75 + 8.0 / t.bm + 8.0 / t.bn);
  ConvProblem points = q;  // in float32, whatever the elements are
  points.dtype = Dtype::float32;
  const double products = us_of(2 * kWinogradPoints * rows * columns * depth, 0, share, points, f);
  const double transforms = us_of(0, least_bytes(q) + moved, 1, q, f);  // between the products, not beside them
  plan.cost_us = products + transforms + kLaunchUs * static_cast<double>(3 * passes - 1);
}

void price_direct(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  const double pixels = static_cast<double>(q.batch * product_of(q.out)) * static_cast<double>(taps_of_phase(q));
  const double products = pixels * static_cast<double>(q.groups * q.o) * static_cast<double>(q.c);
  const double reads = 2 * products * static_cast<double>(size_of(q.dtype));
  plan.cost_us = us_of(2 * products, least_bytes(q) + reads / kCacheRate, kDirectShare, q, f);
}

}  // namespace nhwc::metal_cost
