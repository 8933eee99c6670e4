# tests/python/test_ops_elementwise.py -- elementwise functions against NumPy, over dtypes, shapes and memory layouts
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
from strategies import EPS, FLOAT64, FLOATS, LAYOUTS, laid_out, to_float64

SHAPES = st.lists(st.integers(0, 6), max_size=4).map(tuple)
INTEGERS = [mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64]
DTYPES = [mx.bool_, *INTEGERS, *FLOATS]


def name_of(dtype):
    return str(dtype).split(".")[-1].rstrip("_")


@st.composite
def operands(draw, n=1, dtypes=FLOATS, low=-4.0, high=4.0):
    """`n` arrays of shapes that broadcast, and their values in float64."""
    shape = draw(SHAPES)
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out = []
    for _ in range(n):
        own = tuple(1 if draw(st.integers(0, 3)) == 0 else d for d in shape)
        own = own[draw(st.integers(0, len(own))) :] if n > 1 else shape
        values = rng.uniform(low, high, own)
        out.append(laid_out(values, dtype, draw(st.sampled_from(LAYOUTS))))
    return dtype, [a for a, _ in out], [v for _, v in out]


UNARY = {  # the range of the arguments, and the function in float64
    "abs": (-4, 4, np.abs),
    "negative": (-4, 4, np.negative),
    "sign": (-4, 4, np.sign),
    "square": (-4, 4, np.square),
    "floor": (-9, 9, np.floor),
    "ceil": (-9, 9, np.ceil),
    "round": (-9, 9, np.round),
    "sqrt": (0, 9, np.sqrt),
    "rsqrt": (0.1, 9, lambda x: 1 / np.sqrt(x)),
    "reciprocal": (0.1, 9, lambda x: 1 / x),
    "exp": (-9, 9, np.exp),
    "expm1": (-4, 4, np.expm1),
    "log": (0.01, 9, np.log),
    "log1p": (-0.9, 9, np.log1p),
    "log2": (0.01, 9, np.log2),
    "log10": (0.01, 9, np.log10),
    "sin": (-9, 9, np.sin),
    "cos": (-9, 9, np.cos),
    "tan": (-1.4, 1.4, np.tan),
    "arcsin": (-1, 1, np.arcsin),
    "arccos": (-1, 1, np.arccos),
    "arctan": (-9, 9, np.arctan),
    "sinh": (-4, 4, np.sinh),
    "cosh": (-4, 4, np.cosh),
    "tanh": (-4, 4, np.tanh),
    "sigmoid": (-9, 9, lambda x: 1 / (1 + np.exp(-x))),
    "erf": (-4, 4, np.vectorize(math.erf, otypes=[float])),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    low, high, reference = UNARY[name]

    @given(operands(low=low, high=high))
    def run(case):
        dtype, (a,), (x,) = case
        # Rounding may have moved an argument out of the range, or sin close to a zero.
        want = reference(np.clip(x, low, high) if name in ("arcsin", "arccos", "sqrt", "log1p") else x)
        slack = 16 if name in ("sin", "cos", "log", "log2", "log10", "arccos", "tan") else 4
        absolute = slack * max(EPS[dtype], 2.0**-52)
        got = getattr(mx, name)(a)
        g = to_float64(got)
        assert got.dtype == dtype
        assert g.shape == want.shape
        np.testing.assert_allclose(g, want, rtol=slack * max(EPS[dtype], 2.0**-52), atol=absolute)

    run()


def test_erfinv():
    x = np.linspace(-0.99, 0.99, 51)
    for dtype in (mx.float32, *FLOAT64):
        rtol = 1e-5 if dtype == mx.float32 else 1e-12
        back = [math.erf(v) for v in mx.erfinv(mx.array(x, dtype=dtype)).tolist()]
        np.testing.assert_allclose(back, x, rtol=rtol, atol=1e-7 if dtype == mx.float32 else 1e-15)
    assert mx.erfinv(mx.array([1.0, -1.0])).tolist() == [math.inf, -math.inf]


BINARY = {
    "add": (np.add, 1),
    "subtract": (np.subtract, 1),
    "multiply": (np.multiply, 1),
    "divide": (np.divide, 1),
    "maximum": (np.maximum, 0),
    "minimum": (np.minimum, 0),
    "logaddexp": (np.logaddexp, 8),
    "arctan2": (np.arctan2, 8),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    reference, ulps = BINARY[name]

    @given(operands(2))
    def run(case):
        dtype, (a, b), (x, y) = case
        with np.errstate(all="ignore"):
            want = reference(x, y)
        got = getattr(mx, name)(a, b)
        assert got.dtype == dtype
        rounding = (ulps + 1) * max(EPS[dtype], 2.0**-52)
        absolute = rounding * 0.1 + (2.0**-24 if dtype == mx.float16 else 0)
        with np.errstate(over="ignore"):
            finite = np.abs(want) < {mx.float16: 6.5e4}.get(dtype, 3e38)
        np.testing.assert_allclose(
            np.where(finite, to_float64(got), 0), np.where(finite, want, 0), rtol=rounding, atol=absolute
        )

    run()


@given(operands(2, dtypes=DTYPES, low=0, high=5))
def test_comparisons_and_logic(case):
    _, (a, b), (x, y) = case
    for name in (
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
    ):
        got = getattr(mx, name)(a, b)
        assert got.dtype == mx.bool_
        np.testing.assert_array_equal(np.array(got), getattr(np, name)(x, y), err_msg=name)
    np.testing.assert_array_equal(np.array(mx.logical_not(a)), np.logical_not(x))


@st.composite
def integer_pairs(draw):
    dtype = draw(st.sampled_from(INTEGERS))
    info = np.iinfo(name_of(dtype))
    values = st.one_of(st.integers(-9, 9), st.sampled_from([info.min, info.max])).filter(
        lambda v: info.min <= v <= info.max
    )
    n = draw(st.integers(0, 20))
    a, b = (np.array(draw(st.lists(values, min_size=n, max_size=n)), name_of(dtype)) for _ in "ab")
    return dtype, a, b


@given(integer_pairs())
def test_integer_arithmetic_wraps_as_numpy(case):
    dtype, x, y = case
    a, b = mx.array(x), mx.array(y)
    assert a.dtype == dtype
    with np.errstate(all="ignore"):
        for name in ("add", "subtract", "multiply", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"):
            got = getattr(mx, name)(a, b)
            assert got.dtype == dtype
            np.testing.assert_array_equal(np.array(got), getattr(np, name)(x, y), err_msg=name)
        for name in ("abs", "negative", "square", "sign", "bitwise_invert"):
            np.testing.assert_array_equal(np.array(getattr(mx, name)(a)), getattr(np, name)(x), err_msg=name)
        safe = y != 0
        safe &= ~((x == np.iinfo(x.dtype).min) & (y == np.array(-1).astype(y.dtype)))
        for name in ("floor_divide", "remainder"):
            got = np.array(getattr(mx, name)(a, b))
            np.testing.assert_array_equal(got[safe], getattr(np, name)(x, y)[safe], err_msg=name)


@given(operands(2, dtypes=[mx.float32, *FLOAT64]))
def test_floating_division_by_floor(case):
    dtype, (a, b), (x, y) = case
    t = name_of(dtype)
    with np.errstate(all="ignore"):
        xs, ys = np.broadcast_arrays(x.astype(t), y.astype(t))
        np.testing.assert_array_equal(np.array(mx.floor_divide(a, b)), np.floor(xs / ys))
        np.testing.assert_allclose(np.array(mx.remainder(a, b)), np.remainder(xs, ys), rtol=1e-6, atol=1e-5)


def test_power():
    assert mx.power(mx.array([2, 3, -2]), mx.array([3, 0, 3])).tolist() == [8, 1, -8]
    x, y = np.linspace(0.1, 5, 30), np.linspace(-3, 3, 30)
    for dtype in (mx.float32, *FLOAT64):
        got = mx.power(mx.array(x, dtype=dtype), mx.array(y, dtype=dtype))
        np.testing.assert_allclose(np.array(got), x**y, rtol=1e-6 if dtype == mx.float32 else 1e-12)
    assert (mx.array([2.0]) ** 2).tolist() == [4.0]


SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e-40, 3e38]


@pytest.mark.parametrize("dtype", [mx.float32, mx.float64])
def test_special_values(dtype):
    t = name_of(dtype)
    x = np.array(SPECIAL, t)
    a = mx.array(x, dtype=dtype)
    p, q = (v.ravel() for v in np.meshgrid(x, x))
    b, c = mx.array(p, dtype=dtype), mx.array(q, dtype=dtype)
    with np.errstate(all="ignore"):
        for name in (
            "abs",
            "negative",
            "square",
            "sqrt",
            "exp",
            "log",
            "tanh",
            "floor",
            "ceil",
            "isnan",
            "isinf",
            "isfinite",
        ):
            np.testing.assert_allclose(np.array(getattr(mx, name)(a)), getattr(np, name)(x), rtol=1e-6, err_msg=name)
        for name in (
            "add",
            "subtract",
            "multiply",
            "divide",
            "maximum",
            "minimum",
            "arctan2",
            "logaddexp",
            "equal",
            "less",
        ):
            np.testing.assert_allclose(
                np.array(getattr(mx, name)(b, c)), getattr(np, name)(p, q), rtol=1e-6, err_msg=name
            )
        np.testing.assert_array_equal(np.array(mx.nan_to_num(a)), np.nan_to_num(x))
        np.testing.assert_array_equal(np.array(mx.nan_to_num(a, 7, 8, 9)), np.nan_to_num(x, nan=7, posinf=8, neginf=9))


def test_clip_where_round():
    x = np.linspace(-3, 3, 13, dtype=np.float32)
    a = mx.array(x)
    np.testing.assert_array_equal(np.array(mx.clip(a, -1, 2)), np.clip(x, -1, 2))
    np.testing.assert_array_equal(np.array(mx.clip(a, None, 2)), np.clip(x, None, 2))
    np.testing.assert_array_equal(np.array(mx.clip(a, mx.array(x[::-1]), None)), np.clip(x, x[::-1], None))
    with pytest.raises(ValueError, match="clip"):
        mx.clip(a, None, None)
    np.testing.assert_array_equal(np.array(mx.where(a > 0, a, -1)), np.where(x > 0, x, -1))
    assert mx.where(True, mx.array(1), 2.5).dtype == mx.float32
    np.testing.assert_allclose(np.array(mx.round(a, 1)), np.round(x, 1), rtol=1e-6)
    assert mx.round(mx.array([15, 25, -15]), -1).tolist() == [20, 20, -20]


def test_closeness():
    a, b = mx.array([1.0, math.nan, math.inf, 1.0]), mx.array([1.0 + 1e-6, math.nan, math.inf, 1.1])
    assert mx.isclose(a, b).tolist() == [True, False, True, False]
    assert mx.isclose(a, b, 0.2, equal_nan=True).tolist() == [True, True, True, True]
    assert mx.allclose(a, b, rtol=0.2, equal_nan=True).item() is True
    assert mx.array_equal(a, a).item() is False
    assert mx.array_equal(a, a, equal_nan=True).item() is True
    assert mx.array_equal(mx.ones(2), mx.ones(3)).item() is False


# ---- dtypes


def test_promotion_of_every_pair_is_mlx_own():
    mlx = pytest.importorskip("mlx.core")
    for t in DTYPES:
        for u in DTYPES:
            a, b = (getattr(mlx, "bool_" if name_of(d) == "bool" else name_of(d)) for d in (t, u))
            expected = str(mlx.result_type(mlx.zeros(1, a), mlx.zeros(1, b))).split(".")[-1]
            assert name_of(mx.result_type(mx.zeros(1, t), mx.zeros(1, u))) == expected.rstrip("_"), (t, u)
            assert name_of((mx.zeros(1, t) + mx.zeros(1, u)).dtype) == expected.rstrip("_"), (t, u)
            for scalar in (True, 3, 2.5):
                expected = str((mlx.zeros(1, a) + scalar).dtype).split(".")[-1]
                assert name_of((mx.zeros(1, t) + scalar).dtype) == expected.rstrip("_"), (t, scalar)


UNARY_NAMES = [*UNARY, "erfinv", "isnan", "isinf", "isfinite", "logical_not", "bitwise_invert"]
BINARY_NAMES = [*BINARY, "floor_divide", "remainder", "power", "equal", "less", "logical_and", "bitwise_and"]


@pytest.mark.parametrize("name", UNARY_NAMES + BINARY_NAMES)
def test_result_dtypes_are_mlx_own(name):
    mlx = pytest.importorskip("mlx.core")
    for t in DTYPES:
        key = "bool_" if name_of(t) == "bool" else name_of(t)
        count = 1 if name in UNARY_NAMES else 2
        try:
            expected = (
                str(getattr(mlx, name)(*[mlx.ones(2, getattr(mlx, key))] * count).dtype).split(".")[-1].rstrip("_")
            )
        except (ValueError, RuntimeError):
            expected = None
        try:
            got = name_of(getattr(mx, name)(*[mx.ones(2, t)] * count).dtype)
        except ValueError:
            got = None
        assert got == expected, (name, t)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: mx.add(mx.ones((2, 3)), mx.ones((2, 4))), ValueError),
        (lambda: mx.add(mx.ones(2), "x"), TypeError),
        (lambda: mx.add(mx.ones(2), [1, 2]), TypeError),
        (lambda: mx.add(mx.ones(2), None), TypeError),
        (lambda: mx.exp(None), TypeError),
        (lambda: mx.where(mx.ones(2), mx.ones(3), mx.ones(3)), ValueError),
        (lambda: mx.exp(mx.ones(2), stream=3), TypeError),
        (lambda: mx.exp(mx.ones(2), stream=mx.Device(mx.gpu, 1)), ValueError),
        (lambda: mx.bitwise_and(mx.ones(2), mx.ones(2)), ValueError),
    ],
)
def test_mistakes(call, error):
    with pytest.raises(error):
        call()
