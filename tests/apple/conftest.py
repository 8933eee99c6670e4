# tests/apple/conftest.py -- the emulator's tests run where kernels can be compiled: with ziglang or NHWC_EMULATOR_CXX
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "emulator"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import toolchain


def pytest_collection_modifyitems(items):
    if toolchain.available():
        return
    for item in items:
        if pathlib.Path(__file__).resolve().parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no compiler for Metal kernels: pip install ziglang"))


@pytest.fixture(scope="session")
def gpu_runtime():
    """The path of the runtime that drives the emulated GPU."""
    import build_runtime

    return build_runtime.build()


@pytest.fixture(scope="session")
def gpu(gpu_runtime):
    """nhwc.gpu of this process is the emulated one, unless there is another already."""
    os.environ.setdefault("NHWC_GPU_RUNTIME", str(gpu_runtime))
    import nhwc

    assert nhwc.metal.is_available(), "nhwc was asked for a GPU before there was one; run these tests first"
