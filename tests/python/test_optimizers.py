# tests/python/test_optimizers.py -- optimizers against their formulas in NumPy and MLX; state, errors
import doctest
import inspect
import math

import numpy as np
import pytest

import nhwc as mx
import nhwc.optimizers as optim
from nhwc.utils import tree_flatten, tree_map, tree_unflatten
from optimizer_formulas import Formulas

RATE, STEPS = 0.05, 20
CASES = [
    ("SGD", {}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"betas": [0.8, 0.9], "eps": 1e-3, "bias_correction": True}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3, "bias_correction": True}),
    ("Adamax", {}),
    ("RMSprop", {"alpha": 0.9}),
    ("Adagrad", {}),
    ("AdaDelta", {}),
    ("Lion", {}),
    ("Lion", {"weight_decay": 0.1}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "ns_steps": 3, "weight_decay": 0.0}),
    ("Adafactor", {}),
    ("Adafactor", {"relative_step": False}),
    ("Adafactor", {"beta_1": 0.9, "weight_decay": 0.1, "warmup_init": True}),
    ("Adafactor", {"scale_parameter": False, "decay_rate": -0.5, "clip_threshold": 0.5}),
]
IDS = ["-".join([name, *(f"{k}={v}" for k, v in options.items())]) for name, options in CASES]
SHAPES = {"a": (5, 3), "layers": [{"w": (2, 3, 3, 4), "b": (4,)}, {"w": (3, 7), "b": (1,)}], "scale": ()}


def trees(rng, steps=STEPS):
    """Parameters and the gradients of each step, float32 in NumPy."""

    def draw(shapes):
        if isinstance(shapes, dict):
            return {key: draw(item) for key, item in shapes.items()}
        if isinstance(shapes, list):
            return [draw(item) for item in shapes]
        return np.asarray(rng.normal(size=shapes), np.float32)

    return draw(SHAPES), [draw(SHAPES) for _ in range(steps)]


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_the_formula(rng, name, options):
    start, gradients = trees(rng)
    optimizer = getattr(optim, name)(RATE, **options)
    found = tree_map(mx.array, start)
    for g in gradients:
        found = optimizer.apply_gradients(tree_map(mx.array, g), found)
    assert optimizer.step.item() == STEPS
    for path, w in tree_flatten(start):
        wanted = w.astype(np.float64)
        rule = Formulas(name, wanted, RATE)
        for t, g in enumerate(gradients, 1):
            wanted = rule.rule(t, wanted, dict(tree_flatten(g))[path].astype(np.float64), **options)
        got = np.array(dict(tree_flatten(found))[path])
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5, err_msg=path)


@pytest.mark.parametrize(
    ("dtype", "of_gradients"),
    [("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float16"), ("float32", "bfloat16")],
    ids=["float32", "bfloat16", "float16", "bfloat16-gradients"],
)
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_equals_mlx(rng, name, options, dtype, of_gradients):
    core, mlx_optim, mlx_utils = (pytest.importorskip(f"mlx.{m}") for m in ("core", "optimizers", "utils"))
    if dtype == "float16" and name not in ("SGD", "Lion", "Muon"):
        pytest.skip("what it adds to denominators is zero in float16")
    start, gradients = trees(rng)
    ours, theirs = getattr(optim, name)(RATE, **options), getattr(mlx_optim, name)(RATE, **options)

    def here(tree, dtype):
        return tree_map(lambda x: mx.array(x).astype(getattr(mx, dtype)), tree)

    def there(tree, dtype):
        return mlx_utils.tree_map(lambda x: core.array(x).astype(getattr(core, dtype)), tree)

    a, b = here(start, dtype), there(start, dtype)
    for g in gradients:
        a, b = ours.apply_gradients(here(g, of_gradients), a), theirs.apply_gradients(there(g, of_gradients), b)
    held_a, held_b = tree_flatten([a, ours.state]), mlx_utils.tree_flatten([b, theirs.state])
    assert [path for path, _ in held_a] == [path for path, _ in held_b]
    # Sums and products of matrices differ in their order; what is rounded to half types on the way is so in MLX.
    exact = name not in ("Muon", "Adafactor")
    rounded = of_gradients if dtype == "float32" else dtype
    tolerance = {"float32": 2e-6, "bfloat16": 3e-2, "float16": 3e-3}[rounded]
    for (path, x), (_, y) in zip(held_a, held_b, strict=True):
        assert str(x.dtype).split(".")[-1] == str(y.dtype).split(".")[-1], path
        x, y = np.array(x.astype(mx.float32)), np.array(y.astype(core.float32))
        if exact and rounded == "float32":
            tolerance = 1e-6
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * np.abs(y).max(), err_msg=path)


