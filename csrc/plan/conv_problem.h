// csrc/plan/conv_problem.h -- one convolution, whatever it was called: the planner's input
#pragma once

#include <cstdint>

#include "nhwc/conv_args.h"
#include "nhwc/dtype.h"

namespace nhwc {

/// Which of the three arrays of a convolution is computed from the other two.
enum class ConvKind : uint8_t { forward, input_grad, weight_grad };

/// The geometry of a convolution y = conv(x, w) as ops/ validated it; shared by its three kinds. Always three spatial
/// axes, last axis fastest: a 2-D convolution has in[0] = kernel[0] = out[0] = 1. Along an axis, output position p and
/// tap k read the input position t / in_dilation with t = p * stride + k * dilation - pad, where t divides and is
/// inside; else zero. `pad` may be negative: then the dilated input is cropped. With `flip`, tap k multiplies
/// weight[kernel - 1 - k].
struct ConvGeometry {
  int rank = 2;                                                      // spatial axes of the caller's arrays: 1, 2 or 3
  int64_t batch = 1, in_channels = 1, out_channels = 1, groups = 1;  // channels of all groups together
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, in_dilation[3] = {1, 1, 1}, pad[3] = {0, 0, 0};
  bool flip = false;
  bool highest_precision = false;  // precision="highest": no algorithm that transforms
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

/// What the planner sees: a forward-like sum over taps and channels, or a weight gradient. An input gradient is
/// forward-like too: over gy, with the weight's channel roles exchanged and its taps reversed.
struct ConvProblem {
  enum class Form : uint8_t { forward, weight_grad };
  Form form = Form::forward;
  Dtype dtype = Dtype::float32;
  int64_t batch = 1, groups = 1, c = 1, o = 1;  // c, o: channels read and written, per group
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, in_dilation[3] = {1, 1, 1}, pad[3] = {0, 0, 0};
  bool flip = false;     // tap k uses weight[kernel - 1 - k]
  bool swapped = false;  // the stored weight is (groups * c, taps, o), not (groups * o, taps, c)
  int64_t fold = 1;  // so many neighbouring outputs are one with all their channels: o counts them (see fold_outputs)
  bool has_bias = false;
  Activation activation = Activation::none;
  bool highest_precision = false;
  friend bool operator==(const ConvProblem&, const ConvProblem&) = default;
};

/// Where an output reads one tap of one input and no two outputs read the same (a transposed convolution whose kernel
/// is as large as its stride, or any over one pixel), the outputs of an input are neighbours in memory: one output with
/// `fold` times the channels, of a kernel with fewer taps, which may be a plain matrix product. Along the last axis,
/// and along those before it while one pixel is left behind. With it the stored weight is (o / fold, taps, fold, c),
/// the folded taps in the order of outputs with `flip`, else reversed; swapped ones are (c, taps, o) and flipped.
void fold_outputs(ConvProblem& q);

/// As many small groups as have `most` channels together, read or written, are one, with weights of zero between them.
ConvProblem merge_groups(const ConvProblem& q, int64_t most);

/// The problem that computes `kind` of the convolution `g`, folded. For weight_grad, `in` and `out` stay those of x and
/// y.
ConvProblem normalize(const ConvGeometry& g, ConvKind kind, Dtype dtype);

/// For tables keyed by the problem: plans are cached by it.
uint64_t hash_value(const ConvProblem& q);

}  // namespace nhwc
