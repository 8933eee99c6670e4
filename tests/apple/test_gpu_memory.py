# tests/apple/test_gpu_memory.py -- what the GPU's kernels need beside their operands stays within the workspace limit
import contextlib
import os

import numpy as np
import pytest
from devices import EPS, check, filled, generator, on, to_numpy

import nhwc as mx

pytestmark = pytest.mark.usefixtures("gpu")
LIMIT = 64 << 10
# Blocks are of a few size classes, at most an eighth too large; and each operation has some counters and flags.
SLACK = LIMIT // 8 + 8192


def block_of(size):
    """Bytes of the block that holds `size`."""
    step = max(64, (1 << max(size - 1, 0).bit_length()) // 16)
    return -(-size // step) * step


@contextlib.contextmanager
def workspace(limit=LIMIT):
    before = mx.set_workspace_limit(limit)
    try:
        yield
    finally:
        mx.set_workspace_limit(before)


def scratch_of(compute):
    """Bytes that are in use at most while compute() is evaluated on the GPU, beside its operands and its result."""
    mx.synchronize()
    mx.clear_cache()
    with mx.stream(mx.gpu):
        y = compute()
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        mx.eval(y)
    return mx.get_peak_memory() - before - block_of(y.nbytes)


def array(shape, dtype=mx.float32, layout="plain"):
    with mx.stream(mx.gpu):  # where the GPU sees it
        mx.eval(mx.zeros(1) + 1)
    return filled(generator("memory", shape, dtype, layout), shape, dtype, layout)


def check_bounded(compute, context, bound=None, limit=LIMIT):
    with workspace(limit):
        check(compute, context, **(bound or {}))
        used = scratch_of(compute)
        assert used <= limit + SLACK, f"{context}: {used} bytes beside the operands, the limit is {limit}"


def indices(shape, size, name):
    with mx.stream(mx.cpu):
        drawn = mx.array(generator("indices", name, shape).integers(-size, size, shape).astype(np.int32))
        mx.eval(drawn)
    return drawn


SORTED = [((3, 17001), 1, mx.float32), ((15000,), 0, mx.int64), ((17001,), 0, mx.int8), ((17001,), 0, mx.float16),
          ((40, 1500), 1, mx.float32), ((400, 60), 0, mx.uint32), ((20000, 2), 1, mx.int16)]  # fmt: skip


@pytest.mark.parametrize(("shape", "axis", "dtype"), SORTED, ids=str)
def test_sorts(shape, axis, dtype):
    """Rows of more than the limit holds are sorted in parts, shorter ones some at a time."""
    a = array(shape, dtype)
    check_bounded(lambda: mx.sort(a, axis=axis), "sort")
    with workspace():
        order = check(lambda: mx.argsort(a, axis=axis), "argsort")
        assert scratch_of(lambda: mx.argsort(a, axis=axis)) <= LIMIT + SLACK
    np.testing.assert_array_equal(order, np.argsort(to_numpy(a), axis=axis, kind="stable"))


@pytest.mark.sanitizer
def test_a_long_sort_is_stable_and_puts_nan_last():
    x = generator("ties").integers(-1, 2, 15000).astype(np.float32) * 0.5
    x[::7], x[3::11], x[5::13] = np.nan, -0.0, np.inf
    reverse = mx.array(x[::-1].copy())[::-1]
    with workspace():
        for a in (mx.array(x), reverse):
            order = to_numpy(on(mx.gpu, lambda a=a: mx.argsort(a)))
            np.testing.assert_array_equal(order, np.argsort(x, kind="stable"))
            got = to_numpy(on(mx.gpu, lambda a=a: mx.sort(a)))
            want = x[order]
            np.testing.assert_array_equal(got, want)
            np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(want[want == 0]))
        for value in (0.0, np.nan):  # cut among equals
            same = mx.array(np.full(9000, value, np.float32))
            np.testing.assert_array_equal(to_numpy(on(mx.gpu, lambda s=same: mx.argsort(s))), np.arange(9000))


def test_gathers():
    a, i, j = array((300, 50)), indices((30000,), 300, "rows"), indices((30000,), 50, "columns")
    check_bounded(lambda: mx.take(a, i, axis=0), "take")
    check_bounded(lambda: a[i, j], "two index arrays")
    b, k = array((20, 4000), layout="transposed"), indices((20, 5000), 4000, "along")
    check_bounded(lambda: mx.take_along_axis(b, k, axis=1), "take_along_axis")


@pytest.mark.parametrize("layout", ["plain", "transposed", "strided"])
@pytest.mark.parametrize("dtype", [mx.float32, mx.int16], ids=str)
def test_scatters(dtype, layout):
    a, i = array((70, 3), dtype), indices((10000,), 70, "rows")
    updates = array((10000, 3), dtype, layout)
    bound = {"rtol": 1e-4, "atol": 1e-3} if dtype == mx.float32 else {}
    check_bounded(lambda: a.at[i].add(updates), "add", bound)
    check_bounded(lambda: a.at[i].maximum(updates), "maximum")
    b = array((10000,), dtype)
    j = indices((9000,), 10000, "elements")
    check_bounded(lambda: b.at[j].minimum(updates[:9000, 0]), "minimum")
    c, k = array((4, 4000), dtype), indices((4, 3000), 4000, "along")
    values = array((4, 3000), dtype, layout)
    check_bounded(lambda: mx.put_along_axis(c, k, values, axis=1), "put_along_axis")


def test_of_many_updates_of_a_place_the_last_one_stays():
    where = generator("last").integers(0, 50, 9000)
    x = np.arange(9000, dtype=np.int32)
    want = np.zeros(50, np.int32)
    want[where] = x
    i, v = mx.array(where), mx.array(x)

    def put():
        y = mx.zeros(50, dtype=mx.int32)
        y[i] = v
        return y

    with workspace():
        np.testing.assert_array_equal(to_numpy(on(mx.gpu, put)), want)


def test_an_index_out_of_range_is_found_in_any_block():
    a, i = array((50,)), np.zeros(20000, np.int32)
    i[19990] = 50
    bad = mx.array(i)
    with workspace(), pytest.raises(IndexError, match="50"):
        on(mx.gpu, lambda: mx.take(a, bad))


@pytest.mark.parametrize(("shape", "axis"), [((9000, 16), 0), ((3, 30000), 1), ((500, 400), 1), ((200, 40, 20), 1)])
def test_scans(shape, axis):
    a = array(shape, mx.int32)
    check_bounded(lambda: mx.cumsum(a, axis=axis), "cumsum", limit=8 << 10)
    check_bounded(lambda: mx.cumsum(a, axis=axis, reverse=True, inclusive=False), "reverse", limit=8 << 10)


@pytest.mark.parametrize(("shape", "axis"), [((3000, 40), 0), ((2, 90000), 1), ((200000,), 0), ((10, 500, 40), 1)])
def test_reductions(shape, axis):
    a = array(shape)
    bound = {"rtol": 1e-5, "atol": EPS[mx.float32] * 40 * max(shape)}
    for limit in (512, 4 << 10):
        check_bounded(lambda: mx.sum(a, axis=axis), "sum", bound, limit)
        for f in (mx.max, mx.argmin):
            check_bounded(lambda f=f: f(a, axis=axis), f.__name__, limit=limit)


@pytest.mark.parametrize(("shape", "axes"), [((20, 50, 60), 0), ((3, 20000), 0), ((20, 3000), 1), ((60000,), 0),
                                             ((1, 20, 60, 50), (1, 3))])  # fmt: skip
def test_reductions_of_chains(shape, axes):
    """Slabs, and their partial results where outputs are many."""
    a, b = array(shape), array(shape[-1:])
    limit = 8 << 10
    check_bounded(lambda: mx.max(mx.abs(a) - b, axis=axes), "max", limit=limit)
    bound = {"rtol": 1e-5, "atol": EPS[mx.float32] * 4 * np.sqrt(np.prod(shape))}
    check_bounded(lambda: mx.sum(mx.abs(a) * b, axis=axes), "sum", bound, limit)


def test_a_chain_that_no_single_kernel_holds():
    many = [array((40, 500), layout=layout) for layout in ("plain", "transposed") for _ in range(16)]

    def compute():
        y = many[0]
        for i, a in enumerate(many[1:]):
            y = y + a if i % 2 else y * a
        return y

    check_bounded(compute, "33 buffers", {"rtol": 1e-5})
    shape = (2,) * 13
    a, b = array(shape, layout="transposed"), array(shape)
    order = [12, 0, 11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6]
    check_bounded(lambda: mx.transpose(a, order) * b - mx.transpose(b, order[::-1]), "13 axes", limit=8 << 10)


CONVS = [
    ((5, 12, 12, 16), (16, 3, 3, 16), 1),
    ((1, 40, 30, 12), (8, 3, 3, 12), 1),
    ((2, 20, 20, 32), (32, 3, 3, 1), 32),
    ((3, 20, 20, 12), (12, 3, 3, 4), 3),
]


@pytest.mark.parametrize("algorithm", ["", "igemm", "grouped", "direct", "winograd"])
@pytest.mark.parametrize(("x_shape", "w_shape", "groups"), CONVS, ids=str)
def test_convolutions_of_channels_that_are_apart(x_shape, w_shape, groups, algorithm, monkeypatch):
    """Inputs, residuals and gradients in the order of other libraries: image by image, or in place."""
    monkeypatch.setenv("NHWC_METAL_ALGORITHM", algorithm)
    n, h, width, c = x_shape
    x = mx.transpose(array((n, c, h, width)), (0, 2, 3, 1))
    w, bias = array(w_shape), array(w_shape[:1])
    residual = mx.transpose(array((n, w_shape[0], h, width)), (0, 2, 3, 1))
    mx.eval(x, residual)
    bound = {"rtol": 1e-4, "atol": 2e-4}

    def conv(x, w):
        return mx.conv2d(x, w, padding=1, groups=groups)

    check_bounded(lambda: mx.maximum(conv(x, w) + bias + residual, 0), "forward", bound)
    gradient = mx.transpose(array((n, w_shape[0], h, width)), (0, 2, 3, 1))
    mx.eval(gradient)
    for argument in (0, 1):
        check_bounded(
            lambda a=argument: mx.vjp(conv, [x, w], [gradient])[1][a], f"gradient {argument}", {**bound, "atol": 3e-3}
        )


@pytest.mark.parametrize("layout", ["reversed", "transposed", "strided"])
@pytest.mark.parametrize(("spatial", "kernel"), [((19,), (5,)), ((6, 7), (3, 3)), ((3, 4, 5), (2, 3, 2))], ids=str)
@pytest.mark.parametrize(("c", "o", "groups"), [(24, 32, 1), (48, 36, 2), (6, 8, 1)], ids=str)
def test_convolutions_with_weights_that_are_apart(spatial, kernel, c, o, groups, layout):
    """A copy of the weights where a quarter of the limit holds it, else they are read where they lie."""
    x, w, bias = (
        array((3, *spatial, c)),
        array((o, *kernel, c // groups), layout=layout),
        array((o,), layout="reversed"),
    )
    bound = {"rtol": 1e-4, "atol": 2e-4}

    def conv(x, w):
        return mx.conv_general(x, w, padding=1, groups=groups)

    # Half of the weights' size is more than their copy may take, thrice that is enough for one.
    for limit in (max(2048, w.nbytes // 2), 12 * w.nbytes):
        check_bounded(lambda: mx.maximum(conv(x, w) + bias, 0), f"forward, {limit}", bound, limit)
        g = array(conv(x, w).shape)
        check_bounded(lambda: mx.vjp(conv, [x, w], [g])[1][0], f"gradient, {limit}", {**bound, "atol": 1e-3}, limit)  # noqa: B023


def test_steps_take_turns_with_their_scratch():
    """Many steps in flight need no more than one."""
    arrays = [array((9000,)) for _ in range(12)]

    def compute():
        return mx.stack([mx.sort(a)[::100] for a in arrays])

    with workspace():
        check(compute, "sorts")
        results = 12 * arrays[0].nbytes
        assert scratch_of(compute) <= results + 2 * (LIMIT + SLACK)


@pytest.mark.skipif(not os.environ.get("NHWC_GPU_RUNTIME"), reason="a Mac's GPU sees what NumPy lent elsewhere")
def test_what_numpy_lent_is_copied_once_for_a_step():
    x = generator("lent").standard_normal(40000).astype(np.float32)
    lent = mx.from_dlpack(x) if hasattr(mx, "from_dlpack") else mx.asarray(x)
    with workspace():
        assert scratch_of(lambda: mx.sort(lent)) <= x.nbytes + x.nbytes // 8 + LIMIT + SLACK
