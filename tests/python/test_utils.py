# tests/python/test_utils.py -- trees: flat forms, maps, reductions and merging, on random trees and beside mlx.utils
import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
from nhwc import utils
from nhwc.utils import tree_flatten, tree_map, tree_map_with_path, tree_merge, tree_reduce, tree_unflatten

Pair = collections.namedtuple("Pair", "a b")

NAMES = st.sampled_from(["weight", "bias", "layers", "a", "b1", "_"])
LEAVES = st.one_of(st.integers(-9, 9), st.sampled_from(["text", 2.5, True]))


def trees(empty=True):
    least = 0 if empty else 1
    return st.recursive(
        LEAVES,
        lambda t: st.one_of(
            st.lists(t, min_size=least, max_size=3),
            st.dictionaries(NAMES, t, min_size=least, max_size=3),
            st.tuples(t, t),
            st.builds(Pair, t, t),
        ),
        max_leaves=12,
    )


def plain(tree):
    """The tree as tree_unflatten makes it: lists for tuples."""
    if isinstance(tree, dict):
        return {k: plain(t) for k, t in tree.items()}
    return [plain(t) for t in tree] if isinstance(tree, (list, tuple)) else tree


@given(trees(empty=False))
def test_unflatten_undoes_flatten(tree):
    assert tree_unflatten(tree_flatten(tree)) == plain(tree)
    assert tree_unflatten(tree_flatten(tree, destination={})) == plain(tree)


@given(trees())
def test_maps_keep_the_structure(tree):
    doubled = tree_map(lambda x: (x,), tree, is_leaf=lambda t: not isinstance(t, (list, tuple, dict)))
    assert tree_flatten(doubled, is_leaf=lambda t: type(t) is tuple and len(t) == 1) == [
        (name, (leaf,)) for name, leaf in tree_flatten(tree)
    ]
    assert tree_map(lambda x, y, z: (x, y, z)[1], tree, tree, tree) == tree
    seen = []
    tree_map_with_path(lambda name, leaf: seen.append((name, leaf)), tree, path="p")
    assert seen == [(f"p.{name}" if name else "p", leaf) for name, leaf in tree_flatten(tree)]


@given(trees())
def test_reduce_goes_through_the_leaves_in_order(tree):
    leaves = [leaf for _, leaf in tree_flatten(tree)]
    assert tree_reduce(lambda seen, leaf: [*seen, leaf], tree, []) == leaves
    assert tree_reduce(lambda first, leaf: first, tree) == (leaves[0] if leaves else None)


@given(st.dictionaries(NAMES, trees(empty=False), min_size=1), st.data())
def test_merge_joins_what_was_taken_apart(tree, data):
    def part(node, keep):
        if isinstance(node, dict):
            return {k: part(n, keep) for k, n in node.items()}
        if isinstance(node, (list, tuple)):
            return [part(n, keep) for n in node]
        return node if next(keep) else None

    count = len(tree_flatten(tree))
    first = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    parts = [part(tree, iter([chosen == side for chosen in first])) for side in (True, False)]
    assert tree_merge(*parts) == plain(tree)
    assert tree_merge(tree, tree, lambda a, b: a) == tree


def test_flatten_by_example():
    tree = {"a": [1, {"b": None}], 3: Pair((), 2)}
    assert tree_flatten(tree) == [("a.0", 1), ("a.1.b", None), ("3.1", 2)]
    assert tree_flatten(tree, prefix=".model")[0] == ("model.a.0", 1)
    assert tree_flatten(5) == [("", 5)]
    assert tree_flatten(5, prefix="_x") == [("x", 5)]
    assert tree_flatten(tree, is_leaf=lambda t: isinstance(t, list)) == [("a", [1, {"b": None}]), ("3.1", 2)]
    into = [("first", 0)]
    assert tree_flatten([7], destination=into) is into == [("first", 0), ("0", 7)]
    with pytest.raises(ValueError, match=r"\[tree_flatten\] destination .* got int"):
        tree_flatten(tree, destination=1)


def test_unflatten_by_example():
    assert tree_unflatten([]) == []
    assert tree_unflatten([("", 5)]) == 5
    assert tree_unflatten([("l.10", "x"), ("l.2", "y")])["l"] == [{}, {}, "y", *[{}] * 7, "x"]
    assert tree_unflatten({"0": 1, "a": 2}) == {"0": 1, "a": 2}
    assert len(tree_unflatten({"65536": 1})) == 65537
    with pytest.raises(ValueError, match=r"\[tree_unflatten\] a list with entry 99999999999 lacks more than 65536"):
        tree_unflatten({"w.0": 1, "w.99999999999": 1})


def test_maps_by_example():
    assert tree_map(lambda x, y: x + y, {"a": Pair(1, 2)}, {"a": (10, 20), "more": 0}) == {"a": Pair(11, 22)}
    assert type(tree_map(abs, collections.OrderedDict(a=-1))) is dict
    with pytest.raises(KeyError, match="'a'"):
        tree_map(max, {"a": 1}, {})
    assert tree_map_with_path(lambda name, x: name, 3) is None


def test_arrays_are_leaves():
    tree = {"w": mx.ones((2, 3)), "b": [mx.zeros(3)]}
    assert [(name, a.shape) for name, a in tree_flatten(tree)] == [("w", (2, 3)), ("b.0", (3,))]
    assert tree_reduce(lambda n, a: n + a.size, tree, 0) == 9


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": [1, {}]}, {"a": [{}, 2, 3]}, {"a": [1, 2, 3]}),
        ((1,), (None, 3), (1, 3)),
        (Pair(1, None), Pair({}, 3), Pair(1, 3)),
        ({"a": ()}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, {"a": {}}, {"a": 1}),
        (None, {}, {}),
    ],
)
def test_merge_by_example(a, b, expected):
    merged = tree_merge(a, b)
    assert merged == expected
    assert type(merged) is type(expected)


def test_merge_of_two_leaves():
    assert tree_merge({"a": 1}, {"a": 2}, lambda x, y: x + y) == {"a": 3}
    with pytest.raises(ValueError, match=r"\[tree_merge\] .* at 'x\.1'; give merge_fn"):
        tree_merge({"x": [1, 2]}, {"x": [None, 3]})
    with pytest.raises(ValueError, match="at the root"):
        tree_merge([1], {"a": 1})


@given(trees(), st.sampled_from(["", ".model", "x"]))
def test_against_mlx(tree, prefix):
    theirs = pytest.importorskip("mlx.utils")
    flat = theirs.tree_flatten(tree, prefix)
    assert tree_flatten(tree, prefix) == flat
    assert tree_unflatten(flat) == theirs.tree_unflatten(flat)
    named = [m.tree_map_with_path(lambda name, leaf: (name, leaf), tree) for m in (utils, theirs)]
    assert named[0] == named[1]


@given(trees(empty=False), trees(empty=False))
def test_merge_against_mlx(a, b):
    theirs = pytest.importorskip("mlx.utils")
    results = []
    for m in (utils, theirs):
        try:
            results.append(m.tree_merge({"root": a}, {"root": b}))
        except ValueError:
            results.append("refused")
    assert results[0] == results[1]
