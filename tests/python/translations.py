# tests/python/translations.py -- what the tables "write this for that" of docs/ run in, and whether results agree
"""A row has code of another library and code of nhwc. Both see the same values under the same names, each in its
library's layout; sizes are such that no two axes of an image are equal."""

import ast

import numpy as np

import nhwc as mx
from nhwc import nn, optimizers, utils


def values():
    """By name; images, sequences, volumes and weights in nhwc's layout."""
    rng = np.random.default_rng(7)
    shapes = dict(x=(2, 9, 8, 3), w=(6, 5, 3, 3), wd=(3, 3, 3, 1), wt=(6, 4, 2, 3), b=(6,), s=(2, 11, 3), ws=(4, 3, 3))
    shapes |= dict(vol=(2, 5, 6, 7, 3), wv=(4, 2, 3, 2, 3), v=(5, 6), logits=(5, 10), u=(6,))
    arrays = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    arrays |= dict(labels=np.array([3, 9, 0, 1, 3]), rows=np.array([2, 0]), twice=np.array([1, 1]))
    arrays |= dict(q=rng.standard_normal((1, 2, 5, 4), np.float32))
    arrays |= dict(targets=rng.random((5, 6), np.float32), at=rng.integers(0, 6, (5, 2)), one=np.ones(2, np.float32))
    return arrays


def pytorch():
    import torch
    import torch.nn.functional as F
    from torch.optim import lr_scheduler
    from torch.utils.checkpoint import checkpoint

    def moved(name, value):
        if name == "wt":  # (C_in, C_out, kh, kw)
            return np.moveaxis(value, -1, 0)
        return np.moveaxis(value, -1, 1) if value.ndim > 2 else value

    names = {name: torch.tensor(np.ascontiguousarray(moved(name, v))) for name, v in values().items()}
    parameter = torch.nn.Parameter(names["u"].clone())
    names |= dict(p=[parameter], o=torch.optim.SGD([parameter], lr=0.1), checkpoint=checkpoint)
    schedules = {name: getattr(lr_scheduler, name) for name in dir(lr_scheduler) if name.endswith("LR")}
    return names | schedules | dict(torch=torch, F=F, nn=torch.nn, f=lambda a, b: (a * a * torch.sin(b)).sum())


def jax():
    import jax
    import jax.numpy as jnp

    def moved(name, value):  # the weights to (kh, kw, C_in, C_out)
        return np.moveaxis(value, 0, -1) if name.startswith("w") else value

    names = {name: jnp.asarray(moved(name, v)) for name, v in values().items()}
    functions = dict(f=lambda a, b: (a * a * jnp.sin(b)).sum(), g=lambda a: a * jnp.cos(a))
    numbers = dict(D1=("NWC", "WIO", "NWC"), D2=("NHWC", "HWIO", "NHWC"), D3=("NDHWC", "DHWIO", "NDHWC"))
    return names | functions | numbers | dict(jax=jax, jnp=jnp, lax=jax.lax, tree={"a": [names["v"], names["u"]]})


def mlx():
    import mlx.core
    import mlx.nn
    import mlx.optimizers
    import mlx.utils

    names = {name: mlx.core.array(v) for name, v in values().items()}
    return names | dict(mx=mlx.core, nn=mlx.nn, optim=mlx.optimizers, tree_map=mlx.utils.tree_map)


def ours():
    names = {name: mx.array(v) for name, v in values().items()}
    functions = dict(f=lambda a, b: (a * a * mx.sin(b)).sum(), g=lambda a: a * mx.cos(a))
    trees = {name: getattr(utils, name) for name in utils.__all__}
    return names | functions | trees | dict(mx=mx, nn=nn, optim=optimizers, np=np, tree={"a": [names["v"], names["u"]]})


def a_model():
    """What the tables of tasks speak of; its files are in the working directory."""
    model, optimizer = nn.Conv2d(3, 4, 3), optimizers.SGD(0.1)
    arrays = dict(utils.tree_flatten(model.parameters()))
    model.save_weights("m.safetensors")
    mx.save_safetensors("t.safetensors", arrays)
    return dict(model=model, optimizer=optimizer, arrays=arrays)


def result(code, names):
    """The value of the last line."""
    tree = ast.parse(code)
    last = tree.body.pop()
    exec(compile(tree, "<row>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<row>", "eval"), names)


def check_same(theirs, got):
    """Fails unless a result of another library and one of nhwc are the same; images may have their channels second."""
    if isinstance(got, nn.Module):
        check_same_layers(theirs, got)
    elif isinstance(got, optimizers.Optimizer):
        check_same_steps(theirs, got)
    elif hasattr(theirs, "get_last_lr"):
        check_same_rates(theirs, got)
    elif isinstance(got, dict):
        assert theirs.keys() == got.keys()
        for key in got:
            check_same(theirs[key], got[key])
    elif isinstance(got, list) and len(got) == 1 and not isinstance(theirs, (tuple, list)):
        check_same(theirs, got[0])  # functions of lists give lists
    elif isinstance(got, (tuple, list)):
        assert len(theirs) == len(got)
        for a, b in zip(theirs, got, strict=True):
            check_same(a, b)
    elif isinstance(got, (mx.array, np.ndarray)):
        theirs, got = np.asarray(detached(theirs)), np.asarray(got)
        if theirs.shape != got.shape:
            theirs = np.moveaxis(theirs, 1, -1)
        assert theirs.shape == got.shape
        np.testing.assert_allclose(got, theirs, rtol=2e-5, atol=2e-5)
    else:
        assert theirs == got


def detached(tensor):
    return tensor.detach().numpy() if hasattr(tensor, "detach") else tensor


def moved_weight(value, transposed):
    return value if value.ndim < 3 else value.movedim(0 if transposed else 1, -1)


def check_same_layers(theirs, layer):
    """Gives the layer the other's parameters, and both the same input: in training, then in evaluation."""
    import torch

    numbers = np.random.default_rng(1)
    state = {name: value for name, value in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
    for name in state:  # none at its initial value, so that none can be left out
        state[name] = torch.tensor(numbers.uniform(0.5, 1.5, state[name].shape).astype(np.float32))
    theirs.load_state_dict(state, strict=False)
    prefix = "layers." if isinstance(layer, nn.Sequential) else ""
    moved = {prefix + name: moved_weight(value, "Transpose" in repr(theirs)) for name, value in state.items()}
    layer.load_weights([(name, mx.array(value.numpy())) for name, value in moved.items()])
    given = {"1d": "s", "2d": "x", "3d": "vol", "Upsample": "x", "GroupNorm": "x"}
    name = next((name for kind, name in given.items() if kind in repr(theirs)), "v")
    image, taken = pytorch()[name], ours()[name]
    for mode in ("train", "eval"):
        getattr(theirs, mode)()
        getattr(layer, mode)()
        check_same(theirs(image), layer(taken))


def check_same_steps(theirs, optimizer):
    import torch

    (parameter,) = theirs.param_groups[0]["params"]
    tree = {"p": mx.array(parameter.detach().numpy().copy())}
    for seed in range(6):
        gradient = np.random.default_rng(seed).standard_normal(parameter.shape).astype(np.float32)
        parameter.grad = torch.tensor(gradient)
        theirs.step()
        tree = optimizer.apply_gradients({"p": mx.array(gradient)}, tree)
        check_same(parameter, tree["p"])


def check_same_rates(theirs, schedule):
    for step in range(20):
        (rate,) = theirs.get_last_lr()
        np.testing.assert_allclose(np.asarray(schedule(mx.array(step))), rate, rtol=1e-5)
        theirs.optimizer.step()
        theirs.step()
