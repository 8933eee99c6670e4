# python/nhwc/optimizers/_adaptive.py -- optimizers that divide by a running size of the gradient
"""Adam and its variants, RMSprop, Adagrad, AdaDelta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nhwc as mx
from nhwc.optimizers._base import Optimizer, _pair_of_betas, _Rule, _within

_ONE = mx.array(1.0)


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012).

    ``v = alpha * v + (1 - alpha) * g**2; w = w - learning_rate * g / (sqrt(v) + eps)``

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        alpha (float): how much of the last ``v`` stays; at least 0. Default: ``0.99``.
        eps (float): at least 0. Default: ``1e-8``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.RMSprop(0.5, alpha=0.0)
        >>> optimizer.apply_gradients({"w": mx.array(4.0)}, {"w": mx.array(1.0)})["w"].item()
        0.5
    """

    _held = ("v",)

    def __init__(self, learning_rate: Any, alpha: float = 0.99, eps: float = 1e-8):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(alpha, "alpha", self._name)
        _within(eps, "eps", self._name)
        self.alpha = alpha
        self.eps = eps

    def _rule(self) -> _Rule:
        scalars = self._scalars_of_step(mx.float32)
        return _Rule("rmsprop", (self.alpha, 1 - self.alpha, self.eps), scalars, self._held)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        v = self.alpha * state["v"] + (1 - self.alpha) * mx.square(gradient)
        state["v"] = v
        return parameter - rate * gradient / (mx.sqrt(v) + self.eps)


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, JMLR 2011).

    ``v = v + g**2; w = w - learning_rate * g / (sqrt(v) + eps)``

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        eps (float): at least 0. Default: ``1e-8``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: ``eps`` out of range.

    Example:
        >>> optimizer = optim.Adagrad(0.5)
        >>> optimizer.apply_gradients({"w": mx.array(4.0)}, {"w": mx.array(1.0)})["w"].item()
        0.5
    """

    _held = ("v",)

    def __init__(self, learning_rate: Any, eps: float = 1e-8):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(eps, "eps", self._name)
        self.eps = eps

    def _rule(self) -> _Rule:
        return _Rule("adagrad", (self.eps,), self._scalars_of_step(mx.float32), self._held)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        v = state["v"] + mx.square(gradient)
        state["v"] = v
        return parameter - rate * gradient / (mx.sqrt(v) + self.eps)


class AdaDelta(Optimizer):
    """AdaDelta (Zeiler, arXiv 1212.5701).

    ``v = rho * v + (1 - rho) * g**2; d = sqrt(u + eps) / sqrt(v + eps) * g``, then
    ``u = rho * u + (1 - rho) * d**2; w = w - learning_rate * d``

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        rho (float): how much of the last ``v`` and ``u`` stays; at least 0. Default: ``0.9``.
        eps (float): at least 0. Default: ``1e-6``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.AdaDelta(1.0, rho=0.0, eps=1.0)
        >>> optimizer.apply_gradients({"w": mx.array(0.0)}, {"w": mx.array(1.0)})["w"].item()
        1.0
    """

    _held = ("v", "u")

    def __init__(self, learning_rate: Any, rho: float = 0.9, eps: float = 1e-6):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(rho, "rho", self._name)
        _within(eps, "eps", self._name)
        self.rho = rho
        self.eps = eps

    def _rule(self) -> _Rule:
        scalars = self._scalars_of_step(mx.float32)
        return _Rule("adadelta", (self.rho, 1 - self.rho, self.eps), scalars, self._held)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        u = state["u"]
        v = self.rho * state["v"] + (1 - self.rho) * mx.square(gradient)
        change = mx.sqrt(u + self.eps) / mx.sqrt(v + self.eps) * gradient
        state["v"] = v
        state["u"] = self.rho * u + (1 - self.rho) * mx.square(change)
        return parameter - rate * change


class Adam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015), by default without its correction of the bias.

    ``m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g**2; w = w - learning_rate * m / (sqrt(v) + eps)``

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        betas (tuple[float, float]): ``b1`` and ``b2``, each in [0, 1). Default: ``(0.9, 0.999)``.
        eps (float): at least 0. Default: ``1e-8``.
        bias_correction (bool): divide ``m`` and ``v`` by ``1 - b1**step`` and ``1 - b2**step`` first.
            Default: ``False``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.Adam(0.5, bias_correction=True)
        >>> round(optimizer.apply_gradients({"w": mx.array(4.0)}, {"w": mx.array(1.0)})["w"].item(), 4)
        0.5
    """

    _held = ("m", "v")

    def __init__(
        self,
        learning_rate: Any,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        bias_correction: bool = False,
    ):
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        _within(eps, "eps", self._name)
        self.betas = _pair_of_betas(betas, self._name)
        self.eps = eps
        self.bias_correction = bias_correction

    def _scalars(self, dtype: mx.Dtype) -> tuple[mx.array, ...]:
        """The learning rate; what the first moment is multiplied by, and, with correction, the second's root."""
        rate = self.learning_rate.astype(dtype)
        if not self.bias_correction:
            return rate, rate
        b1, b2 = self.betas
        return rate, (rate / (1 - b1**self.step)).astype(dtype), mx.rsqrt(1 - b2**self.step).astype(dtype)

    def _adam_rule(self, weight_decay: float) -> _Rule:
        rate, first, *second = self._scalars_of_step(mx.float32)
        b1, b2 = self.betas
        constants = (b1, 1 - b1, b2, 1 - b2, self.eps, weight_decay)
        return _Rule("adam", constants, (rate, first, *(second or (_ONE,))), self._held)

    def _rule(self) -> _Rule:
        return self._adam_rule(0.0)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        _, first, *second = self._scalars_of_step(gradient.dtype)
        b1, b2 = self.betas
        m = b1 * state["m"] + (1 - b1) * gradient
        v = b2 * state["v"] + (1 - b2) * mx.square(gradient)
        state["m"] = m
        state["v"] = v
        size = mx.sqrt(v) * second[0] if second else mx.sqrt(v)
        return parameter - first * m / (size + self.eps)


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter, ICLR 2019): Adam whose weights also decay, apart from the gradient.

    ``w = w - learning_rate * (m / (sqrt(v) + eps) + weight_decay * w)``, with ``m`` and ``v`` of :class:`Adam`.

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        betas (tuple[float, float]): each in [0, 1). Default: ``(0.9, 0.999)``.
        eps (float): at least 0. Default: ``1e-8``.
        weight_decay (float): at least 0. Default: ``0.01``.
        bias_correction (bool): as for :class:`Adam`. Default: ``False``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.AdamW(0.5, weight_decay=1.0)
        >>> optimizer.apply_gradients({"w": mx.array(0.0)}, {"w": mx.array(1.0)})["w"].item()
        0.5
    """

    def __init__(
        self,
        learning_rate: Any,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        bias_correction: bool = False,
    ):
        super().__init__(learning_rate, betas, eps, bias_correction)
        _within(weight_decay, "weight_decay", self._name)
        self.weight_decay = weight_decay

    def _rule(self) -> _Rule:
        return self._adam_rule(self.weight_decay)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        return super().apply_single(gradient, parameter * (1 - rate * self.weight_decay), state)


class Adamax(Adam):
    """Adamax (Kingma and Ba, ICLR 2015): Adam by the largest gradient, without its correction of the bias.

    ``m = b1 * m + (1 - b1) * g; v = max(b2 * v, abs(g)); w = w - learning_rate * m / (v + eps)``

    Args:
        learning_rate (float | array | callable): the step size, or a schedule of it.
        betas (tuple[float, float]): ``b1`` and ``b2``, each in [0, 1). Default: ``(0.9, 0.999)``.
        eps (float): at least 0. Default: ``1e-8``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: another argument out of range.

    Example:
        >>> optimizer = optim.Adamax(0.5, betas=(0.0, 0.0))
        >>> optimizer.apply_gradients({"w": mx.array(4.0)}, {"w": mx.array(1.0)})["w"].item()
        0.5
    """

    def __init__(self, learning_rate: Any, betas: Sequence[float] = (0.9, 0.999), eps: float = 1e-8):
        super().__init__(learning_rate, betas, eps)

    def _rule(self) -> _Rule:
        (b1, b2), (rate, *_) = self.betas, self._scalars_of_step(mx.float32)
        return _Rule("adamax", (b1, 1 - b1, b2, self.eps), (rate,), self._held)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate, *_ = self._scalars_of_step(gradient.dtype)
        b1, b2 = self.betas
        m = b1 * state["m"] + (1 - b1) * gradient
        v = mx.maximum(b2 * state["v"], mx.abs(gradient))
        state["m"] = m
        state["v"] = v
        return parameter - rate * m / (v + self.eps)
