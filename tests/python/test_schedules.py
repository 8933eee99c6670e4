# tests/python/test_schedules.py -- learning rates and their schedules against their formulas and MLX
import math

import numpy as np
import pytest

import nhwc as mx
import nhwc.optimizers as optim

SCHEDULES = {
    "exponential": lambda o: o.exponential_decay(0.1, 0.9),
    "step": lambda o: o.step_decay(0.1, 0.9, 3),
    "cosine": lambda o: o.cosine_decay(0.1, 10),
    "cosine to an end": lambda o: o.cosine_decay(0.1, 10, 0.02),
    "linear": lambda o: o.linear_schedule(0.0, 0.1, 10),
    "joined": lambda o: o.join_schedules(
        [o.linear_schedule(0, 0.1, 5), o.exponential_decay(0.1, 0.5), o.cosine_decay(0.3, 3)], [5, 9]
    ),
}
VALUES = {
    "exponential": lambda t: 0.1 * 0.9**t,
    "step": lambda t: 0.1 * 0.9 ** (t // 3),
    "cosine": lambda t: 0.05 * (1 + math.cos(math.pi * min(t, 10) / 10)),
    "cosine to an end": lambda t: 0.02 + 0.04 * (1 + math.cos(math.pi * min(t, 10) / 10)),
    "linear": lambda t: 0.01 * min(t, 10),
    "joined": lambda t: (
        0.02 * t if t < 5 else 0.1 * 0.5 ** (t - 5) if t < 9 else 0.15 * (1 + math.cos(math.pi * min(t - 9, 3) / 3))
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    schedule = SCHEDULES[name](optim)
    for t in range(16):
        for step in (mx.array(t), mx.array(t, mx.uint64), t):
            value = schedule(step)
            assert (value.item() if isinstance(value, mx.array) else value) == pytest.approx(VALUES[name](t), abs=1e-7)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_mlx(name):
    core, mlx_optim = pytest.importorskip("mlx.core"), pytest.importorskip("mlx.optimizers")
    ours, theirs = optim.SGD(SCHEDULES[name](optim)), mlx_optim.SGD(SCHEDULES[name](mlx_optim))
    del core
    for _ in range(16):
        ours.update({}, {})
        theirs.update({}, {})
        assert ours.learning_rate.item() == pytest.approx(theirs.learning_rate.item(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.float32])
def test_schedules_take_numbers_of_numpy(kind):
    at = mx.array(3, mx.uint64)
    for make in (lambda n: optim.cosine_decay(0.1, n), lambda n: optim.linear_schedule(0.0, 1.0, n)):
        assert make(kind(10))(at).item() == make(10)(at).item()
    assert optim.step_decay(1.0, 0.5, kind(2))(at).item() == 0.5
    for bad in (kind(0), True, "10"):
        with pytest.raises(ValueError, match=r"\[cosine_decay\] decay_steps must be a number greater than 0"):
            optim.cosine_decay(0.1, bad)


def test_the_schedule_is_read_before_the_step_is_counted():
    optimizer = optim.SGD(lambda step: 2.0 ** -step.astype(mx.float32))
    assert optimizer.learning_rate.item() == 1.0
    w = {"w": mx.array(0.0)}
    for wanted in (-1.0, -1.5, -1.75):
        w = optimizer.apply_gradients({"w": mx.array(1.0)}, w)
        assert w["w"].item() == wanted
    assert optimizer.learning_rate.item() == 0.25


def test_learning_rates():
    for rate in (0.5, 1, np.float32(0.5), np.int64(1), mx.array(0.5), lambda step: np.float32(0.5), lambda step: 0.5):
        assert optim.SGD(rate).learning_rate.item() in (0.5, 1)
    optimizer = optim.SGD(optim.exponential_decay(1.0, 0.5))
    optimizer.learning_rate = 0.25  # ends the schedule
    optimizer.update({}, {})
    assert optimizer.learning_rate.item() == 0.25
    optimizer.learning_rate = optim.linear_schedule(0.0, 8.0, 8)
    optimizer.update({}, {})
    assert optimizer.learning_rate.item() == 1.0
