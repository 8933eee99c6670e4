# tests/python/test_compile.py -- compile: when it records, what it captures, and what a call costs
import collections
import functools
import gc
import time
import weakref

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
from nhwc.utils import tree_flatten

X, Y, V = mx.array(2.0), mx.array(3.0), mx.array([1.0, 2.0, 3.0])


class Counted:
    """A function that counts how often it runs, and compile's version of it."""

    def __init__(self, f, **options):
        self.runs = 0
        self.f = f
        self.compiled = mx.compile(self, **options)

    def __call__(self, *args, **kwargs):
        self.runs += 1
        return self.f(*args, **kwargs)


@pytest.fixture(autouse=True)
def enabled():
    mx.enable_compile()
    yield
    mx.enable_compile()


def test_it_records_once_per_kind_of_arguments():
    c = Counted(lambda *args, **kwargs: args[0] * 2)
    kinds = [
        ((X,), {}),
        ((V,), {}),
        ((V.astype(mx.float16),), {}),
        ((mx.array([1.0, 2.0]),), {}),
        ((X, 1), {}),
        ((X, 2), {}),
        ((X, 1.0), {}),
        ((X, True), {}),
        ((X, "1"), {}),
        ((X, None), {}),
        ((X, b"1"), {}),
        ((X, mx.float32), {}),
        ((X, mx.sin), {}),
        ((X, [Y]), {}),
        ((X, (Y,)), {}),
        ((X, [[Y]]), {}),
        ((X, [Y], Y), {}),
        ((X, {"a": Y}), {}),
        ((X, {"b": Y}), {}),
        ((X, {1: Y}), {}),
        ((X, {"1": Y}), {}),
        ((X, {}), {}),
        ((X,), {"k": Y}),
        ((X,), {"k": 1}),
        ((X, [1, 2], [3]), {}),
        ((X, [1], [2, 3]), {}),
    ]
    for n, (args, kwargs) in enumerate(kinds, 1):
        for _ in range(2):
            c.compiled(*args, **kwargs)
        assert c.runs == n, (args, kwargs)
    for args, kwargs in kinds:
        c.compiled(*args, **kwargs)
    assert c.runs == len(kinds)


def test_functions_in_arguments_count_by_identity():
    c = Counted(lambda x, f: f(x))
    for i in range(50):  # each function dies after its call: its address may be used again
        assert c.compiled(X, lambda x, i=i: x * i).item() == 2.0 * i


def test_results_keep_their_structure_and_constants():
    out = mx.compile(lambda x: [x, {"k": (x + 1, 3, "s", None)}, x])(X)
    assert isinstance(out, list)
    assert out[1]["k"][1:] == (3, "s", None)
    assert isinstance(out[1]["k"], tuple)
    assert out[1]["k"][0].item() == 3.0
    Pair = collections.namedtuple("Pair", "a b")
    pair = mx.compile(lambda p: Pair(p.b, p.a))(Pair(X, Y))
    assert isinstance(pair, Pair)
    assert (pair.a.item(), pair.b.item()) == (3.0, 2.0)
    assert mx.compile(lambda n: mx.array(n) * 2)(3).item() == 6


def test_arguments_may_be_lazy_repeated_or_returned_as_they_are():
    f = mx.compile(lambda a, b: (a, a + b))
    same, total = f(X + 1, X + 1)
    assert (same.item(), total.item()) == (3.0, 6.0)
    assert f(X, X)[1].item() == 4.0


def test_captured_arrays_are_constants_unless_they_are_inputs():
    state = {"w": X, "deep": [(Y, {"v": V})]}
    constant = mx.compile(lambda a: a * state["w"])
    captured = mx.compile(lambda a: a * state["w"] * state["deep"][0][0] + state["deep"][0][1]["v"], inputs=state)
    assert constant(Y).item() == 6.0
    assert captured(Y).tolist() == [19.0, 20.0, 21.0]
    state["w"] = mx.array(10.0)
    state["deep"][0] = (X, {"v": V + 1})
    assert constant(Y).item() == 6.0
    assert captured(Y).tolist() == [62.0, 63.0, 64.0]
    assert state["w"].item() == 10.0  # the trees hold values again


