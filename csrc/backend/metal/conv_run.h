// csrc/backend/metal/conv_run.h -- what convolutions and matrix products share: facts, sums in parts, counts of blocks
#pragma once

#include "backend/metal/launch.h"
#include "plan/metal_plan.h"

namespace nhwc::metal {

/// What the planner may know of this GPU now.
MetalFacts facts_now();

/// Scratch for the partial sums of a plan that splits them; null where it does not.
float* scratch_of(const MetalPlan& plan);
/// The index of partial sums, where there are any, and whether.
Launch& bind_sums(Launch& l, float* sums, const MetalPlan& plan);
/// y = the sum of `parts` partial sums, each of y's shape, one after another; zero where there are none.
void sum_parts(const float* sums, int64_t parts, const Node& y);

/// Threadgroups of `size` that `count` takes.
uint32_t blocks(int64_t count, int64_t size);

}  // namespace nhwc::metal
