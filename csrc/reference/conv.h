// csrc/reference/conv.h -- the definition of a convolution as plain loops in float64: the oracle of the tests
#pragma once

#include "plan/conv_problem.h"

namespace nhwc {

/// Arrays are row-major: x (batch, in..., in_channels), w (out_channels, kernel..., in_channels / groups),
/// y (batch, out..., out_channels). Each writes all of its result.
void reference_conv(const ConvGeometry& g, const double* x, const double* w, double* y);
void reference_conv_input_grad(const ConvGeometry& g, const double* gy, const double* w, double* gx);
void reference_conv_weight_grad(const ConvGeometry& g, const double* x, const double* gy, double* gw);

/// activation(v + bias), with bias nullptr for none; n channels in a row of y.
void reference_epilogue(Activation f, const double* bias, int64_t rows, int64_t n, double* y);

}  // namespace nhwc
