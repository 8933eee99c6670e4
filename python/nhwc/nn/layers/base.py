# python/nhwc/nn/layers/base.py -- Module: a dict of arrays, modules and containers of them, that layers and models are
"""The base of all layers: what a module holds; how parameters are listed, replaced, frozen, saved and loaded."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from typing import Any

import nhwc as mx
from nhwc.utils import tree_flatten, tree_unflatten


def _name(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _put(target: Any, values: Any, strict: bool, path: str, what: str, fits: Callable[[Any, Any], bool | None]) -> None:
    """Replaces entries of a module, dict or list by those of a tree of the same structure.

    ``fits(old, new)`` is true where the new entry replaces the old one, None where the search goes on inside, and
    false where neither may be, which is an error. An empty dict stands for nothing to replace.
    """
    if isinstance(values, dict) and isinstance(target, dict):
        pairs, known = values.items(), target
    elif isinstance(values, (list, tuple)) and isinstance(target, list):
        pairs, known = enumerate(values), range(len(target))
    elif isinstance(values, (list, tuple)) and isinstance(target, dict):  # "0", "1" are read as positions
        pairs, known = ((str(i), v) for i, v in enumerate(values)), target
    elif strict:
        raise ValueError(f"[Module.{what}] {path!r}, {_described(target)}, cannot be replaced by {_described(values)}")
    else:
        return
    for key, new in pairs:
        if isinstance(new, dict) and not new and not isinstance(new, Module):
            continue
        if key not in known:
            if strict:
                held = f"its length is {len(target)}" if isinstance(target, list) else f"it has {_listed(target)}"
                owner = f"{type(target).__name__} {path!r}" if path else f"the {type(target).__name__}"
                raise ValueError(f"[Module.{what}] {owner} has no entry {key!r}; {held}")
            continue
        old = target[key]
        verdict = fits(old, new)
        if verdict:
            target[key] = new
        elif verdict is None:
            _put(old, new, strict, _name(path, key), what, fits)
        else:
            of = f"{_name(path, key)!r}, {_described(old)},"
            raise ValueError(f"[Module.{what}] {of} cannot be replaced by {_described(new)}")


def _described(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _listed(names: Any, most: int = 12) -> str:
    names = [str(n) for n in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) if names else "none"


# Functions of their own: closures that call each other would be left to the garbage collector at every step.


def _entries(module: Module, keeps: Callable, change: Callable | None, is_leaf: Callable | None) -> dict[str, Any]:
    return {k: _kept(module, k, v, keeps, change, is_leaf) for k, v in module.items() if keeps(module, k, v)}


def _kept(
    module: Module, key: str, value: Any, keeps: Callable, change: Callable | None, is_leaf: Callable | None
) -> Any:
    """What filter_and_map makes of an entry that is kept."""
    if is_leaf(module, key, value) if is_leaf else not isinstance(value, (dict, list)):
        return change(value) if change else value
    if isinstance(value, Module):
        return _entries(value, keeps, change, is_leaf)

    def inner(name: str, item: Any) -> Any:
        return _kept(module, name, item, keeps, change, is_leaf) if keeps(module, name, item) else {}

    if isinstance(value, dict):
        return {k: inner(f"{key}.{k}", v) for k, v in value.items()}
    if isinstance(value, list):
        return [inner(f"{key}.{i}", v) for i, v in enumerate(value)]
    raise RuntimeError(f"[Module.filter_and_map] is_leaf_fn takes {key!r}, {_described(value)}, for no leaf")


class Module(dict):
    """The base of layers and models.

    A subclass calls ``super().__init__()`` and assigns arrays, modules, and lists or dicts of them, to attributes;
    these are entries of the module, which is a dict. Arrays are its parameters unless their name begins with an
    underscore; other values, such as numbers, are plain attributes. Tuples are entries too, but nothing in them is a
    parameter.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layers = [nn.Linear(2, 3), nn.Linear(3, 1)]
        ...
        ...     def __call__(self, x):
        ...         return self.layers[1](nn.relu(self.layers[0](x)))
        >>> Net()(mx.ones((4, 2))).shape
        (4, 1)
    """

    __call__: Callable
    _always_frozen: tuple[str, ...] = ()  # parameters that unfreeze leaves frozen

    def __init__(self):
        self._no_grad: set[str] = set()
        self._training = True

    # Entries as attributes

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {key!r}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        if isinstance(value, (mx.array, dict, list, tuple)):
            self.__dict__.pop(key, None)
            self[key] = value
        else:
            super().__setattr__(key, value)
            self.pop(key, None)

    def __delattr__(self, name: str) -> None:
        if name in self:
            del self[name]
        else:
            super().__delattr__(name)

    @property
    def training(self) -> bool:
        """Whether the module is in training mode, as it is at first."""
        return self._training

    @property
    def state(self) -> Module:
        """The module itself, as a dict, which is what ``compile(inputs=, outputs=)`` wants."""
        return self

    def _extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        children = tree_flatten(self.children(), is_leaf=self.is_module)
        inside = "".join("\n" + textwrap.indent(f"({name}): {module!r}", "  ") for name, module in children)
        return f"{type(self).__name__}({self._extra_repr()}{inside}" + ("\n)" if inside else ")")

    # Filters

    @staticmethod
    def is_module(value: Any) -> bool:
        """Whether a value is a module."""
        return isinstance(value, Module)

    @staticmethod
    def valid_child_filter(module: Module, key: str, value: Any) -> bool:
        """Whether an entry may hold modules."""
        return isinstance(value, (dict, list))

    @staticmethod
    def valid_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """Whether an entry is a parameter or may hold some."""
        return isinstance(value, (mx.array, dict, list)) and not key.startswith("_")

    @staticmethod
    def trainable_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """Whether an entry is a parameter that is not frozen, or may hold some."""
        return Module.valid_parameter_filter(module, key, value) and key not in module._no_grad

    def filter_and_map(
        self,
        filter_fn: Callable[[Module, str, Any], bool],
        map_fn: Callable | None = None,
        is_leaf_fn: Callable[[Module, str, Any], bool] | None = None,
    ) -> dict[str, Any]:
        """A tree of what a function makes of some entries.

        Args:
            filter_fn: called with a module, a name and a value; whether the entry is kept. What a dict or list holds
                has the name of the container, a dot and its key; ``{}`` stands for an item that is not kept.
            map_fn (callable, optional): called with each leaf. Default: the leaf itself.
            is_leaf_fn (callable, optional): as ``filter_fn``; whether a value is a leaf. Default: what is neither a
                module, a dict nor a list.

        Returns:
            A dict; modules become dicts.
        """

        return _entries(self, filter_fn, map_fn, is_leaf_fn)

    # What it holds

    def parameters(self) -> dict[str, Any]:
        """All parameters, as a tree of dicts and lists."""
        return self.filter_and_map(self.valid_parameter_filter)

    def trainable_parameters(self) -> dict[str, Any]:
        """The parameters that are not frozen, as a tree of dicts and lists."""
        return self.filter_and_map(self.trainable_parameter_filter)

    def children(self) -> dict[str, Any]:
        """The modules that this one holds directly, as a tree of dicts and lists."""
        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=lambda m, k, v: isinstance(v, Module))

    def leaf_modules(self) -> dict[str, Any]:
        """The modules that hold no others, as a tree of dicts and lists."""

        def is_leaf(module: Module, key: str, value: Any) -> bool:
            return isinstance(value, Module) and not tree_flatten(value.children(), is_leaf=self.is_module)

        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=is_leaf)

    def named_modules(self) -> list[tuple[str, Module]]:
        """All modules with their names, this one, named ``""``, first."""
        found: list[tuple[str, Module]] = []
        self.apply_to_modules(lambda name, module: found.append((name, module)))
        return found

    def modules(self) -> list[Module]:
        """All modules, this one first."""
        return [module for _, module in self.named_modules()]

    # Replacing

    def update(self, parameters: dict, strict: bool = True) -> Module:
        """Replaces parameters.

        Args:
            parameters (dict): a tree with the structure of :meth:`parameters` that may leave entries out.
            strict (bool): whether a name that the module does not have is an error. Default: ``True``.

        Returns:
            The module.

        Raises:
            ValueError: a value for an array is no array; with ``strict``, an unknown name.
        """

        def fits(old: Any, new: Any) -> bool | None:
            return isinstance(new, mx.array) if isinstance(old, mx.array) else None

        _put(self, parameters, strict, "", "update", fits)
        return self

    def update_modules(self, modules: dict, strict: bool = True) -> Module:
        """Replaces modules inside this one.

        Args:
            modules (dict): a tree with the structure of :meth:`children` or :meth:`leaf_modules` that may leave
                entries out.
            strict (bool): whether an unknown name, or something that is no module, is an error. Default: ``True``.

        Returns:
            The module.

        Raises:
            ValueError: with ``strict``, an unknown name, or a value that is no module.
        """

        def fits(old: Any, new: Any) -> bool | None:
            if isinstance(old, Module) and isinstance(new, Module):
                return True
            return None if isinstance(old, (dict, list)) and not isinstance(new, Module) else not strict and None

        _put(self, modules, strict, "", "update_modules", fits)
        return self

    def apply(
        self,
        map_fn: Callable[[mx.array], mx.array],
        filter_fn: Callable[[Module, str, Any], bool] | None = None,
    ) -> Module:
        """Replaces every parameter by what a function makes of it.

        Args:
            map_fn: from an array to an array.
            filter_fn (callable, optional): which entries, as for :meth:`filter_and_map`. Default: all parameters.

        Returns:
            The module.
        """
        return self.update(self.filter_and_map(filter_fn or self.valid_parameter_filter, map_fn))

    def apply_to_modules(self, apply_fn: Callable[[str, Module], Any]) -> Module:
        """Calls a function with the name of every module, ``""`` for this one, and the module.

        Returns:
            The module.
        """
        stack: list[tuple[str, Module]] = [("", self)]
        while stack:
            name, module = stack.pop()
            apply_fn(name, module)
            prefix = f".{name}" if name else ""
            stack.extend(tree_flatten(module.children(), prefix=prefix, is_leaf=self.is_module))
        return self

    def set_dtype(
        self,
        dtype: mx.Dtype,
        predicate: Callable[[mx.Dtype], bool] | None = lambda t: mx.issubdtype(t, mx.floating),
    ) -> None:
        """Converts parameters.

        Args:
            dtype (Dtype): the new type.
            predicate (callable, optional): from a parameter's type to whether it is converted; ``None`` for all.
                Default: floating types.
        """
        self.apply(lambda x: x.astype(dtype) if predicate is None or predicate(x.dtype) else x)

    # Freezing, modes

    def _change_frozen(self, recurse: bool, keys: Any, strict: bool, change: Callable[[Module, Any], None]) -> Module:
        names = [keys] if isinstance(keys, str) else keys
        modules = self.modules() if recurse else [self]
        if strict and names is not None:
            for name in names:
                if not any(name in module for module in modules):
                    raise KeyError(f"[Module.freeze] no entry {name!r} in the {type(self).__name__}")
        for module in modules:
            change(module, names)
        return self

    def freeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Module:
        """Takes parameters out of :meth:`trainable_parameters`.

        Args:
            recurse (bool): the modules inside too. Default: ``True``.
            keys (str | list, optional): names of parameters. Default: all.
            strict (bool): whether a key that no module has is an error. Default: ``False``.

        Returns:
            The module.

        Raises:
            KeyError: with ``strict``, an unknown key.
        """

        def own(module: Module, key: str, value: Any) -> bool:
            return not isinstance(value, Module) and module.valid_parameter_filter(module, key, value)

        def change(module: Module, names: list[str] | None) -> None:
            if names is None:
                names = [name for name, _ in tree_flatten(module.filter_and_map(own))]
            module._no_grad.update(names)

        return self._change_frozen(recurse, keys, strict, change)

    def unfreeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Module:
        """Undoes :meth:`freeze`, with the same arguments."""

        def change(module: Module, names: list[str] | None) -> None:
            module._no_grad.difference_update(list(module._no_grad) if names is None else names)
            module._no_grad.update(name for name in module._always_frozen if name in module)

        return self._change_frozen(recurse, keys, strict, change)

    def _set_training_mode(self, mode: bool) -> None:
        self._training = mode

    def train(self, mode: bool = True) -> Module:
        """Sets training mode in all modules; some layers, such as dropout, do something else then.

        Args:
            mode (bool): training or evaluation. Default: ``True``.

        Returns:
            The module.
        """
        return self.apply_to_modules(lambda _, module: module._set_training_mode(mode))

    def eval(self) -> Module:
        """Sets evaluation mode in all modules."""
        return self.train(False)

    # Files

    def save_weights(self, file: str) -> None:
        """Writes all parameters under their names.

        Args:
            file (str | path): ends in ``.npz`` or ``.safetensors``.

        Raises:
            ValueError: another ending.
        """
        path = os.fspath(file)
        weights = tree_flatten(self.parameters(), destination={})
        if path.endswith(".npz"):
            mx.savez(path, **weights)
        elif path.endswith(".safetensors"):
            mx.save_safetensors(path, weights)
        else:
            raise ValueError(f"[Module.save_weights] the file must end in .npz or .safetensors, got {path!r}")

    def load_weights(self, file_or_weights: str | list[tuple[str, mx.array]], strict: bool = True) -> Module:
        """Replaces parameters by those of a file.

        Args:
            file_or_weights (str | path | list): an npz or safetensors file, or pairs of name and array.
            strict (bool): whether there must be an array of the right shape for every parameter and no other.
                Default: ``True``; ``False`` takes what has the name of an array here, whatever its shape.

        Returns:
            The module.

        Raises:
            ValueError: with ``strict``, arrays that are missing, left over or of another shape; they are named.
        """
        if isinstance(file_or_weights, (str, os.PathLike)):
            weights = mx.load(os.fspath(file_or_weights))
            if not isinstance(weights, dict):
                raise ValueError(f"[Module.load_weights] {os.fspath(file_or_weights)!r} holds one array without a name")
        else:
            weights = dict(file_or_weights)
        if strict:
            self._check_weights(weights)
        # A file's names must not make a tree of their own: positions in lists may be any.
        held = tree_flatten(self.filter_and_map(lambda _, key, value: isinstance(value, (mx.array, dict, list))))
        known = {name: weights[name] for name, _ in held if name in weights}
        if known:
            self.update(tree_unflatten(known), strict=False)
        return self

    def _check_weights(self, weights: dict[str, Any]) -> None:
        own = tree_flatten(self.parameters(), destination={})
        for problem, names in (
            (f"lack parameters of the {type(self).__name__}", own.keys() - weights.keys()),
            (f"hold what the {type(self).__name__} does not have", weights.keys() - own.keys()),
        ):
            if names:
                raise ValueError(f"[Module.load_weights] the weights {problem}: {_listed(sorted(names), 40)}")
        for name, parameter in own.items():
            new = weights[name]
            if not isinstance(new, mx.array):
                raise ValueError(f"[Module.load_weights] {name!r} must be an array, got {_described(new)}")
            if new.shape != parameter.shape:
                raise ValueError(f"[Module.load_weights] {name!r} must have shape {parameter.shape}, got {new.shape}")
