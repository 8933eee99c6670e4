// metal/conv/taps.h -- which outputs meet which taps: phases of a dilated input, and a walk over taps and channels
#pragma once

#include <metal_stdlib>

#include "params/conv.h"

using namespace nhwc;

/// Of one phase along an axis: outputs output, output + phases, ... (`outputs` of them) meet taps tap, tap + tap_step,
/// ... (`taps` of them); its first output meets input `at` at its first tap.
struct AxisPhase {
  int output, outputs, tap, taps, at;
};

inline AxisPhase axis_phase(constant ConvAxis& a, int index) {
  AxisPhase r;
  r.output = index;
  r.outputs = (a.out - index + a.phases - 1) / a.phases;
  r.tap = 0;
  int t = index * a.stride - a.pad;
  for (; r.tap < a.tap_step && t % a.in_dilation != 0; ++r.tap) t += a.dilation;
  const bool meets = r.tap < metal::min(a.tap_step, a.kernel_size);
  r.taps = meets ? (a.kernel_size - r.tap + a.tap_step - 1) / a.tap_step : 0;
  r.at = t / a.in_dilation;
  return r;
}

/// One phase along all axes.
struct Phase {
  AxisPhase axis[3];
  int pixels;  // outputs of an image
  int taps;
};

inline Phase phase_of(constant ConvParams& p, int index) {
  Phase r;
  r.axis[2] = axis_phase(p.axis[2], index % p.axis[2].phases);
  index /= p.axis[2].phases;
  r.axis[1] = axis_phase(p.axis[1], index % p.axis[1].phases);
  r.axis[0] = axis_phase(p.axis[0], index / p.axis[1].phases);
  r.pixels = r.axis[0].outputs * r.axis[1].outputs * r.axis[2].outputs;
  r.taps = r.axis[0].taps * r.axis[1].taps * r.axis[2].taps;
  return r;
}

/// The m-th output of a phase: its image, and its place along each axis, in outputs of the phase.
struct Pixel {
  int image, at[3];
};

inline Pixel pixel_of(thread const Phase& phase, int m) {
  Pixel r;
  r.at[2] = m % phase.axis[2].outputs;
  m /= phase.axis[2].outputs;
  r.at[1] = m % phase.axis[1].outputs;
  m /= phase.axis[1].outputs;
  r.at[0] = m % phase.axis[0].outputs;
  r.image = m / phase.axis[0].outputs;
  return r;
}

/// Its number among all outputs of the launch.
inline long output_number(constant ConvParams& p, thread const Phase& phase, thread const Pixel& pixel) {
  long n = pixel.image;
  for (int a = 0; a < 3; ++a) n = n * p.axis[a].out + phase.axis[a].output + long(pixel.at[a]) * p.axis[a].phases;
  return n;
}

/// A place in the sum: a tap of the phase, along each axis, and a channel.
struct TapWalk {
  int channel, tap[3];

  TapWalk(thread const Phase& phase, int c, int k) : channel(k), tap{0, 0, 0} { advance(phase, c, 0); }

  /// Goes on; true where the tap is another.
  bool advance(thread const Phase& phase, int c, int by) {
    channel += by;
    if (channel < c) return false;
    for (; channel >= c; channel -= c) {
      if (++tap[2] < phase.axis[2].taps) continue;
      tap[2] = 0;
      if (++tap[1] < phase.axis[1].taps) continue;
      tap[1] = 0;
      ++tap[0];
    }
    return true;
  }

  bool inside(thread const Phase& phase) const { return tap[0] < phase.axis[0].taps; }
};

/// The number of its tap among those of the stored weights.
inline int stored_tap(constant ConvParams& p, thread const Phase& phase, thread const TapWalk& walk) {
  int n = 0;
  for (int a = 0; a < 3; ++a) {
    const int k = phase.axis[a].tap + walk.tap[a] * p.axis[a].tap_step;
    n = n * p.axis[a].kernel_size + (p.flip ? p.axis[a].kernel_size - 1 - k : k);
  }
  return n;
}
