// csrc/plan/conv_amx.h -- implicit GEMM on the processor's matrix unit (AMX): its steps, and what it copies; pure
// The unit multiplies up to 16 pixels by up to 32 of their values with as many values of 16 outputs, pairs of bfloat16,
// and sums in float32. A float32 number goes in as three bfloat16 numbers whose sum it is; of the nine products of two
// such numbers the six that float32 would keep are computed (as by oneMKL's float_to_bf16x3).
#pragma once

#include <cstdint>

#include "base/scratch_vec.h"
#include "plan/conv_axis.h"
#include "plan/conv_problem.h"

namespace nhwc {

#if defined(__x86_64__) && !defined(NHWC_NO_AVX512) && !defined(NHWC_NO_AVX512BF16) && !defined(NHWC_NO_AMX)
#define NHWC_AMX  // this build has its kernels
#endif

inline constexpr int kAmxPixels = 16;   // of a tile
inline constexpr int kAmxValues = 32;   // of a step, at most
inline constexpr int kAmxTiles = 4;     // of sums
inline constexpr int kAmxOutputs = 16;  // of a tile

/// What all phases and blocks of a plan have in common.
struct AmxCut {
  bool merged = false;      // a kernel row is one run of values (few channels)
  int parts = 1;            // bfloat16 numbers for each value
  int64_t run = 0;          // values of a tap, or of a kernel row
  int64_t steps = 0;        // of a run
  int64_t depth = 0;        // values of a step; even
  int64_t block_bytes = 0;  // of copied pixels, which stay in L2
  int64_t values() const { return steps * depth; }
  /// Products of a pair of values.
  int products() const { return parts == 1 ? 1 : 6; }
};
/// bfloat16: of pixels of one part.
AmxCut amx_cut(const ConvProblem& q, bool bfloat16, size_t l2);
/// The problem as its products see it: small groups share a step.
inline ConvProblem amx_units(const ConvProblem& q) { return merge_groups(q, kAmxValues); }

/// An axis of a phase. Where the outputs' step is not 1, pixels are copied plane by plane: those of one remainder.
struct AmxAxis {
  AmxAxis(const AxisPhase& phase, int64_t step, bool merged, int64_t kernel);
  /// Pixels of a plane for n outputs.
  int64_t pixels(int64_t n) const { return n + span; }
  struct Tap {
    int64_t k, plane, at;  // at: of the first pixel of its plane
  };
  ScratchVec<Tap, 8> taps;
  ScratchVec<int64_t, 4> planes;  // remainder of each
  int64_t step, low, span;        // low: the pixel of output 0 and the least tap, in steps
};

/// A phase of units: what is copied of its pixels, and how many outputs along an axis make a block whose pixels stay in
/// L2, if a least number of them does.
struct AmxGeometry {
  AmxGeometry(const ConvProblem& units, const AmxCut& cut, const AxisPhase (&phase)[3], const int64_t (&step)[3]);
  /// Elements of all planes of one part.
  int64_t part_elems(int64_t depths, int64_t rows, int64_t columns) const;
  int64_t rows_at_once() const { return along == 1 ? at_once : 1; }
  int64_t columns_at_once() const { return along == 2 ? at_once : count[2]; }
  /// The copied pixels of a block of one slice, of all parts.
  int64_t bytes() const { return 2 * parts * part_elems(1, rows_at_once(), columns_at_once()); }

  AmxAxis axis[3];
  int64_t count[3];     // outputs
  int64_t parts, taps;  // taps: or kernel rows
  int64_t together;     // groups that are copied at a time
  int64_t pixel;        // elements from the copied pixel of an output to that of the next
  bool in_place;        // single pixels whose values fill their steps, if they lie evenly in memory
  int along;            // the axis that is cut: of rows, or of columns where there is one row
  int64_t least, at_once;
};

/// The outputs of a block, tile by tile: across the ends of rows where that takes fewer, else row by row.
struct AmxTiling {
  AmxTiling(int64_t rows, int64_t columns, int64_t pitch);
  int64_t tiles() const { return across ? per_row : rows * per_row; }
  /// The position of the first pixel of a tile; a last tile overlaps the one before.
  int64_t at(int64_t tile) const;
  /// Pixels of a tile that the one before has too.
  int64_t overlap(int64_t tile) const { return tile % per_row == 0 ? 0 : at(tile - 1) + pixels - at(tile); }
  double cycles() const;  // of one product of all tiles
  bool across;
  int pixels;                             // of a tile
  int64_t rows, columns, pitch, per_row;  // per_row: tiles of a row, or across of all
};

struct CpuPlan;
void cut_amx(CpuPlan& plan, size_t l2);

}  // namespace nhwc
