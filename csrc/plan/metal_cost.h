// csrc/plan/metal_cost.h -- when an Apple GPU's algorithm can compute a convolution, and how long it takes; pure
#pragma once

#include "plan/metal_plan.h"

namespace nhwc::metal_cost {

bool sums_nothing(const ConvProblem& q);
/// Outputs that share their taps, of all phases; of an image.
int64_t phases(const ConvProblem& q);
int64_t pixels_of_phase(const ConvProblem& q);  // of the largest
int64_t taps_of_phase(const ConvProblem& q);    // the most
/// Whether a weight gradient has taps that meet no input anywhere, so that no phase computes them.
bool has_unmet_taps(const ConvProblem& q);
/// So many that a launch counts its outputs in 31 bits.
int64_t images_per_launch(const ConvProblem& q);

/// Of Winograd's tiles: products per 4x4 outputs.
inline constexpr int64_t kWinogradPoints = 36;

/// Why the algorithm cannot compute the problem with the tile (static text), or nullptr.
using Refuses = const char*(const ConvProblem&, const MetalTile&, const MetalFacts&);
Refuses always, only_empty, refuses_igemm, refuses_grouped, refuses_winograd, refuses_weight_grad;

/// Completes an option: vector, splits, memory, cost.
using Prices = void(MetalPlan&, const MetalFacts&);
Prices nothing, price_igemm, price_grouped, price_winograd, price_direct, price_weight_grad, price_direct_weight_grad,
    price_matmul;

}  // namespace nhwc::metal_cost
