// csrc/plan/conv_fft.h -- a convolution by overlap-save blocks: their sizes, and what they cost
// A block of outputs along the rows and columns is the part of a circular correlation that does not wrap around:
// transform + kernel - 1 inputs. Two blocks are the real and the imaginary part of one complex transform: the kernel is
// real, so both are multiplied by the same spectrum and nothing has to be untangled.
#pragma once

#include "base/cpu_features.h"
#include "plan/conv_problem.h"

namespace nhwc {

inline constexpr int64_t kMinFft = 16, kMaxFft = 65536;

/// The choice of the planner.
struct FftBlocks {
  const char* refused = nullptr;
  int64_t n[2] = {1, 1};  // points of the transforms along rows and columns; 1: not transformed, the kernel is 1 there
  int64_t pairs = 0;      // pairs of blocks that go through the matrix product together
  double cycles = 0;
  double packing = 0;  // cycles of the transforms of the kernels
  /// Those are kept with the weights, but large; a part of them counts, as if weights were used so many times.
  static constexpr double kUses = 8;
  double cost() const { return cycles + packing / kUses; }
};
/// What it may know of the machine: vectors and rows of the direct tile; cycles of two multiply-adds of a vector; bytes
/// per cycle from L3 and from memory; sizes in bytes.
struct FftMachine {
  int lanes = 16, mr = 14;
  double product = 1, far = 25, dram = 9;
  size_t l3 = size_t(32) << 20, workspace = size_t(64) << 20;
};
FftBlocks plan_fft(const ConvProblem& q, const FftMachine& m);

/// Blocks over the outputs, counted (batch, depth, row, column), column fastest.
struct FftGrid {
  FftGrid(const ConvProblem& q, const int64_t (&n)[2]);
  int64_t step[2];    // outputs of a block
  int64_t blocks[2];  // along an axis
  int64_t total, pairs;
  int64_t points;  // of one block
  int64_t half;    // of its frequencies, one of every (f, -f)
};

/// No sum over channels: a frequency of a channel is multiplied by one number.
inline bool fft_pointwise(const ConvProblem& q) { return q.c == 1 && q.o == 1; }

/// Where the channels of a pair of blocks lie in vectors: several pairs in one, or several vectors for one.
struct FftColumns {
  FftColumns(int64_t n, int per_vector_lanes)
      : channels(n),
        lanes(per_vector_lanes),
        pairs_per_vector(n < lanes ? lanes / n : 1),
        vectors_per_pair((n + lanes - 1) / lanes) {}
  int64_t vectors(int64_t pairs) const {
    return pairs_per_vector > 1 ? (pairs + pairs_per_vector - 1) / pairs_per_vector : pairs * vectors_per_pair;
  }
  /// Of the first channel of a pair, in elements.
  int64_t offset(int64_t pair) const {
    return pair / pairs_per_vector * vectors_per_pair * lanes + pair % pairs_per_vector * channels;
  }
  int64_t channels, lanes, pairs_per_vector, vectors_per_pair;
};

}  // namespace nhwc
