# tests/python/test_ops_reduce.py -- reductions, scans and sorting against NumPy, over dtypes, axes and memory layouts
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
from strategies import EPS, FLOAT64, FLOATS, LAYOUTS, array_of, laid_out, to_float64

INTEGERS = [mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64]
DTYPES = [mx.bool_, *INTEGERS, *FLOATS]


def name_of(dtype):
    return str(dtype).split(".")[-1].rstrip("_")


@st.composite
def reductions(draw, smallest=0, dtypes=FLOATS):
    """(dtype, array, values, axis as given, keepdims)."""
    shape = tuple(draw(st.lists(st.one_of(st.integers(smallest, 5), st.sampled_from([17, 33])), max_size=4)))
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a, x = laid_out(rng.uniform(-2, 2, shape), dtype, draw(st.sampled_from(LAYOUTS)))
    axis = None
    if shape and draw(st.booleans()):
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        if draw(st.booleans()):
            chosen = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
            axis = tuple(d - len(shape) if draw(st.booleans()) else d for d in chosen)
    return dtype, a, x, axis, draw(st.booleans())


def near(got, want, dtype, n, scale=2.0):
    """Sums of n terms of at most `scale`, added up in float32 (float64 for float64) and rounded to the dtype.

    A partial sum is at most n * scale, and n roundings of it grow as a random walk.
    """
    unit = EPS[mx.float64] if dtype == mx.float64 else EPS[mx.float32]
    assert got.dtype == dtype
    g = to_float64(got)
    assert g.shape == np.shape(want)
    bound = 4 * max(n, 1) ** 1.5 * scale * unit + 4 * EPS[dtype] * np.abs(want) + 2.0**-24 * (dtype == mx.float16)
    assert np.all(np.abs(g - want) <= bound), (g, want)


def count_along(x, axis):
    return x.size if axis is None else math.prod(np.atleast_1d(np.array(x.shape)[np.array(axis)]).tolist())


@given(reductions())
def test_sums(case):
    dtype, a, x, axis, keepdims = case
    n = count_along(x, axis)
    near(mx.sum(a, axis, keepdims), np.sum(x, axis, keepdims=keepdims), dtype, n)
    near(a.sum(axis=axis, keepdims=keepdims), np.sum(x, axis, keepdims=keepdims), dtype, n)
    if n and x.size:
        near(mx.mean(a, axis, keepdims), np.mean(x, axis, keepdims=keepdims), dtype, n)
        near(mx.var(a, axis, keepdims), np.var(x, axis, keepdims=keepdims), dtype, n, scale=16.0)
    if n > 2 and x.size:
        near(mx.var(a, axis, keepdims, ddof=1), np.var(x, axis, keepdims=keepdims, ddof=1), dtype, n, scale=16.0)
        want = np.std(x, axis, keepdims=keepdims)
        np.testing.assert_allclose(
            to_float64(mx.std(a, axis, keepdims)),
            want,
            rtol=0.02 if dtype in (mx.bfloat16, mx.float16) else 1e-4,
            atol=2e-3,
        )


@given(reductions(dtypes=[mx.float32, *FLOAT64]))
def test_prod_and_logsumexp(case):
    dtype, a, x, axis, keepdims = case
    rtol = 1e-5 if dtype == mx.float32 else 1e-12
    with np.errstate(all="ignore"):
        want = np.prod(x, axis, keepdims=keepdims)
        normal = (np.abs(want) < 1e37) & (np.abs(want) > 1e-30)
        got = to_float64(mx.prod(a, axis, keepdims))
        assert got.shape == want.shape
        np.testing.assert_allclose(np.where(normal, got, 0), np.where(normal, want, 0), rtol=rtol * 10)
        want = np.log(np.sum(np.exp(x), axis, keepdims=keepdims))
        np.testing.assert_allclose(to_float64(mx.logsumexp(a, axis, keepdims)), want, rtol=rtol, atol=rtol)


