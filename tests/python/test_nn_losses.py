# tests/python/test_nn_losses.py -- loss functions: by their formulas in NumPy, beside mlx.nn.losses, refused arguments
import inspect
import math

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
from beside_mlx import as_numpy, assert_same, libraries
from nhwc.nn import losses


def log_softmax(x, axis=-1):
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def normal(rng, *shape):
    return rng.standard_normal(shape)


def probabilities(rng, *shape):
    return rng.random(shape) * 0.9 + 0.05


def distributions(rng, *shape):
    p = probabilities(rng, *shape)
    return p / p.sum(-1, keepdims=True)


def signs(rng, *shape):
    return rng.choice([-1.0, 1.0], shape)


def picked(logs, indices, axis=-1):
    return np.take_along_axis(logs, np.expand_dims(indices, axis), axis).squeeze(axis)


def bce(p, t):
    return -(t * np.log(p) + (1 - t) * np.log1p(-p))


def smooth(d, beta):
    return np.where(d < beta, d * d / (2 * beta), d - beta / 2)


def distance(a, b, p=2):
    return ((abs(a - b) ** p).sum(-1) + 1e-6) ** (1 / p)


# Name, makers of the arguments, keyword arguments, the losses in NumPy.
LOSSES = [
    ("mse_loss", (normal, normal), {}, lambda p, t: (p - t) ** 2),
    ("l1_loss", (normal, normal), {}, lambda p, t: abs(p - t)),
    ("smooth_l1_loss", (normal, normal), {}, lambda p, t: smooth(abs(p - t), 1.0)),
    ("smooth_l1_loss", (normal, normal), {"beta": 0.3}, lambda p, t: smooth(abs(p - t), 0.3)),
    ("huber_loss", (normal, normal), {"delta": 0.7}, lambda p, t: 0.7 * smooth(abs(p - t), 0.7)),
    ("log_cosh_loss", (normal, normal), {}, lambda p, t: np.log(np.cosh(p - t))),
    ("hinge_loss", (normal, signs), {}, lambda p, t: np.maximum(1 - p * t, 0)),
    ("kl_div_loss", (normal, normal), {}, lambda p, t: (np.exp(t) * (t - p)).sum(-1)),
    ("kl_div_loss", (normal, normal), {"axis": 0}, lambda p, t: (np.exp(t) * (t - p)).sum(0)),
    ("binary_cross_entropy", (normal, probabilities), {}, lambda x, t: bce(1 / (1 + np.exp(-x)), t)),
    ("binary_cross_entropy", (probabilities, probabilities), {"with_logits": False}, bce),
    ("binary_cross_entropy", (normal, probabilities, probabilities), {},
     lambda x, t, w: w * bce(1 / (1 + np.exp(-x)), t)),
    ("cosine_similarity_loss", (normal, normal), {},
     lambda a, b: (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)),
    ("cosine_similarity_loss", (normal, normal), {"axis": 0, "eps": 100.0}, lambda a, b: (a * b).sum(0) / 100),
    ("triplet_loss", (normal, normal, normal), {},
     lambda a, p, n: np.maximum(distance(a, p) - distance(a, n) + 1, 0)),
    ("triplet_loss", (normal, normal, normal), {"p": 3, "margin": 0.2},
     lambda a, p, n: np.maximum(distance(a, p, 3) - distance(a, n, 3) + 0.2, 0)),
    ("margin_ranking_loss", (normal, normal, signs), {}, lambda a, b, t: np.maximum(0, -t * (a - b))),
    ("margin_ranking_loss", (normal, normal, signs), {"margin": 0.5}, lambda a, b, t: np.maximum(0, 0.5 - t * (a - b))),
    ("gaussian_nll_loss", (normal, normal, probabilities), {},
     lambda x, t, v: 0.5 * (np.log(v) + (t - x) ** 2 / v)),
    ("gaussian_nll_loss", (normal, normal, probabilities), {"full": True, "eps": 0.5},
     lambda x, t, v: 0.5 * (np.log(np.maximum(v, 0.5)) + (t - x) ** 2 / np.maximum(v, 0.5) + math.log(2 * math.pi))),
    ("cross_entropy", (normal, lambda rng, n, c: rng.integers(0, c, n)), {}, lambda x, t: -picked(log_softmax(x), t)),
    ("cross_entropy", (normal, lambda rng, n, c: rng.integers(0, n, c)), {"axis": 0},
     lambda x, t: -picked(log_softmax(x, 0), t, 0)),
    ("cross_entropy", (normal, distributions), {},
     lambda x, t: np.log(np.exp(x).sum(-1)) - (x * t).sum(-1)),
    ("cross_entropy", (normal, lambda rng, n, c: rng.integers(0, c, n)), {"label_smoothing": 0.2},
     lambda x, t: -0.8 * picked(log_softmax(x), t) - 0.2 * log_softmax(x).mean(-1)),
    ("cross_entropy", (normal, distributions), {"label_smoothing": 0.2},
     lambda x, t: np.log(np.exp(x).sum(-1)) - (x * (0.8 * t + 0.2 / x.shape[-1])).sum(-1)),
    ("cross_entropy", (normal, lambda rng, n, c: rng.integers(0, c, n), lambda rng, n, c: rng.random(n)), {},
     lambda x, t, w: -w * picked(log_softmax(x), t)),
    ("nll_loss", (normal, lambda rng, n, c: rng.integers(0, c, n)), {}, lambda x, t: -picked(x, t)),
    ("nll_loss", (normal, lambda rng, n, c: rng.integers(0, n, c)), {"axis": 0}, lambda x, t: -picked(x, t, 0)),
]  # fmt: skip

