# tests/apple/test_matmul.py -- matrix products on the GPU against the CPU: sizes, types, strides, batches
import math
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

import nhwc as mx
from strategies import EPS, LAYOUTS, laid_out, to_float64

pytestmark = pytest.mark.usefixtures("gpu")

SIZES = st.sampled_from([1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 36, 63, 64, 65, 68])


def check(a, b):
    got, want = (to_float64(mx.matmul(a, b, stream=s)) for s in (mx.gpu, mx.cpu))
    bound = 64 * EPS[mx.float32] * math.sqrt(a.shape[-1] + 1) + 8 * EPS[a.dtype] * np.abs(want) + 2.0**-24
    np.testing.assert_array_less(np.abs(got - want), bound, f"{a.shape} {b.shape} {a.dtype}")


@st.composite
def products(draw):
    m, n, k = draw(SIZES), draw(SIZES), draw(SIZES)
    batch = draw(st.lists(st.integers(1, 3), max_size=3))
    left, right = (draw(st.integers(0, len(batch))) for _ in range(2))
    ones = [draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))) for _ in range(2)]
    shapes = [
        (*(1 if one else size for size, one in zip(batch, some, strict=True)),)[cut:]
        for some, cut in zip(ones, (left, right), strict=True)
    ]
    return (*shapes[0], m, k), (*shapes[1], k, n), draw(st.integers(0, 2**16))


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
@settings(max_examples=40, deadline=None)
@given(products(), st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS))
def test_any_shapes_and_strides(dtype, shapes, a_layout, b_layout):
    a_shape, b_shape, seed = shapes
    rng = np.random.default_rng(seed)
    a, _ = laid_out(rng.standard_normal(a_shape), dtype, a_layout)
    b, _ = laid_out(rng.standard_normal(b_shape), dtype, b_layout)
    check(a, b)


@pytest.mark.sanitizer
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
def test_edges_of_tiles(dtype, a_turned, b_turned):
    rng = np.random.default_rng(1)
    for m, n, k in ((64, 64, 16), (32, 32, 32), (65, 33, 17), (68, 36, 20), (63, 31, 15), (1, 64, 64), (64, 1, 600)):
        a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
        a = laid_out(a.T, dtype, "plain")[0].T if a_turned else laid_out(a, dtype, "plain")[0]
        b = laid_out(b.T, dtype, "plain")[0].T if b_turned else laid_out(b, dtype, "plain")[0]
        check(a, b)


@pytest.mark.sanitizer
def test_more_axes_than_a_launch_goes_through():
    rng = np.random.default_rng(2)
    a, _ = laid_out(rng.standard_normal((2, 1, 2, 1, 2, 1, 3, 4)), mx.float32, "plain")
    b, _ = laid_out(rng.standard_normal((1, 2, 1, 2, 1, 2, 4, 5)), mx.float32, "plain")
    check(a, b)


def test_nothing_to_sum():
    with mx.stream(mx.gpu):
        np.testing.assert_array_equal(np.array(mx.matmul(mx.ones((3, 0)), mx.ones((0, 2)))), np.zeros((3, 2)))