@given(reductions(smallest=1, dtypes=DTYPES))
def test_extremes(case):
    dtype, a, x, axis, keepdims = case
    for name in ("max", "min"):
        got = getattr(mx, name)(a, axis, keepdims)
        assert got.dtype == dtype
        np.testing.assert_array_equal(to_float64(got), getattr(np, name)(x, axis=axis, keepdims=keepdims))
    for name in ("all", "any"):
        got = getattr(mx, name)(a, axis, keepdims)
        assert got.dtype == mx.bool_
        np.testing.assert_array_equal(np.array(got), getattr(np, name)(x, axis=axis, keepdims=keepdims))
    if not isinstance(axis, tuple):
        for name in ("argmax", "argmin"):
            got = getattr(mx, name)(a, axis, keepdims)
            assert got.dtype == mx.uint32
            np.testing.assert_array_equal(np.array(got), getattr(np, name)(x, axis=axis, keepdims=keepdims))


@given(reductions(dtypes=INTEGERS))
def test_integer_sums_wrap(case):
    _, a, _, axis, keepdims = case
    got = mx.sum(a, axis, keepdims)
    with np.errstate(all="ignore"):
        want = np.sum(np.array(a), axis, dtype=name_of(got.dtype), keepdims=keepdims)
    np.testing.assert_array_equal(np.array(got), want)


@given(reductions(dtypes=[mx.float32, *FLOAT64, mx.float16, mx.bfloat16]))
def test_softmax(case):
    dtype, a, x, axis, _ = case
    if x.ndim == 0:
        return
    with np.errstate(all="ignore"):
        e = np.exp(x)
        want = e / np.sum(e, axis, keepdims=True)
    for precise in (False, True):
        got = mx.softmax(a, axis, precise=precise)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            to_float64(got),
            want,
            rtol=16 * max(EPS[dtype], 2.0**-50),
            atol=2 * EPS[dtype] * 0.1 + 1e-7 * (dtype == mx.float16),
        )


def test_softmax_of_large_and_infinite():
    got = mx.softmax(mx.array([[1e4, 1e4 + 1, -1e4], [-math.inf, 0.0, -math.inf]]), axis=-1)
    np.testing.assert_allclose(np.array(got), [[0.26894142, 0.73105858, 0], [0, 1, 0]], rtol=1e-3)
    assert mx.logsumexp(mx.array([-math.inf, -math.inf])).item() == -math.inf
    assert mx.logsumexp(mx.array([1000.0, 1000.0])).item() == pytest.approx(1000.6931, rel=1e-6)


@given(reductions(smallest=1, dtypes=[mx.float32, *FLOAT64, mx.int32]), st.booleans(), st.booleans())
def test_scans(case, reverse, inclusive):
    dtype, a, x, axis, _ = case
    if isinstance(axis, tuple):
        axis = axis[0]
    for name, start in (("cumsum", 0.0), ("cumprod", 1.0)):
        got = getattr(mx, name)(a, axis, reverse=reverse, inclusive=inclusive)
        values = x.ravel() if axis is None else x
        along = 0 if axis is None else axis
        values = np.flip(values, along) if reverse else values
        want = getattr(np, name)(values, along)
        if not inclusive:
            head = np.take(np.full_like(want, start), [0], along)
            want = np.concatenate([head, np.take(want, range(want.shape[along] - 1), along)], along)
        want = np.flip(want, along) if reverse else want
        tolerance = 1e-12 if dtype == mx.float64 else 1e-5
        np.testing.assert_allclose(to_float64(got), want, rtol=tolerance * 10, atol=tolerance * 10)


@given(reductions(smallest=1, dtypes=DTYPES), st.data())
def test_sorting(case, data):
    _, a, x, axis, _ = case
    if isinstance(axis, tuple):
        axis = axis[0]
    along = -1 if axis is None else axis
    values = x.ravel() if axis is None else x
    if values.ndim == 0:
        return
    np.testing.assert_array_equal(to_float64(mx.sort(a, axis)), np.sort(values, along))
    order = mx.argsort(a, axis)
    assert order.dtype == mx.uint32
    np.testing.assert_array_equal(np.array(order), np.argsort(values, along, kind="stable"))
    k = data.draw(st.integers(1, values.shape[along]))
    best = np.sort(to_float64(mx.topk(a, k, axis)), along)
    want = np.take(np.sort(values, along), range(values.shape[along] - k, values.shape[along]), along)
    np.testing.assert_array_equal(best, want)
    at = data.draw(st.integers(-k, k - 1))
    parts, order = np.moveaxis(to_float64(mx.partition(a, at, axis)), along, -1), mx.argpartition(a, at, axis)
    where = at % values.shape[along]
    np.testing.assert_array_equal(parts[..., where], np.take(np.sort(values, along), where, along))
    assert (parts[..., :where] <= parts[..., where, None]).all()
    assert (parts[..., where:] >= parts[..., where, None]).all()
    picked = np.moveaxis(np.take_along_axis(values, np.array(order).astype(np.int64), along), along, -1)
    np.testing.assert_array_equal(picked[..., where], parts[..., where])
    assert (np.sort(np.array(order), along) == np.sort(np.argsort(values, along), along)).all()


