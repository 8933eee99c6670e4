# tests/python/test_nn_pooling.py -- pooling and resampling: by definition, beside mlx.nn and torch, refused arguments
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
import nhwc.nn as nn
from beside_mlx import as_numpy, assert_same, libraries
from strategies import FLOAT64, some


def pooled(x, kernel, stride, padding, kind, count_pad=True):
    """Windows by definition; padding is -inf for the maximum and zero for the mean."""
    dims = x.ndim - 2
    real = np.pad(np.ones(x.shape[1:-1]), [(p, p) for p in padding])
    x = np.pad(x, [(0, 0), *((p, p) for p in padding), (0, 0)], constant_values=-np.inf if kind == "Max" else 0)
    out = [(x.shape[1 + i] - kernel[i]) // stride[i] + 1 for i in range(dims)]
    y = np.empty((x.shape[0], *out, x.shape[-1]))
    for place in itertools.product(*map(range, out)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True))
        part = x[(slice(None), *window)].reshape(x.shape[0], -1, x.shape[-1])
        n = np.prod(kernel) if count_pad else real[window].sum()
        y[(slice(None), *place)] = part.max(1) if kind == "Max" else part.sum(1) / n
    return y


@st.composite
def poolings(draw):
    dims = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 4)) for _ in range(dims)]
    padding = [draw(st.integers(0, k - 1)) for k in kernel]
    stride = draw(st.one_of(st.none(), st.lists(st.integers(1, 4), min_size=dims, max_size=dims)))
    size = [draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True)]
    shape = (draw(st.integers(1, 2)), *size, draw(st.integers(1, 5)))
    return shape, kernel, stride, padding


@given(poolings(), st.sampled_from(["Max", "Avg"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_pooling_by_definition(problem, kind, count_pad, seed):
    shape, kernel, stride, padding = problem
    more = {} if kind == "Max" else {"count_include_pad": count_pad}
    layer = getattr(nn, f"{kind}Pool{len(kernel)}d")(tuple(kernel), stride and tuple(stride), tuple(padding), **more)
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    want = pooled(x, kernel, stride or kernel, padding, kind, count_pad)
    np.testing.assert_allclose(np.array(layer(mx.array(x))), want, atol=1e-6)


@given(poolings(), st.sampled_from(["Max", "Avg"]), st.integers(0, 2**32 - 1))
@some(30)
def test_pooling_is_mlx_own(problem, kind, seed):
    shape, kernel, stride, padding = problem
    data = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    seen = []
    for library in libraries():
        layer = getattr(library.nn, f"{kind}Pool{len(kernel)}d")(
            tuple(kernel), stride and tuple(stride), tuple(padding)
        )
        x = library.mx.array(data)
        seen.append((repr(layer), as_numpy([layer(x), library.mx.grad(lambda x, f=layer: (f(x) ** 2).sum())(x)])))
    assert seen[0][0] == seen[1][0]
    assert_same(seen[0][1], seen[1][1])


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, *FLOAT64, mx.int32, mx.uint8, mx.int8])
def test_pooling_of_every_type(rng, dtype):
    x = mx.array(rng.integers(0, 100, (1, 6, 5, 3)), mx.int32).astype(dtype)
    if dtype not in (mx.uint8,):
        x = mx.zeros_like(x) - x
    y = nn.MaxPool2d(3, stride=2, padding=1)(x)
    assert y.dtype == dtype
    as_float = np.array(x.astype(mx.float32))
    np.testing.assert_array_equal(np.array(y.astype(mx.float32)), pooled(as_float, (3, 3), (2, 2), (1, 1), "Max"))
    y = nn.AvgPool2d(2)(x)
    assert y.dtype == (dtype if mx.issubdtype(dtype, mx.floating) else mx.float32)
    want = pooled(as_float, (2, 2), (2, 2), (0, 0), "Avg")
    np.testing.assert_allclose(np.array(y.astype(mx.float32)), want, rtol=2e-2 if dtype == mx.bfloat16 else 1e-3)


def test_pooling_keeps_nan_and_inf_to_their_windows():
    x = np.zeros((1, 4, 4, 1), np.float32)
    x[0, 0, 0], x[0, 3, 3] = np.nan, np.inf
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2)):
        y = np.array(layer(mx.array(x)))[0, :, :, 0]
        assert np.isnan(y[0, 0])
        assert y[0, 1] == y[1, 0] == 0
        assert y[1, 1] == np.inf


