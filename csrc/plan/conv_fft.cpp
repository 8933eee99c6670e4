// csrc/plan/conv_fft.cpp -- chooses the blocks of a convolution by transforms; pure
#include "plan/conv_fft.h"

#include <algorithm>

#include "base/divide.h"

namespace nhwc {
namespace {

// Errors of a transform hardly grow with the number of terms: 1.3e-7 to 2.6e-7 relative in L2 for data of any kind, in
// blocks of any length, against 1e-7 (31 terms) to 1e-6 (2000) of the direct sum. So it is the more exact one from
// about 100 terms on, and from 31 at most 2.1 times worse; 4.4 times where one term of a sum outweighs all others
// (values normal * exp(5 * normal)), 10 times with 25 terms.
constexpr int64_t kMinTerms = 31;
constexpr int64_t kMinKernel = 5;  // taps along one axis; shorter ones are Winograd's
// Cycles per point of one vector of columns: of a transform, per halving of its length; of copying a block in and out,
// with the search for its largest value; of one complex product. AVX-512, Zen 5; half of the transforms' and the
// products' cycles are multiply-adds.
constexpr double kTransform = 2.4, kCopy = 12, kProduct = 4;
constexpr double kBlockOverhead = 600;  // cycles per block: tables, zeroing, rows that are not full
// Pairs of blocks in one product: 28 rows, two full tiles of AVX-512; fewer where their spectra would fill a quarter of
// the L3 cache (14 pairs of 1024 points and 64 channels are 1.2 to 1.7 times slower than 4 or 7).
constexpr int64_t kMaxPairs = 7, kFewPairs = 4;
constexpr double kMaxSpectra = 2.0;  // times the workspace: more are not worth the memory they would be cached in

double log2_of(int64_t n) {
  double l = 0;
  for (; n > 1; n /= 2) ++l;
  return l;
}

const char* refuses(const ConvProblem& q) {
  if (q.highest_precision) return "precision=\"highest\" transforms nothing";
  if (q.dtype != Dtype::float32) return "only float32 is transformed";
  if (std::max(q.kernel[1], q.kernel[2]) < kMinKernel) return "the kernel is small";
  if (q.kernel[1] * q.kernel[2] * q.c < kMinTerms) return "a sum of few terms is more exact than a transform";
  if (q.kernel[0] != 1) return "the kernel has depth";
  if (q.in_dilation[0] != 1) return "the input is dilated";
  for (int a = 1; a < 3; ++a) {
    if (q.in_dilation[a] != 1) return "the input is dilated";
    if (q.kernel[a] == 1) continue;
    if (q.stride[a] != 1) return "strided";
    if (q.dilation[a] != 1) return "the taps are apart (dilation)";
    if (q.kernel[a] > kMaxFft / 2) return "the kernel is longer than half the longest transform";
  }
  return nullptr;
}

/// Costs of one choice of n; refused where it does not fit into memory.
FftBlocks evaluate(const ConvProblem& q, const int64_t (&n)[2], const FftMachine& m) {
  FftBlocks b;
  b.n[0] = n[0];
  b.n[1] = n[1];
  const int lanes = m.lanes;
  const FftGrid grid(q, n);
  const FftColumns in(q.groups * q.c, lanes), out(q.groups * q.o, lanes);
  const double points = static_cast<double>(grid.points), pairs = static_cast<double>(grid.pairs);
  const double sums = 0.5 + 0.5 * m.product;
  const double transform = points * (kTransform * sums * log2_of(grid.points));
  const double bytes = static_cast<double>(m.workspace),
               buffer = points * 12 * lanes;  // and a row-major copy of half of it
  const double overhead = kBlockOverhead * static_cast<double>(grid.total);
  if (buffer > bytes / 4) return b.refused = "a block does not fit into the workspace", b;
  if (fft_pointwise(q)) {
    const double each = 2 * transform + points * (2 * kCopy + kProduct * sums),
                 weights = static_cast<double>(in.vectors(1));
    b.pairs = grid.pairs;
    b.cycles = static_cast<double>(in.vectors(grid.pairs)) * each + overhead;
    b.packing = weights * (transform + points * kCopy);
    return b;
  }
  const int64_t nr = 2 * lanes;
  const double per_pair = 8.0 * static_cast<double>(grid.half) *
                          static_cast<double>(3 * in.vectors_per_pair + 2 * out.vectors_per_pair) * lanes;
  const double panels = static_cast<double>((q.o + nr - 1) / nr * q.groups), c = static_cast<double>(q.c);
  const double half = static_cast<double>(grid.half);
  const double spectra = half * 8 * c * static_cast<double>(round_up(q.o, lanes) * q.groups);
  if (per_pair > bytes / 2) return b.refused = "the spectra of a block do not fit into the workspace", b;
  if (spectra > kMaxSpectra * bytes) return b.refused = "the spectra of the kernels take too much memory", b;
  const int64_t in_cache =
      std::clamp(static_cast<int64_t>(static_cast<double>(m.l3) / 4 / per_pair), kFewPairs, kMaxPairs);
  b.pairs = std::min({grid.pairs, in_cache, static_cast<int64_t>(bytes / 2 / per_pair)});
  const double passes = static_cast<double>((grid.pairs + b.pairs - 1) / b.pairs);
  const double rows = 4 * pairs * half;  // real rows of the product
  const double transforms = static_cast<double>(in.vectors(grid.pairs) + out.vectors(grid.pairs));
  b.packing = c * panels * 2 * (transform + points * kCopy);
  b.cycles = transforms * (transform + points * (kCopy + kProduct * sums)) + overhead +
             rows * panels * (2 * c * m.product + 2 + 40.0 / m.mr) +
             (passes * spectra + pairs * per_pair) / (spectra < 0.25 * static_cast<double>(m.l3) ? m.far : m.dram);
  return b;
}

}  // namespace

FftGrid::FftGrid(const ConvProblem& q, const int64_t (&n)[2]) {
  int64_t own_mirror = 1;  // frequencies that are their own negative
  total = q.batch * q.out[0];
  points = 1;
  for (int a = 0; a < 2; ++a) {
    step[a] = n[a] - q.kernel[a + 1] + 1;
    blocks[a] = (q.out[a + 1] + step[a] - 1) / step[a];
    total *= blocks[a];
    points *= n[a];
    if (n[a] > 1) own_mirror *= 2;
  }
  pairs = (total + 1) / 2;
  half = (points + own_mirror) / 2;
}

FftBlocks plan_fft(const ConvProblem& q, const FftMachine& m) {
  FftBlocks best;
  best.refused = refuses(q);
  if (best.refused) return best;
  best.refused = "nothing fits";
  int64_t first[2];
  int choices[2];
  for (int a = 0; a < 2; ++a) {
    const int64_t k = q.kernel[a + 1];
    first[a] = k == 1 ? 1 : kMinFft;
    while (k > 1 && first[a] < k + k / 4) first[a] *= 2;
    choices[a] = k == 1 ? 1 : 4;
  }
  for (int i = 0; i < choices[0]; ++i)
    for (int j = 0; j < choices[1]; ++j) {
      const int64_t n[2] = {first[0] << i, first[1] << j};
      if (n[0] > kMaxFft || n[1] > kMaxFft) continue;
      const FftBlocks b = evaluate(q, n, m);
      const bool better = b.refused ? best.refused && best.cycles == 0 : best.refused || b.cost() < best.cost();
      if (better) best = b;
    }
  return best;
}

}  // namespace nhwc
