# python/nhwc/nn/init.py -- initializers: functions that make an array of an array's shape
"""Initial values of parameters. Each function returns an initializer: from an array to one of its shape.

The number of inputs of a weight ``(C_out, ..., C_in)`` is ``C_in`` times its receptive field, the product of the sizes
between; its number of outputs is ``C_out`` times that.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import nhwc as mx

Initializer = Callable[..., mx.array]


def constant(value: float, dtype: mx.Dtype = mx.float32) -> Initializer:
    """The same value everywhere.

    Args:
        value (float): the value.
        dtype (Dtype): of the result. Default: ``float32``.

    Example:
        >>> nn.init.constant(0.5)(mx.zeros((2,))).tolist()
        [0.5, 0.5]
    """
    return lambda a: mx.full(a.shape, value, dtype)


def normal(mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Values of a normal distribution.

    Args:
        mean (float): Default: ``0.0``.
        std (float): the standard deviation. Default: ``1.0``.
        dtype (Dtype): of the result. Default: ``float32``.

    Example:
        >>> nn.init.normal(std=0.02)(mx.zeros((3, 4))).shape
        (3, 4)
    """
    return lambda a: mx.random.normal(a.shape, dtype, mean, std)


def uniform(low: float = 0.0, high: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Values evenly spread over ``[low, high)``.

    Args:
        low (float): Default: ``0.0``.
        high (float): Default: ``1.0``.
        dtype (Dtype): of the result. Default: ``float32``.

    Example:
        >>> nn.init.uniform(-1, 1)(mx.zeros((3, 4))).shape
        (3, 4)
    """
    return lambda a: mx.random.uniform(low, high, a.shape, dtype)


def identity(dtype: mx.Dtype = mx.float32) -> Initializer:
    """The identity matrix.

    Args:
        dtype (Dtype): of the result. Default: ``float32``.

    Raises:
        ValueError: an array that is no square matrix.

    Example:
        >>> nn.init.identity()(mx.zeros((2, 2))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"[init.identity] expected a square matrix, got an array of shape {a.shape}")
        return mx.eye(a.shape[0], dtype=dtype)

    return initializer


def _fans(a: mx.array, who: str) -> tuple[int, int]:
    """The numbers of inputs and outputs of a weight."""
    if a.ndim < 2:
        raise ValueError(f"[{who}] expected a weight (C_out, ..., C_in) of 2 dimensions or more, got shape {a.shape}")
    field = math.prod(a.shape[1:-1])
    if 0 in a.shape:
        raise ValueError(f"[{who}] a weight of shape {a.shape} has no inputs or no outputs")
    return a.shape[-1] * field, a.shape[0] * field


def _fan(a: mx.array, mode: str, who: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[{who}] mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _fans(a, who)[mode == "fan_out"]


def glorot_normal(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Normal values with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio, 2010).

    Args:
        dtype (Dtype): of the result. Default: ``float32``.

    Returns:
        An initializer ``(array, gain=1.0)``.

    Raises:
        ValueError: a weight of fewer than 2 dimensions.

    Example:
        >>> nn.init.glorot_normal()(mx.zeros((4, 3)), gain=2.0).shape
        (4, 3)
    """

    def initializer(a: mx.array, gain: float = 1.0) -> mx.array:
        std = gain * math.sqrt(2 / sum(_fans(a, "init.glorot_normal")))
        return mx.random.normal(a.shape, dtype, scale=std)

    return initializer


def glorot_uniform(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Values evenly spread within ``+-gain * sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010).

    Args:
        dtype (Dtype): of the result. Default: ``float32``.

    Returns:
        An initializer ``(array, gain=1.0)``.

    Raises:
        ValueError: a weight of fewer than 2 dimensions.

    Example:
        >>> nn.init.glorot_uniform()(mx.zeros((4, 3))).shape
        (4, 3)
    """

    def initializer(a: mx.array, gain: float = 1.0) -> mx.array:
        bound = gain * math.sqrt(6 / sum(_fans(a, "init.glorot_uniform")))
        return mx.random.uniform(-bound, bound, a.shape, dtype)

    return initializer


def he_normal(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Normal values with standard deviation ``gain / sqrt(fan)`` (He et al., 2015).

    Args:
        dtype (Dtype): of the result. Default: ``float32``.

    Returns:
        An initializer ``(array, mode="fan_in", gain=1.0)``; the mode may be ``"fan_out"``.

    Raises:
        ValueError: a weight of fewer than 2 dimensions, an unknown mode.

    Example:
        >>> nn.init.he_normal()(mx.zeros((16, 3, 3, 8)), mode="fan_out").shape
        (16, 3, 3, 8)
    """

    def initializer(a: mx.array, mode: str = "fan_in", gain: float = 1.0) -> mx.array:
        std = gain / math.sqrt(_fan(a, mode, "init.he_normal"))
        return mx.random.normal(a.shape, dtype, scale=std)

    return initializer


def he_uniform(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Values evenly spread within ``+-gain * sqrt(3 / fan)`` (He et al., 2015).

    Args:
        dtype (Dtype): of the result. Default: ``float32``.

    Returns:
        An initializer ``(array, mode="fan_in", gain=1.0)``; the mode may be ``"fan_out"``.

    Raises:
        ValueError: a weight of fewer than 2 dimensions, an unknown mode.

    Example:
        >>> nn.init.he_uniform()(mx.zeros((16, 3, 3, 8))).shape
        (16, 3, 3, 8)
    """

    def initializer(a: mx.array, mode: str = "fan_in", gain: float = 1.0) -> mx.array:
        bound = gain * math.sqrt(3 / _fan(a, mode, "init.he_uniform"))
        return mx.random.uniform(-bound, bound, a.shape, dtype)

    return initializer


def sparse(sparsity: float, mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Normal values, of which in every row the same number, at random places, is zero (Martens, 2010).

    Args:
        sparsity (float): the part of a row that is zero, rounded up to whole entries; in [0, 1].
        mean (float): Default: ``0.0``.
        std (float): the standard deviation. Default: ``1.0``.
        dtype (Dtype): of the result. Default: ``float32``.

    Raises:
        ValueError: ``sparsity`` out of range; an array that is no matrix.

    Example:
        >>> (nn.init.sparse(0.5)(mx.zeros((3, 4))) == 0).sum(axis=1).tolist()
        [2, 2, 2]
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"[init.sparse] sparsity must be in [0, 1], got {sparsity}")

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2:
            raise ValueError(f"[init.sparse] expected a matrix, got an array of shape {a.shape}")
        order = mx.argsort(mx.random.uniform(shape=a.shape), axis=1)
        values = mx.random.normal(a.shape, dtype, mean, std)
        zeros = order[:, : math.ceil(sparsity * a.shape[1])]
        return mx.put_along_axis(values, zeros, mx.array(0, dtype), axis=1)

    return initializer


def orthogonal(gain: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """A random matrix with orthogonal rows or columns, whichever are fewer (Saxe et al., 2013).

    Args:
        gain (float): the length of these rows or columns. Default: ``1.0``.
        dtype (Dtype): of the result. Default: ``float32``.

    Raises:
        ValueError: an array that is no matrix.

    Example:
        >>> q = nn.init.orthogonal()(mx.zeros((3, 3)))
        >>> mx.allclose(q @ q.T, mx.eye(3), atol=1e-5).item()
        True
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2:
            raise ValueError(f"[init.orthogonal] expected a matrix, got an array of shape {a.shape}")
        n = max(a.shape)
        q, r = np.linalg.qr(np.array(mx.random.normal((n, n))).astype(np.float64))
        q = q * np.sign(np.diagonal(r))  # without it the signs are LAPACK's, and q is not uniformly distributed
        return mx.array(gain * q[: a.shape[0], : a.shape[1]], mx.float32).astype(dtype)

    return initializer