def test_nan_spreads_and_sorts_last():
    a = mx.array([[1.0, math.nan, 0.0], [3.0, 2.0, -1.0]])
    for f in (mx.sum, mx.mean, mx.max, mx.min, mx.prod):
        got = f(a, axis=1).tolist()
        assert math.isnan(got[0]), f
        assert not math.isnan(got[1]), f
    assert np.array(mx.sort(a))[0].tolist()[:2] == [0.0, 1.0]
    assert mx.argsort(a).tolist() == [[2, 0, 1], [2, 1, 0]]


def test_empty_reductions():
    empty = mx.zeros((0, 3))
    assert mx.sum(empty).item() == 0.0
    assert mx.prod(empty, axis=0).tolist() == [1.0, 1.0, 1.0]
    assert mx.all(empty).item() is True
    assert mx.any(empty).item() is False
    assert mx.sum(empty, axis=1).shape == (0,)
    for f in (mx.max, mx.min, mx.argmax, mx.argmin):
        with pytest.raises(ValueError, match=r"\["):
            f(empty)
        assert f(empty, axis=1).shape == (0,)


def test_large_sums_are_accurate():
    n = 1 << 20
    for dtype, rtol in ((mx.float32, 1e-6), (mx.float16, 1e-3), (mx.bfloat16, 8e-3)):
        a = mx.full((n,), 0.01, dtype=dtype)
        want = float(to_float64(array_of([0.01], dtype))[0]) * n
        assert mx.sum(a).item() == pytest.approx(want, rel=rtol)


FUNCTIONS = "sum mean prod max min var std all any argmax logsumexp softmax cumsum cumprod sort argsort"


@pytest.mark.parametrize("name", FUNCTIONS.split())
def test_result_dtypes_are_mlx_own(name):
    mlx = pytest.importorskip("mlx.core")
    for t in DTYPES:
        key = "bool_" if name_of(t) == "bool" else name_of(t)
        got, expected = (
            str(getattr(m, name)(m.ones((2, 3), getattr(m, key)), 1).dtype).split(".")[-1].rstrip("_")
            for m in (mx, mlx)
        )
        assert got == expected, t


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: mx.sum(mx.ones((2, 3)), 2), IndexError),
        (lambda: mx.sum(mx.ones((2, 3)), (0, 0)), ValueError),
        (lambda: mx.sum(mx.ones((2, 3)), 1.0), TypeError),
        (lambda: mx.sum(mx.ones((2, 3)), "x"), TypeError),
        (lambda: mx.argmax(mx.ones((2, 3)), -3), IndexError),
        (lambda: mx.sort(mx.ones((2, 3)), 5), IndexError),
        (lambda: mx.topk(mx.ones((2, 3)), 4), ValueError),
        (lambda: mx.topk(mx.ones((2, 3)), -1), ValueError),
        (lambda: mx.partition(mx.ones((2, 3)), 3), ValueError),
        (lambda: mx.argpartition(mx.ones((2, 3)), -3, 0), ValueError),
        (lambda: mx.argpartition(mx.ones((2, 3)), 0, 2), IndexError),
        (lambda: mx.cumsum(mx.ones((2, 3)), 2), IndexError),
        (lambda: mx.softmax(mx.ones((2, 3)), 7), IndexError),
    ],
)
def test_mistakes(call, error):
    with pytest.raises(error):
        call()
