# tests/conftest.py -- Hypothesis profiles, the seed in the report, and small helpers of all tests
"""Environment: HYPOTHESIS_PROFILE "default" (few, random examples) or "ci" (more, the same every time);
NHWC_TEST_SEED repeats a run: it seeds NumPy's generators and, in either profile, Hypothesis. With CI set, examples are
the same every time in the default profile too: what a change is refused for is then the change.
NHWC_TEST_DEVICE=gpu makes the GPU the default device: a Mac's own, elsewhere the emulated one of tests/apple. Tests
marked cpu_only are then left out, and so is `large` where the GPU is emulated.
NHWC_TEST_EMULATED=1 says that the processor is emulated, some hundred times slower: few examples, and no `large`."""

import os
import pathlib
import sys

import hypothesis
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "python"))  # oracle.py, strategies.py
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from seed import SEED, SEED_GIVEN

EMULATED_CPU = os.environ.get("NHWC_TEST_EMULATED", "0") != "0"
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "few" if EMULATED_CPU else "default")
ON_GPU = os.environ.get("NHWC_TEST_DEVICE", "cpu") == "gpu"
EMULATED = ON_GPU and sys.platform != "darwin"

if EMULATED and not os.environ.get("NHWC_GPU_RUNTIME"):  # before nhwc looks for it; workers of xdist inherit it
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "apple"))
    import build_runtime

    os.environ["NHWC_GPU_RUNTIME"] = str(build_runtime.build())

_common = dict(deadline=None, print_blob=True, suppress_health_check=list(hypothesis.HealthCheck))
SAME = not SEED_GIVEN and (PROFILE == "ci" or os.environ.get("CI") == "true")
hypothesis.settings.register_profile("default", max_examples=60, derandomize=SAME, **_common)
hypothesis.settings.register_profile("ci", max_examples=300, derandomize=SAME, **_common)
hypothesis.settings.register_profile("few", max_examples=3, **_common)
hypothesis.settings.load_profile(PROFILE)


def pytest_configure(config):
    if SEED_GIVEN and getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = SEED
        from hypothesis import core

        core.global_force_seed = SEED
    if ON_GPU or sys.platform == "darwin":  # where the GPU would be the default
        import nhwc

        nhwc.set_default_device(nhwc.gpu if ON_GPU else nhwc.cpu)


def pytest_collection_modifyitems(items):
    for item in items if EMULATED_CPU else ():
        if item.get_closest_marker("large"):
            item.add_marker(pytest.mark.skip(reason="too large for an emulated processor"))
    for item in items if ON_GPU else ():
        for marker in item.iter_markers("cpu_only"):
            item.add_marker(pytest.mark.skip(reason=f"only on the CPU: {marker.args[0]}"))
        if EMULATED and item.get_closest_marker("large"):
            item.add_marker(pytest.mark.skip(reason="too large for the emulated GPU"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """float64 is refused on the GPU: a test whose parameter asks for it has nothing to test there."""
    try:
        return (yield)
    except ValueError as e:
        parameters = getattr(pyfuncitem, "callspec", None)
        if ON_GPU and parameters and "float64" in str(e) and "float64" in str(parameters.params.values()):
            pytest.skip(f"refused on the GPU: {e}")
        raise


@pytest.fixture(autouse=True)
def same_default_device():
    """A test that left the CPU as default device would have all after it run there, unnoticed."""
    yield
    if ON_GPU:
        import nhwc

        left = nhwc.default_device()
        nhwc.set_default_device(nhwc.gpu)
        assert left == nhwc.gpu, f"the test leaves {left} as default device"


def pytest_report_header(config):
    forced = config.getoption("hypothesis_seed", None)
    chosen = f"seed {forced}" if forced is not None else "derandomized" if SAME else "random seed"
    device = "emulated gpu" if EMULATED else "gpu" if ON_GPU else "cpu"
    return f"nhwc tests on the {device}: NHWC_TEST_SEED={SEED}, hypothesis profile {PROFILE!r}, {chosen}"


@pytest.fixture
def rng(request):
    """A NumPy generator of the test's own, the same in every run with the same NHWC_TEST_SEED."""
    return np.random.default_rng([SEED, *request.node.name.encode()])
