# tests/python/test_fast.py -- attention and rotary encoding as functions: by their definitions, beside mlx, refusals
import numpy as np
import pytest

import nhwc as mx
from beside_mlx import libraries


def random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def attention(q, k, v, scale, added, sinks=None):
    """By the definition, in float64: each query head has the key head that it shares with its neighbours."""
    y = np.empty((*q.shape[:3], v.shape[-1]))
    for h in range(q.shape[1]):
        g = h // (q.shape[1] // k.shape[1])
        scores = scale * q[:, h].astype(np.float64) @ k[:, g].astype(np.float64).swapaxes(-1, -2) + added[:, h]
        top = scores.max(-1, keepdims=True)
        weights = np.exp(scores - top)
        total = weights.sum(-1, keepdims=True)
        if sinks is not None:
            total = total + np.exp(sinks[h] - top)
        y[:, h] = weights / total @ v[:, g]
    return y


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("mask", [None, "causal", "boolean", "added"])
@pytest.mark.parametrize("with_sinks", [False, True])
def test_attention_by_definition(rng, heads, mask, with_sinks):
    n, groups = heads
    q, k, v = random(rng, 2, n, 5, 4), random(rng, 2, groups, 7, 4), random(rng, 2, groups, 7, 3)
    seen = np.tri(5, 7, 2, bool) if mask == "causal" else rng.random((2, n, 5, 7)) < 0.7
    added = random(rng, n, 5, 7) if mask == "added" else np.where(seen, 0, -1e30) if mask else np.zeros(1)
    sinks = random(rng, n) if with_sinks else None
    given = {"boolean": mx.array(seen), "added": mx.array(added) if mask == "added" else None}.get(mask, mask)
    y = mx.fast.scaled_dot_product_attention(
        *map(mx.array, (q, k, v)), scale=0.3, mask=given, sinks=None if sinks is None else mx.array(sinks)
    )
    want = attention(q, k, v, 0.3, np.broadcast_to(added, (2, n, 5, 7)), sinks)
    np.testing.assert_allclose(np.array(y), want, atol=1e-5)


def test_a_query_that_sees_no_key_gets_the_mean(rng):
    q, v = mx.array(random(rng, 1, 1, 3, 4)), mx.array(random(rng, 1, 1, 3, 4))
    y = mx.fast.scaled_dot_product_attention(q, q, v, scale=1.0, mask=mx.zeros((3, 3), mx.bool_))
    np.testing.assert_allclose(np.array(y)[0, 0], np.array(v)[0, 0].mean(0)[None].repeat(3, 0), atol=1e-6)


def test_half_types_are_weighed_in_float32(rng):
    q, k, v = (random(rng, 1, 2, 300, 8) for _ in range(3))
    half = [mx.array(a).astype(mx.float16) for a in (q, k, v)]
    y = mx.fast.scaled_dot_product_attention(*half, scale=0.01)
    assert y.dtype == mx.float16
    np.testing.assert_allclose(np.array(y), attention(q, k, v, 0.01, np.zeros((1, 2, 300, 300))), atol=2e-3)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
