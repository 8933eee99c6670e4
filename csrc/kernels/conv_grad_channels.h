// csrc/kernels/conv_grad_channels.h -- weight gradients of depthwise and grouped convolutions: a task's blocks of
// pixels
#pragma once

#include <algorithm>

#include "kernels/arena.h"
#include "kernels/conv_grad.h"

namespace nhwc {

inline constexpr int64_t kChannelPixels = 128;  // in one float accumulator

/// The runs of one tap within a block of rows, as element offsets into x and gy.
struct OffsetRun {
  int64_t x, gy, n;
};

template <class T>
int64_t find_runs(const Grad<T>& g, const TapAxis (&tap)[3], Columns columns, int64_t block, OffsetRun* runs) {
  const ConvProblem& q = g.q;
  if (tap[0].r < 0 || tap[1].r < 0 || tap[2].r < 0) return 0;
  const auto [row0, row1] = g.rows_of(block);
  int64_t n = 0;
  for (int64_t row = row0; row < row1; ++row) {
    const Segment s = g.segment(row, block);
    const int64_t id = input_of(tap[0], s.d, q.in[0]), ih = input_of(tap[1], s.h, q.in[1]);
    if (id < 0 || ih < 0) continue;
    const TapAxis& t = tap[2];
    const Columns c = within(t, columns, s);
    if (c.begin >= c.end) continue;
    runs[n++] = {g.x_row(s, id, ih) + (t.base + c.begin * t.step) * g.a.x_stride[3],
                 g.gy_row(s) + (t.r + c.begin * t.period) * g.a.gy_stride[3], c.end - c.begin};
  }
  return n;
}

/// Copies `n` channels of every pixel of the runs to rows of `width` of the compute type, zero beyond n.
template <class T>
T* gather(const Grad<T>& g, const char* src, int64_t pixels, int64_t step, int64_t n, int64_t width, T* to) {
  for (int64_t p = 0; p < pixels; ++p, to += width) {
    g.widen(src + p * step * g.stored, to, n);
    std::fill(to + n, to + width, T(0));
  }
  return to;
}

/// Depthwise: lanes over channels, one sum per tap. grouped: lanes over output channels, c sums per tap.
template <class T>
class ChannelTask {
 public:
  ChannelTask(const Grad<T>& g, const GradShape& s)
      : g_(g),
        s_(s),
        grouped_(g.plan.algorithm == ConvAlgorithm::grouped_weight_grad),
        x_width_(grouped_ ? 2 * g.f.lanes : s.width),
        arena_(bytes(g, s, x_width_)),
        offsets_(arena_.take<OffsetRun>(kBlockRows)),
        runs_(arena_.take<PixelRun<T>>(kBlockRows)),
        x_(arena_.take<T>(kChannelPixels * x_width_)),
        gy_(arena_.take<T>(kChannelPixels * s.width)),
        index_(arena_.take<Index>(g.q.c * g.f.lanes)) {}

  void run(int64_t, Columns panels, int64_t, int64_t b0, int64_t b1, T* acc) {
    const ConvProblem& q = g_.q;
    const int64_t size = s_.scalars * s_.width;
    std::fill(acc, acc + g_.taps * size, T(0));
    const int64_t first = panels.begin * s_.width, total = q.groups * q.o;
    n_ = std::min(s_.width, total - first);
    first_ = x0_ = first;
    x_n_ = n_;
    if (grouped_) set_index(first, total);
    ScratchVec<TapAxis, 8> axis[3];
    for (int a = 0; a < 3; ++a)
      for (int64_t k = 0; k < q.kernel[a]; ++k) axis[a].push_back(find_tap(g_.axes[a], k));
    for (int64_t b = b0; b < b1; ++b) {
      T* to = acc;
      for (const TapAxis& d : axis[0])
        for (const TapAxis& h : axis[1]) {
          for (int64_t w = 0, taps; w < q.kernel[2]; w += taps, to += taps * size) {
            taps = g_.same && !grouped_ && q.in_dilation[2] == 1 ? std::min<int64_t>(kGradTaps, q.kernel[2] - w) : 1;
            add_taps(d, h, axis[2].data() + w, taps, b, to);
          }
        }
    }
  }

 private:
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

