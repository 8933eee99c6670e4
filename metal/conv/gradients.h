// metal/conv/gradients.h -- loads what a weight gradient sums: tiles with a row per pixel of a phase
#pragma once

#include "conv/patches.h"

/// Goes through the outputs of a phase, image by image.
struct PixelWalk {
  Pixel pixel;

  PixelWalk(thread const Phase& phase, int k) : pixel(pixel_of(phase, k)) {}

  void advance(thread const Phase& phase, int by) {
    for (pixel.at[2] += by; pixel.at[2] >= phase.axis[2].outputs; pixel.at[2] -= phase.axis[2].outputs) {
      if (++pixel.at[1] < phase.axis[1].outputs) continue;
      pixel.at[1] = 0;
      if (++pixel.at[0] < phase.axis[0].outputs) continue;
      pixel.at[0] = 0;
      ++pixel.image;
    }
  }
};

/// bk rows of bm output channels of gy from m0 on; each thread loads v neighbours.
template <typename T, int bm, int bk, int v, int ld, int threads>
struct GradientLoader {
  static constant constexpr int across = bm / v;
  static constant constexpr int apart = threads / across;
  static constant constexpr int rows = bk / apart;

  constant ConvParams& p;
  thread const Phase& phase;
  PixelWalk walk;
  const int first;       // element of the tile
  const device T* from;  // null: no output channel

  GradientLoader(constant ConvParams& params, thread const Phase& of, const device T* g, int m0, int k0,
                 uint thread_index)
      : p(params),
        phase(of),
        walk(of, k0 + int(thread_index) / across),
        first(int(thread_index) / across * ld + int(thread_index) % across * v) {
    const int m = m0 + int(thread_index) % across * v;
    from = m < p.o ? g + m * p.g_channel : nullptr;
  }

  void load(threadgroup T* tile) const {
    PixelWalk at = walk;
    for (int r = 0; r < rows; ++r) {
      Pack<T, v> value = zero_pack<T, v>();
      if (from && at.pixel.image < p.batch) {
        long offset = at.pixel.image * p.g_stride[0];
        for (int a = 0; a < 3; ++a)
          offset += (phase.axis[a].output + long(at.pixel.at[a]) * p.axis[a].phases) * p.g_stride[1 + a];
        value = *(const device Pack<T, v>*)(from + offset);
      }
      *(threadgroup Pack<T, v>*)(tile + first + r * apart * ld) = value;
      at.advance(phase, apart);
    }
  }

  void next() { walk.advance(phase, bk); }
};

/// bk rows of what bn taps and channels, from n0 on, read of x there.
template <typename T, int bn, int bk, int v, int ld, int threads>
struct PatchColumnLoader {
  static constant constexpr int across = bn / v;
  static constant constexpr int apart = threads / across;
  static constant constexpr int rows = bk / apart;

  constant ConvParams& p;
  thread const Phase& phase;
  const device T* x;
  PixelWalk walk;
  const int first;
  TapWalk column;
  const bool inside;

  PatchColumnLoader(constant ConvParams& params, thread const Phase& of, const device T* from, int n0, int k0,
                    uint thread_index)
      : p(params),
        phase(of),
        x(from),
        walk(of, k0 + int(thread_index) / across),
        first(int(thread_index) / across * ld + int(thread_index) % across * v),
        column(of, params.c, n0 + int(thread_index) % across * v),
        inside(column.inside(of)) {}

  void load(threadgroup T* tile) const {
    PixelWalk at = walk;
    for (int r = 0; r < rows; ++r) {
      const device T* from = nullptr;
      if (inside && at.pixel.image < p.batch) {
        Inputs<T> inputs;
        inputs.begin(p, phase, x, at.pixel);
        from = inputs.at_tap(p, column);
      }
      Pack<T, v> value = zero_pack<T, v>();
      if (from) value = *(const device Pack<T, v>*)(from + column.channel * p.x_channel);
      *(threadgroup Pack<T, v>*)(tile + first + r * apart * ld) = value;
      at.advance(phase, apart);
    }
  }

  void next() { walk.advance(phase, bk); }
};
