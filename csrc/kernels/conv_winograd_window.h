// csrc/kernels/conv_winograd_window.h -- the inputs of a Winograd tile of few channels: all residues of a stride share
// a vector, and no table says where the pixels lie
#pragma once

#include <cstring>

#include "kernels/conv_kernels.h"
#include "kernels/conv_winograd_tiles.h"

namespace nhwc {

/// The pixels of a tile are read where they lie, or from a copy with zeros around the image.
class WinogradWindow {
 public:
  WinogradWindow(const WinogradTiles& tiles, const float* x, const int64_t* stride)
      : q_(tiles.q), g_(tiles.g), row_(tiles.row_axis), column_(tiles.column_axis), x_(x), stride_(stride) {
    const WinogradAxis &across = g_.axis[column_], one = WinogradAxis{};
    down_ = row_ < 0 ? one : g_.axis[row_];
    pitch_ = g_.points * across.parts * q_.c;
    adjacent_ = stride_[1 + column_] == q_.c;
  }

  /// Floats of a copy.
  static int64_t copy_elems(const ConvProblem& q, const WinogradGeometry& g) {
    return g.frequencies() * g.filter_parts() * q.c;
  }

  /// Sets where the pixels of a tile are read from; `copy` has room for copy_elems.
  void set(const TileAt& at, WinogradGather<float>& t, float* copy) const {
    const WinogradAxis& across = g_.axis[column_];
    t.parts = static_cast<int>(down_.parts);
    t.n = static_cast<int>(across.parts * q_.c);
    t.x_column = t.n;
    if (adjacent_ && inside(at)) {
      t.x = first(at);
      t.x_part = row_ < 0 ? 0 : stride_[1 + row_];
      t.x_row = down_.step * t.x_part;
      return;
    }
    copy_pixels(at, copy);
    t.x = copy;
    t.x_part = pitch_;
    t.x_row = down_.parts * pitch_;
  }

 private:
  /// Inputs along a transformed axis, from the first of a tile to behind its last.
  int64_t extent(const WinogradAxis& axis) const { return (g_.points - 1) * axis.step + axis.parts; }
  bool inside(const TileAt& at) const {
    for (int a = 0; a < 3; ++a) {
      const int64_t n = a == row_ || a == column_ ? extent(g_.axis[a]) : 1;
      if (at.in[a] < 0 || at.in[a] + n > q_.in[a]) return false;
    }
    return true;
  }
  const float* first(const TileAt& at) const {
    const float* x = x_ + at.n * stride_[0];
    for (int a = 0; a < 3; ++a) x += at.in[a] * stride_[1 + a];
    return x;
  }

  void copy_pixels(const TileAt& at, float* to) const {
    const WinogradAxis& across = g_.axis[column_];
    bool exists = true;  // the place along the axes that are not transformed
    for (int a = 0; a < 3; ++a)
      exists = exists && (a == row_ || a == column_ || (at.in[a] >= 0 && at.in[a] < q_.in[a]));
    const int64_t rows = row_ < 0 ? 1 : g_.points;
    std::memset(to, 0, static_cast<size_t>(rows * down_.parts * pitch_) * sizeof(float));
    if (!exists) return;
    const float* base = first(at);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t r = 0; r < down_.parts; ++r, to += pitch_) {
        const int64_t below = i * down_.step + r;
        if (row_ >= 0 && (at.in[row_] + below < 0 || at.in[row_] + below >= q_.in[row_])) continue;
        copy_row(row_ < 0 ? base : base + below * stride_[1 + row_], at.in[column_], across, to);
      }
  }

  /// One row of pixels, the first of which is input w along the columns.
  void copy_row(const float* row, int64_t w, const WinogradAxis& across, float* to) const {
    const int64_t begin = std::max<int64_t>(-w, 0), end = std::min(extent(across), q_.in[column_] - w);
    const int64_t step = adjacent_ ? end - begin : 1;
    for (int64_t i = begin; i < end; i += step)
      std::memcpy(to + i * q_.c, row + i * stride_[1 + column_], static_cast<size_t>(step * q_.c) * sizeof(float));
  }

  const ConvProblem& q_;
  const WinogradGeometry& g_;
  int row_, column_;
  const float* x_;
  const int64_t* stride_;
  WinogradAxis down_;  // along the rows; where there are none, as if there were one
  int64_t pitch_;
  bool adjacent_;  // pixels of a row
};

}  // namespace nhwc