@pytest.mark.parametrize("mask", [None, "causal", "boolean", "added"])
def test_attention_beside_mlx(rng, heads, mask):
    shapes = [(2, heads[0], 5, 4), (2, heads[1], 7, 4), (2, heads[1], 7, 3)]
    data, cotangent = [random(rng, *s) for s in shapes], random(rng, 2, heads[0], 5, 3)
    added, seen, sinks = random(rng, 5, 7), rng.random((2, 1, 5, 7)) < 0.5, random(rng, heads[0])
    found = []
    for library in libraries():
        core = library.mx
        given = {"boolean": core.array(seen), "added": core.array(added)}.get(mask, mask)

        def loss(q, k, v, core=core, given=given):
            y = core.fast.scaled_dot_product_attention(q, k, v, scale=0.5, mask=given, sinks=core.array(sinks))
            return (y * core.array(cotangent)).sum()

        value, gradients = core.value_and_grad(loss, argnums=(0, 1, 2))(*map(core.array, data))
        found.append([np.array(a) for a in (value, *gradients)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize("traditional", [False, True])
@pytest.mark.parametrize("offset", [3, [4], [4, 0]])
@pytest.mark.parametrize("given", ["base", "freqs"])
def test_rope_beside_mlx(rng, traditional, offset, given):
    x, freqs = random(rng, 2, 3, 5, 10), rng.uniform(1, 50, 4).astype(np.float32)
    found = []
    for library in libraries():
        core = library.mx
        first = offset if isinstance(offset, int) else core.array(offset)
        angles = {"base": 100.0} if given == "base" else {"base": None, "freqs": core.array(freqs)}
        y = core.fast.rope(core.array(x), 8, traditional=traditional, scale=0.5, offset=first, **angles)
        found.append(np.array(y))
    np.testing.assert_allclose(*found, atol=2e-5)


def refused_attention(q, k, v, **more):
    return lambda: mx.fast.scaled_dot_product_attention(*map(mx.ones, (q, k, v)), scale=1.0, **more)


def refused_rope(shape, dims, **more):
    arguments = {"traditional": False, "base": 10.0, "scale": 1.0, "offset": 0, **more}
    return lambda: mx.fast.rope(mx.ones(shape), dims, **arguments)


Q, K = (1, 4, 3, 8), (1, 2, 5, 8)


@pytest.mark.parametrize(("make", "message"), [
    (refused_attention((3, 8), (5, 8), (5, 8)), r"expected q, k and v of \(B, heads, T, D\)"),
    (refused_attention(Q, (2, 2, 5, 8), K), "must have one batch"),
    (refused_attention(Q, (1, 2, 5, 7), K), "one number of features"),
    (refused_attention(Q, (1, 2, 4, 8), K), "as many heads and positions"),
    (refused_attention(Q, (1, 3, 5, 8), (1, 3, 5, 8)), "the 3 heads of k and v must divide the 4 of q"),
    (refused_attention(Q, K, K, mask="full"), "mask must be an array or 'causal', got 'full'"),
    (refused_attention(Q, K, K, mask=mx.ones((1, 1, 4, 3, 5))), r"must broadcast to \(1, 4, 3, 5\)"),
    (refused_attention(Q, K, K, mask=mx.ones((2, 3, 5))), "broadcast"),
    (refused_attention(Q, K, K, sinks=mx.ones((2,))), r"expected sinks of \(4,\)"),
    (lambda: mx.fast.scaled_dot_product_attention(*[mx.ones(Q, mx.float16)] * 3, scale=1.0, mask=mx.ones((3, 3))),
     r"promote to .*float16"),
    (lambda: mx.fast.scaled_dot_product_attention(*[mx.ones(Q, mx.int32)] * 3, scale=1.0), "int32"),
    (refused_rope((2, 3, 8), 5), "dims=5, an even number"),
    (refused_rope((2, 3, 8), 10), "dims=10"),
    (refused_rope((2, 3, 8), 8, base=None), "either base or freqs"),
    (refused_rope((2, 3, 8), 8, freqs=mx.ones((4,))), "either base or freqs"),
    (refused_rope((2, 3, 8), 8, base=None, freqs=mx.ones((3,))), r"expected freqs of \(4,\)"),
    (refused_rope((2, 3, 8), 8, offset=mx.array([1, 2, 3])), r"offsets of shape \(3,\) do not fit"),
    (lambda: mx.fast.rope(mx.ones((1, 3, 8), mx.int32), 8, traditional=False, base=10, scale=1, offset=0), "floating"),
])  # fmt: skip
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_module_is_one(rng):
    import nhwc.fast

    assert nhwc.fast is mx.fast
    assert "fast" in mx.__all__
    x = mx.array(random(rng, 2, 3))
    y = mx.fast.scaled_dot_product_attention(*[x.reshape(1, 1, 2, 3)] * 3, scale=1.0, stream=mx.cpu)
    assert y.shape == (1, 1, 2, 3)
    assert mx.fast.layer_norm(x, None, None, 1e-5).shape == (2, 3)
