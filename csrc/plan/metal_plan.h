// csrc/plan/metal_plan.h -- the planner of Apple GPUs: ConvProblem + MetalFacts -> MetalPlan; pure
#pragma once

#include <string>

#include "nhwc/shape.h"
#include "plan/conv_problem.h"
#include "plan/metal_facts.h"

namespace nhwc {

/// empty: nothing is summed; igemm: implicit matrix product on simdgroup matrices; grouped: depthwise and small groups,
/// a box of outputs per threadgroup; winograd: tiles of 4x4 outputs; direct: a thread per output; weight_grad: matrix
/// product over the pixels.
enum class MetalAlgorithm : uint8_t { empty, igemm, grouped, winograd, direct, weight_grad, direct_weight_grad };

/// Blocks of a matrix product: M x N outputs, bk deep, of wm x wn simdgroups.
struct MetalTile {
  int bm = 0, bn = 0, bk = 0, wm = 1, wn = 1;
  int threads() const { return 32 * wm * wn; }
  friend bool operator==(const MetalTile&, const MetalTile&) = default;
};

/// Outputs of an axis that meet the same taps, where the input is dilated: see metal/params/conv.h.
struct MetalPhases {
  int64_t count = 1, tap_step = 1, step = 1, reach = 1;
};
MetalPhases phases_of(const ConvProblem& q, int axis);

/// Of a grouped plan: the outputs of a threadgroup along the axes of a phase, and its groups.
struct MetalBox {
  int64_t out[3] = {0, 0, 0}, groups = 0;
};

struct MetalRejected {
  MetalAlgorithm algorithm;
  MetalTile tile;        // of a matrix product
  const char* why = "";  // static text; "slower" where cost_us decided
  double cost_us = 0;
};

/// Plain data: the choice, its tiles, and the reasons.
struct MetalPlan {
  ConvProblem problem;
  MetalAlgorithm algorithm = MetalAlgorithm::empty;
  MetalTile tile;
  MetalBox box;
  int64_t winograd_tiles = 0;  // of a pass
  int vector = 1;              // elements that a thread loads at once, where addresses allow it
  int64_t images = 1;          // of one launch
  int64_t splits = 1;          // parts of the sum that different threadgroups compute
  int64_t split_steps = 0;     // blocks of the sum in a part
  size_t threadgroup_bytes = 0;
  size_t workspace_bytes = 0;  // scratch
  double cost_us = 0;          // the model's estimate
  const MetalChip* chip = nullptr;
  const char* reason = "";
  InlineVec<MetalRejected, 16> rejected;
};

MetalPlan plan_metal_conv(const ConvProblem& problem, const MetalFacts& facts);

/// The tile and parts for so many products of m x k with k x n.
MetalPlan plan_metal_matmul(int64_t m, int64_t n, int64_t k, int64_t count, Dtype dtype, const MetalFacts& facts);

const char* name_of(MetalAlgorithm a);
/// "64x32x16"
std::string tile_name(const MetalTile& tile);
/// "igemm_64x32x16", "direct" ...
std::string option_name(MetalAlgorithm a, const MetalTile& tile);
/// The text behind nhwc.explain of what the GPU computes.
std::string describe(const MetalPlan& plan);

}  // namespace nhwc
