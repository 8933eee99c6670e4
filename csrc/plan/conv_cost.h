// csrc/plan/conv_cost.h -- when an algorithm can compute a convolution, and how many cycles it takes; pure
#pragma once

#include "plan/conv_dot.h"
#include "plan/conv_fft.h"
#include "plan/conv_plan.h"
#include "plan/conv_problem.h"
#include "plan/conv_tiles.h"

namespace nhwc {

/// What every candidate looks at, computed once.
struct Sizes {
  ConvTile tile;
  int vectors, rows;  // of a direct or merged tile, but of pairs
  int lanes;
  double outputs, taps, reads;  // output positions with the batch; taps; reads: outputs x taps that meet an input
  double summed;                // output positions of phases that have taps
  int64_t kernel;               // taps, exact
  size_t l1d, l2, l3, workspace;
  const Machine* machine;
  double product;       // cycles of two multiply-adds of a vector: what the constants of the costs count as one
  double pair_product;  // the same of dot products of bfloat16 pairs
  bool bf16_dot;
  bool amx;
  bool calls_kept;
  bool blas;  // there is a product by a matrix unit, or it is wanted without
  FftBlocks fft;
  DotChoice dot;  // for several outputs
};
Sizes sizes_of(const ConvProblem& q, const DeviceFacts& f);

/// What the rows of the planner's table of candidates point at.
namespace cost {

/// Why the algorithm cannot compute the problem (static text), or nullptr.
using Refuses = const char*(const ConvProblem&, const Sizes&);
Refuses always, only_empty, can_merge, can_direct_bf16, can_merged_bf16, can_dot, can_depthwise, can_group,
    can_diagonal, can_fft, can_col2im, can_planar, can_blas, can_winograd4, can_winograd6, can_winograd_grad, can_amx,
    can_amx_bf16;

/// What it takes on one core.
using Cycles = double(const ConvProblem&, const Sizes&);
Cycles direct_cycles, merged_cycles, direct_bf16_cycles, merged_bf16_cycles, dot_cycles, depthwise_grad_cycles,
    depthwise_cycles, grouped_cycles, diagonal_cycles, fft_cycles, col2im_cycles, planar_cycles, blas_cycles,
    grad_cycles, nothing, winograd4_cycles, winograd6_cycles, winograd_grad_cycles, amx_cycles, amx_bf16_cycles;

bool sums_nothing(const ConvProblem& q);
inline constexpr double kOneVector = 0.62;
/// Panels of two vectors of outputs; one of one vector waits for its loads: 0.58 to 0.66 of the time of two (3x3, 7x7
/// and 1x1 on 16 to 320 channels), 0.75 on pairs.
double panels(const ConvProblem& q, const Sizes& s, double one_vector = kOneVector);
/// Reading what was read one pass ago: from the level that holds it beside what else passes through; never L1.
double stream_cycles(double bytes, const Sizes& s);
/// What is seen of the time that weights take beside the products: half of it where they are fetched from beyond L2.
/// The estimates of direct and Winograd convolutions of 256 and 512 channels are within 15 % of the times then, batch 1
/// to 16, 7x7 to 33x33.
double exposed_cycles(double bytes, const Sizes& s);

/// Whether every tile is even though its outputs may lie in several rows.
bool one_row(const ConvProblem& q, const Sizes& s);

/// Pixels of a direct tile.
inline int direct_rows(const ConvProblem& q, const Sizes& s) {
  return has_terms(q, s.lanes) ? std::min(s.rows, kTermsRows) : s.rows;
}
/// Pixels of a dot tile.
inline int dot_rows(const Sizes& s) {
  if (s.dot.segments > 0) return dot_segments_pixels(s.lanes);
  return s.dot.form < 0 ? dot_pixels(s.tile, 1) : dot_form_pixels(kDotForms[s.dot.form], s.tile);
}
/// Groups go through the input one by one: where L3 does not hold it and the output, whose lines are read before they
/// are written, most of the memory's time is seen beside the products. Within 15 % on 8 groups of 8 and 16 channels,
/// 3x3, batch 2 of 110x110.
double far_cycles(const ConvProblem& q, const Sizes& s);
/// Whether a dot plan of half types widens its pixels as it multiplies them: by vectors that are each an output.
bool dots_in_place(const ConvProblem& q, const Sizes& s);
/// Of half types, what their conversion takes, slab by slab (conv_slabs.h); nothing where they are read in place.
double conversion_cycles(const ConvProblem& q, const Sizes& s, ConvAlgorithm algorithm);
/// What it takes to pack the weights, where that is done in every call.
double packing_cycles(const ConvProblem& q, const Sizes& s, ConvAlgorithm algorithm);
/// Of a direct plan with tiles of `mr` outputs.
TileCosts tile_costs(const ConvProblem& q, const Sizes& s, int mr, bool pairs);
/// The share of tiles that need a pointer for each pixel: those that meet a border or the end of a row.
double table_share(const ConvProblem& q, const Sizes& s, bool pairs);

}  // namespace cost
}  // namespace nhwc
