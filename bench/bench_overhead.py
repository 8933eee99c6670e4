# bench/bench_overhead.py -- what nhwc costs beside the arithmetic: per operation, evaluation, import and megabyte
"""python bench/bench_overhead.py [--wheel dist/nhwc-*.whl]"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time
from functools import partial

from common import median_seconds, print_heading

import nhwc as mx


def line(name, value, unit, limit=None):
    verdict = "" if limit is None else f"   (limit {limit:g} {unit}: {'met' if value <= limit else 'NOT met'})"
    print(f"{name:52} {value:10.3f} {unit}{verdict}")


def lazy_add():
    """Nanoseconds of a + b, less the loop's own."""
    a, b = mx.array(1.0), mx.array(2.0)
    mx.eval(a, b)
    number = 20_000

    def adds():
        for _ in range(number):
            a + b

    def nothing():
        for _ in range(number):
            pass

    return (median_seconds(adds) - median_seconds(nothing)) / number * 1e9


def tiny_conv():
    x, w = mx.ones((1, 4, 4, 8)), mx.ones((8, 3, 3, 8))
    mx.eval(x, w)
    return median_seconds(lambda: mx.eval(mx.conv2d(x, w, padding=1))) * 1e6


def tiny_conv_torch():
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    x = torch.ones(1, 8, 4, 4).contiguous(memory_format=torch.channels_last)
    w = torch.ones(8, 8, 3, 3).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return median_seconds(lambda: torch.conv2d(x, w, padding=1)) * 1e6


def fused_epilogue(x_shape, w_shape, rounds=200):
    """By how many percent a convolution takes longer with bias and relu: the median over pairs of calls in turn."""
    x, w, b = mx.random.normal(x_shape), mx.random.normal(w_shape), mx.random.normal(w_shape[:1])
    mx.eval(x, w, b)
    padding = w_shape[1] // 2

    def seconds(call):
        start = time.perf_counter()
        mx.eval(call())
        return time.perf_counter() - start

    calls = [lambda: mx.conv2d(x, w, padding=padding), lambda: relu(mx.conv2d(x, w, padding=padding) + b)]
    for call in calls:
        mx.eval(call())
    ratios = []
    for k in range(rounds):
        times = {i: seconds(calls[i]) for i in ((0, 1) if k % 2 else (1, 0))}
        ratios.append(times[1] / times[0])
    return (statistics.median(ratios) - 1) * 100


def relu(x):
    return mx.maximum(x, 0)


def deep_graph(depth=200_000):
    """Seconds to build, and to evaluate and free, a chain of additions."""
    start = time.perf_counter()
    y = mx.array(0.0)
    for _ in range(depth):
        y = y + 1
    built = time.perf_counter()
    assert y.item() == depth
    del y
    return built - start, time.perf_counter() - built


LAYERS = 20
# Images and weights of layers of ResNets, for what an epilogue costs.
EPILOGUES = [
    ((1, 56, 56, 64), (64, 3, 3, 64)),
    ((1, 14, 14, 256), (256, 3, 3, 256)),
    ((1, 56, 56, 64), (256, 1, 1, 64)),
]


def loss_fn(params, x):
    for layer in params:
        x = mx.conv2d(x, layer["w"], padding=1, bias=layer["b"], activation="relu")
    return mx.mean(mx.square(x))


def training_step(compiled):
    """Microseconds of one call, lazy: what tracing, or replaying, costs without the arithmetic."""
    params = [{"w": mx.random.normal((8, 3, 3, 8)) * 0.1, "b": mx.zeros((8,))} for _ in range(LAYERS)]
    moments = [{k: mx.zeros_like(v) for k, v in layer.items()} for layer in params]
    x = mx.random.normal((1, 4, 4, 8))
    mx.eval(params, moments, x)

    def step(x):
        loss, grads = mx.value_and_grad(loss_fn)(params, x)
        for layer, moment, grad in zip(params, moments, grads, strict=True):
            for key in layer:
                moment[key] = 0.9 * moment[key] + grad[key]
                layer[key] = layer[key] - 0.01 * moment[key]
        return loss

    state = [params, moments]
    if compiled:
        step = partial(mx.compile, inputs=state, outputs=state)(step)
    mx.eval(step(x), state)
    lazy, whole = [], []
    for _ in range(60):
        start = time.perf_counter()
        loss = step(x)
        lazy.append(time.perf_counter() - start)
        mx.eval(loss, state)
        whole.append(time.perf_counter() - start)
    return statistics.median(lazy) * 1e6, statistics.median(whole) * 1e6


def import_milliseconds(module, repeats=9):
    code = f"import time; s = time.perf_counter(); import {module}; print(time.perf_counter() - s)"
    return statistics.median(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ) * 1e3  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=pathlib.Path, help="a wheel whose size to print")
    args = parser.parse_args()
    print_heading()
    line("lazy a + b", lazy_add(), "ns", 300)
    line("conv2d + eval, (1, 4, 4, 8), 3x3", tiny_conv(), "us", 1.5)
    theirs = tiny_conv_torch()
    if theirs:
        line("    the same in torch", theirs, "us")
    for x_shape, w_shape in EPILOGUES:
        name = f"relu(conv2d + b), {'x'.join(map(str, x_shape))} -> {'x'.join(map(str, w_shape[:-1]))}: more"
        line(name, fused_epilogue(x_shape, w_shape), "%", 3)
    built, evaluated = deep_graph()
    line("200,000 additions: build", built, "s")
    line("200,000 additions: evaluate and free", evaluated, "s")
    traced, traced_whole = training_step(False)
    replayed, replayed_whole = training_step(True)
    line(f"training step of {LAYERS} layers, traced", traced, "us")
    line(f"training step of {LAYERS} layers, replayed", replayed, "us", traced / 2)
    line("    replayed / traced", replayed / traced, "", 0.5)
    line("    with evaluation: traced", traced_whole, "us")
    line("    with evaluation: replayed", replayed_whole, "us")
    numpy, ours = import_milliseconds("numpy"), import_milliseconds("numpy, nhwc")
    line("import beyond numpy's", ours - numpy, "ms", 50)
    extension = next(pathlib.Path(mx.__file__).parent.glob("_core*.so"))
    line("extension module", extension.stat().st_size / 2**20, "MB", 3)
    if args.wheel:
        line("wheel", args.wheel.stat().st_size / 2**20, "MB", 6)


if __name__ == "__main__":
    main()
