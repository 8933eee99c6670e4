# python/nhwc/optimizers/_momentum.py -- optimizers whose step is a momentum, its sign, or its orthogonal factor
"""SGD, Lion, Muon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nhwc as mx
from nhwc.optimizers._base import Optimizer, _pair_of_betas, _Rule, _within


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964; Nesterov 1983; Sutskever et al., ICML 2013).

    ``g = g + weight_decay * w; v = momentum * v + (1 - dampening) * g; w = w - learning_rate * v``

    With ``nesterov`` the step is ``g + momentum * v`` in the place of ``v``, without momentum it is ``g``.

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        momentum (float): how much of the last ``v`` stays; at least 0. Default: ``0.0``.
        weight_decay (float): at least 0. Default: ``0.0``.
        dampening (float): how much of the gradient does not get into ``v``. Default: ``0.0``.
        nesterov (bool): Nesterov's momentum. Default: ``False``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: ``nesterov`` without momentum or with dampening; another argument out of range.

    Example:
        >>> optimizer = optim.SGD(0.5, momentum=0.9)
        >>> w = {"w": mx.array(1.0)}
        >>> for _ in range(2):
        ...     w = optimizer.apply_gradients({"w": mx.array(1.0)}, w)
        >>> round(w["w"].item(), 6)
        -0.45
    """

    _held = ("v",)

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(momentum, "momentum", self._name)
        _within(weight_decay, "weight_decay", self._name)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"[SGD] nesterov needs a momentum greater than 0 and no dampening, got momentum={momentum!r} and "
                f"dampening={dampening!r}"
            )
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dampening = dampening
        self.nesterov = nesterov

    def _rule(self) -> _Rule:
        scalars = self._scalars_of_step(mx.float32)
        if self.momentum <= 0:
            return _Rule("sgd", (self.weight_decay,), scalars, ())
        constants = (self.momentum, self.weight_decay, 1 - self.dampening, float(self.nesterov))
        return _Rule("momentum", constants, scalars, self._held)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        if self.weight_decay != 0:
            gradient = gradient + self.weight_decay * parameter
        if self.momentum <= 0:
            return parameter - rate * gradient
        fresh = (1 - self.dampening) * gradient if self.dampening != 0 else gradient
        v = self.momentum * state["v"] + fresh
        state["v"] = v
        return parameter - rate * (gradient + self.momentum * v if self.nesterov else v)


class Lion(Optimizer):
    """Lion (Chen et al., arXiv 2302.06675): steps of one size, along the signs of a momentum.

    ``c = b1 * m + (1 - b1) * g; m = b2 * m + (1 - b2) * g; w = w - learning_rate * (sign(c) + weight_decay * w)``

    Its steps are longer than those of others: a learning rate of a third to a tenth of AdamW's is advised, with a
    weight decay as many times larger.

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        betas (tuple[float, float]): ``b1`` and ``b2``, each in [0, 1). Default: ``(0.9, 0.99)``.
        weight_decay (float): at least 0. Default: ``0.0``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.Lion(0.5)
        >>> optimizer.apply_gradients({"w": mx.array(100.0)}, {"w": mx.array(1.0)})["w"].item()
        0.5
    """

    _held = ("m",)

    def __init__(self, learning_rate: Any, betas: Sequence[float] = (0.9, 0.99), weight_decay: float = 0.0):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(weight_decay, "weight_decay", self._name)
        self.betas = _pair_of_betas(betas, self._name)
        self.weight_decay = weight_decay

    def _rule(self) -> _Rule:
        b1, b2 = self.betas
        constants = (b1, 1 - b1, b2, 1 - b2, self.weight_decay)
        return _Rule("lion", constants, self._scalars_of_step(mx.float32), self._held)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        b1, b2 = self.betas
        m = state["m"]
        direction = mx.sign(b1 * m + (1 - b1) * gradient)
        state["m"] = b2 * m + (1 - b2) * gradient
        if self.weight_decay != 0:
            parameter = (1 - rate * self.weight_decay) * parameter
        return parameter - rate * direction


# The quintic a x + b x**3 + c x**5 of Jordan's article: in a few steps every singular value in (0, 1] comes near 1.
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def _orthogonal_factor(matrix: mx.array, steps: int) -> mx.array:
    """U @ V.T of the singular value decomposition U @ S @ V.T of a matrix, about, by Newton and Schulz's iteration."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.T if tall else matrix
    x = x / (mx.sqrt(mx.square(x).sum()) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x


class Muon(Optimizer):
    """Muon (Jordan, https://kellerjordan.github.io/posts/muon, 2024): steps along the orthogonal factor of a momentum.

    ``g = g + weight_decay * w; v = momentum * v + (1 - momentum) * g``; the step is ``v``, with ``nesterov``
    ``(1 - momentum) * g + momentum * v``. Of matrices, and of filters taken as matrices of ``C_out`` rows, the
    orthogonal factor is used, times ``sqrt(max(1, rows / columns))``. Vectors take plain steps of momentum; for them,
    for embeddings and for the last layer another optimizer is advised (:class:`MultiOptimizer`).

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        momentum (float): how much of the last ``v`` stays; at least 0. Default: ``0.95``.
        weight_decay (float): at least 0. Default: ``0.01``.
        nesterov (bool): Nesterov's momentum. Default: ``True``.
        ns_steps (int): steps of the iteration that finds the factor; at least 1. Default: ``5``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.Muon(0.5, momentum=0.0, weight_decay=0.0)
        >>> optimizer.apply_gradients({"w": mx.array([4.0])}, {"w": mx.array([1.0])})["w"].item()
        -1.0
    """

    _held = ("v",)

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        nesterov: bool = True,
        ns_steps: int = 5,
    ):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(momentum, "momentum", self._name)
        _within(weight_decay, "weight_decay", self._name)
        if isinstance(ns_steps, bool) or not isinstance(ns_steps, int) or ns_steps < 1:
            raise ValueError(f"[Muon] ns_steps must be an int of at least 1, got {ns_steps!r}")
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.ns_steps = ns_steps

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        if self.weight_decay != 0:
            gradient = gradient + self.weight_decay * parameter
        v = self.momentum * state["v"] + (1 - self.momentum) * gradient
        state["v"] = v
        step = (1 - self.momentum) * gradient + self.momentum * v if self.nesterov else v
        if step.ndim < 2:
            return parameter - rate * step
        factor = _orthogonal_factor(step.reshape(step.shape[0], -1), self.ns_steps)
        rows, columns = factor.shape
        return parameter - rate * max(1.0, rows / columns) ** 0.5 * factor.reshape(step.shape)
