// csrc/kernels/conv_fft_pack.cpp -- spectra of the weights, laid out as the products read them
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/allocator.h"
#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/conv_fft.h"
#include "kernels/conv_pack.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

/// The plan whose packed weights are the taps in the problem's order, output channels adjacent.
CpuPlan taps_plan(const CpuPlan& plan) {
  CpuPlan p = plan;
  p.algorithm = fft_pointwise(plan.problem) ? ConvAlgorithm::depthwise : ConvAlgorithm::direct;
  p.terms = false;
  return p;
}

/// Spectra of one panel at a time.
class Packer {
 public:
  Packer(const CpuPlan& plan, const float* header)
      : q_(plan.problem), l_(plan), k_(table_for(plan.isa).conv.fft), header_(header) {
    FftHeader h;
    std::memcpy(&h, header, sizeof h);
    scale_ = std::ldexp(1.0f / static_cast<float>(l_.n[0] * l_.n[1]), -h.exponent);
  }

  /// A vector of columns whose taps are `step` floats apart, into lanes [lane, lane + n) of a block: tap k at point -k,
  /// so that the product correlates.
  void place(const float* taps, int64_t step, int n, float* x, int64_t lane) const {
    const int64_t point = 2 * k_.lanes;
    for (int64_t h = 0; h < q_.kernel[1]; ++h) {
      float* row = x + (l_.n[0] - h) % l_.n[0] * l_.pitch * point + lane;
      const float* from = taps + h * q_.kernel[2] * step;
      k_.copy({from, 0, 1, n, scale_, row, 0});
      if (q_.kernel[2] > 1)
        k_.copy({from + step, step, q_.kernel[2] - 1, n, scale_, row + (l_.n[1] - 1) * point, -point});
    }
  }

  void pack_channels(const float* taps, int64_t step, int64_t panel, float* x) const {
    const FftColumns columns(q_.groups, k_.lanes);
    std::memset(x, 0, static_cast<size_t>(l_.block_points * 2 * k_.lanes) * sizeof(float));
    const int64_t n = std::min<int64_t>(k_.lanes, q_.groups);
    for (int64_t i = 0; i < columns.pairs_per_vector; ++i)
      place(taps + panel * k_.lanes, step, static_cast<int>(n), x, i * q_.groups);
    fft_block_forward(k_, l_, header_, x, 0, l_.n[0]);
  }

  /// Column (c, v) of a panel whose taps are [tap][c][width].
  void pack_column(const float* taps, int64_t width, int64_t c, int64_t v, float* x, float* panel) const {
    std::memset(x, 0, static_cast<size_t>(l_.block_points * 2 * k_.lanes) * sizeof(float));
    place(taps + c * width + v * k_.lanes, q_.c * width, k_.lanes, x, 0);
    fft_block_forward(k_, l_, header_, x, 0, l_.n[0]);
    const int32_t* at = reinterpret_cast<const int32_t*>(header_ + l_.at);
    const size_t bytes = static_cast<size_t>(k_.lanes) * sizeof(float);
    float* to = panel + c * width + v * k_.lanes;
    for (int64_t i = 0; i < l_.half; ++i, to += 2 * q_.c * width) {
      const float* from = x + at[2 * i] * 2 * k_.lanes;
      std::memcpy(to, from, bytes);
      std::memcpy(to + q_.c * width, from + k_.lanes, bytes);
    }
  }

  const FftLayout& layout() const { return l_; }
  size_t block_bytes() const { return static_cast<size_t>(l_.block_points * 2 * k_.lanes) * sizeof(float); }

 private:
  const ConvProblem& q_;
  FftLayout l_;
  const FftKernels& k_;
  const float* header_;
  float scale_;
};

void pack_dense(const CpuPlan& plan, const Packer& packer, const float* w, int64_t begin, int64_t end, float* panels) {
  const FftLayout& l = packer.layout();
  const ConvProblem& q = plan.problem;
  const CpuPlan taps_of = taps_plan(plan);
  const PackedLayout layout(taps_of);
  const Scratch taps(static_cast<size_t>(layout.full_elems) * sizeof(float));
  for (int64_t p = begin; p < end; ++p) {
    pack_panels(taps_of, w, p, p + 1, taps.as<float>());
    const int64_t width = l.width(p), vectors = width / plan.lanes, columns = q.c * vectors;
    float* to = panels + (l.panel_offset(p) - l.panel_offset(begin));
    parallel_for(columns, grain_of(columns, 1e2 * static_cast<double>(columns * l.block_points)),
                 [&](int64_t c0, int64_t c1) {
                   const Scratch x(packer.block_bytes());
                   for (int64_t c = c0; c < c1; ++c)
                     packer.pack_column(taps.as<float>(), width, c / vectors, c % vectors, x.as<float>(), to);
                 });
  }
}

}  // namespace

