# tests/python/oracle.py -- convolutions by their definition, in NumPy float64: what every test compares with
"""A convolution pairs, for every tap of the kernel, input places with output places. `forward_pairs` and
`transposed_pairs` list those places, axis by axis; the product and its adjoints are the same few lines over them."""

import itertools
import math

import numpy as np


def forward_pairs(size, kernel, stride=1, low=0, high=0, kernel_dilation=1, input_dilation=1, flip=False):
    """For one axis: the output size, and per tap the arrays (input places, output places)."""
    start, stop = max(0, -low), size - max(0, -high)
    kept = max(0, stop - start)
    dilated = input_dilation * (kept - 1) + 1 if kept else 0
    span = kernel_dilation * (kernel - 1) + 1
    out = (dilated + max(low, 0) + max(high, 0) - span) // stride + 1
    pairs = []
    for tap in range(kernel):
        places = np.arange(out) * stride + tap * kernel_dilation - max(low, 0)
        inside = (places >= 0) & (places % input_dilation == 0) & (places // input_dilation < kept)
        pairs.append((places[inside] // input_dilation + start, np.flatnonzero(inside)))
    return out, pairs[::-1] if flip else pairs


def transposed_pairs(size, kernel, stride=1, padding=0, dilation=1, output_padding=0):
    """The same for a transposed convolution: input i meets output i * stride + tap * dilation - padding."""
    out = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding
    pairs = []
    for tap in range(kernel):
        places = np.arange(size) * stride + tap * dilation - padding
        inside = (places >= 0) & (places < out)
        pairs.append((np.flatnonzero(inside), places[inside]))
    return out, pairs


class Convolution:
    """y = conv(x, w) over given pairs, and its adjoints; x (N, *spatial, C), w (O, *kernel, C / groups)."""

    def __init__(self, axes, groups=1):
        self.out_shape = tuple(out for out, _ in axes)
        self.pairs = [pairs for _, pairs in axes]
        self.groups = groups

    def _taps(self):
        for taps in itertools.product(*(range(len(p)) for p in self.pairs)):
            chosen = [pairs[tap] for pairs, tap in zip(self.pairs, taps, strict=True)]
            sources = np.ix_(*(c[0] for c in chosen))
            targets = np.ix_(*(c[1] for c in chosen))
            yield (slice(None), *taps), (slice(None), *sources), (slice(None), *targets)

    def _grouped(self, a):
        return a.astype(np.float64).reshape(*a.shape[:-1], self.groups, a.shape[-1] // self.groups)

    def __call__(self, x, w):
        g, o = self.groups, w.shape[0]
        y = np.zeros((x.shape[0], *self.out_shape, g, o // g))
        xg = self._grouped(x)
        for tap, source, target in self._taps():
            kernel = w[tap].astype(np.float64).reshape(g, o // g, w.shape[-1])
            y[target] += np.einsum("n...gc,goc->n...go", xg[source], kernel)
        return y.reshape(*y.shape[:-2], o)

    def input_grad(self, gy, w, x_shape):
        g, o = self.groups, w.shape[0]
        gx = np.zeros((*x_shape[:-1], g, x_shape[-1] // g))
        gyg = self._grouped(gy)
        for tap, source, target in self._taps():
            kernel = w[tap].astype(np.float64).reshape(g, o // g, w.shape[-1])
            gx[source] += np.einsum("n...go,goc->n...gc", gyg[target], kernel)
        return gx.reshape(x_shape)

    def weight_grad(self, x, gy, w_shape):
        gw = np.zeros(w_shape)
        xg, gyg = self._grouped(x), self._grouped(gy)
        axes = len(self.pairs)
        inner = "".join("xyz"[:axes])
        for tap, source, target in self._taps():
            gw[tap] = np.einsum(f"n{inner}gc,n{inner}go->goc", xg[source], gyg[target]).reshape(w_shape[0], w_shape[-1])
        return gw


def each(value, axes):
    """One value per axis."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


def conv(x_shape, w_shape, stride=1, padding=0, kernel_dilation=1, input_dilation=1, groups=1, flip=False):
    """`padding`: an int, one int per axis, or one (low, high) per axis."""
    n = len(x_shape) - 2
    pads = [p if isinstance(p, tuple) else (p, p) for p in each(padding, n)]
    axes = [
        forward_pairs(size, k, s, low, high, kd, idl, flip)
        for size, k, s, (low, high), kd, idl in zip(
            x_shape[1:-1], w_shape[1:-1], each(stride, n), pads, each(kernel_dilation, n), each(input_dilation, n),
            strict=True,
        )
    ]  # fmt: skip
    return Convolution(axes, groups)


def conv_transpose(x_shape, w_shape, stride=1, padding=0, dilation=1, output_padding=0, groups=1):
    n = len(x_shape) - 2
    axes = [
        transposed_pairs(*args)
        for args in zip(
            x_shape[1:-1], w_shape[1:-1], each(stride, n), each(padding, n), each(dilation, n), each(output_padding, n),
            strict=True,
        )
    ]  # fmt: skip
    return Convolution(axes, groups)


def same_padding(size, kernel, stride, dilation):
    """(low, high) of "same": the output has ceil(size / stride) places, the odd one of padding comes after."""
    total = max(0, (math.ceil(size / stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2))),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
