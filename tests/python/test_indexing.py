# tests/python/test_indexing.py -- indexing and assignment against NumPy, by hand-picked and by generated indices
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx

X = np.arange(2 * 3 * 4, dtype=np.int32).reshape(2, 3, 4)
ROWS = np.array([True, False])
GRID = X % 3 == 0

INDICES = [
    0,
    -1,
    (1, 2),
    (1, 2, 3),
    (),
    ...,
    None,
    slice(None),
    (slice(None), 1),
    (..., 0),
    (0, ..., 0),
    (None, ..., None),
    (slice(1, None), None, slice(None, None, -1)),
    (slice(None, None, -2), slice(2, 0, -1)),
    (slice(5, 1), ...),
    (slice(0, 0),),
    (slice(-100, 100, 3),),
    (0, slice(3, None, -2), None, 1),
    [0, 1],
    [],
    [[0, 1], [1, 0]],
    ([0, 1], [2, 0]),
    ([0, 1], slice(None), [2, 0]),
    (slice(None), [2, 0]),
    (slice(None), [2, 0], [1, 1]),
    (slice(None), [[2], [0]], [1, 3]),
    (0, slice(None), [1, 1]),
    (0, [1, 1]),
    ([0, 1], 0),
    ([0, 1], None, 0),
    ([0, 1], ..., 0),
    (slice(None), 0, [1, 1]),
    (slice(None, None, -1), [2, 0], slice(1, 3)),
    (None, [0, 1], None, slice(None), [0, 1]),
    (None, slice(None), [0, 1], [0, 1]),
    (np.array(1),),
    (np.array(1), slice(None), [0, 2]),
    np.array([[-1, 0]]),
    np.array([1, 0], np.uint8),
    np.int64(1),
    ROWS,
    GRID,
    GRID[:, :, 0],
    (GRID[:, :, 0], slice(None, None, -1)),
    (GRID[:, :, 0], 1),
    (0, GRID[0]),
    (slice(None), GRID[0]),
    (ROWS, slice(None), [1, 2]),
    (ROWS, [1], slice(None)),
    (slice(None), [True, False, True]),
    (..., [True, False, True, False]),
    ([False, False],),
    True,
    False,
    (True, 0),
    (None, True, [0, 1]),
]


def as_mx(index):
    """The same index with arrays of ours in place of NumPy's."""
    if isinstance(index, tuple):
        return tuple(as_mx(i) for i in index)
    return mx.array(index) if isinstance(index, np.ndarray) else index


def same(got, expected):
    assert got.shape == expected.shape
    np.testing.assert_array_equal(np.array(got), expected)


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_get(index):
    same(mx.array(X)[index], X[index])
    same(mx.array(X)[as_mx(index)], X[index])
    same(mx.array(X.transpose(2, 1, 0)).T[index], X[index])


@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_set(index):
    part = X[index]
    values = [7, np.arange(part.size, dtype=np.int32).reshape(part.shape)]
    if part.ndim and not isinstance(index, np.ndarray):
        values.append(np.full((1, *part.shape[-1:]), 5, np.int32))
    for value in values:
        expected = X.copy()
        expected[index] = value
        before = mx.array(X)
        a = before[...]
        a[index] = value if isinstance(value, int) else mx.array(value)
        same(a, expected)
        same(before, X)
        assert a.dtype is mx.int32


UPDATES = {
    "add": np.add.at,
    "subtract": np.subtract.at,
    "multiply": np.multiply.at,
    "divide": np.divide.at,
    "maximum": np.maximum.at,
    "minimum": np.minimum.at,
}


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize(
    "index",
    [0, None, (..., 1), slice(None, None, -2), [0, 0, 1], (slice(None), [2, 2], slice(1, 3)), (0, [1, 1]), GRID],
    ids=repr,
)
def test_at(name, index):
    x = X.astype(np.float32)
    expected = x.copy()
    value = np.arange(1, X[index].size + 1, dtype=np.float32).reshape(X[index].shape)
    UPDATES[name](expected, index, value)
    a = mx.array(x)
    got = getattr(a.at[index], name)(mx.array(value))
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-6)
    same(a, x)


def test_at_errors():
    a = mx.array([1, 2])
    with pytest.raises(ValueError, match="index is missing"):
        a.at.add(1)
    with pytest.raises(ValueError, match="floating"):
        a.at[0].divide(2)


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (2, IndexError, "index 2 is out of bounds for axis 0 of size 2"),
        (-3, IndexError, "index -3 is out of bounds"),
        ((0, 3), IndexError, "axis 1 of size 3"),
        (2**70, IndexError, "out of bounds"),
        ((0, 0, 0, 0), IndexError, "too many indices"),
        ((..., ...), IndexError, "ellipsis"),
        ([True, False, True], IndexError, "mask"),
        (np.ones((2, 2), bool), IndexError, "mask"),
        (1.5, TypeError, "float"),
        ("x", TypeError, "str"),
        ([1.5], TypeError, "float32"),
        (np.ones(2), TypeError, "float32"),
        ({}, TypeError, "dict"),
        (slice(1.5), TypeError, "slice indices"),
        (slice(None, None, 0), ValueError, "zero"),
        (([0, 1], [0, 1, 2]), ValueError, "broadcast"),
    ],
)
def test_errors_at_the_call(index, error, words):
    a = mx.array(X)
    with pytest.raises(error, match=words):
        a[index]
    with pytest.raises(error, match=words):
        a[index] = 0
    same(a, X)


