# python/nhwc/torch/_ops.py -- the convolution and its gradients as operators of torch: values, shapes and derivatives
"""One convolution y = conv(x, w) has three bilinear operators, which are each other's derivatives, so that every order
of derivative exists:

    conv              (x, w) -> y
    conv_transpose    (y, w) -> x, the gradient by the input; `size` says which of the inputs that give a y of this size
    conv_weight_grad  (x, y) -> w

and `conv_bias_grad` y -> bias. Tensors have torch's logical shapes, x (N, C, *size), w (C_out, C / groups, *kernel),
and any strides; `low` and `high` are the padding before and after each axis, where a negative value crops. Results lie
channels-last in memory where `channels_last` says so, and then nothing is copied; else they are contiguous. An
operator's inputs fit each other: _functional.py has seen to it. Of the transposed ones, only those have a bias that
were asked for as such; their padding is symmetric.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

import nhwc as mx


def _array(t: Tensor) -> mx.array:
    """The array (N, *size, C) in the memory of a tensor (N, C, *size)."""
    return mx.from_dlpack(t.detach().movedim(1, -1))


def _laid_out(t: Tensor, channels_last: bool) -> Tensor:
    """The tensor (N, C, *size) that shows a contiguous one (N, *size, C)."""
    t = t.movedim(-1, 1)
    return t if channels_last else t.contiguous()


def _tensor(a: mx.array, channels_last: bool) -> Tensor:
    return _laid_out(torch.from_dlpack(a), channels_last)


def _forward(x, w, stride, low, high, dilation, groups, bias=None):
    padding = (list(low), list(high))
    return mx.conv_general(x, w, list(stride), padding, list(dilation), groups=groups, bias=bias)


def _gradient(linear, shape, cotangent):
    """By the argument, of this shape, of a linear function; its value is not needed, and being lazy never made."""
    return mx.vjp(linear, [mx.zeros(shape, cotangent.dtype)], [cotangent])[1][0]


def _transposed(y, w, size, stride, padding, dilation, groups, bias):
    """The gradient by the input as a convolution of its own, which adds a bias in the same pass, before it rounds."""
    split = mx.reshape(w, (groups, w.shape[0] // groups, *w.shape[1:]))
    w = mx.reshape(mx.swapaxes(split, 1, -1), (groups * w.shape[-1], *w.shape[1:-1], w.shape[0] // groups))
    axes = zip(size, y.shape[1:-1], w.shape[1:-1], stride, padding, dilation, strict=True)
    extra = [n - ((i - 1) * s - 2 * p + d * (k - 1) + 1) for n, i, k, s, p, d in axes]
    call = getattr(mx, f"conv_transpose{len(size)}d")
    return call(y, w, list(stride), list(padding), list(dilation), extra, groups, bias=bias)


@torch.library.custom_op("nhwc::conv", mutates_args=(), device_types="cpu")
def conv(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    channels_last: bool,
) -> Tensor:
    with mx.stream(mx.cpu):
        b = None if bias is None else mx.from_dlpack(bias.detach())
        y = _forward(_array(x), _array(w), stride, low, high, dilation, groups, b)
        return _tensor(y, channels_last)


@torch.library.custom_op("nhwc::conv_transpose", mutates_args=(), device_types="cpu")
def conv_transpose(
    y: Tensor,
    w: Tensor,
    bias: Tensor | None,
    size: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    channels_last: bool,
) -> Tensor:
    with mx.stream(mx.cpu):
        cotangent, weight = _array(y), _array(w)
        if bias is not None:
            x = _transposed(cotangent, weight, size, stride, low, dilation, groups, mx.from_dlpack(bias.detach()))
            return _tensor(x, channels_last)
        shape = (y.shape[0], *size, w.shape[1] * groups)
        x = _gradient(lambda x: _forward(x, weight, stride, low, high, dilation, groups), shape, cotangent)
        return _tensor(x, channels_last)


@torch.library.custom_op("nhwc::conv_weight_grad", mutates_args=(), device_types="cpu")
def conv_weight_grad(
    x: Tensor,
    y: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    channels_last: bool,
) -> Tensor:
    with mx.stream(mx.cpu):
        cotangent, image = _array(y), _array(x)
        shape = (y.shape[1], *kernel, x.shape[1] // groups)
        w = _gradient(lambda w: _forward(image, w, stride, low, high, dilation, groups), shape, cotangent)
        return _tensor(w, channels_last)


@torch.library.custom_op("nhwc::conv_bias_grad", mutates_args=(), device_types="cpu")
def conv_bias_grad(y: Tensor) -> Tensor:
    with mx.stream(mx.cpu):
        return torch.from_dlpack(mx.sum(_array(y), axis=tuple(range(y.dim() - 1))))


# Shapes and strides of the results, for torch.compile and the meta device.


@conv.register_fake
def _(x, w, bias, stride, low, high, dilation, groups, channels_last):
    axes = zip(x.shape[2:], w.shape[2:], stride, low, high, dilation, strict=True)
    size = [(i + a + b - d * (k - 1) - 1) // s + 1 for i, k, s, a, b, d in axes]
    return _laid_out(x.new_empty((x.shape[0], *size, w.shape[0])), channels_last)


@conv_transpose.register_fake
def _(y, w, bias, size, stride, low, high, dilation, groups, channels_last):
    return _laid_out(y.new_empty((y.shape[0], *size, w.shape[1] * groups)), channels_last)


@conv_weight_grad.register_fake
def _(x, y, kernel, stride, low, high, dilation, groups, channels_last):
    return _laid_out(x.new_empty((y.shape[1], *kernel, x.shape[1] // groups)), channels_last)


@conv_bias_grad.register_fake
def _(y):
    return y.new_empty((y.shape[1],))


# Derivatives. `ctx.geometry` is (stride, low, high, dilation, groups, channels_last), which all three share.


def _save_conv(ctx, inputs, output):
    x, w, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, w)


def _conv_backward(ctx, g):
    x, w = ctx.saved_tensors
    by_x, by_w, by_bias = ctx.needs_input_grad[:3]
    return (
        conv_transpose(g, w, None, x.shape[2:], *ctx.geometry) if by_x else None,
        conv_weight_grad(x, g, w.shape[2:], *ctx.geometry) if by_w else None,
        conv_bias_grad(g) if by_bias else None,
        *[None] * 6,
    )


def _save_transpose(ctx, inputs, output):
    y, w, _, _, *ctx.geometry = inputs
    ctx.save_for_backward(y, w)


def _transpose_backward(ctx, g):
    y, w = ctx.saved_tensors
    by_y, by_w, by_bias = ctx.needs_input_grad[:3]
    return (
        conv(g, w, None, *ctx.geometry) if by_y else None,
        conv_weight_grad(g, y, w.shape[2:], *ctx.geometry) if by_w else None,
        conv_bias_grad(g) if by_bias else None,
        *[None] * 7,
    )


def _save_weight_grad(ctx, inputs, output):
    x, y, _, *ctx.geometry = inputs
    ctx.save_for_backward(x, y)


def _weight_grad_backward(ctx, g):
    x, y = ctx.saved_tensors
    by_x, by_y = ctx.needs_input_grad[:2]
    return (
        conv_transpose(y, g, None, x.shape[2:], *ctx.geometry) if by_x else None,
        conv(x, g, None, *ctx.geometry) if by_y else None,
        *[None] * 7,
    )


def _save_shape(ctx, inputs, output):
    ctx.shape = inputs[0].shape


def _bias_grad_backward(ctx, g):
    return g.reshape(1, -1, *[1] * (len(ctx.shape) - 2)).expand(ctx.shape)


conv.register_autograd(_conv_backward, setup_context=_save_conv)
conv_transpose.register_autograd(_transpose_backward, setup_context=_save_transpose)
conv_weight_grad.register_autograd(_weight_grad_backward, setup_context=_save_weight_grad)
conv_bias_grad.register_autograd(_bias_grad_backward, setup_context=_save_shape)
