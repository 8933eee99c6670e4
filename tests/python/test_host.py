# tests/python/test_host.py -- living in a Python process: Ctrl-C, the GIL, threads, forks, subclasses
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import nhwc as mx


def slow_array(steps):
    """Lazy, and some seconds to compute: a chain that cannot be shortened."""
    x = mx.array(np.full((512, 512), 0.5, np.float32))
    w = mx.array(np.full((512, 512), 1 / 512, np.float32))
    for _ in range(steps):
        x = x @ w
    return x


def interrupt_after(seconds):
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    return timer


@pytest.mark.large  # what the GPU was given is waited for
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_leaves_the_array_lazy():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lazy = slow_array(40_000)
    for _ in range(2):
        start = time.perf_counter()
        timer = interrupt_after(0.3)
        with pytest.raises(KeyboardInterrupt):
            lazy.tolist()
        assert time.perf_counter() - start < 0.3 + 0.5  # 0.1 s on an idle machine
        timer.join()
    assert (mx.array([1]) + 1).tolist() == [2]
    assert slow_array(3)[0, 0].item() == 0.5


def test_a_handler_that_raises_something_else():
    class Stop(Exception):
        pass

    def handler(signum, frame):
        raise Stop

    before = signal.signal(signal.SIGINT, handler)
    try:
        interrupt_after(0.2)
        with pytest.raises(Stop):
            slow_array(40_000).tolist()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_run_while_one_evaluates():
    count, done = 0, threading.Event()

    def tick():
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    y = slow_array(300)
    before, start = count, time.perf_counter()
    y.tolist()
    elapsed, after = time.perf_counter() - start, count
    done.set()
    ticker.join()
    if elapsed < 0.05:
        pytest.skip("too fast to tell")
    assert after - before > elapsed / 0.001 / 20


def test_threads_build_and_evaluate():
    shared = slow_array(2)
    failures = []

    def work(k):
        try:
            for i in range(20):
                y = (shared[k : k + 4] * k + i).sum()
                expected = 4 * 512 * (0.5 * k + i)
                np.testing.assert_allclose(y.item(), expected, rtol=1e-5)
                a = mx.array(np.arange(k + i + 1))
                a[i] = 7
                assert a.tolist()[i] == 7
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_evaluates():
    program = """
import os, numpy as np, nhwc as mx
a = mx.array(np.ones((300, 300), np.float32))
assert (a @ a)[0, 0].item() == 300
pid = os.fork()
if pid == 0:
    ok = (a @ a + 1)[0, 0].item() == 301
    os._exit(0 if ok else 1)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert (a @ a)[0, 0].item() == 300
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_subinterpreter_is_refused_and_the_main_one_goes_on():
    program = """
import importlib.util, sys
import nhwc as mx
names = ("_interpreters", "_xxsubinterpreters")  # from 3.13 on, before
name = next(n for n in names if n in sys.builtin_module_names or importlib.util.find_spec(n))
interpreters = importlib.import_module(name)
code = '''
import sys
sys.path[:] = %r
try:
    import nhwc
except ImportError as error:
    assert "subinterpreter" in str(error), error
else:
    raise AssertionError("imported")
''' % sys.path
failed = interpreters.run_string(interpreters.create(), code)  # says what was raised from 3.13 on, raises before
assert failed is None, failed
assert mx.sum(mx.array([1, 2])).item() == 3
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_import_warns_of_nothing():
    program = "import nhwc as mx; mx.eval(mx.conv2d(mx.ones((1, 4, 4, 2)), mx.ones((3, 3, 3, 2))))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_import_starts_no_thread_and_changes_no_signal():
    program = """
import signal, threading, os
import numpy  # its BLAS may start threads
tasks = lambda: len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
signals, threads = signal.getsignal(signal.SIGINT), tasks()
import nhwc
assert signal.getsignal(signal.SIGINT) is signals
assert tasks() == threads
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_deep_graphs():
    x = mx.array([0.0])
    for _ in range(200_000):
        x = x + 1
    assert x.item() == 200_000
    y = mx.array([0.0])
    for _ in range(200_000):
        y = y + 1
    del y


def test_out_of_memory_leaves_the_rest_usable():
    a = mx.array([1.0])
    row = mx.array(np.zeros((1, 2**20), np.float32))
    column = mx.array(np.zeros((2**22, 1), np.float32))
    huge = row + column  # 16 TiB
    with pytest.raises(MemoryError, match="add"):
        mx.eval(huge)
    assert huge.shape == (2**22, 2**20)
    assert (a + row[0, :3]).tolist() == [1, 1, 1]


def test_subclasses():
    class Tagged(mx.array):
        pass

    t = Tagged([1, 2])
    t.tag = "x"
    assert isinstance(t + 1, mx.array)
    assert (t + t).tolist() == [2, 4]
    assert (1 + t).tolist() == [2, 3]
    assert mx.array(t).tolist() == [1, 2]
