# tests/python/test_nn_module.py -- Module: what it holds, replacing, freezing, modes, weight files, transformations
import functools
import gc
import inspect

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
import nhwc.optimizers as optim
from beside_mlx import flat, libraries
from nhwc.utils import tree_flatten, tree_map


def mixed(nn, mx):
    """A module with everything that one may hold, in either library."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = [nn.Linear(2, 3), {"inner": nn.Linear(2, 2), "text": "t", "array": mx.ones((2,))}]
            self.pair = (nn.Linear(2, 2), mx.ones((1,)))
            self._hidden = mx.ones((3,))
            self.w = mx.ones((2,))
            self.number = 5
            self.table = {"_private": mx.ones((1,)), "public": mx.ones((4,))}

    return Mixed()


@pytest.fixture
def model():
    return mixed(nn, mx)


def shapes(tree):
    return tree_map(lambda a: a.shape if hasattr(a, "shape") else type(a).__name__, tree)


def names(tree):
    return [name for name, _ in tree_flatten(tree)]


ALL = ["blocks.0.weight", "blocks.0.bias", "blocks.1.inner.weight", "blocks.1.inner.bias", "blocks.1.array", "w"]
ALL += ["table._private", "table.public"]


def test_what_a_module_holds(model):
    assert names(model.parameters()) == ALL
    assert model.parameters()["blocks"][1]["text"] == {}
    assert list(model) == ["blocks", "pair", "_hidden", "w", "table"]
    assert [name for name, _ in model.named_modules()] == ["", "blocks.1.inner", "blocks.0"]
    assert [type(m).__name__ for m in model.modules()] == ["Mixed", "Linear", "Linear"]
    assert model.children()["blocks"][0] is model.blocks[0]
    assert model.leaf_modules()["blocks"][1]["inner"] is model.blocks[1]["inner"]
    assert nn.Sequential(model).leaf_modules()["layers"][0]["blocks"][0] is model.blocks[0]
    assert model.state is model
    assert repr(model) == (
        "Mixed(\n  (blocks.0): Linear(input_dims=2, output_dims=3, bias=True)\n"
        "  (blocks.1.inner): Linear(input_dims=2, output_dims=2, bias=True)\n)"
    )


def test_attributes_are_entries_and_entries_attributes(model):
    model.w = 5
    assert "w" not in model
    assert model.w == 5
    model.w = mx.zeros((1,))
    assert "w" not in vars(model)
    assert model["w"] is model.w
    del model.w
    with pytest.raises(AttributeError, match="'Mixed' object has no attribute 'w'"):
        model.w  # noqa: B018
    with pytest.raises(AttributeError):
        del model.w
    del model.number
    assert not hasattr(model, "number")
    with pytest.raises(AttributeError):
        model.training = False


def test_filter_and_map(model):
    everything = shapes(model.filter_and_map(lambda m, k, v: True))
    assert everything["blocks"][1]["text"] == "str"
    assert everything["pair"] == ({"weight": (2, 2), "bias": (2,)}, (1,))
    kinds = model.filter_and_map(
        nn.Module.valid_child_filter, lambda m: type(m).__name__, lambda m, k, v: isinstance(v, nn.Module)
    )
    assert kinds["blocks"] == ["Linear", {"inner": "Linear", "text": {}, "array": {}}]
    seen = []
    model.filter_and_map(lambda m, k, v: seen.append((type(m).__name__, k)) or True)
    assert ("Mixed", "blocks.1.text") in seen
    assert ("Linear", "weight") in seen
    with pytest.raises(RuntimeError, match="is_leaf_fn takes 'w', an array, for no leaf"):
        model.filter_and_map(lambda m, k, v: k == "w", is_leaf_fn=lambda m, k, v: False)


def test_update(model):
    new = tree_map(lambda a: a + 1, model.parameters())
    assert model.update(new) is model
    assert model.w.tolist() == [2, 2]
    assert model.table["public"].tolist() == [2] * 4
    model.update({"blocks": [{}, {"inner": {"bias": mx.array([7.0, 8.0])}}]})
    assert model.blocks[1]["inner"].bias.tolist() == [7, 8]
    model.update({"unknown": mx.ones((1,)), "w": mx.zeros((2,))}, strict=False)
    assert model.w.tolist() == [0, 0]
    assert "unknown" not in model


@pytest.mark.parametrize(("change", "message"), [
    ({"z": mx.ones((1,))}, r"\[Module.update\] the Mixed has no entry 'z'; it has blocks, pair, _hidden, w, table"),
    ({"number": mx.ones((1,))}, "no entry 'number'"),
    ({"w": 3}, r"'w', an array, cannot be replaced by an int"),
    ({"w": {"a": mx.ones((1,))}}, r"'w', an array, cannot be replaced by a dict"),
    ({"blocks": [{}, {}, mx.ones((1,))]}, r"list 'blocks' has no entry 2; its length is 2"),
    ({"blocks": [{"weights": mx.ones((1,))}]}, r"Linear 'blocks.0' has no entry 'weights'; it has weight, bias"),
    ({"blocks": mx.ones((1,))}, r"'blocks', a list, cannot be replaced by an array"),
])  # fmt: skip
def test_update_refuses(model, change, message):
    with pytest.raises(ValueError, match=message):
        model.update(change)


def test_update_refuses_what_is_no_array_without_strict_too(model):
    with pytest.raises(ValueError, match="'w', an array, cannot be replaced by an int"):
        model.update({"w": 3}, strict=False)


def test_update_modules(model):
    other = nn.Linear(5, 5)
    assert model.update_modules({"blocks": [other, {"inner": {}}]}) is model
    assert model.blocks[0] is other
    doubled = tree_map(
        lambda m: nn.Sequential(m, nn.ReLU()) if isinstance(m, nn.Module) else m,
        model.leaf_modules(),
        is_leaf=nn.Module.is_module,
    )
    model.update_modules(doubled)
    assert model.blocks[1]["inner"].layers[0].weight.shape == (2, 2)
    for change, message in [
        ({"blocks": [mx.ones((1,))]}, r"\[Module.update_modules\] 'blocks.0', a Sequential, cannot be .* an array"),
        ({"z": other}, "no entry 'z'"),
        ({"w": other}, "'w', an array, cannot be replaced by a Linear"),
        ({"blocks": [{}, {}, other]}, "no entry 2; its length is 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.update_modules(change)
        model.update_modules(change, strict=False)
    assert isinstance(model.w, mx.array)
    assert isinstance(model.blocks[0], nn.Sequential)


def test_apply_and_set_dtype(model):
    model.apply(lambda a: a * 3)
    assert model.w.tolist() == [3, 3]
    assert model._hidden.tolist() == [1, 1, 1]
    model.apply(lambda a: a * 0, lambda m, k, v: nn.Module.valid_parameter_filter(m, k, v) and "weight" not in k)
    assert model.w.tolist() == [0, 0]
    assert np.any(np.array(model.blocks[0].weight))
    model.w = mx.array([1, 2])
    model.set_dtype(mx.float16)
    assert {a.dtype for _, a in tree_flatten(model.parameters())} == {mx.float16, mx.int32}
    model.set_dtype(mx.float32, lambda t: t == mx.int32)
    assert {a.dtype for _, a in tree_flatten(model.parameters())} == {mx.float16, mx.float32}
    model.set_dtype(mx.bfloat16, None)
    assert {a.dtype for _, a in tree_flatten(model.parameters())} == {mx.bfloat16}


def test_freezing(model):
    assert names(model.freeze().trainable_parameters()) == []
    assert names(model.unfreeze(keys="weight").trainable_parameters()) == [n for n in ALL if n.endswith("weight")]
    model.unfreeze(keys=["w", "blocks.1.array"], recurse=False)
    assert "blocks.1.array" in names(model.trainable_parameters())
    assert "blocks.0.bias" not in names(model.trainable_parameters())
    assert names(model.unfreeze().trainable_parameters()) == ALL
    model.freeze(recurse=False)
    assert names(model.trainable_parameters()) == [n for n in ALL if n.endswith(("weight", "bias"))]
    model.unfreeze().freeze(keys="bias", strict=True)
    assert names(model.trainable_parameters()) == [n for n in ALL if not n.endswith("bias")]
    with pytest.raises(KeyError, match="no entry 'bias' in the Mixed"):
        model.freeze(keys="bias", recurse=False, strict=True)
    with pytest.raises(KeyError, match="no entry 'z'"):
        model.unfreeze(keys=["w", "z"], strict=True)
    assert model.freeze(keys="z") is model


def test_modes(model):
    assert model.training
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert model.pair[0].training  # what a tuple holds is no child
    model.train()
    assert all(m.training for m in model.modules())


# Weight files


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
@pytest.mark.parametrize("as_path", [True, False])
def test_weights_through_a_file(model, tmp_path, kind, as_path):
    file = tmp_path / f"weights.{kind}"
    file = file if as_path else str(file)
    model.save_weights(file)
    assert sorted(mx.load(str(file))) == sorted(ALL)
    other = mixed(nn, mx)
    assert other.load_weights(file) is other
    for (name, a), (_, b) in zip(tree_flatten(model.parameters()), tree_flatten(other.parameters()), strict=True):
        assert mx.array_equal(a, b).item(), name


def test_names_that_are_numbers_in_a_dict(tmp_path):
    class Numbered(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = {"0": mx.zeros((2,)), "1": nn.Linear(1, 1)}

    a = Numbered()
    a.parts["0"] = mx.array([3.0, 4.0])
    a.save_weights(tmp_path / "w.npz")
    b = Numbered().load_weights(tmp_path / "w.npz")
    assert b.parts["0"].tolist() == [3, 4]
    assert b.parts["1"].weight.item() == a.parts["1"].weight.item()


def test_weights_that_do_not_fit(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3))
    full = dict(tree_flatten(model.parameters()))

    def loading(**changes):
        weights = {k: v for k, v in {**full, **changes}.items() if v is not None}
        return functools.partial(model.load_weights, list(weights.items()))

    for load, message in [
        (loading(**{"layers.0.bias": None}), r"\[Module.load_weights\] the weights lack .*: layers.0.bias$"),
        (loading(**{"layers.1.bias": mx.ones((1,))}), "hold what the Sequential does not have: layers.1.bias$"),
        (loading(**{"layers.0.weight": mx.ones((3, 3))}), r"'layers.0.weight' must have shape \(3, 2\), got \(3, 3\)"),
        (loading(**{"layers.0.weight": 3}), "'layers.0.weight' must be an array, got an int"),
    ]:
        with pytest.raises(ValueError, match=message):
            load()
        assert model.layers[0].weight is full["layers.0.weight"]  # nothing was taken
    loading(**{"layers.0.bias": None, "other": mx.ones((1,))})(strict=False)
    loading(**{"layers.0.weight": mx.ones((7, 7))})(strict=False)
    assert model.layers[0].weight.shape == (7, 7)
    model.load_weights([], strict=False)
    with pytest.raises(ValueError, match=r"must end in .npz or .safetensors, got 'w.bin'"):
        model.save_weights("w.bin")
    mx.save(str(tmp_path / "one.npy"), mx.ones((1,)))
    with pytest.raises(ValueError, match="holds one array without a name"):
        model.load_weights(tmp_path / "one.npy")


@pytest.mark.parametrize(
    "name",
    [
        "layers.3000000000.weight",
        ".".join(["layers"] * 5000),
        "layers." + "9" * 5000,
        "0",
        "layers.00.bias",
        "layers.-1",
    ],
    ids=["number", "depth", "digits", "position", "zeros", "negative"],
)
def test_names_that_no_parameter_has_build_nothing(name):
    model = nn.Sequential(nn.Linear(2, 3))
    before = dict(tree_flatten(model.parameters()))
    model.load_weights([(name, mx.ones((3,))), ("layers.0.bias", mx.ones((3,)))], strict=False)
    assert model.layers[0].bias.tolist() == [1.0] * 3
    assert model.layers[0].weight is before["layers.0.weight"]
    assert len(model.layers) == 1


def test_loading_without_strict_takes_arrays_that_are_no_parameters(model):
    model.load_weights([("_hidden", mx.zeros((3,))), ("table._private", mx.zeros((1,)))], strict=False)
    assert model._hidden.tolist() == [0.0] * 3
    assert model.table["_private"].tolist() == [0.0]


def test_a_step_leaves_nothing_to_the_garbage_collector():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3))
    optimizer = optim.Adam(0.1)
    step = nn.value_and_grad(model, lambda x: model(x).sum())

    def run():
        _, gradients = step(mx.ones((4, 2)))
        optimizer.update(model, gradients)
        mx.eval(model, optimizer.state)

    run()
    gc.collect()
    gc.disable()
    try:
        run()
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_either_library_reads_the_weights_of_the_other(kind, tmp_path):
    for seed, (writer, reader) in enumerate((libraries(), libraries()[::-1])):
        models = []
        for library in (writer, reader):
            library.mx.random.seed(seed + len(models))
            layers = library.nn.Conv2d(3, 4, 3), library.nn.BatchNorm(4), library.nn.PReLU(), library.nn.Linear(4, 2)
            models.append(library.nn.Sequential(*layers))
        want = flat(writer, models[0].parameters())
        file = str(tmp_path / f"{seed}.{kind}")
        models[0].save_weights(file)
        got = flat(reader, models[1].load_weights(file).parameters())
        assert list(got) == list(want)
        for name in want:
            np.testing.assert_array_equal(got[name], want[name], err_msg=name)


# Transformations


def test_value_and_grad_is_by_trainable_parameters(rng):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    model.layers[0].freeze(keys="bias")
    x = mx.array(rng.standard_normal((5, 3)).astype(np.float32))
    before = dict(tree_flatten(model.parameters()))

    def loss(x, scale=1.0):
        """The loss."""
        return (model(x) * scale).sum(), "more"

    both = nn.value_and_grad(model, loss)
    assert both.__doc__ == "The loss."
    (value, more), gradient = both(x, scale=2.0)
    assert more == "more"
    assert value.item() == pytest.approx(2 * model(x).sum().item(), rel=1e-6)
    assert names(gradient) == names(model.trainable_parameters())
    hidden = np.maximum(np.array(model.layers[0](x)), 0)
    np.testing.assert_allclose(np.array(gradient["layers"][2]["weight"])[0], 2 * hidden.sum(0), rtol=1e-5)
    assert all(a is before[name] for name, a in tree_flatten(model.parameters()))  # no tracer stays behind


def test_value_and_grad_leaves_the_parameters_after_an_error():
    model = nn.Linear(2, 1)
    weight = model.weight

    def loss(x):
        raise KeyError("from inside")

    with pytest.raises(KeyError, match="from inside"):
        nn.value_and_grad(model, loss)(mx.ones((1, 2)))
    assert model.weight is weight


def test_what_the_function_assigns_stays():
    model = nn.Linear(2, 1)

    def loss(x):
        y = model(x).sum()
        model.bias = mx.array([5.0])
        return y

    nn.value_and_grad(model, loss)(mx.ones((1, 2)))
    assert model.bias.tolist() == [5.0]


def test_value_and_grad_refuses():
    model = nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"\[nn.value_and_grad\] expected a Module, got function"):
        nn.value_and_grad(lambda x: x, lambda x: x)
    with pytest.raises(TypeError, match=r"\[nn.value_and_grad\] expected a function, got array"):
        nn.value_and_grad(model, mx.ones((1,)))
    with pytest.raises(ValueError, match="Linear has no trainable parameters"):
        nn.value_and_grad(model.freeze(), lambda x: model(x).sum())(mx.ones((1, 2)))
    with pytest.raises(ValueError, match="scalar"):
        nn.value_and_grad(model.unfreeze(), lambda x: model(x))(mx.ones((3, 2)))


def test_compiled_steps_update_the_state(rng):
    """State through compile: parameters, running statistics and the random state change as without it."""
    x = mx.array(rng.standard_normal((8, 3)).astype(np.float32))

    def trained(compiled):
        mx.random.seed(4)
        model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm(6), nn.ReLU(), nn.Dropout(0.3), nn.Linear(6, 1))
        mx.eval(model.parameters())
        state = [model.state, mx.random.state]
        both = nn.value_and_grad(model, lambda x: mx.square(model(x) - 1).mean())

        def step(x):
            loss, gradient = both(x)
            model.update(tree_map(lambda p, g: p - 0.1 * g, model.trainable_parameters(), gradient))
            return loss

        if compiled:
            step = mx.compile(step, inputs=state, outputs=state)
        losses = [step(x).item() for _ in range(5)]
        return losses, {name: np.array(a) for name, a in tree_flatten(model.parameters())}

    (losses, plain), (losses_c, with_compile) = trained(False), trained(True)
    np.testing.assert_allclose(losses_c, losses, rtol=1e-5)
    assert len(set(losses)) == 5
    for name in plain:
        np.testing.assert_allclose(with_compile[name], plain[name], atol=1e-5, err_msg=name)
    assert np.any(plain["layers.1.running_mean"])


def test_checkpoint(rng):
    mx.random.seed(6)
    first, second = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(first, nn.Tanh(), second)
    x = mx.array(rng.standard_normal((5, 3)).astype(np.float32))
    light = nn.utils.checkpoint(first)
    calls = []

    def other(x, scale):
        calls.append(1)
        return second(x) * scale

    scaled = nn.utils.checkpoint(second, other)
    plain = nn.value_and_grad(model, lambda x: mx.square(second(nn.tanh(first(x))) * 2).sum())(x)
    again = nn.value_and_grad(model, lambda x: mx.square(scaled(nn.tanh(light(x)), scale=2)).sum())(x)
    assert calls
    assert again[0].item() == pytest.approx(plain[0].item(), rel=1e-6)
    for (name, a), (_, b) in zip(tree_flatten(again[1]), tree_flatten(plain[1]), strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), rtol=1e-5, err_msg=name)
    assert light(x).shape == (5, 4)
    with pytest.raises(TypeError, match=r"\[nn.utils.checkpoint\] expected a Module"):
        nn.utils.checkpoint(lambda x: x)
    with pytest.raises(TypeError, match=r"\[nn.utils.checkpoint\] expected a function"):
        nn.utils.checkpoint(first, 3)


def test_average_gradients_of_a_single_process():
    gradients = {"a": [mx.ones((2,)), {"b": mx.zeros((3,))}]}
    assert nn.average_gradients(gradients) is gradients
    assert nn.utils.average_gradients is nn.average_gradients


# Beside mlx


def test_behaviour_is_mlx_own():
    seen = []
    for library in libraries():
        model = mixed(library.nn, library.mx)
        report = [repr(model), list(model), names(model.parameters()), [n for n, _ in model.named_modules()]]
        report += [str(library.utils.tree_map(lambda a: a.shape, model.parameters()))]
        report += [str(model.children()), str(model.leaf_modules()), sorted(model.freeze()._no_grad)]
        report += [names(model.unfreeze(keys="weight").trainable_parameters()), sorted(model._no_grad)]
        report += [names(model.unfreeze(keys=["w"], recurse=False).trainable_parameters())]
        model.update({"w": library.mx.zeros((3,)), "z": library.mx.zeros((1,))}, strict=False)
        report += [model.w.shape, str(model.filter_and_map(lambda m, k, v: True, lambda v: type(v).__name__))]
        report += [library.nn.Module.valid_parameter_filter(model, "_a", model.w), model.state is model]
        model.update_modules({"blocks": [library.nn.Linear(7, 7, bias=False)]})
        report += [repr(model), model.set_dtype(library.mx.float16), str(model.w.dtype).split(".")[-1]]
        seen.append(report)
    for ours, theirs in zip(*seen, strict=True):
        assert ours == theirs


def constructors():
    return sorted(n for n in dir(nn) if isinstance(getattr(nn, n), type))


@pytest.mark.parametrize("name", constructors())
def test_constructor_takes_the_arguments_of_mlx(name):
    """In their order and with their defaults; what is more is keyword-only."""
    theirs = getattr(libraries()[1].nn, name, None)
    if theirs is None:
        assert name.startswith("Adaptive")
        return
    ours = [p for p in inspect.signature(getattr(nn, name)).parameters.values()]
    expected = [p for p in inspect.signature(theirs).parameters.values()]
    more = ours[len(expected) :]
    assert [p.name for p in ours[: len(expected)]] == [p.name for p in expected]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in more)
    for a, b in zip(ours, expected, strict=False):
        assert a.kind == b.kind, a.name
        assert (a.default is a.empty) == (b.default is b.empty), a.name
        assert callable(a.default) or a.default == b.default, a.name


def test_methods_take_the_arguments_of_mlx():
    theirs = libraries()[1].nn.Module
    for name, method in inspect.getmembers(theirs, inspect.isfunction):
        if name.startswith("_"):
            continue
        a, b = (inspect.signature(m).parameters.values() for m in (getattr(nn.Module, name), method))
        assert [(p.name, p.kind) for p in a] == [(p.name, p.kind) for p in b], name
    for name in ("training", "state"):
        assert isinstance(getattr(nn.Module, name), property) == isinstance(getattr(theirs, name), property)
