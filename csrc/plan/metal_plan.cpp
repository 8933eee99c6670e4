// csrc/plan/metal_plan.cpp -- chooses the algorithm and the tiles of a convolution on an Apple GPU; pure
#include "plan/metal_plan.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "nhwc/error.h"
#include "plan/conv_plan.h"
#include "plan/metal_cost.h"

namespace nhwc {
namespace {

using Form = ConvProblem::Form;
using namespace metal_cost;  // the table reads better without the word in every row

struct Candidate {
  Form form;
  MetalAlgorithm algorithm;
  bool tiled;
  Refuses* refuses;
  Prices* prices;
  const char* reason;
};

constexpr Candidate kCandidates[] = {
    {Form::forward, MetalAlgorithm::empty, false, only_empty, nothing,
     "nothing is summed: the output is activation(bias)"},
    {Form::forward, MetalAlgorithm::igemm, true, refuses_igemm, price_igemm, "implicit GEMM reads the input in place"},
    {Form::forward, MetalAlgorithm::grouped, false, refuses_grouped, price_grouped,
     "few channels per group: a box of outputs shares its inputs"},
    {Form::forward, MetalAlgorithm::winograd, true, refuses_winograd, price_winograd,
     "tiles of 4x4 outputs: a quarter of the products"},
    {Form::forward, MetalAlgorithm::direct, false, always, price_direct, "a thread per output: any geometry"},
    {Form::weight_grad, MetalAlgorithm::empty, false, only_empty, nothing, "nothing is summed: the gradient is zero"},
    {Form::weight_grad, MetalAlgorithm::weight_grad, true, refuses_weight_grad, price_weight_grad,
     "a matrix product over the pixels reads both operands in place"},
    {Form::weight_grad, MetalAlgorithm::direct_weight_grad, false, always, price_direct_weight_grad,
     "a thread per weight: any geometry"},
};

constexpr MetalTile kTiles[] = {
#define NHWC_CONV_TILE(bm, bn, bk, wm, wn) {bm, bn, bk, wm, wn},
#include "instances/conv_tiles.inc"
};
constexpr MetalTile kMatmulTiles[] = {
#define NHWC_MATMUL_TILE(bm, bn, bk, wm, wn) {bm, bn, bk, wm, wn},
#include "instances/matmul_tiles.inc"
};

/// Takes the wanted option, else the cheapest.
class Choice {
 public:
  Choice(MetalPlan& plan, const MetalFacts& facts) : plan_(plan), facts_(facts) {}

  void offer(const Candidate& c, const MetalTile& tile) {
    MetalPlan option = plan_;
    option.rejected.clear();
    option.algorithm = c.algorithm;
    option.tile = tile;
    option.reason = c.reason;
    if (const char* why = c.refuses(plan_.problem, tile, facts_)) {
      plan_.rejected.push_back({c.algorithm, tile, why, 0});
      return;
    }
    c.prices(option, facts_);
    const bool wanted = !facts_.wanted.empty() && option_name(c.algorithm, tile).starts_with(facts_.wanted);
    const bool better = !any_ || (wanted != best_wanted_ ? wanted : option.cost_us < best_.cost_us);
    const MetalPlan& loser = better ? best_ : option;
    if (any_) plan_.rejected.push_back({loser.algorithm, loser.tile, "slower", loser.cost_us});
    if (!better) return;
    best_ = std::move(option);
    best_wanted_ = wanted;
    any_ = true;
  }

  MetalPlan take() {
    best_.rejected = std::move(plan_.rejected);
    return std::move(best_);
  }

