# python/nhwc/utils.py -- trees of lists, tuples and dicts: flat forms with dotted names, maps, reductions, merging
"""Trees: nested lists, tuples and dicts, as parameters and gradients come in. The interface is that of ``mlx.utils``.

Whatever is no list, tuple or dict is a leaf, ``None`` included; a namedtuple is a tuple. A name joins the keys and
positions on the way to a leaf with dots: ``"layers.0.weight"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

__all__ = ["tree_flatten", "tree_map", "tree_map_with_path", "tree_merge", "tree_reduce", "tree_unflatten"]


_MOST_LEFT_OUT = 65536


def _like(tree: list | tuple, items: list) -> Any:
    """The items in a sequence of the type of ``tree``."""
    kind = type(tree)
    if kind is list:
        return items
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def _walk(tree: Any, prefix: str, is_leaf: Callable | None) -> Iterator[tuple[str, Any]]:
    """Names, each with a dot before it, and leaves."""
    if is_leaf is None or not is_leaf(tree):
        if isinstance(tree, (list, tuple)):
            for i, item in enumerate(tree):
                yield from _walk(item, f"{prefix}.{i}", is_leaf)
            return
        if isinstance(tree, dict):
            for key, item in tree.items():
                yield from _walk(item, f"{prefix}.{key}", is_leaf)
            return
    yield prefix[1:], tree


def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: Callable | None = None,
    destination: list[tuple[str, Any]] | dict[str, Any] | None = None,
) -> list[tuple[str, Any]] | dict[str, Any]:
    """The leaves of a tree with their names.

    Args:
        tree: anything.
        prefix (str): put before every name; its first character is dropped. Default: ``""``.
        is_leaf (callable, optional): whether a node is a leaf although it is a list, tuple or dict. Default: none is.
        destination (list | dict, optional): what to append to. Default: a new list.

    Returns:
        The destination: pairs ``(name, leaf)`` in a list, or leaves by name in a dict. Empty nodes leave no trace.

    Raises:
        ValueError: the destination is neither a list nor a dict.

    Example:
        >>> tree_flatten({"layers": [{"weight": 1}, {"weight": 2}]})
        [('layers.0.weight', 1), ('layers.1.weight', 2)]
    """
    if destination is None:
        destination = []
    if isinstance(destination, list):
        destination.extend(_walk(tree, prefix, is_leaf))
    elif isinstance(destination, dict):
        destination.update(_walk(tree, prefix, is_leaf))
    else:
        got = type(destination).__name__
        raise ValueError(f"[tree_flatten] destination must be a list, a dict or None, got {got}")
    return destination


def tree_unflatten(tree: list[tuple[str, Any]] | dict[str, Any]) -> Any:
    """A tree from its leaves with their names; undoes :func:`tree_flatten`.

    Args:
        tree (list | dict): pairs ``(name, leaf)``, or leaves by name.

    Returns:
        The tree, of dicts and lists. Names that are all numbers make a list, in which ``{}`` stands where a number is
        left out.

    Raises:
        ValueError: more than 65536 numbers in a row are left out, as a file may say that nobody made for this.

    Example:
        >>> tree_unflatten([("layers.0.weight", 1), ("layers.1.weight", 2)])
        {'layers': [{'weight': 1}, {'weight': 2}]}
    """
    pairs = list(tree.items()) if isinstance(tree, dict) else list(tree)
    if len(pairs) == 1 and pairs[0][0] == "":
        return pairs[0][1]
    children: dict[str, list[tuple[str, Any]]] = {}
    for name, leaf in pairs:
        key, _, rest = name.partition(".")
        children.setdefault(key, []).append((rest, leaf))
    if not children or not all(key.isdecimal() for key in children):
        return {key: tree_unflatten(items) for key, items in children.items()} if children else []
    result: list[Any] = []
    for i, key in sorted((int(key), key) for key in children):
        if i - len(result) > _MOST_LEFT_OUT:
            raise ValueError(f"[tree_unflatten] a list with entry {i} lacks more than {_MOST_LEFT_OUT} before it")
        result.extend({} for _ in range(i - len(result)))
        result.append(tree_unflatten(children[key]))
    return result


def tree_map(fn: Callable, tree: Any, *rest: Any, is_leaf: Callable | None = None) -> Any:
    """A tree of what a function makes of the leaves.

    Args:
        fn: called with a leaf, and with what stands in its place in each of ``rest``.
        tree: the tree whose structure the result has.
        *rest: trees that have at least the entries of ``tree``.
        is_leaf (callable, optional): as for :func:`tree_flatten`.

    Returns:
        The tree of results; lists, tuples and namedtuples stay what they are, every dict becomes a plain one.

    Raises:
        KeyError, IndexError: an entry of ``tree`` is missing in one of ``rest``.

    Example:
        >>> tree_map(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]})
        {'x': [11, 22]}
    """
    if is_leaf is None or not is_leaf(tree):
        if isinstance(tree, dict):
            return {k: tree_map(fn, item, *[r[k] for r in rest], is_leaf=is_leaf) for k, item in tree.items()}
        if isinstance(tree, (list, tuple)):
            items = [tree_map(fn, item, *[r[i] for r in rest], is_leaf=is_leaf) for i, item in enumerate(tree)]
            return _like(tree, items)
    return fn(tree, *rest)


def tree_map_with_path(
    fn: Callable, tree: Any, *rest: Any, is_leaf: Callable | None = None, path: Any | None = None
) -> Any:
    """:func:`tree_map` whose function is also given the leaf's name.

    Args:
        fn: called with the name, the leaf, and what stands in its place in each of ``rest``.
        tree: the tree whose structure the result has.
        *rest: trees that have at least the entries of ``tree``.
        is_leaf (callable, optional): as for :func:`tree_flatten`.
        path (optional): put before every name, with a dot. Default: nothing; a tree that is a leaf then has no name,
            and the function is given ``None``.

    Returns:
        The tree of results.

    Raises:
        KeyError, IndexError: an entry of ``tree`` is missing in one of ``rest``.

    Example:
        >>> tree_map_with_path(lambda name, leaf: name, {"model": [{"w": 0, "b": 1}]})
        {'model': [{'w': 'model.0.w', 'b': 'model.0.b'}]}
    """
    if is_leaf is None or not is_leaf(tree):
        before = f"{path}." if path else ""
        if isinstance(tree, dict):
            return {
                k: tree_map_with_path(fn, item, *[r[k] for r in rest], is_leaf=is_leaf, path=f"{before}{k}")
                for k, item in tree.items()
            }
        if isinstance(tree, (list, tuple)):
            items = [
                tree_map_with_path(fn, item, *[r[i] for r in rest], is_leaf=is_leaf, path=f"{before}{i}")
                for i, item in enumerate(tree)
            ]
            return _like(tree, items)
    return fn(path, tree, *rest)


def tree_reduce(fn: Callable, tree: Any, initializer: Any = None, is_leaf: Callable | None = None) -> Any:
    """One value from all leaves, in their order.

    Args:
        fn: called with the value so far and a leaf; returns the next value.
        tree: anything.
        initializer (optional): the first value. Default: ``None``, which takes the first leaf.
        is_leaf (callable, optional): as for :func:`tree_flatten`.

    Returns:
        The last value; the initializer for a tree without leaves.

    Example:
        >>> tree_reduce(lambda total, x: total + x, {"a": [1, 2, 3], "b": [4, 5]}, 0)
        15
    """
    value = initializer
    for _, leaf in _walk(tree, "", is_leaf):
        value = leaf if value is None else fn(value, leaf)
    return value


def tree_merge(tree_a: Any, tree_b: Any, merge_fn: Callable | None = None) -> Any:
    """The entries of two trees in one.

    Args:
        tree_a: the first tree.
        tree_b: the second tree.
        merge_fn (callable, optional): called with both where each has a leaf or they differ in kind; returns the entry.
            Default: none; that is an error then.

    Returns:
        The tree; ``None`` and empty lists, tuples and dicts give way to what the other tree has in their place.

    Raises:
        ValueError: both trees have an entry at a place, and there is no ``merge_fn``; the place is named.

    Example:
        >>> tree_merge({"a": 1}, {"b": {"c": 2}})
        {'a': 1, 'b': {'c': 2}}
    """
    return _merge(tree_a, tree_b, merge_fn, "")


def _empty(tree: Any) -> bool:
    return tree is None or (isinstance(tree, (list, tuple, dict)) and not tree)


def _merge(a: Any, b: Any, merge_fn: Callable | None, path: str) -> Any:
    if _empty(a):
        return a if b is None else b
    if _empty(b):
        return a
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        pairs = enumerate(zip_longest(a, b))
        return _like(a, [_merge(x, y, merge_fn, f"{path}.{i}") for i, (x, y) in pairs])
    if isinstance(a, dict) and isinstance(b, dict):
        keys = dict.fromkeys((*a, *b))
        return {k: _merge(a.get(k), b.get(k), merge_fn, f"{path}.{k}") for k in keys}
    if merge_fn is None:
        place = f"at {path[1:]!r}" if path else "at the root"
        raise ValueError(f"[tree_merge] both trees have an entry {place}; give merge_fn to make one of them")
    return merge_fn(a, b)
