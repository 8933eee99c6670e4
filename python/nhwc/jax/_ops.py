# python/nhwc/jax/_ops.py -- the convolution and its gradients as functions of JAX: calls, derivatives, batches
"""Of a convolution y = conv(x, w), with x (N, *size, C_in), w (C_out, *kernel, C_in / groups) and y (N, *out, C_out),
there is one function for each of the three, which computes it from the other two. They are bilinear, and each other's
derivatives, so every order of derivative exists.

An operand may have one axis more in front: then so many convolutions are computed one after the other, by one call, in
place, and an operand that lacks the axis is the same in all. That is what `vmap` comes to, unless the axis can be made
part of N. Arguments fit each other: _functional.py and _lax.py have seen to it.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from nhwc import _core

for _name, _handler in _core._xla_handlers().items():
    jax.ffi.register_ffi_target(_name, _handler, platform="cpu")

_TARGET = {"y": "nhwc_conv", "x": "nhwc_conv_input_grad", "w": "nhwc_conv_weight_grad"}
_FROM = {"y": ("x", "w"), "x": ("y", "w"), "w": ("x", "y")}  # the operands, in the order of arguments


class Problem(NamedTuple):
    """Everything of a convolution but N and values. `low`: the padding before the dilated input; negative, it crops."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    out: tuple[int, ...]
    c_in: int
    c_out: int
    stride: tuple[int, ...]
    low: tuple[int, ...]
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...]
    groups: int = 1
    flip: bool = False
    highest_precision: bool = False
    outputs_last: bool = False  # w is (*kernel, C_in / groups, C_out), and copied

    @property
    def rank(self) -> int:
        return len(self.size) + 2

    def shape(self, which: str, n: int) -> tuple[int, ...]:
        if which == "w":
            w = (*self.kernel, self.c_in // self.groups)
            return (*w, self.c_out) if self.outputs_last else (self.c_out, *w)
        return (n, *self.size, self.c_in) if which == "x" else (n, *self.out, self.c_out)


def _call(p: Problem, which: str, a, b, *bias, **more):
    shape = a.shape[: a.ndim - p.rank] or b.shape[: b.ndim - p.rank]
    shape += p.shape(which, a.shape[-p.rank])
    per_axis = {name: np.array(getattr(p, name), np.int64) for name in ("stride", "low", "dilation", "input_dilation")}
    call = jax.ffi.ffi_call(_TARGET[which], jax.ShapeDtypeStruct(shape, a.dtype))
    once = {name: getattr(p, name) for name in ("flip", "highest_precision", "outputs_last")}
    return call(a, b, *bias, groups=np.int64(p.groups), **per_axis, **once, **more)


def _fold(a):
    """(B, N, ...) -> (B * N, ...)"""
    return a.reshape(a.shape[0] * a.shape[1], *a.shape[2:])


def _merged(operands, batched, rank: int, size: int):
    """Operands with a batch of `size` in front where `batched` says so: both axes as one, and what these two were."""
    loops = [a.shape[b] for a, b in zip(operands, batched, strict=True) if a.ndim - b > rank]
    if not loops:
        return operands, ()
    shape = (size, loops[0])
    merged = []
    for a, b in zip(operands, batched, strict=True):
        looped = a.ndim - b > rank
        if b or looped:
            a = a.reshape(size if b else 1, loops[0] if looped else 1, *a.shape[a.ndim - rank :])
            a = jnp.broadcast_to(a, (*shape, *a.shape[2:])).reshape(math.prod(shape), *a.shape[2:])
        merged.append(a)
    return merged, shape


@functools.lru_cache(maxsize=4096)
def operator(p: Problem, which: str):
    """The function that computes `which` of x, w and y from the others."""
    first, second = _FROM[which]

    @jax.custom_vjp
    @custom_vmap
    def function(a, b):
        return _call(p, which, a, b, **(dict(activation="") if which == "y" else {}))

    @function.def_vmap
    def _(size, batched, a, b):
        if which != "w" and batched == [True, False] and a.ndim == p.rank + 1:
            r = function(_fold(a), b)
            at = r.ndim - p.rank  # behind the loops of b
            r = r.reshape(*r.shape[:at], *a.shape[:2], *r.shape[at + 1 :])
            return jnp.moveaxis(r, at, 0), True
        operands, shape = _merged((a, b), batched, p.rank, size)
        r = function(*operands)
        return (r.reshape(*shape, *r.shape[1:]) if shape else r), True

    def forward(a, b):
        return function(a, b), (a, b)

    def backward(saved, cotangent):
        known = {first: saved[0], second: saved[1], which: cotangent}
        gradients = []
        for name in (first, second):
            g = operator(p, name)(*(known[other] for other in _FROM[name]))
            gradients.append(g if g.ndim == known[name].ndim else g.sum(0))
        return tuple(gradients)

    function.defvjp(forward, backward)
    return function


ACTIVATIONS = {
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "leaky_relu": jax.nn.leaky_relu,
    "silu": jax.nn.silu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}
# The cotangent g of an activation's input by its output y, which the layer that follows keeps anyway.
_BY_OUTPUT = {
    "relu": lambda y, g: jnp.where(y > 0, g, 0),
    "relu6": lambda y, g: jnp.where((y > 0) & (y < 6), g, 0),
    "leaky_relu": lambda y, g: jnp.where(y >= 0, g, 0.01 * g),
    "tanh": lambda y, g: g * (1 - y * y),
    "sigmoid": lambda y, g: g * (y * (1 - y)),
}


@functools.lru_cache(maxsize=4096)
def _layer(p: Problem, activation: str | None, has_bias: bool):
    """activation(conv(x, w) + bias) in one pass."""
    if not has_bias and activation is None:
        return operator(p, "y")

    def in_steps(x, w, *bias):
        z = sum(bias, operator(p, "y")(x, w))
        return z if activation is None else ACTIVATIONS[activation](z)

    @jax.custom_vjp
    @custom_vmap
    def function(x, w, *bias):
        return _call(p, "y", x, w, *bias, activation=activation or "")

    @function.def_vmap
    def _(size, batched, x, *rest):
        if batched[0] and not any(batched[1:]):
            y = function(_fold(x), *rest)
            return y.reshape(*x.shape[:2], *y.shape[1:]), True
        return jax.vmap(in_steps, [0 if b else None for b in batched])(x, *rest), True

    def forward(x, w, *bias):
        if activation is None or activation in _BY_OUTPUT:
            y = z = function(x, w, *bias)
        else:
            z = _layer(p, None, has_bias)(x, w, *bias)
            y = ACTIVATIONS[activation](z)
        return y, (x, w, None if activation is None else z)

    def backward(saved, g):
        x, w, z = saved
        if activation in _BY_OUTPUT:
            g = _BY_OUTPUT[activation](z, g)
        elif activation is not None:
            (g,) = jax.vjp(ACTIVATIONS[activation], z)[1](g)
        by_bias = [g.sum(tuple(range(g.ndim - 1)))] if has_bias else []
        return operator(p, "x")(g, w), operator(p, "w")(x, g), *by_bias

    function.defvjp(forward, backward)
    return function


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def conv(p: Problem, activation: str | None, x, w, *bias):
    """activation(conv(x, w) + bias); without a bias, or with one. Compiled, so that a call outside of jit is cheap."""
    return _layer(p, activation, bool(bias))(x, w, *bias)
