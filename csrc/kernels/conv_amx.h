// csrc/kernels/conv_amx.h -- the kernels of a convolution on the matrix unit (plan/conv_amx.h): what goes in
#pragma once

#include <cstdint>

#include "base/half.h"
#include "plan/conv_amx.h"

namespace nhwc {

/// y[to[p] + 0..n) = clamp(m[p][0..n) + bias (+ what lies `residual` behind y)) for the pixels p, but where to[p] is
/// negative; m[p] is of one vector or two. Sets not_finite where a sum is not.
struct AmxEnd {
  const float* m;
  const int64_t* to;
  int64_t pixels;
  void* y;
  const float* bias;  // n values, or nullptr
  float lo, hi;
  bool clamp;
  int n;
  int64_t residual;  // of float32
  bool* not_finite;
};

/// m[tile][pixel][16 * halves] = the sums over taps and steps of the values of each pixel times the weights, for the
/// tiles and halves (16 outputs each) that the kernel is for. A value's parts are x_part apart, the largest first. The
/// weights of a step are [part, the least first][half][depth / 2][16 outputs][2].
struct AmxTile {
  const BFloat16* x[kAmxTiles];  // the first pixel of each tile
  int64_t x_step, x_part;        // elements, from a pixel to the next and from a part to the next
  const int64_t *at, *ids;       // [tap]: from the pixel to the values, which weights
  int64_t taps, steps, depth;
  const BFloat16* w;
  int64_t w_tap;  // elements
  float* m;
  bool ask;  // the weights are far, and asked for
};

/// The parts of n values of each of so many pixels, and zeros behind them up to width.
struct AmxPixels {
  const void* x;
  int64_t x_step, pixels, n, width;
  BFloat16* to;
  int64_t to_step, to_part;
};

/// The weights of a run as [value][width], `values` of them, to those of its steps; width is 16 or 32.
struct AmxWeights {
  const float* w;
  int64_t values, width, steps, depth;
  int parts;
  BFloat16* to;
};

struct AmxKernels {
  /// Tiles of so many pixels, with steps of `depth` values, until end().
  void (*begin)(int pixels, int64_t depth);
  void (*end)();
  void (*multiply[2][2][kAmxTiles + 1])(const AmxTile&);  // [three parts][halves - 1][tiles]
  void (*finish[2][2])(const AmxEnd&);                    // [bfloat16][halves - 1]
  void (*copy[2])(const AmxPixels&);                      // [bfloat16]
  void (*pack)(const AmxWeights&);
};

}  // namespace nhwc
