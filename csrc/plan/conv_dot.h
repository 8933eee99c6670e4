// csrc/plan/conv_dot.h -- how the vectors of a dot plan hold the channels of few outputs; pure
// Between direct tiles, whose vectors are one channel of all outputs, and vectors that are all channels of one output:
// a vector is cut into segments, one for each of some outputs, and holds as many channels of each. Where sums are long
// whole vectors take fewer loads; where they are short segments waste fewer lanes and leave less to sum at the end.
#pragma once

#include <bit>

#include "plan/conv_problem.h"
#include "plan/conv_tiles.h"

namespace nhwc {

/// A pixel has `vectors` accumulators of `segments` outputs each.
struct DotForm {
  int vectors, segments;
  constexpr int outputs() const { return vectors * segments; }
};
inline constexpr DotForm kDotForms[] = {{2, 1}, {3, 1}, {4, 1}, {1, 2}, {1, 4}, {1, 8}, {2, 2}, {2, 4}};
inline constexpr int kDotFormCount = sizeof(kDotForms) / sizeof(kDotForms[0]);

/// The form whose vectors are each an output.
constexpr int dot_form_of_rows(int outputs) { return outputs - 2; }
/// Whether vectors of so many lanes can be cut so.
constexpr bool has_dot_form(DotForm f, int lanes) { return lanes >= 2 * f.segments; }
/// Pixels of a tile: enough accumulators to hide the latency of a sum.
constexpr int dot_form_pixels(DotForm f, const ConvTile& t) {
  return f.segments == 1 ? dot_pixels(t, f.vectors) : t.isa == Isa::avx512 ? 8 : 4;
}
/// Of those, the pixels that tiles of evenly spaced ones have at least.
constexpr int least_even_pixels(int pixels) { return (pixels * 3 + 3) / 4; }
/// Channels of a segment; weights of a tap.
constexpr int64_t dot_channels(DotForm f, int lanes) { return lanes / f.segments; }
constexpr int64_t dot_tap_elems(DotForm f, int64_t c, int lanes) {
  const int64_t n = dot_channels(f, lanes);
  return (c + n - 1) / n * n * f.outputs();
}

/// Several groups at a time: a vector holds the channels of so many neighbouring groups, a segment each, or is as many
/// as it takes of one group. Two of them, for half as many pixels as a vector has lanes, leave a sum a lane. 0: the
/// groups do not lie so.
int dot_segments(const ConvProblem& q, int lanes);
inline constexpr int kDotSegments = 4;  // at most
constexpr bool has_dot_segments(int segments, int lanes) { return lanes >= 8 && lanes >= 4 * segments; }
constexpr int dot_segments_pixels(int lanes) { return lanes / 2; }
/// Weights of a tap of two vectors.
constexpr int64_t dot_segments_tap_elems(int64_t c, int lanes) { return (c + lanes - 1) / lanes * 2 * lanes; }

/// The best form for several outputs by what its products and its end take; -1: none fits, or one output.
struct DotChoice {
  int form = -1;
  int segments = 0;             // in place of a form: of several groups
  int panels = 0, outputs = 0;  // of a group, and of a panel but the last
  double tap = 0, tile = 0;     // cycles of a group: a tap of a pixel, and a tile
};
DotChoice choose_dot(const ConvProblem& q, const ConvTile& tile, int lanes, double taps, double product);

}  // namespace nhwc
