# tests/python/conftest.py -- Hypothesis profiles, the seed in the report, and small helpers of all tests
"""Environment: HYPOTHESIS_PROFILE "default" (few, random examples) or "ci" (more, the same every time);
NHWC_TEST_SEED repeats a run: it seeds NumPy's generators and, in either profile, Hypothesis."""

import os
import pathlib
import sys

import hypothesis
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # oracle.py, strategies.py

SEED = int(os.environ.get("NHWC_TEST_SEED", "0") or "0")
SEED_GIVEN = bool(os.environ.get("NHWC_TEST_SEED"))
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")

_common = dict(deadline=None, print_blob=True, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.register_profile("default", max_examples=60, **_common)
hypothesis.settings.register_profile("ci", max_examples=300, derandomize=not SEED_GIVEN, **_common)
hypothesis.settings.load_profile(PROFILE)


def pytest_configure(config):
    if SEED_GIVEN and getattr(config.option, "hypothesis_seed", None) is None:
        config.option.hypothesis_seed = SEED
        from hypothesis import core

        core.global_force_seed = SEED


def pytest_report_header(config):
    forced = config.getoption("hypothesis_seed", None)
    chosen = f"seed {forced}" if forced is not None else "derandomized" if PROFILE == "ci" else "random seed"
    return f"nhwc tests: NHWC_TEST_SEED={SEED}, hypothesis profile {PROFILE!r}, {chosen}"


@pytest.fixture
def rng(request):
    """A NumPy generator of the test's own, the same in every run with the same NHWC_TEST_SEED."""
    return np.random.default_rng([SEED, *request.node.name.encode()])
