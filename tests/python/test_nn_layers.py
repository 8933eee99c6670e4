# tests/python/test_nn_layers.py -- layers: parameters, values and gradients beside mlx.nn and NumPy; refused arguments
import copy
import pickle

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
import oracle
from beside_mlx import as_numpy, assert_same, flat, libraries, results
from nhwc.utils import tree_flatten

# Name, arguments, keyword arguments, shapes of the inputs.
LAYERS = [
    ("Linear", (3, 4), {}, [(5, 3)]),
    ("Linear", (3, 4), {"bias": False}, [(2, 5, 3)]),
    ("Bilinear", (3, 4, 5), {}, [(6, 3), (6, 4)]),
    ("Bilinear", (3, 4, 5), {"bias": False}, [(2, 6, 3), (2, 6, 4)]),
    ("Identity", (1, 2), {"any": 3}, [(2, 3)]),
    ("Conv1d", (4, 6, 3), {"groups": 2, "stride": 2, "padding": 1}, [(2, 9, 4)]),
    ("Conv1d", (3, 6, 3), {"dilation": 2, "bias": False}, [(2, 9, 3)]),
    ("Conv2d", (4, 6, 3), {"groups": 2, "padding": 1}, [(2, 7, 6, 4)]),
    ("Conv2d", (3, 6, (3, 2)), {"stride": (1, 2), "padding": (1, 0), "dilation": 2}, [(2, 7, 6, 3)]),
    ("Conv2d", (3, 6, 3), {"bias": False}, [(2, 7, 6, 3)]),
    ("Conv3d", (3, 4, 3), {"padding": 1}, [(1, 4, 5, 4, 3)]),
    ("ConvTranspose1d", (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, [(2, 5, 3)]),
    ("ConvTranspose2d", (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, [(2, 5, 4, 3)]),
    ("ConvTranspose2d", (3, 4, (3, 2)), {"dilation": (1, 2), "bias": False}, [(2, 5, 4, 3)]),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, [(1, 3, 3, 2, 2)]),
    ("BatchNorm", (4,), {}, [(6, 4)]),
    ("BatchNorm", (4,), {"momentum": 0.3, "eps": 1e-3}, [(6, 3, 4)]),
    ("BatchNorm", (4,), {"affine": False}, [(3, 4, 4, 4)]),
    ("BatchNorm", (4,), {"track_running_stats": False}, [(3, 4, 4, 4)]),
    ("GroupNorm", (2, 6), {}, [(3, 4, 4, 6)]),
    ("GroupNorm", (3, 6), {"pytorch_compatible": True}, [(3, 4, 4, 6)]),
    ("GroupNorm", (2, 6), {"affine": False, "eps": 1e-2}, [(3, 6)]),
    ("InstanceNorm", (4,), {}, [(2, 5, 4)]),
    ("InstanceNorm", (4,), {"affine": True}, [(2, 5, 5, 4)]),
    ("LayerNorm", (8,), {}, [(3, 8)]),
    ("LayerNorm", (8,), {"bias": False}, [(3, 8)]),
    ("LayerNorm", (8,), {"affine": False}, [(3, 2, 8)]),
    ("RMSNorm", (8,), {}, [(3, 8)]),
    ("Dropout", (0.2,), {}, [(3, 8)]),
    ("Dropout", (0.0,), {}, [(3, 8)]),
    ("Dropout2d", (), {}, [(3, 4, 4, 8)]),
    ("Dropout2d", (0.3,), {}, [(4, 4, 8)]),
    ("Dropout3d", (), {}, [(3, 2, 2, 2, 8)]),
    ("RNN", (3, 4), {}, [(2, 5, 3)]),
    ("RNN", (3, 4), {"bias": False}, [(5, 3), (4,)]),
    ("LSTM", (3, 4), {}, [(2, 5, 3)]),
    ("LSTM", (3, 4), {"bias": False}, [(2, 5, 3), (2, 4), (2, 4)]),
    ("GRU", (3, 4), {}, [(2, 5, 3)]),
    ("GRU", (3, 4), {}, [(5, 3), (4,)]),
    ("GRU", (3, 4), {"bias": False}, [(2, 5, 3), (2, 4)]),
]


def identity_of(case):
    name, args, kwargs, _ = case
    return f"{name}-{'-'.join(map(str, (*args, *(f'{k}={v}' for k, v in kwargs.items()))))}"


def run(library, case, rng, training):
    """What there is to see of a layer: description, initial parameters, outputs, gradients, parameters afterwards."""
    name, args, kwargs, shapes = case
    library.mx.random.seed(7)
    layer = getattr(library.nn, name)(*args, **kwargs).train(training)
    initial = flat(library, layer.parameters())
    values = {k: library.mx.array((rng.random(a.shape) + 0.5).astype(np.float32)) for k, a in initial.items()}
    layer.load_weights(list(values.items()))
    inputs = [library.mx.array(rng.standard_normal(s).astype(np.float32)) for s in shapes]
    weights = None

    def outputs(*inputs):
        nonlocal weights
        value = layer(*inputs)
        if weights is None:
            weights = [
                library.mx.array(rng.standard_normal(y.shape).astype(np.float32)) for y in results(value).values()
            ]
        return value

    def loss(*inputs):
        found = results(outputs(*inputs)).values()
        return sum((y * w).sum() for y, w in zip(found, weights, strict=True))

    library.mx.random.seed(8)
    seen = {"outputs": as_numpy(outputs(*inputs))}
    seen["after"] = flat(library, layer.parameters())
    library.mx.random.seed(8)
    seen["by inputs"] = as_numpy(library.mx.grad(loss, argnums=list(range(len(inputs))))(*inputs))
    if library.utils.tree_flatten(layer.trainable_parameters()):
        library.mx.random.seed(8)
        seen["by parameters"] = flat(library, library.nn.value_and_grad(layer, loss)(*inputs)[1])
    return repr(layer), initial, seen


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", LAYERS, ids=identity_of)
def test_layer_is_mlx_own(case, training, request):
    seed = list(request.node.name.encode())
    (text, initial, seen), (text_b, initial_b, seen_b) = (
        run(library, case, np.random.default_rng(seed), training) for library in libraries()
    )
    if case[0] != "RNN":  # which prints a function's address
        assert text == text_b
    assert list(initial) == list(initial_b)
    for name in initial:
        np.testing.assert_array_max_ulp(initial[name], initial_b[name], maxulp=0 if case[0] != "Embedding" else 2)
    for what in seen_b:
        assert_same(seen[what], seen_b[what], 2e-5, what)


def test_embedding_is_mlx_own(rng):
    picked = rng.integers(0, 10, (2, 3)).astype(np.int32)
    seen = []
    for library in libraries():
        library.mx.random.seed(3)
        layer = library.nn.Embedding(10, 4)

        def loss(i, layer=layer):
            return (layer(i) ** 3).sum()

        i = library.mx.array(picked)
        gradient = library.nn.value_and_grad(layer, loss)(i)[1]
        seen.append({"w": layer.weight, "y": layer(i), "linear": layer.as_linear(layer(i)), "g": gradient["weight"]})
        assert repr(layer) == "Embedding(10, 4)"
    assert_same(*({k: np.array(a) for k, a in s.items()} for s in seen))


# Without mlx


def random(rng, *shape):
    return mx.array(rng.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dims", "groups"), [(1, 1), (1, 3), (2, 1), (2, 3), (3, 1), (3, 3)])
def test_convolutions_by_definition(rng, dims, groups, bias):
    mx.random.seed(dims)
    layer = getattr(nn, f"Conv{dims}d")(6, 9, 3, stride=2, padding=1, dilation=2, groups=groups, bias=bias)
    assert layer.weight.shape == (9, *(3,) * dims, 6 // groups)
    bound = (6 // groups * 3**dims) ** -0.5
    assert bound * 0.8 < np.abs(np.array(layer.weight)).max() <= bound
    if bias:
        assert not np.any(np.array(layer.bias))
        layer.bias = random(rng, 9)
    x = random(rng, 2, *(7, 6, 8)[:dims], 6)
    ref = oracle.conv(x.shape, layer.weight.shape, stride=2, padding=1, kernel_dilation=2, groups=groups)
    want = ref(np.array(x, np.float64), np.array(layer.weight, np.float64))
    np.testing.assert_allclose(np.array(layer(x)), want + (np.array(layer.bias) if bias else 0), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_transposed_convolutions_by_definition(rng, dims, groups):
    layer = getattr(nn, f"ConvTranspose{dims}d")(6, 9, 3, stride=2, padding=1, output_padding=1, groups=groups)
    layer.bias = random(rng, 9)
    x = random(rng, 2, *(4, 3, 5)[:dims], 6)
    ref = oracle.conv_transpose(x.shape, layer.weight.shape, stride=2, padding=1, output_padding=1, groups=groups)
    want = ref(np.array(x, np.float64), np.array(layer.weight, np.float64)) + np.array(layer.bias)
    np.testing.assert_allclose(np.array(layer(x)), want, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid", ((0, 2), (1, -1)), -1])
def test_paddings_that_mlx_lacks(rng, padding):
    layer = nn.Conv2d(3, 4, 3, padding=padding)
    x = random(rng, 1, 7, 6, 3)
    want = mx.conv2d(x, layer.weight, padding=padding)
    assert mx.array_equal(layer(x), want).item()
    assert repr(layer).startswith("Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=")
    assert nn.Conv1d(3, 4, 3, padding="causal")(x[0]).shape == (7, 6, 4)


def test_groups_are_shown_where_mlx_has_none():
    assert "groups=2, bias=True" in repr(nn.Conv3d(4, 6, 3, groups=2))
    assert "output_padding=0, groups=2, bias=True" in repr(nn.ConvTranspose1d(4, 6, 3, groups=2))


def test_batch_norm_by_definition(rng):
    layer = nn.BatchNorm(5, eps=1e-3, momentum=0.2)
    layer.weight, layer.bias = random(rng, 5), random(rng, 5)
    mean, var = np.zeros(5), np.ones(5)
    for n, *rest in [(4,), (3, 2), (2, 3, 4), (2, 2, 3, 2)]:
        x = random(rng, n, *rest, 5)
        flat_x = np.array(x, np.float64).reshape(-1, 5)
        want = (flat_x - flat_x.mean(0)) / np.sqrt(flat_x.var(0) + 1e-3) * np.array(layer.weight) + np.array(layer.bias)
        np.testing.assert_allclose(np.array(layer(x)).reshape(-1, 5), want, atol=1e-5)
        mean, var = 0.8 * mean + 0.2 * flat_x.mean(0), 0.8 * var + 0.2 * flat_x.var(0, ddof=1)
        np.testing.assert_allclose(np.array(layer.running_mean), mean, atol=1e-6)
        np.testing.assert_allclose(np.array(layer.running_var), var, rtol=1e-5)
    layer.eval()
    x = random(rng, 2, 3, 3, 5)
    want = (np.array(x) - mean) / np.sqrt(var + 1e-3) * np.array(layer.weight) + np.array(layer.bias)
    np.testing.assert_allclose(np.array(layer(x)), want, atol=1e-5)
    np.testing.assert_allclose(np.array(layer.running_mean), mean, atol=1e-6)


def test_batch_norm_of_one_value_per_channel():
    x = mx.array([[3.0, 4.0]])
    for layer in (nn.BatchNorm(2), nn.BatchNorm(2, track_running_stats=False)):
        with pytest.raises(ValueError, match=r"\[BatchNorm\] training needs more than one value per channel"):
            layer(x)
    assert nn.BatchNorm(2).eval()(x).shape == (1, 2)
    assert nn.BatchNorm(2, track_running_stats=False).eval()(x).tolist() == [[0, 0]]


@pytest.mark.cpu_only("float64")
def test_batch_norm_derivatives_beside_the_plain_formula(rng):
    """First and second derivatives, both modes, and a mean that is large beside the deviations."""
    x = mx.array(rng.standard_normal((4, 3, 2)) + 3.0, mx.float64)
    w, b, c, v = (mx.array(rng.standard_normal(s), mx.float64) for s in ((2,), (2,), (4, 3, 2), (4, 3, 2)))
    layer = nn.BatchNorm(2, track_running_stats=False)

    def of_layer(x, w, b):
        layer.update({"weight": w, "bias": b})
        return (mx.sin(layer(x)) * c).sum()

    def of_formula(x, w, b):
        mean, var = mx.mean(x, axis=(0, 1)), mx.var(x, axis=(0, 1))
        return (mx.sin((x - mean) / mx.sqrt(var + 1e-5) * w + b) * c).sum()

    found = []
    for f in (of_layer, of_formula):
        gradient = mx.grad(f, argnums=(0, 1, 2))
        second = mx.grad(lambda x, f=f: (mx.grad(f)(x, w, b) * v).sum())(x)
        across = mx.grad(lambda w, f=f: (mx.grad(f)(x, w, b) * v).sum())(w)
        forward = mx.jvp(lambda x, f=f: f(x, w, b), [x], [v])[1]
        found.append([*gradient(x, w, b), second, across, *forward])
    for ours, plain in zip(*found, strict=True):
        np.testing.assert_allclose(np.array(ours), np.array(plain), rtol=1e-9, atol=1e-9)


def test_batch_norm_with_a_large_mean(rng):
    x = mx.array((rng.standard_normal((50, 3)) + 1e4).astype(np.float32))
    x64 = np.array(x, np.float64)
    want = (x64 - x64.mean(0)) / np.sqrt(x64.var(0) + 1e-5)
    np.testing.assert_allclose(np.array(nn.BatchNorm(3)(x)), want, atol=2e-3)  # the mean itself is rounded


def test_running_statistics_are_never_trainable():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2))
    names = {"layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"}
    for change in (lambda: model, model.unfreeze, lambda: model.freeze().unfreeze(), model.layers[1].unfreeze):
        change()
        assert {name for name, _ in tree_flatten(model.trainable_parameters())} == names
    model.unfreeze(keys=["running_mean"])
    assert {name for name, _ in tree_flatten(model.trainable_parameters())} == names


@pytest.mark.parametrize("compatible", [True, False])
def test_group_norm_by_definition(rng, compatible):
    layer = nn.GroupNorm(2, 6, pytorch_compatible=compatible)
    x = random(rng, 3, 4, 5, 6)
    x64 = np.array(x, np.float64)
    want = np.empty_like(x64)
    for g in range(2):
        channels = slice(3 * g, 3 * g + 3) if compatible else slice(g, None, 2)
        part = x64[..., channels]
        mean, var = part.mean((1, 2, 3), keepdims=True), part.var((1, 2, 3), keepdims=True)
        want[..., channels] = (part - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(np.array(layer(x)), want, atol=1e-5)


def test_instance_layer_and_rms_norm_by_definition(rng):
    x = random(rng, 2, 4, 5, 6)
    x64 = np.array(x, np.float64)
    for layer, axes in ((nn.InstanceNorm(6), (1, 2)), (nn.LayerNorm(6), (3,))):
        want = (x64 - x64.mean(axes, keepdims=True)) / np.sqrt(x64.var(axes, keepdims=True) + 1e-5)
        np.testing.assert_allclose(np.array(layer(x)), want, atol=1e-5)
    want = x64 / np.sqrt((x64**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(np.array(nn.RMSNorm(6)(x)), want, atol=1e-5)


@pytest.mark.parametrize(("name", "shape", "whole"), [
    ("Dropout", (100, 40), ()),
    ("Dropout2d", (40, 3, 3, 100), (1, 2)),
    ("Dropout2d", (3, 3, 4000), (0, 1)),
    ("Dropout3d", (40, 2, 3, 2, 100), (1, 2, 3)),
])  # fmt: skip
def test_dropout(name, shape, whole):
    mx.random.seed(1)
    layer = getattr(nn, name)(0.25)
    y = np.array(layer(mx.ones(shape)))
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert abs((y == 0).mean() - 0.25) < 0.03
    if whole:  # a channel is dropped as a whole
        assert np.array_equal(y.max(whole), y.min(whole))
    assert layer(mx.ones(shape).astype(mx.float16)).dtype == mx.float16
    assert np.array(layer.eval()(mx.ones(shape))).min() == 1
    assert repr(layer) == f"{name}(p=0.25)"


def test_recurrent_layers_by_definition(rng):
    def sigmoid(t):
        return 1 / (1 + np.exp(-t))

    x, h0, c0 = random(rng, 2, 4, 3), random(rng, 2, 5), random(rng, 2, 5)
    xs, h, c = np.array(x, np.float64), np.array(h0, np.float64), np.array(c0, np.float64)
    rnn, lstm, gru = nn.RNN(3, 5), nn.LSTM(3, 5), nn.GRU(3, 5)
    r, s, g = ({k: np.array(v, np.float64) for k, v in m.parameters().items()} for m in (rnn, lstm, gru))
    state = h
    for t in range(4):
        state = np.tanh(xs[:, t] @ r["Wxh"].T + r["bias"] + state @ r["Whh"].T)
        np.testing.assert_allclose(np.array(rnn(x, h0)[:, t]), state, atol=1e-5)
    state = h
    for t in range(4):
        i, f, n, o = np.split(xs[:, t] @ s["Wx"].T + s["bias"] + state @ s["Wh"].T, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(n)
        state = sigmoid(o) * np.tanh(c)
        states, cells = lstm(x, h0, c0)
        np.testing.assert_allclose(np.array(states[:, t]), state, atol=1e-5)
        np.testing.assert_allclose(np.array(cells[:, t]), c, atol=1e-5)
    state = h
    for t in range(4):
        now, old = xs[:, t] @ g["Wx"].T + g["b"], state @ g["Wh"].T
        a, z = np.split(sigmoid(now[:, :10] + old[:, :10]), 2, -1)
        state = (1 - z) * np.tanh(now[:, 10:] + a * (old[:, 10:] + g["bhn"])) + z * state
        np.testing.assert_allclose(np.array(gru(x, h0)[:, t]), state, atol=1e-5)
    relu = nn.RNN(3, 5, nonlinearity=nn.relu)(x)
    assert np.array(relu).min() == 0


def test_layers_compile_pickle_and_copy(rng):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1))
    model.eval()
    x = random(rng, 2, 6, 6, 3)
    want = np.array(model(x))
    np.testing.assert_allclose(np.array(mx.compile(model)(x)), want, atol=1e-6)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert repr(other) == repr(model)
        assert np.array_equal(np.array(other(x)), want)
        assert not other.training
        assert other.layers[0].weight is not model.layers[0].weight


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Linear(0, 3), r"\[Linear\] input_dims must be at least 1, got 0"),
    (lambda: nn.Linear(3, -1), r"\[Linear\] output_dims"),
    (lambda: nn.Conv2d(-3, 4, 3), r"\[Conv2d\] in_channels must be at least 1, got -3"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), r"\[Conv2d\] groups=4 must divide out_channels=6"),
    (lambda: nn.Conv3d(3, 6, 3, groups=2), r"\[Conv3d\] groups=2 must divide in_channels=3"),
    (lambda: nn.Conv2d(3, 6, (3, 3, 3)), r"\[Conv2d\] kernel_size must be an int or 2 of them"),
    (lambda: nn.Conv2d(3, 6, 3, stride=0), r"\[Conv2d\] stride must be at least 1"),
    (lambda: nn.Conv2d(3, 6, 3, dilation=(1, 0)), r"\[Conv2d\] dilation must be at least 1"),
    (lambda: nn.Conv2d(3, 6, 3, padding="full"), r"\[Conv2d\] padding must be .*'same', 'valid'.* got 'full'"),
    (lambda: nn.Conv2d(3, 6, 3, padding="causal"), r"\[Conv2d\] padding"),
    (lambda: nn.ConvTranspose2d(3, 6, 3, output_padding=1), r"\[ConvTranspose2d\] output_padding=1 must be less"),
    (lambda: nn.ConvTranspose1d(3, 6, 3, padding=-1), r"\[ConvTranspose1d\] padding must be at least 0"),
    (lambda: nn.BatchNorm(0), r"\[BatchNorm\] num_features"),
    (lambda: nn.GroupNorm(3, 4), r"\[GroupNorm\] num_groups=3 must divide dims=4"),
    (lambda: nn.Dropout(1.0), r"\[Dropout\] p must be a number in \[0, 1\), got 1.0"),
    (lambda: nn.Dropout2d(-0.1), r"\[Dropout2d\] p must be"),
    (lambda: nn.LSTM(3, 0), r"\[LSTM\] hidden_size"),
    (lambda: nn.RNN(3, 2, nonlinearity="tanh"), r"\[RNN\] nonlinearity must be a function"),
    (lambda: nn.Embedding(0, 2), r"\[Embedding\] num_embeddings"),
    (lambda: nn.Linear(3, 4)(mx.ones((2, 5))), r"\[Linear\] expected an input whose last axis has input_dims=3"),
    (lambda: nn.Bilinear(3, 4, 2)(mx.ones((2, 3)), mx.ones((1, 4))), r"\[Bilinear\] the inputs' first axes"),
    (lambda: nn.Embedding(3, 2)(mx.ones((2,))), r"\[Embedding\] expected integers"),
    (lambda: nn.Conv2d(3, 4, 3)(mx.ones((5, 5, 3))), r"\[conv2d\] input has 3 dimensions.*expected 4"),
    (lambda: nn.Conv2d(3, 4, 3)(mx.ones((1, 5, 5, 4))), r"\[conv2d\] input has 4 channels"),
    (lambda: nn.BatchNorm(3)(mx.ones((3,))), r"\[BatchNorm\] expected an input of shape \(N, \.\.\., C\)"),
    (lambda: nn.BatchNorm(3)(mx.ones((2, 4))), r"\[BatchNorm\] expected an input whose last axis has num_features=3"),
    (lambda: nn.GroupNorm(2, 4)(mx.ones((2, 6))), r"\[GroupNorm\] expected"),
    (lambda: nn.InstanceNorm(4)(mx.ones((2, 4))), r"\[InstanceNorm\] expected an input of shape"),
    (lambda: nn.LayerNorm(4)(mx.ones((2, 3))), r"\[LayerNorm\] expected"),
    (lambda: nn.RMSNorm(4)(mx.ones((2, 3))), r"\[RMSNorm\] expected"),
    (lambda: nn.Dropout2d()(mx.ones((2, 3))), r"\[Dropout2d\] expected an input of shape \(N, H, W, C\)"),
    (lambda: nn.GRU(3, 4)(mx.ones((2, 3, 4, 3))), r"\[GRU\] expected an input of shape \(N, L, D\)"),
    (lambda: nn.LSTM(3, 4)(mx.ones((2, 0, 3))), r"\[LSTM\] expected a sequence of one step"),
])  # fmt: skip
def test_refused_values(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Linear(3.5, 3), r"\[Linear\] input_dims must be an int, got float"),
    (lambda: nn.Conv2d(3, 4, None), r"\[Conv2d\] kernel_size must be an int, got NoneType"),
    (lambda: nn.Sequential(nn.Linear(1, 1), 3), r"\[Sequential\] item 1 must be a module or a function, got int"),
])  # fmt: skip
def test_refused_types(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchNorm(4),
        lambda: nn.GroupNorm(2, 4),
        lambda: nn.GroupNorm(2, 4, pytorch_compatible=True),
        lambda: nn.InstanceNorm(4, affine=True),
        lambda: nn.InstanceNorm(4),
    ],
    ids=["batch", "group", "group-torch", "instance", "instance-plain"],
)
@pytest.mark.parametrize("params", [mx.float32, None], ids=["float32", "half"])
def test_normalizations_of_half_types_neither_overflow_nor_lose_the_mean(rng, make, dtype, params):
    layer = make()
    layer.set_dtype(params or dtype)
    for scale, shift in ((1000.0, 0.0), (1.0, 60.0)):
        x = mx.array((rng.standard_normal((2, 5, 5, 4)) * scale + shift).astype(np.float32)).astype(dtype)
        y = layer(x)
        plain = not layer.parameters()
        assert y.dtype == (dtype if plain or params is None else mx.float32)
        want = make()(x.astype(mx.float32))
        np.testing.assert_allclose(np.array(y.astype(mx.float32)), np.array(want), atol=0.03)
        if isinstance(layer, nn.BatchNorm):
            assert layer.running_mean.dtype == layer.running_var.dtype == (params or dtype)


def test_the_probability_of_dropout_may_be_numpys():
    mx.random.seed(7)
    expected = nn.Dropout(0.5)(mx.ones((20,))).tolist()
    mx.random.seed(7)
    assert nn.Dropout(np.float32(0.5))(mx.ones((20,))).tolist() == expected