@pytest.mark.parametrize(
    ("make", "numbers"),
    [
        (optim.Adam, {"betas": (0.5, 0.25), "eps": 0.125}),
        (optim.SGD, {"momentum": 0.5, "weight_decay": 0.25}),
        (optim.Adafactor, {"beta_1": 0.5, "weight_decay": 0.25}),
        (optim.Muon, {"momentum": 0.5, "weight_decay": 0.25}),
    ],
    ids=["Adam", "SGD", "Adafactor", "Muon"],
)
def test_numbers_may_be_numpys(make, numbers):
    def run(convert):
        parameters, options = {"w": mx.arange(6.0).reshape(2, 3)}, tree_map(convert, numbers)
        optimizer = make(convert(0.5), **options)
        for _ in range(2):
            parameters = optimizer.apply_gradients({"w": mx.ones((2, 3))}, parameters)
        return parameters["w"].tolist()

    assert run(np.float32) == run(float)


def test_a_compiled_training_step(rng):
    """Parameters and the optimizer's state as inputs and outputs of compile, as in MLX's examples."""
    x, y = mx.array(rng.normal(size=(16, 3)).astype(np.float32)), mx.array(rng.normal(size=(16,)).astype(np.float32))

    def loss(p):
        return mx.square(x @ p["w"] + p["b"] - y).mean()

    def train(compiled):
        model = {"w": mx.zeros((3,)), "b": mx.zeros(())}
        optimizer = optim.AdamW(optim.cosine_decay(0.1, 20), bias_correction=True)
        optimizer.init(model)
        state = [model, optimizer.state]

        def step():
            value, gradients = mx.value_and_grad(loss)(model)
            optimizer.update(model, gradients)
            return value

        run = mx.compile(step, inputs=state, outputs=state) if compiled else step
        losses = [run().item() for _ in range(20)]
        return losses, model, optimizer

    (eager, a, _), (fused, b, optimizer) = train(False), train(True)
    np.testing.assert_allclose(eager, fused, rtol=1e-5)
    np.testing.assert_allclose(np.array(a["w"]), np.array(b["w"]), rtol=1e-5)
    assert optimizer.step.item() == 20
    assert fused[-1] < fused[0]


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adafactor", "AdaDelta"])
def test_the_state_is_saved_and_loaded(rng, tmp_path, name):
    start, gradients = trees(rng, 6)
    optimizer = getattr(optim, name)(RATE)
    w = tree_map(mx.array, start)
    for g in gradients[:3]:
        w = optimizer.apply_gradients(tree_map(mx.array, g), w)
    mx.save_safetensors(str(tmp_path / "state.safetensors"), tree_flatten(optimizer.state, destination={}))
    resumed = getattr(optim, name)(1.0)
    resumed.state = tree_unflatten(mx.load(str(tmp_path / "state.safetensors")))
    resumed.init(w)  # keeps what is there
    other = w
    for g in gradients[3:]:
        w = optimizer.apply_gradients(tree_map(mx.array, g), w)
        other = resumed.apply_gradients(tree_map(mx.array, g), other)
    assert resumed.step.item() == 6
    for (path, a), (_, b) in zip(tree_flatten(w), tree_flatten(other), strict=True):
        assert mx.array_equal(a, b), path