def test_outputs_are_replaced_in_place():
    state = {"sum": mx.array(0.0), "kept": [mx.array(1.0)]}
    inner = state["kept"]

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def add(x):
        state["sum"] = state["sum"] + x
        inner[0] = inner[0] * 2
        return x

    for i in range(1, 5):
        add(mx.array(float(i)))
    assert state["sum"].item() == 10.0
    assert inner[0].item() == 16.0
    assert state["kept"] is inner


def test_outputs_may_grow_as_the_function_does():
    state = []

    @functools.partial(mx.compile, outputs=state)
    def push(x):
        state.append(x + 1)
        return x

    push(X)
    push(Y)
    assert [a.item() for a in state] == [3.0, 4.0]


def test_an_optimizer_that_makes_its_state_in_the_first_call():
    parameters, state = {"w": V}, {}

    def step(x):
        gradient = mx.grad(lambda p: ((p["w"] * x) ** 2).sum())(parameters)["w"]
        if "m" not in state:
            state["m"] = mx.zeros_like(gradient)
        state["m"] = 0.9 * state["m"] + gradient
        parameters["w"] = parameters["w"] - 0.01 * state["m"]
        return (parameters["w"] ** 2).sum()

    c = Counted(step, inputs=[parameters, state], outputs=[parameters, state])
    compiled = [c.compiled(X).item() for _ in range(5)]
    assert c.runs == 2  # without state, then with it
    parameters["w"] = V
    state.clear()
    assert compiled == pytest.approx([step(X).item() for _ in range(5)], rel=1e-6)


def test_other_leaves_of_captured_trees_are_passed_over():
    state = {"w": X, "name": object(), "n": 3}
    f = mx.compile(lambda a: a * state["w"] * state["n"], inputs=state, outputs=state)
    assert f(X).item() == 12.0
    state["n"] = 4  # plain numbers are part of the key
    assert f(X).item() == 16.0


@pytest.mark.parametrize("tree", [X, (X, [Y]), (([X],), (Y,))])
def test_captured_arrays_must_be_replaceable(tree):
    for option in ("inputs", "outputs"):
        with pytest.raises(TypeError, match="lists or dicts"):
            mx.compile(lambda a: a, **{option: tree})


def test_random_state_is_captured():
    state = mx.random.state
    f = mx.compile(lambda: mx.random.uniform(shape=(4,)), inputs=state, outputs=state)
    mx.random.seed(5)
    compiled = [f().tolist() for _ in range(3)]
    mx.random.seed(5)
    assert compiled == [mx.random.uniform(shape=(4,)).tolist() for _ in range(3)]
    assert compiled[0] != compiled[1]
    assert mx.random.state is state
    frozen = mx.compile(lambda: mx.random.uniform(shape=(4,)))
    assert frozen().tolist() == frozen().tolist()


def test_dropout_and_state_in_one_step():
    parameters = {"w": mx.ones((8,))}
    state = [parameters, mx.random.state]

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def step():
        mask = mx.random.bernoulli(0.5, (8,))
        parameters["w"] = parameters["w"] + mask
        return mask

    mx.random.seed(1)
    masks = [np.array(step()) for _ in range(4)]
    np.testing.assert_array_equal(np.array(parameters["w"]), 1 + np.sum(masks, 0))
    assert len({m.tobytes() for m in masks}) > 1


def test_an_error_while_recording_leaves_everything_as_it_was():
    state = {"w": X}

    def f(x):
        state["w"] = state["w"] * x
        if x.shape == (3,):
            raise KeyError("mine")
        return x

    compiled = mx.compile(f, inputs=state, outputs=state)
    with pytest.raises(KeyError, match="mine"):
        compiled(V)
    mx.grad(lambda x: x * x)(X)
    assert state["w"] is X
    compiled(Y)
    assert state["w"].item() == 6.0


@pytest.mark.parametrize(
    "look", [lambda x: x.item(), lambda x: mx.eval(x), lambda x: bool(x > 1), lambda x: str(x), lambda x: np.array(x)]
)
def test_values_cannot_be_looked_at(look):
    with pytest.raises(ValueError, match="traced"):
        mx.compile(lambda x: (look(x), x)[1])(X)
    assert mx.compile(lambda x: x + 1)(X).item() == 3.0


def test_what_is_refused():
    with pytest.raises(TypeError, match="function"):
        mx.compile(3)
    with pytest.raises(TypeError, match="object"):
        mx.compile(lambda a, b: a)(X, object())


