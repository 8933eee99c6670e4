# tests/python/test_nn_transformer.py -- attention, transformers and positional encodings, by definition and beside mlx
import math

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
from beside_mlx import as_numpy, assert_same, flat, libraries
from nhwc.utils import tree_flatten


def random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("mask", [None, "causal", "boolean", "added"])
def test_attention_by_definition(rng, mask):
    layer = nn.MultiHeadAttention(8, 2, value_dims=6, value_output_dims=5)
    q, k, v = random(rng, 2, 4, 8), random(rng, 2, 7, 8), random(rng, 2, 7, 8)
    wq, wk, wv, wo = (
        np.array(p.weight, np.float64) for p in (layer.query_proj, layer.key_proj, layer.value_proj, layer.out_proj)
    )
    seen = {None: np.ones((4, 7), bool), "causal": np.tri(4, 7, 3, bool)}.get(mask, rng.random((4, 7)) < 0.7)
    seen[:, 0] = True
    added = np.where(seen, 0, -1e9)
    want = np.empty((2, 4, 6))
    for h in range(2):
        a, b = slice(4 * h, 4 * h + 4), slice(3 * h, 3 * h + 3)
        scores = (q @ wq.T)[..., a] @ (k @ wk.T)[..., a].transpose(0, 2, 1) / 2 + added
        want[..., b] = softmax(scores) @ (v @ wv.T)[..., b]
    given = {"boolean": mx.array(seen), "added": mx.array(added.astype(np.float32))}.get(mask, mask)
    np.testing.assert_allclose(np.array(layer(*map(mx.array, (q, k, v)), given)), want @ wo.T, atol=1e-5)


def test_causal_mask():
    mask = nn.MultiHeadAttention.create_additive_causal_mask(3)
    least = float(np.finfo(np.float32).min)
    assert mask.tolist() == [[0, least, least], [0, 0, least], [0, 0, 0]]
    assert nn.MultiHeadAttention.create_additive_causal_mask(2, mx.float16).dtype == mx.float16


@pytest.mark.parametrize("traditional", [True, False])
def test_rope_turns_pairs(rng, traditional):
    x = random(rng, 2, 3, 5, 10)
    y = np.array(nn.RoPE(8, traditional=traditional, base=100.0, scale=0.5)(mx.array(x), offset=2))
    for i in range(4):
        a, b = (2 * i, 2 * i + 1) if traditional else (i, i + 4)
        angle = (np.arange(5) + 2) * 0.5 * 100.0 ** (-2 * i / 8)
        turned = (x[..., a] + 1j * x[..., b]) * np.exp(1j * angle)
        np.testing.assert_allclose(y[..., a] + 1j * y[..., b], turned, atol=1e-5)
    np.testing.assert_array_equal(y[..., 8:], x[..., 8:])


@pytest.mark.parametrize("shape", [(3, 5, 8), (3, 2, 5, 8), (1, 2, 5, 8)])
def test_rope_takes_an_offset_for_each_item(rng, shape):
    x, rope = mx.array(rng.standard_normal(shape).astype(np.float32)), nn.RoPE(6)
    offsets = [4, 0, 7][: shape[0]]
    y = rope(x, offset=mx.array(offsets))
    for i, offset in enumerate(offsets):
        assert mx.array_equal(y[i], rope(x[i], offset=offset)).item()


def test_sinusoids():
    y = np.array(nn.SinusoidalPositionalEncoding(6, min_freq=0.01, scale=1.0)(mx.arange(4)))
    angles = np.arange(4)[:, None] * np.array([1, 0.1, 0.01])
    np.testing.assert_allclose(y, np.concatenate([np.sin(angles), np.cos(angles)], -1), atol=1e-6)


def test_alibi():
    biases = np.array(nn.ALiBi()(mx.zeros((1, 8, 3, 5)), offset=2))[0]
    distance = np.abs(np.arange(2, 5)[:, None] - np.arange(5))
    for head in range(8):
        np.testing.assert_allclose(biases[head], -distance * 0.5 ** (head + 1), rtol=1e-6)


def test_checkpoints_change_nothing(rng):
    x = mx.array(random(rng, 2, 4, 8))
    found = []
    for checkpoint in (False, True):
        mx.random.seed(2)
        model = nn.TransformerEncoder(2, 8, 2, checkpoint=checkpoint)
        gradient = nn.value_and_grad(model, lambda x, m=model: (m(x, "causal") ** 2).sum())(x)[1]
        found.append([np.array(g) for _, g in tree_flatten(gradient)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.MultiHeadAttention(6, 4), r"\[MultiHeadAttention\] num_heads=4 must divide dims=6"),
    (lambda: nn.MultiHeadAttention(8, 4, value_dims=6), r"num_heads=4 must divide value_dims=6"),
    (lambda: nn.MultiHeadAttention(4, 2)(*[mx.ones((1, 2, 4))] * 3, "full"), r"mask must be an array or 'causal'"),
    (lambda: nn.RoPE(5), r"\[RoPE\] dims must be even, got 5"),
    (lambda: nn.RoPE(4)(mx.ones((2, 3, 4)), mx.array([1, 2, 3])), r"\[rope\] offsets of shape \(3,\) do not fit"),
    (lambda: nn.RoPE(4)(mx.ones((3, 4)), mx.array([1, 2, 3])), r"\[rope\] offsets of shape \(3,\) do not fit"),
    (lambda: nn.RoPE(8)(mx.ones((3, 4))), r"\[rope\] expected a floating input \(\.\.\., L, D\) with D of dims=8"),
    (lambda: nn.SinusoidalPositionalEncoding(4, min_freq=0), "frequencies must be positive"),
])  # fmt: skip
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