@pytest.mark.parametrize("direction", ["to MLX", "from MLX"])
def test_the_state_passes_between_us_and_mlx(rng, tmp_path, direction):
    core, mlx_optim, mlx_utils = (pytest.importorskip(f"mlx.{m}") for m in ("core", "optimizers", "utils"))
    here, there = (
        (mx, optim, tree_map, tree_flatten, tree_unflatten),
        (
            core,
            mlx_optim,
            mlx_utils.tree_map,
            mlx_utils.tree_flatten,
            mlx_utils.tree_unflatten,
        ),
    )
    first, second = (here, there) if direction == "to MLX" else (there, here)
    start, gradients = trees(rng, 5)
    file = str(tmp_path / "state.safetensors")

    def run(side, optimizer, w, steps):
        for g in steps:
            w = optimizer.apply_gradients(side[2](side[0].array, g), side[2](side[0].array, w))
            w = side[2](np.array, w)
        return w

    optimizer = first[1].AdamW(RATE)
    w = run(first, optimizer, start, gradients[:3])
    first[0].save_safetensors(file, first[3](optimizer.state, destination={}))
    resumed = second[1].AdamW(1.0)
    resumed.state = second[4](list(second[0].load(file).items()))
    a, b = run(first, optimizer, w, gradients[3:]), run(second, resumed, w, gradients[3:])
    for (path, x), (_, y) in zip(tree_flatten(a), tree_flatten(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7, err_msg=path)


def test_gradients_of_a_part_of_the_parameters():
    parameters = {"a": mx.array([1.0]), "frozen": [mx.array([2.0])], "b": (mx.array([3.0]),)}
    optimizer = optim.SGD(0.5, momentum=0.5)
    new = optimizer.apply_gradients({"a": mx.array([1.0])}, parameters)
    assert tree_flatten(tree_map(mx.array.tolist, new)) == [("a.0", 0.5)]
    # What gets a gradient later has its state made then.
    new = optimizer.apply_gradients({"a": mx.array([1.0]), "b": (mx.array([1.0]),)}, parameters)
    assert isinstance(new["b"], tuple)
    assert (new["a"].item(), new["b"][0].item()) == (0.25, 2.5)
    assert isinstance(optimizer.state["b"], tuple)


def test_entries_of_a_list_that_get_gradients_later():
    one, parameters = mx.array([1.0]), {"a": [mx.array([1.0]), mx.array([2.0]), mx.array([3.0])]}
    for first in ({"a": [one]}, {"a": [{}, one]}, {"a": [{}, {}, one]}):
        optimizer = optim.SGD(0.5, momentum=0.5)
        optimizer.apply_gradients(first, parameters)
        new = optimizer.apply_gradients({"a": [one] * 3}, parameters)
        late = [0.5, 1.5, 2.5]
        expected = [x - 0.25 * isinstance(g, mx.array) for x, g in zip(late, [*first["a"], {}, {}], strict=False)]
        assert [w.item() for w in new["a"]] == expected


def test_a_dict_keeps_what_has_no_gradient():
    one = mx.array([1.0])
    model = {"a": {"w": mx.array([1.0]), "rest": mx.array([3.0])}, "b": [one, one], "c": (one, mx.array([2.0]))}
    layers = model["b"]
    optim.SGD(0.5).update(model, {"a": {"w": one}, "b": [{}, one], "c": (one,)})
    held = [(path, leaf.item()) for path, leaf in tree_flatten(model)]
    assert held == [("a.w", 0.5), ("a.rest", 3.0), ("b.0", 1.0), ("b.1", 0.5), ("c.0", 0.5), ("c.1", 2.0)]
    assert model["b"] is layers
    assert isinstance(model["c"], tuple)


@pytest.mark.parametrize("steps_before", [0, 1])
def test_a_step_that_fails_leaves_everything(steps_before):
    two, three = mx.ones((2,)), mx.ones((3,))
    optimizer = optim.Adam(optim.exponential_decay(0.5, 0.5))
    parameters = {"a": two, "b": two}
    for _ in range(steps_before):
        optimizer.apply_gradients({"a": two, "b": two}, parameters)
    before = tree_flatten(tree_map(mx.array.tolist, optimizer.state))
    with pytest.raises(ValueError, match="'b' has shape"):
        optimizer.apply_gradients({"a": two, "b": three}, parameters)
    assert tree_flatten(tree_map(mx.array.tolist, optimizer.state)) == before
    optimizer.apply_gradients({"a": two, "b": two}, parameters)
    assert optimizer.state["b"]["m"].shape == (2,)


def test_an_optimizer_of_ones_own():
    class Signs(optim.Optimizer):
        def __init__(self, learning_rate):
            super().__init__()
            self._maybe_schedule("learning_rate", learning_rate)

        def init_single(self, parameter, state):
            state["seen"] = mx.array(0)

        def apply_single(self, gradient, parameter, state):
            state["seen"] = state["seen"] + 1
            return parameter - self.learning_rate * mx.sign(gradient)

    class Halved(optim.Adam):
        def apply_single(self, gradient, parameter, state):
            return super().apply_single(gradient / 2, parameter, state)

    optimizer, w = Signs(0.25), {"w": mx.array([1.0, 1.0])}
    for _ in range(2):
        w = optimizer.apply_gradients({"w": mx.array([5.0, -5.0])}, w)
    assert w["w"].tolist() == [0.5, 1.5]
    assert optimizer.state["w"]["seen"].item() == 2
    halved, plain = Halved(0.1, eps=1.0), optim.Adam(0.1, eps=1.0)
    g = mx.array([3.0])
    assert mx.array_equal(
        halved.apply_gradients({"w": g}, {"w": g})["w"], plain.apply_gradients({"w": g / 2}, {"w": g})["w"]
    )
    for method in ("init_single", "apply_single"):
        with pytest.raises(NotImplementedError, match=method):
            getattr(optim.Optimizer(), method)(*[g] * (1 + (method == "apply_single")), {})


def several():
    return optim.MultiOptimizer(
        [optim.Lion(0.5), optim.SGD(0.25, momentum=0.5), optim.SGD(0.125)],
        [lambda path, w: path.endswith("0.w"), lambda path, w: w.ndim == 1],
    )


def test_several_optimizers(rng):
    both = several()
    start, gradients = trees(rng, 3)
    w = tree_map(mx.array, start)
    both.init(w)
    wanted = dict(tree_flatten(w))
    alone = {
        path: optim.Lion(0.5)
        if path == "layers.0.w"
        else optim.SGD(0.25, momentum=0.5)
        if leaf.ndim == 1
        else optim.SGD(0.125)
        for path, leaf in wanted.items()
    }
    for g in gradients:
        w = both.apply_gradients(tree_map(mx.array, g), w)
        for path, leaf in tree_flatten(g):
            wanted[path] = alone[path].apply_gradients({"w": mx.array(leaf)}, {"w": wanted[path]})["w"]
    assert [path for path, _ in tree_flatten(w)] == list(wanted)
    for path, leaf in tree_flatten(w):
        assert mx.array_equal(leaf, wanted[path]), path
    resumed = several()
    resumed.state = tree_unflatten(tree_flatten(both.state))
    g = tree_map(mx.array, gradients[0])
    for (_, a), (_, b) in zip(
        tree_flatten(both.apply_gradients(g, w)), tree_flatten(resumed.apply_gradients(g, w)), strict=True
    ):
        assert mx.array_equal(a, b)
    both.learning_rate = 1.0
    assert [o.learning_rate.item() for o in both.optimizers] == [1.0] * 3
    assert both.learning_rate.item() == 1.0
    assert both.step.item() == 4


def test_clipping(rng):
    start, _ = trees(rng, 0)
    norm = math.sqrt(sum(float((x.astype(np.float64) ** 2).sum()) for _, x in tree_flatten(start)))
    for most, factor in ((norm / 4, norm / 4 / (norm + 1e-6)), (norm * 2, 1.0)):
        clipped, found = optim.clip_grad_norm(tree_map(mx.array, start), most)
        assert found.item() == pytest.approx(norm, rel=1e-6)
        for (_, x), (path, y) in zip(tree_flatten(start), tree_flatten(clipped), strict=True):
            np.testing.assert_allclose(np.array(y), x * factor, rtol=1e-6, err_msg=path)
    assert optim.clip_grad_norm({}, 1.0)[1].item() == 0
    assert optim.clip_grad_norm({"w": mx.array([3, 4])}, 2.5)[0]["w"].tolist() == pytest.approx([1.5, 2.0])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: optim.SGD(None), TypeError, r"\[SGD\] learning_rate must be a number.*got None"),
        (lambda: optim.Adam("0.1"), TypeError, r"\[Adam\] learning_rate"),
        (lambda: optim.Lion(mx.ones((2,))), TypeError, r"an array of shape \(2,\)"),
        (lambda: optim.SGD(lambda step: None), TypeError, r"\[SGD\] learning_rate"),
        (lambda: optim.SGD(0.1, momentum=-1), ValueError, r"\[SGD\] momentum must be a number at least 0, got -1"),
        (lambda: optim.SGD(0.1, nesterov=True), ValueError, r"\[SGD\] nesterov needs a momentum"),
        (lambda: optim.SGD(0.1, 0.9, dampening=0.1, nesterov=True), ValueError, "no dampening"),
        (lambda: optim.Adam(0.1, betas=[0.9, 1.0]), ValueError, r"\[Adam\] each of betas must be .* in \[0, 1\)"),
        (lambda: optim.AdamW(0.1, betas=0.9), ValueError, r"\[AdamW\] betas must be two numbers"),
        (lambda: optim.AdamW(0.1, weight_decay=-1), ValueError, r"\[AdamW\] weight_decay"),
        (lambda: optim.Adamax(0.1, eps=-1), ValueError, r"\[Adamax\] eps"),
        (lambda: optim.Lion(0.1, betas=[0.9]), ValueError, r"\[Lion\] betas"),
        (lambda: optim.RMSprop(0.1, alpha=-1), ValueError, r"\[RMSprop\] alpha"),
        (lambda: optim.Adagrad(0.1, eps=math.nan), ValueError, r"\[Adagrad\] eps"),
        (lambda: optim.AdaDelta(0.1, rho=-1), ValueError, r"\[AdaDelta\] rho"),
        (lambda: optim.Muon(0.1, ns_steps=0), ValueError, r"\[Muon\] ns_steps"),
        (lambda: optim.Adafactor(relative_step=False), ValueError, r"\[Adafactor\] without relative_step"),
        (lambda: optim.Adafactor(eps=1e-3), ValueError, r"\[Adafactor\] eps"),
        (lambda: optim.Adafactor(beta_1=1.0), ValueError, r"\[Adafactor\] beta_1"),
        (lambda: optim.MultiOptimizer([optim.SGD(1), optim.SGD(1)]), ValueError, "2 optimizers need 1 filters, got 0"),
        (lambda: optim.MultiOptimizer([]), ValueError, r"\[MultiOptimizer\]"),
        (lambda: optim.step_decay(1, 1, 0), ValueError, r"\[step_decay\] step_size must be a number greater than 0"),
        (lambda: optim.linear_schedule(0, 1, 0), ValueError, r"\[linear_schedule\] steps"),
        (lambda: optim.cosine_decay(1, 0), ValueError, r"\[cosine_decay\] decay_steps"),
        (lambda: optim.join_schedules([], []), ValueError, "at least one schedule"),
        (lambda: optim.join_schedules([abs, abs], []), ValueError, "2 schedules need 1 boundaries, got 0"),
    ],
)
def test_bad_arguments(make, error, text):
    with pytest.raises(error, match=text):
        make()


