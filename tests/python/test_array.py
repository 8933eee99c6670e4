# tests/python/test_array.py -- the class array: construction, operators, properties, copies, printing
import copy
import gc
import math
import pickle
import threading
import weakref

import numpy as np
import pytest

import nhwc as mx

DTYPES = [
    mx.bool_, mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64,
    mx.float16, mx.bfloat16, mx.float32, mx.float64,
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, mx.bool_),
        (3, mx.int32),
        (-(2**31), mx.int32),
        (2**31, mx.int64),
        (1.5, mx.float32),
        ([], mx.float32),
        ([[], []], mx.float32),
        ([True, False], mx.bool_),
        ([1, True], mx.int32),
        ([1, 2.5], mx.float32),
        ([[1, 2], [3, 4]], mx.int32),
        ((1, (2)), mx.int32),
        ([2**40, 1], mx.int64),
        (2**63, mx.uint64),
        (range(4), mx.int32),
        (float("inf"), mx.float32),
        (np.float32(2), mx.float32),
        (np.float64(2), mx.float32),
        (np.int64(2), mx.int64),
        (np.bool_(True), mx.bool_),
        (np.float16(0.5), mx.float16),
        (b"abc", mx.uint8),
    ],
)
def test_construction(value, dtype):
    a = mx.array(value)
    assert a.dtype is dtype
    expected = np.array(list(value) if isinstance(value, range | bytes) else value)
    assert a.shape == expected.shape
    np.testing.assert_array_equal(np.array(a), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_explicit_dtype(dtype):
    a = mx.array([[0, 1], [2, 3]], dtype)
    assert a.dtype is dtype
    assert a.tolist() == [[False, True], [True, True]] if dtype is mx.bool_ else [[0, 1], [2, 3]]
    assert mx.array(1, dtype).item() == 1
    assert mx.array(1.5, mx.int32).item() == 1


def test_lists_of_arrays():
    assert mx.array([mx.array(1), 2]).tolist() == [1, 2]
    a = mx.array([mx.array([1, 2]), [3, 4.5]])
    assert a.dtype is mx.float32
    assert a.tolist() == [[1, 2], [3, 4.5]]
    b = mx.array([np.ones(2), np.zeros(2)])
    assert b.tolist() == [[1, 1], [0, 0]]
    assert mx.array([mx.array(1.5, mx.float16), 2.5]).dtype is mx.float16
    assert mx.array([mx.array([1.0]), mx.array([2.0])], mx.int8).dtype is mx.int8


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (1j, TypeError, "complex"),
        (np.ones(2, np.complex64), TypeError, "complex"),
        ("text", TypeError, "str"),
        (None, TypeError, "NoneType"),
        ([1, "x"], TypeError, "str"),
        (object(), TypeError, "object"),
        ([[1], [2, 3]], ValueError, "ragged"),
        ([1, [2]], ValueError, "ragged"),
        ([[1], 2], ValueError, "ragged"),
        ([mx.array([1]), mx.array([1, 2])], ValueError, "ragged"),
        (2**64, ValueError, "does not fit"),
        (-(2**63) - 1, ValueError, "does not fit"),
        (np.array(["a"]), TypeError, "nhwc does not have"),
        (np.array([object()]), TypeError, "nhwc does not have"),
    ],
)
def test_construction_errors(value, error, words):
    with pytest.raises(error, match=words):
        mx.array(value)


def test_overflow_with_dtype():
    with pytest.raises(ValueError, match="300 does not fit uint8"):
        mx.array(300, mx.uint8)
    with pytest.raises(ValueError, match="-1 does not fit uint64"):
        mx.array([1, -1], mx.uint64)
    assert mx.array(2**64 - 1, mx.uint64).item() == 2**64 - 1


def test_self_containing_list():
    a = []
    a.append(a)
    with pytest.raises(ValueError, match="deep"):
        mx.array(a)


