# python/nhwc/nn/layers/activation_layers.py -- activation functions as modules
"""A module for every function of ``activations.py``; what a function takes beside its input, the constructor takes."""

from __future__ import annotations

from collections.abc import Callable

import nhwc as mx
from nhwc.nn.layers import activations
from nhwc.nn.layers._arguments import count
from nhwc.nn.layers.base import Module


def _layer(name: str, function: Callable[[mx.array], mx.array]) -> type[Module]:
    """The module of a function that takes its input alone."""

    def __call__(self: Module, x: mx.array) -> mx.array:
        return function(x)

    lines = (function.__doc__ or "").strip().splitlines()
    signed = lines[0].startswith(f"{function.__name__}(")  # as in functions of the extension
    summary = lines[2 if signed else 0]
    body = {"__call__": __call__, "__module__": __name__, "__qualname__": name, "__doc__": f"A layer: {summary}"}
    return type(name, (Module,), body)


HardTanh = _layer("HardTanh", activations.hard_tanh)
Hardswish = _layer("Hardswish", activations.hardswish)
LogSigmoid = _layer("LogSigmoid", activations.log_sigmoid)
LogSoftmax = _layer("LogSoftmax", activations.log_softmax)
Mish = _layer("Mish", activations.mish)
ReLU = _layer("ReLU", activations.relu)
ReLU2 = _layer("ReLU2", activations.relu2)
ReLU6 = _layer("ReLU6", activations.relu6)
SELU = _layer("SELU", activations.selu)
SiLU = _layer("SiLU", activations.silu)
Sigmoid = _layer("Sigmoid", activations.sigmoid)
Softmax = _layer("Softmax", activations.softmax)
Softmin = _layer("Softmin", activations.softmin)
Softplus = _layer("Softplus", activations.softplus)
Softsign = _layer("Softsign", activations.softsign)
Tanh = _layer("Tanh", activations.tanh)


class LeakyReLU(Module):
    """A layer of :func:`leaky_relu`.

    Args:
        negative_slope (float): factor of negative values. Default: ``0.01``.
    """

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        self._negative_slope = negative_slope

    def __call__(self, x: mx.array) -> mx.array:
        return activations.leaky_relu(x, self._negative_slope)


class ELU(Module):
    """A layer of :func:`elu`.

    Args:
        alpha (float): the limit for small values, negated. Default: ``1.0``.
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return activations.elu(x, self._alpha)


class CELU(Module):
    """A layer of :func:`celu`.

    Args:
        alpha (float): the limit for small values, negated; not 0. Default: ``1.0``.
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        if alpha == 0:
            raise ValueError("[CELU] alpha must not be 0")
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return activations.celu(x, self._alpha)


_GELUS = {
    "none": activations.gelu,
    "precise": activations.gelu_approx,
    "tanh": activations.gelu_approx,
    "fast": activations.gelu_fast_approx,
}


class GELU(Module):
    """A layer of :func:`gelu` or of one of its approximations.

    Args:
        approx (str): ``"none"``, ``"tanh"`` or ``"precise"`` for :func:`gelu_approx`, ``"fast"`` for
            :func:`gelu_fast_approx`. Default: ``"none"``.

    Raises:
        ValueError: another word.
    """

    def __init__(self, approx: str = "none"):
        super().__init__()
        if approx not in _GELUS:
            raise ValueError(f"[GELU] approx must be one of {list(_GELUS)}, got {approx!r}")
        self._approx = approx

    def __call__(self, x: mx.array) -> mx.array:
        return _GELUS[self._approx](x)


class GLU(Module):
    """A layer of :func:`glu`.

    Args:
        axis (int): the axis that is halved. Default: ``-1``.
    """

    def __init__(self, axis: int = -1):
        super().__init__()
        self.axis = axis

    def __call__(self, x: mx.array) -> mx.array:
        return activations.glu(x, self.axis)


class PReLU(Module):
    """A layer of :func:`prelu`, whose slope is a parameter.

    Args:
        num_parameters (int): 1, or the number of channels. Default: ``1``.
        init (float): the slope at first. Default: ``0.25``.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.weight = mx.full([count(num_parameters, "PReLU", "num_parameters")], init)

    def __call__(self, x: mx.array) -> mx.array:
        return activations.prelu(x, self.weight)


class Step(Module):
    """A layer of :func:`step`.

    Args:
        threshold (float): what values must not be below. Default: ``0.0``.
    """

    def __init__(self, threshold: float = 0.0):
        super().__init__()
        self.threshold = threshold

    def __call__(self, x: mx.array) -> mx.array:
        return activations.step(x, self.threshold)


class HardShrink(Module):
    """A layer of :func:`hard_shrink`.

    Args:
        lambd (float): what absolute values must be above. Default: ``0.5``.
    """

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return activations.hard_shrink(x, self.lambd)


class Softshrink(Module):
    """A layer of :func:`softshrink`.

    Args:
        lambd (float): how far values are moved. Default: ``0.5``.
    """

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return activations.softshrink(x, self.lambd)