  static size_t bytes(const Grad<T>& g, const GradShape& s, int64_t x_width) {
    return kBlockRows * (sizeof(OffsetRun) + sizeof(PixelRun<T>)) +
           static_cast<size_t>(kChannelPixels * (s.width + x_width) + g.q.c * g.f.lanes) * sizeof(T) + 1024;
  }

  void set_index(int64_t first, int64_t total) {
    const ConvProblem& q = g_.q;
    const int64_t lanes = g_.f.lanes, last = std::min(first + lanes, total) - 1;
    x0_ = first / q.o * q.c;
    const int64_t span = last / q.o * q.c + q.c - x0_;
    x_n_ = std::min(q.groups * q.c - x0_, span <= lanes ? lanes : 2 * lanes);
    for (int64_t c = 0; c < q.c; ++c)
      for (int64_t l = 0; l < lanes; ++l)
        index_[c * lanes + l] = first + l <= last ? static_cast<Index>((first + l) / q.o * q.c + c - x0_) : Index(0);
  }

  /// Several taps of a kernel row: together where all of them meet an input, one by one at the borders.
  void add_taps(const TapAxis& d, const TapAxis& h, const TapAxis* w, int64_t taps, int64_t block, T* acc) {
    const int64_t in = g_.q.in[2];
    Columns common = valid_columns(w[0], in);
    for (int64_t k = 1; k < taps; ++k) {
      const Columns c = valid_columns(w[k], in);
      common = {std::max(common.begin, c.begin), std::min(common.end, c.end)};
    }
    if (common.begin >= common.end) common = {0, 0};  // then every tap on its own
    if (common.end > 0)
      add(d, h, w[0], common, taps, taps > 1 ? (w[1].base - w[0].base) * g_.a.x_stride[3] : 0, block, acc);
    for (int64_t k = 0; k < taps; ++k) {
      const Columns all = valid_columns(w[k], in);
      T* to = acc + k * s_.scalars * s_.width;
      if (all.begin < common.begin) add(d, h, w[k], {all.begin, std::min(all.end, common.begin)}, 1, 0, block, to);
      if (common.end < all.end) add(d, h, w[k], {std::max(all.begin, common.end), all.end}, 1, 0, block, to);
    }
  }

  void add(const TapAxis& d, const TapAxis& h, const TapAxis& t, Columns columns, int64_t taps, int64_t a_tap,
           int64_t block, T* acc) {
    const TapAxis tap[3] = {d, h, t};
    const int64_t n = find_runs(g_, tap, columns, block, offsets_);
    if (n == 0) return;
    ChannelGrad<T> c;
    const int64_t x_step = t.step * g_.a.x_stride[3], gy_step = t.period * g_.a.gy_stride[3];
    T *xs = x_, *gys = gy_;
    for (int64_t i = 0; i < n; ++i) {
      const OffsetRun& r = offsets_[i];
      const char *x = g_.x(x0_ + r.x), *gy = g_.gy(first_ + r.gy);
      if (g_.same) {
        runs_[i] = {reinterpret_cast<const T*>(x), reinterpret_cast<const T*>(gy), r.n};
      } else {
        runs_[i] = {xs, gys, r.n};
        xs = gather(g_, x, r.n, x_step, x_n_, x_width_, xs);
        gys = gather(g_, gy, r.n, gy_step, n_, s_.width, gys);
      }
    }
    c.runs = runs_;
    c.n_runs = n;
    c.a_step = g_.same ? x_step : x_width_;
    c.b_step = g_.same ? gy_step : s_.width;
    c.n = static_cast<int>(n_);
    c.a_n = static_cast<int>(x_n_);
    c.acc = acc;
    c.index = index_;
    c.a_tap = a_tap;
    c.acc_tap = s_.scalars * s_.width;
    if (!grouped_) return g_.f.depthwise_grad[taps](c);
    for (int64_t c0 = 0; c0 < g_.q.c; c0 += kGradChannels) {
      c.acc = acc + c0 * s_.width;
      c.index = index_ + c0 * s_.width;
      g_.f.grouped_grad[std::min<int64_t>(kGradChannels, g_.q.c - c0)](c);
    }
  }

  const Grad<T>& g_;
  const GradShape& s_;
  bool grouped_;
  int64_t x_width_;
  Arena arena_;
  OffsetRun* offsets_;
  PixelRun<T>* runs_;
  T *x_, *gy_;
  Index* index_;
  int64_t first_ = 0, n_ = 0, x0_ = 0, x_n_ = 0;
};

}  // namespace nhwc
