# python/nhwc/nn/layers/_arguments.py -- checks of what constructors of layers are given
"""Each returns the argument as the layer keeps it, or raises an error that names the layer and the argument."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from numbers import Real
from typing import Any

import nhwc as mx


def count(value: Any, layer: str, name: str, least: int = 1) -> int:
    """An int that is at least ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"[{layer}] {name} must be an int, got {type(value).__name__}") from None
    if number < least:
        raise ValueError(f"[{layer}] {name} must be at least {least}, got {number}")
    return number


def counts(value: Any, dims: int, layer: str, name: str, least: int = 1) -> tuple[int, ...]:
    """An int for each of ``dims`` axes, from one for all or from a sequence."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != dims:
            raise ValueError(f"[{layer}] {name} must be an int or {dims} of them, got {value!r}")
        return tuple(count(v, layer, name, least) for v in value)
    return (count(value, layer, name, least),) * dims


def paddings(value: Any, dims: int, layer: str) -> Any:
    """A word, ints for all axes, or pairs ``(before, after)``, as convolutions take them; negative ones crop."""
    if isinstance(value, str):
        words = ("same", "valid", "causal")
        if value.lower() not in words or (value.lower() == "causal" and dims > 1):
            raise ValueError(f"[{layer}] padding must be ints or one of {words[: 4 - min(dims, 2)]}, got {value!r}")
        return value
    if isinstance(value, Sequence) and len(value) == dims and any(isinstance(v, Sequence) for v in value):
        return tuple(counts(v, 2, layer, "padding", -(2**31)) for v in value)
    return counts(value, dims, layer, "padding", -(2**31))


def group_count(groups: Any, layer: str, **channels: int) -> int:
    """A number of groups that divides all numbers of channels."""
    groups = count(groups, layer, "groups")
    for name, number in channels.items():
        if number % groups:
            raise ValueError(f"[{layer}] groups={groups} must divide {name}={number}")
    return groups


def probability(p: Any, layer: str) -> float:
    """A number in [0, 1)."""
    if not isinstance(p, Real) or not 0 <= p < 1:
        raise ValueError(f"[{layer}] p must be a number in [0, 1), got {p!r}")
    return p


def check_rank(x: mx.array, ranks: Sequence[int], layer: str, form: str) -> None:
    """Raises ValueError unless the input has one of some numbers of dimensions."""
    if x.ndim not in ranks:
        raise ValueError(f"[{layer}] expected an input of shape {form}, got {x.shape}")


def check_last(x: mx.array, size: int, layer: str, name: str) -> None:
    """Raises ValueError unless the input's last axis has a size."""
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(f"[{layer}] expected an input whose last axis has {name}={size} entries, got {x.shape}")
