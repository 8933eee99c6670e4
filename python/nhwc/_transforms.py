# python/nhwc/_transforms.py -- transformations of functions of trees, made from the extension's functions of flat lists
"""Transformations: gradients, vectorisation, compilation, functions with derivatives of their own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nhwc import _core
from nhwc._core import _tree_flatten, _tree_unflatten, array


def _positions(argnums: int | Sequence[int] | None, argnames: Sequence[str], count: int, who: str) -> list[int]:
    """The argument numbers asked for, none of them negative."""
    if argnums is None:
        argnums = [] if argnames else [0]
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    if not numbers and not argnames:
        raise ValueError(f"[{who}] neither argnums nor argnames name an argument to differentiate by")
    if any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
        raise TypeError(f"[{who}] argnums must be an int or a sequence of ints, got {argnums!r}")
    for n in numbers:
        if not 0 <= n < count:
            raise ValueError(
                f"[{who}] argument number {n} is out of range: the function got {count} positional arguments"
            )
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"[{who}] argnums {argnums!r} name an argument twice")
    return sorted(numbers)


def _check_arrays(tree: Any, who: str, what: str) -> None:
    if isinstance(tree, (list, tuple, dict)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            _check_arrays(item, who, what)
    elif not isinstance(tree, array):
        raise TypeError(f"[{who}] {what} holds a {type(tree).__name__}; expected arrays in lists, tuples and dicts")


def _leaves(tree: Any, who: str, what: str) -> list[array]:
    """The arrays of a tree that must hold arrays only."""
    _check_arrays(tree, who, what)
    return _tree_flatten(tree)


def value_and_grad(
    fun: Callable, argnums: int | Sequence[int] | None = None, argnames: str | Sequence[str] = ()
) -> Callable:
    """A function that gives the value of ``fun`` and its gradient.

    Args:
        fun: returns a scalar array, or a tuple or list whose first item is one.
        argnums (int | sequence, optional): positional arguments to differentiate by, each an array or a tree of arrays.
            Default: the first, or none where ``argnames`` is given. Gradients come in the order of the arguments.
        argnames (str | sequence): keyword arguments to differentiate by. Default: none.

    Returns:
        A function with the arguments of ``fun`` that returns ``(value, gradient)``. The gradient has the structure of
        the argument; for several ``argnums`` it is a tuple; with ``argnames`` it is a pair of that and a dict by name.

    Raises:
        ValueError: the first result is no floating scalar, or an argument is not floating.
        TypeError: an argument holds something other than arrays.

    Example:
        >>> mx.value_and_grad(lambda x: (x * x).sum())(mx.array([1.0, 2.0]))
        (array(5, dtype=float32), array([2, 4], dtype=float32))
    """
    if not callable(fun):
        raise TypeError(f"[value_and_grad] expected a function, got {type(fun).__name__}")
    names = [argnames] if isinstance(argnames, str) else list(argnames)

    @functools.wraps(fun)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        numbers = _positions(argnums, names, len(args), "value_and_grad")
        for name in names:
            if name not in kwargs:
                raise ValueError(
                    f"[value_and_grad] the function was called without the keyword argument {name!r} of argnames"
                )
        picked = [args[n] for n in numbers] + [kwargs[n] for n in names]
        what = [f"argument {n}" for n in numbers] + [f"argument {n!r}" for n in names]
        flat = [
            leaf for tree, label in zip(picked, what, strict=True) for leaf in _leaves(tree, "value_and_grad", label)
        ]
        result: Any = None

        def flat_fun(leaves: list[array]) -> list[array]:
            nonlocal result
            trees = _tree_unflatten(picked, leaves)
            full = list(args)
            for n, tree in zip(numbers, trees, strict=False):
                full[n] = tree
            named = dict(zip(names, trees[len(numbers) :], strict=True))
            result = fun(*full, **{**kwargs, **named})
            value = result[0] if isinstance(result, (tuple, list)) and result else result
            if not isinstance(value, array):
                raise ValueError(
                    f"[value_and_grad] the function must return a scalar array first, got {type(value).__name__}; "
                    "reduce it with sum or mean"
                )
            return [value]

        values, gradients = _core._value_and_grad(flat_fun, flat)
        if isinstance(result, array):
            result = values[0]
        trees = _tree_unflatten(picked, gradients)
        by_position = tuple(trees[: len(numbers)])
        positional = by_position[0] if len(by_position) == 1 else by_position or None
        if not names:
            return result, positional
        return result, (positional, dict(zip(names, trees[len(numbers) :], strict=True)))

    return wrapped


def grad(fun: Callable, argnums: int | Sequence[int] | None = None, argnames: str | Sequence[str] = ()) -> Callable:
    """A function that gives the gradient of ``fun``.

    Args:
        fun: returns a scalar array.
        argnums (int | sequence, optional): as for :func:`value_and_grad`.
        argnames (str | sequence): as for :func:`value_and_grad`. Default: none.

    Returns:
        A function with the arguments of ``fun`` that returns the gradient alone.

    Raises:
        ValueError: the result is no floating scalar, or an argument is not floating.
        TypeError: an argument holds something other than arrays.

    Example:
        >>> mx.grad(lambda x: x * x)(mx.array(3.0)).item()
        6.0
    """
    both = value_and_grad(fun, argnums, argnames)

    @functools.wraps(fun)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return wrapped


def _returning_list(fun: Callable, who: str) -> Callable[[list[array]], list[array]]:
    """``fun`` on a list of arrays; an array that it returns is put into a list."""

    def flat_fun(leaves: list[array]) -> list[array]:
        result = fun(*leaves)
        outputs = [result] if isinstance(result, array) else result
        if not isinstance(outputs, (list, tuple)) or not all(isinstance(o, array) for o in outputs):
            got = type(result).__name__
            raise TypeError(f"[{who}] the function must return an array or a list of arrays, got {got}")
        return list(outputs)

    return flat_fun


def vjp(fun: Callable, primals: Sequence[array], cotangents: Sequence[array]) -> tuple[list[array], list[array]]:
    """The outputs of a function, and the products of cotangents with its Jacobian.

    Args:
        fun: from arrays to an array or a list of arrays.
        primals (list): the arrays to call it with.
        cotangents (list): one per output, of its shape.

    Returns:
        A pair of lists: the outputs, and one array per primal, of its shape.

    Raises:
        ValueError: cotangents that do not fit the outputs.

    Example:
        >>> mx.vjp(lambda x: x * x, [mx.array(3.0)], [mx.array(1.0)])[1]
        [array(6, dtype=float32)]
    """
    return _core._vjp(_returning_list(fun, "vjp"), _leaves(list(primals), "vjp", "primals"), list(cotangents))


def jvp(fun: Callable, primals: Sequence[array], tangents: Sequence[array]) -> tuple[list[array], list[array]]:
    """The outputs of a function, and their derivatives along tangents.

    Args:
        fun: from arrays to an array or a list of arrays.
        primals (list): the arrays to call it with.
        tangents (list): one per primal, of its shape.

    Returns:
        A pair of lists: the outputs, and one array per output, of its shape.

    Raises:
        ValueError: tangents that do not fit the primals.

    Example:
        >>> mx.jvp(lambda x: x * x, [mx.array(3.0)], [mx.array(1.0)])[1]
        [array(6, dtype=float32)]
    """
    return _core._jvp(_returning_list(fun, "jvp"), _leaves(list(primals), "jvp", "primals"), list(tangents))


def _axes_of(tree: Any, axes: Any, who: str) -> list[int | None]:
    """One axis (or None) per array of a tree; ``axes`` may stop at any level and then holds for all below."""
    if isinstance(axes, (list, tuple)):
        if not isinstance(tree, (list, tuple)) or len(tree) != len(axes):
            raise ValueError(f"[vmap] {who} {axes!r} do not have the structure of the values")
        return [a for t, x in zip(tree, axes, strict=True) for a in _axes_of(t, x, who)]
    if isinstance(axes, dict):
        if not isinstance(tree, dict) or set(axes) != set(tree):
            raise ValueError(f"[vmap] {who} {axes!r} do not have the keys of the values")
        return [a for key, t in tree.items() for a in _axes_of(t, axes[key], who)]
    if axes is not None and (isinstance(axes, bool) or not isinstance(axes, int)):
        raise TypeError(f"[vmap] {who} must hold ints and None, got {type(axes).__name__}")
    return [axes] * len(_leaves(tree, "vmap", "an argument or result"))


def vmap(fun: Callable, in_axes: Any = 0, out_axes: Any = 0) -> Callable:
    """A function that calls ``fun`` for every slice of its arguments along an axis, at once.

    Args:
        fun: from arrays, or trees of arrays, to the same.
        in_axes (int | tree): the axis to map, for all arguments or each; ``None`` for one that is not mapped.
            Default: ``0``.
        out_axes (int | tree): where the mapped axis is in the results. Default: ``0``.

    Returns:
        A function with the arguments of ``fun``, each with the mapped axis more.

    Raises:
        ValueError: mapped axes of different sizes, an axis out of range, nothing mapped.

    Example:
        >>> mx.vmap(lambda x: x.sum())(mx.ones((2, 3))).tolist()
        [3.0, 3.0]
    """

    @functools.wraps(fun)
    def wrapped(*args: Any) -> Any:
        leaves = _leaves(list(args), "vmap", "an argument")
        mapped = _axes_of(list(args), list(in_axes) if isinstance(in_axes, (list, tuple)) else in_axes, "in_axes")
        # The results' axes are known only once the function has run: it fills `outputs`, which is read after.
        result: Any = None

        def flat_fun(traced: list[array]) -> list[array]:
            nonlocal result
            result = fun(*_tree_unflatten(list(args), traced))
            outputs[:] = _axes_of(result, out_axes, "out_axes")
            return _leaves(result, "vmap", "the result")

        outputs: list[int | None] = []
        values = _core._vmap(flat_fun, mapped, outputs, leaves)
        return _tree_unflatten(result, values)

    return wrapped


def compile(fun: Callable, inputs: Any = None, outputs: Any = None, shapeless: bool = False) -> Callable:
    """A function that runs ``fun`` once to record what it computes, and then replays that.

    It is recorded again for arguments of other shapes, dtypes or structure, and for other values of arguments that are
    not arrays. ``fun`` itself, prints and other effects included, runs only when it is recorded.

    Args:
        fun: from arrays, trees of arrays and constants to arrays or trees of them.
        inputs (list | dict, optional): arrays that it reads besides its arguments, such as parameters or
            ``random.state``; their values at each call are used. Default: none; other arrays are constants.
        outputs (list | dict, optional): arrays that it replaces; they are replaced after each call. Default: none.
        shapeless (bool): accepted for MLX's sake: other shapes are recorded again. Default: ``False``.

    Returns:
        A function with the arguments of ``fun``.

    Raises:
        TypeError: an argument that is neither an array, a constant nor a tree of them.
        ValueError: ``fun`` evaluates one of its arguments.

    Example:
        >>> double = mx.compile(lambda x: x + x)
        >>> double(mx.array([1, 2])).tolist()
        [2, 4]
    """
    if not callable(fun):
        raise TypeError(f"[compile] expected a function, got {type(fun).__name__}")
    del shapeless
    return _core._Compiled(fun, inputs, outputs)


def checkpoint(fun: Callable) -> Callable:
    """A function whose intermediate arrays are computed again for its gradient instead of kept.

    Args:
        fun: from arrays and trees of arrays to the same.

    Returns:
        A function with the arguments, values and gradients of ``fun``.

    Example:
        >>> mx.grad(mx.checkpoint(lambda x: mx.sin(x).sum()))(mx.array([0.0])).tolist()
        [1.0]
    """

    @functools.wraps(fun)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result: Any = None

        def flat_fun(leaves: list[array]) -> list[array]:
            nonlocal result
            full, named = _tree_unflatten((args, kwargs), leaves)
            result = fun(*full, **named)
            return _tree_flatten(result)

        values = _core._checkpoint(flat_fun)(_tree_flatten((args, kwargs)))
        return _tree_unflatten(result, values)

    return wrapped


def _replaced(tree: Any, leaves: Iterator[Any]) -> Any:
    """A copy of a tree of arrays with the leaves, which may be anything, in their place."""
    if isinstance(tree, dict):
        return {key: _replaced(item, leaves) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [_replaced(item, leaves) for item in tree]
        return items if isinstance(tree, list) else tuple(items)
    return next(leaves) if isinstance(tree, array) else tree


def _cotangents(tree: Any, given: Any) -> list[array | None]:
    """One cotangent per array of the primals' tree; ``None`` in what a rule gave stands for zeros."""
    if given is None:
        return [None] * len(_tree_flatten(tree))
    if isinstance(tree, array):
        given = given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given
        if not isinstance(given, array):
            raise TypeError(f"[custom_function] the vjp rule gave a {type(given).__name__}; expected an array or None")
        return [given]
    if isinstance(tree, dict):
        if not isinstance(given, dict) or set(given) != set(tree):
            raise ValueError("[custom_function] the vjp rule must give a dict with the keys of the primal")
        return [c for key, item in tree.items() for c in _cotangents(item, given[key])]
    if isinstance(tree, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(given) != len(tree):
            got = f"{len(given)} values" if isinstance(given, (list, tuple)) else f"one {type(given).__name__}"
            raise ValueError(f"[custom_function] the vjp rule gave {got}; expected {len(tree)} values, one per primal")
        return [c for item, g in zip(tree, given, strict=True) for c in _cotangents(item, g)]
    return []


class custom_function:
    """A function with a gradient of its own; use it as a decorator.

    ``vjp``, ``jvp`` and ``vmap`` are decorators for its rules; where there is none, that of the function's body holds.
    A rule gets the arguments as they were passed: one alone, or a tuple of several. Where the rule of ``vjp`` gives
    ``None``, the gradient is zero. Arrays that the function reads besides its arguments are constants to its rules.

    Args:
        fun: from arrays, or trees of arrays, to the same.

    Returns:
        A function with the arguments of ``fun``.

    Example:
        >>> @mx.custom_function
        ... def clipped(x):
        ...     return mx.minimum(x, 1.0)
        >>> @clipped.vjp
        ... def clipped_vjp(primals, cotangents, outputs):
        ...     return cotangents
        >>> mx.grad(clipped)(mx.array(5.0)).item()
        1.0
    """

    def __init__(self, fun: Callable):
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._vjp: Callable | None = None
        self._jvp: Callable | None = None
        self._vmap: Callable | None = None

    def vjp(self, rule: Callable) -> custom_function:
        """Sets the rule ``(primals, cotangents, outputs) -> cotangents of the primals``; returns the function."""
        self._vjp = rule
        return self

    def jvp(self, rule: Callable) -> custom_function:
        """Sets the rule ``(primals, tangents) -> tangents of the outputs``; returns the function."""
        self._jvp = rule
        return self

    def vmap(self, rule: Callable) -> custom_function:
        """Sets the rule ``(primals, axes) -> (outputs, their axes)``; returns the function."""
        self._vmap = rule
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result: Any = None
        packed = args[0] if len(args) == 1 else args

        def flat_fun(leaves: list[array]) -> list[array]:
            nonlocal result
            result = self._fun(*_tree_unflatten(args, leaves), **kwargs)
            return _tree_flatten(result)

        def primal_tree(leaves: list[array]) -> Any:
            return _tree_unflatten(packed, leaves)

        def flat_vjp(primals: list[array], cotangents: list[array], outputs: list[array]) -> list[array | None]:
            trees = (_tree_unflatten(result, cotangents), _tree_unflatten(result, outputs))
            return _cotangents(packed, self._vjp(primal_tree(primals), *trees))

        def flat_jvp(primals: list[array], tangents: list[array]) -> list[array]:
            return _tree_flatten(self._jvp(primal_tree(primals), primal_tree(tangents)))

        def flat_vmap(primals: list[array], axes: list[int | None]) -> tuple[list[array], list[int | None]]:
            outputs, out_axes = self._vmap(primal_tree(primals), _replaced(packed, iter(axes)))
            return _tree_flatten(outputs), _axes_of(outputs, out_axes, "the axes of the vmap rule")

        rules = [
            rule and flat for rule, flat in ((self._vjp, flat_vjp), (self._jvp, flat_jvp), (self._vmap, flat_vmap))
        ]
        values = _core._custom_function(flat_fun, *rules)(_tree_flatten(args))
        return _tree_unflatten(result, values)


def explain(y: array) -> str:
    """How an array is computed: the elementwise operations that make one pass, and the nearest convolution's algorithm.

    Of the convolution it says the tiles too, and why the other algorithms lost.

    Args:
        y (array): the result of a convolution, or of something computed from one; or a lazy array.

    Returns:
        str: several lines.

    Raises:
        ValueError: no convolution is behind the array, and it is not the lazy result of several elementwise operations.

    Example:
        >>> "direct" in mx.explain(mx.conv2d(mx.ones((1, 8, 8, 16)), mx.ones((16, 3, 3, 16))))
        True
    """
    return _core._explain(y)


def export_to_dot(file: Any, *args: Any, **kwargs: Any) -> None:
    """Writes the graph behind arrays in Graphviz's language.

    Args:
        file (str | path | file): where to.
        *args: arrays, or trees of them.
        **kwargs: the same, under names.

    Example:
        >>> import io
        >>> out = io.StringIO()
        >>> mx.export_to_dot(out, y=mx.array([1]) + 1)
        >>> "add" in out.getvalue()
        True
    """
    named = [(f"output {i}", a) for i, a in enumerate(_tree_flatten(list(args)))]
    for name, tree in kwargs.items():
        named += [(name, a) for a in _tree_flatten(tree)]
    text = _core._export_to_dot([a for _, a in named], [n for n, _ in named])
    if hasattr(file, "write"):
        file.write(text)
    else:
        with open(os.fspath(file), "w", encoding="utf-8") as out:
            out.write(text)
