# python/nhwc/nn/layers/pooling.py -- maximum and average pooling, over windows of a size and adaptive to a size
"""Pooling layers: the maximum or the mean of windows of signals ``(N, L, C)``, images ``(N, H, W, C)`` and volumes
``(N, D, H, W, C)``. An output axis of plain pooling has ``(in + 2 * padding - kernel_size) // stride + 1`` entries."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

import nhwc as mx
from nhwc.nn.layers._arguments import check_rank, count, counts
from nhwc.nn.layers.base import Module

Sizes = int | Sequence[int]

_FORMS = {1: "(N, L, C)", 2: "(N, H, W, C)", 3: "(N, D, H, W, C)"}


def _along(x: mx.array, axis: int, start: int, stop: int, step: int = 1) -> mx.array:
    """A slice along one axis."""
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


class Pooling(Module):
    """What plain pooling layers share."""

    _dims: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes | None = 0):
        super().__init__()
        name, dims = type(self).__name__, self._dims
        self._kernel_size = list(counts(kernel_size, dims, name, "kernel_size"))
        self._stride = list(self._kernel_size if stride is None else counts(stride, dims, name, "stride"))
        self._padding = list(counts(0 if padding is None else padding, dims, name, "padding", 0))

    def _extra_repr(self) -> str:
        kernel, stride, padding = tuple(self._kernel_size), tuple(self._stride), tuple(self._padding)
        return f"kernel_size={kernel}, stride={stride}, padding={padding}"

    def _output(self, x: mx.array) -> tuple[int, ...]:
        """The output's spatial shape."""
        name = type(self).__name__
        check_rank(x, (self._dims + 2,), name, _FORMS[self._dims])
        padded = [n + 2 * p for n, p in zip(x.shape[1:-1], self._padding, strict=True)]
        if any(n < k for n, k in zip(padded, self._kernel_size, strict=True)):
            raise ValueError(
                f"[{name}] kernel_size={tuple(self._kernel_size)} does not fit into an input of shape {x.shape} with "
                f"padding={tuple(self._padding)}"
            )
        return tuple((n - k) // s + 1 for n, k, s in zip(padded, self._kernel_size, self._stride, strict=True))


class MaxPooling(Pooling):
    """The maximum of windows, one axis after the other: a maximum of slices each."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes | None = 0):
        super().__init__(kernel_size, stride, padding)
        if any(p >= k for p, k in zip(self._padding, self._kernel_size, strict=True)):
            raise ValueError(
                f"[{type(self).__name__}] padding={tuple(self._padding)} must be less than "
                f"kernel_size={tuple(self._kernel_size)}: a window needs an element"
            )

    def __call__(self, x: mx.array) -> mx.array:
        output = self._output(x)
        if any(self._padding):
            least = -math.inf if mx.issubdtype(x.dtype, mx.floating) else mx.iinfo(x.dtype).min
            x = mx.pad(x, [(0, 0), *((p, p) for p in self._padding), (0, 0)], constant_values=mx.array(least, x.dtype))
        for axis, (n, k, s) in enumerate(zip(output, self._kernel_size, self._stride, strict=True), start=1):
            slices = [_along(x, axis, i, i + (n - 1) * s + 1, s) for i in range(k)]
            x = functools.reduce(mx.maximum, slices)
        return x


@functools.lru_cache(maxsize=256)
def _share(inputs: int, kernel: int, stride: int, padding: int) -> np.ndarray:
    """What part of each window along an axis lies in the input, as (outputs,)."""
    starts = np.arange((inputs + 2 * padding - kernel) // stride + 1) * stride - padding
    return (np.minimum(starts + kernel, inputs) - np.maximum(starts, 0)) / kernel


class AvgPooling(Pooling):
    """The mean of windows: a depthwise convolution whose weights are all the same."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes | None = 0,
        *,
        count_include_pad: bool = True,
    ):
        super().__init__(kernel_size, stride, padding)
        self._count_include_pad = count_include_pad
        if not count_include_pad and any(p >= k for p, k in zip(self._padding, self._kernel_size, strict=True)):
            raise ValueError(
                f"[{type(self).__name__}] padding={tuple(self._padding)} must be less than "
                f"kernel_size={tuple(self._kernel_size)} with count_include_pad=False: a window needs an element"
            )

    def __call__(self, x: mx.array) -> mx.array:
        output = self._output(x)
        if not mx.issubdtype(x.dtype, mx.floating):
            x = x.astype(mx.float32)
        if math.prod(output) == 1 and tuple(self._kernel_size) == x.shape[1:-1] and not any(self._padding):
            return mx.mean(x, axis=tuple(range(1, x.ndim - 1)), keepdims=True)
        channels = x.shape[-1]
        weight = mx.full((channels, *self._kernel_size, 1), 1 / math.prod(self._kernel_size), x.dtype)
        y = mx.conv_general(x, weight, self._stride, self._padding, groups=channels, precision="highest")
        if self._count_include_pad or not any(self._padding):
            return y
        axes = zip(x.shape[1:-1], self._kernel_size, self._stride, self._padding, strict=True)
        share = functools.reduce(np.multiply.outer, [_share(*axis) for axis in axes])
        return y * mx.array(1 / share[..., None], x.dtype)


