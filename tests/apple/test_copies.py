# tests/apple/test_copies.py -- copies on the GPU in which another axis becomes the last one
import numpy as np
import pytest
from devices import DTYPES, filled, generator, on, to_numpy

import nhwc as mx

pytestmark = pytest.mark.usefixtures("gpu")

# Whole tiles, one more and one less; axes before, between and behind; too short for tiles; more axes than a walk takes.
TURNS = [
    ((32, 32), (1, 0)),
    ((33, 31), (1, 0)),
    ((2, 9, 65, 8), (0, 2, 3, 1)),
    ((2, 40, 5, 9), (0, 3, 1, 2)),
    ((3, 34, 4, 37), (3, 2, 1, 0)),
    ((7, 40), (1, 0)),
    ((40, 7), (1, 0)),
    ((9, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 10), (11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)),
]


@pytest.mark.sanitizer
@pytest.mark.parametrize("dtype", [mx.float32, mx.int8, mx.bfloat16, mx.int64], ids=str)
@pytest.mark.parametrize(("shape", "order"), TURNS, ids=str)
def test_transposed_copies(shape, order, dtype):
    rng = generator("copies", shape, dtype)
    assert dtype in DTYPES
    for layout in ("plain", "reversed", "strided", "broadcast"):
        a = filled(rng, shape, dtype, layout)
        got = on(mx.gpu, lambda a=a: mx.contiguous(mx.transpose(a, order)))
        np.testing.assert_array_equal(to_numpy(got), to_numpy(a).transpose(order), err_msg=layout)


def test_a_part_of_a_transposed_array():
    x = generator("part").standard_normal((50, 3, 70)).astype(np.float32)
    a = mx.array(x)
    got = on(mx.gpu, lambda: mx.contiguous(mx.transpose(a[3:47, 1:, 5:66], (1, 2, 0))))
    np.testing.assert_array_equal(to_numpy(got), x[3:47, 1:, 5:66].transpose(1, 2, 0))
