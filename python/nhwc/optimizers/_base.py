# python/nhwc/optimizers/_base.py -- what all optimizers share: state, schedules, and the walk over trees of parameters
"""The base class, several optimizers at once, and clipping by the global norm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple

import nhwc as mx
from nhwc import _core
from nhwc.utils import tree_flatten, tree_map, tree_map_with_path

_RESERVED = ("step", "learning_rate")


def _number(value: Any, name: str, who: str) -> mx.array:
    """A scalar array of a hyperparameter that may change from step to step."""
    if isinstance(value, mx.array) and value.ndim == 0:
        return value
    if isinstance(value, bool) or not isinstance(value, Real):  # NumPy's scalars are
        got = f"an array of shape {value.shape}" if isinstance(value, mx.array) else repr(value)
        raise TypeError(
            f"[{who}] {name} must be a number, a scalar array or a schedule (a function from a step to one), got {got}"
        )
    return mx.array(float(value), mx.float32)


def _within(value: float, name: str, who: str, below: float = float("inf")) -> None:
    """Refuses a hyperparameter outside of [0, below)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < below:
        wanted = "at least 0" if below == float("inf") else f"in [0, {below:g})"
        raise ValueError(f"[{who}] {name} must be a number {wanted}, got {value!r}")


def _pair_of_betas(betas: Any, who: str) -> list[float]:
    """Two coefficients in [0, 1)."""
    if not isinstance(betas, (list, tuple)) or len(betas) != 2:
        raise ValueError(f"[{who}] betas must be two numbers in [0, 1), got {betas!r}")
    for beta in betas:
        _within(beta, "each of betas", who, below=1.0)
    return list(betas)


