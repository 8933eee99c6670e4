# tests/apple/test_gpu_conv.py -- convolutions on the GPU, algorithm by algorithm, against the CPU
import contextlib
import os
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

import nhwc as mx
from strategies import EPS, general_kwargs, problems, to_float64

TYPES = [mx.float32, mx.float16, mx.bfloat16]
ONE_SANITIZED = [pytest.param(TYPES[0], marks=pytest.mark.sanitizer), *TYPES[1:]]
TILES = ["64x64x16", "64x32x16", "32x64x16", "32x32x16"]
FORWARD = [f"igemm_{tile}" for tile in TILES] + ["grouped", "direct", ""]
WEIGHT_GRAD = [f"weight_grad_{tile}" for tile in TILES] + ["", "direct_weight_grad", ""]
ACTIVATIONS = {
    "none": lambda y: y,
    "relu": lambda y: mx.maximum(y, 0),
    "tanh": mx.tanh,
    "sigmoid": mx.sigmoid,
}

pytestmark = pytest.mark.usefixtures("gpu")


@contextlib.contextmanager
def wanted(algorithm):
    """The planner takes this one wherever it is possible."""
    os.environ["NHWC_METAL_ALGORITHM"] = algorithm
    try:
        yield
    finally:
        del os.environ["NHWC_METAL_ALGORITHM"]


def assert_like_cpu(got, want, terms, dtype, context):
    """Sums of `terms` products of standard normal values; Winograd's transforms add roundings of their own."""
    got, want = to_float64(got), to_float64(want)
    assert got.shape == want.shape, context
    roundings = (64 * np.sqrt(terms) + 4 * terms) * (6 if "winograd" in context else 1)
    bound = EPS[mx.float32] * roundings + 8 * EPS[dtype] * np.abs(want) + 2.0**-24
    np.testing.assert_array_less(np.abs(got - want), bound, context)


def normal(shape, dtype, seed):
    with mx.stream(mx.cpu):
        a = mx.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32)).astype(dtype)
    mx.eval(a)
    return a


def conv(x, w, kwargs, stream):
    with mx.stream(stream):
        return mx.conv_general(x, w, **kwargs)


def check_forward(x, w, kwargs, seed, context, activation="none"):
    """With what is fused: bias, and for float32 a residual."""
    shape = conv(x, w, kwargs, mx.cpu).shape
    bias, residual = normal(shape[-1:], x.dtype, seed), normal(shape, x.dtype, seed + 1)

    def compute(stream):
        with mx.stream(stream):
            y = mx.conv_general(x, w, **kwargs) + bias
            if x.dtype == mx.float32 and seed % 2:
                y = y + residual
            return ACTIVATIONS[activation](y)

    assert_like_cpu(compute(mx.gpu), compute(mx.cpu), np.prod(w.shape[1:]), x.dtype, context)