def test_construction_copies():
    source = np.arange(4, dtype=np.float32)
    a = mx.array(source)
    source[0] = 9
    assert a.tolist() == [0, 1, 2, 3]
    b = mx.asarray(source, copy=False)
    c = mx.array(b)
    source[1] = 9
    assert b.tolist() == [9, 9, 2, 3]
    assert c.tolist() == [9, 1, 2, 3]


def test_properties():
    a = mx.array(np.zeros((2, 3, 4), np.float32))
    assert a.shape == (2, 3, 4)
    assert (a.ndim, a.size, a.nbytes, a.itemsize) == (3, 24, 96, 4)
    assert a.dtype is mx.float32
    assert a.T.shape == (4, 3, 2)
    assert a.mT.shape == (2, 4, 3)
    assert len(a) == 2
    assert [x.shape for x in a] == [(3, 4), (3, 4)]
    assert a.__array_namespace__() is mx
    with pytest.raises(AttributeError):
        a.shape = (24,)


def test_rank_zero():
    a = mx.array(3)
    with pytest.raises(TypeError, match="rank 0"):
        len(a)
    with pytest.raises(TypeError, match="rank 0"):
        iter(a)
    assert a.item() == 3
    assert a.tolist() == 3
    assert [10, 20, 30, 40][a] == 40
    assert int(a) == 3
    assert float(a) == 3.0
    assert f"{mx.array(1.5):.3f}" == "1.500"


def test_python_numbers():
    assert bool(mx.array([1.0]))
    assert not bool(mx.array(0))
    assert bool(mx.array(float("nan")))
    for convert in (bool, int, float):
        with pytest.raises(ValueError, match="one element"):
            convert(mx.array([1, 2]))
    with pytest.raises(TypeError, match="index"):
        [1][mx.array(0.0)]
    with pytest.raises(ValueError, match="one element"):
        mx.array([1, 2]).item()
    assert type(mx.array(True).item()) is bool
    assert type(mx.array(1).item()) is int
    assert type(mx.array(1, mx.bfloat16).item()) is float


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (mx.int32, 1.5, mx.float32),
        (mx.bool_, 1, mx.int32),
        (mx.bool_, 1.5, mx.float32),
        (mx.bool_, True, mx.bool_),
        (mx.uint8, 1, mx.uint8),
        (mx.uint8, 1.5, mx.float32),
        (mx.float16, 1.5, mx.float16),
        (mx.float16, 1, mx.float16),
        (mx.bfloat16, True, mx.bfloat16),
        (mx.float64, 1.5, mx.float64),
        (mx.float32, 2**40, mx.float32),
        (mx.int32, np.float32(2), mx.float32),
        (mx.float16, np.float32(2), mx.float16),
        (mx.float16, np.ones(2, np.float32), mx.float16),
        (mx.int32, np.int64(2), mx.int32),
        (mx.float16, mx.array(1.5), mx.float32),
    ],
)
def test_weak_operands(a, b, dtype):
    x = mx.array([1, 1], a)
    assert (x + b).dtype is dtype
    assert (b + x).dtype is dtype
    if dtype is not mx.bool_:
        np.testing.assert_array_equal(np.array((b + x).astype(mx.float32)), [1 + np.float32(np.array(b).flat[0])] * 2)


def test_overflowing_operands():
    with pytest.raises(ValueError, match="300 does not fit uint8"):
        mx.array([1], mx.uint8) + 300
    with pytest.raises(ValueError, match="does not fit int32"):
        mx.array([1]) * 2**40


@pytest.mark.parametrize("op", ["+", "-", "*", "/", "//", "%", "**"])
def test_arithmetic(op):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.5, 4, (2, 3, 4)).astype(np.float32)
    for a, b in [(x, y), (x, y[0]), (x[:, :1], y[:1])]:
        got = eval(f"p {op} q", {"p": mx.array(a), "q": mx.array(b)})
        np.testing.assert_allclose(np.array(got), eval(f"p {op} q", {"p": a, "q": b}), rtol=2e-6)
    got = eval(f"2 {op} q", {"q": mx.array(y)})
    np.testing.assert_allclose(np.array(got), eval(f"2 {op} q", {"q": y}), rtol=2e-6)
    got = eval(f"q {op} 2", {"q": mx.array(y)})
    np.testing.assert_allclose(np.array(got), eval(f"q {op} 2", {"q": y}), rtol=2e-6)