class MaxPool1d(MaxPooling):
    """The maximum of windows of signals ``(N, L, C)``.

    Args:
        kernel_size (int | tuple): size of the windows.
        stride (int | tuple, optional): step between windows. Default: ``kernel_size``.
        padding (int | tuple): elements, less than any other, on both sides. Default: ``0``.

    Raises:
        ValueError: numbers out of range, padding not below ``kernel_size``; inputs of another rank, or too small.

    Example:
        >>> nn.MaxPool1d(2)(mx.ones((1, 8, 3))).shape
        (1, 4, 3)
    """

    _dims = 1


class MaxPool2d(MaxPooling):
    """The maximum of windows of images ``(N, H, W, C)``.

    Args:
        kernel_size (int | tuple): size of the windows.
        stride (int | tuple, optional): step between windows. Default: ``kernel_size``.
        padding (int | tuple): elements, less than any other, on both sides of each axis. Default: ``0``.

    Raises:
        ValueError: numbers out of range, padding not below ``kernel_size``; inputs of another rank, or too small.

    Example:
        >>> nn.MaxPool2d(3, stride=2, padding=1)(mx.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 3)
    """

    _dims = 2


class MaxPool3d(MaxPooling):
    """The maximum of windows of volumes ``(N, D, H, W, C)``.

    Args:
        kernel_size (int | tuple): size of the windows.
        stride (int | tuple, optional): step between windows. Default: ``kernel_size``.
        padding (int | tuple): elements, less than any other, on both sides of each axis. Default: ``0``.

    Raises:
        ValueError: numbers out of range, padding not below ``kernel_size``; inputs of another rank, or too small.

    Example:
        >>> nn.MaxPool3d(2)(mx.ones((1, 4, 4, 4, 3))).shape
        (1, 2, 2, 2, 3)
    """

    _dims = 3


class AvgPool1d(AvgPooling):
    """The mean of windows of signals ``(N, L, C)``.

    Args:
        kernel_size (int | tuple): size of the windows.
        stride (int | tuple, optional): step between windows. Default: ``kernel_size``.
        padding (int | tuple): zeros on both sides. Default: ``0``.
        count_include_pad (bool): whether these zeros count; not in MLX. Default: ``True``.

    Raises:
        ValueError: numbers out of range; inputs of another rank, or too small.

    Example:
        >>> nn.AvgPool1d(2)(mx.ones((1, 8, 3))).shape
        (1, 4, 3)
    """

    _dims = 1


class AvgPool2d(AvgPooling):
    """The mean of windows of images ``(N, H, W, C)``.

    Args:
        kernel_size (int | tuple): size of the windows.
        stride (int | tuple, optional): step between windows. Default: ``kernel_size``.
        padding (int | tuple): zeros on both sides of each axis. Default: ``0``.
        count_include_pad (bool): whether these zeros count; not in MLX. Default: ``True``.

    Raises:
        ValueError: numbers out of range; inputs of another rank, or too small.

    Example:
        >>> nn.AvgPool2d(3, stride=2, padding=1)(mx.ones((1, 8, 8, 3))).shape
        (1, 4, 4, 3)
    """

    _dims = 2


class AvgPool3d(AvgPooling):
    """The mean of windows of volumes ``(N, D, H, W, C)``.

    Args:
        kernel_size (int | tuple): size of the windows.
        stride (int | tuple, optional): step between windows. Default: ``kernel_size``.
        padding (int | tuple): zeros on both sides of each axis. Default: ``0``.
        count_include_pad (bool): whether these zeros count; not in MLX. Default: ``True``.

    Raises:
        ValueError: numbers out of range; inputs of another rank, or too small.

    Example:
        >>> nn.AvgPool3d(2)(mx.ones((1, 4, 4, 4, 3))).shape
        (1, 2, 2, 2, 3)
    """

    _dims = 3


