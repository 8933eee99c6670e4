// csrc/plan/conv_plan.h -- the planner: ConvProblem + DeviceFacts -> CpuPlan; pure
#pragma once

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>

#include "base/cpu_features.h"
#include "nhwc/shape.h"
#include "plan/conv_amx.h"
#include "plan/conv_blas.h"
#include "plan/conv_col2im.h"
#include "plan/conv_cut.h"
#include "plan/conv_diagonal.h"
#include "plan/conv_dot.h"
#include "plan/conv_planar.h"
#include "plan/conv_problem.h"
#include "plan/conv_slabs.h"
#include "plan/conv_winograd.h"
#include "plan/machine.h"

namespace nhwc {

/// empty: nothing is summed; direct: implicit GEMM; merged: the same with a kernel row as one run (few input channels);
/// dot: few output channels, vectors run along the input channels; depthwise: one channel in, one out per group;
/// grouped: several small groups in one vector; diagonal: the same, with as many outputs as inputs each; winograd4,
/// winograd6: tiles of so many points (conv_winograd.h); fft: products of spectra, block by block (conv_fft.h); col2im:
/// inputs times all taps, gathered (conv_col2im.h); planar: few channels per group, vectors run along the pixels
/// (conv_planar.h); blas: implicit GEMM by the system's matrix product (conv_blas.h); direct_bf16, merged_bf16: direct
/// and merged on pairs of bfloat16 as they lie in memory; amx, amx_bf16: implicit GEMM on the processor's matrix unit
/// (conv_amx.h); winograd_weight_grad: as winograd6.
enum class ConvAlgorithm : uint8_t {
  empty,
  direct,
  merged,
  dot,
  depthwise,
  grouped,
  diagonal,
  winograd4,
  winograd6,
  fft,
  col2im,
  planar,
  blas,
  direct_bf16,
  merged_bf16,
  amx,
  amx_bf16,
  weight_grad,
  depthwise_weight_grad,
  grouped_weight_grad,
  winograd_weight_grad
};

inline bool is_winograd(ConvAlgorithm a) { return a == ConvAlgorithm::winograd4 || a == ConvAlgorithm::winograd6; }

/// A kernel row is one run.
inline bool is_merged(ConvAlgorithm a) { return a == ConvAlgorithm::merged || a == ConvAlgorithm::merged_bf16; }
/// Operands are pairs of bfloat16, not of the compute type.
inline bool is_pairs(ConvAlgorithm a) { return a == ConvAlgorithm::direct_bf16 || a == ConvAlgorithm::merged_bf16; }
inline bool is_amx(ConvAlgorithm a) { return a == ConvAlgorithm::amx || a == ConvAlgorithm::amx_bf16; }
/// bfloat16 is read as it is, and not widened.
inline bool reads_bf16(ConvAlgorithm a) { return is_pairs(a) || a == ConvAlgorithm::amx_bf16; }

/// What was measured to be the fastest for a problem (tuning.h).
struct Tuned {
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  double us = 0;
  friend bool operator==(const Tuned&, const Tuned&) = default;
};

/// What the planner may know of the machine. Never the thread count: results must not depend on it.
struct DeviceFacts {
  Isa isa = Isa::baseline;
  int vector_bytes = 16;
  bool bf16_dot = false;             // dot products of bfloat16 pairs
  bool amx = false;                  // products of bfloat16 tiles
  bool blas = false;                 // the system's matrix product
  const Machine* machine = nullptr;  // a row of machines.inc; nullptr: the generic one of isa
  size_t l1d = 32 << 10, l2 = 1 << 20, l3 = 16 << 20;
  size_t workspace_limit = size_t(64) << 20;
  std::optional<ConvAlgorithm> wanted;  // taken wherever it is possible
  std::optional<Tuned> tuned;           // taken where it is possible and `wanted` is not
  bool batch_invariant = false;         // what an image gives may not depend on the others
  bool calls_kept = false;              // kernels are called again with the tables that the first run has filled
  bool packs_weights = false;           // in every call, which then is part of the cost
  friend bool operator==(const DeviceFacts&, const DeviceFacts&) = default;
};
/// The facts of this machine under current_isa(), get_workspace_limit() and NHWC_CONV_ALGORITHM (ValueError if
/// unknown). What is tuned depends on the problem and is not among them.
DeviceFacts cpu_facts();

/// Why a candidate was not taken.
struct Rejected {
  ConvAlgorithm algorithm;
  const char* why = "";  // static text; "slower" where cost_us or a measurement decided
  double cost_us = 0;
};

/// Plain data: the choice, its tiles, and the reasons.
struct CpuPlan {
  ConvProblem problem;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  Isa isa = Isa::baseline;
  int mr = 0, nr = 0;     // register tile: pixels x output channels (weight gradients: broadcast x vector)
  int lanes = 0;          // elements of the compute type per vector
  int chunk_tiles = 1;    // forward: register tiles that share one pass over the weights
  bool cut = false;       // direct: outputs that meet the same taps are tiled together (conv_cut.h)
  TileCosts tile_costs;   // by which
  bool prefetch = false;  // direct, dot, depthwise, diagonal, planar, Winograd: the pixels of the next tiles are asked
                          // for; of groups of Winograd those of the next group, and its outputs
  bool prefetch_row = false;  // and they are those of the next row of outputs
  bool row_order = false;     // depthwise: rows of outputs one by one, all channels of each
  bool prefetch_y = false;    // direct: the output is far, and asked for before it is written
  bool weights_far = true;    // direct: the weights are asked for; Winograd: by parts, while others are multiplied
  bool stream = false;  // direct, depthwise, Winograd: the output would not stay in L3, and goes to memory at once
  WinogradGeometry winograd;                  // of a Winograd plan
  WinogradCut winograd_cut[2];                // of its tiles: for one thread, for several
  WinogradGradCut winograd_grad;              // of a Winograd weight gradient
  bool terms = false;                         // direct: two are side by side in its vectors (has_terms)
  int dot_form = -1;                          // dot: of kDotForms; -1 for one output
  int dot_segments = 0;                       // dot: several groups at a time
  Col2imCut col2im;                           // of a col2im plan
  DiagonalCut diagonal;                       // of a plan by diagonals
  PlanarCut planar;                           // of a planar plan
  BlasCut blas;                               // of a blas plan
  AmxCut amx;                                 // of a plan on the matrix unit
  SlabCut slabs;                              // half types: what else is here is the plan of a slab
  int64_t block[2] = {0, 0};                  // fft: points of the transforms along rows and columns
  int64_t block_pairs = 0;                    // fft: pairs of blocks that share one pass over the weights
  size_t workspace_bytes = 0;                 // scratch per thread
  size_t workspace_limit = size_t(64) << 20;  // of all threads
  size_t pack_bytes = size_t(32) << 20;       // weights that are packed per call go by blocks of so many bytes
  double cost_us = 0;                         // the model's estimate on one core of `machine`
  const Machine* machine = nullptr;
  const char* reason = "";
  ConvAlgorithm preferred = ConvAlgorithm::direct;  // the cheapest by the model
  double measured_us = 0;                           // of a tuned plan
  InlineVec<Rejected, 16> rejected;                 // in place: planning a tiny convolution allocates nothing
};

CpuPlan plan_conv(const ConvProblem& problem, const DeviceFacts& facts);

/// Whether two terms of a sum lie side by side in the vectors of a direct plan, of so many lanes: where outputs would
/// leave a quarter or more of two vectors of AVX-512 empty (conv_terms.inl).
bool has_terms(const ConvProblem& q, int lanes);
inline bool has_terms(const CpuPlan& p) { return p.algorithm == ConvAlgorithm::direct && p.terms; }
/// Groups of a panel, where it has several.
inline int64_t panel_groups(const CpuPlan& p) { return p.algorithm == ConvAlgorithm::diagonal ? p.diagonal.groups : 1; }

inline int dot_segments(const CpuPlan& p) { return p.algorithm == ConvAlgorithm::dot ? p.dot_segments : 0; }
inline DotForm dot_form(const CpuPlan& p) { return p.dot_form < 0 ? DotForm{1, 1} : kDotForms[p.dot_form]; }

/// Rows that are multiples of this apart fall into one set of an L1 cache of 64 sets and lines of 64 bytes.
inline constexpr int64_t kAliasBytes = 4096;
/// The rows a tile of mr may read at a time, so that they and the weights fit the ways of their set. 14 rows of 1024
/// floats, read one element after another, take twice the time of 10.
int rows_without_aliasing(int mr, int64_t bytes_apart, size_t l1d);

/// merged: pixels that a copy of an input row holds for an output, at most; of those between kernels that lie far apart
/// none is copied.
inline int64_t copied_pixels(const ConvProblem& q) {
  return std::max(q.kernel[2], std::min(q.stride[2], 4 * q.kernel[2]));
}
/// merged: the rows of the input, with the padding at their ends, that are copied for a chunk of `tiles`
/// register tiles. None where no output reads padding, tiles do not lie along rows, or it takes longer.
struct PaddedRowsShape {
  int64_t rows = 0, pixels = 0;
};
PaddedRowsShape padded_rows(const CpuPlan& plan, int tiles);
/// Upper bound of the tables and patches that `tiles` register tiles of a forward plan need.
size_t tile_scratch_bytes(const CpuPlan& plan, int tiles);

/// Scratch of a task of a col2im plan, and of a planar one.
size_t col2im_scratch_bytes(const CpuPlan& plan);
size_t planar_scratch_bytes(const CpuPlan& plan);

/// Whether a depthwise plan runs on the kernels of conv_depthwise.inc; others read every product through a pointer.
inline bool depthwise_rows(const ConvProblem& q) {
  const bool dilated = q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] > 1;
  return q.dtype == Dtype::float32 || (q.dtype != Dtype::float64 && !dilated);
}
/// Of those, where outputs of a row share no run of columns that a row kernel holds (conv_depthwise.inc), and pixels
/// are so large that few fit L1 side by side: they are computed one by one, which reads memory in the order in which it
/// lies. Of 192 channels and less rows are as fast or faster, of 256 pixels are 1.2 to 2.3 times as fast.
inline bool depthwise_pixels(const ConvProblem& q) {
  const int64_t stride = q.kernel[2] == 1 ? q.stride[2] : q.stride[2] / std::gcd(q.stride[2], q.dilation[2]);
  return depthwise_rows(q) && q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] == 1 && q.groups >= 256 &&
         (stride > 2 || (stride == 2 && q.kernel[2] < 3));
}

/// "direct", "depthwise" ...
const char* name(ConvAlgorithm a);
/// The algorithm of that name; nothing for another text.
std::optional<ConvAlgorithm> algorithm_named(std::string_view text);
/// The problem in one line.
std::string describe(const ConvProblem& q);
/// The text behind nhwc.explain: problem, choice, tiles, workspace, estimate, why the others lost.
std::string describe(const CpuPlan& plan);

}  // namespace nhwc
