// python/src/xla_conv.h -- the convolution and its two gradients as foreign functions of XLA
#pragma once

#include "xla_ffi.h"

namespace nhwc::py::xla {

/// Foreign functions of XLA for CPUs, which compute in its buffers on our threads, without the interpreter; any number
/// of calls may run at a time. One of a convolution y = conv(x, w) is computed from the others:
///
///     conv              x, w and, or not, bias (C_out,) -> y = activation(conv(x, w) + bias)
///     conv_input_grad   y, w -> x
///     conv_weight_grad  x, y -> w
///
/// with x (N, ..., C_in), w (C_out, ..., C_in / groups), y (N, ..., C_out), of one floating dtype. Any of them may have
/// one axis more in front, of the same size in all that do, and the result has it if an argument has: then so many
/// convolutions are computed, one after the other.
/// Attributes: `stride`, `low`, `dilation`, `input_dilation`, an int64 for each spatial axis, of which low is the
/// padding before the dilated input, or cropped from it where it is negative, and what comes after follows from the
/// shapes; `groups`, an int64; `flip`, `highest_precision` and `outputs_last`, booleans, of which the last says that w
/// lies (..., C_in / groups, C_out), for which it is copied; of conv `activation`, a word, or "" for none.
Error* conv(CallFrame* frame);
Error* conv_input_grad(CallFrame* frame);
Error* conv_weight_grad(CallFrame* frame);

}  // namespace nhwc::py::xla
