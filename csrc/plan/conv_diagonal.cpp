// csrc/plan/conv_diagonal.cpp -- when small groups go by diagonals, how they are cut, and how many cycles it takes;
// pure
#include "plan/conv_diagonal.h"

#include <algorithm>
#include <cmath>

#include "base/divide.h"
#include "plan/conv_cost.h"

namespace nhwc {
namespace {

constexpr double kTile = 1.4;  // of a tile, in outputs: its start and its end

int64_t pixels_read(const ConvProblem& q, int64_t columns, int mr) {
  return (round_up(columns, mr) - 1) * q.stride[2] + (q.kernel[2] - 1) * q.dilation[2] + 1;
}

}  // namespace

DiagonalCut diagonal_cut(const ConvProblem& q, Isa isa, int lanes, size_t l1d, size_t l2) {
  DiagonalCut cut;
  cut.groups = lanes / q.c;
  const int most = diagonal_rows(isa);
  const int64_t rows = diagonal_rows_kept(q), vector = lanes * 4;
  // The rows that one vector of groups reads stay in L1, those of all panels in a part of L2.
  const int64_t fit = static_cast<int64_t>(l1d / 2) / (rows * vector);
  const int64_t blocks = std::min(q.out[2], ceil_div(pixels_read(q, q.out[2], 1), std::max<int64_t>(fit, 1)));
  cut.columns = ceil_div(q.out[2], std::max<int64_t>(blocks, 1));
  double best = INFINITY;
  for (int mr = most; mr >= least_diagonal_rows(isa); --mr) {
    const double work = static_cast<double>(ceil_div(cut.columns, mr)) * (mr + kTile);
    if (work < best) best = work, cut.mr = mr;
  }
  cut.pixels = pixels_read(q, cut.columns, cut.mr);
  cut.panels = std::clamp<int64_t>(static_cast<int64_t>(l2 / 4) / (rows * cut.pixels * vector), 1,
                                   ceil_div(q.groups, cut.groups));
  return cut;
}

size_t diagonal_scratch_bytes(const ConvProblem& q, const DiagonalCut& cut, int lanes) {
  const int64_t row = (cut.panels * cut.pixels + 1) * lanes * 4;
  return static_cast<size_t>(diagonal_rows_kept(q) * (row + 24) + 5 * 64);
}

namespace cost {

const char* can_diagonal(const ConvProblem& q, const Sizes& s) {
  if (q.groups == 1) return "one group";
  if (diagonal_rows(s.tile.isa) == 0) return "this instruction set has short vectors";
  if (q.dtype != Dtype::float32) return "not float32";
  if (q.c != q.o) return "not as many outputs as inputs per group";
  if (q.c == 1) return "one channel per group";
  if (q.c > kDiagonals || 2 * q.c > s.lanes) return "a group fills a vector on its own";
  if (q.in_dilation[0] * q.in_dilation[1] * q.in_dilation[2] != 1) return "the input is dilated";
  if (s.kernel > kMostDiagonalTaps) return "the sums are too long";
  const DiagonalCut cut = diagonal_cut(q, s.tile.isa, s.lanes, s.l1d, s.l2);
  return diagonal_scratch_bytes(q, cut, s.lanes) > s.l2 / 2 ? "the rows of a task exceed L2" : nullptr;
}

double diagonal_cycles(const ConvProblem& q, const Sizes& s) {
  const DiagonalCut cut = diagonal_cut(q, s.tile.isa, s.lanes, s.l1d, s.l2);
  const double c = static_cast<double>(q.c), panels = std::ceil(static_cast<double>(q.groups) / (s.lanes / q.c));
  const double rows = static_cast<double>(q.batch * q.out[0] * q.out[1]);
  const double tiles = static_cast<double>(ceil_div(q.out[2], cut.columns) * ceil_div(cut.columns, cut.mr));
  const double product = (s.tile.isa == Isa::avx512 ? 0.6 : 0.47) * s.product;  // loads of whole lines are in the way
  const double tile = cut.mr * (s.taps * c * product + c + 2) + 20;
  // Rows stay for the next row of outputs where no dilation lies between them, and not for the next slice.
  const int64_t all = q.out[1] * q.kernel[1], copies = q.dilation[1] == 1 ? std::min(q.in[1], all) : all;
  const double copied = static_cast<double>(q.batch * q.out[0] * q.kernel[0] * copies) *
                        static_cast<double>(ceil_div(q.out[2], cut.columns) * cut.pixels);
  return rows * panels * (tiles * tile + 60) + 3 * copied * panels + 0.5 * far_cycles(q, s);
}

}  // namespace cost
}  // namespace nhwc
