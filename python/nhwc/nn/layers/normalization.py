# python/nhwc/nn/layers/normalization.py -- BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
"""Normalizations: inputs brought to mean 0 and variance 1 over some axes, then scaled and shifted per channel."""

from __future__ import annotations

import nhwc as mx
from nhwc.nn.layers._arguments import check_last, check_rank, count
from nhwc.nn.layers.base import Module


def _standardized(
    x: mx.array, axes: tuple[int, ...], eps: float, weight: mx.array | None, bias: mx.array | None, keepdims: bool
) -> tuple[mx.array, mx.array, mx.array]:
    """``(x - mean) / sqrt(var + eps) * weight + bias``, the mean and the variance over some axes.

    ``x`` is centred by a constant equal to the mean, and what the mean contributes to derivatives comes through
    ``moved``, which is zero and small: a training step takes two passes over ``x`` fewer than with ``x - mean``, and
    nothing is lost where the mean is large, as it would be with ``x * scale + shift``.

    Half types are float32 inside, as are their mean and variance: squares beyond 65504 would make float16's zero.
    """
    half = x.dtype in (mx.float16, mx.bfloat16)
    dtype = mx.result_type(x, *(a for a in (weight, bias) if a is not None))
    if half:
        x = x.astype(mx.float32)
    mean = mx.mean(x, axis=axes, keepdims=keepdims)
    constant = mx.stop_gradient(mean)
    centred, moved = x - constant, mean - constant
    var = mx.mean(mx.square(centred), axis=axes, keepdims=keepdims) - mx.square(moved)
    scale = mx.rsqrt(var + eps) if weight is None else mx.rsqrt(var + eps) * weight
    shift = moved * scale if bias is None else moved * scale - bias
    y = centred * scale - shift
    return y.astype(dtype) if half else y, mean, var


