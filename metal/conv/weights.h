// metal/conv/weights.h -- loads weights as they are stored: a tile with the outputs' channels along rows or columns
#pragma once

#include "common/pack.h"
#include "conv/taps.h"

/// The weight of a tap and an input channel for one output channel lies at row + tap * `tap` + channel * `channel`.
struct WeightSteps {
  long row, tap, channel;
};

/// Of output channel n of a group. Weights are stored as (groups * o, taps, c), or (o / fold, taps, fold, c) with the
/// folded taps in the order of outputs where flipped, else reversed; swapped ones as (groups * c, taps, o).
inline WeightSteps weight_steps(constant ConvParams& p, int group, int n) {
  const long taps = long(p.axis[0].kernel_size) * p.axis[1].kernel_size * p.axis[2].kernel_size;
  if (p.swapped) return {group * p.c * taps * p.o + n, p.o, taps * p.o};
  const int unfolded = p.o / p.fold, folded = n / unfolded;
  const long row = (group * unfolded + n % unfolded) * taps * p.fold + (p.flip ? folded : p.fold - 1 - folded);
  return {row * p.c, p.fold * p.c, 1};
}

/// Of weights in rows of channels: bn rows of bk, each of an output channel from n0 on.
template <typename T, int bn, int bk, int v, int ld, int threads>
struct WeightRowLoader {
  static constant constexpr int across = bk / v;
  static constant constexpr int apart = threads / across;
  static constant constexpr int rows = bn / apart;

  constant ConvParams& p;
  thread const Phase& phase;
  TapWalk walk;
  const int first;
  const device T* from[rows];  // null: no output
  long tap_at;                 // where the tap begins in a row

  WeightRowLoader(constant ConvParams& params, thread const Phase& of, const device T* w, int group, int n0, int k0,
                  uint thread_index)
      : p(params),
        phase(of),
        walk(of, params.c, k0 + int(thread_index) % across * v),
        first(int(thread_index) / across * ld + int(thread_index) % across * v) {
    for (int r = 0; r < rows; ++r) {
      const int n = n0 + int(thread_index) / across + r * apart;
      from[r] = n < p.o ? w + weight_steps(p, group, n).row : nullptr;
    }
    aim();
  }

  void load(threadgroup T* tile) const {
    const bool inside = walk.inside(phase);
    for (int r = 0; r < rows; ++r) {
      Pack<T, v> value = zero_pack<T, v>();
      if (inside && from[r]) value = *(const device Pack<T, v>*)(from[r] + tap_at + walk.channel);
      *(threadgroup Pack<T, v>*)(tile + first + r * apart * ld) = value;
    }
  }

  void next() {
    if (walk.advance(phase, p.c, bk)) aim();
  }

  void aim() { tap_at = long(stored_tap(p, phase, walk)) * p.fold * p.c; }
};

/// Of swapped weights, (groups * c, taps, o): bk rows of bn output channels from n0 on.
template <typename T, int bn, int bk, int v, int ld, int threads>
struct WeightColumnLoader {
  static constant constexpr int across = bn / v;
  static constant constexpr int apart = threads / across;
  static constant constexpr int rows = bk / apart;

  constant ConvParams& p;
  thread const Phase& phase;
  TapWalk walk;
  const int first;
  const device T* from;  // null: no output
  WeightSteps steps;

  WeightColumnLoader(constant ConvParams& params, thread const Phase& of, const device T* w, int group, int n0, int k0,
                     uint thread_index)
      : p(params),
        phase(of),
        walk(of, params.c, k0 + int(thread_index) / across),
        first(int(thread_index) / across * ld + int(thread_index) % across * v) {
    const int n = n0 + int(thread_index) % across * v;
    steps = weight_steps(p, group, n);
    from = n < p.o ? w + steps.row : nullptr;
  }

  void load(threadgroup T* tile) const {
    TapWalk at = walk;
    for (int r = 0; r < rows; ++r) {
      Pack<T, v> value = zero_pack<T, v>();
      if (from && at.inside(phase))
        value = *(const device Pack<T, v>*)(from + at.channel * steps.channel + stored_tap(p, phase, at) * steps.tap);
      *(threadgroup Pack<T, v>*)(tile + first + r * apart * ld) = value;
      at.advance(phase, p.c, apart);
    }
  }

  void next() { walk.advance(phase, p.c, bk); }
};
