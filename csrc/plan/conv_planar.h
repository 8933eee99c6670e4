// csrc/plan/conv_planar.h -- few channels per group: vectors run along the pixels; pure
// A block of the input is transposed into planes, one per channel, where the outputs of a row, and the rows themselves,
// follow one another: each tap is then one offset for all outputs of the block. A stride takes every so many-th pixel,
// so each place that a tap can have within it (its residue) has planes of its own.
#pragma once

#include "plan/conv_axis.h"
#include "plan/conv_problem.h"
#include "plan/conv_tiles.h"

namespace nhwc {

inline constexpr int kPlanarOutputs = 8;  // of a tile, at most
inline constexpr int kPlanarSlack = 8;    // vectors that a tile may read and write behind the last one

/// Vectors of pixels of a tile with so many outputs: of a whole one, and of the smallest that hides the latency of a
/// sum. Sums, the pixels of a term and a weight fill the registers.
constexpr int planar_vectors(Isa isa, int outputs) {
  constexpr int most = 8;
  const int n = (vector_registers(isa) == 32 ? 24 : 12) / outputs;
  return n < 1 ? 1 : n < most ? n : most;
}
constexpr int planar_small_vectors(Isa isa, int outputs) {
  const int n = (7 + outputs) / outputs;
  return n < planar_vectors(isa, outputs) ? n : planar_vectors(isa, outputs);
}
/// Outputs of a group that are summed together: a vector at most, as pixels are written a vector of channels at a time.
int planar_outputs(int64_t o, int lanes);

/// A product of all outputs of a tile: where its pixels begin in the planes, and its weights.
struct PlanarTerm {
  int32_t x, w;
};

/// Whether all channels share a plane.
inline bool is_interleaved(const ConvProblem& q) { return q.c == 1 && q.o == 1 && q.groups > 1; }

/// How the taps of one phase of an axis lie in planes: output j reads, of the plane of the tap's residue, number
/// j + first + shift; input position step * number + residue.
struct PlanarAxis {
  PlanarAxis(const AxisPhase& phase, int64_t step);
  struct Tap {
    int64_t residue, shift;  // index of the residue, shift from the first
  };
  InlineVec<Tap, 8> taps;
  InlineVec<int64_t, 4> residues;
  int64_t first = 0, extent = 0;  // extent: the largest shift
};

/// The sizes of a task: rows and columns of outputs of one phase, groups.
struct PlanarCut {
  int64_t rows = 0, columns = 0, groups = 0;
  int64_t period = 0, weight_step = 0;  // interleaved: vectors after which weights repeat; values of a tap, so many
                                        // that a tile may begin anywhere in a period
  bool flat = false;                    // rows follow one another in vectors, the pixels between them are summed too
  size_t plane_bytes = 0;               // of a task's planes, at most
  size_t sum_bytes = 0;                 // of a vector's outputs
};
PlanarCut planar_cut(const ConvProblem& q, Isa isa, int lanes, size_t l1d, size_t l2);

/// A plane of so many pixels takes so many values, with `slack` vectors that are written behind it: not a multiple of
/// what falls into one set of a cache.
int64_t plane_elems(int64_t pixels, int slack, int lanes);

/// Cycles on AVX-512 where `product` cycles are two multiply-adds.
double planar_work(const ConvProblem& q, const PlanarCut& cut, Isa isa, int lanes, double product);

}  // namespace nhwc
