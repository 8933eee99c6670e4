// csrc/kernels/conv_winograd_tiles.h -- where the tiles of a Winograd convolution lie, and the pixels that they read
#pragma once

#include <algorithm>

#include "plan/conv_axis.h"
#include "plan/conv_winograd.h"

namespace nhwc {

inline constexpr int kMaxFrequencies = 36;

/// Brings n elements near.
template <class S>
inline void fetch(const S* p, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(S);
  for (int64_t i = 0; i < n; i += kLine) __builtin_prefetch(p + i);
}

/// Asks for n elements that are needed later, in L2: to be read, or, where the processor knows the difference, written.
template <bool kWrite, class S>
inline void fetch_later(const S* p, int64_t n) {
  constexpr int64_t kLine = 64 / sizeof(S);
  for (int64_t i = 0; i < n; i += kLine) __builtin_prefetch(p + i, kWrite, 2);
}

/// Where one tile lies: along each axis its first input position (or its only one), and its first output.
struct TileAt {
  int64_t n;
  int64_t in[3], out[3];
  int valid[3];  // outputs of the tile that exist
};

struct WinogradTiles {
  WinogradTiles(const ConvProblem& problem, const WinogradGeometry& geometry)
      : q(problem), g(geometry), phases{{q, 0}, {q, 1}, {q, 2}} {
    for (int x = 0; x < 3; ++x)
      if (g.axis[x].transformed) (g.axes == 2 && row_axis < 0 ? row_axis : column_axis) = x;
  }

  /// Divisions by one are most of those of a tile.
  static int64_t quotient(int64_t a, int64_t b) { return b == 1 ? a : a / b; }

  TileAt at(int64_t phase, int64_t t) const {
    TileAt tile;
    for (int x = 2; x >= 0; --x) {
      tile.valid[x] = 1;
      tile.in[x] = tile.out[x] = 0;
      if (x == g.slide) continue;
      const WinogradAxis& axis = g.axis[x];
      const int64_t before = t;
      t = quotient(t, axis.tiles());
      const int64_t i = before - t * axis.tiles();
      if (axis.transformed) {
        const int64_t row = axis.residues == 1 ? 0 : i / axis.per_residue;
        const int64_t first = (i - row * axis.per_residue) * g.outputs();
        const int64_t residue = q.in_dilation[x] > 1 ? g.phase_along(x, phase) : row;
        tile.out[x] = residue + first * axis.period;
        tile.in[x] =
            q.in_dilation[x] > 1 ? phases[x].phase(residue).taps[0].base + first : tile.out[x] * q.stride[x] - q.pad[x];
        const int64_t left = quotient(q.out[x] - tile.out[x] + axis.period - 1, axis.period);
        tile.valid[x] = static_cast<int>(std::clamp<int64_t>(left, 0, g.outputs()));
      } else {
        tile.out[x] = i;
        tile.in[x] = i * q.stride[x] - q.pad[x];
      }
    }
    tile.n = t;
    return tile;
  }

  /// The pixels that a tile reads at position 0 of the slide axis, `outside` where there is none.
  template <class S>
  void fill_table(const TileAt& at, const S* x, const int64_t* stride, const S* outside, const S** table) const {
    const int rows = row_axis, columns = column_axis, P = g.points;
    const S* base = x + at.n * stride[0];
    bool inside = true;
    for (int a = 0; a < 3; ++a) {
      if (a == rows || a == columns || a == g.slide) continue;
      const int64_t i = at.in[a];
      inside = inside && i >= 0 && i < q.in[a];
      base += i * stride[1 + a];
    }
    const int n_rows = rows < 0 ? 1 : P;
    const int64_t w0 = at.in[columns], w_step = g.axis[columns].step, w_stride = stride[1 + columns];
    const bool whole_row = w0 >= 0 && w0 + (P - 1) * w_step < q.in[columns];
    const int64_t advance = w_step * w_stride;
    const uint64_t width = static_cast<uint64_t>(q.in[columns]);
    for (int i = 0; i < n_rows; ++i, table += P) {
      const S* row = base;
      bool row_inside = inside;
      if (rows >= 0) {
        const int64_t h = at.in[rows] + i * g.axis[rows].step;
        row_inside = inside && h >= 0 && h < q.in[rows];
        row += h * stride[1 + rows];
      }
      const S* first = row + w0 * w_stride;
      if (row_inside && whole_row)
        for (int j = 0; j < P; ++j) table[j] = first + j * advance;
      else if (!row_inside)
        for (int j = 0; j < P; ++j) table[j] = outside;
      else
        for (int j = 0; j < P; ++j)
          table[j] = static_cast<uint64_t>(w0 + j * w_step) < width ? first + j * advance : outside;
    }
  }

  const ConvProblem& q;
  const WinogradGeometry& g;
  AxisPhases phases[3];
  int row_axis = -1, column_axis = -1;
};

}  // namespace nhwc
