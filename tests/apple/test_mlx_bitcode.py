# tests/apple/test_mlx_bitcode.py -- kernels that Apple's compiler built: bit for bit as from their source
import pathlib
import sys

import bitcode
import emu
import numpy as np
import pytest
from mlx_wheel import mlx_folder
from test_mlx_kernels import library

sys.path.insert(0, str(pathlib.Path(__file__).parent / "mlx"))
from conv_host import Problem, launch_implicit_gemm

CONV = "implicit_gemm_conv_2d_float32_bm32_bn32_bk16_wm2_wn2_channel_l_filter_l"


def built(name):
    return emu.Library(bitcode.compile_function(mlx_folder() / "mlx" / "lib" / "mlx.metallib", name))


@pytest.mark.parametrize("seed", range(3))
def test_unary(seed):
    x = np.random.default_rng(0).uniform(-3, 3, 1001).astype(np.float32)
    ours, apple = np.zeros_like(x), np.zeros_like(x)
    more = {"grid": (1001, 1, 1), "threads": (256, 1, 1), "seed": seed}
    library("elementwise").run("v_Exp_f32", [x, ours, np.uint32(x.size)], **more)
    built("v_Expfloat32float32").run("v_Expfloat32float32", [x, apple, np.uint32(x.size)], **more)
    assert np.abs(ours).max() > 0
    np.testing.assert_array_equal(ours, apple)


@pytest.mark.parametrize("seed", range(3))
def test_softmax(seed):
    x = np.random.default_rng(1).uniform(-4, 4, (6, 700)).astype(np.float32)
    ours, apple = np.zeros_like(x), np.zeros_like(x)
    more = {"groups": (6, 1, 1), "threads": (192, 1, 1), "seed": seed}
    library("reductions").run("softmax_f32", [x, ours, np.int32(700)], **more)
    built("block_softmax_float32").run("block_softmax_float32", [x, apple, np.int32(700)], **more)
    np.testing.assert_allclose(apple.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(ours, apple)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution(seed, stride):
    ours, apple = (Problem(2, (9, 8), 32, 64, (3, 3), stride=stride) for _ in range(2))
    launch_implicit_gemm(library("conv"), "conv2d_f32", ours, seed=seed)
    counters = launch_implicit_gemm(built(CONV), CONV, apple, seed=seed)
    assert counters.mma
    apple.check(2e-6)
    np.testing.assert_array_equal(ours.y, apple.y)
