# python/nhwc/optimizers/schedulers.py -- learning rates as functions of the number of steps
"""Schedules: functions from a step, counted from 0, to a value; pass one as an optimizer's learning rate.

They take an array, so that a compiled training step computes them from the optimizer's state, or a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import nhwc as mx

Schedule = Callable[[Any], Any]


def _positive(value: Any, name: str, who: str) -> int | float:
    """The value as Python's own number; NumPy's are taken too."""
    if isinstance(value, bool) or not isinstance(value, Real) or value <= 0:
        raise ValueError(f"[{who}] {name} must be a number greater than 0, got {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


def exponential_decay(init: float, decay_rate: float) -> Schedule:
    """The value ``init * decay_rate ** step``.

    Args:
        init (float): the value at step 0.
        decay_rate (float): what it is multiplied by at each step.

    Returns:
        A function from a step to the value.

    Example:
        >>> optim.exponential_decay(0.5, 0.5)(2)
        0.125
    """

    def schedule(step):
        return init * decay_rate**step

    return schedule


def step_decay(init: float, decay_rate: float, step_size: int) -> Schedule:
    """The value ``init * decay_rate ** (step // step_size)``.

    Args:
        init (float): the value at step 0.
        decay_rate (float): what it is multiplied by every ``step_size`` steps.
        step_size (int): how many steps it stays the same; at least 1.

    Returns:
        A function from a step to the value.

    Raises:
        ValueError: a ``step_size`` that is not positive.

    Example:
        >>> optim.step_decay(0.5, 0.5, 10)(19)
        0.25
    """
    step_size = _positive(step_size, "step_size", "step_decay")

    def schedule(step):
        return init * decay_rate ** (step // step_size)

    return schedule


def cosine_decay(init: float, decay_steps: int, end: float = 0.0) -> Schedule:
    """Half a period of a cosine from ``init`` to ``end``, then ``end`` (Loshchilov and Hutter, SGDR, 2017).

    Args:
        init (float): the value at step 0.
        decay_steps (int): the step from which on it is ``end``; at least 1.
        end (float): the last value. Default: ``0.0``.

    Returns:
        A function from a step to the value, a scalar array.

    Raises:
        ValueError: ``decay_steps`` that are not positive.

    Example:
        >>> optim.cosine_decay(1.0, 10)(10).item()
        0.0
    """
    decay_steps = _positive(decay_steps, "decay_steps", "cosine_decay")

    def schedule(step):
        angle = mx.minimum(step, decay_steps) * (math.pi / decay_steps)
        return end + 0.5 * (init - end) * (1.0 + mx.cos(angle))

    return schedule


def linear_schedule(init: float, end: float, steps: int) -> Schedule:
    """A straight line from ``init`` to ``end``, then ``end``.

    Args:
        init (float): the value at step 0.
        end (float): the last value.
        steps (int): the step from which on it is ``end``; at least 1.

    Returns:
        A function from a step to the value, a scalar array.

    Raises:
        ValueError: ``steps`` that are not positive.

    Example:
        >>> optim.linear_schedule(0.0, 1.0, 4)(1).item()
        0.25
    """
    steps = _positive(steps, "steps", "linear_schedule")

    def schedule(step):
        return init + mx.minimum(step, steps) * ((end - init) / steps)

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Schedules one after the other; each counts its steps from where it begins.

    Args:
        schedules (list): functions from a step to a value; at least one.
        boundaries (list[int]): the steps at which the second and each later one begins, in ascending order.

    Returns:
        A function from a step to the value, a scalar array where there are several schedules.

    Raises:
        ValueError: no schedule, or a number of boundaries that does not fit.

    Example:
        >>> warm = optim.join_schedules([optim.linear_schedule(0, 1, 4), optim.exponential_decay(1, 0.5)], [4])
        >>> [warm(mx.array(step)).item() for step in (2, 4, 5)]
        [0.5, 1.0, 0.5]
    """
    schedules, boundaries = list(schedules), list(boundaries)
    if not schedules:
        raise ValueError("[join_schedules] expected at least one schedule, got none")
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"[join_schedules] {len(schedules)} schedules need {len(schedules) - 1} boundaries, got {len(boundaries)}"
        )

    def schedule(step):
        value = schedules[0](step)
        for later, boundary in zip(schedules[1:], boundaries, strict=True):
            value = mx.where(step < boundary, value, later(step - boundary))
        return value

    return schedule
