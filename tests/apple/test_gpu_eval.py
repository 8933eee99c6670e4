# tests/apple/test_gpu_eval.py -- evaluation on the GPU: both devices together, and what is left when it fails
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest


def run(program, runtime, faults="", code=0):
    """What the program prints in a process of its own, with `faults` in the emulated device."""
    environment = {**os.environ, "NHWC_GPU_RUNTIME": str(runtime), "NHWC_STANDIN_FAULTS": faults}
    text = "import numpy as np\nimport nhwc as mx\n" + textwrap.dedent(program)
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize(("faults", "said"), [("no_device", "no GPU"), ("family=6", "6")])
def test_without_a_usable_gpu_the_cpu_goes_on(gpu_runtime, faults, said):
    out = run(
        """
        print(mx.metal.is_available(), mx.default_device())
        for call in (lambda: mx.set_default_device(mx.gpu), lambda: mx.ones(3, stream=mx.gpu)):
            try:
                call()
            except ValueError as e:
                print(e)
        print((mx.ones(3) + 1).tolist())
        """,
        gpu_runtime,
        faults,
    )
    first, *messages, last = out.splitlines()
    assert first == "False Device(cpu, 0)"
    assert len(messages) == 2
    assert all("not available" in m and said in m for m in messages)
    assert last == "[2.0, 2.0, 2.0]"


FAIL_AND_TRY_AGAIN = """
    import ctypes, os
    library = ctypes.CDLL(os.environ["NHWC_GPU_RUNTIME"])
    x = mx.arange(6, dtype=mx.float32, stream=mx.cpu)
    mx.eval(x)
    with mx.stream(mx.gpu):
        before = x * 2
        mx.eval(before)
        mx.clear_cache()
        library.nhwc_standin_fault(b"{fault}")
        y = mx.sum(mx.broadcast_to(before + 1, ({rows}, 6)) * 1.0)
    for attempt in range(2):
        try:
            print(y.item())
        except {error} as e:
            print(type(e).__name__, e)
            print(before.tolist(), (x + 1).tolist())
            if not {lasting}:
                library.nhwc_standin_clear_faults()
"""


@pytest.mark.parametrize(
    ("fault", "error", "said", "lasting"),
    [
        ("commit=1:timeout", "RuntimeError", "time", False),
        ("commit=1:page_fault", "RuntimeError", "fault", False),
        ("commit=1:removed", "RuntimeError", "removed", True),
        ("function=1", "RuntimeError", "kernel", False),
        ("library=1", "RuntimeError", "compil", False),
        ("memory=1", "MemoryError", "memory", False),
    ],
)
def test_what_fails_is_named_and_nothing_else_is_lost(gpu_runtime, fault, error, said, lasting):
    rows = 1 << 16 if "memory" in fault else 1  # small blocks come from a heap that is there already
    program = FAIL_AND_TRY_AGAIN.format(fault=fault, error=error, rows=rows, lasting=lasting)
    out = run(program, gpu_runtime).splitlines()
    assert out[0].startswith(error)
    assert said in out[0].lower()
    assert "[" in out[0], "the operation or kernel is named"
    assert out[1] == f"{[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]} {[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}"
    if lasting:
        assert out[2].startswith(error)
    else:
        assert float(out[2]) == 36.0 * rows


def test_both_devices_in_one_graph(gpu, rng):
    mx = gpu
    x = rng.normal(size=(3, 50)).astype(np.float32)
    a = mx.array(x)
    for step in range(6):
        device = mx.gpu if step % 2 == 0 else mx.cpu
        a = mx.add(a, float(step), stream=device)
        a = mx.multiply(a, 0.5, stream=device)
    expected = x
    for step in range(6):
        expected = (expected + np.float32(step)) * np.float32(0.5)
    assert np.array_equal(np.array(a), expected)


def test_streams_of_the_gpu_see_each_other(gpu):
    mx = gpu
    streams = [mx.new_stream(mx.gpu) for _ in range(3)]
    a = mx.ones((1000,), stream=mx.gpu)
    for i in range(30):
        a = mx.add(a, 1.0, stream=streams[i % 3])
        b = mx.multiply(a, 1.0, stream=streams[(i + 1) % 3])
        a = mx.maximum(a, b, stream=streams[(i + 2) % 3])
    assert np.array_equal(np.array(a), np.full(1000, 31, np.float32))


def test_float64_is_refused_at_the_call(gpu):
    mx = gpu
    x = mx.array(np.ones(3), dtype=mx.float64)
    with pytest.raises(ValueError, match=r"\[add\] float64 is not supported on the GPU.*stream=nhwc.cpu"):
        mx.add(x, x, stream=mx.gpu)
    assert mx.add(x, x, stream=mx.cpu).dtype == mx.float64


def test_memory_that_numpy_lent_is_read(gpu, rng):
    mx = gpu
    x = rng.normal(size=(40, 30)).astype(np.float32)
    lent = mx.from_dlpack(x) if hasattr(mx, "from_dlpack") else mx.asarray(x)
    y = mx.multiply(mx.transpose(lent)[::-1], 2.0, stream=mx.gpu)
    assert np.array_equal(np.array(y), x.T[::-1] * 2)


def test_an_index_out_of_range_is_found_when_it_is_evaluated(gpu):
    mx = gpu
    x = mx.arange(10, stream=mx.gpu)
    fine = mx.add(x, 1, stream=mx.gpu)
    bad = mx.take(x, mx.array([1, 10]), stream=mx.gpu)
    with pytest.raises(IndexError, match="10"):
        mx.eval(fine, bad)
    assert fine.tolist() == list(range(1, 11))


def test_more_steps_than_one_batch_holds(gpu):
    mx = gpu
    with mx.stream(mx.gpu):
        kept = [mx.full((64,), float(i)) + 1 for i in range(400)]
        total = kept[0]
        for k in kept[1:]:
            total = mx.maximum(total, k)
    assert total.tolist() == [400.0] * 64
    assert kept[7].tolist() == [8.0] * 64


def test_asynchronous_evaluation(gpu):
    mx = gpu
    ys = [mx.add(mx.ones((100,), stream=mx.gpu), float(i), stream=mx.gpu) for i in range(5)]
    mx.async_eval(*ys)
    mx.synchronize()
    assert [y[0].item() for y in ys] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_forked_child_says_that_the_gpu_is_its_parents(gpu_runtime):
    out = run(
        """
        import os
        y = mx.add(mx.ones(3, stream=mx.gpu), 1, stream=mx.gpu)
        mx.eval(y)
        pid = os.fork()
        if pid == 0:
            try:
                mx.eval(mx.add(y, 1, stream=mx.gpu))
                os._exit(1)
            except RuntimeError as e:
                os._exit(0 if "fork" in str(e) and (mx.ones(2) + 1).tolist() == [2.0, 2.0] else 2)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), y.tolist())
        """,
        gpu_runtime,
    )
    assert out.split(maxsplit=1)[0] == "0"
    assert "[2.0, 2.0, 2.0]" in out
