// csrc/kernels/conv_winograd_window.h -- the inputs of a Winograd tile of few channels: all residues of a stride share
// a vector, and no table says where the pixels lie
#pragma once

#include "kernels/conv_types.h"
#include "kernels/conv_winograd_tiles.h"

namespace nhwc {

/// S: what is stored. The pixels of a tile are read where they lie, or from a copy with zeros around the image.
template <class S>
class WinogradWindow {
 public:
  WinogradWindow(const WinogradTiles& tiles, const ConvKernels& kernels, const S* x, const int64_t* stride)
      : q_(tiles.q),
        g_(tiles.g),
        row_(tiles.row_axis),
        column_(tiles.column_axis),
        k_(kernels),
        x_(x),
        stride_(stride) {
    const WinogradAxis &across = g_.axis[column_], one = WinogradAxis{};
    down_ = row_ < 0 ? one : g_.axis[row_];
    pitch_ = g_.points * across.parts * q_.c;
    whole_rows_ = stride_[1 + column_] == q_.c && across.step == across.parts;
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
    if constexpr (std::is_same_v<S, float>) {
      if (stride_[1 + column_] == q_.c && inside(at)) {
        t.x = first(at);
        t.x_part = row_ < 0 ? 0 : stride_[1 + row_];
        t.x_row = down_.step * t.x_part;
        t.x_column = across.step * q_.c;
        return;
      }
    }
    copy_pixels(at, copy);
    t.x = copy;
    t.x_part = pitch_;
    t.x_row = down_.parts * pitch_;
    t.x_column = t.n;
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
  const S* first(const TileAt& at) const {
    const S* x = x_ + at.n * stride_[0];
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
    const S* base = first(at);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t r = 0; r < down_.parts; ++r, to += pitch_) {
        const int64_t below = i * down_.step + r;
        if (row_ >= 0 && (at.in[row_] + below < 0 || at.in[row_] + below >= q_.in[row_])) continue;
        copy_row(row_ < 0 ? base : base + below * stride_[1 + row_], at.in[column_], across, to);
      }
  }

  /// One row of pixels, the first of which is input w along the columns.
  void copy_row(const S* row, int64_t w, const WinogradAxis& across, float* to) const {
    if (whole_rows_) {
      const int64_t begin = std::max<int64_t>(-w, 0), end = std::min(extent(across), q_.in[column_] - w);
      if (end > begin) widen(k_, q_.dtype, row + begin * q_.c, to + begin * q_.c, (end - begin) * q_.c);
      return;
    }
    for (int64_t j = 0; j < g_.points; ++j)
      for (int64_t r = 0; r < across.parts; ++r, to += q_.c) {
        const int64_t right = j * across.step + r;
        if (w + right >= 0 && w + right < q_.in[column_])
          widen(k_, q_.dtype, row + right * stride_[1 + column_], to, q_.c);
      }
  }

  const ConvProblem& q_;
  const WinogradGeometry& g_;
  int row_, column_;
  const ConvKernels& k_;
  const S* x_;
  const int64_t* stride_;
  WinogradAxis down_;  // along the rows; where there are none, as if there were one
  int64_t pitch_;
  bool whole_rows_;
};

}  // namespace nhwc
