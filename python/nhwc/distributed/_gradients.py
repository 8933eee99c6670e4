# python/nhwc/distributed/_gradients.py -- the mean of gradients over processes, in few large messages
"""Averaging of gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nhwc import _core
from nhwc._core import array
from nhwc.distributed._collectives import _group_of, all_sum
from nhwc.distributed._group import Group
from nhwc.utils import tree_flatten, tree_map_with_path


def _buckets(leaves: list[tuple[str, array]], most: int) -> Iterator[list[tuple[str, array]]]:
    """Leaves of one dtype each, in order, until they have reached ``most`` bytes."""
    held: dict[Any, list[tuple[str, array]]] = {}
    size: dict[Any, int] = {}
    for path, leaf in leaves:
        held.setdefault(leaf.dtype, []).append((path, leaf))
        size[leaf.dtype] = size.get(leaf.dtype, 0) + leaf.nbytes
        if size[leaf.dtype] >= most:
            del size[leaf.dtype]
            yield held.pop(leaf.dtype)
    yield from held.values()


def average_gradients(
    gradients: Any,
    group: Group | None = None,
    all_reduce_size: int = 32 * 1024**2,
    communication_stream: Any = None,
    communication_type: Any = None,
) -> Any:
    """The mean of gradients over the processes of a group.

    Args:
        gradients: arrays in dicts, lists and tuples, of the same structure in all processes.
        group (Group, optional): who takes part. Default: all.
        all_reduce_size (int): arrays are put together until they have this many bytes, and are sent at once; 0 sends
            each alone. Default: 32 MiB.
        communication_stream: accepted for MLX's sake.
        communication_type (Dtype, optional): what gradients are converted to for the way. Default: ``None``, their own.

    Returns:
        The means, in the structure and the dtypes of ``gradients``.

    Raises:
        TypeError: the tree holds something else than arrays.

    Example:
        >>> mx.distributed.average_gradients({"w": mx.array([1.0])})
        {'w': array([1], dtype=float32)}
    """
    group = _group_of(group, "average_gradients")
    leaves = tree_flatten(gradients)
    for path, leaf in leaves:
        if not isinstance(leaf, array):
            raise TypeError(f"[average_gradients] the gradients hold a {type(leaf).__name__} at {path!r}")
    if group.size() == 1:
        return gradients
    means: dict[str, array] = {}
    before = None
    for bucket in _buckets(leaves, all_reduce_size):
        joined = _core.concatenate([leaf.flatten() for _, leaf in bucket])
        sent = joined if communication_type is None else joined.astype(communication_type)
        if before is not None and _core._tracing():  # in the same order in all processes
            sent = _core.depends(sent, before)
        before = all_sum(sent, group=group)
        joined = before.astype(joined.dtype) / group.size()
        begin = 0
        for path, leaf in bucket:
            means[path] = joined[begin : begin + leaf.size].reshape(leaf.shape)
            begin += leaf.size
    return tree_map_with_path(lambda path, _: means[path], gradients)
