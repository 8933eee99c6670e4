# tests/apple/test_reductions.py -- reductions, scans, sorts and softmax on the GPU against NumPy and the CPU
import numpy as np
import pytest
from devices import DTYPES, EPS, FLOATS, INTEGERS, LAYOUTS, check, filled, generator, on, to_numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nhwc as mx

pytestmark = pytest.mark.usefixtures("gpu")
KINDS = ["sum", "prod", "max", "min", "all", "any"]
hypothetical = settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))

# (shape, axes): rows by 1, 4 and 32 lanes and by a group; in chunks; columns; columns in chunks; general; nothing.
REDUCTIONS = [
    ((), None), ((1,), 0), ((300, 3), 1), ((65, 9), 1), ((257, 33), 1), ((64, 3), 1), ((192, 40), 1),
    ((3, 300), 1), ((1100,), 0), ((2, 17000), 1), ((5, 33), 0), ((9, 64), 0),
    ((1030, 20), 0), ((3, 4, 5, 35), (0, 2)), ((3, 40, 7), (0, 2)), ((0, 5), 0),
    ((4, 0), 0), ((2, 3, 4), (0, 1, 2)),
]  # fmt: skip


def bound(dtype, terms):
    return {"rtol": 8 * EPS[dtype], "atol": 8 * EPS[mx.float32] * terms**0.5} if dtype in FLOATS else {}


def reduced(kind, a, axes):
    return lambda: getattr(mx, kind)(a, axis=axes)


