# tests/apple/test_mlx_kernels.py -- MLX's published kernels against NumPy: a regression test of the emulator
import functools
import math
import pathlib

import emu
import ml_dtypes
import numpy as np
import pytest
from mlx_wheel import mlx_include

HERE = pathlib.Path(__file__).parent / "mlx"
TYPES = {
    "f32": np.float32,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "i32": np.int32,
    "i64": np.int64,
    "u8": np.uint8,
}
BOUND = {"f32": 3e-6, "f16": 2e-3, "bf16": 1.6e-2}
rng = np.random.default_rng(7)


@functools.cache
def library(topic, mode=None):
    return emu.Library(HERE / f"{topic}.metal", include=[mlx_include()], mode=mode)


def close(got, want, dtype):
    bound = BOUND.get(dtype, 0)
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), rtol=bound, atol=bound)


UNARY = {
    "Exp": np.exp,
    "Tanh": np.tanh,
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Erf": np.vectorize(math.erf),
    "Sqrt": np.sqrt,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Log1p": np.log1p,
    "Abs": np.abs,
    "Sin": np.sin,
}


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_unary(op, dtype):
    low = 0.1 if op in ("Sqrt", "Rsqrt", "Log1p") else -3
    x = rng.uniform(low, 3, 1001).astype(TYPES[dtype])
    y = np.zeros_like(x)
    library("elementwise").run(f"v_{op}_{dtype}", [x, y, np.uint32(x.size)], grid=(1001, 1, 1), threads=(256, 1, 1))
    close(y, UNARY[op](x.astype(np.float64)), dtype)


BINARY = {
    "Add": np.add,
    "Multiply": np.multiply,
    "Maximum": np.maximum,
    "Power": np.power,
    "Remainder": np.remainder,
}


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("dtype", TYPES)
def test_binary(op, dtype):
    real = dtype in BOUND
    shape = (7, 30)
    a = rng.uniform(0.5, 3, shape) if real else rng.integers(0, 6, shape)
    b = rng.uniform(0.5, 3, shape) if real else rng.integers(1, 4, shape)
    a, b = a.astype(TYPES[dtype]), b.astype(TYPES[dtype])
    wide = np.float64 if real else TYPES[dtype]
    n = np.uint32(a.size)
    for kind, second in (("vv", b), ("vs", b[:1, :1])):
        y = np.zeros_like(a)
        library("elementwise").run(f"{kind}_{op}_{dtype}", [a, b, y, n], grid=(a.size, 1, 1), threads=(64, 1, 1))
        close(y, BINARY[op](a.astype(wide), second.astype(wide)), dtype)
    y = np.zeros_like(a)
    strides = [np.array([30, 1], np.int64), np.array([0, 1], np.int64)]
    library("elementwise").run(f"g2_{op}_{dtype}", [a, b, y, *strides], grid=(30, 7, 1), threads=(16, 4, 1))
    close(y, BINARY[op](a.astype(wide), b[:1].astype(wide)), dtype)


@pytest.mark.parametrize(("source", "target"), [("f32", "bf16"), ("bf16", "f16"), ("i32", "f32")])
def test_copy(source, target):
    x = (rng.uniform(-100, 100, 333)).astype(TYPES[source])
    y = np.zeros(333, TYPES[target])
    library("elementwise").run(f"copy_{source}_{target}", [x, y, np.uint32(333)], grid=(333, 1, 1), threads=(64, 1, 1))
    np.testing.assert_array_equal(y, x.astype(TYPES[target]))


@pytest.mark.parametrize("dtype", ["f32", "i32"])
def test_arange(dtype):
    start, step, y = TYPES[dtype](3), TYPES[dtype](2), np.zeros(500, TYPES[dtype])
    library("elementwise").run(f"arange_{dtype}", [start, step, y], grid=(500, 1, 1), threads=(128, 1, 1))
    np.testing.assert_array_equal(y, 3 + 2 * np.arange(500))


@pytest.mark.parametrize("seed", range(4))
def test_reductions(seed):
    run = functools.partial(library("reductions").run, seed=seed)
    n = 5003
    for name, dtype, fold in (
        ("all_sum_f32", "f32", np.sum),
        ("all_sum_bf16", "bf16", np.sum),
        ("all_max_i32", "i32", np.max),
    ):
        x = rng.uniform(-50, 50, n).astype(TYPES[dtype])
        y = np.zeros(1, np.int32 if dtype == "i32" else np.float32)
        run(name, [x, y, np.uint64(n), np.uint64(n)], threads=(256, 1, 1))
        np.testing.assert_allclose(y[0], fold(x.astype(np.float64)), rtol=1e-4, atol=1e-2)
    for name, dtype, fold in (("row_sum_f32", "f32", np.sum), ("row_min_bf16", "bf16", np.min)):
        x = rng.uniform(-1, 1, (8, 301)).astype(TYPES[dtype])
        y = np.zeros(8, TYPES[dtype])
        run(name, [x, y, np.uint64(301), np.int64(8)], groups=(1, 2, 1), threads=(64, 1, 1))
        np.testing.assert_allclose(y.astype(np.float64), fold(x.astype(np.float64), axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["softmax_f32", "softmax_f16", "softmax_bf16", "softmax_looped_f32"])
@pytest.mark.parametrize("seed", range(4))
def test_softmax(name, seed):
    dtype = name.rsplit("_", 1)[1]
    # The looped one counts on as many simdgroups as its tables have room for.
    size, threads = (5001, 1024) if "looped" in name else (301, 96)
    x = rng.uniform(-4, 4, (5, size)).astype(TYPES[dtype])
    y = np.zeros_like(x)
    run = library("reductions").run
    run(name, [x, y, np.int32(size)], groups=(5, 1, 1), threads=(threads, 1, 1), seed=seed)
    e = np.exp(x.astype(np.float64))
    close(y, e / e.sum(axis=1, keepdims=True), dtype)


@pytest.mark.parametrize("seed", range(4))
def test_scan_and_sort(seed):
    run = functools.partial(library("reductions").run, seed=seed)
    x = rng.uniform(-1, 1, (6, 777)).astype(np.float32)
    y = np.zeros_like(x)
    run("scan_sum_f32", [x, y, np.uint64(777)], groups=(1, 6, 1), threads=(128, 1, 1))
    np.testing.assert_allclose(y, np.cumsum(x.astype(np.float64), axis=1), atol=2e-5)
    i = rng.integers(-1000, 1000, (6, 777)).astype(np.int32)
    out = np.zeros_like(i)
    run("scan_max_i32", [i, out, np.uint64(777)], groups=(1, 6, 1), threads=(128, 1, 1))
    np.testing.assert_array_equal(out, np.maximum.accumulate(i[:, ::-1], axis=1)[:, ::-1])

    x, i = x[:, :400].copy(), i[:, :400].copy()
    layout = [np.int32(v) for v in (400, 1, 1, 400, 400)]
    y, order = np.zeros_like(x), np.zeros(i.shape, np.uint32)
    run("sort_f32", [x, y, *layout], groups=(1, 6, 1), threads=(128, 1, 1))
    np.testing.assert_array_equal(y, np.sort(x, axis=1))
    run("argsort_i32", [i, order, *layout], groups=(1, 6, 1), threads=(128, 1, 1))
    np.testing.assert_array_equal(order, np.argsort(i, axis=1, kind="stable"))
