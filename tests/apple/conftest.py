# tests/apple/conftest.py -- the emulator's tests run where kernels can be compiled: with ziglang or NHWC_EMULATOR_CXX
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "emulator"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import toolchain

# Before nhwc looks for a GPU, which it does once: tests are collected before any of them runs.
if toolchain.available() and not os.environ.get("NHWC_GPU_RUNTIME") and sys.platform != "darwin":
    import build_runtime

    os.environ["NHWC_GPU_RUNTIME"] = str(build_runtime.build())


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
def gpu():
    """nhwc, where it has a GPU: the emulated one, or on a Mac the real one."""
    import nhwc

    nhwc.default_stream(nhwc.gpu)  # raises what is missing
    return nhwc
