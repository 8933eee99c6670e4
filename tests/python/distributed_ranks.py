# tests/python/distributed_ranks.py -- what every process of test_distributed.py runs; the first argument names the part
import functools
import os
import signal
import sys

import numpy as np
import pytest

import nhwc as mx
import nhwc.optimizers as optim

dist = mx.distributed


def same(got, wanted, dtype=None):
    assert isinstance(got, mx.array)
    assert dtype is None or got.dtype == dtype, got.dtype
    got = np.array(got.astype(mx.float32) if got.dtype in (mx.bfloat16, mx.float16) else got)
    np.testing.assert_array_equal(got, np.asarray(wanted))
    assert got.shape == np.shape(wanted)


def collectives(group, rank, size):
    ranks = np.arange(size)
    for name in ("float32", "float16", "bfloat16", "int32", "uint8", "int64", "uint64"):
        dtype = getattr(mx, name)
        x = (mx.array([[1, 2, 3], [4, 5, 6]]) + 10 * rank).astype(dtype)
        each = np.array([[1, 2, 3], [4, 5, 6]]) + 10 * ranks[:, None, None]
        same(dist.all_sum(x), each.sum(0), dtype)
        same(dist.all_max(x, group=group), each.max(0), dtype)
        same(dist.all_min(x), each.min(0), dtype)
        same(dist.all_gather(x), each.reshape(-1, 3), dtype)
        same(dist.all_sum(x.T), each.sum(0).T, dtype)  # not in the order of memory
        same(dist.all_gather(x[:, ::2]), each[:, :, ::2].reshape(-1, 2), dtype)
        tall = mx.concatenate([x] * size)
        same(dist.sum_scatter(tall), np.concatenate([each.sum(0)] * size)[rank * 2 : rank * 2 + 2], dtype)
    same(dist.all_sum(3), 3 * size, mx.int32)
    same(dist.all_gather(mx.array(float(rank))), ranks)
    same(dist.all_sum(mx.zeros((0, 3))), np.zeros((0, 3)))
    same(dist.all_sum(mx.array([rank == 0, False])), [True, False], mx.bool_)
    same(dist.all_min(mx.array([rank == 0, True])), [False, True], mx.bool_)
    if mx.default_device() == mx.cpu:
        same(dist.all_sum(mx.array(0.1, mx.float64)), sum([np.float64(0.1)] * size), mx.float64)
    # 256 + 1 is no bfloat16, but the sum of both and of what takes 256 away again is.
    if size == 3:
        same(dist.all_sum(mx.array([256.0, 1.0, -256.0][rank], mx.bfloat16)), 1.0, mx.bfloat16)


def gradients(group, rank, size):
    x = mx.array([1.0 + rank, 2.0 - rank])
    c = mx.array([1.0, 10.0]) * (rank + 1)
    # Its own loss, the others' arguments constant: what MLX has for sums and gathers.
    same(mx.grad(lambda x: (dist.all_sum(x) * c).sum())(x), np.array(c))
    every = mx.arange(2 * size).astype(mx.float32)
    same(mx.grad(lambda x: (dist.all_gather(x) * every).sum())(x), [2 * rank, 2 * rank + 1])
    halves = mx.grad(lambda x: (dist.all_gather(x.astype(mx.bfloat16)).astype(mx.float32) * every).sum())(x)
    same(halves, [2 * rank, 2 * rank + 1])
    mine = [rank == size - 1, rank == 0]
    same(mx.grad(lambda x: (dist.all_max(x) * c).sum())(x), np.array(c) * mine)
    mine = [rank == 0, rank == size - 1]
    same(mx.grad(lambda x: (dist.all_min(x) * c).sum())(x), np.array(c) * mine)
    tall = mx.arange(2.0 * size)
    wanted = np.zeros(2 * size)
    wanted[2 * rank : 2 * rank + 2] = np.array(c)
    same(mx.grad(lambda x: (dist.sum_scatter(x) * c).sum())(tall), wanted)
    tangent = mx.array([1.0, 5.0 + rank])
    total = [size, 5 * size + size * (size - 1) / 2]
    same(mx.jvp(dist.all_sum, [x], [tangent])[1][0], total)
    same(mx.jvp(dist.all_max, [x], [tangent])[1][0], [1.0, 5.0])
    same(mx.jvp(dist.all_gather, [x], [tangent])[1][0], [v for r in range(size) for v in (1.0, 5.0 + r)])
    same(mx.vmap(dist.all_sum, in_axes=1, out_axes=1)(mx.ones((2, 3))), np.full((2, 3), float(size)))
    batch = mx.array([[rank, 1, 2], [3, 4, 5]])  # two of three rows, or three of two
    every = [[[r, 1, 2], [3, 4, 5]] for r in range(size)]
    same(mx.vmap(dist.all_gather)(batch), np.concatenate(every, axis=1))
    same(mx.vmap(dist.all_gather, in_axes=1)(batch), np.concatenate(every, axis=0).T)
    same(mx.vmap(dist.all_gather)(mx.array([rank, 7])), np.array([[r for r in range(size)], [7] * size]))
    wide = mx.stack([mx.arange(2 * size), mx.arange(2 * size) + 1])
    same(mx.vmap(dist.sum_scatter)(wide), size * np.array(wide)[:, 2 * rank : 2 * rank + 2])
    for message in (lambda x: dist.send(x, 0), lambda x: x + dist.recv((2,), mx.float32, 0)):
        with pytest.raises(RuntimeError, match="compiled cannot"):
            mx.compile(message)(x)
    same(dist.all_sum(mx.array(1)), size)  # and everybody is still in step