 private:
  MetalPlan& plan_;
  const MetalFacts& facts_;
  MetalPlan best_;
  bool any_ = false, best_wanted_ = false;
};

}  // namespace

MetalPhases phases_of(const ConvProblem& q, int a) {
  const int64_t of_outputs = std::gcd(q.stride[a], q.in_dilation[a]),
                of_taps = std::gcd(q.dilation[a], q.in_dilation[a]);
  MetalPhases r;
  r.count = std::clamp<int64_t>(q.in_dilation[a] / of_outputs, 1, std::max<int64_t>(1, q.out[a]));
  r.tap_step = q.in_dilation[a] / of_taps;
  r.step = q.stride[a] / of_outputs;
  r.reach = q.dilation[a] / of_taps;
  return r;
}

MetalPlan plan_metal_conv(const ConvProblem& problem, const MetalFacts& facts) {
  MetalPlan plan;
  plan.problem = problem;
  plan.chip = facts.chip;
  // The choice is that of one image then.
  if (facts.batch_invariant && problem.form == Form::forward) plan.problem.batch = std::min<int64_t>(problem.batch, 1);
  Choice choice(plan, facts);
  for (const Candidate& c : kCandidates) {
    if (c.form != problem.form) continue;
    if (!c.tiled) {
      choice.offer(c, {});
      if (c.algorithm == MetalAlgorithm::empty && sums_nothing(problem)) break;
      continue;
    }
    if (c.algorithm == MetalAlgorithm::winograd)
      for (const MetalTile& tile : kMatmulTiles) choice.offer(c, tile);
    else
      for (const MetalTile& tile : kTiles) choice.offer(c, tile);
  }
  MetalPlan best = choice.take();
  best.problem = problem;
  best.images = images_per_launch(problem);
  return best;
}

MetalPlan plan_metal_matmul(int64_t m, int64_t n, int64_t k, int64_t count, Dtype dtype, const MetalFacts& facts) {
  MetalPlan best;
  for (const MetalTile& tile : kMatmulTiles) {  // as a convolution of m images of one pixel
    MetalPlan option;
    option.problem.dtype = dtype;
    option.problem.batch = m;
    option.problem.groups = count;
    option.problem.c = k;
    option.problem.o = n;
    option.algorithm = MetalAlgorithm::igemm;
    option.tile = tile;
    option.chip = facts.chip;
    price_matmul(option, facts);
    if (!best.tile.bm || option.cost_us < best.cost_us) best = option;
  }
  return best;
}

const char* name_of(MetalAlgorithm a) {
  constexpr const char* kNames[] = {"empty",  "igemm",       "grouped",           "winograd",
                                    "direct", "weight_grad", "direct_weight_grad"};
  return kNames[static_cast<int>(a)];
}
std::string tile_name(const MetalTile& t) { return message(t.bm, "x", t.bn, "x", t.bk); }
std::string option_name(MetalAlgorithm a, const MetalTile& tile) {
  return tile.bm ? message(name_of(a), "_", tile_name(tile)) : name_of(a);
}

std::string describe(const MetalPlan& plan) {
  std::ostringstream s;
  s << describe(plan.problem) << "\n  " << option_name(plan.algorithm, plan.tile) << " on " << plan.chip->name;
  if (plan.tile.bm) s << ", " << plan.tile.threads() << " threads";
  if (plan.winograd_tiles) s << ", " << plan.winograd_tiles << " tiles at a time";
  if (plan.box.groups)
    s << ", boxes of " << plan.box.out[0] << 'x' << plan.box.out[1] << 'x' << plan.box.out[2] << " outputs of "
      << plan.box.groups << (plan.box.groups == 1 ? " group" : " groups");
  if (plan.splits > 1) s << ", the sum in " << plan.splits << " parts";
  s << ", threadgroup memory " << plan.threadgroup_bytes << " bytes, scratch " << plan.workspace_bytes
    << " bytes, about " << plan.cost_us << " us (not measured): " << plan.reason << '\n';
  for (const MetalRejected& r : plan.rejected) {
    s << "  not " << option_name(r.algorithm, r.tile) << ": " << r.why;
    if (r.cost_us > 0) s << ", about " << r.cost_us << " us";
    s << '\n';
  }
  return s.str();
}

}  // namespace nhwc
