// csrc/kernels/conv_diagonal.h -- what the kernels of small groups read and write
#pragma once

#include <cstdint>

namespace nhwc {

/// Pixels of some vectors of channels, one behind the other: to[v * to_step + i * lanes ..] = x[i * x_step + v * n ..]
/// for i < pixels, v < vectors; of the last vector only `last` channels are read.
struct DiagonalCopy {
  const float* x;
  int64_t x_step, pixels, vectors, n;
  int last;
  float* to;
  int64_t to_step;
};

/// A row of outputs of several groups of c channels, n channels together: y[i * y_step + ..n) = clamp(sum over kernel
/// rows r and columns k of the products of rows[r] + i * x_step + k * x_tap with the weights at w + ids[r] * w_row +
/// k * c * lanes, + bias, + what lies `residual` behind y), for i < pixels. Reads pixels up to the end of a whole tile.
/// The weights of a tap are diagonals: lane (g, i) of diagonal d takes input i of group g to its output i + d.
struct DiagonalRow {
  const float* const* rows;
  const int64_t* ids;
  int64_t n_rows, columns, x_tap, x_step;
  const float* w;
  int64_t w_row, c;
  float* y;
  int64_t y_step, pixels;
  int n;
  const float* bias;  // n values, or nullptr
  float lo, hi;
  int64_t residual;
  const float* ahead;  // is asked for meanwhile, a step further with each tap
  int64_t ahead_step;
};

struct DiagonalKernels {
  void (*copy)(const DiagonalCopy&);
  void (*row[8])(const DiagonalRow&);  // [outputs of a tile], or nullptr
};

}  // namespace nhwc
