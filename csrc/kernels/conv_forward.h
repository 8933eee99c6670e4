// csrc/kernels/conv_forward.h -- the loop nest of forward-like convolutions, shared by its algorithms
#pragma once

#include "kernels/conv.h"

namespace nhwc {

/// Runs panels [begin, end) of the plan's packed layout; `packed` begins with panel `begin`.
void run_forward(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end);

/// Its part of float64.
void run_forward_double(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end);

/// The same for a plan with slabs; of an fft plan all of it, and `packed` may be null.
void run_slabs(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end);

/// Nothing is summed: every output is activation(bias).
void fill_outputs(const CpuPlan& plan, const ConvOperands& a);
/// The same for the outputs of phases without taps; nothing is added to them.
void fill_unreached(const CpuPlan& plan, const ConvOperands& a);

/// The same as run_forward for a depthwise plan, where depthwise_rows() says so; else false, and nothing was done.
bool run_depthwise_rows(const CpuPlan& plan, const ConvOperands& a, const void* packed);
/// The same pixel by pixel, where the plan has it so.
bool run_depthwise_pixels(const CpuPlan& plan, const ConvOperands& a, const void* packed);
/// The same for 3x3 kernels, where it is the faster one.
bool run_depthwise_walk(const CpuPlan& plan, const ConvOperands& a, const void* packed);

/// The same for a col2im plan, for a planar one, and all panels.
void run_col2im(const CpuPlan& plan, const ConvOperands& a, const void* packed);
void run_planar(const CpuPlan& plan, const ConvOperands& a, const void* packed);

/// The same for a plan on the system's BLAS.
void run_blas(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end);

/// The same for a plan on the matrix unit, which may have the images of another as one row of pixels.
void run_amx(const CpuPlan& plan, const CpuPlan& images, const ConvOperands& a, const void* packed, int64_t begin,
             int64_t end);

/// The same for a plan by diagonals.
void run_diagonal(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end);

/// The same for a Winograd plan.
void run_winograd(const CpuPlan& plan, const ConvOperands& a, const void* packed, int64_t begin, int64_t end);

}  // namespace nhwc
