// csrc/plan/conv_winograd.h -- which axes a Winograd convolution transforms, and how its outputs are cut into tiles;
// pure F(m, k) of Lavin and Gray (arXiv:1509.09308): m outputs of a k-tap filter from P = m + k - 1 inputs with P
// products, where the definition takes m * k. Along two axes it is applied twice. What the transform leaves out is
// summed in the transformed domain: taps along one more axis (the depth of a 3-D convolution), and the parts of a
// filter: with a stride s every s-th tap, which meets one residue of the inputs in a convolution of stride 1; of a long
// filter runs of k taps.
#pragma once

#include "plan/conv_problem.h"

namespace nhwc {

/// Outputs r + period * j of one residue r are a convolution of their own, `per_residue` tiles of m outputs each. With
/// kernel dilation its filter is that of all residues; with input dilation every residue has its own taps, a phase.
/// Of a filter in parts each meets inputs of its own, and the results are added.
struct WinogradAxis {
  bool transformed = false;
  int64_t period = 1, step = 1;           // outputs between two of a residue; inputs between two of a tile
  int64_t residues = 1, per_residue = 1;  // an axis that is not transformed: one residue, a tile per output
  int64_t phases = 1;
  int64_t parts = 1;      // of the filter
  int64_t part_taps = 1;  // taps from one part to the next: one with a stride, else all of a part
  int64_t apart = 1;      // inputs from one part to the next
  int64_t tiles() const { return residues * per_residue; }  // in each phase
};

inline constexpr int64_t kMaxSummedTaps = 16;  // more are long sums for a transform's error, and large buffers

struct WinogradGeometry {
  int points = 0, taps = 0;  // P and k of each transformed axis
  int axes = 0;              // transformed axes: 1 or 2
  int slide = -1;            // the other axis with a kernel, whose taps are summed
  WinogradAxis axis[3];

  int outputs() const { return points - taps + 1; }
  int frequencies() const { return axes == 2 ? points * points : points; }
  int64_t phases() const { return axis[0].phases * axis[1].phases * axis[2].phases; }
  /// Tiles of the whole batch in one phase; the slide axis is not cut.
  int64_t tiles(const ConvProblem& q) const;
  int64_t slide_taps(const ConvProblem& q) const { return slide < 0 ? 1 : q.kernel[slide]; }
  int64_t filter_parts() const { return axis[0].parts * axis[1].parts * axis[2].parts; }
  /// Transformed filters of a phase: [slide tap][part of the filter].
  int64_t summed_taps(const ConvProblem& q) const { return slide_taps(q) * filter_parts(); }
  int64_t taps_along(int a) const { return axis[a].transformed ? taps : 1; }
  /// The residue of an axis in a phase.
  int64_t phase_along(int a, int64_t phase) const {
    for (int x = 2; x > a; --x) phase /= axis[x].phases;
    return phase % axis[a].phases;
  }
  int64_t part_along(int a, int64_t part) const {
    for (int x = 2; x > a; --x) part /= axis[x].parts;
    return part % axis[a].parts;
  }
  /// The tap of the filter that is tap t of a part.
  int64_t tap_along(int a, int64_t part, int64_t t) const {
    return part_along(a, part) * axis[a].part_taps + t * (axis[a].part_taps == 1 ? axis[a].parts : 1);
  }
};

/// Whether a part of the filter counts at a frequency: the last point holds the last tap alone, which a part may not
/// have.
bool meets(const ConvProblem& q, const WinogradGeometry& g, int frequency, int64_t part);

/// Whether one vector holds the channels of all inputs that lie side by side and meet parts of the filter; so do all
/// pixels of a row of a tile.
inline bool in_one_vector(const ConvProblem& q, const WinogradGeometry& g, int lanes) {
  for (const WinogradAxis& axis : g.axis)
    if (axis.parts > 1 && axis.apart > 1) return false;
  const WinogradAxis& row = g.axis[2];
  return row.transformed && row.step == row.parts && q.groups == 1 && g.filter_parts() * q.c <= lanes;
}

/// The geometry with tiles of `points`, or why there is none.
const char* winograd_geometry(const ConvProblem& q, int points, WinogradGeometry& g);

/// How a weight gradient is divided: into ranges of so many panels of input channels, each into `parts` of the tiles,
/// of which a block is transformed together.
struct WinogradGradCut {
  int64_t panels = 0, parts = 0, block = 0;
};
/// Input channels of a panel: two vectors, or one that holds all.
inline int winograd_grad_width(const ConvProblem& q, int lanes) { return q.c <= lanes ? lanes : 2 * lanes; }
/// For panels of `width` channels, a cache of l3 bytes, and scratch of at most `limit` bytes.
WinogradGradCut winograd_grad_cut(const ConvProblem& q, const WinogradGeometry& g, int width, size_t l3, size_t limit);
/// The sums of a range, and the transforms of a block.
size_t winograd_grad_bytes(const ConvProblem& q, const WinogradGeometry& g, int width, const WinogradGradCut& cut);

/// The problem as its products see it: small groups share a vector.
inline ConvProblem winograd_units(const ConvProblem& q, int lanes) { return merge_groups(q, lanes); }
/// Terms of a sum that a vector holds side by side: two of each of two groups, whose outputs are half a vector. Else
/// half of all products would be with the zeros between their weights.
inline int winograd_terms(const ConvProblem& q, int lanes) {
#if defined(NHWC_MINIMAL)
  return 1;
#endif
  return lanes == 16 && 2 * q.o == lanes && q.c <= q.o && q.c % 2 == 0 && q.groups % 2 == 0 ? 2 : 1;
}

/// How the tiles are divided: into blocks that are transformed together. All weights pass by once for each block, so
/// either a block stays in L2, and panel by panel of the weights goes through all its frequencies; or, where the
/// weights are many, it is as large as L3 allows, and all panels go by frequency after frequency.
struct WinogradCut {
  int64_t blocks = 1;
  bool by_frequency = false;
  bool share_weights = false;  // threads divide the panels, and each transforms all inputs; else they divide the tiles
};
/// For caches of l2 and l3 bytes, the latter shared by several threads or not; q has merged groups.
WinogradCut winograd_cut(const ConvProblem& q, const WinogradGeometry& g, int mr, size_t l2, size_t l3, bool several);
/// The transformed weights of one phase, and the transformed inputs of a tile.
int64_t winograd_weight_bytes(const ConvProblem& q, const WinogradGeometry& g);
int64_t winograd_input_bytes(const ConvProblem& q, const WinogradGeometry& g);

}  // namespace nhwc