def test_gradient_of_the_whole_mean(rng):
    x = mx.array(rng.standard_normal((2, 3, 4, 5)).astype(np.float32))
    y, gradient = nn.AvgPool2d((3, 4))(x), mx.grad(lambda x: nn.AvgPool2d((3, 4))(x).sum())(x)
    np.testing.assert_allclose(np.array(y)[:, 0, 0], np.array(x).mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(np.array(gradient), 1 / 12, rtol=1e-6)


@given(st.integers(1, 3), st.lists(st.integers(1, 9), min_size=3, max_size=3), st.data())
def test_adaptive_pooling_by_definition(dims, size, data):
    output = [data.draw(st.one_of(st.none(), st.integers(1, 10))) for _ in range(dims)]
    x = np.random.default_rng(len(output)).standard_normal((2, *size[:dims], 3)).astype(np.float32)
    for kind, reduce in (("Max", np.max), ("Avg", np.mean)):
        layer = getattr(nn, f"Adaptive{kind}Pool{dims}d")(tuple(output))
        assert repr(layer) == f"Adaptive{kind}Pool{dims}d(output_size={tuple(output)})"
        y = np.array(layer(mx.array(x)))
        m = [n if o is None else o for n, o in zip(size, output, strict=False)]
        assert y.shape == (2, *m, 3)
        for place in itertools.product(*map(range, m)):
            window = tuple(slice(i * n // k, -(-(i + 1) * n // k)) for i, n, k in zip(place, size, m, strict=False))
            want = reduce(x[(slice(None), *window)].astype(np.float64), axis=tuple(range(1, dims + 1)))
            np.testing.assert_allclose(y[(slice(None), *place)], want, atol=1e-6)


def test_adaptive_pooling_against_torch(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 7, 10, 3)).astype(np.float32)
    t = torch.tensor(x).permute(0, 3, 1, 2).requires_grad_()
    for name in ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d"):
        for size in (1, (3, 4), (7, 5), (None, 6), (9, 12)):
            want = getattr(torch.nn, name)(size)(t)
            (g,) = torch.autograd.grad((want**2).sum(), t)
            layer = getattr(nn, name)(size)
            np.testing.assert_allclose(
                np.array(layer(mx.array(x))), want.detach().permute(0, 2, 3, 1).numpy(), atol=1e-6
            )
            ours = mx.grad(lambda x, layer=layer: (layer(x) ** 2).sum())(mx.array(x))
            np.testing.assert_allclose(np.array(ours), g.permute(0, 2, 3, 1).numpy(), atol=1e-5)


# Upsample


def test_nearest_by_example():
    x = mx.arange(1, 5).reshape(1, 2, 2, 1)
    y = nn.Upsample(2)(x)
    assert y.dtype == mx.int32
    assert y[0, :, :, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert nn.Upsample((1.5, 0.5))(mx.arange(16).reshape(1, 4, 4, 1))[0, :, :, 0].tolist() == [
        [0, 2], [0, 2], [4, 6], [8, 10], [8, 10], [12, 14]]  # fmt: skip


def test_linear_by_example():
    x = mx.arange(1, 5).reshape(1, 2, 2, 1)
    got = np.array(nn.Upsample(2, mode="linear")(x))[0, :, :, 0]
    np.testing.assert_allclose(
        got, [[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]]
    )
    got = np.array(nn.Upsample(2, mode="linear", align_corners=True)(x))[0, 0, :, 0]
    np.testing.assert_allclose(got, [1, 4 / 3, 5 / 3, 2], rtol=1e-6)


@given(st.integers(1, 9), st.sampled_from([0.3, 0.5, 0.9, 1.0, 1.3, 2.0, 2.7, 3.0]), st.booleans())
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation_keeps_constants_and_lines(mode, n, scale, align):
    m = int(n * scale)
    if m == 0:
        return
    layer = nn.Upsample(scale, mode=mode, align_corners=align)
    np.testing.assert_allclose(np.array(layer(mx.full((1, n, 2), 3.0))), 3, rtol=1e-6)
    assert layer(mx.full((1, n, 2), 3.0)).shape == (1, m, 2)
    if mode == "linear":  # between the outermost inputs a line stays a line
        y = np.array(layer(mx.arange(n).reshape(1, n, 1)))[0, :, 0]
        if align:
            places = np.linspace(0, n - 1, m) if m > 1 else np.zeros(1)
        else:
            places = np.arange(m) / scale - ((m - 1) / scale - (n - 1)) / 2
        np.testing.assert_allclose(y, np.clip(places, 0, n - 1), atol=1e-5)


UPSAMPLE = [
    {"mode": mode, "align_corners": align, "antialias": antialias}
    for mode in ("nearest", "linear", "cubic")
    for align in (False, True)
    for antialias in (False, True)
    if not (antialias and (align or mode == "nearest"))
]


@pytest.mark.parametrize("options", UPSAMPLE, ids=lambda o: "-".join(map(str, o.values())))
def test_upsample_is_mlx_own(rng, options):
    for shape, scale in [
        ((1, 5, 2), 2), ((2, 5, 4, 3), 2.0), ((1, 8, 6, 2), (0.5, 1.5)), ((1, 3, 4, 2, 2), (3, 1.3, 2)),
        ((1, 8, 2), 0.3), ((1, 11, 3), 0.75), ((1, 1, 2), 3), ((1, 7, 2), 1.3), ((2, 6, 5, 1), (1.0, 2.6)),
    ]:  # fmt: skip
        data, seen = rng.standard_normal(shape).astype(np.float32), []
        for library in libraries():
            layer, x = library.nn.Upsample(scale, **options), library.mx.array(data)
            seen.append((repr(layer), as_numpy([layer(x), library.mx.grad(lambda x, f=layer: (f(x) ** 2).sum())(x)])))
        assert seen[0][0] == seen[1][0]
        assert_same(seen[0][1], seen[1][1], 1e-5, f"{shape} {scale}")


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_upsample_against_torch(rng, mode):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 8, 6, 3)).astype(np.float32)
    t = torch.tensor(x).permute(0, 3, 1, 2)
    for scale, align, antialias in ((2, False, False), (3, True, False), (0.5, False, True), (0.5, False, False)):
        want = torch.nn.functional.interpolate(
            t, scale_factor=scale, mode="bi" + mode, align_corners=align, antialias=antialias
        )
        got = nn.Upsample(scale, mode=mode, align_corners=align, antialias=antialias)(mx.array(x))
        np.testing.assert_allclose(np.array(got), want.permute(0, 2, 3, 1).numpy(), atol=1e-5)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.MaxPool2d((2, 2, 2)), r"\[MaxPool2d\] kernel_size must be an int or 2 of them"),
    (lambda: nn.MaxPool2d(0), r"\[MaxPool2d\] kernel_size must be at least 1, got 0"),
    (lambda: nn.AvgPool2d(2, stride=0), r"\[AvgPool2d\] stride must be at least 1"),
    (lambda: nn.AvgPool2d(2, padding=-1), r"\[AvgPool2d\] padding must be at least 0"),
    (lambda: nn.MaxPool2d(2, padding=2), r"\[MaxPool2d\] padding=\(2, 2\) must be less than kernel_size=\(2, 2\)"),
    (lambda: nn.AvgPool1d(2, padding=2, count_include_pad=False), r"\[AvgPool1d\] padding=\(2,\) must be less"),
    (lambda: nn.MaxPool2d(2)(mx.ones((4, 4, 2))), r"\[MaxPool2d\] expected an input of shape \(N, H, W, C\)"),
    (lambda: nn.AvgPool1d(2)(mx.ones((4, 4))), r"\[AvgPool1d\] expected an input of shape \(N, L, C\)"),
    (lambda: nn.MaxPool2d(7)(mx.ones((1, 5, 9, 2))), r"\[MaxPool2d\] kernel_size=\(7, 7\) does not fit"),
    (lambda: nn.AdaptiveAvgPool2d(0), r"\[AdaptiveAvgPool2d\] output_size must be at least 1"),
    (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), r"\[AdaptiveAvgPool2d\] output_size must be an int or 2"),
    (lambda: nn.AdaptiveMaxPool1d(2)(mx.ones((1, 0, 2))), r"\[AdaptiveMaxPool1d\] windows .* are empty"),
    (lambda: nn.Upsample(2, mode="area"), r"\[Upsample\] mode must be 'nearest', 'linear' or 'cubic', got 'area'"),
    (lambda: nn.Upsample(-1), r"\[Upsample\] scale_factor must be positive, got -1"),
    (lambda: nn.Upsample(2, antialias=True), r"\[Upsample\] antialias=True excludes"),
    (lambda: nn.Upsample(2)(mx.ones((2, 2))), r"\[Upsample\] expected an input of shape \(N, \.\.\., C\)"),
    (lambda: nn.Upsample((2, 3))(mx.ones((1, 2, 3, 4, 2))), r"\[Upsample\] 2 scale factors do not fit"),
    (lambda: nn.Upsample(0.2)(mx.ones((1, 3, 2))), r"\[Upsample\] scale_factor=0.2 leaves nothing of axis 1"),
])  # fmt: skip
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refused_type():
    with pytest.raises(TypeError, match=r"\[MaxPool2d\] kernel_size must be an int, got float"):
        nn.MaxPool2d(2.5)