ONE = mx.array([1.0])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda o: o.init({"a": {"b": 3}}), TypeError, r"parameters hold a int at 'a.b'; expected arrays"),
        (lambda o: o.init([ONE]), TypeError, r"must be in a dict, got list"),
        (lambda o: o.init({"step": ONE}), ValueError, r"'step' is the state's own"),
        (lambda o: o.apply_gradients({"a": [None]}, {"a": [ONE]}), TypeError, r"hold a NoneType at 'a.0'"),
        (lambda o: o.apply_gradients({"a": ONE}, {"a": 1.0}), TypeError, r"parameters hold a float at 'a'"),
        (lambda o: o.apply_gradients(o.update({}, {}), {}), TypeError, r"hold a NoneType at 'the root'"),
        (lambda o: o.apply_gradients({"a": ONE}, None), ValueError, r"a gradient of 'a', but no such"),
        (lambda o: o.apply_gradients({"a": [ONE]}, {"b": [ONE]}), ValueError, r"a gradient of 'a', but no such"),
        (lambda o: o.apply_gradients({"a": [ONE]}, {"a": []}), ValueError, r"a gradient of 'a.0', but no such"),
        (lambda o: o.apply_gradients({"a": ONE}, {"a": mx.ones((2,))}), ValueError, r"'a' has shape \(1,\)"),
        (lambda o: setattr(o, "state", None), TypeError, r"\[SGD\] the state must be a dict"),
        (lambda o: setattr(o, "learning_rate", None), TypeError, r"\[SGD\] learning_rate"),
        (lambda o: setattr(several(), "state", {}), ValueError, r"'states': \[...\]\} with 3 entries"),
        (lambda o: several().init({"a": 1}), TypeError, r"hold a int at 'a'"),
        (lambda o: optim.clip_grad_norm({"a": 1}, 1.0), TypeError, r"\[clip_grad_norm\] the gradients hold a int"),
    ],
)
def test_bad_trees(call, error, text):
    with pytest.raises(error, match=text):
        call(optim.SGD(0.1))


def test_every_name_of_mlx():
    theirs = pytest.importorskip("mlx.optimizers")
    for name in optim.__all__:
        ours, other = (inspect.signature(getattr(module, name)) for module in (optim, theirs))
        assert list(ours.parameters) == list(other.parameters), name
        for a, b in zip(ours.parameters.values(), other.parameters.values(), strict=True):
            same = a.default == b.default or list(a.default or ()) == list(b.default or ())
            assert same, (name, a, b)
    public = {n for n, v in vars(theirs).items() if getattr(v, "__module__", "").startswith("mlx.optimizers")}
    assert public == set(optim.__all__)


def documented():
    finder = doctest.DocTestFinder(exclude_empty=False)
    for name in optim.__all__:
        for test in finder.find(getattr(optim, name), name, globs={"mx": mx, "optim": optim}):
            owner, _, method = test.name.partition(".")
            # What a subclass overrides is explained where it is declared.
            if not method.startswith("_") and (not method or owner == "Optimizer"):
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("test", list(documented()))
def test_docstring(test):
    assert len(test.docstring.split()) >= 5, f"{test.name} has no docstring"
    output = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)
