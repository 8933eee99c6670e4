# tests/apple/mlx/conv_host.py -- what MLX's host code makes of a 2-D convolution: parameter structs, tiles, the launch
import functools
import pathlib
import struct
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "emulator"))
import emu

INCLUDES = """
#include <metal_stdlib>
#include "mlx/backend/metal/kernels/utils.h"
#include "mlx/backend/metal/kernels/steel/gemm/mma.h"
#include "mlx/backend/metal/kernels/steel/conv/conv.h"
#include "mlx/backend/metal/kernels/steel/conv/params.h"
#include "mlx/backend/metal/kernels/steel/conv/kernels/steel_conv.h"
using namespace mlx::steel;
"""
MSL_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float16): "half"}


def ceil_div(a, b):
    return -(-a // b)


def pair(value):
    return (value, value) if np.isscalar(value) else tuple(value)


class Problem:
    """A 2-D convolution of random arrays; stride, pad and dilations are numbers or pairs."""

    def __init__(self, n, size, c, o, kernel, stride=1, pad=1, dilation=1, input_dilation=1, dtype=np.float32):
        self.n, self.size, self.c, self.o, self.kernel = n, size, c, o, kernel
        self.stride, self.pad = pair(stride), pair(pad)
        self.dilation, self.input_dilation = pair(dilation), pair(input_dilation)
        axes = zip(size, kernel, self.stride, self.pad, self.dilation, self.input_dilation, strict=True)
        self.out = [((z - 1) * i + 2 * p - d * (k - 1)) // s + 1 for z, k, s, p, d, i in axes]
        rng = np.random.default_rng(3)
        self.x = rng.uniform(-1, 1, (n, *size, c)).astype(dtype)
        self.w = rng.uniform(-1, 1, (o, *kernel, c)).astype(dtype)
        self.y = np.full((n, *self.out, o), np.nan, dtype)

    @property
    def gemm(self):
        """M, N, K."""
        return self.n * self.out[0] * self.out[1], self.o, self.kernel[0] * self.kernel[1] * self.c

    def params(self):
        ints = [self.n, self.c, self.o, *self.size, *self.kernel, *self.out]
        ints += [*self.stride, *self.pad, *self.dilation, *self.input_dilation]
        strides = [s // a.itemsize for a in (self.x, self.w, self.y) for s in a.strides]
        return struct.pack("<17i4x12qi?3x", *ints, *strides, 1, False)

    def jumps(self):
        """From tap to tap along a row and a column, in elements of the input."""
        return self.c * self.dilation[1], self.size[1] * self.c * self.dilation[0]

    def want(self):
        """The convolution by its definition, in float64."""
        (h, w), (dh, dw), (ph, pw) = self.size, self.input_dilation, self.pad
        spread = np.zeros((self.n, (h - 1) * dh + 1 + 2 * ph, (w - 1) * dw + 1 + 2 * pw, self.c))
        spread[:, ph : ph + (h - 1) * dh + 1 : dh, pw : pw + (w - 1) * dw + 1 : dw] = self.x
        out = np.zeros(self.y.shape)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                r, s = i * self.dilation[0], j * self.dilation[1]
                window = spread[:, r : r + (self.out[0] - 1) * self.stride[0] + 1 : self.stride[0]]
                window = window[:, :, s : s + (self.out[1] - 1) * self.stride[1] + 1 : self.stride[1]]
                out += window @ self.w[:, i, j].astype(np.float64).T
        return out

    def check(self, bound):
        want = self.want()
        assert np.abs(self.y.astype(np.float64) - want).max() <= bound * np.abs(want).max()


def launch_implicit_gemm(library, kernel, q, *, bm=32, bn=32, bk=16, wm=2, wn=2, channels=0, **more):
    """Runs an implicit_gemm_conv_2d; returns its counters. `channels`: the kernel is for exactly so many, 1 to 4."""
    M, N, K = q.gemm
    taps = q.kernel[0] * q.kernel[1]
    steps = taps * ceil_div(q.c, bk)
    if channels:
        steps = ceil_div(K if channels <= 2 else 4 * taps, bk)
    in_w, in_h = q.jumps()
    last_w, last_h = (q.kernel[1] - 1) * in_w, (q.kernel[0] - 1) * in_h
    tiles_n, tiles_m = ceil_div(N, bn), ceil_div(M, bm)
    gemm = np.array([M, N, K, steps, in_w, in_h - last_w, bk - last_h - last_w, tiles_n, tiles_m, 0], np.int32)
    operands = [q.x, q.w, q.y, q.params(), gemm]
    return library.run(kernel, operands, groups=(tiles_n, tiles_m, 1), threads=(32, wn, wm), **more)


def tiles(q):
    """The tile that MLX's host code takes for implicit GEMM; None where it takes another algorithm."""
    M, N, _ = q.gemm
    if pair(1) != q.input_dilation or (q.c > 4 and q.c % 16) or (q.o > 16 and q.o % 16):
        return None
    winograd = q.stride == q.dilation == (1, 1) and tuple(q.kernel) == (3, 3) and q.c % 32 == q.o % 32 == 0
    if winograd and q.n * q.size[0] * q.size[1] >= 4096 and q.c + q.o >= 256:
        return None
    bm = 64 if M >= 8192 and q.c >= 64 else 32
    tile = {"bm": bm, "bn": 64 if bm == 64 or N >= 64 else 32, "wm": 2, "wn": 2, "channels": q.c if q.c <= 4 else 0}
    if N <= 16:
        tile |= {"bn": 8, "wm": 4, "wn": 1}
    return tile


@functools.cache
def implicit_gemm_library(include, dtype, bm, bn, wm, wn, channels, small, mode):
    text = f"implicit_gemm_conv_2d, {MSL_TYPES[dtype]}, {bm}, {bn}, 16, {wm}, {wn}, {channels}, {str(small).lower()}"
    return emu.Library(f'{INCLUDES}instantiate_kernel("conv", {text})\n', include=[include], mode=mode)


def run_as_mlx(q, include, mode="check"):
    """Runs `q` as MLX would, on the kernel and tile that it would choose; None where that is not implicit GEMM."""
    tile = tiles(q)
    if tile is None:
        return None
    small = not tile["channels"] and max(q.kernel) <= 16
    library = implicit_gemm_library(include, q.x.dtype, *tile.values(), small, mode)
    return launch_implicit_gemm(library, "conv", q, **tile)