def compiled(group, rank, size):
    """Collectives in compiled functions run when the result is evaluated, with the values of each call."""
    f = mx.compile(lambda x: (dist.all_sum(x * 2), dist.all_max(x), dist.all_gather(x), dist.all_sum(mx.array(1))))
    slope = mx.compile(mx.grad(lambda x: (dist.all_sum(mx.square(x)) * mx.array([1.0, 10.0])).sum()))
    for i in range(3):
        for dtype in (mx.float32, mx.bfloat16, mx.float16):
            x = (mx.array([rank, 1]) + i).astype(dtype)
            total, most, every, count = f(x)
            same(total, [size * (size - 1) + 2 * i * size, 2 * size * (1 + i)], dtype)
            same(most, [size - 1 + i, 1 + i], dtype)
            same(every, [v for r in range(size) for v in (r + i, 1 + i)], dtype)
            same(count, size)
        same(slope(mx.array([rank + i, 1.0])), [2.0 * (rank + i), 20.0])

    model = {"w": mx.ones((3,)), "layers": [{"b": mx.zeros((2,))}]}
    optimizer = optim.SGD(0.5)
    optimizer.init(model)
    state = [model, optimizer.state]

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        gradients = {"w": mx.full((3,), 1.0) * x, "layers": [{"b": mx.full((2,), 2.0) * x}]}
        optimizer.update(model, dist.average_gradients(gradients, all_reduce_size=8))

    for _ in range(2):
        step(mx.array(float(rank)))
    same(model["w"], [1 - 0.5 * (size - 1)] * 3)
    same(model["layers"][0]["b"], [-(size - 1.0)] * 2)


def messages(group, rank, size):
    other = (rank + 1) % size
    before = (rank - 1) % size
    for dtype in (mx.float32, mx.bfloat16, mx.bool_):
        x = mx.array([rank, rank + 1, 1]).astype(dtype)
        same(dist.send(x, other), np.array(x.astype(mx.float32)) if dtype == mx.bfloat16 else np.array(x))
        got = dist.recv((3,), dtype, before)
        assert mx.array_equal(got, mx.array([before, before + 1, 1]).astype(dtype))
        assert got.dtype == dtype
    # Too large to wait on the way: both send before either receives.
    large = mx.full((1 << 20,), float(rank))
    dist.send(large, other)
    same(dist.recv_like(large, before), np.full((1 << 20,), float(before)))
    dist.send(mx.ones((2,)), other)
    for shape in ((3,), (1,)):
        with pytest.raises(RuntimeError, match=rf"\[recv\] rank {before} sent"):
            dist.recv(shape, mx.float32, before)
        if shape == (3,):
            dist.send(mx.ones((2,)), other)
    for bad in (-1, size, True):
        with pytest.raises(ValueError, match="no rank"):
            dist.send(large, bad)
    dist.send(large, other)  # is received by nobody before the last line
    same(dist.recv_like(large, before), np.full((1 << 20,), float(before)))


def groups(group, rank, size):
    assert dist.init() is group
    assert dist.init(strict=True, backend="mpi") is group
    assert dist.init(backend="ring").size() == 1
    half = group.split(rank % 2, key=size - rank)
    members = [r for r in range(size) if r % 2 == rank % 2][::-1]
    assert half.size() == len(members)
    assert members[half.rank()] == rank
    same(dist.all_sum(mx.array(rank), group=half), sum(members))
    same(dist.all_gather(mx.array([rank]), group=half), members)


def training(group, rank, size):
    """Averaged gradients of parts of a batch train as the whole batch does."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)).astype(np.float32), rng.normal(size=(12,)).astype(np.float32)

    def loss(p, x, y):
        return mx.square(x @ p["layers"][0]["w"] + p["b"] - y).mean()

    def train(x, y, average):
        p = {"layers": [{"w": mx.zeros((3,))}], "b": mx.array(0.0)}
        optimizer = optim.AdamW(0.1)
        for _ in range(5):
            p = optimizer.apply_gradients(average(mx.grad(loss)(p, mx.array(x), mx.array(y))), p)
        return p

    whole = train(x, y, lambda g: g)
    for options in ({}, {"all_reduce_size": 0}, {"all_reduce_size": 8}, {"communication_type": mx.float32}):
        part = train(x[rank::size], y[rank::size], lambda g, o=options: dist.average_gradients(g, **o))
        np.testing.assert_allclose(
            np.array(part["layers"][0]["w"]), np.array(whole["layers"][0]["w"]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(np.array(part["b"]), np.array(whole["b"]), rtol=1e-4, atol=1e-5)
    mixed = {"a": mx.full((2,), 1.0 + rank, mx.bfloat16), "b": [mx.full((3,), 2.0 * rank), mx.array(1.0, mx.float16)]}
    mean = dist.average_gradients(mixed)
    same(mean["a"], [1 + (size - 1) / 2] * 2, mx.bfloat16)
    same(mean["b"][0], [float(size - 1)] * 3, mx.float32)
    same(mean["b"][1], 1.0, mx.float16)


def raises(group, rank, size):
    if rank == 1:
        raise ArithmeticError("the second is wrong")
    dist.all_sum(mx.array(1.0))


def killed(group, rank, size):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.all_sum(mx.array(1.0))


def main():
    if os.environ.get("NHWC_TEST_DEVICE") == "gpu":
        mx.set_default_device(mx.gpu)
    group = dist.init(strict=True)
    globals()[sys.argv[1]](group, group.rank(), group.size())
    print(f"rank {group.rank()} of {group.size()}: {sys.argv[1]} done", flush=True)


main()