@pytest.mark.parametrize(("shape", "axes"), REDUCTIONS, ids=str)
def test_every_kind_of_reduction(shape, axes):
    rng = generator("reduce", shape)
    for dtype in [mx.float32, mx.int32] if np.prod(shape) > 10000 else [mx.float32, mx.int16, mx.uint64]:
        a = filled(rng, shape, dtype)
        for kind in KINDS:
            if a.size == 0 and kind in ("max", "min"):
                continue
            # Products stay near 1.
            x = a if dtype != mx.float32 or kind != "prod" else on(mx.cpu, lambda a=a: 1 + a / 1000)
            check(reduced(kind, x, axes), (kind, dtype), **bound(dtype, max(a.size, 1)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reductions_of_every_dtype_and_layout(dtype):
    rng = generator("dtypes", dtype)
    for layout in LAYOUTS:
        a = filled(rng, (6, 5, 33), dtype, layout)
        for axes in (0, 1, 2, (0, 2), (1, 2), None):
            for kind in KINDS:
                if kind != "prod" or dtype not in FLOATS:
                    check(reduced(kind, a, axes), (kind, layout, axes), **bound(dtype, a.size))


@pytest.mark.parametrize("shape", [(3, 5000), (5000, 40)], ids=str)
def test_sums_are_as_exact_as_a_tree_and_the_same_every_time(shape):
    x = generator("exact", shape).random(shape, np.float32) + 1
    a = mx.array(x)
    for axis in (0, 1, None):
        once, again = (to_numpy(on(mx.gpu, lambda axis=axis: mx.sum(a, axis=axis))) for _ in range(2))
        np.testing.assert_array_equal(once, again)
        exact = x.astype(np.float64).sum(axis)
        assert np.abs(once / exact - 1).max() < 16 * EPS[mx.float32]


@pytest.mark.sanitizer
@pytest.mark.parametrize("kind", ["max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 40), (2, 2000), (70, 40)], ids=str)
def test_nan_wins_and_of_equals_the_first(kind, shape):
    rng = generator(kind, shape)
    for nans in (0, 1, 3):
        x = rng.integers(-2, 3, shape).astype(np.float32)
        x.flat[rng.choice(x.size, nans, replace=False)] = np.nan
        a = mx.array(x)
        for axis in (0, 1):
            got = to_numpy(on(mx.gpu, lambda a=a, axis=axis: getattr(mx, kind)(a, axis=axis)))
            np.testing.assert_array_equal(got, getattr(np, kind)(x, axis=axis))


@pytest.mark.parametrize(("nans", "first"), [((64, 33), 33), ((33, 64, 2), 2), ((1000, 300), 300)], ids=str)
def test_of_several_nan_the_first_wins_whichever_lane_has_it(nans, first):
    x = np.zeros((3, 1100), np.float32)
    x[:, list(nans)] = np.nan
    for width in (70, 1100) if max(nans) < 70 else (1100,):
        a = mx.array(x[:, :width].copy())
        for f in (mx.argmax, mx.argmin):
            got = to_numpy(on(mx.gpu, lambda f=f, a=a: f(a, axis=1)))
            np.testing.assert_array_equal(got, first)


# Rows by 1, 32 and 256 lanes; in chunks; columns.
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arg_reductions(dtype):
    rng = generator("arg", dtype)
    for shape in [(1,), (300,), (2, 2050), (2050, 2), (1000, 3), (9, 4, 33), (150, 20), (257, 6)]:
        if max(shape) > 300 and dtype not in (mx.float32, mx.int64):
            continue
        for layout in LAYOUTS:
            a = filled(rng, shape, dtype, layout)
            for axis in range(len(shape)):
                for f in (mx.argmax, mx.argmin):
                    check(lambda a=a, f=f, axis=axis: f(a, axis=axis), (f, layout, axis))


# Tiles of 1024 elements; chunks of 4096 in rows and of 32 in columns; a lane, a simdgroup and their ends.
@pytest.mark.parametrize(
    "shape",
    [(1,), (4,), (5,), (128,), (129,), (1024,), (1025,), (2, 9000), (3, 4097),
     pytest.param((33, 20), marks=pytest.mark.sanitizer), (70, 257), (3, 40, 5)],
    ids=str,
)  # fmt: skip
def test_scans(shape):
    rng = generator("scan", shape)
    small = np.prod(shape) <= 1025
    for dtype in [mx.float32, mx.int64, mx.int32, mx.uint8, mx.bfloat16][: None if small else 2]:
        for layout in ("plain", "reversed", "transposed") if small else ("plain", "transposed"):
            a = filled(rng, shape, dtype, layout)
            for axis in range(len(shape)):
                for reverse, inclusive in [(False, True), (True, True), (False, False), (True, False)]:
                    how = {"axis": axis, "reverse": reverse, "inclusive": inclusive}
                    terms = shape[axis]
                    check(lambda a=a, how=how: mx.cumsum(a, **how), (dtype, layout, how), **bound(dtype, 16 * terms))
                    if dtype not in FLOATS:
                        odd = on(mx.cpu, lambda a=a: a * 2 + 1)
                        check(lambda odd=odd, how=how: mx.cumprod(odd, **how), (dtype, layout, how))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sorts(dtype):
    rng = generator("sort", dtype)
    # One row a group and several, blocks of 1024, runs that end early, a run without a partner.
    for shape in [(1,), (2,), (7,), (40, 3, 5), (1024,), (1025,), (2, 3100)]:
        if max(shape) > 1000 and dtype not in (mx.float32, mx.int8, mx.uint64, mx.int64):
            continue
        for layout in LAYOUTS if max(shape) < 1000 else ["plain", "transposed"]:
            a = filled(rng, shape, dtype, layout)
            for axis in range(len(shape)):
                check(lambda a=a, axis=axis: mx.sort(a, axis=axis), (shape, layout, axis))
                got = check(lambda a=a, axis=axis: mx.argsort(a, axis=axis), (shape, layout, axis))
                x = to_numpy(a)
                np.testing.assert_array_equal(got, np.argsort(x, axis=axis, kind="stable"))


def test_sorting_puts_nan_last_and_keeps_signed_zeros_in_place():
    x = np.array([np.nan, 1, -0.0, np.inf, 0.0, -np.inf, np.nan, -1, 0.0, -0.0], np.float32)
    for dtype in FLOATS:
        a = mx.array(x).astype(dtype, stream=mx.cpu)
        order = to_numpy(on(mx.gpu, lambda a=a: mx.argsort(a)))
        np.testing.assert_array_equal(order, [5, 7, 2, 4, 8, 9, 1, 3, 0, 6])
        got = to_numpy(on(mx.gpu, lambda a=a: mx.sort(a)))
        np.testing.assert_array_equal(np.signbit(got[2:6]), [True, False, False, True])


def test_sorting_takes_the_whole_range_of_integers():
    for dtype in INTEGERS:
        info = np.iinfo(to_numpy(mx.zeros(1, dtype=dtype)).dtype)
        x = np.array([info.max, 0, info.min, 1, info.max - 1, info.min + 1], info.dtype)
        a = mx.array(x, dtype=dtype)
        np.testing.assert_array_equal(to_numpy(on(mx.gpu, lambda a=a: mx.sort(a))), np.sort(x))
        for f, g in ((mx.max, np.max), (mx.min, np.min), (mx.argmax, np.argmax), (mx.argmin, np.argmin)):
            assert to_numpy(on(mx.gpu, lambda a=a, f=f: f(a))) == g(x)


@pytest.mark.sanitizer
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(1,), (9, 1), (9, 33), (3, 5, 100), (2, 1024), (2, 1025), (1, 17000)], ids=str)
def test_softmax(dtype, shape):
    if shape == (1, 17000) and dtype != mx.float32:
        return
    rng = generator("softmax", shape, dtype)
    for layout in LAYOUTS if len(shape) > 1 else ["plain"]:
        a = on(mx.cpu, lambda layout=layout: filled(rng, shape, dtype, layout) * 20)
        check(lambda a=a: mx.softmax(a, axis=-1), layout, rtol=8 * EPS[dtype], atol=2.0**-24)


def test_softmax_of_infinities_and_nan():
    inf, nan = np.inf, np.nan
    a = mx.array(np.array([[-inf, 0, 1], [inf, 0, 1], [-inf] * 3, [nan, 0, 1], [1e30, -1e30, 1e30]], np.float32))
    check(lambda: mx.softmax(a, axis=-1), "infinities", rtol=1e-6)


@pytest.mark.sanitizer
@hypothetical
@given(data=st.data())
def test_random_reductions(data):
    ndim = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.sampled_from([1, 2, 3, 5, 8, 17, 33])) for _ in range(ndim))
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, ndim - 1), min_size=1))))
    dtype, layout = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(LAYOUTS))
    kind, seed = data.draw(st.sampled_from(["sum", "max", "min", "all", "any"])), data.draw(st.integers(0, 2**31))
    a = filled(np.random.default_rng(seed), shape, dtype, layout)
    check(reduced(kind, a, axes), (kind, shape, axes, dtype, layout, seed), **bound(dtype, a.size))