def _at(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _no_array(tree: Any, path: str, who: str, what: str) -> TypeError:
    return TypeError(
        f"[{who}] {what} hold a {type(tree).__name__} at {path or 'the root'!r}; "
        "expected arrays in dicts, lists and tuples"
    )


def _arrays(tree: Any, who: str, what: str) -> list[tuple[str, mx.array]]:
    """Paths and leaves of a tree that holds nothing else than arrays."""
    leaves = tree_flatten(tree)
    for path, leaf in leaves:
        if not isinstance(leaf, mx.array):
            raise _no_array(leaf, path, who, what)
    return leaves


class _Rule(NamedTuple):
    """One of csrc/base/update_rules.h with its numbers, and the names of the states that it renews."""

    name: str
    constants: tuple[float, ...]
    scalars: tuple[mx.array, ...]
    held: tuple[str, ...]


def _replaced(old: Any, new: Any) -> Any:
    """A tree with the arrays of another, which may lack entries, in it; dicts and lists are changed in place."""
    if isinstance(new, mx.array):
        return new
    if isinstance(new, dict):
        for key, item in new.items():
            old[key] = _replaced(old[key], item)
        return old
    items = [_replaced(old[i], item) for i, item in enumerate(new)]
    if isinstance(old, tuple):
        return (*items, *old[len(items) :])
    old[: len(items)] = items
    return old


def _definer(kind: type, name: str) -> type:
    return next(base for base in kind.__mro__ if name in vars(base))


class Optimizer:
    """The base of all optimizers: applies a rule for one parameter to trees of them.

    A subclass defines :meth:`init_single` and :meth:`apply_single`. Its state is a tree of the parameters' structure
    with a dict of arrays in the place of each parameter, beside ``step`` and ``learning_rate``.

    Args:
        schedulers (dict, optional): functions from a step to a value, by the name in :attr:`state` that gets the value
            before each update. Default: none.

    Example:
        >>> optimizer = optim.SGD(learning_rate=0.5)
        >>> optimizer.apply_gradients({"w": mx.array([2.0])}, {"w": mx.array([1.0])})
        {'w': array([0], dtype=float32)}
    """

    _held: tuple[str, ...] | None = None  # names of what each parameter has: arrays like it, of zeros at first

    def __init__(self, schedulers: dict[str, Callable] | None = None):
        self._initialized = False
        self._state: dict[str, Any] = {"step": mx.array(0, mx.uint64)}
        self._schedulers = dict(schedulers or {})
        self._made: tuple[Any, Any, dict[mx.Dtype, tuple[mx.array, ...]]] = (None, None, {})

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _maybe_schedule(self, name: str, value: Any) -> None:
        """Puts a hyperparameter into the state; a schedule also stays for the steps to come."""
        if callable(value):
            self._schedulers[name] = value
            value = value(self.step)
        else:
            self._schedulers.pop(name, None)
        self.state[name] = _number(value, name, self._name)

    def _scalars(self, dtype: mx.Dtype) -> tuple[mx.array, ...]:
        """What a rule needs that is the same for all parameters of a dtype: the learning rate first."""
        return (self.learning_rate.astype(dtype),)

    def _scalars_of_step(self, dtype: mx.Dtype) -> tuple[mx.array, ...]:
        """The scalars, made once per step instead of once per parameter."""
        step, rate = self.state["step"], self.state.get("learning_rate")
        if self._made[0] is not step or self._made[1] is not rate:
            self._made = (step, rate, {})
        made = self._made[2]
        if dtype not in made:
            made[dtype] = self._scalars(dtype)
        return made[dtype]

    def _rule(self) -> _Rule | None:
        """The core's rule that computes what :meth:`apply_single` does; None where there is none."""
        return None

    def _in_one_pass(self, gradients: Any, parameters: Any) -> Any:
        """What apply_gradients returns, all of it one node; None where single operations have to make it."""
        kind = type(self)
        if _definer(kind, "_rule") is not _definer(kind, "apply_single"):  # a subclass has its own way
            return None
        rule = self._rule()
        if rule is None or gradients is None or parameters is None:
            return None
        return _core._update(rule.name, rule.constants, rule.scalars, rule.held, gradients, parameters, self.state)

    # What the state holds.

    @property
    def state(self) -> dict[str, Any]:
        """A dict with ``step``, ``learning_rate``, and a dict of arrays in the place of each parameter.

        It may be set to what another optimizer of the same kind had, for instance to a loaded one.
        """
        return self._state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if not isinstance(state, dict):
            raise TypeError(f"[{self._name}] the state must be a dict, got {type(state).__name__}")
        self._initialized = False
        self._state = state

    @property
    def step(self) -> mx.array:
        """How many updates there were, a scalar array of dtype uint64."""
        return self.state["step"]

    @property
    def learning_rate(self) -> mx.array:
        """The learning rate, a scalar array; may be set to a number, an array or a schedule."""
        return self.state["learning_rate"]

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self._maybe_schedule("learning_rate", value)

    def init(self, parameters: Any) -> None:
        """Makes the state of parameters; what the state holds already stays.

        It is optional: the first update does it for what has a gradient. It serves to have the state before, for
        instance as an input of :func:`nhwc.compile`.

        Args:
            parameters: arrays in dicts, lists and tuples; a module's ``trainable_parameters()``.

        Raises:
            TypeError: the tree holds something else.
            ValueError: a parameter at the top has the name of an entry of the state.

        Example:
            >>> optimizer = optim.SGD(learning_rate=0.1, momentum=0.9)
            >>> optimizer.init({"w": mx.zeros((2,))})
            >>> sorted(optimizer.state)
            ['learning_rate', 'step', 'w']
        """
        self._complete(parameters)
        self._initialized = True

    def _complete(self, parameters: Any) -> None:
        """Makes what the state lacks for parameters."""
        if not isinstance(parameters, dict):
            raise TypeError(f"[{self._name}] the parameters must be in a dict, got {type(parameters).__name__}")
        for name in _RESERVED:
            if name in parameters:
                raise ValueError(f"[{self._name}] the name {name!r} is the state's own; put the parameters into a dict")
        self._init_tree(parameters, self._state, "")

    def _init_tree(self, tree: Any, state: Any, path: str) -> Any:
        """The state of a tree: what is there, changed in place where that can be, and the rest new."""
        if isinstance(tree, mx.array):
            if not isinstance(state, dict):
                state = {}
            if not state:
                self.init_single(tree, state)
            return state
        if isinstance(tree, dict):
            if not isinstance(state, dict):
                state = {}
            for key, item in tree.items():
                state[key] = self._init_tree(item, state.get(key), _at(path, key))
            return state
        if isinstance(tree, (list, tuple)):
            held = state if isinstance(state, (list, tuple)) else ()
            items = [
                self._init_tree(item, held[i] if i < len(held) else None, _at(path, i)) for i, item in enumerate(tree)
            ]
            if isinstance(tree, tuple):
                return tuple(items)
            if isinstance(state, list):
                state[: len(items)] = items
                return state
            return items
        raise _no_array(tree, path, self._name, "the parameters")

    def init_single(self, parameter: mx.array, state: dict[str, Any]) -> None:
        """Puts the state of one parameter into ``state``; for subclasses.

        Args:
            parameter (array): what will be optimized.
            state (dict): its empty state.
        """
        if self._held is None:
            raise NotImplementedError(f"[{self._name}] an optimizer must define init_single(parameter, state)")
        for name in self._held:
            state[name] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict[str, Any]) -> mx.array:
        """The new value of one parameter, and in ``state`` its new state; for subclasses.

        Args:
            gradient (array): of the parameter's shape.
            parameter (array): the value to replace.
            state (dict): what :meth:`init_single` made, or the last call.

        Returns:
            array: the new value.
        """
        raise NotImplementedError(f"[{self._name}] an optimizer must define apply_single(gradient, parameter, state)")

    def update(self, model: Any, gradients: Any) -> None:
        """Replaces the parameters of a model by their new values.

        Args:
            model: a module, or a dict of parameters.
            gradients: a tree of the model's structure; what it lacks stays as it is.

        Example:
            >>> model = {"w": mx.array([1.0])}
            >>> optim.SGD(0.5).update(model, {"w": mx.array([2.0])})
            >>> model["w"].item()
            0.0
        """
        new = self.apply_gradients(gradients, model)
        if type(model).update is dict.update:
            _replaced(model, new)
        else:
            model.update(new)

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """The new values of parameters; counts the step and renews the state.

        Args:
            gradients: arrays in dicts, lists and tuples.
            parameters: a tree of the same structure, or one that holds more.

        Returns:
            The new parameters, in the structure of the gradients.

        Raises:
            TypeError: a tree holds something else than arrays.
            ValueError: a gradient without a parameter, or of another shape.

        Example:
            >>> gradients, parameters = {"w": mx.array([2.0])}, {"w": mx.array([1.0]), "frozen": mx.array([3.0])}
            >>> optim.SGD(0.5).apply_gradients(gradients, parameters)
            {'w': array([0], dtype=float32)}
        """
        if not self._initialized:
            self._check_tree(gradients, parameters, "")
            self.init(gradients)
        before = {name: self.state[name] for name in ("step", *self._schedulers) if name in self.state}
        try:
            for name, schedule in self._schedulers.items():
                self.state[name] = _number(schedule(self.step), name, self._name)
            self.state["step"] = self.step + 1
            new = self._in_one_pass(gradients, parameters)
            if new is None:
                self._check_tree(gradients, parameters, "")
                self._complete(gradients)
                new = self._apply_tree(gradients, parameters, self.state)
        except BaseException:
            self.state.update(before)  # a step that failed does not count
            raise
        return new

    def _apply_tree(self, gradients: Any, parameters: Any, state: Any) -> Any:
        if isinstance(gradients, mx.array):
            return self.apply_single(gradients, parameters, state)
        if isinstance(gradients, dict):
            return {key: self._apply_tree(item, parameters[key], state[key]) for key, item in gradients.items()}
        items = [self._apply_tree(item, parameters[i], state[i]) for i, item in enumerate(gradients)]
        return items if isinstance(gradients, list) else tuple(items)

    def _check_tree(self, gradients: Any, parameters: Any, path: str) -> None:
        """Raises unless there is a parameter of the right shape for every gradient."""
        if isinstance(gradients, mx.array):
            self._check_leaf(gradients, parameters, path)
        elif isinstance(gradients, (dict, list, tuple)):
            for key, item in gradients.items() if isinstance(gradients, dict) else enumerate(gradients):
                inner = _at(path, key)
                self._check_tree(item, self._counterpart(parameters, key, inner), inner)
        else:
            raise _no_array(gradients, path, self._name, "the gradients")

    def _counterpart(self, parameters: Any, key: Any, path: str) -> Any:
        try:
            return parameters[key]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"[{self._name}] there is a gradient of {path!r}, but no such parameter") from None

    def _check_leaf(self, gradient: mx.array, parameter: Any, path: str) -> None:
        if not isinstance(parameter, mx.array):
            raise _no_array(parameter, path, self._name, "the parameters")
        if gradient.shape != parameter.shape:
            raise ValueError(
                f"[{self._name}] the gradient of {path!r} has shape {gradient.shape}, the parameter {parameter.shape}"
            )