def check_gradients(x, w, kwargs, seed, context):
    cotangent = normal(conv(x, w, kwargs, mx.cpu).shape, x.dtype, seed)

    def compute(stream):
        with mx.stream(stream):
            return mx.vjp(lambda x, w: mx.conv_general(x, w, **kwargs), [x, w], [cotangent])[1]

    terms = [w.shape[0] * np.prod(w.shape[1:-1]), cotangent.size // cotangent.shape[-1]]
    for got, want, n, name in zip(compute(mx.gpu), compute(mx.cpu), terms, ("x", "w"), strict=True):
        assert_like_cpu(got, want, n, x.dtype, f"gradient of {name}, {context}")


@pytest.mark.parametrize("algorithm", FORWARD)
@settings(max_examples=15, deadline=None)
@given(problems(dtypes=TYPES), st.sampled_from(sorted(ACTIVATIONS)))
def test_forward_of_any_arguments(algorithm, p, activation):
    x, w, *_ = p.arrays()
    with wanted(algorithm):
        check_forward(x, w, general_kwargs(p), p.seed, f"{algorithm} {activation} {p}", activation)


@pytest.mark.parametrize("algorithm", FORWARD)
@pytest.mark.parametrize(("rank", "channels"), [(1, 2), (2, 2), (3, 2), (2, 24)])
def test_transposed_with_a_kernel_of_the_stride(algorithm, rank, channels):
    """Outputs that share no input become one with all their channels, over which the bias repeats."""
    size = (3, 4, 2)[:rank]
    x, w = normal((2, *size, channels), mx.float32, 1), normal((3, *[2] * rank, channels), mx.float32, 2)
    bias, transposed = normal((3,), mx.float32, 3), getattr(mx, f"conv_transpose{rank}d")
    with wanted(algorithm):
        got, want = (transposed(x, w, stride=2, bias=bias, stream=device) for device in (mx.gpu, mx.cpu))
        assert_like_cpu(got, want, channels, mx.float32, algorithm)


@pytest.mark.parametrize(("forward", "weight_grad"), list(zip(FORWARD, WEIGHT_GRAD, strict=True)))
@settings(max_examples=12, deadline=None)
@given(problems(dtypes=TYPES))
def test_gradients_of_any_arguments(forward, weight_grad, p):
    x, w, *_ = p.arrays()
    for algorithm in {forward, weight_grad}:
        with wanted(algorithm):
            check_gradients(x, w, general_kwargs(p), p.seed, f"{algorithm} {p}")


# What meets every edge of a tile: exact multiples, one more and one less; and each vector width of each operand.
EDGES = [
    ((1, 8, 8, 16), (64, 1, 1, 16), {}),
    ((1, 13, 5, 16), (65, 1, 1, 16), {}),
    ((2, 9, 7, 12), (36, 3, 3, 12), {"padding": 1}),
    ((1, 9, 7, 3), (33, 3, 3, 3), {"padding": 1, "stride": 2}),
    ((1, 6, 6, 68), (20, 3, 3, 68), {"kernel_dilation": 2, "padding": 2}),
    ((1, 5, 6, 7), (31, 2, 3, 7), {"padding": ([-1, 2], [0, -1])}),
    ((1, 6, 5, 16), (8, 3, 3, 16), {"input_dilation": 2, "padding": 2}),
    ((1, 6, 5, 8), (8, 4, 2, 8), {"input_dilation": (4, 2), "stride": (2, 1), "padding": 3, "flip": True}),
    ((1, 4, 4, 8), (12, 2, 2, 8), {"input_dilation": 2, "padding": 1}),
    ((2, 5, 5, 24), (24, 3, 3, 8), {"padding": 1, "groups": 3}),
    ((2, 7, 6, 40), (40, 3, 3, 1), {"padding": 1, "groups": 40}),
    ((1, 8, 8, 37), (37, 3, 3, 1), {"padding": 1, "groups": 37}),
    ((1, 8, 8, 36), (36, 3, 3, 1), {"padding": 1, "groups": 36}),
    ((1, 40, 8), (16, 5, 8), {"padding": 2}),
    ((1, 4, 5, 6, 4), (8, 2, 3, 3, 4), {"padding": 1}),
    ((3, 2, 2, 256), (8, 2, 2, 256), {}),
]


@pytest.mark.parametrize("algorithm", FORWARD)
@pytest.mark.parametrize("dtype", ONE_SANITIZED)
def test_forward_at_the_edges_of_tiles(algorithm, dtype):
    for i, (x_shape, w_shape, kwargs) in enumerate(EDGES):
        x, w = normal(x_shape, dtype, i), normal(w_shape, dtype, i + 100)
        with wanted(algorithm):
            check_forward(x, w, kwargs, i, f"{algorithm} {x_shape} {w_shape} {kwargs}")


@pytest.mark.parametrize("algorithm", sorted({*FORWARD, *WEIGHT_GRAD}))
@pytest.mark.parametrize("dtype", ONE_SANITIZED)
def test_gradients_at_the_edges_of_tiles(algorithm, dtype):
    for i, (x_shape, w_shape, kwargs) in enumerate(EDGES):
        x, w = normal(x_shape, dtype, i), normal(w_shape, dtype, i + 100)
        with wanted(algorithm):
            check_gradients(x, w, kwargs, i, f"{algorithm} {x_shape} {w_shape} {kwargs}")


@pytest.mark.sanitizer
def test_sums_in_parts_stay_within_the_workspace():
    """A small output of a long sum is split over threadgroups, but not where the scratch would be too large."""
    x, w = normal((1, 4, 4, 512), mx.float32, 1), normal((32, 3, 3, 512), mx.float32, 2)
    before = mx.get_workspace_limit()
    for limit, parts in ((before, True), (32 * 16 * 4 * 2 - 1, False)):
        mx.set_workspace_limit(limit)
        try:
            with mx.stream(mx.gpu), wanted("igemm"):
                assert ("parts" in mx.explain(mx.conv_general(x, w, padding=1))) == parts
                check_forward(x, w, {"padding": 1}, 3, f"limit {limit}")
        finally:
            mx.set_workspace_limit(before)


ALL_ACTIVATIONS = ["relu", "relu6", "leaky_relu", "silu", "gelu", "tanh", "sigmoid"]


@pytest.mark.parametrize("word", ALL_ACTIVATIONS)
@pytest.mark.parametrize("algorithm", ["igemm", "direct"])
def test_activations(word, algorithm):
    """Of sums far below 0 to far above 6."""
    x, w = normal((1, 6, 6, 8), mx.float32, 1), normal((8, 3, 3, 8), mx.float32, 2)
    with wanted(algorithm):
        got, want = (conv(x, w, {"padding": 1, "activation": word}, s) for s in (mx.gpu, mx.cpu))
    assert_like_cpu(got, want, 72, mx.float32, f"{algorithm} {word}")


def test_weight_gradients_in_parts():
    """Of many pixels and few weights."""
    for tile in TILES:
        with wanted(f"weight_grad_{tile}"):
            for seed, channels in enumerate((8, 7)):
                x, w = normal((1, 48, 48, channels), mx.float32, seed), normal((16, 3, 3, channels), mx.float32, 9)
                check_gradients(x, w, {"padding": 1}, seed, f"{tile} {channels}")


def test_the_same_bits_every_time():
    x, w = normal((2, 6, 6, 128), mx.float32, 1), normal((16, 3, 3, 128), mx.float32, 2)
    first, *others = (to_float64(conv(x, w, {"padding": 1}, mx.gpu)) for _ in range(3))
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_nothing_to_sum():
    for x_shape, w_shape in (((2, 4, 4, 0), (3, 3, 3, 0)), ((0, 4, 4, 2), (3, 3, 3, 2))):
        x, w = mx.zeros(x_shape, stream=mx.cpu), mx.zeros(w_shape, stream=mx.cpu)
        with mx.stream(mx.gpu):
            y = mx.conv_general(x, w) + mx.ones((3,))
            assert y.shape[0] == x_shape[0]
            np.testing.assert_array_equal(np.array(y), 1)
    with mx.stream(mx.gpu):
        gradient = mx.grad(lambda w: mx.sum(mx.conv_general(mx.zeros((0, 4, 4, 2)), w)))(mx.ones((3, 3, 3, 2)))
    np.testing.assert_array_equal(np.array(gradient), 0)


def test_explain_names_the_plan_of_the_gpu():
    x, w = normal((1, 14, 14, 64), mx.float32, 1), normal((64, 3, 3, 64), mx.float32, 2)
    with mx.stream(mx.gpu):
        y = mx.conv_general(x, w, padding=1) + mx.ones((64,))
        lazy = mx.explain(y)
        mx.eval(y)
        for text in (lazy, mx.explain(y)):  # what computed it is known afterwards too
            for said in ("igemm_", "not direct: slower", "threadgroup memory"):
                assert said in text


def test_numbers_that_say_nothing_may_be_any_and_others_are_refused():
    x, w = normal((1, 5, 4), mx.float32, 1), normal((8, 1, 4), mx.float32, 2)
    check_forward(x, w, {"kernel_dilation": 2**40, "stride": 2**40}, 1, "far")
    check_forward(x, w, {"padding": 2**31, "stride": 2**31}, 1, "far padding")
    for more in ({"input_dilation": 2**31, "stride": 2**31}, {"kernel_dilation": 2**31, "padding": 2**30}):
        with pytest.raises(ValueError, match=r"axis 2 of 3 reach .* 1.07374e\+09 .*use stream=nhwc\.cpu"):
            mx.eval(mx.conv_general(x, mx.ones((8, 2, 4)), **more, stream=mx.gpu))


# Kernels count positions in 32 bits: these are computed in parts, which begin anywhere.
@pytest.mark.parametrize("algorithm", ["", "igemm", "grouped", "direct"])
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
def test_positions_beyond_32_bits(algorithm, dtype):
    """Signals that repeat or lie far apart: long, of little memory."""
    size = 2**32 + 12345
    for x_shape, w_shape in [((2, 1, 6), (5, 3, 6)), ((1, 1, 7, 4), (4, 3, 3, 2))]:
        few = normal(x_shape, dtype, 1)
        long = mx.broadcast_to(few, (x_shape[0], size, *x_shape[2:]), stream=mx.cpu)
        w = normal(w_shape, dtype, 2)
        groups = x_shape[-1] // w_shape[-1]
        stride = (2**29 + 3, *(1 for _ in x_shape[3:]))
        padding = ([5, *(1 for _ in x_shape[3:])],) * 2
        with wanted(algorithm):
            kwargs = {"stride": stride, "padding": padding, "groups": groups}
            y = conv(long, w, kwargs, mx.gpu)
            assert y.shape[1] > 8
            check_forward(long, w, kwargs, 3, f"{algorithm} {x_shape}", "relu")
    x = normal((1, 40, 4), dtype, 3)  # most outputs meet the padding alone
    with wanted(algorithm):
        check_forward(x, normal((4, 3, 4), dtype, 4), {"padding": 2**33 + 7, "stride": 2**30 - 1}, 5, "padding")


WINOGRAD = [
    ((2, 8, 8, 16), (32, 3, 3, 16), {"padding": 1}),
    ((1, 9, 6, 20), (36, 3, 3, 20), {"padding": 0}),
    ((3, 5, 11, 7), (5, 3, 3, 7), {"padding": ([2, 0], [0, 3]), "flip": True}),
    ((1, 10, 7, 8), (8, 3, 3, 8), {"padding": ([-1, 2], [1, -2])}),
]


@pytest.mark.parametrize("tile", ["64x64x16", "32x32x16"])
@pytest.mark.parametrize("workspace", [None, 120_000])
@pytest.mark.parametrize("dtype", ONE_SANITIZED, ids=str)
def test_winograd(dtype, tile, workspace):
    """Forward and input gradient, in one pass and in several."""
    before = mx.get_workspace_limit()
    try:
        mx.set_workspace_limit(workspace or before)
        for i, (x_shape, w_shape, kwargs) in enumerate(WINOGRAD):
            x, w = normal(x_shape, dtype, i), normal(w_shape, dtype, i + 100)
            if i % 2:
                x = x[:, ::-1, :, :]
            with wanted(f"winograd_{tile}"):
                if not workspace:
                    with mx.stream(mx.gpu):
                        assert "\n  winograd" in mx.explain(mx.conv_general(x, w, **kwargs))
                check_forward(x, w, kwargs, i, f"winograd {x_shape} {w_shape} {kwargs}", "relu")
                check_gradients(x, w, kwargs, i, f"winograd {x_shape} {w_shape} {kwargs}")
    finally:
        mx.set_workspace_limit(before)


# Relative L2 error, in those of the same sums by their definition. Half types are rounded once either way.
MOST_ERROR = {mx.float32: 6, mx.float16: 1.01, mx.bfloat16: 1.01}


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("channels", [16, 72])
@pytest.mark.parametrize("kind", ["normal", "positive", "offset", "magnitudes"])
def test_the_error_of_winograd_is_bounded(kind, channels, dtype):
    rng = np.random.default_rng(channels)
    x, w = rng.standard_normal((2, 13, 14, channels)), rng.standard_normal((24, 3, 3, channels))
    if kind == "positive":
        x, w = np.abs(x), np.abs(w)
    elif kind == "offset":
        x = x + 100
    elif kind == "magnitudes":
        x = x * 10 ** rng.uniform(-2, 2, x.shape)
    with mx.stream(mx.cpu):
        x, w = (mx.array(a.astype(np.float32)).astype(dtype) for a in (x, w))
        exact = to_float64(mx.conv2d(x.astype(mx.float64), w.astype(mx.float64), padding=1))
        mx.eval(x, w)

    def error(algorithm):
        with wanted(algorithm), mx.stream(mx.gpu):
            assert f"\n  {algorithm}" in mx.explain(mx.conv2d(x, w, padding=1))
            y = to_float64(mx.conv2d(x, w, padding=1))
        return np.linalg.norm(y - exact) / np.linalg.norm(exact)

    ratio = error("winograd") / error("direct")
    print(f"{kind} {channels} {dtype}: {ratio:.2f}")
    assert ratio <= MOST_ERROR[dtype]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_winograd_keeps_what_is_not_finite_where_it_belongs(value):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 9, 10, 8)).astype(np.float32), rng.standard_normal((8, 3, 3, 8)).astype(np.float32)
    spoilt, row = x.copy(), np.arange(8)[:, None, None, None]
    spoilt[0, 4, 5, 3] = spoilt[1, 0, 0, 1] = spoilt[1, 8, 9, 2] = value
    # What padding times infinity is, is left open.
    for a, b, padding in ((spoilt, w, 1), (np.abs(x), np.where(row == 2, value, np.abs(w)), 0)):
        with mx.stream(mx.cpu):
            a, b = mx.array(a.astype(np.float32)), mx.array(b.astype(np.float32))
            mx.eval(a, b)
        with wanted("winograd"):
            got = np.array(mx.conv2d(a, b, padding=padding, stream=mx.gpu))
        want = np.array(mx.conv2d(a, b, padding=padding, stream=mx.cpu))
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_winograd_leaves_groups_to_others(dtype):
    x, w = normal((2, 9, 9, 24), dtype, 1), normal((24, 3, 3, 12), dtype, 2)
    with wanted("winograd"):
        with mx.stream(mx.gpu):
            assert "not winograd_64x64x16: several groups" in mx.explain(mx.conv2d(x, w, padding=1, groups=2))
        check_forward(x, w, {"padding": 1, "groups": 2}, 3, "groups")


