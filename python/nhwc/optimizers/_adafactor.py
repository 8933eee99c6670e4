# python/nhwc/optimizers/_adafactor.py -- Adafactor: the squares of a matrix's gradient are kept as a row and a column
"""Adafactor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nhwc as mx
from nhwc.optimizers._base import Optimizer, _within


def _rms(x: mx.array) -> mx.array:
    return mx.sqrt(mx.mean(mx.square(x)))


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern, arXiv 1804.04235): memory for running squares that is sublinear in the parameters.

    The last two axes of a parameter are taken as a matrix, of whose squared gradients the means of rows and of columns
    are kept; of vectors all are.

    Args:
        learning_rate (float | array | callable, optional): the step size, or a schedule of it; not used with
            ``relative_step``. Default: ``None``.
        eps (tuple[float, float]): what is added to squared gradients; the least size of a parameter for
            ``scale_parameter``. Default: ``(1e-30, 1e-3)``.
        clip_threshold (float): the largest root mean square of a step before it is scaled; greater than 0.
            Default: ``1.0``.
        decay_rate (float): at step t ``1 - t**decay_rate`` of the last squares stays. Default: ``-0.8``.
        beta_1 (float, optional): how much of the last step stays, in [0, 1). Default: ``None``, no momentum.
        weight_decay (float): at least 0. Default: ``0.0``.
        scale_parameter (bool): scale steps by the root mean square of the parameter. Default: ``True``.
        relative_step (bool): a step size of ``min(least, 1 / sqrt(step))``, where ``least`` is 1e-2, or
            1e-6 times the step with ``warmup_init``. Default: ``True``.
        warmup_init (bool): begin with small steps. Default: ``False``.

    Raises:
        TypeError: a learning rate that is none.
        ValueError: neither a learning rate nor ``relative_step``; another argument out of range.

    Example:
        >>> optimizer = optim.Adafactor()
        >>> optimizer.init({"w": mx.zeros((3, 2))})
        >>> {name: held.shape for name, held in optimizer.state["w"].items()}
        {'exp_avg_sq_row': (3,), 'exp_avg_sq_col': (2,)}
    """

    def __init__(
        self,
        learning_rate: Any = None,
        eps: Sequence[float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta_1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ):
        super().__init__()
        if learning_rate is not None:
            self._maybe_schedule("learning_rate", learning_rate)
        elif not relative_step:
            raise ValueError("[Adafactor] without relative_step it needs a learning_rate")
        if not isinstance(eps, (list, tuple)) or len(eps) != 2:
            raise ValueError(f"[Adafactor] eps must be two numbers, got {eps!r}")
        for value in eps:
            _within(value, "eps", self._name)
        _within(weight_decay, "weight_decay", self._name)
        if beta_1 is not None:
            _within(beta_1, "beta_1", self._name, below=1.0)
        if clip_threshold <= 0:
            raise ValueError(f"[Adafactor] clip_threshold must be greater than 0, got {clip_threshold!r}")
        self.eps = tuple(eps)
        self.clip_threshold = clip_threshold
        self.decay_rate = decay_rate
        self.beta_1 = beta_1
        self.weight_decay = weight_decay
        self.scale_parameter = scale_parameter
        self.relative_step = relative_step
        self.warmup_init = warmup_init

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        if parameter.ndim >= 2:
            state["exp_avg_sq_row"] = mx.zeros(parameter.shape[:-1], parameter.dtype)
            state["exp_avg_sq_col"] = mx.zeros((*parameter.shape[:-2], parameter.shape[-1]), parameter.dtype)
        else:
            state["exp_avg_sq"] = mx.zeros_like(parameter)
        if self.beta_1 is not None:
            state["exp_avg"] = mx.zeros_like(parameter)

    def _rate(self, parameter: mx.array) -> mx.array:
        """The step size of one parameter."""
        if self.relative_step:
            least = 1e-6 * self.step if self.warmup_init else mx.array(1e-2)
            rate = mx.minimum(least, mx.rsqrt(self.step.astype(mx.float32)))
        else:
            rate = self.learning_rate
        rate = rate.astype(parameter.dtype)
        return mx.maximum(self.eps[1], _rms(parameter)) * rate if self.scale_parameter else rate

    def _inverse_root(self, gradient: mx.array, dtype: mx.Dtype, state: dict[str, Any]) -> mx.array:
        """One over the root of the running squares, which it renews; those of a float32 parameter stay float32."""
        kept = (1.0 - self.step.astype(mx.float32) ** self.decay_rate).astype(dtype)
        squares = mx.square(gradient) + self.eps[0]
        if gradient.ndim < 2:
            state["exp_avg_sq"] = kept * state["exp_avg_sq"] + (1 - kept) * squares
            return mx.rsqrt(state["exp_avg_sq"])
        rows = kept * state["exp_avg_sq_row"] + (1 - kept) * mx.mean(squares, axis=-1)
        columns = kept * state["exp_avg_sq_col"] + (1 - kept) * mx.mean(squares, axis=-2)
        state["exp_avg_sq_row"], state["exp_avg_sq_col"] = rows, columns
        share = mx.rsqrt(rows / mx.mean(rows, axis=-1, keepdims=True))
        return share[..., None] * mx.rsqrt(columns)[..., None, :]

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        rate = self._rate(parameter)
        step = self._inverse_root(gradient, parameter.dtype, state) * gradient
        step = rate * (step / mx.maximum(1.0, _rms(step) / self.clip_threshold))
        if self.beta_1 is not None:
            step = self.beta_1 * state["exp_avg"] + (1 - self.beta_1) * step
            state["exp_avg"] = step
        if self.weight_decay != 0:
            parameter = parameter - self.weight_decay * rate * parameter
        return parameter - step
