// metal/conv/patches.h -- loads what outputs read of x: a tile with a row per output, a column per tap and channel
#pragma once

#include "common/pack.h"
#include "conv/taps.h"

/// The inputs that an output meets, one per tap; without an output, none.
template <typename T>
struct Inputs {
  const device T* image;
  int at[3];  // at the first tap

  void none() { at[0] = -(1 << 30); }
  void begin(constant ConvParams& p, thread const Phase& phase, const device T* x, thread const Pixel& pixel) {
    image = x + pixel.image * p.x_stride[0];
    for (int a = 0; a < 3; ++a) at[a] = phase.axis[a].at + pixel.at[a] * p.axis[a].step;
  }
  /// The first channel of the input at a tap; null where there is none.
  const device T* at_tap(constant ConvParams& p, thread const TapWalk& walk) const {
    const device T* from = image;
    for (int a = 0; a < 3; ++a) {
      const int i = at[a] + walk.tap[a] * p.axis[a].reach;
      if (i < 0 || i >= p.axis[a].in) return nullptr;
      from += i * p.x_stride[1 + a];
    }
    return from;
  }
};

/// Rows of bk, of bm outputs from m0 on; each thread loads v neighbouring channels.
template <typename T, int bm, int bk, int v, int ld, int threads>
struct PatchLoader {
  static constant constexpr int across = bk / v;           // threads side by side
  static constant constexpr int apart = threads / across;  // rows that are loaded at once
  static constant constexpr int rows = bm / apart;         // of a thread

  constant ConvParams& p;
  thread const Phase& phase;
  TapWalk walk;
  const int first;  // element of the tile
  Inputs<T> inputs[rows];
  const device T* from[rows];

  PatchLoader(constant ConvParams& params, thread const Phase& of, const device T* x, int m0, int k0, uint thread_index)
      : p(params),
        phase(of),
        walk(of, params.c, k0 + int(thread_index) % across * v),
        first(int(thread_index) / across * ld + int(thread_index) % across * v) {
    for (int r = 0; r < rows; ++r) {
      const int m = m0 + int(thread_index) / across + r * apart;
      if (m < p.batch * phase.pixels)
        inputs[r].begin(p, phase, x, pixel_of(phase, m));
      else
        inputs[r].none();
    }
    aim();
  }

  void load(threadgroup T* tile) const {
    const long channel = v > 1 ? walk.channel : walk.channel * p.x_channel;
    for (int r = 0; r < rows; ++r) {
      Pack<T, v> value = zero_pack<T, v>();
      if (from[r]) value = *(const device Pack<T, v>*)(from[r] + channel);
      *(threadgroup Pack<T, v>*)(tile + first + r * apart * ld) = value;
    }
  }

  void next() {
    if (walk.advance(phase, p.c, bk)) aim();
  }

  void aim() {
    for (int r = 0; r < rows; ++r) from[r] = walk.inside(phase) ? inputs[r].at_tap(p, walk) : nullptr;
  }
};
