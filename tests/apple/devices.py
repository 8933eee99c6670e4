# tests/apple/devices.py -- arrays in many layouts, and what is computed on the GPU beside what the CPU computes
import os

import numpy as np
import pytest

import nhwc as mx

INTEGERS = [mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64]
FLOATS = [mx.float16, mx.bfloat16, mx.float32]
DTYPES = [mx.bool_, *INTEGERS, *FLOATS]
ONE_SANITIZED = [*DTYPES[:-1], pytest.param(DTYPES[-1], marks=pytest.mark.sanitizer)]
EPS = {mx.float16: 2.0**-11, mx.bfloat16: 2.0**-8, mx.float32: 2.0**-24}
LAYOUTS = ["plain", "reversed", "transposed", "strided", "broadcast"]
SEED = int(os.environ.get("NHWC_TEST_SEED", "0") or "0")


def generator(*names):
    """A NumPy generator of its own for each test case."""
    return np.random.default_rng([SEED, *"/".join(map(str, names)).encode()])


def to_numpy(a):
    """Values of an array; NumPy has no bfloat16."""
    return np.array(a.astype(mx.float32, stream=mx.cpu) if a.dtype == mx.bfloat16 else a)


def values(rng, shape, dtype):
    """Few different integers, so that there are equal ones; or normal floats, some of them equal."""
    if dtype in FLOATS:
        drawn = rng.standard_normal(shape).astype(np.float32)
        return np.where(rng.random(shape) < 0.2, np.float32(0.5), drawn)
    low, high = (0, 2) if dtype == mx.bool_ else (0, 9) if "uint" in str(dtype) else (-4, 5)
    return rng.integers(low, high, shape)


def filled(rng, shape, dtype, layout="plain"):
    """An evaluated array that lies in memory as `layout` says."""
    shape = tuple(shape)
    with mx.stream(mx.cpu):
        if not shape or layout == "plain":
            a = mx.array(values(rng, shape, dtype)).astype(dtype)
        elif layout == "reversed":
            a = mx.array(values(rng, shape, dtype)).astype(dtype)[tuple(slice(None, None, -1) for _ in shape)]
        elif layout == "transposed":
            a = mx.swapaxes(mx.array(values(rng, (shape[-1], *shape[1:-1], shape[0])[: len(shape)], dtype)), 0, -1)
            a = a.astype(dtype)
            a = mx.swapaxes(mx.contiguous(mx.swapaxes(a, 0, -1)), 0, -1)
        elif layout == "strided":
            a = mx.array(values(rng, (*shape[:-1], 2 * shape[-1] + 1), dtype)).astype(dtype)[..., 1::2]
        else:
            a = mx.broadcast_to(mx.array(values(rng, (1, *shape[1:]), dtype)).astype(dtype), shape)
        mx.eval(a)
    assert a.shape == shape, (layout, a.shape, shape)
    return a


def on(device, compute):
    """What `compute()` gives on a device, evaluated."""
    with mx.stream(device):
        result = compute()
        mx.eval(result)
    return result


def check(compute, context, rtol=0.0, atol=0.0):
    """Computes on both devices; the results have one dtype and shape, and equal values within the bound."""
    got, want = on(mx.gpu, compute), on(mx.cpu, compute)
    assert (got.dtype, got.shape) == (want.dtype, want.shape), context
    a, b = to_numpy(got), to_numpy(want)
    if rtol or atol:
        np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol, atol, err_msg=str(context))
    else:
        np.testing.assert_array_equal(a, b, str(context))
    return a
