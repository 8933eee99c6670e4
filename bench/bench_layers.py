# bench/bench_layers.py -- what Python takes of a training step of nhwc.nn and nhwc.optimizers
"""python bench/bench_layers.py [--batch 64] [--size 32] [--threads 1] [--steps 20]

ResNet-20 with SGD and momentum. A step is written down lazily, by Python, and then evaluated: Python's share is the
first part, 15 % at most, or 5 % where the step is compiled."""

import argparse
import statistics
import time

from common import print_heading
from networks import with_layers

import nhwc as mx
from nhwc import nn
from nhwc import optimizers as optim


def measure(step, state, steps):
    """Seconds until a step is written down, and until it is evaluated: medians."""
    lazy, whole = [], []
    for i in range(steps + 3):
        start = time.perf_counter()
        loss = step()
        written = time.perf_counter()
        mx.eval(loss, state)
        if i >= 3:
            lazy.append(written - start)
            whole.append(time.perf_counter() - start)
    return statistics.median(lazy), statistics.median(whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=32, help="rows and columns of the images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    mx.set_num_threads(args.threads)
    print_heading()
    for compiled, limit in ((False, 15), (True, 5)):
        lazy, whole = measure(*with_layers.resnet20_step(mx, nn, optim, compiled, args.batch, args.size), args.steps)
        share = 100 * lazy / whole
        name, verdict = "compiled" if compiled else "plain", "met" if share <= limit else "NOT met"
        times = f"step {whole * 1e3:8.2f} ms, Python {lazy * 1e3:6.2f} ms, {share:5.1f} %"
        print(f"{name:9} {times}   (limit {limit} %: {verdict})")


if __name__ == "__main__":
    main()
