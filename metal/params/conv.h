// metal/params/conv.h -- what the host tells the convolution kernels; read by C++ and by Metal
#pragma once

#include "params/strided.h"

namespace nhwc {

/// Indices of the function constants.
enum ConvConstant : int32_t { kHasBias, kHasResidual, kActivation, kPartial };

/// Elements of the input and of weights that a threadgroup of conv_grouped holds.
enum ConvBox : int32_t { kBoxInputs = 4096, kBoxWeights = 2048 };

/// A spatial axis of a ConvProblem (csrc/plan/conv_problem.h). Where the input is dilated, outputs r, r + phases, ...
/// of an axis meet the same taps, every tap_step-th from some tap on, and together they are a convolution of an input
/// that is not dilated: phase r.
struct ConvAxis {
  int32_t in, out, kernel_size, stride, dilation, in_dilation, pad;
  int32_t phases;
  int32_t tap_step;
  int32_t step;   // inputs from one output of a phase to the next
  int32_t reach;  // inputs from one tap of a phase to the next
};

struct ConvParams {
  ConvAxis axis[3];
  int32_t batch, groups, c, o;   // images of this launch; c, o: channels read and written, per group
  int32_t fold;                  // ConvProblem::fold
  int32_t flip;                  // tap k multiplies the weight of tap kernel - 1 - k
  int32_t swapped;               // weights are stored as (groups * c, taps, o)
  int32_t splits;                // parts of the sum that different threadgroups compute
  int32_t split_steps;           // blocks of the sum in a part
  int32_t box[3], box_groups;    // conv_grouped: outputs of a threadgroup along the axes, groups
  int64_t outputs;               // elements of y that this launch computes
  int64_t pixels;                // weight gradient: outputs of the convolution
  int64_t split_pixels;          // of them in a part of a direct weight gradient
  int64_t x_first;               // elements from the beginning of x to the first that is meant
  int64_t x_stride[4];           // elements between images, and between pixels along the axes
  int64_t x_channel, g_channel;  // elements between channels, of gy too; 1 where a thread loads several
  int64_t y_first;               // elements before the images of this launch, in y and what has its shape
  int64_t g_first, g_stride[4];  // weight gradient: the same of gy
  int64_t partial_stride;        // elements between the partial sums of two parts
  int64_t w_first;               // conv_direct: elements from the beginning of the weights to the first that is meant,
  StridedAxis w_axis[5];         //   where they are not row-major, and their axes;
  int32_t w_axes;                //   how many, 0 where they are
};

/// One pass of a Winograd convolution: `tiles` tiles of 4x4 outputs from first_tile on; an image has rows x columns.
struct ConvWinogradParams {
  ConvParams conv;
  int64_t first_tile;
  int32_t tiles, rows, columns;
};

/// Sums of `parts` partial results of `count` elements.
struct ConvReduceParams {
  int64_t count, stride;
  int32_t channels;  // of the bias, which repeats
  int32_t parts;
};

}  // namespace nhwc
