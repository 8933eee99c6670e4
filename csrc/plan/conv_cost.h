// csrc/plan/conv_cost.h -- when an algorithm can compute a convolution, and how many cycles it takes; pure
#pragma once

#include "plan/conv_fft.h"
#include "plan/conv_plan.h"
#include "plan/conv_problem.h"
#include "plan/conv_tiles.h"

namespace nhwc {

/// What every candidate looks at, computed once.
struct Sizes {
  ConvTile tile;
  int lanes;
  double outputs, taps, reads;  // output positions with the batch; taps; reads: outputs x taps that meet an input
  int64_t kernel;               // taps, exact
  size_t l1d, l2, l3, workspace;
  const Machine* machine;
  double product;       // cycles of two multiply-adds of a vector: what the constants of the costs count as one
  double pair_product;  // the same of dot products of bfloat16 pairs
  bool bf16_dot;
  FftBlocks fft;
};
Sizes sizes_of(const ConvProblem& q, const DeviceFacts& f);

/// What the rows of the planner's table of candidates point at.
namespace cost {

/// Why the algorithm cannot compute the problem (static text), or nullptr.
using Refuses = const char*(const ConvProblem&, const Sizes&);
Refuses always, only_empty, can_merge, can_direct_bf16, can_merged_bf16, can_dot, can_depthwise, can_group, can_fft,
    can_col2im, can_planar, can_winograd4, can_winograd6, can_winograd_grad;

/// What it takes on one core.
using Cycles = double(const ConvProblem&, const Sizes&);
Cycles direct_cycles, merged_cycles, direct_bf16_cycles, merged_bf16_cycles, dot_cycles, depthwise_grad_cycles,
    depthwise_cycles, grouped_cycles, fft_cycles, col2im_cycles, planar_cycles, grad_cycles, nothing, winograd4_cycles,
    winograd6_cycles, winograd_grad_cycles;

/// Of a direct plan with tiles of `mr` outputs.
TileCosts tile_costs(const ConvProblem& q, const Sizes& s, int mr, bool pairs);

}  // namespace cost
}  // namespace nhwc