MODELS = [
    ("MultiHeadAttention", (8, 2), {"query_input_dims": 3, "key_input_dims": 4, "value_input_dims": 5, "bias": True},
     [(2, 5, 3), (2, 6, 4), (2, 6, 5)], ()),
    ("TransformerEncoderLayer", (8, 2), {}, [(2, 5, 8)], (None,)),
    ("TransformerEncoderLayer", (8, 2), {"norm_first": False, "mlp_dims": 5}, [(2, 5, 8)], (None,)),
    ("TransformerDecoderLayer", (8, 2), {"dropout": 0.3}, [(2, 5, 8), (2, 3, 8)], (None, None)),
    ("TransformerDecoderLayer", (8, 2), {"norm_first": False}, [(2, 5, 8), (2, 3, 8)], (None, None)),
    ("TransformerEncoder", (2, 8, 2), {}, [(2, 5, 8)], (None,)),
    ("TransformerDecoder", (1, 8, 2), {"norm_first": False}, [(2, 5, 8), (2, 3, 8)], (None, None)),
    ("Transformer", (8, 2, 1, 1), {}, [(2, 5, 8), (2, 3, 8)], (None, None, None)),
    ("RoPE", (4,), {}, [(1, 2, 5, 8)], ()),
    ("RoPE", (8,), {"traditional": True, "base": 100.0}, [(1, 2, 5, 8)], (3,)),
    ("SinusoidalPositionalEncoding", (8,), {"cos_first": True, "full_turns": True, "scale": 3.0}, [(3, 4)], ()),
    ("SinusoidalPositionalEncoding", (8,), {}, [(3,)], ()),
    ("ALiBi", (), {}, [(2, 6, 3, 5)], ()),
    ("ALiBi", (), {}, [(2, 4, 3, 5)], (2,)),
]  # fmt: skip


@pytest.mark.parametrize("case", MODELS, ids=lambda c: "-".join(map(str, (c[0], *c[2].values()))))
def test_layer_is_mlx_own(rng, case):
    name, args, kwargs, shapes, more = case
    inputs, seen, weights = [random(rng, *s) for s in shapes], [], None
    for library in libraries():
        library.mx.random.seed(4)
        layer = getattr(library.nn, name)(*args, **kwargs)
        arrays = [library.mx.array(a) for a in inputs]
        library.mx.random.seed(5)
        found = {"y": as_numpy(layer(*arrays, *more)), "parameters": flat(library, layer.parameters())}
        if found["parameters"]:
            weights = random(rng, *found["y"][0].shape) if weights is None else weights
            w = library.mx.array(weights)

            def loss(*a, f=layer, w=w):
                return (f(*a, *more) * w).sum()

            library.mx.random.seed(5)
            found["gradient"] = flat(library, library.nn.value_and_grad(layer, loss)(*arrays)[1])
        seen.append((repr(layer), found))
    assert seen[0][0] == seen[1][0]
    assert seen[0][1].keys() == seen[1][1].keys()
    for what in seen[0][1]:
        assert_same(seen[0][1][what], seen[1][1][what], 2e-5, what, least=0.1)


def test_statics_are_mlx_own():
    ours, theirs = libraries()
    for heads in (1, 2, 3, 6, 12):
        a, b = (np.array(lib.nn.ALiBi.create_alibi_slope(heads)) for lib in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert a.shape == b.shape
        a, b = (np.array(lib.nn.ALiBi.create_alibi_matrix(3, 4, heads, 1)) for lib in (ours, theirs))
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert a.shape == b.shape
    for lib in (ours, theirs):
        assert math.isclose(lib.nn.SinusoidalPositionalEncoding(8).scale, 0.5)


def test_every_layer_of_mlx_is_here():
    """All but those for quantised and sharded weights."""
    ours, theirs = libraries()
    left_out = ("Quantized", "QQ", "Sharded", "fully_shard", "quantize")
    missing = [
        n
        for n in dir(theirs.nn)
        if callable(getattr(theirs.nn, n)) and not any(w in n for w in left_out) and not hasattr(ours.nn, n)
    ]
    assert missing == []