FftLayout::FftLayout(const CpuPlan& plan) : pointwise(fft_pointwise(plan.problem)), n{plan.block[0], plan.block[1]} {
  const ConvProblem& q = plan.problem;
  pitch = n[0] > 1 && n[1] > 1 ? n[1] + 1 : n[1];
  block_points = n[0] * pitch;
  half = FftGrid(q, n).half;
  int64_t at_float = 16;
  for (int a = 0; a < 2; ++a) {
    twiddles[a] = at_float;
    at_float += round_up(fft_twiddle_floats(n[a]), 16);
  }
  at = at_float;
  header = at + (pointwise ? 0 : round_up(2 * half, 16));
  if (pointwise) {
    panels = per_group = (q.groups + plan.lanes - 1) / plan.lanes;
    nr = last = plan.lanes;
    panel_row = block_points * 2 * plan.lanes;
  } else {
    const PackedLayout as(taps_plan(plan));
    panels = as.panels();
    per_group = as.per_group;
    nr = as.nr;
    last = as.last;
    panel_row = half * 2 * q.c;
  }
}

int64_t FftLayout::panel_offset(int64_t panel) const {
  if (pointwise) return panel * panel_row;
  return (panel / per_group * ((per_group - 1) * nr + last) + panel % per_group * nr) * panel_row;
}

void fft_block_forward(const FftKernels& k, const FftLayout& l, const float* header, float* x, int64_t rows_begin,
                       int64_t rows_end) {
  const int64_t row = l.pitch * 2 * k.lanes;
  if (l.n[1] > 1)
    for (int64_t r = rows_begin; r < rows_end; ++r) fft_forward(k, x + r * row, l.n[1], 1, 1, header + l.twiddles[1]);
  if (l.n[0] == 1) return;
  // Strips of columns that L1 holds.
  const int64_t strip = std::max<int64_t>(4, 8192 / (l.n[0] * 2 * k.lanes));
  for (int64_t c = 0; c < l.n[1]; c += strip)
    fft_forward(k, x + c * 2 * k.lanes, l.n[0], l.pitch, std::min(strip, l.n[1] - c), header + l.twiddles[0]);
}

void fft_block_inverse(const FftKernels& k, const FftLayout& l, const float* header, float* x, int64_t rows_end) {
  if (l.n[0] > 1) {
    const int64_t strip = std::max<int64_t>(4, 8192 / (l.n[0] * 2 * k.lanes));
    for (int64_t c = 0; c < l.n[1]; c += strip)
      fft_inverse(k, x + c * 2 * k.lanes, l.n[0], l.pitch, std::min(strip, l.n[1] - c), header + l.twiddles[0]);
  }
  if (l.n[1] == 1) return;
  for (int64_t r = 0; r < rows_end; ++r)
    fft_inverse(k, x + r * l.pitch * 2 * k.lanes, l.n[1], 1, 1, header + l.twiddles[1]);
}

size_t fft_weight_bytes(const CpuPlan& plan) {
  const FftLayout l(plan);
  return static_cast<size_t>(l.header + l.weight_floats()) * sizeof(float);
}

void pack_fft_header(const CpuPlan& plan, const float* w, float* header) {
  const ConvProblem& q = plan.problem;
  const FftLayout l(plan);
  const uint32_t peak = table_for(plan.isa).conv.fft.peak(w, q.groups * q.o * q.kernel[1] * q.kernel[2] * q.c);
  const FftHeader h{std::clamp(static_cast<int>(peak >> 23) - 126, -126, 126), peak < 0x7f800000u};
  std::memcpy(header, &h, sizeof h);
  for (int a = 0; a < 2; ++a) fft_twiddles(l.n[a], header + l.twiddles[a]);
  if (l.pointwise) return;
  int32_t* at = reinterpret_cast<int32_t*>(header + l.at);
  for (int64_t f = 0; f < l.n[0]; ++f)
    for (int64_t g = 0; g < l.n[1]; ++g) {
      const int64_t minus_f = (l.n[0] - f) % l.n[0], minus_g = (l.n[1] - g) % l.n[1];
      if (minus_f * l.n[1] + minus_g < f * l.n[1] + g) continue;
      *at++ = static_cast<int32_t>(fft_position(f, l.n[0]) * l.pitch + fft_position(g, l.n[1]));
      *at++ = static_cast<int32_t>(fft_position(minus_f, l.n[0]) * l.pitch + fft_position(minus_g, l.n[1]));
    }
}

void pack_fft_panels(const CpuPlan& plan, const float* w, const float* header, int64_t begin, int64_t end,
                     float* panels) {
  FftHeader h;
  std::memcpy(&h, header, sizeof h);
  if (!h.finite) return;
  const Packer packer(plan, header);
  if (!packer.layout().pointwise) return pack_dense(plan, packer, w, begin, end, panels);
  const CpuPlan taps_of = taps_plan(plan);
  const PackedLayout layout(taps_of);
  const Scratch taps(static_cast<size_t>(layout.elems()) * sizeof(float));
  pack_panels(taps_of, w, 0, 1, taps.as<float>());
  const FftLayout& l = packer.layout();
  parallel_for(end - begin, grain_of(end - begin, 1e2 * static_cast<double>((end - begin) * l.block_points)),
               [&](int64_t b, int64_t e) {
                 for (int64_t p = b; p < e; ++p)
                   packer.pack_channels(taps.as<float>(), layout.nr, begin + p, panels + p * l.panel_row);
               });
}

void pack_fft_weights(const CpuPlan& plan, const void* w, void* packed) {
  const FftLayout l(plan);
  float* header = static_cast<float*>(packed);
  pack_fft_header(plan, static_cast<const float*>(w), header);
  pack_fft_panels(plan, static_cast<const float*>(w), header, 0, l.panels, header + l.header);
}

}  // namespace nhwc
