# tests/apple/test_mlx_conv.py -- MLX's implicit GEMM convolutions in the emulator against NumPy
import math
import struct

import emu
import numpy as np
import pytest
from test_mlx_kernels import TYPES, library

BM = 32


def ceil_div(a, b):
    return -(-a // b)


class Problem:
    """A 2-D convolution, and the structs that MLX's host code makes of it."""

    def __init__(self, n, size, c, o, kernel, stride=1, pad=1, dilation=1, input_dilation=1, dtype="f32"):
        self.n, self.size, self.c, self.o, self.kernel = n, size, c, o, kernel
        self.stride, self.pad, self.dilation, self.input_dilation = stride, pad, dilation, input_dilation
        extent = [(s - 1) * input_dilation + 1 for s in size]
        self.out = [(e + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for e, k in zip(extent, kernel, strict=True)]
        rng = np.random.default_rng(3)
        self.x = rng.uniform(-1, 1, (n, *size, c)).astype(TYPES[dtype])
        self.w = rng.uniform(-1, 1, (o, *kernel, c)).astype(TYPES[dtype])
        self.y = np.full((n, *self.out, o), np.nan, TYPES[dtype])

    def params(self):
        ints = [self.n, self.c, self.o, *self.size, *self.kernel, *self.out]
        for value in (self.stride, self.pad, self.dilation, self.input_dilation):
            ints += [value, value]
        strides = [s // a.itemsize for a in (self.x, self.w, self.y) for s in a.strides]
        return struct.pack("<17i4x12qi?3x", *ints, *strides, 1, False)

    def jumps(self):
        in_w, in_h = self.c * self.dilation, self.size[1] * self.c * self.dilation
        return in_w, in_h

    def want(self):
        n, (h, w), c = self.n, self.size, self.c
        d, p = self.input_dilation, self.pad
        spread = np.zeros((n, (h - 1) * d + 1 + 2 * p, (w - 1) * d + 1 + 2 * p, c))
        spread[:, p : p + (h - 1) * d + 1 : d, p : p + (w - 1) * d + 1 : d] = self.x
        out = np.zeros(self.y.shape)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                r, s = i * self.dilation, j * self.dilation
                window = spread[:, r : r + (self.out[0] - 1) * self.stride + 1 : self.stride]
                window = window[:, :, s : s + (self.out[1] - 1) * self.stride + 1 : self.stride]
                out += window @ self.w[:, i, j].astype(np.float64).T
        return out

    def check(self, bound):
        want = self.want()
        assert np.abs(self.y.astype(np.float64) - want).max() <= bound * np.abs(want).max()


def run_conv(kernel, problem, bn=32, bk=16, wm=2, wn=2, channels=0, mode=None, **more):
    q = problem
    M, N, K = q.n * q.out[0] * q.out[1], q.o, q.kernel[0] * q.kernel[1] * q.c
    steps = ceil_div(K, bk) if channels else q.kernel[0] * q.kernel[1] * ceil_div(q.c, bk)
    in_w, in_h = q.jumps()
    last_w, last_h = (q.kernel[1] - 1) * in_w, (q.kernel[0] - 1) * in_h
    tiles_n, tiles_m = ceil_div(N, bn), ceil_div(M, BM)
    gemm = np.array([M, N, K, steps, in_w, in_h - last_w, bk - last_h - last_w, tiles_n, tiles_m, 0], np.int32)
    return library("conv", mode).run(
        kernel, [q.x, q.w, q.y, q.params(), gemm], groups=(tiles_n, tiles_m, 1), threads=(32, wn, wm), **more
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("kernel", "problem", "bound"),
    [
        ("conv2d_f32", {"n": 2, "size": (9, 7), "c": 16, "o": 64, "kernel": (3, 3)}, 2e-6),
        ("conv2d_f16", {"n": 1, "size": (8, 9), "c": 32, "o": 32, "kernel": (3, 2), "stride": 2, "dtype": "f16"}, 2e-3),
        ("conv2d_small_f32", {"n": 1, "size": (10, 9), "c": 48, "o": 32, "kernel": (3, 3), "dilation": 2}, 2e-6),
    ],
)
def test_implicit_gemm(kernel, problem, bound, seed):
    q = Problem(**problem)
    run_conv(kernel, q, seed=seed)
    q.check(bound)


@pytest.mark.parametrize("seed", range(4))
def test_few_channels(seed):
    q = Problem(1, (12, 11), 4, 12, (5, 3), stride=2)
    run_conv("conv2d_channels4_f32", q, bn=8, wm=4, wn=1, channels=4, seed=seed)
    q.check(2e-6)


def run_general(q, mode=None, **more):
    """As MLX's host code: the outputs of a phase share the taps that meet an input."""
    bk, common = 16, math.lcm(q.input_dilation, q.stride)
    weight_jump = math.lcm(q.input_dilation, q.dilation) // q.dilation
    out_jump = common // q.stride
    adjusted = [ceil_div(o, out_jump) for o in q.out]
    rows = q.n * adjusted[0] * adjusted[1]
    jump = np.array([weight_jump] * 2 + [out_jump] * 2 + [*adjusted, adjusted[0] * adjusted[1], rows], np.int32)
    bases = []
    for axis in range(2):
        table = []
        for i in range(out_jump):
            first, at = 0, i * q.stride - q.pad
            while first < q.kernel[axis] and at % q.input_dilation:
                first, at = first + 1, at + q.dilation
            table += [first, ceil_div(q.kernel[axis] - first, weight_jump)]
        bases.append(np.array(table, np.int32))
    in_w, in_h = q.jumps()
    tiles_n, tiles_m = ceil_div(q.o, 32), ceil_div(rows, BM)
    M, K = q.n * q.out[0] * q.out[1], q.kernel[0] * q.kernel[1] * q.c
    gemm = np.array([M, q.o, K, ceil_div(q.c, bk), in_w, in_h, bk, tiles_n, tiles_m, 0], np.int32)
    return library("conv", mode).run(
        "conv2d_general_f32",
        [q.x, q.w, q.y, q.params(), gemm, jump, *bases],
        groups=(tiles_n, tiles_m, out_jump * out_jump),
        threads=(32, 2, 2),
        constants={"align_C": np.bool_(q.c % bk == 0)},
        **more,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "problem",
    [
        {"n": 1, "size": (7, 6), "c": 16, "o": 20, "kernel": (3, 3), "input_dilation": 2},
        {"n": 2, "size": (5, 6), "c": 20, "o": 34, "kernel": (4, 3), "input_dilation": 3, "stride": 2, "pad": 2},
    ],
)
def test_general(problem, seed):
    q = Problem(**problem)
    run_general(q, seed=seed)
    q.check(2e-6)


def test_cost_of_a_convolution():
    """The same figures as for kernels of our own: what --mode check counts."""
    q = Problem(1, (16, 16), 32, 32, (3, 3))
    counters = run_conv("conv2d_f32", q, mode="check")
    q.check(2e-6)
    groups, steps = 256 // BM, 9 * 2
    assert counters.mma == groups * steps * (4 * 4 * 2)
    assert counters.device_written == q.y.nbytes
    assert counters.device_read_unique == q.x.nbytes + q.w.nbytes
    assert counters.device_read <= groups * (BM * 9 * 32 + q.w.size) * 4


def test_general_has_no_race():
    q = Problem(1, (7, 6), 16, 20, (3, 3), input_dilation=2)
    run_general(q, mode="check")
    q.check(2e-6)


def test_weights_are_read_beyond_their_end():
    """A fault of the published kernel, which loads whole tiles of filters; its results do not show it."""
    q = Problem(1, (8, 8), 16, 40, (3, 3))
    with pytest.raises(emu.KernelError, match=r"loader_channel_l\.h:\d+: out of bounds: reads 4 bytes .* buffer 1 'B'"):
        run_conv("conv2d_f32", q, mode="check")
