# tests/python/test_jax_vmap.py -- nhwc.jax under vmap: every argument, twice, its derivatives, and what is called
import functools
import itertools
import re

import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

import nhwc.jax as nj  # noqa: E402
from beside_lax import NHWC, calls_of, close, float64, normal, results  # noqa: E402, F401

pytestmark = pytest.mark.cpu_only("it computes on the CPU whatever the default device is")


def looped(function, axes, *args):
    """jax.vmap by its meaning."""
    n = next(a.shape[at] for a, at in zip(args, axes, strict=True) if at is not None)
    rows = [[a if at is None else jnp.take(a, i, at) for a, at in zip(args, axes, strict=True)] for i in range(n)]
    return jax.tree.map(lambda *r: jnp.stack(r), *(function(*row) for row in rows))


def all_three(groups):
    def function(x, w, g):
        y, pull = jax.vjp(lambda x, w: nj.conv2d(x, w, (2, 1), 1, groups=groups), x, w)
        return y, *pull(g)

    return function


SHAPES = (2, 5, 4, 4), (6, 3, 2, 2), (2, 3, 5, 6)  # of x, w and y in two groups


@pytest.mark.parametrize("axes", [a for a in itertools.product([0, None, -1], repeat=3) if set(a) != {None}])
def test_vmap_of_every_argument(axes):
    shapes = [s if at is None else (3, *s) if at == 0 else (*s, 3) for s, at in zip(SHAPES, axes, strict=True)]
    args = normal(4, *shapes)
    function = all_three(2)
    close(jax.vmap(function, axes)(*args), looped(function, axes, *args))


@pytest.mark.parametrize("inner", [a for a in itertools.product([0, None], repeat=3) if any(v == 0 for v in a)])
def test_vmap_of_vmap(inner):
    """Also of axes that only one of the two runs over."""
    for outer in itertools.product([0, None], repeat=3):
        if all(v is None for v in outer):
            continue
        front = [(2,) * (o == 0) + (3,) * (i == 0) for o, i in zip(outer, inner, strict=True)]
        args = normal(5, *((*f, *s) for f, s in zip(front, SHAPES, strict=True)))
        function = all_three(2)
        got = jax.vmap(jax.vmap(function, inner), outer)(*args)
        close(got, looped(functools.partial(looped, function, inner), outer, *args))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_gradients_through_vmap(axes):
    """And second ones, which differentiate the calls that vmap makes."""
    x, w = normal(6, *((3, *s) if at == 0 else s for s, at in zip(SHAPES, axes, strict=False)))
    ours = functools.partial(nj.conv2d, stride=(2, 1), padding=1, groups=2)

    def theirs(x, w):
        return lax.conv_general_dilated(x, w, (2, 1), [(1, 1)] * 2, dimension_numbers=NHWC, feature_group_count=2)

    close(*(results(jax.vmap(f, axes), x, w, 7) for f in (ours, theirs)))


def test_example_gradients():
    x, w = normal(8, (5, 6, 6, 2), (3, 3, 3, 2))

    def loss(w, image):
        return (nj.conv2d(image[None], w, activation="tanh") ** 2).sum()

    by_example = jax.vmap(jax.grad(loss), (None, 0))(w, x)
    close(by_example, jnp.stack([jax.grad(loss)(w, image) for image in x]))


@pytest.mark.parametrize("batched", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_one_call_in_place(axes, batched):
    conv = getattr(nj, f"conv{axes}d")
    shapes = (2, *[6] * axes, 3), (4, *[3] * axes, 3)
    args = normal(9, *((3, *s) if at == 0 else s for s, at in zip(shapes, batched, strict=True)), dtype=jnp.float32)
    names, text = calls_of(jax.vmap(conv, batched), *args)
    assert names == ["nhwc_conv"]
    assert not re.search(r"\b(copy|transpose|while)\(", text), text
