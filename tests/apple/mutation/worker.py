# tests/apple/mutation/worker.py -- a pytest that runs single tests on demand, many times, in one process
"""The plugin of Session's processes (judge.py): tests are collected once; then each line of the requests is the
number of a test, which is run and answered by a line {"failed": ..., "work": seconds of the processor,
"seconds": by the clock}.

A new process for each run would spend most of its time on starting and on loading kernels."""

import ctypes
import json
import os
import time

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

# HYPOTHESIS_PROFILE names it: the same examples in every run; a failing one is not made smaller.
hypothesis.settings.register_profile(
    "mutation",
    database=None,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def misuses():
    """How many defects the stand-in has reported since the last call: races and accesses out of bounds are some."""
    runtime = ctypes.CDLL(os.environ["NHWC_GPU_RUNTIME"])
    return runtime.nhwc_standin_errors(ctypes.create_string_buffer(1), ctypes.c_size_t(1))


def failed(item):
    """Whether the test fails, in itself or by what the stand-in reports; None for one that skips itself."""
    misuses()
    if hasattr(item, "_request"):
        item._initrequest()  # so that it can be run again
    reports = runtestprotocol(item, nextitem=None, log=False)
    if any(report.skipped for report in reports):
        return None
    return bool(misuses()) or any(report.failed for report in reports)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    requests, answers = os.fdopen(int(os.environ["NHWC_MUTATION_REQUESTS"])), int(os.environ["NHWC_MUTATION_ANSWERS"])

    def answer(what):
        os.write(answers, (json.dumps(what) + "\n").encode())

    answer([item.nodeid for item in session.items])
    for line in requests:
        begun, worked = time.perf_counter(), time.process_time()
        result = failed(session.items[int(line)])
        answer({"failed": result, "work": time.process_time() - worked, "seconds": time.perf_counter() - begun})
    return True
