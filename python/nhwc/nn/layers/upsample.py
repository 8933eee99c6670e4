# python/nhwc/nn/layers/upsample.py -- Upsample: nearest, linear and cubic interpolation along every spatial axis
"""Resampling. Interpolation is separable: along each axis an output is a weighted sum of a few inputs."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

import nhwc as mx
from nhwc.nn.layers.base import Module


def _positions(n: int, m: int, scale: float, align_corners: bool) -> np.ndarray:
    """Where the outputs lie among the inputs."""
    if align_corners:
        return np.arange(m) * ((n - 1) / (m - 1)) if m > 1 else np.zeros(m)
    return np.arange(m) / scale - ((m - 1) / scale - n + 1) / 2


def _linear(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(t), 0)


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel: its weights sum to 1 at any offset, and it is 1 at 0 and 0 at other ints."""
    t = np.abs(t)
    inner = ((a + 2) * t - (a + 3)) * t * t + 1
    outer = a * (((t - 5) * t + 8) * t - 4)
    return np.where(t <= 1, inner, np.where(t < 2, outer, 0))


@functools.lru_cache(maxsize=256)
def _taps(
    n: int, m: int, scale: float, mode: str, align_corners: bool, antialias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of inputs and their weights, each (taps, m). What lies outside has the value at the border.

    ``antialias`` widens the kernel by ``1 / scale`` when that is above 1; it then leaves out what lies outside.
    """
    if mode == "nearest":
        i = np.arange(m)
        nearest = np.round(((2 * i + 1) * n - m) / (2 * m)) if m >= n else i * n // m
        return np.clip(nearest.astype(np.int64), 0, n - 1)[None], np.ones((1, m))
    positions = _positions(n, m, scale, align_corners)
    reach, kernel = 1, _linear
    if mode == "cubic":
        # -0.75 is OpenCV's; antialiasing is as in Pillow and torch, whose kernel has -0.5.
        reach, kernel = 2, functools.partial(_cubic, a=-0.5 if antialias else -0.75)
    shrink = min(scale, 1.0) if antialias else 1.0
    wide = math.ceil(reach / shrink)
    first = np.floor(positions).astype(np.int64) - wide + 1
    indices = first + np.arange(2 * wide)[:, None]
    weights = kernel((indices - positions) * shrink)
    if antialias:
        weights = np.where((indices >= 0) & (indices < n), weights, 0)
        weights /= weights.sum(axis=0)
    used = np.abs(weights).max(axis=1) > 0
    return np.clip(indices, 0, n - 1)[used], weights[used]


class Upsample(Module):
    """Resamples the spatial axes of ``(N, ..., C)``, by a factor that may be below 1 too.

    An axis of ``n`` entries becomes one of ``int(n * scale)``.

    Args:
        scale_factor (float | tuple): the factor, for all axes or each.
        mode (str): ``"nearest"``, ``"linear"`` or ``"cubic"``. Default: ``"nearest"``.
        align_corners (bool): whether the first and the last entries of input and output lie at the same places,
            instead of the borders of the outermost pixels. Not for ``"nearest"``. Default: ``False``.
        antialias (bool): whether the kernel widens with the step where the factor is below 1, so that every input
            counts; cubic weights then are Pillow's. Not for ``"nearest"`` or ``align_corners``. Default: ``False``.

    Raises:
        ValueError: a factor that is not positive, an unknown mode, options that exclude each other; an input without
            spatial axes, of another number of them than there are factors, or that would become empty.

    Example:
        >>> nn.Upsample(2)(mx.array([[[1.0], [2.0]]])).flatten().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(
        self,
        scale_factor: float | tuple[float, ...],
        mode: str = "nearest",
        align_corners: bool = False,
        antialias: bool = False,
    ):
        super().__init__()
        if mode not in ("nearest", "linear", "cubic"):
            raise ValueError(f"[Upsample] mode must be 'nearest', 'linear' or 'cubic', got {mode!r}")
        if antialias and (align_corners or mode == "nearest"):
            raise ValueError("[Upsample] antialias=True excludes align_corners=True and mode='nearest'")
        several = isinstance(scale_factor, Sequence)
        factors = tuple(float(s) for s in (scale_factor if several else [scale_factor]))
        if not factors or not all(0 < s < math.inf for s in factors):
            raise ValueError(f"[Upsample] scale_factor must be positive, got {scale_factor!r}")
        self.scale_factor = factors if several else factors[0]
        self.mode = mode
        self.align_corners = align_corners
        self.antialias = antialias

    def _extra_repr(self) -> str:
        antialias = ", antialias=True" if self.antialias else ""
        return f"scale_factor={self.scale_factor}, mode={self.mode!r}, align_corners={self.align_corners}{antialias}"

    def __call__(self, x: mx.array) -> mx.array:
        dims = x.ndim - 2
        if dims < 1:
            raise ValueError(f"[Upsample] expected an input of shape (N, ..., C) with 3 axes or more, got {x.shape}")
        factors = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * dims
        if len(factors) != dims:
            raise ValueError(f"[Upsample] {len(factors)} scale factors do not fit an input of shape {x.shape}")
        for axis, scale in enumerate(factors, start=1):
            if int(x.shape[axis] * scale) < 1:
                raise ValueError(f"[Upsample] scale_factor={scale} leaves nothing of axis {axis} of {x.shape}")
        if self.mode == "nearest" and all(s.is_integer() for s in factors):
            return _repeated(x, [int(s) for s in factors])
        for axis, scale in enumerate(factors, start=1):
            x = self._resampled(x, axis, scale)
        return x

    def _resampled(self, x: mx.array, axis: int, scale: float) -> mx.array:
        n = x.shape[axis]
        indices, weights = _taps(n, int(n * scale), scale, self.mode, self.align_corners, self.antialias)
        if self.mode == "nearest":
            return mx.take(x, mx.array(indices[0], mx.int32), axis=axis)
        dtype = x.dtype if mx.issubdtype(x.dtype, mx.floating) else mx.float32
        beside = (1,) * (x.ndim - 1 - axis)
        terms = [
            mx.take(x, mx.array(i, mx.int32), axis=axis) * mx.array(w, dtype).reshape(-1, *beside)
            for i, w in zip(indices, weights, strict=True)
        ]
        return functools.reduce(mx.add, terms)


def _repeated(x: mx.array, factors: list[int]) -> mx.array:
    """Every pixel as many times as the factors say, in one copy."""
    batch, *spatial, channels = x.shape
    split = [batch, *(k for n in spatial for k in (n, 1)), channels]
    wide = [batch, *(k for n, f in zip(spatial, factors, strict=True) for k in (n, f)), channels]
    merged = [batch, *(n * f for n, f in zip(spatial, factors, strict=True)), channels]
    return mx.broadcast_to(x.reshape(split), wide).reshape(merged)
