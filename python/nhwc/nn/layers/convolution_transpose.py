# python/nhwc/nn/layers/convolution_transpose.py -- ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
"""Transposed convolution layers of one, two and three spatial axes, channels last.

The size of the output along an axis is ``(in - 1) * stride - 2 * padding + dilation * (K - 1) + 1 + output_padding``.
"""

from __future__ import annotations

import nhwc as mx
from nhwc.nn.layers._arguments import counts
from nhwc.nn.layers.convolution import Convolution, Sizes


class TransposedConvolution(Convolution):
    """What the transposed convolutions share."""

    def _prepare_transposed(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        output_padding: Sizes,
        groups: int,
        bias: bool,
    ) -> None:
        name, dims = type(self).__name__, self._dims
        counts(padding, dims, name, "padding", 0)  # no words here
        more = counts(output_padding, dims, name, "output_padding", 0)
        steps, gaps = counts(stride, dims, name, "stride"), counts(dilation, dims, name, "dilation")
        if any(m >= max(s, d) for m, s, d in zip(more, steps, gaps, strict=True)):
            raise ValueError(
                f"[{name}] output_padding={output_padding} must be less than stride={stride} or dilation={dilation}"
            )
        self._prepare(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.output_padding = output_padding if dims == 1 else more

    def _own_repr(self) -> str:
        return f"output_padding={self.output_padding}, "

    def __call__(self, x: mx.array) -> mx.array:
        return self._function(
            x,
            self["weight"],
            self.stride,
            self.padding,
            self.dilation,
            self.output_padding,
            self.groups,
            bias=self.get("bias"),
        )


class ConvTranspose1d(TransposedConvolution):
    """A transposed convolution of signals ``(N, L, C_in)``.

    Args:
        in_channels (int): ``C_in``.
        out_channels (int): ``C_out``.
        kernel_size (int): ``K``.
        stride (int): step between the places where the kernel is laid. Default: ``1``.
        padding (int): elements taken off both ends. Default: ``0``.
        dilation (int): step between taps. Default: ``1``.
        output_padding (int): elements added at the end, less than stride or dilation. Default: ``0``.
        bias (bool): whether a ``(C_out,)`` bias is added. Default: ``True``.
        groups (int): the channels are split into this many independent convolutions; not in MLX. Default: ``1``.

    Raises:
        ValueError: numbers out of range, groups that do not divide both numbers of channels.

    Weights are ``(C_out, K, C_in / groups)``, uniform within ``+-1 / sqrt(C_in / groups * K)`` at
    first; the bias is zero.

    Example:
        >>> nn.ConvTranspose1d(4, 8, 2, stride=2)(mx.ones((2, 10, 4))).shape
        (2, 20, 8)
    """

    _dims = 1
    _function = staticmethod(mx.conv_transpose1d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        output_padding: int = 0,
        bias: bool = True,
        *,
        groups: int = 1,
    ):
        super().__init__()
        self._prepare_transposed(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias
        )


class ConvTranspose2d(TransposedConvolution):
    """A transposed convolution of images ``(N, H, W, C_in)``.

    Args:
        in_channels (int): ``C_in``.
        out_channels (int): ``C_out``.
        kernel_size (int | tuple): ``KH, KW``.
        stride (int | tuple): step between the places where the kernel is laid. Default: ``1``.
        padding (int | tuple): elements taken off both sides of each axis. Default: ``0``.
        dilation (int | tuple): step between taps. Default: ``1``.
        output_padding (int | tuple): elements added at the end, less than stride or dilation. Default: ``0``.
        bias (bool): whether a ``(C_out,)`` bias is added. Default: ``True``.
        groups (int): the channels are split into this many independent convolutions; not in MLX. Default: ``1``.

    Raises:
        ValueError: numbers out of range, groups that do not divide both numbers of channels.

    Weights are ``(C_out, KH, KW, C_in / groups)``, uniform within ``+-1 / sqrt(C_in / groups * KH * KW)`` at
    first; the bias is zero.

    Example:
        >>> nn.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1)(mx.ones((2, 5, 5, 4))).shape
        (2, 10, 10, 8)
    """

    _dims = 2
    _function = staticmethod(mx.conv_transpose2d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        output_padding: Sizes = 0,
        bias: bool = True,
        *,
        groups: int = 1,
    ):
        super().__init__()
        self._prepare_transposed(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias
        )


class ConvTranspose3d(TransposedConvolution):
    """A transposed convolution of volumes ``(N, D, H, W, C_in)``.

    Args:
        in_channels (int): ``C_in``.
        out_channels (int): ``C_out``.
        kernel_size (int | tuple): ``KD, KH, KW``.
        stride (int | tuple): step between the places where the kernel is laid. Default: ``1``.
        padding (int | tuple): elements taken off both sides of each axis. Default: ``0``.
        dilation (int | tuple): step between taps. Default: ``1``.
        output_padding (int | tuple): elements added at the end, less than stride or dilation. Default: ``0``.
        bias (bool): whether a ``(C_out,)`` bias is added. Default: ``True``.
        groups (int): the channels are split into this many independent convolutions; not in MLX. Default: ``1``.

    Raises:
        ValueError: numbers out of range, groups that do not divide both numbers of channels.

    Weights are ``(C_out, KD, KH, KW, C_in / groups)``, uniform within ``+-1 / sqrt(C_in / groups * KD * KH * KW)`` at
    first; the bias is zero.

    Example:
        >>> nn.ConvTranspose3d(4, 2, 2, stride=2)(mx.ones((1, 3, 3, 3, 4))).shape
        (1, 6, 6, 6, 2)
    """

    _dims = 3
    _function = staticmethod(mx.conv_transpose3d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        output_padding: Sizes = 0,
        bias: bool = True,
        *,
        groups: int = 1,
    ):
        super().__init__()
        self._prepare_transposed(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias
        )
