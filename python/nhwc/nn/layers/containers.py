# python/nhwc/nn/layers/containers.py -- Sequential, Identity: modules that pass their input on
"""Modules that hold or replace others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nhwc as mx
from nhwc.nn.layers.base import Module


class Sequential(Module):
    """Calls modules and functions one after the other, each with the result of the one before.

    Args:
        *modules: modules, or functions of one array.

    Example:
        >>> nn.Sequential(nn.Linear(2, 3), nn.relu)(mx.ones((4, 2))).shape
        (4, 3)
    """

    def __init__(self, *modules: Module | Callable[[mx.array], mx.array]):
        super().__init__()
        for i, module in enumerate(modules):
            if not (callable(module) or isinstance(module, Module)):
                raise TypeError(f"[Sequential] item {i} must be a module or a function, got {type(module).__name__}")
        self.layers = list(modules)

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers:
            x = layer(x)
        return x


class Identity(Module):
    """Returns its input.

    Args:
        *args: ignored.
        **kwargs: ignored.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def __call__(self, x: mx.array) -> mx.array:
        return x
