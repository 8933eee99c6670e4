# tests/apple/test_mlx_conv.py -- MLX's implicit GEMM convolutions in the emulator against NumPy
import math
import pathlib
import sys

import emu
import numpy as np
import pytest
from test_mlx_kernels import library

sys.path.insert(0, str(pathlib.Path(__file__).parent / "mlx"))
from conv_host import Problem, ceil_div, launch_implicit_gemm, run_as_mlx, tiles
from mlx_wheel import mlx_include

HALF = np.float16


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("kernel", "problem", "bound"),
    [
        ("conv2d_f32", {"n": 2, "size": (9, 7), "c": 16, "o": 64, "kernel": (3, 3)}, 2e-6),
        (
            "conv2d_f16",
            {"n": 1, "size": (8, 9), "c": 32, "o": 32, "kernel": (3, 2), "stride": 2, "dtype": np.float16},
            2e-3,
        ),
        ("conv2d_small_f32", {"n": 1, "size": (10, 9), "c": 48, "o": 32, "kernel": (3, 3), "dilation": 2}, 2e-6),
    ],
)
def test_implicit_gemm(kernel, problem, bound, seed):
    q = Problem(**problem)
    launch_implicit_gemm(library("conv"), kernel, q, seed=seed)
    q.check(bound)


@pytest.mark.parametrize("seed", range(4))
def test_few_channels(seed):
    q = Problem(1, (12, 11), 4, 12, (5, 3), stride=2)
    launch_implicit_gemm(library("conv"), "conv2d_channels4_f32", q, bn=8, wm=4, wn=1, channels=4, seed=seed)
    q.check(2e-6)


def run_general(q, mode=None, **more):
    """As MLX's host code: the outputs of a phase share the taps that meet an input."""
    bk, common = 16, math.lcm(q.input_dilation[0], q.stride[0])
    weight_jump = math.lcm(q.input_dilation[0], q.dilation[0]) // q.dilation[0]
    out_jump = common // q.stride[0]
    adjusted = [ceil_div(o, out_jump) for o in q.out]
    rows = q.n * adjusted[0] * adjusted[1]
    jump = np.array([weight_jump] * 2 + [out_jump] * 2 + [*adjusted, adjusted[0] * adjusted[1], rows], np.int32)
    bases = []
    for axis in range(2):
        table = []
        for i in range(out_jump):
            first, at = 0, i * q.stride[axis] - q.pad[axis]
            while first < q.kernel[axis] and at % q.input_dilation[axis]:
                first, at = first + 1, at + q.dilation[axis]
            table += [first, ceil_div(q.kernel[axis] - first, weight_jump)]
        bases.append(np.array(table, np.int32))
    in_w, in_h = q.jumps()
    tiles_n, tiles_m = ceil_div(q.o, 32), ceil_div(rows, 32)
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
    counters = launch_implicit_gemm(library("conv", "check"), "conv2d_f32", q)
    q.check(2e-6)
    groups, steps = 256 // 32, 9 * 2
    assert counters.mma == groups * steps * (4 * 4 * 2)
    assert counters.device_written == q.y.nbytes
    assert counters.device_read_unique == q.x.nbytes + q.w.nbytes
    assert counters.device_read <= groups * (32 * 9 * 32 + q.w.size) * 4


def test_general_has_no_race():
    q = Problem(1, (7, 6), 16, 20, (3, 3), input_dilation=2)
    run_general(q, mode="check")
    q.check(2e-6)


@pytest.mark.parametrize(
    ("problem", "tile"),
    [
        (Problem(1, (10, 9), 3, 32, (3, 3), stride=2), (32, 32, 2, 2, 3)),
        (Problem(1, (9, 1), 32, 64, (3, 1), pad=(1, 0)), (32, 64, 2, 2, 0)),
        (Problem(1, (6, 6), 16, 8, (1, 1), pad=0), (32, 8, 4, 1, 0)),
    ],
)
def test_the_tile_that_mlx_would_choose(problem, tile):
    run_as_mlx(problem, mlx_include(), mode="plain")
    problem.check(2e-6)
    assert tuple(tiles(problem).values()) == tile


def test_weights_are_read_beyond_their_end():
    """A fault of the published kernel, which loads whole tiles of filters; its results do not show it."""
    q = Problem(1, (8, 8), 16, 40, (3, 3))
    with pytest.raises(emu.KernelError, match=r"loader_channel_l\.h:\d+: out of bounds: reads 4 bytes .* buffer 1 'B'"):
        launch_implicit_gemm(library("conv", "check"), "conv2d_f32", q)