def test_disabled():
    c = Counted(lambda x: x + x.item())
    mx.disable_compile()
    for _ in range(3):
        assert c.compiled(X).item() == 4.0
    assert c.runs == 3
    mx.enable_compile()
    with pytest.raises(ValueError, match="traced"):
        c.compiled(X)


def test_other_shapes_and_shapeless():
    c = Counted(lambda x: (x * x).sum(-1), shapeless=True)
    for shape in [(3,), (5,), (2, 4)]:
        a = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        np.testing.assert_allclose(np.array(c.compiled(mx.array(a))), (a * a).sum(-1), rtol=1e-6)


def test_nested():
    inner = mx.compile(lambda x: x * 3)
    outer = mx.compile(lambda x: inner(x) + inner(x + 1))
    assert outer(V).tolist() == [9.0, 15.0, 21.0]
    assert mx.compile(mx.grad(lambda a: (a**3).sum()))(V).tolist() == [3.0, 12.0, 27.0]
    assert mx.grad(mx.compile(lambda a: (a**3).sum()))(V).tolist() == [3.0, 12.0, 27.0]
    assert mx.grad(mx.grad(mx.compile(lambda a: a**3)))(X).item() == pytest.approx(12.0)
    assert mx.vmap(mx.compile(lambda a: a * 2))(V).tolist() == [2.0, 4.0, 6.0]
    assert mx.compile(mx.vmap(lambda a: a * 2))(V).tolist() == [2.0, 4.0, 6.0]
    assert mx.compile(mx.checkpoint(lambda a: a * 2))(V).tolist() == [2.0, 4.0, 6.0]


def test_attributes_of_the_function():
    def f(x):
        """Doc."""
        return x

    compiled = mx.compile(f)
    assert compiled.__name__ == "f"
    assert compiled.__wrapped__ is f
    with pytest.raises(AttributeError):
        compiled.nothing  # noqa: B018


def test_a_compiled_function_that_holds_itself_is_collected():
    class Model:
        def __init__(self):
            self.step = mx.compile(lambda x: x * len(repr(self.__class__)))
            self.step(X)

    model = weakref.ref(Model())
    gc.collect()
    assert model() is None


def step_of_layers(layers):
    """A training step of 1x1 convolutions on one pixel: what it costs is the graph."""
    weights = [mx.eye(4).reshape(4, 1, 1, 4) for _ in range(layers)]
    biases = [mx.zeros((4,)) for _ in range(layers)]
    x = mx.ones((1, 1, 1, 4))

    def step(weights, biases, x):
        def loss(p):
            h = x
            for w, b in zip(*p, strict=True):
                h = mx.maximum(mx.conv2d(h, w) + b, 0.0)
            return (h**2).mean()

        value, (gw, gb) = mx.value_and_grad(loss)((weights, biases))
        return (
            value,
            [w - 0.01 * g for w, g in zip(weights, gw, strict=True)],
            [b - 0.01 * g for b, g in zip(biases, gb, strict=True)],
        )

    return step, (weights, biases, x)


def test_a_call_costs_at_most_half_of_tracing():
    step, args = step_of_layers(20)
    compiled = mx.compile(step)

    def fastest(f):
        times = []
        for _ in range(30):
            start = time.perf_counter()
            f(*args)
            times.append(time.perf_counter() - start)
        return min(times)

    mx.eval(compiled(*args))
    assert fastest(compiled) < fastest(step) / 2


@pytest.mark.parametrize("new_entry", [False, True])
def test_a_function_that_fails_leaves_what_it_had_captured(new_entry):
    layer = nn.Linear(2, 2)
    held = {"a": mx.ones((3,)), "layers": [mx.zeros((1,)), {"b": mx.ones((1,))}], "module": layer}
    before, weight = [a.tolist() for _, a in tree_flatten(held)], layer.weight

    def fails(x):
        held["a"] = held["a"] + x
        held["layers"][1]["b"] = x.sum()
        held["layers"].pop(0)
        layer.weight = layer.weight * x.sum()
        if new_entry:
            held["new"] = x * 2
        raise ArithmeticError

    compiled = mx.compile(fails, inputs=[held], outputs=[held])
    for _ in range(2):
        with pytest.raises(ArithmeticError):
            compiled(mx.ones((3,)))
        assert [a.tolist() for _, a in tree_flatten(held)] == before
        assert layer.weight is weight
        assert "new" not in held