@pytest.mark.parametrize("op", ["+", "-", "*", "//", "%", "&", "|", "^"])
def test_integer_arithmetic(op):
    x = np.array([7, -7, 12, 5], np.int32)
    y = np.array([3, 3, -5, 5], np.int32)
    got = eval(f"p {op} q", {"p": mx.array(x), "q": mx.array(y)})
    assert got.dtype is mx.int32
    np.testing.assert_array_equal(np.array(got), eval(f"p {op} q", {"p": x, "q": y}))


@pytest.mark.parametrize("op", ["<", "<=", "==", "!=", ">", ">="])
def test_comparisons(op):
    x, y = np.array([1.0, 2, 3, np.nan]), np.array([2.0, 2, 2, np.nan])
    got = eval(f"p {op} q", {"p": mx.array(x), "q": mx.array(y)})
    assert got.dtype is mx.bool_
    np.testing.assert_array_equal(np.array(got), eval(f"p {op} q", {"p": x, "q": y}))
    np.testing.assert_array_equal(np.array(eval(f"2 {op} q", {"q": mx.array(y)})), eval(f"2 {op} q", {"q": y}))


def test_comparison_with_other_things():
    a = mx.array([1, 2])
    assert (a == "x") is False
    assert (a != None) is True  # noqa: E711
    assert a not in ({}, None)
    with pytest.raises(TypeError):
        a < "x"  # noqa: B015


def test_unary_operators():
    a = mx.array([1, -2])
    assert (-a).tolist() == [-1, 2]
    assert (+a).tolist() == [1, -2]
    assert abs(a).tolist() == [1, 2]
    assert (~a).tolist() == [-2, 1]
    assert (~mx.array([True, False])).tolist() == [False, True]


def test_matmul_operator():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_allclose(np.array(mx.array(x) @ mx.array(y)), x @ y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("other", [None, "x", [1, 2], {}, 1j, object()])
@pytest.mark.parametrize("op", ["+", "*", "@", "&"])
def test_operands_of_the_wrong_kind(op, other):
    scope = {"a": mx.array([1, 2]), "b": other}
    with pytest.raises(TypeError):
        eval(f"a {op} b", scope)
    with pytest.raises(TypeError):
        eval(f"b {op} a", scope)


def test_in_place_changes_only_the_object():
    a = mx.array([1.0, 2.0])
    same = a
    view = a[:1]
    double = a * 2
    other = mx.array(a)
    before = id(a)
    a += 1
    assert id(a) == before
    assert same is a
    assert a.tolist() == [2, 3]
    assert view.tolist() == [1]
    assert double.tolist() == [2, 4]
    assert other.tolist() == [1, 2]
    a -= 1
    a *= 6
    a /= 4
    assert a.tolist() == [1.5, 3]
    a //= 1
    a **= 2
    a %= 5
    assert a.tolist() == [1, 4]
    b = mx.array([6, 3])
    b &= 3
    b |= 8
    b ^= 1
    assert b.tolist() == [11, 10]
    m = mx.array([[1.0, 2.0]])
    m @= mx.array([[1.0], [1.0]])
    assert m.tolist() == [[3]]
    i = mx.array([1, 2])
    i += 0.5
    assert i.dtype is mx.float32


def test_numpy_leaves_operators_to_us():
    a = mx.array([1.0, 2.0])
    for left in (np.float32(2), np.float64(2), np.int64(2), np.array([2.0, 2.0])):
        got = left * a
        assert isinstance(got, mx.array)
        assert got.tolist() == [2, 4]
    assert isinstance(np.array([1.0, 3.0]) == a, mx.array)


def test_hash_is_identity():
    a, b = mx.array([1]), mx.array([1])
    table = {a: "a", b: "b"}
    assert table[a] == "a"
    a += 1
    assert table[a] == "a"


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_and_pickles(dtype):
    a = mx.array([[0, 1, 2], [3, 4, 5]], dtype)
    for source in (a, a.T, a[:, ::2], a[0, 0], a[:0]):
        for b in (copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source))):
            assert b is not source
            assert b.dtype is dtype
            assert b.shape == source.shape
            assert b.tolist() == source.tolist()
    b = copy.copy(a)
    b[0] = 1
    assert a.tolist() == mx.array([[0, 1, 2], [3, 4, 5]], dtype).tolist()


