# tests/apple/test_sanitized_kernels.py -- our kernels under ASan and TSan: no report, but of planted defects
"""The tests marked `sanitizer` run every kernel of metal/. test_emulator_sanitizers.py is the same for the emulator
itself, with a kernel of its own."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import build_runtime
import pytest
import sanitized

HERE = pathlib.Path(__file__).resolve().parent
METAL = HERE.parents[1] / "metal"


def run(mode, *selection, **environment):
    """A pytest with the kernels under the sanitizer."""
    if not sanitized.runtime(mode):
        pytest.skip(f"no {mode} runtime: needs clang-19 and libclang-rt-19-dev")
    command = [sys.executable, HERE / "emulator" / "sanitized.py", mode, sys.executable, "-m", "pytest", "-q", "-x"]
    command += ["-s", "-p", "no:cacheprovider", "-p", "no:xdist", *selection]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(command, env=variables | environment, capture_output=True, text=True, timeout=900)


def kernels():
    """What the names of all kernels begin with."""
    names = {"chain"}  # which the host writes
    for path in METAL.glob("*.metal"):
        text = path.read_text()
        names |= set(re.findall(r'host_name\("(\w+)_" #', text))
        names |= set(re.findall(r"(?<!>\n)^\[\[kernel\]\] void (\w+)\(", text, re.MULTILINE))
    return names


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_our_kernels_are_clean(mode, tmp_path):
    trace = tmp_path / "trace"
    done = run(mode, "-m", "sanitizer", HERE, NHWC_STANDIN_TRACE=str(trace))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert "Sanitizer" not in done.stderr
    launched = {json.loads(line)["kernel"] for line in trace.read_text().splitlines()}
    assert not {name for name in kernels() if not any(re.fullmatch(rf"{name}(_.*)?", k) for k in launched)}


BARRIER = "threadgroup_barrier(metal::mem_flags::mem_threadgroup);"
DEFECTS = {
    # what is wrong: (mode, file, right, wrong, the report, where, a test that meets it)
    "a thread of no element": ("asan", "index.metal", "if (t >= ulong(p.count)) return;", "", "use-after-poison",
                               "index.metal:", "test_gpu_indexing.py::test_random_places"),
    "a box too large": ("asan", "conv_grouped.metal", "threadgroup T tile[kBoxInputs];",
                        "threadgroup T tile[kBoxInputs / 8];", "use-after-poison", "conv_grouped.metal:",
                        "test_gpu_conv.py::test_forward_at_the_edges_of_tiles"),
    "tiles not waited for": ("tsan", "conv_igemm.metal", f"    metal::{BARRIER}\n", "", "data race",
                             "metal/", "test_gpu_conv.py::test_forward_at_the_edges_of_tiles"),
    "parts not waited for": ("tsan", "reduce.metal", f"  {BARRIER}\n", "", "data race", "reduce.metal:",
                             "test_reductions.py::test_random_reductions"),
    "two threads for a place": ("tsan", "index.metal", "if (at > 0 && sorted[at - 1] == place) return;", "",
                                "data race", "element.h", "test_gpu_indexing.py::test_of_equal_places_the_last_wins"),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_reported(defect, tmp_path):
    mode, name, right, wrong, what, where, test = DEFECTS[defect]
    metal = tmp_path / "metal"
    shutil.copytree(METAL, metal)
    text = (metal / name).read_text()
    assert right in text
    (metal / name).write_text(text.replace(right, wrong))
    runtime = build_runtime.build(metal=metal)
    done = run(mode, HERE / test, "-m", "sanitizer", NHWC_GPU_RUNTIME=str(runtime))
    assert done.returncode
    assert re.search(f"Sanitizer: ({what})", done.stderr), done.stdout[-3000:] + done.stderr[-3000:]
    assert where in done.stderr, done.stderr[-5000:]
