# bench/bench_optimizers.py -- what a step of each optimizer costs over the tensors of a residual network
"""Time to make a step's graph and time to evaluate it, beside MLX and torch's _foreach kernels.

python bench/bench_optimizers.py [--width 16] [--threads 1] [--only Adam]

The tensors are a ResNet's: convolutions, and scale and bias of each normalisation, 100 in all, with `width` channels in
the first of three stages. --width 1 shows the time of everything but arithmetic; --width 64 is bound by memory. "beyond
memory" is the time less that of a sum in place, `a += b`, which reads and writes as many bytes as the update has to.
"""

import argparse
import statistics
import time

import numpy as np
from common import print_heading

import nhwc as mx
import nhwc.optimizers as optim

# name -> (options, how many arrays per parameter an update reads and writes)
CASES = {
    "SGD": ({}, 3),
    "SGD momentum": ({"momentum": 0.9}, 5),
    "Adam": ({}, 7),
    "AdamW corrected": ({"bias_correction": True}, 7),
    "Adamax": ({}, 7),
    "RMSprop": ({}, 5),
    "Adagrad": ({}, 5),
    "AdaDelta": ({}, 7),
    "Lion": ({"weight_decay": 0.1}, 5),
}


def shapes(width):
    """100 tensors: 33 convolutions with scale and bias each, and the last layer's weights."""
    found = [(width, 3, 3, 3), (width,), (width,)]
    channels = width
    for stage in range(3):
        for _ in range(11 if stage else 10):
            out = width << stage
            found += [(out, 3, 3, channels), (out,), (out,)]
            channels = out
    return [*found, (10, channels)]


def blocks_of(call, seconds):
    """Medians of the two times that a call gives."""
    for _ in range(3):
        call()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        times.append(call())
    return [statistics.median(t) * 1e6 for t in zip(*times, strict=True)]


def stepper(core, module, name, options, drawn):
    """A call that makes one step and gives the seconds of making and of evaluating it."""
    keys = [f"t{i}" for i in range(len(drawn))]
    gradients = {k: core.array(x * 0.01) for k, x in zip(keys, drawn, strict=True)}
    parameters = {k: core.array(x) for k, x in zip(keys, drawn, strict=True)}
    optimizer = getattr(module, name.split()[0])(1e-3, **options)
    optimizer.init(parameters)
    core.eval(gradients, parameters, optimizer.state)

    def step():
        nonlocal parameters
        start = time.perf_counter()
        parameters = optimizer.apply_gradients(gradients, parameters)
        made = time.perf_counter()
        core.eval(parameters, optimizer.state)
        return made - start, time.perf_counter() - made

    return step


def torch_stepper(name, options, drawn):
    import torch

    tensors = [torch.nn.Parameter(torch.from_numpy(x.copy())) for x in drawn]
    for t, x in zip(tensors, drawn, strict=True):
        t.grad = torch.from_numpy(x * 0.01)
    kinds = {"RMSprop": "RMSprop", "AdamW": "AdamW", "AdaDelta": "Adadelta"}
    first = name.split()[0]
    kind = getattr(torch.optim, kinds.get(first, first), None)
    if kind is None:
        return None
    momentum = {"momentum": options["momentum"]} if "momentum" in options else {}
    optimizer = kind(tensors, lr=1e-3, foreach=True, **momentum)

    def step():
        start = time.perf_counter()
        optimizer.step()
        return 0.0, time.perf_counter() - start

    return step


def memory_time(drawn, arrays):
    """Microseconds of a sum in place, two reads and a write, of as many bytes as `arrays` per parameter."""
    size = sum(x.size for x in drawn) * arrays // 3
    a, b = np.ones(size, np.float32), np.ones(size, np.float32)

    def add():
        start = time.perf_counter()
        np.add(a, b, out=a)
        return (time.perf_counter() - start,)

    return blocks_of(add, 0.2)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage (default 16)")
    parser.add_argument("--threads", type=int, default=1, help="of each library (default 1)")
    parser.add_argument("--only", default="", help="optimizers whose name contains this")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure (default 0.5)")
    args = parser.parse_args()

    mx.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    drawn = [rng.normal(size=s).astype(np.float32) for s in shapes(args.width)]
    peers = {"nhwc": lambda *case: stepper(mx, optim, *case)}
    try:
        import mlx.core
        import mlx.optimizers

        mlx.core.set_default_device(mlx.core.cpu)
        peers["mlx"] = lambda *case: stepper(mlx.core, mlx.optimizers, *case)
    except ImportError:
        pass
    try:
        import torch

        torch.set_num_threads(args.threads)
        peers["torch foreach"] = torch_stepper
    except ImportError:
        pass
    print_heading()
    count = sum(x.size for x in drawn)
    print(f"{len(drawn)} tensors, {count} parameters, {args.threads} threads; microseconds: making + evaluating\n")
    print(f"{'':16}" + "".join(f"{peer:>18}" for peer in peers) + f"{'memory':>10}{'beyond memory':>16}")
    for name, (options, arrays) in CASES.items():
        if args.only not in name:
            continue
        line, ours = f"{name:16}", 0.0
        for make in peers.values():
            step = make(name, options, drawn)
            if step is None:
                line += f"{'-':>18}"
                continue
            making, evaluating = blocks_of(step, args.seconds)
            line += f"{making:9.0f} +{evaluating:7.0f}" if making else f"{evaluating:18.0f}"
            ours = ours or making + evaluating
        moved = memory_time(drawn, arrays)
        print(line + f"{moved:10.0f}{ours - moved:16.0f}")


if __name__ == "__main__":
    main()
