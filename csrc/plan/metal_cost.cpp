// csrc/plan/metal_cost.cpp -- when an Apple GPU's algorithm can compute a convolution, and how long it takes; pure
#include "plan/metal_cost.h"

#include <algorithm>

#include "base/divide.h"

namespace nhwc::metal_cost {
namespace {

constexpr int64_t kCount = int64_t(1) << 30;  // kernels count outputs, taps and positions in 32 bits, sums of two too
constexpr double kLaunchUs = 5;
// Share of a core's products that the matrix units reach on tiles of 64 x 64; smaller ones load more per product.
constexpr double kProductShare = 0.8, kDirectShare = 0.15;
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

/// Bytes that are read and written at least.
double least_bytes(const ConvProblem& q) {
  const double in = static_cast<double>(q.batch * product_of(q.in) * q.groups * q.c);
  const double weights = static_cast<double>(q.groups * q.o * product_of(q.kernel) * q.c);
  return (in + weights + output_count(q)) * static_cast<double>(size_of(q.dtype));
}

double us_of(double flops, double bytes, double share, const ConvProblem& q, const MetalFacts& f) {
  const double rate = is_half(q.dtype) ? f.chip->half_rate : 1;
  const double compute = flops / (f.chip->gflops * f.cores * share * rate * 1e3);
  return kLaunchUs + std::max(compute, bytes / (f.chip->bandwidth * 1e3));
}

/// As many parts as fill the GPU and the scratch holds.
void split(MetalPlan& plan, const Product& p, int64_t blocks, const MetalFacts& f) {
  const int64_t steps = ceil_div(p.k, plan.tile.bk);
  const int64_t wanted = ceil_div(kResident * f.cores, blocks);
  const auto bytes = static_cast<int64_t>(output_count(plan.problem) * sizeof(float));
  int64_t parts =
      std::min({wanted, steps / kLeastSteps, static_cast<int64_t>(f.workspace_limit) / std::max<int64_t>(1, bytes)});
  parts = std::max<int64_t>(1, parts);
  plan.split_steps = ceil_div(steps, parts);
  plan.splits = std::max<int64_t>(1, ceil_div(steps, std::max<int64_t>(1, plan.split_steps)));
  if (plan.splits > 1) plan.workspace_bytes = static_cast<size_t>(plan.splits * bytes);
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

void nothing(MetalPlan&, const MetalFacts&) {}

void price_product(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  const MetalTile& t = plan.tile;
  const Product p = product_of(q);
  const int64_t blocks = ceil_div(p.m, t.bm) * ceil_div(p.n, t.bn) * p.count;
  plan.vector = q.c % 4 == 0 && (!q.swapped || q.o % 4 == 0) ? 4 : 1;
  plan.threadgroup_bytes = tile_bytes(t, false, q.swapped, size_of(q.dtype));
  split(plan, p, blocks, f);
  const double k = static_cast<double>(round_up(p.k, t.bk));
  const double steps = static_cast<double>(blocks) * k;
  // The last wave of threadgroups leaves cores idle.
  const double waves = static_cast<double>(blocks * plan.splits) / f.cores;
  const double idle = static_cast<double>(ceil_div(blocks * plan.splits, f.cores)) / std::max(1e-9, waves);
  const double share = kProductShare / (0.75 + 16.0 * (1.0 / t.bm + 1.0 / t.bn) / 2);
  const double sums = plan.splits > 1 ? 2 * static_cast<double>(plan.workspace_bytes) : 0;
  plan.cost_us = us_of(2 * steps * t.bm * t.bn * idle, least_bytes(q) + sums, share, q, f);
  if (plan.splits > 1) plan.cost_us += kLaunchUs;
}

void price_direct(MetalPlan& plan, const MetalFacts& f) {
  const ConvProblem& q = plan.problem;
  const double pixels = static_cast<double>(q.batch * product_of(q.out)) * static_cast<double>(taps_of_phase(q));
  const double products = pixels * static_cast<double>(q.groups * q.o) * static_cast<double>(q.c);
  plan.cost_us = us_of(2 * products, least_bytes(q), kDirectShare, q, f);
}

}  // namespace nhwc::metal_cost