each_loss = pytest.mark.parametrize(
    ("name", "makers", "kwargs", "formula"), LOSSES, ids=lambda v: v if isinstance(v, str) else None
)
SHAPE = (6, 5)


def arguments(rng, makers):
    return [a.astype(np.float32 if a.dtype.kind == "f" else np.int32) for a in (make(rng, *SHAPE) for make in makers)]


@each_loss
def test_by_formula(rng, name, makers, kwargs, formula):
    loss = getattr(losses, name)
    data = arguments(rng, makers)
    want = formula(*(a.astype(np.float64) if a.dtype.kind == "f" else a for a in data))
    arrays = [mx.array(a) for a in data]
    np.testing.assert_allclose(np.array(loss(*arrays, **kwargs, reduction="none")), want, rtol=2e-5, atol=2e-6)
    for reduction, reduce in (("mean", np.mean), ("sum", np.sum)):
        got = loss(*arrays, **kwargs, reduction=reduction)
        assert got.shape == ()
        assert got.item() == pytest.approx(reduce(want), rel=1e-4, abs=1e-6)
    default = inspect.signature(loss).parameters["reduction"].default
    assert loss(*arrays, **kwargs).shape == (want.shape if default == "none" else ())


@each_loss
def test_loss_is_mlx_own(rng, name, makers, kwargs, formula):
    data, seen = arguments(rng, makers), []
    for library in libraries():
        arrays, loss = [library.mx.array(a) for a in data], getattr(library.nn.losses, name)
        gradient = library.mx.grad(lambda *a, f=loss: f(*a, **kwargs, reduction="sum"))
        seen.append(as_numpy([loss(*arrays, **kwargs), gradient(*arrays)]))
    assert_same(*seen, context=name)


def test_every_loss_of_mlx_is_here():
    ours, theirs = (library.nn.losses for library in libraries())
    for name, function in inspect.getmembers(theirs, inspect.isfunction):
        if name.startswith("_") or function.__module__ != theirs.__name__:
            continue
        a, b = (inspect.signature(getattr(m, name)).parameters.values() for m in (ours, theirs))
        assert [(p.name, p.default) for p in a] == [(p.name, p.default) for p in b], name


