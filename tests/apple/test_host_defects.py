# tests/apple/test_host_defects.py -- host code that leaves order to luck, or forgets a call, is named by the stand-in
import os
import subprocess
import sys

import build_cache
import build_runtime
import pytest

# (file of csrc/backend/metal/runtime, what stands there, what stands there instead, what is reported)
DEFECTS = {
    "no_fence_wait": ("encoder.cpp", "  encoder_->waitForFence(fence_);\n", "", "hazard"),
    "no_barrier": ("encoder.cpp", "    encoder_->memoryBarrier(MTL::BarrierScopeBuffers);\n", "", "hazard"),
    "no_end": ("encoder.cpp", "  encoder_->endEncoding();\n", "", "encoding"),
    "no_queue_order": ("queue.cpp", "  waits_.push_back({other.event_, other.committed_});\n", "", "hazard"),
    "residency_not_committed": ("residency.cpp", "  set_->commit();\n", "", "residency"),
    "short_params": ("encoder.cpp", "NS::UInteger(launch.params_bytes)", "NS::UInteger(4)", "binding"),
    "not_all_bound": ("encoder.cpp", "count; ++i)\n    encoder_->", "count - 1; ++i)\n    encoder_->", "binding"),
}  # fmt: skip

# Two dispatches that depend on each other in one batch, in two batches, and on two queues.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from runtime_process import N, StandIn
gpu = StandIn(sys.argv[1])
gpu.library.nhwc_standin_abort_on_error(1)
a, b = gpu.floats([0.0] * N), gpu.allocate(N)
for queue in (0, 0, 1):
    gpu.order(queue, 0)
    gpu.add(queue, a, b)
    gpu.add(queue, b, a)
    last = gpu.commit(queue)
gpu.wait(1, last)
"""


def reports(path, tmp_path):
    environment = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path),
        "NHWC_EMULATOR_CACHE": str(build_cache.root()),
        "NHWC_STANDIN_LAG": "100",  # the batches are in flight together
    }
    command = [sys.executable, "-c", PROGRAM, path, build_runtime.HERE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_the_host_code_as_it_is(gpu_runtime, tmp_path):
    done = reports(gpu_runtime, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_named(defect, tmp_path):
    name, right, wrong, kind = DEFECTS[defect]
    text = (build_runtime.HOST / name).read_text()
    assert right in text
    changed = build_cache.shelf("defects") / defect / name  # always there, so that the build is found again
    changed.parent.mkdir(exist_ok=True)
    build_cache.claim(changed.parent)
    changed.write_text(text.replace(right, wrong))
    done = reports(build_runtime.build(replaced=[changed]), tmp_path)
    assert done.returncode < 0  # abort
    assert f"stand-in Metal: {kind}: " in done.stderr, done.stderr
