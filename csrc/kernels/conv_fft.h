// csrc/kernels/conv_fft.h -- convolutions by transforms: the layout of packed spectra, and what runs on them
#pragma once

#include "kernels/conv.h"
#include "kernels/fft.h"
#include "plan/conv_fft.h"

namespace nhwc {

/// Packed weights, offsets in floats: a header (the power of two that the weights were divided by), the twiddles of
/// both axes, the points of frequency pairs (FftRows::at), then panels of spectra of the kernel reversed, over the
/// number of points. Pointwise: a panel is a vector of channels in the layout of a block. Else a panel is nr output
/// channels, [pair][re, im][c][width], as the direct tile reads them. A block in the middle of a transform: rows of
/// `pitch` points, one more than it has columns where there are several rows, lest their columns fall into the same
/// sets of the cache.
struct FftLayout {
  explicit FftLayout(const CpuPlan& plan);
  int64_t panel_offset(int64_t panel) const;
  int64_t width(int64_t panel) const { return panel % per_group + 1 < per_group ? nr : last; }
  int64_t panel_floats(int64_t panel) const { return panel_row * (pointwise ? 1 : width(panel)); }
  int64_t weight_floats() const { return panel_offset(panels); }

  bool pointwise;
  int64_t n[2], pitch, block_points;
  int64_t half;
  int64_t twiddles[2], at, header;      // header: floats before the panels
  int64_t panels, per_group, nr, last;  // as PackedLayout has them
  int64_t panel_row;                    // floats of a panel, or of one output channel of it
};

struct FftHeader {
  int32_t exponent;
  int32_t finite;  // 0: a weight is NaN or inf, and there are no spectra
};

size_t fft_weight_bytes(const CpuPlan& plan);
void pack_fft_weights(const CpuPlan& plan, const void* w, void* packed);
/// The two halves of it: the header, then panels [begin, end) to where the first of them comes first.
void pack_fft_header(const CpuPlan& plan, const float* w, float* header);
void pack_fft_panels(const CpuPlan& plan, const float* w, const float* header, int64_t begin, int64_t end,
                     float* panels);

/// Transforms a block in place; rows that are not in [rows_begin, rows_end) are zero, or after an inverse not needed.
void fft_block_forward(const FftKernels& k, const FftLayout& l, const float* header, float* x, int64_t rows_begin,
                       int64_t rows_end);
void fft_block_inverse(const FftKernels& k, const FftLayout& l, const float* header, float* x, int64_t rows_end);

/// Weights are packed in blocks under the workspace where a.packed is not given. a.w is read in either case: outputs
/// that a transform cannot give, because something is not finite, are computed from it directly.
void run_fft(const CpuPlan& plan, const ConvOperands& a);

}  // namespace nhwc
