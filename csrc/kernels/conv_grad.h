// csrc/kernels/conv_grad.h -- a weight gradient's work: blocks of pixels, and the runs of a tap within a block
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <tuple>

#include "base/divide.h"
#include "kernels/conv.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {

inline constexpr int64_t kBlockRows = 64;

/// A piece of an output row.
struct Segment {
  int64_t n, d, h, w0, w1;
};

/// What one panel holds: `scalars` broadcast channels x `width` vector lanes for each tap, as [tap][scalars][width].
struct GradShape {
  int64_t panels = 0, scalars = 0, width = 0;
  bool vector_is_c = false;  // lanes run over input channels, else over output channels
  bool merged = false;       // the taps of a kernel row are one run of kernel[2] * c scalars
  int64_t panels_in_task = 1, tap_rows_in_task = 1;
};

/// T is the compute type; what is stored as half types is widened where it is copied.
/// The problem, and its output pixels cut into blocks of about `pixels`: whole rows, or pieces of one row.
template <class T>
struct Grad {
  Grad(const CpuPlan& p, const ConvWeightGradOperands& operands, int64_t pixels)
      : plan(p),
        q(p.problem),
        a(operands),
        k(table_for(p.isa).conv),
        f(float_kernels<T>(k)),
        stored(static_cast<int64_t>(size_of(q.dtype))),
        same(!is_half(q.dtype)),
        axes{{q, 0}, {q, 1}, {q, 2}} {
    rows_per_block = std::clamp<int64_t>(pixels / q.out[2], 1, kBlockRows);
    pieces = (q.out[2] + pixels - 1) / pixels;
    rows = q.batch * q.out[0] * q.out[1];
    blocks = pieces > 1 ? rows * pieces : (rows + rows_per_block - 1) / rows_per_block;
    taps = q.kernel[0] * q.kernel[1] * q.kernel[2];
  }
  /// Rows [first, second) of a block; all of them are cut alike.
  std::pair<int64_t, int64_t> rows_of(int64_t block) const {
    if (pieces > 1) return {block / pieces, block / pieces + 1};
    return {block * rows_per_block, std::min(rows, (block + 1) * rows_per_block)};
  }
  Segment segment(int64_t row, int64_t block) const {
    const int64_t piece = pieces > 1 ? block % pieces : 0;
    Segment s;
    s.h = row % q.out[1];
    s.d = row / q.out[1] % q.out[0];
    s.n = row / q.out[1] / q.out[0];
    s.w0 = piece * q.out[2] / pieces;
    s.w1 = (piece + 1) * q.out[2] / pieces;
    return s;
  }
  /// Elements from the beginning of x and gy.
  const char* x(int64_t at) const { return static_cast<const char*>(a.x) + at * stored; }
  const char* gy(int64_t at) const { return static_cast<const char*>(a.gy) + at * stored; }
  void widen(const char* from, T* to, int64_t n) const {
    if constexpr (std::is_same_v<T, float>) {
      if (q.dtype == Dtype::float16) return k.widen_f16(reinterpret_cast<const Float16*>(from), to, n);
      if (q.dtype == Dtype::bfloat16) return k.widen_bf16(reinterpret_cast<const BFloat16*>(from), to, n);
    }
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  }
  /// To n elements of dw from the `at`-th on.
  void narrow(const T* from, int64_t at, int64_t n) const {
    char* to = static_cast<char*>(a.dw) + at * stored;
    if constexpr (std::is_same_v<T, float>) {
      if (q.dtype == Dtype::float16) return k.narrow_f16(from, reinterpret_cast<Float16*>(to), n);
      if (q.dtype == Dtype::bfloat16) return k.narrow_bf16(from, reinterpret_cast<BFloat16*>(to), n);
    }
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  }
  int64_t x_row(const Segment& s, int64_t id, int64_t ih) const {
    return s.n * a.x_stride[0] + id * a.x_stride[1] + ih * a.x_stride[2];
  }
  int64_t gy_row(const Segment& s) const { return s.n * a.gy_stride[0] + s.d * a.gy_stride[1] + s.h * a.gy_stride[2]; }
  const CpuPlan& plan;
  const ConvProblem& q;
  const ConvWeightGradOperands& a;
  const ConvKernels& k;
  const FloatKernels<T>& f;
  int64_t stored;  // bytes of an element
  bool same;       // as it is stored, so it is computed
  AxisPhases axes[3];
  int64_t rows_per_block, pieces, rows, blocks, taps;
};

/// A tap of one axis: outputs r + period * j read input base + step * j.
struct TapAxis {
  int64_t r = -1, base = 0, period = 1, step = 1;
};

inline TapAxis find_tap(const AxisPhases& axis, int64_t k) {
  for (int64_t r = 0; r < axis.phases(); ++r) {
    const AxisPhase ph = axis.phase(r);
    for (int64_t i = 0; i < ph.n_taps; ++i)
      if (ph.taps[i].k == k) return {r, ph.taps[i].base, axis.period, axis.step};
  }
  return {};
}

/// The input position of output p, or -1 where the tap meets none.
inline int64_t input_of(const TapAxis& t, int64_t p, int64_t in) {
  if (t.r < 0 || p < t.r || (p - t.r) % t.period != 0) return -1;
  const int64_t i = t.base + (p - t.r) / t.period * t.step;
  return i < in ? i : -1;
}

/// Which of a row's outputs j (see TapAxis) are meant.
struct Columns {
  int64_t begin = 0, end = INT64_MAX;
};
/// Those whose input column exists.
inline Columns valid_columns(const TapAxis& t, int64_t in) {
  return {std::max<int64_t>(0, ceil_div(-t.base, t.step)), ceil_div(in - t.base, t.step)};
}
/// Those of them in the segment.
inline Columns within(const TapAxis& t, Columns c, const Segment& s) {
  return {std::max(ceil_div(s.w0 - t.r, t.period), c.begin), std::min(ceil_div(s.w1 - t.r, t.period), c.end)};
}

}  // namespace nhwc