class AdaptivePooling(Module):
    """What adaptive pooling layers share. Window ``i`` of ``m`` begins at ``floor(i * n / m)`` and ends before
    ``ceil((i + 1) * n / m)``, as in torch; windows are products of intervals, so axes go one after the other."""

    _dims: int
    _reduce = staticmethod(mx.max)

    def __init__(self, output_size: int | Sequence[int | None] | None):
        super().__init__()
        name, dims = type(self).__name__, self._dims
        sizes = list(output_size) if isinstance(output_size, Sequence) else [output_size] * dims
        if len(sizes) != dims:
            raise ValueError(f"[{name}] output_size must be an int or {dims} of them, got {output_size!r}")
        self._output_size = [None if s is None else count(s, name, "output_size") for s in sizes]

    def _extra_repr(self) -> str:
        return f"output_size={tuple(self._output_size)}"

    def __call__(self, x: mx.array) -> mx.array:
        check_rank(x, (self._dims + 2,), type(self).__name__, _FORMS[self._dims])
        if 0 in x.shape[1:-1]:
            raise ValueError(f"[{type(self).__name__}] windows of an input of shape {x.shape} are empty")
        for axis, m in enumerate(self._output_size, start=1):
            n = x.shape[axis]
            if m is None or m == n:
                continue
            if n % m == 0:
                x = self._reduce(x.reshape(*x.shape[:axis], m, n // m, *x.shape[axis + 1 :]), axis=axis + 1)
                continue
            windows = [_along(x, axis, i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            x = mx.concatenate([self._reduce(w, axis=axis, keepdims=True) for w in windows], axis=axis)
        return x


class AdaptiveMaxPool1d(AdaptivePooling):
    """The maximum of as many windows of signals ``(N, L, C)`` as are asked for; not in MLX.

    Args:
        output_size (int | tuple | None): number of windows; ``None`` leaves the axis as it is.

    Raises:
        ValueError: numbers below 1; inputs of another rank.

    Example:
        >>> nn.AdaptiveMaxPool1d(3)(mx.ones((1, 8, 2))).shape
        (1, 3, 2)
    """

    _dims = 1


class AdaptiveMaxPool2d(AdaptivePooling):
    """The maximum of as many windows of images ``(N, H, W, C)`` as are asked for; not in MLX.

    Args:
        output_size (int | tuple | None): number of windows, of each axis; ``None`` leaves an axis as it is.

    Raises:
        ValueError: numbers below 1; inputs of another rank.

    Example:
        >>> nn.AdaptiveMaxPool2d((3, None))(mx.ones((1, 8, 8, 2))).shape
        (1, 3, 8, 2)
    """

    _dims = 2


class AdaptiveMaxPool3d(AdaptivePooling):
    """The maximum of as many windows of volumes ``(N, D, H, W, C)`` as are asked for; not in MLX.

    Args:
        output_size (int | tuple | None): number of windows, of each axis; ``None`` leaves an axis as it is.

    Raises:
        ValueError: numbers below 1; inputs of another rank.

    Example:
        >>> nn.AdaptiveMaxPool3d(2)(mx.ones((1, 5, 5, 5, 2))).shape
        (1, 2, 2, 2, 2)
    """

    _dims = 3


class AdaptiveAvgPool1d(AdaptiveMaxPool1d):
    """The mean of as many windows of signals ``(N, L, C)`` as are asked for; not in MLX.

    Args:
        output_size (int | tuple | None): number of windows; ``None`` leaves the axis as it is.

    Raises:
        ValueError: numbers below 1; inputs of another rank.

    Example:
        >>> nn.AdaptiveAvgPool1d(3)(mx.ones((1, 8, 2))).shape
        (1, 3, 2)
    """

    _reduce = staticmethod(mx.mean)


class AdaptiveAvgPool2d(AdaptiveMaxPool2d):
    """The mean of as many windows of images ``(N, H, W, C)`` as are asked for; not in MLX.

    Args:
        output_size (int | tuple | None): number of windows, of each axis; ``None`` leaves an axis as it is.

    Raises:
        ValueError: numbers below 1; inputs of another rank.

    Example:
        >>> nn.AdaptiveAvgPool2d(1)(mx.ones((2, 7, 7, 16))).shape
        (2, 1, 1, 16)
    """

    _reduce = staticmethod(mx.mean)


class AdaptiveAvgPool3d(AdaptiveMaxPool3d):
    """The mean of as many windows of volumes ``(N, D, H, W, C)`` as are asked for; not in MLX.

    Args:
        output_size (int | tuple | None): number of windows, of each axis; ``None`` leaves an axis as it is.

    Raises:
        ValueError: numbers below 1; inputs of another rank.

    Example:
        >>> nn.AdaptiveAvgPool3d(2)(mx.ones((1, 5, 5, 5, 2))).shape
        (1, 2, 2, 2, 2)
    """

    _reduce = staticmethod(mx.mean)
