// csrc/plan/conv_dot.cpp -- the form of a dot plan with several outputs; pure
#include "plan/conv_dot.h"

namespace nhwc {
namespace {

constexpr int64_t kMostTerms = 4096;  // in one float accumulator

/// Loads and products of one step of a pixel. Fitted to 1 to 25 taps of 8 to 128 channels, 1 and 4 groups: within 8 %
/// (rms).
double step_cycles(DotForm f, double product) {
  if (f.segments == 1) return 0.48 * product * f.vectors + 0.45;
  return f.vectors == 2 ? 0.95 * product + 0.4 : f.segments < 8 ? 0.45 * product + 0.42 : 0.45 * product + 0.26;
}

/// Pixels that tiles compute for each that is there: those of a row are cut evenly, as TileSplit does it.
double waste(int64_t row, int pixels) {
  const int64_t all = (row + pixels - 1) / pixels * pixels;
  return 10 * row >= 7 * all ? static_cast<double>(all) / static_cast<double>(row) : 1;
}

}  // namespace

int dot_segments(const ConvProblem& q, int lanes) {
  const int64_t outputs = q.groups * q.o, kernel = q.kernel[0] * q.kernel[1] * q.kernel[2];
  if (q.groups < 2 || !has_dot_segments(1, lanes) ||
      kernel * dot_segments_tap_elems(q.c, lanes) > 2 * lanes * kMostTerms)
    return 0;
  const int n = q.c > 1 && q.c < lanes && lanes % q.c == 0 ? static_cast<int>(lanes / q.c) : 1;
  return n > 1 && q.o <= 2 && outputs >= 2 * n && has_dot_segments(n, lanes) ? n : 1;
}

DotChoice choose_dot(const ConvProblem& q, const ConvTile& tile, int lanes, double taps, double product) {
  DotChoice best;
  double least = 0;
  for (int i = 0; i < kDotFormCount && q.o > 1; ++i) {
    const DotForm f = kDotForms[i];
    if (!has_dot_form(f, lanes) || q.c < dot_channels(f, lanes)) continue;
    const int64_t kernel = q.kernel[0] * q.kernel[1] * q.kernel[2],
                  steps = dot_tap_elems(f, q.c, lanes) / lanes / f.vectors;
    if (kernel * steps > kMostTerms) continue;
    DotChoice d;
    d.form = i;
    d.panels = static_cast<int>((q.o + f.outputs() - 1) / f.outputs());
    d.outputs = static_cast<int>((q.o + d.panels - 1) / d.panels);
    const int64_t last = q.o - (d.panels - 1) * d.outputs;
    if (2 * last <= f.outputs()) continue;
    const int pixels = dot_form_pixels(f, tile);
    const int64_t row = (q.out[2] + q.in_dilation[2] - 1) / q.in_dilation[2];
    d.tap = d.panels * waste(row, pixels) * (static_cast<double>(steps) * step_cycles(f, product) + 0.5);
    d.tile = d.panels * 52.0;
    const double cycles = taps * d.tap + d.tile / pixels;
    if (best.form >= 0 && cycles >= least) continue;
    best = d;
    least = cycles;
  }
  return best;
}

}  // namespace nhwc