# In the inputs' transform, whose infinities become NaN; in that of the outputs, where they may stay what they are.
@pytest.mark.parametrize(
    ("at", "value", "weight"), [((0, 0), 3e38, 0.5), ((3, 3), 1.7e37, 1.0)], ids=["input", "output"]
)
def test_winograd_sums_again_what_overflows_in_a_transform(at, value, weight):
    x = np.zeros((1, 6, 6, 4), np.float32)
    x[0, *at, 0] = value
    w = mx.full((4, 3, 3, 4), weight)
    with wanted("winograd"):
        got = np.array(mx.conv2d(mx.array(x), w, stream=mx.gpu))
    np.testing.assert_array_equal(got == 0, np.array(mx.conv2d(mx.array(x), w, stream=mx.cpu)) == 0)
    np.testing.assert_allclose(got, np.array(mx.conv2d(mx.array(x), w, stream=mx.cpu)), rtol=1e-5)


def test_highest_precision_transforms_nothing():
    x, w = normal((2, 16, 16, 64), mx.float32, 1), normal((64, 3, 3, 64), mx.float32, 2)
    with mx.stream(mx.gpu), wanted("winograd"):
        text = mx.explain(mx.conv2d(x, w, padding=1, precision="highest"))
    assert 'not winograd_64x64x16: precision="highest" transforms nothing' in text
