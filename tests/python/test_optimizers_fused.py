# tests/python/test_optimizers_fused.py -- an optimizer's step as one pass: the same as operation by operation, in place
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
import nhwc.optimizers as optim
from nhwc.utils import tree_flatten, tree_map

CASES = [
    (optim.SGD, {}),
    (optim.SGD, {"weight_decay": 0.1}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (optim.Adam, {}),
    (optim.Adam, {"bias_correction": True}),
    (optim.AdamW, {"bias_correction": True}),
    (optim.Adamax, {}),
    (optim.RMSprop, {}),
    (optim.Adagrad, {}),
    (optim.AdaDelta, {}),
    (optim.Lion, {"weight_decay": 0.1}),
    (optim.Lion, {}),
]
IDS = ["-".join([kind.__name__, *options]) for kind, options in CASES]
one_pass = pytest.mark.cpu_only("on the GPU a step is made of chains")


def singly(kind):
    """The optimizer without its rule of the core."""

    class Singly(kind):
        def apply_single(self, gradient, parameter, state):
            return super().apply_single(gradient, parameter, state)

    return Singly


def fused(optimizer, gradients, parameters):
    """Whether the next step is one pass."""
    optimizer.init(parameters)
    new = optimizer._in_one_pass(gradients, parameters)
    return new is not None


def equal(a, b):
    """The same trees with the same bits; NaN is NaN."""
    a, b = tree_flatten(a), tree_flatten(b)
    assert [path for path, _ in a] == [path for path, _ in b]
    for (path, x), (_, y) in zip(a, b, strict=True):
        assert x.dtype == y.dtype, path
        np.testing.assert_array_equal(np.array(x), np.array(y), err_msg=path)


SHAPES = st.lists(st.integers(0, 9), max_size=4).map(tuple)
TREES = st.recursive(
    SHAPES.map(lambda s: ("leaf", s)),
    lambda t: st.one_of(
        st.lists(t, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from("abcd"), t, min_size=1, max_size=3),
        st.lists(t, min_size=1, max_size=3).map(lambda items: ("tuple", items)),
    ),
    max_leaves=8,
)


def drawn(tree, rng, extremes=False):
    """Arrays of a drawn tree's shapes."""
    if isinstance(tree, dict):
        return {key: drawn(item, rng, extremes) for key, item in tree.items()}
    if isinstance(tree, list):
        return [drawn(item, rng, extremes) for item in tree]
    if tree[0] == "tuple":
        return tuple(drawn(item, rng, extremes) for item in tree[1])
    x = np.asarray(rng.normal(size=tree[1]), np.float32)
    if extremes:
        at = rng.random(tree[1])
        for value, low in ((0.0, 0.0), (math.inf, 0.1), (-math.inf, 0.15), (math.nan, 0.2), (1e-42, 0.25), (3e38, 0.3)):
            x = np.where((at >= low) & (at < low + 0.05), np.float32(value), x)
    return mx.array(np.asarray(x, np.float32))


@one_pass
@pytest.mark.parametrize(("kind", "options"), CASES, ids=IDS)
@given(tree=st.dictionaries(st.sampled_from("wxyz"), TREES, min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1))
def test_the_same_bits_as_operation_by_operation(kind, options, tree, seed):
    rng = np.random.default_rng(seed)
    a = b = drawn(tree, rng)
    one, many = kind(0.05, **options), singly(kind)(0.05, **options)
    with np.errstate(all="ignore"):
        for extremes in (False, True):
            g = drawn(tree, rng, extremes)
            a, b = one.apply_gradients(g, a), many.apply_gradients(g, b)
            equal([a, one.state], [b, many.state])


@one_pass
@pytest.mark.parametrize(("kind", "options"), CASES, ids=IDS)
def test_it_is_one_pass(kind, options):
    w = {"a": mx.ones((3,)), "b": [mx.ones((2, 2)), (mx.array(1.0),)]}
    assert fused(kind(0.1, **options), w, w)
    assert not fused(singly(kind)(0.1, **options), w, w)
    half = tree_map(lambda x: x.astype(mx.bfloat16), w)
    assert not fused(kind(0.1, **options), half, half)
    assert not fused(kind(0.1, **options), half, w)
    mx.grad(lambda w: [fused(kind(0.1, **options), w, w), w["a"].sum()][1])(w)


def test_a_step_inside_a_derivative_and_a_batch():
    w = {"w": mx.array([1.0, 2.0])}

    def after(rate):
        new = optim.SGD(rate, momentum=0.5).apply_gradients({"w": mx.array([3.0, 4.0])}, w)
        return new["w"].sum()

    assert mx.grad(after)(mx.array(0.1)).item() == -7.0
    batch = mx.vmap(lambda g: optim.Adam(0.1, eps=1.0).apply_gradients({"w": g}, w)["w"])(mx.ones((3, 2)))
    assert batch.shape == (3, 2)
    step = mx.compile(lambda g: optim.SGD(0.5).apply_gradients({"w": g}, w)["w"])
    assert step(mx.array([2.0, 2.0])).tolist() == [0.0, 1.0]


def test_a_compiled_step_is_traced_anew_for_a_derivative_and_a_batch():
    step = mx.compile(lambda g: optim.SGD(0.5).apply_gradients({"w": g}, {"w": mx.array([2.0])})["w"].sum())
    for _ in range(2):
        assert step(mx.array([1.0])).item() == 1.5
        assert mx.grad(step)(mx.array([1.0])).tolist() == [-0.5]
        assert mx.vmap(step)(mx.array([[1.0], [3.0]])).tolist() == [1.5, 0.5]
        assert mx.compile(mx.grad(step))(mx.array([1.0])).tolist() == [-0.5]


@pytest.mark.parametrize("threads", [1, 3])
def test_large_parameters_any_layout_and_threads(rng, threads):
    before = mx.num_threads()
    mx.set_num_threads(threads)
    try:
        shapes = {"a": (300, 401), "b": (7,), "c": (50_001,)}
        w = {name: mx.array(rng.normal(size=shape).astype(np.float32)) for name, shape in shapes.items()}
        g = {
            "a": mx.array(rng.normal(size=(401, 300)).astype(np.float32)).T,
            "b": mx.arange(14.0)[::2],
            "c": mx.broadcast_to(mx.array(2.0), (50_001,)),
        }
        one, many = optim.Adam(0.1), singly(optim.Adam)(0.1)
        equal([one.apply_gradients(g, w), one.state], [many.apply_gradients(g, w), many.state])
    finally:
        mx.set_num_threads(before)


@one_pass
def test_storage_is_used_again():
    """What nobody else reads is updated where it lies; what somebody holds stays as it was."""
    w = {"w": mx.zeros((1 << 18,)) + 1.0}
    g = {"w": mx.ones((1 << 18,)) * 0.5}
    optimizer = optim.Adam(0.1)
    optimizer.init(w)
    mx.eval(w, g, optimizer.state)
    held = w["w"]
    for _ in range(3):
        w = optimizer.apply_gradients(g, w)
        mx.eval(w, optimizer.state)
        assert mx.array_equal(held, mx.ones((1 << 18,)))
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    for _ in range(3):
        w = optimizer.apply_gradients(g, w)
        mx.eval(w, optimizer.state)
    assert mx.get_active_memory() == before
    assert mx.get_peak_memory() < before + (1 << 18)  # a quarter of one array


def test_results_are_taken_one_by_one():
    w = {"a": mx.array([1.0]), "b": mx.array([2.0])}
    one, many = optim.Adam(0.1), singly(optim.Adam)(0.1)
    new, other = one.apply_gradients(w, w), many.apply_gradients(w, w)
    mx.eval(new["b"])
    mx.eval(one.state["a"]["v"])
    again, further = one.apply_gradients(w, new), many.apply_gradients(w, other)  # two steps at once
    equal([again, one.state, new], [further, many.state, other])
    lazy = one.apply_gradients(w, again)
    del lazy["b"]
    one.state["b"].clear()  # nobody will ask for these
    equal([lazy["a"]], [many.apply_gradients(w, further)["a"]])


@one_pass
def test_compiled_steps_are_one_pass_and_right(rng):
    start = {"a": mx.array(rng.normal(size=(4, 3)).astype(np.float32)), "b": [mx.array([1.0, 2.0])]}

    def run(optimizer, compiled):
        model = tree_map(lambda x: x, start)  # while it is traced, lists that it holds have placeholders
        optimizer.init(model)
        state = [model, optimizer.state]

        def step(g):
            optimizer.update(model, g)

        step = mx.compile(step, inputs=state, outputs=state) if compiled else step
        for i in range(4):
            step(tree_map(lambda x, i=i: mx.sin(x * (i + 1)), start))
        return model, optimizer.state

    make = lambda kind: kind(optim.cosine_decay(0.1, 10), bias_correction=True)  # noqa: E731
    equal(run(make(optim.AdamW), True), run(make(singly(optim.AdamW)), False))
