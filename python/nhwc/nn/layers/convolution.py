# python/nhwc/nn/layers/convolution.py -- Conv1d, Conv2d, Conv3d
"""Convolution layers of one, two and three spatial axes, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import nhwc as mx
from nhwc.nn.layers._arguments import count, counts, group_count, paddings
from nhwc.nn.layers.base import Module

Sizes = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[tuple[int, int]]


class Convolution(Module):
    """What plain and transposed convolutions share: parameters, their initial values, and the description.

    One spatial axis keeps its numbers as they are given, several keep tuples, except for the dilation.
    """

    _dims: int
    _function: Callable
    _groups_in_description = False

    def _prepare(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Padding,
        dilation: Sizes,
        groups: int,
        bias: bool,
    ) -> None:
        name, dims = type(self).__name__, self._dims
        inputs, outputs = count(in_channels, name, "in_channels"), count(out_channels, name, "out_channels")
        kernel = counts(kernel_size, dims, name, "kernel_size")
        groups = group_count(groups, name, in_channels=inputs, out_channels=outputs)
        counts(dilation, dims, name, "dilation")
        steps, pads = counts(stride, dims, name, "stride"), paddings(padding, dims, name)
        bound = math.sqrt(1 / (inputs // groups * math.prod(kernel)))
        self.weight = mx.random.uniform(-bound, bound, (outputs, *kernel, inputs // groups))
        if bias:
            self.bias = mx.zeros((outputs,))
        self.padding = padding if dims == 1 else pads
        self.dilation = dilation
        self.stride = stride if dims == 1 else steps
        self.groups = groups

    def _extra_repr(self) -> str:
        outputs, *kernel, inputs = self.weight.shape
        size = kernel[0] if self._dims == 1 else tuple(kernel)
        groups = f"groups={self.groups}, " if self._groups_in_description or self.groups > 1 else ""
        return (
            f"{inputs * self.groups}, {outputs}, kernel_size={size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, {self._own_repr()}{groups}bias={'bias' in self}"
        )

    def _own_repr(self) -> str:
        return ""

    def __call__(self, x: mx.array) -> mx.array:
        return self._function(
            x, self["weight"], self.stride, self.padding, self.dilation, self.groups, bias=self.get("bias")
        )


class Conv1d(Convolution):
    """A convolution of signals ``(N, L, C_in)``.

    Args:
        in_channels (int): ``C_in``.
        out_channels (int): ``C_out``.
        kernel_size (int): ``K``.
        stride (int): step between outputs. Default: ``1``.
        padding (int | str | tuple): zeros at both ends, ``(before, after)`` pairs, ``"same"``, ``"valid"`` or
            ``"causal"``. Default: ``0``.
        dilation (int): step between taps. Default: ``1``.
        groups (int): the channels are split into this many independent convolutions. Default: ``1``.
        bias (bool): whether a ``(C_out,)`` bias is added. Default: ``True``.

    Raises:
        ValueError: numbers below 1, groups that do not divide both numbers of channels.

    Weights are ``(C_out, K, C_in / groups)``, uniform within ``+-1 / sqrt(C_in / groups * K)`` at
    first; the bias is zero.

    Example:
        >>> nn.Conv1d(4, 8, 3, padding=1)(mx.ones((2, 10, 4))).shape
        (2, 10, 8)
    """

    _dims = 1
    _function = staticmethod(mx.conv1d)
    _groups_in_description = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: Padding = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        self._prepare(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)


class Conv2d(Convolution):
    """A convolution of images ``(N, H, W, C_in)``.

    Args:
        in_channels (int): ``C_in``.
        out_channels (int): ``C_out``.
        kernel_size (int | tuple): ``KH, KW``.
        stride (int | tuple): step between outputs. Default: ``1``.
        padding (int | tuple | str): zeros on both sides of each axis, a ``(before, after)`` pair for each,
            ``"same"`` or ``"valid"``. Default: ``0``.
        dilation (int | tuple): step between taps. Default: ``1``.
        groups (int): the channels are split into this many independent convolutions. Default: ``1``.
        bias (bool): whether a ``(C_out,)`` bias is added. Default: ``True``.

    Raises:
        ValueError: numbers below 1, groups that do not divide both numbers of channels.

    Weights are ``(C_out, KH, KW, C_in / groups)``, uniform within ``+-1 / sqrt(C_in / groups * KH * KW)`` at
    first; the bias is zero.

    Example:
        >>> nn.Conv2d(3, 16, 3, stride=2, padding=1)(mx.ones((2, 8, 8, 3))).shape
        (2, 4, 4, 16)
    """

    _dims = 2
    _function = staticmethod(mx.conv2d)
    _groups_in_description = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        self._prepare(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)


class Conv3d(Convolution):
    """A convolution of volumes ``(N, D, H, W, C_in)``.

    Args:
        in_channels (int): ``C_in``.
        out_channels (int): ``C_out``.
        kernel_size (int | tuple): ``KD, KH, KW``.
        stride (int | tuple): step between outputs. Default: ``1``.
        padding (int | tuple | str): as for :class:`Conv2d`. Default: ``0``.
        dilation (int | tuple): step between taps. Default: ``1``.
        bias (bool): whether a ``(C_out,)`` bias is added. Default: ``True``.
        groups (int): the channels are split into this many independent convolutions; not in MLX. Default: ``1``.

    Raises:
        ValueError: numbers below 1, groups that do not divide both numbers of channels.

    Weights are ``(C_out, KD, KH, KW, C_in / groups)``, uniform within ``+-1 / sqrt(C_in / groups * KD * KH * KW)`` at
    first; the bias is zero.

    Example:
        >>> nn.Conv3d(1, 4, 3)(mx.ones((1, 5, 5, 5, 1))).shape
        (1, 3, 3, 3, 4)
    """

    _dims = 3
    _function = staticmethod(mx.conv3d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        bias: bool = True,
        *,
        groups: int = 1,
    ):
        super().__init__()
        self._prepare(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
