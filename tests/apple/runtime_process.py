# tests/apple/runtime_process.py -- tests of a GPU runtime, each in a process of its own
import ctypes
import functools
import inspect
import os
import pathlib
import struct
import subprocess
import sys

import build_runtime
import pytest
from runtime_table import Runtime, RuntimeFailure

PROBE = (pathlib.Path(__file__).resolve().parent / "probe.metal").read_text()
N = 1000  # elements of an array where the number does not matter


class StandIn(Runtime):
    """A runtime with what the stand-in tells tests, and the kernels of probe.metal."""

    def __init__(self, path, open_device=True):
        super().__init__(path, open_device)
        self.library.nhwc_standin_abort_on_error(0)

    def misuses(self):
        """What the debug layer has found since the last call."""
        text = ctypes.create_string_buffer(4096)
        return text.value.decode() if self.library.nhwc_standin_errors(text, len(text)) else ""

    def live_objects(self):
        """{class: objects that are alive}."""
        text = ctypes.create_string_buffer(4096)
        self.library.nhwc_standin_live_objects(text, len(text))
        counts = (entry.split() for entry in text.value.decode().split(", ") if entry)
        return {kind: int(number) for number, kind in counts}

    def fault(self, text):
        self.library.nhwc_standin_fault(text.encode())

    def floats(self, values):
        made = self.allocate(len(values))
        made[:] = values
        return made

    def add(self, queue, x, y, amount=1.0, **kwargs):
        """y = x + amount."""
        self.probe(queue, "probe_add", [(x, 0), (y, 1)], amount, len(x), **kwargs)

    def probe(self, queue, kernel, operands, amount=0.0, count=N, source=PROBE, threads=(64, 1, 1), **kwargs):
        params = struct.pack("if", count, amount)
        groups = (-(-count // threads[0]), 1, 1)
        self.encode(queue, kernel, operands, source=source, params=params, groups=groups, threads=threads, **kwargs)

    def finish(self, queue=0):
        self.wait(queue, self.commit(queue))


def isolated(body=None, **environment):
    """The body takes the path of the runtime and, if it wants, a scratch folder. Keywords are environment variables."""
    if body is None:
        return functools.partial(isolated, **environment)

    def test(gpu_runtime, tmp_path):
        kept = {"NHWC_EMULATOR_CACHE": str(build_runtime.build_cache.root())}  # of compiled kernels
        variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), **kept, **environment}
        command = [sys.executable, inspect.getfile(body), body.__name__, str(gpu_runtime), str(tmp_path)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    test.__name__, test.__doc__, test.body = body.__name__, body.__doc__, body
    return test


def failure(call, *args, **kwargs):
    """The RuntimeFailure that a call ends with."""
    with pytest.raises(RuntimeFailure) as caught:
        call(*args, **kwargs)
    return caught.value


def main(bodies):
    """What a test file calls as a program: file.py <test> <path of the runtime> <scratch folder>."""
    name, path, folder = sys.argv[1:]
    body = bodies[name].body
    body(*(pathlib.Path(path), pathlib.Path(folder))[: len(inspect.signature(body).parameters)])
