// metal/conv/epilogue.h -- what happens to a sum before it is stored: bias, residual, activation, conversion
#pragma once

#include "common/math.h"
#include "params/conv.h"

using namespace nhwc;

constant bool has_bias [[function_constant(0)]];
constant bool has_residual [[function_constant(1)]];
constant int activation [[function_constant(2)]];  // nhwc::Activation
constant bool partial [[function_constant(3)]];    // sums are stored as they are, in float32, for conv_reduce

inline float activate(float v) {
  switch (activation) {
    case 1:
      return v < 0.0f ? 0.0f : v;
    case 2:
      return v < 0.0f ? 0.0f : v > 6.0f ? 6.0f : v;
    case 3:
      return v < 0.0f ? 0.01f * v : v;
    case 4:
      return math::silu(v);
    case 5:
      return math::gelu(v);
    case 6:
      return math::tanh(v);
    case 7:
      return math::sigmoid(v);
    default:
      return v;
  }
}

/// Of output channel n of a group; folded outputs repeat the channels.
inline int bias_channel(constant ConvParams& p, int group, int n) { return group * p.o + n % (p.o / p.fold); }

/// Where a sum goes that belongs to element `at` of the output and to `channel`.
template <typename T>
struct Output {
  const device T* bias;
  const device T* residual;
  device T* y;
  device float* sums;

  void store(long at, int channel, float v) const {
    if (partial) {
      sums[at] = v;
      return;
    }
    if (has_bias) v += float(bias[channel]);
    if (has_residual) v += float(residual[at]);
    y[at] = T(activate(v));
  }
};
