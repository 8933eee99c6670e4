# tests/python/test_nn_init.py -- initializers: their distributions, beside mlx.nn.init, refused arguments
import inspect
import math

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
from beside_mlx import libraries
from nhwc.nn import init

WEIGHT = (64, 3, 3, 16)  # 144 inputs, 576 outputs


@pytest.mark.parametrize(("make", "kwargs", "std"), [
    (lambda: init.normal(0.0, 0.3), {}, 0.3),
    (lambda: init.uniform(-0.6, 0.6), {}, 0.6 / math.sqrt(3)),
    (init.glorot_normal, {}, math.sqrt(2 / 720)),
    (init.glorot_normal, {"gain": 2.0}, 2 * math.sqrt(2 / 720)),
    (init.glorot_uniform, {}, math.sqrt(2 / 720)),
    (init.he_normal, {}, 1 / 12),
    (init.he_normal, {"mode": "fan_out", "gain": 3.0}, 3 / 24),
    (init.he_uniform, {}, 1 / 12),
    (init.he_uniform, {"mode": "fan_out"}, 1 / 24),
])  # fmt: skip
def test_distributions(make, kwargs, std):
    mx.random.seed(3)
    values = np.array(make()(mx.zeros(WEIGHT), **kwargs))
    assert values.shape == WEIGHT
    assert abs(values.mean()) < 0.03 * std
    assert values.std() == pytest.approx(std, rel=0.03)
    if "uniform" in make.__name__:
        assert np.abs(values).max() <= std * math.sqrt(3)


def test_constants():
    assert init.constant(0.5)(mx.zeros((2,))).tolist() == [0.5, 0.5]
    assert init.identity()(mx.zeros((2, 2))).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("make", [
    lambda t: init.constant(1, t), lambda t: init.normal(dtype=t), lambda t: init.uniform(dtype=t), init.identity,
    init.glorot_normal, init.glorot_uniform, init.he_normal, init.he_uniform, lambda t: init.sparse(0.5, dtype=t),
    lambda t: init.orthogonal(dtype=t),
])  # fmt: skip
def test_dtypes(make):
    for dtype in (mx.float16, mx.bfloat16, mx.float32):
        assert make(dtype)(mx.zeros((4, 4))).dtype == dtype


def test_sparse():
    mx.random.seed(5)
    a = np.array(init.sparse(0.3, mean=5.0, std=0.1)(mx.zeros((50, 11))))
    assert ((a == 0).sum(1) == 4).all()
    assert len({tuple(row) for row in a == 0}) > 10
    assert a[a != 0].mean() == pytest.approx(5, abs=0.05)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3)])
def test_orthogonal(shape):
    q = np.array(init.orthogonal(gain=2.0)(mx.zeros(shape)), np.float64)
    small = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(small, 4 * np.eye(min(shape)), atol=1e-5)
    signs = [np.sign(np.array(init.orthogonal()(mx.zeros(shape)))[0, 0]) for _ in range(40)]
    assert len(set(signs)) == 2


@pytest.mark.parametrize(("call", "message"), [
    (lambda: init.identity()(mx.zeros((2, 3))), r"\[init.identity\] expected a square matrix, .* \(2, 3\)"),
    (lambda: init.he_normal()(mx.zeros((3,))), r"\[init.he_normal\] expected a weight .* got shape \(3,\)"),
    (lambda: init.he_uniform()(mx.zeros((3, 3)), mode="both"), r"\[init.he_uniform\] mode must be .* got 'both'"),
    (lambda: init.glorot_normal()(mx.zeros((0, 0))), r"\[init.glorot_normal\] .* no inputs"),
    (lambda: init.sparse(1.5), r"\[init.sparse\] sparsity must be in \[0, 1\], got 1.5"),
    (lambda: init.sparse(0.5)(mx.zeros((2, 2, 2))), r"\[init.sparse\] expected a matrix"),
    (lambda: init.orthogonal()(mx.zeros((2, 2, 2))), r"\[init.orthogonal\] expected a matrix"),
])  # fmt: skip
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), [
    ("constant", (0.5,), {}, (3,)),
    ("normal", (0.5, 2.0), {}, (3, 4)),
    ("uniform", (-1.0, 2.0), {}, (3, 4)),
    ("identity", (), {}, (4, 4)),
    ("glorot_normal", (), {"gain": 2.0}, (4, 3, 3, 2)),
    ("glorot_uniform", (), {}, (4, 3, 3, 2)),
    ("he_normal", (), {"mode": "fan_out"}, (4, 3, 3, 2)),
    ("he_uniform", (), {"gain": 0.5}, (4, 6)),
    ("sparse", (0.4, 0.5, 2.0), {}, (6, 7)),
    ("orthogonal", (1.5,), {}, (4, 6)),
])  # fmt: skip
def test_values_are_mlx_own(name, args, kwargs, shape):
    seen = []
    for library in libraries():
        library.mx.random.seed(11)
        seen.append(np.array(getattr(library.nn.init, name)(*args)(library.mx.zeros(shape), **kwargs)))
    exact = name in ("constant", "uniform", "identity", "glorot_uniform", "he_uniform")
    np.testing.assert_allclose(*seen, rtol=0 if exact else 1e-4, atol=0 if exact else 1e-5)


def test_every_initializer_of_mlx_is_here():
    ours, theirs = libraries()
    for name, function in inspect.getmembers(theirs.nn.init, inspect.isfunction):
        if not name.startswith("_"):
            a, b = (list(inspect.signature(f).parameters) for f in (getattr(ours.nn.init, name), function))
            assert a == b, name
    assert nn.init is init