def test_a_damaged_pickle_is_refused():
    data, shape, dtype = mx.array([1, 2]).__getstate__()
    for state in ((data[:-1], shape, dtype), (data, (-2,), dtype), (data, (2**62,), dtype)):
        with pytest.raises(ValueError, match="pickled"):
            mx.array.__new__(mx.array).__setstate__(state)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 2, 3], "array([1, 2, 3], dtype=int32)"),
        (1, "array(1, dtype=int32)"),
        ([True, False], "array([True, False], dtype=bool)"),
        ([1.0, 0.5, 1e10], "array([1, 0.5, 1e+10], dtype=float32)"),
        ([math.nan, math.inf, -math.inf], "array([nan, inf, -inf], dtype=float32)"),
        ([[1, 2], [3, 4]], "array([[1, 2],\n       [3, 4]], dtype=int32)"),
        ([], "array([], dtype=float32)"),
        ([[], []], "array([[],\n       []], dtype=float32)"),
        ([[[1], [2]], [[3], [4]]], "array([[[1],\n        [2]],\n       [[3],\n        [4]]], dtype=int32)"),
        (list(range(6)), "array([0, 1, 2, 3, 4, 5], dtype=int32)"),
        (list(range(7)), "array([0, 1, 2, ..., 4, 5, 6], dtype=int32)"),
        ([[i] for i in range(7)], "array([[0],\n       [1],\n       [2],\n       ...,\n       [4],\n       [5],\n"
                                  "       [6]], dtype=int32)"),
    ],
)  # fmt: skip
def test_repr(value, text):
    assert repr(mx.array(value)) == text
    assert str(mx.array(value)) == text


def test_view():
    a = mx.array([1.0, 2.0])
    assert a.view(mx.uint32).tolist() == [0x3F800000, 0x40000000]
    assert a.view(mx.uint16).tolist() == [0, 0x3F80, 0, 0x4000]
    assert a.view(mx.uint16).view(mx.float32).tolist() == [1, 2]
    assert mx.array([[1, 2], [3, 4]], mx.int16).T.view(mx.int32).tolist() == [[1 + 3 * 2**16], [2 + 4 * 2**16]]
    with pytest.raises(ValueError, match="sizes differ"):
        mx.array(1).view(mx.int16)
    with pytest.raises(ValueError, match="multiple"):
        mx.array([1, 2, 3], mx.int16).view(mx.int32)


