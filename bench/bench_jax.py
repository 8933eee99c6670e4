# bench/bench_jax.py -- networks in JAX as they are, and with their convolutions computed by nhwc
"""python bench/bench_jax.py [--threads 1] [--seconds 1]

A residual network and a small U-Net under jit: forward, and a training step. Only the convolution changes: lax's,
nhwc's in its place, and nhwc's with weights that lie as it reads them (OHWI), which spares a copy of them in every
call. The last lines are a single small convolution, whose time is mostly what a call costs, and one with large weights,
which are packed in every call."""

import argparse
import functools
import os

import numpy as np
from common import median_seconds, print_heading

KERNELS = {"lax": "HWIO", "in its place": "HWIO", "OHWI": "OHWI"}


class Network:
    """Layers are made in the order of calls, when the network runs for the first time."""

    def __init__(self, convolve, layout):
        import jax.numpy as jnp

        self.convolve, self.layout, self.jnp = convolve, layout, jnp
        self.rng, self.weights = np.random.default_rng(0), []

    def start(self, weights):
        self.given = list(weights) or None
        return self

    def conv(self, x, outputs, kernel, stride=1, up=1):
        """3x3 and the like with "same" padding; `up` spreads the input, as a transposed convolution does."""
        if self.given is None:
            w = self.rng.standard_normal((kernel, kernel, x.shape[-1], outputs)) / (kernel * x.shape[-1] ** 0.5)
            w = np.asarray(w if self.layout == "HWIO" else np.moveaxis(w, -1, 0), np.float32)
            self.weights.append(self.jnp.asarray(w))
            w = self.weights[-1]
        else:
            w = self.given.pop(0)
        low = kernel - 1 if up > 1 else (kernel - 1) // 2
        padding = [(low, kernel - 1 if up > 1 else kernel - 1 - low)] * 2
        numbers = ("NHWC", self.layout, "NHWC")
        return self.convolve(x, w, (stride, stride), padding, lhs_dilation=(up, up), dimension_numbers=numbers)

    def norm(self, x):
        jnp = self.jnp
        mean = x.mean((0, 1, 2))
        return (x - mean) / jnp.sqrt(((x - mean) ** 2).mean((0, 1, 2)) + 1e-5)


def residual(net, x):
    """ResNet-18 on images of 64x64, without its classifier."""
    relu = functools.partial(net.jnp.maximum, 0)
    x = relu(net.norm(net.conv(x, 64, 7, 2)))
    for outputs, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        y = relu(net.norm(net.conv(x, outputs, 3, stride)))
        y = net.norm(net.conv(y, outputs, 3))
        x = relu(y + (x if stride == 1 and x.shape[-1] == outputs else net.conv(x, outputs, 1, stride)))
    return x.mean((1, 2))


def unet(net, x, c=32):
    relu = functools.partial(net.jnp.maximum, 0)
    came = [relu(net.conv(x, c, 3))]
    for outputs in (2 * c, 4 * c):
        came.append(relu(net.conv(came[-1], outputs, 3, 2)))
    x = came.pop()
    for outputs in (2 * c, c):
        x = net.jnp.concatenate([relu(net.conv(x, outputs, 2, up=2)), came.pop()], -1)
    return net.conv(x, 3, 3)


def steps(jax, network, convolve, layout, x):
    """Calls of the forward pass and of a training step."""
    net = Network(convolve, layout)
    network(net.start(()), x)
    weights = net.weights
    forward = jax.jit(lambda weights, x: network(net.start(weights), x))

    def loss(weights, x):
        return (network(net.start(weights), x) ** 2).mean()

    @jax.jit
    def train(weights, x):
        value, gradients = jax.value_and_grad(loss)(weights, x)
        return value, [w - 1e-4 * g for w, g in zip(weights, gradients, strict=True)]

    def call(f):
        return lambda: jax.block_until_ready(f(weights, x))

    return {"forward": call(forward), "training step": call(train)}


def report(jax, name, calls, seconds):
    want = jax.tree.leaves(calls["lax"]())[0]
    worst = max(float(abs(jax.tree.leaves(c())[0] - want).max() / abs(want).max()) for c in calls.values())
    times = {who: median_seconds(c, seconds) * 1e3 for who, c in calls.items()}
    row = "   ".join(
        f"{who} {t:8.3f} ms" + ("" if who == "lax" else f" x{times['lax'] / t:5.2f}") for who, t in times.items()
    )
    print(f"{name:26} {row}   results within {worst:.0e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1, help="of every measurement")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # XLA takes as many threads as there are cores, before it is imported
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    import jax

    import nhwc as mx
    import nhwc.jax

    mx.set_num_threads(args.threads)
    print_heading()
    ours = nhwc.jax.conv_general_dilated
    contenders = {who: (jax.lax.conv_general_dilated if who == "lax" else ours, KERNELS[who]) for who in KERNELS}
    rng = np.random.default_rng(1)
    for network, shape in ((residual, (8, 64, 64, 3)), (unet, (2, 96, 96, 3))):
        x = jax.numpy.asarray(rng.standard_normal(shape), np.float32)
        every = {who: steps(jax, network, *how, x) for who, how in contenders.items()}
        for what in ("forward", "training step"):
            report(jax, f"{network.__name__}, {what}", {who: calls[what] for who, calls in every.items()}, args.seconds)
    for size, c_in, c_out in ((4, 8, 8), (7, 512, 512)):
        x = jax.numpy.asarray(rng.standard_normal((1, size, size, c_in)), np.float32)
        calls = {}
        for who, (convolve, layout) in contenders.items():
            net = Network(convolve, layout)
            net.start(()).conv(x, c_out, 3)
            f = jax.jit(lambda x, w, net=net, c_out=c_out: net.start([w]).conv(x, c_out, 3))
            calls[who] = functools.partial(lambda f, *a: jax.block_until_ready(f(*a)), f, x, net.weights[0])
        report(jax, f"3x3 of {size}x{size}, {c_in} to {c_out}", calls, args.seconds)


if __name__ == "__main__":
    main()
