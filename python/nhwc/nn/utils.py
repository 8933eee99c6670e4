# python/nhwc/nn/utils.py -- gradients by a module's parameters, their average over processes, checkpoints of modules
"""Transformations of functions that use a module."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import nhwc as mx
from nhwc.nn.layers.base import Module
from nhwc.utils import tree_flatten


def _put_back(module: Any, traced: Any, original: Any) -> None:
    """Replaces the arrays of ``traced`` by the original ones wherever the module still holds them."""
    for key, new in traced.items() if isinstance(traced, dict) else enumerate(traced):
        if isinstance(new, mx.array):
            if module[key] is new:
                module[key] = original[key]
        else:
            _put_back(module[key], new, original[key])


def _with_parameters(module: Module, fn: Callable, transform: Callable[[Callable], Callable]) -> Callable:
    """``fn``, transformed as a function of the module's trainable parameters and its own arguments."""
    given: list[dict] = []  # the parameters that each call in progress put into the module

    def of_parameters(parameters: dict, *args: Any, **kwargs: Any) -> Any:
        given.append(parameters)
        module.update(parameters)
        return fn(*args, **kwargs)

    transformed = transform(of_parameters)

    @functools.wraps(fn, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        parameters = module.trainable_parameters()
        before = len(given)
        try:
            return transformed(parameters, *args, **kwargs)
        finally:
            while len(given) > before:
                _put_back(module, given.pop(), parameters)

    return wrapped


def value_and_grad(model: Module, fn: Callable) -> Callable:
    """A function that gives the value of ``fn`` and its gradient by the trainable parameters of a model.

    Args:
        model (Module): what ``fn`` uses.
        fn: returns a scalar array, or a tuple or list whose first item is one.

    Returns:
        A function with the arguments of ``fn`` that returns ``(value, gradient)``; the gradient is a tree like
        ``model.trainable_parameters()``.

    Raises:
        TypeError: no module, or no function.
        ValueError: the model has no trainable parameters; as for :func:`nhwc.value_and_grad`.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> value, gradient = nn.value_and_grad(model, lambda x: model(x).sum())(mx.ones((3, 2)))
        >>> gradient["weight"].tolist()
        [[3.0, 3.0]]
    """
    if not isinstance(model, Module):
        raise TypeError(f"[nn.value_and_grad] expected a Module, got {type(model).__name__}")
    if not callable(fn):
        raise TypeError(f"[nn.value_and_grad] expected a function, got {type(fn).__name__}")

    def transform(of_parameters: Callable) -> Callable:
        both = mx.value_and_grad(of_parameters)

        def checked(parameters: dict, *args: Any, **kwargs: Any) -> Any:
            if not tree_flatten(parameters):
                raise ValueError(f"[nn.value_and_grad] the {type(model).__name__} has no trainable parameters")
            return both(parameters, *args, **kwargs)

        return checked

    return _with_parameters(model, fn, transform)


def checkpoint(module: Module, fn: Callable | None = None) -> Callable:
    """A function whose intermediate arrays are computed again for gradients instead of kept.

    Args:
        module (Module): what the function uses; its gradients by the trainable parameters are right too.
        fn (optional): from arrays and trees of arrays to the same. Default: the module.

    Returns:
        A function with the arguments, values and gradients of ``fn``.

    Raises:
        TypeError: no module, or no function.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> nn.utils.checkpoint(layer)(mx.ones((4, 2))).shape
        (4, 3)
    """
    if not isinstance(module, Module):
        raise TypeError(f"[nn.utils.checkpoint] expected a Module, got {type(module).__name__}")
    if fn is not None and not callable(fn):
        raise TypeError(f"[nn.utils.checkpoint] expected a function, got {type(fn).__name__}")
    return _with_parameters(module, module if fn is None else fn, mx.checkpoint)


def average_gradients(
    gradients: Any,
    group: Any | None = None,
    all_reduce_size: int = 32 * 1024**2,
    communication_stream: mx.Stream | None = None,
) -> Any:
    """The mean of gradients over the processes of a group.

    Args:
        gradients: a tree of arrays, of the same structure in every process.
        group (Group, optional): the processes. Default: all, which for a single one leaves everything as it is.
        all_reduce_size (int): small arrays are sent together until they have this many bytes; 0 sends each for itself.
            Default: 32 MiB.
        communication_stream (Stream, optional): where the communication runs. Default: the current stream.

    Returns:
        The tree of means.

    Example:
        >>> nn.average_gradients({"weight": mx.ones((2,))})["weight"].tolist()
        [1.0, 1.0]
    """
    return mx.distributed.average_gradients(gradients, group, all_reduce_size, communication_stream)
