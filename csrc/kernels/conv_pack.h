// csrc/kernels/conv_pack.h -- the layouts of packed weights
#pragma once

#include <cstdint>

#include "plan/conv_plan.h"

namespace nhwc {

/// direct, merged: per group, panels of nr output channels, [panel][tap][c][width], width = nr, of a last panel as
/// many vectors as it needs; planar: panels as wide as their outputs. dot: the same as [panel][tap][c / segment,
/// rounded up][outputs of the form][segment]; of several outputs the last segment overlaps the one before, as pairs
/// below do; where dot_segments one panel, [pair of vectors][tap][c / lanes, rounded up][2][lanes], the last pair of
/// which overlaps the one before. Where has_terms: [tap][c / 2, rounded up][24 outputs][2 terms], with half of
/// the weights of an odd last channel twice. diagonal: per vector of groups [tap][diagonal][lanes] (conv_diagonal.h).
/// depthwise: [tap][groups rounded up to a vector]. grouped: per vector of output channels a block of one vector of
/// header (first input channel, lanes spanned), [c][lanes] lane indices, [tap][c][lanes] weights. direct_bf16,
/// merged_bf16: the panels of direct as [panel][tap, or row of taps][pair][width][2]. The last pair of an odd number of
/// values overlaps the one before; both hold half the weight of the value that they share. amx, amx_bf16: [panel][tap,
/// or row of taps][step][part, the least first][half][depth / 2][16][2], a panel of two halves or one, of units
/// (conv_amx.h). Taps are in the problem's order, so flip and swapped are gone. Elements are of the compute type, of
/// pairs, amx and amx_bf16 bfloat16.
struct PackedLayout {
  explicit PackedLayout(const CpuPlan& plan);
  int64_t panels() const { return q_groups * per_group; }
  int64_t width(int64_t panel) const { return panel % per_group + 1 < per_group ? nr : last; }
  int64_t offset(int64_t panel) const { return panel / per_group * group_elems + panel % per_group * full_elems; }
  int64_t elems() const { return q_groups * group_elems; }

  int64_t q_groups = 1;   // groups that are packed on their own
  int64_t per_group = 1;  // panels in each
  int64_t nr, last;       // widths of a panel and of the last
  int64_t full_elems;     // elements of a full panel
  int64_t group_elems;    // elements of a group
};

/// Where has_terms: elements of a tap of a panel.
int64_t terms_tap_elems(const CpuPlan& plan);

/// What is packed, as its panels see it.
inline ConvProblem packed_problem(const CpuPlan& plan) {
  return plan.algorithm == ConvAlgorithm::col2im ? col2im_units(plan.problem) : plan.problem;
}
inline int64_t taps_of(const ConvProblem& q) { return q.kernel[0] * q.kernel[1] * q.kernel[2]; }

size_t packed_element_bytes(const CpuPlan& plan);

/// The weights of a half type in float32, in so many bytes at `to`; others where they are.
size_t widened_weight_bytes(const CpuPlan& plan);
const void* widen_weights(const CpuPlan& plan, const void* w, float* to);

/// Packs panels [begin, end) to `packed`, where the first of them comes first.
template <class S>
void pack_panels(const CpuPlan& plan, const S* w, int64_t begin, int64_t end, void* packed);

}  // namespace nhwc