def test_methods():
    x = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 4)).astype(np.float32)
    a = mx.array(x)
    for name in ("abs", "cos", "exp", "log", "log10", "log1p", "log2", "sin", "sqrt", "square", "reciprocal"):
        np.testing.assert_allclose(np.array(getattr(a, name)()), getattr(np, name)(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(a.rsqrt()), 1 / np.sqrt(x), rtol=1e-5)
    for name in ("sum", "prod", "mean", "max", "min", "std", "var"):
        for axis in (None, 1, (0, 2), -1):
            for keepdims in (False, True):
                got = getattr(a, name)(axis, keepdims)
                np.testing.assert_allclose(
                    np.array(got), getattr(x, name)(axis=axis, keepdims=keepdims), rtol=1e-5, atol=1e-6
                )
    np.testing.assert_allclose(np.array(a.var(ddof=1)), x.var(ddof=1), rtol=1e-5)
    np.testing.assert_allclose(np.array(a.std(correction=1)), x.std(ddof=1), rtol=1e-5)
    assert (a > 1).all().item() == (x > 1).all()
    assert (a > 1).any(axis=0).tolist() == (x > 1).any(axis=0).tolist()
    assert a.argmax(1).tolist() == x.argmax(1).tolist()
    assert a.argmin().item() == x.argmin()
    np.testing.assert_allclose(np.array(a.cumsum(axis=1)), x.cumsum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.array(a.cumprod(axis=-1)), x.cumprod(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(np.array(a.logsumexp(-1)), np.log(np.exp(x).sum(-1)), rtol=1e-5)
    np.testing.assert_allclose(np.array(a.softmax(-1).sum(-1)), np.ones((2, 3)), rtol=1e-5)
    assert a.reshape(4, -1).shape == a.reshape((4, 6)).shape == a.reshape([4, 6]).shape == (4, 6)
    assert a.reshape(-1).shape == a.flatten().shape == (24,)
    assert a.flatten(1).shape == (2, 12)
    assert a.transpose().shape == (4, 3, 2)
    assert a.transpose(0, 2, 1).shape == a.transpose((0, 2, 1)).shape == a.swapaxes(1, 2).shape == (2, 4, 3)
    assert a.moveaxis(0, -1).shape == (3, 4, 2)
    assert a.reshape(2, 1, 12, 1).squeeze().shape == (2, 12)
    assert a.reshape(2, 1, 12, 1).squeeze(-1).shape == (2, 1, 12)
    assert [p.shape for p in a.split(3, axis=1)] == [(2, 1, 4)] * 3
    assert [p.shape for p in a.split([1, 3], -1)] == [(2, 3, 1), (2, 3, 2), (2, 3, 1)]
    assert a.diagonal().tolist() == x.diagonal().tolist()
    assert a[0, 0].diag().tolist() == np.diag(x[0, 0]).tolist()
    assert a.astype(mx.int32).dtype is mx.int32
    assert mx.array([1.25, -0.5, 2.5]).round().tolist() == [1, 0, 2]
    assert a.sum(stream=mx.cpu).shape == ()


@pytest.mark.parametrize("bad", [1.5, "1", None, [1.5], mx.array([1])])
def test_sizes_of_the_wrong_kind(bad):
    with pytest.raises(TypeError):
        mx.array([1, 2]).reshape(bad)


def test_objects_die():
    class Owner(np.ndarray):
        pass

    source = np.zeros(3, np.float32).view(Owner)
    alive = weakref.ref(source)
    a = mx.asarray(source, copy=False)
    b = a + 1
    del source
    gc.collect()
    assert alive() is not None
    del a
    assert b.tolist() == [1, 1, 1]
    gc.collect()
    assert alive() is None


def test_threads_share_arrays():
    shared = mx.array(np.ones(1000, np.float32))
    results = []

    def work(k):
        total = shared
        for _ in range(50):
            total = total + k
        results.append((k, total[0].item()))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [(k, 1 + 50 * k) for k in range(8)]


def test_everything_has_a_docstring():
    missing = [
        name
        for name in dir(mx.array)
        if not name.startswith("_") and not (getattr(mx.array, name).__doc__ or "").strip()
    ]
    assert missing == []


def test_info(capsys):
    from nhwc.__main__ import main

    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for word in (mx.__version__, "instruction sets", "threads", "Device(cpu, 0)", "NHWC_ISA"):
        assert word in text
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0


def test_an_object_that_was_never_initialised_is_refused():
    x = mx.array.__new__(mx.array)
    for use in (repr, len, list, memoryview, lambda x: x + 1, lambda x: mx.array([1]) + x, lambda x: x[0]):
        with pytest.raises((TypeError, BufferError)):
            use(x)