class BatchNorm(Module):
    """Each channel brought to mean 0 and variance 1 over all other axes of a batch.

    In training mode the batch's statistics are used, and running ones follow them: ``running = (1 - momentum) * running
    + momentum * batch``, where the batch's variance is the unbiased one. In evaluation mode the running ones are used.

    Args:
        num_features (int): number of channels.
        eps (float): added to the variance. Default: ``1e-5``.
        momentum (float): weight of a batch in the running statistics. Default: ``0.1``.
        affine (bool): whether there are a weight and a bias, ``(num_features,)``, one and zero at first.
            Default: ``True``.
        track_running_stats (bool): whether there are ``running_mean`` and ``running_var``; they are never trainable.
            Without them the batch's statistics are used in both modes. Default: ``True``.

    Raises:
        ValueError: an input that is not ``(N, C)``, ``(N, L, C)``, ``(N, H, W, C)`` or ``(N, D, H, W, C)``; in training
            mode, one of fewer than two values per channel.

    Example:
        >>> nn.BatchNorm(3)(mx.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    _always_frozen = ("running_mean", "running_var")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        self.num_features = count(num_features, "BatchNorm", "num_features")
        self.eps = eps
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = mx.ones((num_features,))
            self.bias = mx.zeros((num_features,))
        if track_running_stats:
            self.running_mean = mx.zeros((num_features,))
            self.running_var = mx.ones((num_features,))
            self.freeze(keys=["running_mean", "running_var"], recurse=False)

    def _extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={'weight' in self}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        check_rank(x, (2, 3, 4, 5), "BatchNorm", "(N, ..., C) with 2 to 5 axes")
        check_last(x, self.num_features, "BatchNorm", "num_features")
        weight, bias = self.get("weight"), self.get("bias")
        if not self._training and self.track_running_stats:
            scale = mx.rsqrt(self["running_var"] + self.eps)
            y = (x - self["running_mean"]) * (scale if weight is None else scale * weight)
            return y if bias is None else y + bias
        n = x.size // self.num_features
        if n < 2 and self._training:
            raise ValueError(f"[BatchNorm] training needs more than one value per channel, got an input {x.shape}")
        y, mean, var = _standardized(x, tuple(range(x.ndim - 1)), self.eps, weight, bias, keepdims=False)
        if self.track_running_stats:
            self._follow("running_mean", mean, self.momentum, x)
            self._follow("running_var", var, self.momentum * n / (n - 1), x)
        return y

    def _follow(self, name: str, batch: mx.array, share: float, x: mx.array) -> None:
        """Moves a running statistic towards that of a batch ``x``, in the type of both."""
        running = self[name]
        self[name] = ((1 - self.momentum) * running + share * batch).astype(mx.result_type(running, x))


class GroupNorm(Module):
    """Groups of channels of each item brought to mean 0 and variance 1 over themselves and the spatial axes.

    Args:
        num_groups (int): number of groups.
        dims (int): number of channels.
        eps (float): added to the variance. Default: ``1e-5``.
        affine (bool): whether there are a weight and a bias, ``(dims,)``, one and zero at first. Default: ``True``.
        pytorch_compatible (bool): whether a group is of neighbouring channels; otherwise it is of channels
            ``num_groups`` apart. Default: ``False``.

    Raises:
        ValueError: ``num_groups`` does not divide ``dims``; an input whose last axis is not ``dims``.

    Example:
        >>> nn.GroupNorm(2, 4)(mx.ones((1, 8, 8, 4))).shape
        (1, 8, 8, 4)
    """

    def __init__(
        self, num_groups: int, dims: int, eps: float = 1e-5, affine: bool = True, pytorch_compatible: bool = False
    ):
        super().__init__()
        self.num_groups, self.dims = count(num_groups, "GroupNorm", "num_groups"), count(dims, "GroupNorm", "dims")
        if dims % num_groups:
            raise ValueError(f"[GroupNorm] num_groups={num_groups} must divide dims={dims}")
        if affine:
            self.bias = mx.zeros((dims,))
            self.weight = mx.ones((dims,))
        self.eps = eps
        self.pytorch_compatible = pytorch_compatible

    def _extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.dims}, eps={self.eps}, affine={'weight' in self}, "
            f"pytorch_compatible={self.pytorch_compatible}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        check_last(x, self.dims, "GroupNorm", "dims")
        # (N, pixels, groups, channels of a group), or with the last two exchanged: the statistics are over the rest.
        groups, size = self.num_groups, self.dims // self.num_groups
        split, axes = ((groups, size), (1, 3)) if self.pytorch_compatible else ((size, groups), (1, 2))
        weight, bias = (self[k].reshape(split) if k in self else None for k in ("weight", "bias"))
        parts = x.reshape(x.shape[0], -1, *split)
        return _standardized(parts, axes, self.eps, weight, bias, keepdims=True)[0].reshape(x.shape)


class InstanceNorm(Module):
    """Each channel of each item brought to mean 0 and variance 1 over the spatial axes.

    Args:
        dims (int): number of channels.
        eps (float): added to the variance. Default: ``1e-5``.
        affine (bool): whether there are a weight and a bias, ``(dims,)``, one and zero at first. Default: ``False``.

    Raises:
        ValueError: an input of fewer than 3 axes, or whose last axis is not ``dims``.

    Example:
        >>> nn.InstanceNorm(3)(mx.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = False):
        super().__init__()
        self.dims = count(dims, "InstanceNorm", "dims")
        self.eps = eps
        if affine:
            self.weight = mx.ones((dims,))
            self.bias = mx.zeros((dims,))

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 3:
            raise ValueError(
                f"[InstanceNorm] expected an input of shape (N, ..., C) with 3 axes or more, got {x.shape}"
            )
        check_last(x, self.dims, "InstanceNorm", "dims")
        axes = tuple(range(1, x.ndim - 1))
        return _standardized(x, axes, self.eps, self.get("weight"), self.get("bias"), keepdims=True)[0]


class LayerNorm(Module):
    """The last axis brought to mean 0 and variance 1.

    Args:
        dims (int): size of the last axis.
        eps (float): added to the variance. Default: ``1e-5``.
        affine (bool): whether there is a weight ``(dims,)``, one at first. Default: ``True``.
        bias (bool): whether there is a bias ``(dims,)`` too, zero at first. Default: ``True``.

    Raises:
        ValueError: an input whose last axis is not ``dims``.

    Example:
        >>> nn.LayerNorm(4)(mx.ones((2, 4))).tolist()[0]
        [0.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True):
        super().__init__()
        self.dims = count(dims, "LayerNorm", "dims")
        self.eps = eps
        if affine:
            self.weight = mx.ones((dims,))
            if bias:
                self.bias = mx.zeros((dims,))

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        check_last(x, self.dims, "LayerNorm", "dims")
        return mx.fast.layer_norm(x, self.get("weight"), self.get("bias"), self.eps)


class RMSNorm(Module):
    """The last axis divided by its root mean square, then scaled.

    Args:
        dims (int): size of the last axis.
        eps (float): added to the mean square. Default: ``1e-5``.

    Raises:
        ValueError: an input whose last axis is not ``dims``.

    The weight ``(dims,)`` is one at first.

    Example:
        >>> nn.RMSNorm(4)(mx.full((1, 4), 2.0)).shape
        (1, 4)
    """

    def __init__(self, dims: int, eps: float = 1e-5):
        super().__init__()
        self.weight = mx.ones((count(dims, "RMSNorm", "dims"),))
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"

    def __call__(self, x: mx.array) -> mx.array:
        check_last(x, self["weight"].shape[0], "RMSNorm", "dims")
        return mx.fast.rms_norm(x, self["weight"], self.eps)