def test_far_logits_stay_finite():
    logits = mx.array([[1e4, -1e4], [-1e4, 1e4]])
    loss, gradient = mx.value_and_grad(lambda x: losses.cross_entropy(x, mx.array([0, 0]), reduction="sum"))(logits)
    assert loss.item() == 2e4
    assert np.isfinite(np.array(gradient)).all()
    assert losses.binary_cross_entropy(mx.array([1e4, -1e4]), mx.array([1.0, 1.0]), reduction="none").tolist() == [
        0,
        1e4,
    ]
    sure = losses.binary_cross_entropy(mx.array([0.0, 1.0]), mx.array([1.0, 0.0]), with_logits=False, reduction="none")
    assert sure.tolist() == [100, 100]


def test_smooth_l1_without_a_parabola_is_l1():
    a, b = mx.array([1.0, 2.0]), mx.array([1.0, 4.0])
    assert losses.smooth_l1_loss(a, b, beta=0, reduction="none").tolist() == [0, 2]
    assert np.isfinite(np.array(mx.grad(lambda a: losses.smooth_l1_loss(a, b, beta=0))(a))).all()


def test_an_index_out_of_range_is_named():
    with pytest.raises(IndexError, match="5"):
        mx.eval(losses.cross_entropy(mx.ones((2, 3)), mx.array([0, 5])))


X = mx.ones((3, 4))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: losses.mse_loss(X, mx.ones((4, 3))),
     r"\[mse_loss\] expected arrays of the same shape, got predictions \(3, 4\), targets \(4, 3\)"),
    (lambda: losses.l1_loss(X, mx.ones((3, 1))), r"\[l1_loss\] expected arrays of the same shape"),
    (lambda: losses.gaussian_nll_loss(X, X, mx.ones((4,))), r"\[gaussian_nll_loss\] .* vars \(4,\)"),
    (lambda: losses.margin_ranking_loss(X, X, mx.ones((3,))), r"\[margin_ranking_loss\] expected"),
    (lambda: losses.kl_div_loss(X, mx.ones((4,))), r"\[kl_div_loss\] expected"),
    (lambda: losses.smooth_l1_loss(X, X, beta=-1), r"\[smooth_l1_loss\] beta must not be negative"),
    (lambda: losses.cross_entropy(X, mx.array([1, 2])),
     r"\[cross_entropy\] targets must be indices of shape \(3,\), or have the shape \(3, 4\), got \(2,\)"),
    (lambda: losses.cross_entropy(X, mx.ones((3,))), r"\[cross_entropy\] targets of shape \(3,\) must be integers"),
    (lambda: losses.cross_entropy(X, mx.ones((3, 5))), r"\[cross_entropy\] expected arrays of the same shape"),
    (lambda: losses.cross_entropy(X, X, label_smoothing=1.0), r"\[cross_entropy\] label_smoothing must be in \[0, 1\)"),
    (lambda: losses.cross_entropy(X, X, weights=mx.ones((4,))),
     r"\[cross_entropy\] weights must have the shape of the losses, \(3,\), got \(4,\)"),
    (lambda: losses.binary_cross_entropy(X, X, mx.ones((3,))), r"\[binary_cross_entropy\] weights must have"),
    (lambda: losses.triplet_loss(X, X, X, p=0), r"\[triplet_loss\] p must be at least 1, got 0"),
    (lambda: losses.nll_loss(X, mx.array([1])), r"\[nll_loss\] targets must be indices of shape \(3,\)"),
])  # fmt: skip
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@each_loss
def test_unknown_reduction(rng, name, makers, kwargs, formula):
    arrays = [mx.array(a) for a in arguments(rng, makers)]
    with pytest.raises(ValueError, match=rf"\[{name}\] reduction must be 'none', 'mean' or 'sum', got 'avg'"):
        getattr(nn.losses, name)(*arrays, **kwargs, reduction="avg")
