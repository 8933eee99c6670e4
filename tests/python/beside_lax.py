# tests/python/beside_lax.py -- what the tests of nhwc.jax share: arrays, comparisons, derivatives of two orders
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

NHWC = ("NHWC", "OHWI", "NHWC")


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def normal(seed, *shapes, dtype=jnp.float64):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(s)).astype(dtype) for s in shapes]


def close(got, want, rtol=1e-11):
    """Trees of float64 arrays are the same, up to rounding of their largest values."""
    got, want = jax.tree.leaves(got), jax.tree.leaves(want)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * (1 + np.abs(b).max(initial=0)))


def same(got, want):
    """Trees of arrays have the same bits."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def results(function, x, w, seed):
    """Value, gradients, and gradients of these."""
    y = jax.eval_shape(function, x, w)
    g, by_x, by_w = normal(seed, y.shape, x.shape, w.shape)

    def first(x, w, g):
        y, pull = jax.vjp(function, x, w)
        return y, *pull(g)

    @jax.jit
    def second(x, w, g, *along):
        value, pull = jax.vjp(first, x, w, g)
        return value, pull(along)

    return second(x, w, g, g, by_x, by_w)


def calls_of(function, *args):
    """The names of nhwc's calls in the compiled program, in order, and its text."""
    text = jax.jit(function).lower(*args).compile().as_text()
    return re.findall(r'custom_call_target="(nhwc_\w+)"', text), re.sub(r"metadata=\{[^}]*\}", "", text)