@pytest.mark.sanitizer
@hypothetical
@given(data=st.data())
def test_random_rows(data):
    shape = tuple(data.draw(st.sampled_from([1, 2, 5, 31, 32, 33, 70])) for _ in range(data.draw(st.integers(1, 3))))
    axis, seed = data.draw(st.integers(0, len(shape) - 1)), data.draw(st.integers(0, 2**31))
    dtype, layout = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(LAYOUTS))
    a = filled(np.random.default_rng(seed), shape, dtype, layout)
    f = data.draw(st.sampled_from([mx.argmax, mx.argmin, mx.sort, mx.argsort, mx.cumsum]))
    context = (f, shape, axis, dtype, layout, seed)
    check(lambda: f(a, axis=axis), context, **(bound(dtype, 16 * shape[axis]) if f is mx.cumsum else {}))


@pytest.mark.sanitizer
@pytest.mark.parametrize("limit", [64 << 20, 4000], ids=["whole", "slabs"])
@pytest.mark.parametrize("shape", [(40, 70), (1, 3, 900), (6, 5, 4, 30)], ids=str)
def test_a_chain_is_reduced(shape, limit):
    rng = generator("chain", shape)
    a, b = (filled(rng, shape, mx.float32, layout) for layout in ("plain", "transposed"))
    row, one = filled(rng, shape[-1:], mx.float32), filled(rng, (shape[0],) + (1,) * (len(shape) - 1), mx.float32)
    before = mx.set_workspace_limit(limit)
    try:
        for axes in [*range(len(shape)), None, (0, len(shape) - 1), tuple(range(1, len(shape)))]:
            check(lambda x=axes: mx.sum(mx.exp(a * b) * row + one, axis=x), axes, rtol=1e-6, atol=1e-4)
            check(lambda x=axes: mx.max(a - b * one, axis=x), axes)
            check(lambda x=axes: mx.any(mx.greater(a * row, b + 2), axis=x), axes)
    finally:
        mx.set_workspace_limit(before)
