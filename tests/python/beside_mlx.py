# tests/python/beside_mlx.py -- the same layer or function in nhwc and in mlx, from the same seed and on the same data
"""Import of this file needs no mlx; ``libraries()`` skips the test that calls it where mlx is absent."""

import types

import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
from nhwc import optimizers, utils


def libraries():
    """nhwc and mlx, each as a namespace with the array module, nn, optimizers and utils."""
    core = pytest.importorskip("mlx.core")
    import mlx.nn
    import mlx.optimizers
    import mlx.utils

    core.set_default_device(core.cpu)
    ours = types.SimpleNamespace(mx=mx, nn=nn, utils=utils, optimizers=optimizers)
    return ours, types.SimpleNamespace(mx=core, nn=mlx.nn, utils=mlx.utils, optimizers=mlx.optimizers)


def numpy_of(a):
    """The values of an array of either library, bfloat16 widened."""
    kind = str(a.dtype).split(".")[-1]
    return np.array(a.tolist(), np.float32) if kind == "bfloat16" else np.array(a)


def flat(library, tree):
    """Arrays by name, in NumPy."""
    return {name: numpy_of(a) for name, a in library.utils.tree_flatten(tree)}


def assert_same(a, b, tolerance=1e-5, context="", least=1e-3):
    """Equal names, shapes and, relative to the largest value or to ``least``, nearly equal values."""
    assert list(a) == list(b), context
    for name in a:
        assert a[name].shape == b[name].shape, f"{context} {name}"
        if not np.issubdtype(a[name].dtype, np.floating):
            np.testing.assert_array_equal(a[name], b[name], err_msg=f"{context} {name}")
            continue
        finite = np.abs(b[name][np.isfinite(b[name])])
        scale = max(float(finite.max()) if finite.size else 0.0, least)
        np.testing.assert_allclose(
            a[name] / scale, b[name] / scale, rtol=0, atol=tolerance, err_msg=f"{context} {name}"
        )


def results(value):
    """The arrays that a call returned, by position."""
    return dict(enumerate(value)) if isinstance(value, (tuple, list)) else {0: value}


def as_numpy(value):
    return {name: numpy_of(a) for name, a in results(value).items()}
