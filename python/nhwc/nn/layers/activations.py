# python/nhwc/nn/layers/activations.py -- activation functions
"""Activation functions: elementwise but for the softmax family and :func:`glu`. The modules are in
``activation_layers.py``."""

from __future__ import annotations

import math

import nhwc as mx

sigmoid = mx.sigmoid
tanh = mx.tanh


def relu(x: mx.array) -> mx.array:
    """The positive part: ``max(x, 0)``."""
    return mx.maximum(x, 0)


def relu2(x: mx.array) -> mx.array:
    """``max(x, 0) ** 2``."""
    return mx.square(mx.maximum(x, 0))


def relu6(x: mx.array) -> mx.array:
    """``min(max(x, 0), 6)``."""
    return mx.minimum(mx.maximum(x, 0), 6.0)


def leaky_relu(x: mx.array, negative_slope: float = 0.01) -> mx.array:
    """``max(negative_slope * x, x)``."""
    return mx.maximum(negative_slope * x, x)


def prelu(x: mx.array, alpha: mx.array) -> mx.array:
    """``max(x, 0) + alpha * min(x, 0)``, with ``alpha`` of one entry, or one per channel."""
    return mx.maximum(x, 0) + alpha * mx.minimum(x, 0)


def elu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``."""
    return mx.where(x > 0, x, alpha * mx.expm1(mx.minimum(x, 0)))


def celu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """``max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)``."""
    return mx.maximum(x, 0.0) + alpha * mx.expm1(mx.minimum(x, 0.0) / alpha)


def selu(x: mx.array) -> mx.array:
    """``1.0507 * elu(x, 1.67326)``, after which normal values stay normal through many layers."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def silu(x: mx.array) -> mx.array:
    """``x * sigmoid(x)``."""
    return x * mx.sigmoid(x)


def gelu(x: mx.array) -> mx.array:
    """``x`` times the normal distribution's share below it: ``x * (1 + erf(x / sqrt(2))) / 2``."""
    return x * (1 + mx.erf(x * math.sqrt(0.5))) * 0.5


def gelu_approx(x: mx.array) -> mx.array:
    """:func:`gelu` by tanh: ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``; within 0.0005 of it."""
    return 0.5 * x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def gelu_fast_approx(x: mx.array) -> mx.array:
    """:func:`gelu` by the logistic function: ``x * sigmoid(1.702 * x)``; within 0.021 of it."""
    return x * mx.sigmoid(1.702 * x)


def mish(x: mx.array) -> mx.array:
    """``x * tanh(softplus(x))``."""
    return x * mx.tanh(softplus(x))


def hardswish(x: mx.array) -> mx.array:
    """``x * min(max(x + 3, 0), 6) / 6``."""
    return x * mx.minimum(mx.maximum(x + 3, 0), 6) / 6


def hard_tanh(x: mx.array, min_val: float = -1.0, max_val: float = 1.0) -> mx.array:
    """``min(max(x, min_val), max_val)``."""
    return mx.minimum(mx.maximum(x, min_val), max_val)


def hard_shrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """``x`` where its absolute value is above ``lambd``, else 0."""
    return mx.where(mx.abs(x) > lambd, x, 0)


def softshrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """``x`` moved by ``lambd`` towards 0, and 0 where it would pass it."""
    return mx.where(mx.abs(x) > lambd, x - mx.sign(x) * lambd, 0)


def softplus(x: mx.array) -> mx.array:
    """``log(1 + exp(x))``."""
    return mx.logaddexp(x, 0)


def softsign(x: mx.array) -> mx.array:
    """``x / (1 + abs(x))``."""
    return x / (1 + mx.abs(x))


def step(x: mx.array, threshold: float = 0.0) -> mx.array:
    """0 where ``x`` is below the threshold, else 1, as int32."""
    return mx.where(x >= threshold, 1, 0)


def log_sigmoid(x: mx.array) -> mx.array:
    """``log(sigmoid(x))``, accurate where the sigmoid is near 0 or 1."""
    return -softplus(-x)


def softmax(x: mx.array, axis: int = -1) -> mx.array:
    """``exp(x)`` divided by its sum along an axis."""
    return mx.softmax(x, axis=axis)


def softmin(x: mx.array, axis: int = -1) -> mx.array:
    """``exp(-x)`` divided by its sum along an axis."""
    return mx.softmax(-x, axis=axis)


def log_softmax(x: mx.array, axis: int = -1) -> mx.array:
    """``x`` minus the logarithm of the sum of ``exp(x)`` along an axis."""
    return x - mx.logsumexp(x, axis=axis, keepdims=True)


def glu(x: mx.array, axis: int = -1) -> mx.array:
    """The first half of the input along an axis times the sigmoid of the second half.

    Raises:
        ValueError: the axis has an odd size.
    """
    if x.shape[axis] % 2:
        raise ValueError(f"[glu] axis {axis} of an input of shape {x.shape} must have an even size")
    first, second = mx.split(x, 2, axis=axis)
    return first * mx.sigmoid(second)
