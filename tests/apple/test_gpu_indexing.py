# tests/apple/test_gpu_indexing.py -- gathers, scatters, slice updates and concatenation on the GPU against the CPU
import numpy as np
import pytest
from devices import DTYPES, EPS, FLOATS, LAYOUTS, ONE_SANITIZED, check, filled, generator, on, to_numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nhwc as mx

pytestmark = pytest.mark.usefixtures("gpu")
MODES = ["set", "add", "multiply", "maximum", "minimum"]
SHAPE = (9, 4, 6)
hypothetical = settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))


def indices(rng, size, shape, dtype=np.int32):
    """Of an axis of `size` elements; signed ones also count from its end. Each occurs about twice."""
    low = 0 if np.issubdtype(dtype, np.unsignedinteger) else -size
    return mx.array(rng.integers(low, size, shape).astype(dtype))


def updated(x, where, values, mode):
    """A function that gives x with x[where] updated."""

    def compute():
        if mode != "set":
            return getattr(x.at[where], mode)(values)
        y = mx.array(x)
        y[where] = values
        return y

    return compute


def bound(dtype, mode):
    # The CPU rounds after each update of a place, the GPU after the last.
    return {"rtol": 16 * EPS[dtype], "atol": 16 * EPS[dtype]} if dtype in FLOATS and mode in ("add", "multiply") else {}


