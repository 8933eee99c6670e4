# tests/python/test_nn_training.py -- programs written for MLX, in both libraries from the same seed on the same data
import pathlib
import sys
import types

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

from networks import with_layers

import nhwc as mx
import nhwc.nn as nn
from beside_mlx import flat, libraries
from nhwc import optimizers, utils

OURS = types.SimpleNamespace(mx=mx, nn=nn, utils=utils, optimizers=optimizers)


def resnet20(library):
    return with_layers.resnet20(library.mx, library.nn)


def sgd(library, model, rate, momentum):
    """A step of stochastic gradient descent with momentum, and its state."""
    tree_map = library.utils.tree_map
    state = {"velocity": tree_map(library.mx.zeros_like, model.trainable_parameters())}

    def step(gradients):
        state["velocity"] = tree_map(lambda v, g: momentum * v + g, state["velocity"], gradients)
        model.update(tree_map(lambda p, v: p - rate * v, model.trainable_parameters(), state["velocity"]))

    return step, state


def train(library, make, images, labels, steps, compiled=False, rate=0.05, momentum=0.9):
    """The losses, and the model."""
    mx, nn = library.mx, library.nn
    mx.random.seed(42)
    model = make(library)
    mx.eval(model.parameters())
    update, velocity = sgd(library, model, rate, momentum)

    def loss_fn(x, y):
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    loss_and_grad = nn.value_and_grad(model, loss_fn)
    state = [model.state, velocity, mx.random.state]

    def step(x, y):
        loss, gradients = loss_and_grad(x, y)
        update(gradients)
        return loss

    if compiled:
        step = mx.compile(step, inputs=state, outputs=state)
    losses = []
    for i in range(steps):
        batch = images[i % len(images)], labels[i % len(labels)]
        loss = step(*map(mx.array, batch))
        mx.eval(state, loss)
        losses.append(loss.item())
    return losses, model


def data(rng, batches, n, size):
    """Images of ten classes: a pattern of each, and noise."""
    patterns = rng.standard_normal((10, size, size, 3))
    labels = rng.integers(0, 10, (batches, n)).astype(np.int32)
    images = patterns[labels] + rng.standard_normal((batches, n, size, size, 3))
    return images.astype(np.float32), labels


def test_resnet20_trains_as_in_mlx(rng):
    """The rate is small on purpose: a unit of a ReLU whose input is within rounding of zero is on in one library and
    off in the other, and at rates that learn fast (0.01) such flips drive mlx as far from itself, on inputs that
    differ by 1e-6, as they drive nhwc from mlx: 0.01 after 20 steps. Without a flip gradients agree to 5e-6."""
    images, labels = data(rng, 5, 32, 8)
    (ours, model), (theirs, reference) = (
        train(library, resnet20, images, labels, 20, rate=1e-4, momentum=0.5) for library in libraries()
    )
    assert repr(model) == repr(reference)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert all(after < before - 0.03 for before, after in zip(ours, ours[15:], strict=False))  # 300 times as much
    a, b = (np.array(m.eval()(o.mx.array(images[0]))) for m, o in zip((model, reference), libraries(), strict=True))
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_resnet20_has_its_269722_parameters():
    model = resnet20(OURS)
    assert sum(a.size for _, a in utils.tree_flatten(model.trainable_parameters())) == 269722
    assert len(model.modules()) > 40


def classifier(library):
    nn = library.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, groups=2), nn.BatchNorm(16), nn.GELU(), nn.AvgPool2d(2), nn.Dropout(0.1),
        lambda x: x.reshape(x.shape[0], -1), nn.Linear(16 * 4, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def test_a_mixture_of_layers_trains_as_in_mlx(rng):
    """A small rate, for the same reason: the maximum of a window may be elsewhere too."""
    images, labels = data(rng, 4, 16, 8)
    (ours, model), (theirs, reference) = (
        train(library, classifier, images, labels, 20, rate=1e-3, momentum=0.5) for library in libraries()
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert np.mean(ours[-4:]) < np.mean(ours[:4]) - 0.01
    ours, theirs = (flat(library, m.parameters()) for library, m in zip(libraries(), (model, reference), strict=True))
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=2e-4, err_msg=name)


def test_with_the_optimizers_it_trains_as_in_mlx(rng):
    """Adam with decoupled decay, a schedule, clipped gradients; the state is shared with a compiled step."""
    images, labels = data(rng, 4, 16, 8)
    losses = []
    for library in libraries():
        mx, nn, optim = library.mx, library.nn, library.optimizers
        mx.random.seed(1)
        model = classifier(library)
        mx.eval(model.parameters())
        optimizer = optim.AdamW(learning_rate=optim.cosine_decay(1e-3, 20), weight_decay=0.02)
        both = nn.value_and_grad(model, lambda x, y, m=model, n=nn: n.losses.cross_entropy(m(x), y, reduction="mean"))
        state = [model.state, optimizer.state, mx.random.state]

        def step(x, y, both=both, optimizer=optimizer, optim=optim, model=model):
            loss, gradients = both(x, y)
            gradients, _ = optim.clip_grad_norm(gradients, 1.0)
            optimizer.update(model, gradients)
            return loss

        step = mx.compile(step, inputs=state, outputs=state)
        found = []
        for i in range(20):
            loss = step(mx.array(images[i % 4]), mx.array(labels[i % 4]))
            mx.eval(state, loss)
            found.append(loss.item())
        losses.append(found)
    np.testing.assert_allclose(*losses, rtol=0, atol=3e-3)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("make", [classifier, resnet20])
def test_training_learns_and_compiles_to_the_same(rng, make):
    images, labels = data(rng, 2, 8, 8)
    plain, _ = train(OURS, make, images, labels, 8, rate=0.02)
    compiled, _ = train(OURS, make, images, labels, 8, compiled=True, rate=0.02)
    assert plain[-1] < plain[0]
    np.testing.assert_allclose(compiled, plain, atol=1e-3)
