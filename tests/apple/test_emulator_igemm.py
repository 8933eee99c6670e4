# tests/apple/test_emulator_igemm.py -- an implicit GEMM in the emulator: right where it is, caught where it is not
import pathlib
import re

import emu
import ml_dtypes
import numpy as np
import pytest

SOURCE = pathlib.Path(__file__).parent / "kernels" / "igemm.metal"
KERNELS = {
    "igemm_float_32x32x16": (np.float32, 32, 32, 2e-6),
    "igemm_half_32x64x16": (np.float16, 32, 64, 2e-3),
    "igemm_bf16": (ml_dtypes.bfloat16, 32, 32, 2e-2),
}


def run_igemm(library, kernel="igemm_float_32x32x16", size=(2, 9, 7, 12), k=40, stride=1, bias=True, relu=True, **more):
    dtype, bm, bn, bound = KERNELS[kernel]
    rng = np.random.default_rng(0)
    n, h, w, c = size
    oh, ow = (h - 1) // stride + 1, (w - 1) // stride + 1
    x, weight = rng.uniform(-1, 1, size).astype(dtype), rng.uniform(-1, 1, (3, 3, c, k)).astype(dtype)
    b = rng.uniform(-1, 1, k).astype(np.float32)
    y = np.full((n, oh, ow, k), np.nan, dtype)
    params = np.array([n, h, w, c, oh, ow, k, 3, 3, stride, 1], np.int32)
    counters = library.run(
        kernel,
        [x, weight, y, b if bias else None, params],
        groups=(-(-k // bn), -(-n * oh * ow // bm), 1),
        threads=(128, 1, 1),
        constants={0: np.bool_(bias), "relu": np.bool_(relu)},
        **more,
    )
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    want = np.zeros(y.shape)
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + stride * (oh - 1) + 1 : stride, j : j + stride * (ow - 1) + 1 : stride]
            want += window @ weight[i, j].astype(np.float64)
    want += b if bias else 0
    want = np.maximum(want, 0) if relu else want
    np.testing.assert_allclose(y.astype(np.float64), want, rtol=bound, atol=bound * np.abs(want).max())
    return counters


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", range(5))
def test_igemm(kernel, seed):
    counters = run_igemm(emu.Library(SOURCE), kernel, seed=seed, stride=1 + seed % 2, bias=seed != 3, relu=seed != 4)
    assert counters.mma
    assert counters.barriers


def test_counters():
    counters = run_igemm(emu.Library(SOURCE), size=(1, 8, 8, 16), k=32)
    groups, steps = 2, 9
    assert counters.threads == groups * 128
    assert counters.mma == groups * steps * 4 * 4 * 2
    assert counters.barriers == groups * (2 * steps + 1)
    assert counters.threadgroup_bytes == 4 * (32 * 20 + 16 * 36 + 4 + 32 * 33)


CAUGHT = {
    3: None,
    5: "divergent threadgroup_barrier|returned while others wait|do not reach",
    6: "returned while others wait|have returned before",
    7: "threadgroup memory of .* the limit is 32768",
}


@pytest.mark.parametrize("defect", [1, 2, 3, 4, 5, 6, 7, 8])
def test_defects_are_caught_by_some_order(defect):
    library = emu.Library(SOURCE, define=[f"DEFECT={defect}"])
    texts = []
    for seed in range(6):
        try:
            run_igemm(library, seed=seed)
        except (emu.KernelError, AssertionError) as error:
            texts.append(str(error))
    assert texts
    if CAUGHT.get(defect):
        assert any(re.search(CAUGHT[defect], text) and "igemm.metal:" in text for text in texts), texts[0]


def test_arguments_are_checked():
    library = emu.Library(SOURCE)
    one = np.zeros(64, np.float32)
    launch = {"threads": (128, 1, 1), "constants": {0: np.bool_(True), 1: np.bool_(True)}}
    name = "igemm_float_32x32x16"
    with pytest.raises(emu.KernelError, match=r"buffer 3 'bias' is not bound"):
        library.run(name, [one, one, one, None, one], **launch)
    with pytest.raises(emu.KernelError, match=r"buffer 4 'p' has 4 bytes; the kernel's type has 44"):
        library.run(name, [one, one, one, one, one[:1]], **launch)
    with pytest.raises(emu.KernelError, match=r"threads per threadgroup \(256, 1, 1\): from 1 to 128"):
        library.run(name, [one] * 5, **{**launch, "threads": (256, 1, 1)})
    with pytest.raises(emu.KernelError, match=r"function constant 0 'has_bias' has no value"):
        library.run(name, [one] * 5, **{**launch, "constants": {1: np.bool_(True)}})