def _picked(tree: Any, choose: Callable[[str], bool], path: str = "") -> Any:
    """The part of a tree for whose leaves ``choose`` holds, or ``None``; in lists others leave ``{}`` behind."""
    if isinstance(tree, dict):
        items = {key: _picked(item, choose, _at(path, key)) for key, item in tree.items()}
        return {key: item for key, item in items.items() if item is not None} or None
    if isinstance(tree, (list, tuple)):
        parts = [_picked(item, choose, _at(path, i)) for i, item in enumerate(tree)]
        while parts and parts[-1] is None:
            parts.pop()
        return [{} if part is None else part for part in parts] or None
    return tree if choose(path) else None


class MultiOptimizer(Optimizer):
    """Several optimizers, each for some of the parameters.

    A parameter goes to the first optimizer whose filter takes it, or else to the last, which has no filter.

    Args:
        optimizers (list): the optimizers; at least one.
        filters (list): functions ``(path, array) -> bool``, one fewer than there are optimizers; a path is
            ``"layers.0.weight"``. Default: none.

    Raises:
        ValueError: another number of filters.

    Example:
        >>> both = optim.MultiOptimizer([optim.SGD(1.0), optim.SGD(0.5)], [lambda path, w: w.ndim > 1])
        >>> ones = {"w": mx.ones((1, 1)), "b": mx.ones((1,))}
        >>> both.apply_gradients(ones, ones)
        {'w': array([[0]], dtype=float32), 'b': array([0.5], dtype=float32)}
    """

    def __init__(self, optimizers: Sequence[Optimizer], filters: Sequence[Callable[[str, mx.array], bool]] = ()):
        super().__init__()
        optimizers, filters = list(optimizers), list(filters)
        if not optimizers or len(filters) != len(optimizers) - 1:
            raise ValueError(
                f"[MultiOptimizer] {len(optimizers)} optimizers need {max(len(optimizers) - 1, 0)} filters, "
                f"got {len(filters)}"
            )
        self.optimizers = optimizers
        self.filters = filters

    def _parts(self, tree: Any, what: str) -> Iterator[Any]:
        """The tree of each optimizer."""
        owner = {}
        for path, leaf in _arrays(tree, self._name, what):
            owner[path] = next((i for i, takes in enumerate(self.filters) if takes(path, leaf)), len(self.filters))
        for index in range(len(self.optimizers)):
            yield _picked(tree, lambda path, index=index: owner[path] == index) or {}

    def init(self, parameters: Any) -> None:
        for optimizer, part in zip(self.optimizers, self._parts(parameters, "the parameters"), strict=True):
            optimizer.init(part)
        self._initialized = True

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        new: dict[str, mx.array] = {}
        for optimizer, part in zip(self.optimizers, self._parts(gradients, "the gradients"), strict=True):
            tree_flatten(optimizer.apply_gradients(part, parameters), destination=new)
        return tree_map_with_path(lambda path, _: new[path], gradients)

    @property
    def state(self) -> dict[str, Any]:
        """``{"states": [...]}``, the state of each optimizer."""
        return {"states": [optimizer.state for optimizer in self.optimizers]}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        states = state.get("states") if isinstance(state, dict) else None
        if not isinstance(states, (list, tuple)) or len(states) != len(self.optimizers):
            raise ValueError(
                f"[MultiOptimizer] the state must be {{'states': [...]}} with {len(self.optimizers)} entries"
            )
        for optimizer, one in zip(self.optimizers, states, strict=True):
            optimizer.state = one

    @property
    def step(self) -> mx.array:
        """How many updates there were."""
        return self.optimizers[0].step

    @property
    def learning_rate(self) -> mx.array:
        """The first optimizer's learning rate; setting it sets that of all."""
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        for optimizer in self.optimizers:
            optimizer.learning_rate = value


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, mx.array]:
    """Gradients scaled down such that their norm, all of them taken as one vector, is at most ``max_norm``.

    Args:
        grads: arrays in dicts, lists and tuples.
        max_norm (float): the largest norm that stays.

    Returns:
        A pair: the gradients times ``min(max_norm / (norm + 1e-6), 1)``, and the norm, a scalar array.

    Raises:
        TypeError: the tree holds something else than arrays.

    Example:
        >>> clipped, norm = optim.clip_grad_norm({"w": mx.array([3.0, 4.0])}, max_norm=1.0)
        >>> norm.item()
        5.0
    """
    leaves = [leaf for _, leaf in _arrays(grads, "clip_grad_norm", "the gradients")]
    # Squares of half types overflow early.
    widened = [leaf.astype(mx.float32) if leaf.dtype in (mx.float16, mx.bfloat16) else leaf for leaf in leaves]
    norm = mx.sqrt(sum((mx.square(leaf).sum() for leaf in widened), mx.array(0.0)))
    factor = mx.minimum(max_norm / (norm + 1e-6), 1.0)

    def scaled(leaf: mx.array) -> mx.array:
        return leaf * (factor.astype(leaf.dtype) if mx.issubdtype(leaf.dtype, mx.floating) else factor)

    return tree_map(scaled, grads), norm