@pytest.mark.parametrize("dtype", ONE_SANITIZED, ids=str)
def test_gathers(dtype):
    rng = generator("gather", dtype)
    i, j = indices(rng, 9, (50, 3)), indices(rng, 4, (50, 3), np.int8)
    k, far = indices(rng, 6, (50, 1), np.uint64), mx.swapaxes(indices(rng, 6, (3, 50), np.int64), 0, 1)
    for layout in LAYOUTS:
        x = filled(rng, SHAPE, dtype, layout)
        for where in [i, (i, j), (i, j, k), (i, slice(None), far), (slice(None), j[::-1]), (slice(1, 5), i[:, 0] // 3)]:
            check(lambda x=x, where=where: x[where], (layout, where))
        check(lambda x=x: x[mx.zeros((0,), dtype=mx.int32)], layout)
        check(lambda x=x: x[:, :0][i], layout)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gathers_along_an_axis(dtype):
    rng = generator("take", dtype)
    for layout in LAYOUTS:
        x = filled(rng, SHAPE, dtype, layout)
        for axis in range(3):
            where = [*SHAPE]
            where[axis] = 13
            i = indices(rng, SHAPE[axis], where)
            check(lambda x=x, i=i, axis=axis: mx.take_along_axis(x, i, axis=axis), (layout, axis))
        flipped = mx.swapaxes(i, 0, 2)[::-1]
        check(lambda x=x, f=flipped: mx.take_along_axis(mx.swapaxes(x, 0, 2)[::-1], f, axis=0), layout)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scatters(dtype, mode):
    rng = generator("scatter", dtype, mode)
    i, j, k = indices(rng, 9, (20, 3)), indices(rng, 4, (20, 3), np.int16), indices(rng, 6, (20, 1), np.uint8)
    for layout in LAYOUTS:
        x = filled(rng, SHAPE, dtype, layout)
        for where, shape in [(i, (20, 3, 4, 6)), ((i, j), (20, 3, 6)), ((i, j, k), (20, 3)), ((slice(None), j), None)]:
            values = filled(rng, shape or (9, 20, 3, 6), dtype, layout)
            check(updated(x, where, values, mode), (layout, shape), **bound(dtype, mode))
        check(updated(x, mx.zeros((0,), dtype=mx.int32), x[:0], mode), layout)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ONE_SANITIZED, ids=str)
def test_slice_updates(dtype, mode):
    rng = generator("slice", dtype, mode)
    for layout in LAYOUTS:
        x, values = filled(rng, (30, 5, 6), dtype, layout), filled(rng, (14, 5, 3), dtype, layout)
        where = (slice(1, 29, 2), slice(None, None, -1), slice(2, 5))
        check(updated(x, where, values, mode), layout, **bound(dtype, mode))
        check(updated(x, (slice(0, 0),), x[:0], mode), layout)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scatters_along_an_axis(dtype):
    rng = generator("put", dtype)
    for layout in LAYOUTS:
        x, values = filled(rng, SHAPE, dtype, layout), filled(rng, SHAPE, dtype, layout)
        for axis in range(3):
            i = indices(rng, SHAPE[axis], SHAPE)
            check(lambda x=x, i=i, v=values, axis=axis: mx.put_along_axis(x, i, v, axis=axis), (layout, axis))


@pytest.mark.sanitizer
@pytest.mark.parametrize("count", [2500, 2048])
def test_of_equal_places_the_last_wins(count):
    """In more updates than one block of the sort holds, and the same every time."""
    rng = generator("last")
    where, values = rng.integers(0, 7, count), np.arange(count)
    got = to_numpy(on(mx.gpu, updated(mx.zeros(7, dtype=mx.int32), mx.array(where), mx.array(values), "set")))
    expected = np.zeros(7, np.int32)
    expected[where] = values
    np.testing.assert_array_equal(got, expected)
    random = mx.array(rng.standard_normal(count).astype(np.float32))
    sums = [to_numpy(on(mx.gpu, updated(mx.zeros(7), mx.array(where), random, "add"))) for _ in range(2)]
    np.testing.assert_array_equal(*sums)
    np.testing.assert_allclose(sums[0], np.bincount(where, to_numpy(random).astype(np.float64), 7), atol=1e-3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_concatenation(dtype):
    rng = generator("concatenate", dtype)
    for layout in LAYOUTS:
        x = filled(rng, (9, 4, 60), dtype, layout)
        for axis in range(3):
            check(lambda x=x, axis=axis: mx.concatenate([x, x[::-1], x[:, :, ::-1]], axis=axis), (layout, axis))
        check(lambda x=x: mx.concatenate([x, x[:, :0], x[:, 1:3]], axis=1), layout)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x[mx.array([1, 9])],
        lambda x: x[mx.array([8, -10, 11])],
        lambda x: x[mx.array([[0]]), mx.array([[-5]])],
        lambda x: x[mx.array([300], dtype=mx.uint16)],
        lambda x: x[mx.array([2**64 - 1], dtype=mx.uint64)],
        lambda x: x[:0][mx.array([0])],
        lambda x: mx.take_along_axis(x, mx.full((9, 1, 6), 4, dtype=mx.int32), axis=1),
        lambda x: mx.put_along_axis(x, mx.full((9, 1, 6), -7, dtype=mx.int32), x[:, :1], axis=1),
        lambda x: x.at[mx.array([0, 100])].add(1),
        lambda x: x.at[:0].add(0)[mx.array([3, 9, 20])],
    ],
)
def test_an_index_out_of_range_raises_what_the_cpu_raises(compute):
    x = filled(generator("range"), SHAPE, mx.float32)
    said = []
    for device in (mx.gpu, mx.cpu):
        with pytest.raises(IndexError) as error:
            on(device, lambda: compute(x))
        said.append(str(error.value))
    assert said[0] == said[1]
    check(lambda: x[mx.array([8, -9])], "the device goes on")


@pytest.mark.sanitizer
@hypothetical
@given(data=st.data())
def test_random_places(data):
    seed = data.draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    shape = tuple(data.draw(st.sampled_from([1, 2, 5, 9, 33])) for _ in range(data.draw(st.integers(1, 3))))
    dtype, layout = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from(LAYOUTS))
    mode, axis = data.draw(st.sampled_from(MODES)), data.draw(st.integers(0, len(shape) - 1))
    count = data.draw(st.sampled_from([1, 2, 31, 40]))
    x, context = filled(rng, shape, dtype, layout), (shape, dtype, layout, mode, axis, count, seed)
    where = (*[slice(None)] * axis, indices(rng, shape[axis], (count,)))
    check(lambda: x[where], context)
    values = filled(rng, (*shape[:axis], count, *shape[axis + 1 :]), dtype, layout)
    many = {"rtol": 0.1, "atol": 0.1} if dtype != mx.float32 else {"rtol": 1e-4, "atol": 1e-4}
    check(updated(x, where, values, mode), context, **(many if bound(dtype, mode) else {}))
