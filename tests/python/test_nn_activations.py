# tests/python/test_nn_activations.py -- activation functions and layers: by their formulas and beside mlx.nn
import inspect
import math

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
from beside_mlx import as_numpy, assert_same, libraries

erf = np.vectorize(math.erf)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.logaddexp(x, 0)


FORMULAS = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "relu2": lambda x: np.maximum(x, 0) ** 2,
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "gelu_approx": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_fast_approx": lambda x: x * sigmoid(1.702 * x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "step": lambda x: (x >= 0).astype(np.float64),
    "log_sigmoid": lambda x: -softplus(-x),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "softmin": lambda x: np.exp(-x) / np.exp(-x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
    "glu": lambda x: x[..., :4] * sigmoid(x[..., 4:]),
}

LAYERS = [
    ("CELU", (), "celu", {}), ("CELU", (0.7,), "celu", {"alpha": 0.7}), ("ELU", (0.7,), "elu", {"alpha": 0.7}),
    ("GELU", (), "gelu", {}), ("GELU", ("precise",), "gelu_approx", {}), ("GELU", ("tanh",), "gelu_approx", {}),
    ("GELU", ("fast",), "gelu_fast_approx", {}), ("GLU", (1,), "glu", {"axis": 1}),
    ("HardShrink", (), "hard_shrink", {}),
    ("HardShrink", (0.2,), "hard_shrink", {"lambd": 0.2}), ("HardTanh", (), "hard_tanh", {}),
    ("Hardswish", (), "hardswish", {}), ("LeakyReLU", (0.2,), "leaky_relu", {"negative_slope": 0.2}),
    ("LogSigmoid", (), "log_sigmoid", {}), ("LogSoftmax", (), "log_softmax", {}), ("Mish", (), "mish", {}),
    ("ReLU", (), "relu", {}), ("ReLU2", (), "relu2", {}), ("ReLU6", (), "relu6", {}), ("SELU", (), "selu", {}),
    ("SiLU", (), "silu", {}), ("Sigmoid", (), "sigmoid", {}), ("Softmax", (), "softmax", {}),
    ("Softmin", (), "softmin", {}), ("Softplus", (), "softplus", {}),
    ("Softshrink", (0.2,), "softshrink", {"lambd": 0.2}),
    ("Softsign", (), "softsign", {}), ("Step", (0.3,), "step", {"threshold": 0.3}), ("Tanh", (), "tanh", {}),
]  # fmt: skip


def inputs(rng):
    x = rng.standard_normal((3, 4, 8)) * 3
    x[0, 0, :4] = [0, 7, -7, 0.5]
    return x.astype(np.float32)


@pytest.mark.parametrize("name", FORMULAS)
def test_by_formula(rng, name):
    x = inputs(rng)
    want = FORMULAS[name](x.astype(np.float64))
    np.testing.assert_allclose(np.array(getattr(nn, name)(mx.array(x))), want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "args", "function", "kwargs"), LAYERS)
def test_layer_is_its_function(rng, name, args, function, kwargs):
    x = mx.array(inputs(rng))
    layer = getattr(nn, name)(*args)
    np.testing.assert_array_equal(np.array(layer(x)), np.array(getattr(nn, function)(x, **kwargs)))
    assert repr(layer) == f"{name}()"
    assert layer.parameters() == {}


def test_prelu(rng):
    x = inputs(rng)
    layer = nn.PReLU(8, init=0.1)
    layer.weight = mx.array(rng.random(8).astype(np.float32))
    want = np.where(x > 0, x, x * np.array(layer.weight))
    np.testing.assert_allclose(np.array(layer(mx.array(x))), want, rtol=1e-6)
    assert nn.PReLU().weight.tolist() == [0.25]


@pytest.mark.parametrize("name", ["elu", "celu", "selu", "softplus", "mish", "silu", "log_sigmoid", "gelu", "tanh"])
def test_far_from_zero_values_and_gradients_are_finite(name):
    x = mx.array([-1e4, -200.0, -90.0, 90.0, 200.0, 1e4])
    function = getattr(nn, name)
    assert np.isfinite(np.array(function(x))).all()
    assert np.isfinite(np.array(mx.grad(lambda x: function(x).sum())(x))).all()


@pytest.mark.parametrize("name", FORMULAS)
def test_half_types_stay(name):
    x = mx.array([[0.5, -1.0]])
    for dtype in (mx.float16, mx.bfloat16):
        assert getattr(nn, name)(x.astype(dtype)).dtype == (mx.int32 if name == "step" else dtype)


def test_refused():
    with pytest.raises(ValueError, match=r"\[GELU\] approx must be one of \['none'"):
        nn.GELU("erf")
    with pytest.raises(ValueError, match=r"\[glu\] axis -1 of an input of shape \(2, 3\) must have an even size"):
        nn.glu(mx.ones((2, 3)))
    with pytest.raises(ValueError, match="alpha must not be 0"):
        nn.CELU(0)


@pytest.mark.parametrize("name", FORMULAS)
def test_function_is_mlx_own(rng, name):
    x = inputs(rng)
    seen = []
    for library in libraries():
        function, a = getattr(library.nn, name), library.mx.array(x)
        gradient = library.mx.grad(lambda x, f=function: (f(x) ** 2 + 0 * x.sum()).sum())
        seen.append(as_numpy([function(a), gradient(a)]))
    assert_same(*seen, context=name)
    if name not in ("sigmoid", "tanh"):  # functions of the core
        ours, theirs = (inspect.signature(getattr(library.nn, name)) for library in libraries())
        assert list(ours.parameters) == list(theirs.parameters)


def test_every_activation_of_mlx_is_here():
    ours, theirs = libraries()
    module = theirs.nn.layers.activations
    missing = [n for n in dir(module) if not n.startswith("_") and hasattr(theirs.nn, n) and not hasattr(ours.nn, n)]
    assert not missing
    for name, args, _, _ in LAYERS:
        assert repr(getattr(ours.nn, name)(*args)) == repr(getattr(theirs.nn, name)(*args))
