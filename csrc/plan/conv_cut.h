// csrc/plan/conv_cut.h -- how the outputs of a direct convolution are cut into register tiles, and into boxes whose
// outputs all meet the same taps, so that no tile multiplies padding; pure
#pragma once

#include <algorithm>

#include "plan/conv_axis.h"

namespace nhwc {

/// How the outputs of a box are cut into register tiles: along rows where those fill a tile well, else across them;
/// evenly, so that no tile is small.
struct TileSplit {
  TileSplit(int64_t row, int64_t outputs, int mr) : line(row) {
    if (outputs == 0) return;
    per_line = (line + mr - 1) / mr;
    along_rows = 2 * line > mr * per_line;  // tiles of more than half the size take little more an output
    if (along_rows) {
      tiles = outputs / line * per_line;
    } else {
      line = outputs;
      tiles = per_line = (line + mr - 1) / mr;
    }
    size = line / per_line;
    larger = line % per_line;
  }
  /// Tiles in their order, without a division for each.
  struct Cursor {
    int64_t pixel, in_line;  // the first output of the tile, and its number in its line
  };
  Cursor at(int64_t tile) const {
    const int64_t i = tile % per_line;
    return {tile / per_line * line + size * i + std::min(i, larger), i};
  }
  /// The outputs of the tile; moves on to the next.
  int step(Cursor& c) const {
    const int64_t n = size + (c.in_line < larger);
    c.pixel += n;
    if (++c.in_line == per_line) c.in_line = 0;
    return static_cast<int>(n);
  }
  /// How many tiles like the one of `mr` before the cursor, or of any size, itself included, follow in its row, which
  /// has `room`.
  int same_size(const Cursor& c, int64_t most, int64_t room, int mr, bool any) const {
    if (c.in_line == 0) return 1;
    const int64_t alike = 1 + (mr > size && !any ? larger : per_line) - c.in_line;
    return static_cast<int>(std::max<int64_t>(1, std::min({most, alike, (room + (any ? mr - 1 : 0)) / mr})));
  }
  /// The tile of a line that holds its i-th output.
  int64_t holder(int64_t i) const {
    const int64_t in_larger = larger * (size + 1);
    return i < in_larger ? i / (size + 1) : larger + (i - in_larger) / size;
  }
  bool along_rows = false;
  int64_t line, per_line = 1, tiles = 0, size = 0, larger = 0;
};

/// Outputs of one phase of every axis, or of a part of it.
struct ConvBox {
  AxisPhase axis[3];
};

/// What the tiles of a convolution take; a plan keeps it for the cuts that it was priced with.
struct TileCosts {
  double tap = 0;        // cycles: a tap of one output, with a panel of two vectors
  double table_tap = 0;  // a tap of a tile, per panel: its pointers in registers, or in a table
  double even_tap = 0;
  double tile = 0;        // a tile, per panel
  double output = 0;      // an output, once
  double table_read = 0;  // a tap of an output of a tile with a table, once
  double panels = 0;      // of all groups
  double box = 0;         // outputs that are tiled together: what a call takes to find them
  double least = 1;       // outputs of a tile that take as long as those of a smaller one
  double loads = 0;       // outputs whose products take as long as the loads of a panel's weights beside them
  int mr = 1;
  bool even = false;  // there are kernels for outputs that lie evenly apart
};

/// Cycles and register tiles of some outputs; taps: that an output meets or its tile multiplies, of all outputs.
struct BoxWork {
  double cycles = 0, tiles = 0, taps = 0;
  BoxWork& operator+=(const BoxWork& o) {
    cycles += o.cycles;
    tiles += o.tiles;
    taps += o.taps;
    return *this;
  }
};

/// The taps of an axis that a tile meets, on average over the places it can begin at; a tile touches `span` positions
/// besides its first.
double mean_taps(const ConvProblem& q, const AxisPhase& ph, int a, int64_t step, double span);

/// What a box takes in one piece, which leaves out a tap only where a whole tile lies in the padding.
BoxWork work_of(const ConvProblem& q, const TileCosts& costs, const ConvBox& box, const int64_t (&step)[3]);

using ConvBoxes = ScratchVec<ConvBox, 9>;
/// The boxes that a phase is cut into where that is cheaper, else the phase itself; what they take together.
BoxWork cut_phase(const ConvProblem& q, const TileCosts& costs, const ConvBox& phase, const int64_t (&step)[3],
                  ConvBoxes& boxes);

/// All phases of a convolution that have taps, cut.
struct ConvCut {
  BoxWork work;
  double outputs = 0;
  int64_t boxes = 0, phases = 0;
};
ConvCut cut_conv(const ConvProblem& q, const TileCosts& costs);

}  // namespace nhwc
