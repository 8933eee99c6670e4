// csrc/plan/conv_col2im.h -- few outputs: every input is multiplied with all taps at once, outputs gather the products;
// pure. Where a transposed convolution has fewer outputs than a vector has lanes, those of all taps fill some. An input
// row becomes a row of products, pixels x columns of (taps, o), the taps in the order of the outputs that they reach:
// so the products of an input pixel and a kernel row lie as the outputs that they go to. `chunk` j of an output row is
// its outputs [j * in_dilation, (j + 1) * in_dilation) counted from where the first tap of input 0 goes; `overlap`
// input pixels, the last of them j, reach it.
#pragma once

#include "plan/conv_problem.h"

namespace nhwc {

/// The products as a convolution of one tap, or of those along the depth, which are summed at once: o counts the others
/// too, and the weights lie as fold_outputs says.
ConvProblem col2im_units(const ConvProblem& q);

struct Col2imGeometry {
  Col2imGeometry(const ConvProblem& q, int lanes);
  /// The products of an input row for so many chunks.
  int64_t row_bytes(int64_t n) const { return (n + overlap - 1) * columns * 4; }
  int64_t columns;  // products of a pixel, in whole vectors
  int64_t overlap;  // pixels of a row that reach a chunk
  int64_t before;   // outputs of chunk 0 before the first output; may be negative
  int64_t first_chunk, chunks;
  int64_t rows;  // input rows that are needed together, at most
};

/// How the outputs are cut into tasks; what tasks share is computed by each.
struct Col2imCut {
  int64_t rows = 0, chunks = 0;  // of a task: output rows, chunks of columns
};
Col2imCut col2im_cut(const ConvProblem& q, const Col2imGeometry& g, int mr, int64_t l1d);

}  // namespace nhwc