@pytest.mark.parametrize("bad", [2, -3, 1000])
def test_arrays_out_of_range_raise_at_eval(bad):
    a = mx.array(X)
    b = a[mx.array([0, bad])]
    with pytest.raises(IndexError):
        mx.eval(b)
    c = mx.array(X)
    c[mx.array([0, bad])] = 1
    with pytest.raises(IndexError):
        mx.eval(c)
    same(a, X)


def test_values_that_do_not_fit():
    a = mx.array(X)
    for value in (np.zeros(3, np.int32), np.zeros((2, 2, 4), np.int32), np.zeros((2, 2, 3, 4), np.int32)):
        with pytest.raises(ValueError, match="cannot"):
            a[...] = mx.array(value)
    with pytest.raises(ValueError, match="cannot"):
        a[GRID[:, :, 0]] = mx.array([1, 2, 3])
    with pytest.raises(TypeError):
        a[0] = "x"
    with pytest.raises(TypeError, match="deleted"):
        del a[0]
    same(a, X)


def test_values_are_converted():
    a = mx.array([1, 2, 3])
    a[0] = 1.75
    a[1:] = [4, 5]
    assert a.tolist() == [1, 4, 5]
    assert a.dtype is mx.int32
    a[:] = np.array([7.5, 8.5, 9.5])
    assert a.tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match="does not fit int32"):
        a[0] = 2**40


def test_assignment_changes_only_the_object():
    a = mx.array([1, 2, 3])
    row = a[:2]
    b = a
    c = a + 0
    a[0] = 9
    assert b is a
    assert b.tolist() == [9, 2, 3]
    assert row.tolist() == [1, 2]
    assert c.tolist() == [1, 2, 3]
    d = mx.array([0, 0, 0])
    d[:] = a
    d[1] = 5
    assert a.tolist() == [9, 2, 3]
    e = mx.array([[1, 2], [3, 4]])
    for r in e:
        r += 1
    assert e.tolist() == [[1, 2], [3, 4]]
    e[0] += 1
    assert e.tolist() == [[2, 3], [3, 4]]


def test_setting_by_mask_stays_lazy_for_one_value():
    x = mx.array([1.0, float("nan"), 3.0])
    x[mx.isnan(x)] = 0
    assert x.tolist() == [1, 0, 3]


def test_boolean_index_of_a_lazy_array():
    x = mx.array([3.0, -1.0, 2.0])
    assert x[x > 0].tolist() == [3, 2]


def test_gradients_flow_through_indexing():
    x = mx.array([1.0, 2.0, 3.0, 4.0])

    def f(x):
        y = x * x
        y[1:3] = y[1:3] * 2
        y[mx.array([0, 0])] = y[mx.array([3, 3])]
        return (y[mx.array([1, 1, 2])] * mx.array([1.0, 10.0, 100.0])).sum() + y[0]

    assert mx.grad(f)(x).tolist() == [0, 4 * 2 * 11, 4 * 3 * 100, 2 * 4]


SLICE = st.builds(
    slice,
    st.none() | st.integers(-6, 6),
    st.none() | st.integers(-6, 6),
    st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3]),
)


@st.composite
def shapes_and_indices(draw):
    """A shape and an index for it: ints, slices, None, one ellipsis, arrays that broadcast together, masks."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    picked = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    entries, axis, ellipsis = [], 0, False
    while axis < len(shape):
        size = shape[axis]
        kinds = (
            ["slice", "slice", "none"]
            + ["ellipsis"] * (not ellipsis)
            + ["int", "array"] * (size > 0)
            + ["stop", "mask"]
        )
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "none":
            entries.append(None)
            if sum(e is None for e in entries) > 2:
                break
            continue
        if kind == "ellipsis":
            entries.append(...)
            axis += draw(st.integers(0, len(shape) - axis))
            ellipsis = True
            continue
        if kind == "slice":
            entries.append(draw(SLICE))
        elif kind == "int":
            entries.append(draw(st.integers(-size, size - 1)))
        elif kind == "array":
            keep = draw(st.integers(0, len(picked)))
            dims = tuple(d if draw(st.booleans()) else 1 for d in picked[keep:])
            values = draw(
                st.lists(st.integers(-size, size - 1), min_size=int(np.prod(dims)), max_size=int(np.prod(dims)))
            )
            entries.append(np.array(values, np.int32).reshape(dims))
        else:
            flags = draw(st.lists(st.booleans(), min_size=size, max_size=size))
            entries.append(np.array(flags, bool))
        axis += 1
    # What follows an ellipsis may meet other axes than it was drawn for: NumPy says whether the index fits.
    return shape, tuple(entries)


@given(shapes_and_indices())
def test_get_and_set_like_numpy(case):
    shape, index = case
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    a = mx.array(x)
    try:
        expected = x[index]
    except IndexError:
        with pytest.raises((IndexError, ValueError)):
            mx.eval(a[as_mx(index)])
        return
    if expected.size == 0 and any(isinstance(i, np.ndarray) and i.dtype == bool for i in index):
        return  # NumPy lets masks of the wrong size pass where nothing is taken
    same(a[as_mx(index)], expected)
    y = x.copy()
    y[index] = -np.arange(expected.size, dtype=np.int32).reshape(expected.shape)
    a[as_mx(index)] = mx.array(-np.arange(expected.size, dtype=np.int32).reshape(expected.shape))
    same(a, y)
