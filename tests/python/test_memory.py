# tests/python/test_memory.py -- what a convolution allocates, what failing leaves behind, how soon it can be stopped
import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import nhwc as mx

MB = 2**20
SLACK = 2 * MB  # tables, packed weights of the smallest layers


def peak_of(call):
    """Bytes that evaluating call() needs beyond what lives before and the result itself."""
    mx.clear_cache()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    results = call()
    results = results if isinstance(results, (tuple, list)) else [results]
    mx.eval(*results)
    return mx.get_peak_memory() - before - sum(r.nbytes for r in results)


LAYERS = {
    "3x3": ((4, 96, 96, 32), (32, 3, 3, 32), dict(padding=1)),
    "7x7 stride 2": ((1, 448, 448, 3), (64, 7, 7, 3), dict(stride=2, padding=3)),
    "dilated": ((1, 192, 192, 32), (32, 3, 3, 32), dict(padding=4, dilation=4)),
    "depthwise": ((1, 256, 256, 96), (96, 5, 5, 1), dict(padding=2, groups=96)),
    "grouped": ((1, 192, 192, 64), (64, 3, 3, 8), dict(padding=1, groups=8)),
    "1x1": ((1, 256, 256, 64), (32, 1, 1, 64), {}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_is_unfolded(name):
    x_shape, w_shape, kw = LAYERS[name]
    x, w = mx.random.normal(x_shape), mx.random.normal(w_shape)
    mx.eval(x, w)
    taps = int(np.prod(w_shape[1:-1]))
    unfolded = x.nbytes * taps // kw.get("stride", 1) ** 2
    forward = peak_of(lambda: mx.conv2d(x, w, **kw))
    allowed = min(mx.get_workspace_limit(), max(x.nbytes // 2, SLACK)) + SLACK
    assert forward <= allowed, f"forward: {forward / MB:.1f} MB; unfolded would be {unfolded / MB:.1f} MB"
    f = mx.vjp
    gy = mx.ones(mx.conv2d(x, w, **kw).shape)
    mx.eval(gy)
    backward = peak_of(lambda: f(lambda x, w: mx.conv2d(x, w, **kw), [x, w], [gy])[1])
    assert backward <= allowed + gy.nbytes, (
        f"backward: {backward / MB:.1f} MB; unfolded would be {unfolded / MB:.1f} MB"
    )


def test_transposed_and_one_and_three_dimensions_unfold_nothing():
    for call, x_shape, w_shape, kw in [
        (mx.conv_transpose2d, (1, 128, 128, 32), (32, 4, 4, 32), dict(stride=2, padding=1)),
        (mx.conv1d, (1, 40000, 64), (64, 11, 64), dict(padding=5)),
        (mx.conv3d, (1, 24, 40, 40, 32), (32, 3, 3, 3, 32), dict(padding=1)),
    ]:
        x, w = mx.random.normal(x_shape), mx.random.normal(w_shape)
        mx.eval(x, w)
        extra = peak_of(lambda call=call, x=x, w=w, kw=kw: call(x, w, **kw))
        assert extra <= x.nbytes // 2 + SLACK, f"{call.__name__}: {extra / MB:.1f} MB beside the result"


@pytest.mark.parametrize("limit", [64 * MB, 1 * MB])
def test_workspace_stays_under_its_cap(limit):
    before = mx.set_workspace_limit(limit)
    try:
        for x_shape, w_shape, kw in LAYERS.values():
            x, w = mx.random.normal(x_shape), mx.random.normal(w_shape)
            mx.eval(x, w)
            packed = 2 * w.nbytes + MB // 2  # weights in the kernels' order are cache, not workspace
            assert peak_of(lambda x=x, w=w, kw=kw: mx.conv2d(x, w, **kw)) <= limit + packed
    finally:
        mx.set_workspace_limit(before)


@pytest.mark.cpu_only("the GPU gives memory back when a batch of steps has finished")
def test_temporaries_are_freed_early():
    x, w = mx.random.normal((1, 128, 128, 32)), mx.random.normal((32, 3, 3, 32)) * 0.05
    mx.eval(x, w)

    def deep():
        y = x
        for _ in range(20):
            y = mx.conv2d(y, w, padding=1, activation="relu")
        return y

    assert peak_of(deep) < 4 * x.nbytes


def test_memory_comes_back():
    x, w = mx.random.normal((1, 64, 64, 16)), mx.random.normal((16, 3, 3, 16))
    mx.eval(x, w, mx.grad(lambda w: mx.sum(mx.conv2d(x, w) ** 2))(w))
    mx.clear_cache()
    before = mx.get_active_memory()
    for _ in range(5):
        mx.eval(mx.grad(lambda w: mx.sum(mx.conv2d(x, w) ** 2))(w))
    mx.clear_cache()
    assert mx.get_active_memory() <= before + 64 * 1024


def test_a_failing_evaluation_leaves_everything_else_usable():
    x, w = mx.random.normal((1, 16, 16, 4)), mx.random.normal((4, 3, 3, 4))
    shared = mx.conv2d(x, w)
    doomed = shared + mx.take(mx.arange(3, dtype=mx.float32), mx.array([5]))
    for _ in range(2):
        with pytest.raises(IndexError):
            mx.eval(doomed)
    np.testing.assert_array_equal(np.array(shared), np.array(mx.conv2d(x, w)))
    big = mx.zeros((2**22, 2**22)) + shared.sum()
    with pytest.raises(MemoryError):
        mx.eval(big)
    with pytest.raises(MemoryError):
        mx.eval(mx.conv2d(mx.broadcast_to(x[:1, :1, :1], (2**20, 1024, 1024, 4)), w))
    np.testing.assert_array_equal(np.array(shared), np.array(mx.conv2d(x, w)))


def test_a_deep_graph_of_convolutions():
    x, w = mx.ones((1, 4, 1)), mx.array([0.0, 1.0, 0.0]).reshape(1, 3, 1)
    y = x
    for _ in range(20_000):
        y = mx.conv1d(y, w, padding=1)
    g = mx.grad(lambda x: mx.sum(chain(x, w, 5_000)))(x)
    assert y.flatten().tolist() == [1, 1, 1, 1]
    assert g.flatten().tolist() == [1, 1, 1, 1]


def chain(x, w, length):
    for _ in range(length):
        x = mx.conv1d(x, w, padding=1)
    return x


def test_200_000_nodes():
    y = mx.array(0.0)
    for _ in range(200_000):
        y = y + 1
    assert y.item() == 200_000
    del y


def test_threads_convolve_at_the_same_time():
    w = mx.random.normal((16, 3, 3, 8))
    x = mx.random.normal((4, 20, 20, 8))
    mx.eval(x, w)
    want = [np.array(mx.conv2d(x[i : i + 1], w, padding=1)) for i in range(4)]
    shared = mx.conv2d(x, w, padding=1)  # lazy, and evaluated by whoever comes first
    failures = []

    def work(seed):
        try:
            for i in range(30):
                k = (seed + i) % 4
                y = mx.conv2d(x[k : k + 1], w, padding=1)
                gw = mx.grad(lambda w, k=k: mx.sum(mx.conv2d(x[k : k + 1], w)))(w)
                mx.eval(y, gw)
                np.testing.assert_array_equal(np.array(y), want[k])
                np.testing.assert_allclose(np.array(shared[k : k + 1]), want[k], rtol=1e-4, atol=1e-4)  # of a batch
        except BaseException as e:  # shown in the main thread
            failures.append(e)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures[0]


CHILD = """
import os, signal, sys, threading, time
import nhwc as mx
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background shells have it ignored
x = mx.random.normal((1, 1024, 1024, 64)); w = mx.random.normal((64, 11, 11, 64))
mx.eval(x, w)
what = {"conv": lambda: mx.conv2d(x, w, padding=5, precision="highest"),  # direct: long enough to be interrupted
        "grad": lambda: mx.grad(lambda w: mx.sum(mx.conv2d(x, w, padding=5)))(w)}[sys.argv[1]]()
sent = []
def kick():
    time.sleep(0.3); sent.append(time.perf_counter()); os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=kick).start()
try:
    mx.eval(what)
    print("finished")
except KeyboardInterrupt:
    print("seconds", time.perf_counter() - sent[0])
print("still", mx.conv2d(x[:, :16, :16], w, padding=5).shape)
"""


@pytest.mark.parametrize("what", ["conv", "grad"])
def test_interrupting_one_large_convolution(what):
    done = subprocess.run([sys.executable, "-c", CHILD, what], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert last == "still (1, 16, 16, 64)"
    assert first.startswith("seconds"), first
    assert float(first.split()[1]) < 0.5, first  # 0.1 s on an idle machine


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_convolves():
    code = """
import os
import nhwc as mx
x, w = mx.ones((1, 64, 64, 16)), mx.ones((16, 3, 3, 16))
mx.eval(mx.conv2d(x, w))
pid = os.fork()
y = mx.conv2d(x, w)
gw = mx.grad(lambda w: mx.sum(mx.conv2d(x, w)))(w)
ok = abs(y[0, 0, 0, 0].item() - 144) < 1e-3 and gw[0, 0, 0, 0].item() == 62 * 62
if pid == 0: os._exit(0 if ok else 3)
assert os.waitpid(pid, 0)[1] == 0 and ok
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_explain_names_the_plan():
    y = mx.conv2d(mx.zeros((1, 16, 16, 32)), mx.zeros((32, 3, 3, 32)), padding=1)
    text = mx.explain(y)
    assert "direct" in text or "winograd" in text, text
    with pytest.raises(ValueError, match="conv"):
        mx.explain(mx.ones((2,)) + 1)


@pytest.mark.cpu_only("the settings and their plans are of the CPU")
def test_a_plan_follows_the_settings():
    """Plans are kept; none may outlive what it was made under."""

    def plan():
        return mx.explain(mx.conv2d(mx.zeros((8, 4, 4, 32)), mx.zeros((32, 3, 3, 32)), padding=1))

    def tiles(batch):
        return mx.explain(mx.conv2d(mx.zeros((batch, 14, 14, 256)), mx.zeros((256, 3, 3, 256)), padding=1))

    first, limit = plan(), mx.get_workspace_limit()
    alone, many = tiles(1), tiles(64)
    try:
        mx.set_batch_invariant(True)
        estimate = [
            line.split("about")[1].split(":")[0] for text in (tiles(1), tiles(64)) for line in [text.splitlines()[1]]
        ]
        assert estimate[0] == estimate[1], "under batch invariance one image is priced"
        assert tiles(64) != many
    finally:
        mx.set_batch_invariant(False)
    assert (tiles(1), tiles(64), plan()) == (alone, many, first)

    x, w = mx.ones((1, 64, 64, 4)), mx.ones((4, 21, 21, 4))  # by FFT, whose blocks must fit the workspace
    large = mx.explain(mx.conv2d(x, w, padding=10))
    try:
        mx.set_workspace_limit(MB // 16)
        assert mx.explain(mx.conv2d(x, w, padding=10)) != large
    finally:
        mx.set_workspace_limit(limit)
    assert mx.explain(mx.conv2d(x, w, padding=10)) == large


@pytest.mark.cpu_only("the GPU packs no weights")
def test_weights_are_packed_once_in_every_order(rng):
    """Views of one array in different orders: each has its own packed copy, made once."""
    x = mx.array(rng.standard_normal((1, 5, 5, 4)).astype(np.float32))
    held = rng.standard_normal((4, 3, 3, 4)).astype(np.float32)
    w = mx.array(held)
    orders = [(0, 1, 2, 3), (3, 1, 2, 0), (0, 2, 1, 3), (3, 2, 1, 0)]
    views = [mx.transpose(w, order) for order in orders]
    views += [mx.broadcast_to(w[:1, :, :, :1], (4, 3, 3, 4)), mx.broadcast_to(w[1:2, :, :, :1], (4, 3, 3, 4))]
    copies = [held.transpose(order) for order in orders] + [
        np.broadcast_to(held[i : i + 1, :, :, :1], held.shape) for i in (0, 1)
    ]
    mx.eval(x, views)

    def convolved(weight):
        return np.array(mx.conv2d(x, weight, padding=1))

    for view, copy in zip(views, copies, strict=True):
        np.testing.assert_array_equal(convolved(view), convolved(mx.array(np.ascontiguousarray(copy))))
    mx.clear_cache()
    first, cached = [], []
    for view in views:
        first.append(convolved(view))
        cached.append(mx.get_cache_memory())
    assert all(np.diff(cached) > 0), cached  # one more packed copy each
    held_bytes = cached[-1]
    for view, y in zip(views, first, strict=True):
        np.testing.assert_array_equal(convolved(view), y)
    assert mx.get_cache_memory() == held_bytes


def test_info_runs():
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "nhwc", "info"], capture_output=True, text=True, timeout=60, check=True
    )
    for word in ("version", "compiler", "threads", "cpu"):
        assert word in done.stdout.lower(), done.stdout
    assert time.perf_counter() - start < 30
    assert str(pathlib.Path(__file__).parent) not in done.stdout


@pytest.fixture
def batch_invariance():
    mx.set_batch_invariant(True)
    yield
    mx.set_batch_invariant(False)


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "how"),
    [
        ((7, 7, 64), (96, 3, 3, 64), {"padding": 1}),
        ((14, 14, 32), (40, 3, 3, 32), {"padding": 1}),
        ((5, 9, 20), (3, 3, 3, 20), {"padding": 1}),
        ((6, 6, 24), (24, 3, 3, 1), {"padding": 1, "groups": 24}),
        ((6, 6, 24), (24, 3, 3, 4), {"padding": 1, "groups": 6}),
        ((4, 4, 128), (64, 1, 1, 128), {}),
        ((9, 9, 3), (16, 3, 3, 3), {"stride": 2, "padding": 1}),
        ((300, 16), (16, 101, 16), {"padding": 50}),
        ((11, 12, 13, 8), (16, 3, 3, 3, 8), {"padding": 1}),
    ],
)
def test_batch_invariance_of_every_bit(batch_invariance, rng, x_shape, w_shape, how):
    conv = {2: mx.conv1d, 3: mx.conv2d, 4: mx.conv3d}[len(x_shape)]
    x = rng.standard_normal((9, *x_shape)).astype(np.float32)
    w = mx.array(rng.standard_normal(w_shape).astype(np.float32))

    def both(n):
        (y,), (gx,) = mx.vjp(lambda x: conv(x, w, **how), [mx.array(x[:n])], [mx.array(gy[:n])])
        return np.array(y), np.array(gx)

    gy = rng.standard_normal(conv(mx.array(x), w, **how).shape).astype(np.float32)
    y, gx = both(9)
    for n in range(1, 9):
        some, some_gx = both(n)
        np.testing.assert_array_equal(some, y[:n])
        np.testing.assert_array_equal(some_gx, gx[:n])


def test_batch_invariance_is_a_switch():
    assert mx.batch_invariant() is False
    with pytest.raises(TypeError):
        mx.set_batch_invariant("yes")
    code = "import nhwc as mx; print(mx.batch_invariant())"
    for value, printed in (("1", "True"), ("0", "False"), ("", "False")):
        env = {**os.environ, "NHWC_BATCH_INVARIANT": value}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == printed
    env = {**os.environ, "NHWC_BATCH_INVARIANT": "maybe"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "NHWC_BATCH_INVARIANT=maybe must be an integer" in done.stderr


def test_an_unknown_algorithm_name_lists_the_known():
    code = "import nhwc as mx; mx.eval(mx.conv2d(mx.ones((1, 4, 4, 2)), mx.ones((2, 3, 3, 2))))"
    env = {**os.environ, "NHWC_CONV_ALGORITHM": "fastest"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "NHWC_CONV_ALGORITHM=fastest must be one of" in done.stderr
    assert "winograd6" in done.stderr
