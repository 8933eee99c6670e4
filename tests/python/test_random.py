# tests/python/test_random.py -- random numbers: MLX's own sequences, their statistics, keys and mistakes
import math
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
from strategies import to_float64

KEY = mx.random.key(3)
SEEDS = st.one_of(st.integers(0, 100), st.integers(0, 2**64 - 1))
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
FLOATS = ["float16", "bfloat16", "float32"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]


@pytest.fixture(scope="module")
def mlx():
    module = pytest.importorskip("mlx.core")
    module.set_default_device(module.cpu)
    return module


def bits(a):
    """The values of an array of either library, exactly."""
    return (str(a.dtype).split(".")[-1], tuple(a.shape), a.tolist())


def ulps(a, b, dtype):
    """The largest distance in units of the last place."""
    eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23}[dtype]
    a, b = np.array(a.tolist(), np.float64), np.array(b.tolist(), np.float64)
    if a.size == 0:
        return 0
    return float(np.max(np.abs(a - b) / (eps * 2.0 ** np.floor(np.log2(np.maximum(np.abs(b), 1e-6))))))


@given(SEEDS, st.integers(0, 5))
def test_keys_and_splits_are_mlx_own(mlx, seed, num):
    assert bits(mx.random.key(seed)) == bits(mlx.random.key(seed))
    assert bits(mx.random.split(mx.random.key(seed), num)) == bits(mlx.random.split(mlx.random.key(seed), num))


@given(SEEDS, SHAPES, st.sampled_from(FLOATS), st.floats(-10, 10), st.floats(-10, 10))
def test_uniform_is_bit_equal(mlx, seed, shape, dtype, low, high):
    got, expected = (m.random.uniform(low, high, shape, getattr(m, dtype), m.random.key(seed)) for m in (mx, mlx))
    assert bits(got) == bits(expected)


@given(SEEDS, SHAPES, st.sampled_from(INTEGERS), st.integers(0, 100), st.integers(1, 27))
def test_randint_is_bit_equal(mlx, seed, shape, dtype, low, width):
    got, expected = (
        m.random.randint(low, low + width, shape, getattr(m, dtype), m.random.key(seed)) for m in (mx, mlx)
    )
    assert bits(got) == bits(expected)


@given(SEEDS, SHAPES, st.floats(0, 1))
def test_bernoulli_is_bit_equal(mlx, seed, shape, p):
    got, expected = (m.random.bernoulli(p, shape, m.random.key(seed)) for m in (mx, mlx))
    assert bits(got) == bits(expected)


@given(SEEDS, st.integers(0, 40), st.integers(1, 4), st.booleans())
def test_permutation_is_bit_equal(mlx, seed, rows, columns, along_rows):
    got, expected = (m.random.permutation(rows, key=m.random.key(seed)) for m in (mx, mlx))
    assert bits(got) == bits(expected)
    got, expected = (
        m.random.permutation(
            m.arange(rows * columns).reshape(rows, columns), axis=0 if along_rows else 1, key=m.random.key(seed)
        )
        for m in (mx, mlx)
    )
    assert bits(got) == bits(expected)


@given(SEEDS, SHAPES, st.sampled_from(FLOATS))
def test_normal_is_within_2_ulp(mlx, seed, shape, dtype):
    got, expected = (m.random.normal(shape, getattr(m, dtype), key=m.random.key(seed)) for m in (mx, mlx))
    assert bits(got)[:2] == bits(expected)[:2]
    assert ulps(got, expected, dtype) <= 2


@given(SEEDS, st.floats(-3, 3), st.floats(0, 3))
def test_truncated_normal_is_near(mlx, seed, low, width):
    """erfinv of a uniform number u: four units in its last place, 2^-22, move x by sqrt(pi/2) exp(x^2/2) as much."""
    got, expected = (m.random.truncated_normal(low, low + width, (50,), key=m.random.key(seed)) for m in (mx, mlx))
    x, want = np.array(got.tolist()), np.array(expected.tolist())
    of_u = math.sqrt(math.pi / 2) * np.exp(np.maximum(x * x, want * want) / 2)
    np.testing.assert_array_less(np.abs(x - want), 2.0**-22 * of_u + 1e-6 * np.abs(want) + 1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"num_samples": 7}, {"shape": (5, 2)}, {"axis": 0}, {"axis": 0, "num_samples": 3}]
)
def test_categorical_is_mlx_own(mlx, options):
    logits = [[0.1, 2.0, -1.0], [1.0, 0.0, 3.0]]
    for seed in range(20):
        got, expected = (m.random.categorical(m.array(logits), key=m.random.key(seed), **options) for m in (mx, mlx))
        assert bits(got) == bits(expected)


def test_the_global_sequence_is_mlx_own(mlx):
    def draws(m):
        m.random.seed(11)
        yield m.random.uniform(shape=(2,))
        yield m.random.randint(0, 1000, (3,))
        m.random.normal((4,))
        yield m.random.permutation(5)
        yield m.random.bernoulli(0.5, (4,))
        yield m.random.uniform(shape=(2,), key=m.random.key(1))  # takes nothing from the sequence
        yield m.random.categorical(m.zeros((3, 4)))
        yield m.random.uniform(m.array([0.0, 1.0]), 5, (3, 2))
        yield m.random.uniform()

    assert [bits(a) for a in draws(mx)] == [bits(a) for a in draws(mlx)]


# ---- without MLX


def test_state_is_a_list_that_draws_change():
    state = mx.random.state
    mx.random.seed(5)
    assert isinstance(state, list)
    assert state[0].tolist() == [0, 5]
    first = mx.random.uniform(shape=(3,)).tolist()
    assert state[0].tolist() != [0, 5]
    assert mx.random.uniform(shape=(3,)).tolist() != first
    state[0] = mx.random.key(5)
    assert mx.random.uniform(shape=(3,)).tolist() == first
    for broken in ([], [3], [mx.random.key(1)] * 2):
        state[:] = broken
        with pytest.raises(TypeError, match="seed"):
            mx.random.uniform()
        mx.random.seed(5)
    assert mx.random.uniform(shape=(3,)).tolist() == first


def test_results_do_not_depend_on_threads():
    before = mx.num_threads()
    results = []
    for n in (1, 2, 5):
        mx.set_num_threads(n)
        results.append(
            [np.array(mx.random.normal((301, 107), key=KEY)), np.array(mx.random.permutation(5000, key=KEY))]
        )
    mx.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_processes_begin_differently():
    code = "import nhwc as mx; print(mx.random.state[0].tolist())"
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in "12"
    )
    assert first.stdout != second.stdout


def test_threads_never_draw_the_same():
    mx.random.seed(1)
    draws = []
    threads = [
        threading.Thread(target=lambda: draws.extend(tuple(mx.random.uniform(shape=(2,)).tolist()) for _ in range(50)))
        for _ in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(draws)) == 200


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64])
def test_distributions(dtype):
    n = 40000
    u = to_float64(mx.random.uniform(-2, 4, (n,), dtype, KEY))
    assert u.min() >= -2
    assert u.max() < 4 or dtype != mx.float32
    assert abs(u.mean() - 1) < 0.05
    z = to_float64(mx.random.normal((n,), dtype, 3, 2, KEY))
    assert abs(z.mean() - 3) < 0.05
    assert abs(z.std() - 2) < 0.05
    t = to_float64(mx.random.truncated_normal(-1, 2, (n,), dtype, KEY))
    assert t.min() >= -1
    assert t.max() <= 2
    assert abs(t.mean() - 0.2296) < 0.03
    assert mx.random.normal((2,), dtype, key=KEY).dtype == dtype


def test_discrete_distributions():
    n = 40000
    assert abs(np.array(mx.random.bernoulli(0.3, (n,), KEY)).mean() - 0.3) < 0.02
    counts = np.bincount(np.array(mx.random.randint(2, 7, (n,), key=KEY)), minlength=8) / n
    np.testing.assert_allclose(counts, [0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0], atol=0.02)
    logits = mx.log(mx.array([0.1, 0.2, 0.7]))
    counts = np.bincount(np.array(mx.random.categorical(logits, num_samples=n, key=KEY)), minlength=3) / n
    np.testing.assert_allclose(counts, [0.1, 0.2, 0.7], atol=0.02)
    assert sorted(mx.random.permutation(100, key=KEY).tolist()) == list(range(100))


def test_parameters_may_be_arrays():
    low, high = mx.array([0.0, 10.0]), mx.array([1.0, 20.0])
    u = np.array(mx.random.uniform(low, high, (100, 2), key=KEY))
    assert np.all((u >= [0, 10]) & (u < [1, 20]))
    assert mx.random.truncated_normal(low, high, key=KEY).shape == (2,)
    assert mx.random.bernoulli(mx.array([0.0, 1.0]), key=KEY).tolist() == [False, True]
    z = mx.random.normal((2,), loc=mx.array([100.0, -100.0]), scale=1e-3, key=KEY)
    np.testing.assert_allclose(np.array(z), [100, -100], atol=0.1)


MISTAKES = [
    (lambda: mx.random.key(-1), ValueError, "-1"),
    (lambda: mx.random.seed(2**64), ValueError, "range"),
    (lambda: mx.random.key(1.5), TypeError, "float"),
    (lambda: mx.random.uniform(key=3), TypeError, "int"),
    (lambda: mx.random.uniform(key=mx.array([1.0, 2.0])), ValueError, "uint32"),
    (lambda: mx.random.uniform(key=mx.array([1, 2, 3], dtype=mx.uint32)), ValueError, "shape"),
    (lambda: mx.random.uniform(shape=(-1,)), ValueError, "negative"),
    (lambda: mx.random.uniform(shape=(1.5,)), TypeError, "float"),
    (lambda: mx.random.uniform(dtype=mx.int32), ValueError, "int32"),
    (lambda: mx.random.normal(dtype=mx.int32), ValueError, "int32"),
    (lambda: mx.random.uniform(mx.zeros(3), 1, (2,)), ValueError, "broadcast"),
    (lambda: mx.random.randint(0, 5, (2,), mx.float32), ValueError, "float32"),
    (lambda: mx.random.categorical(mx.zeros((2, 3)), shape=(2,), num_samples=3), ValueError, "both"),
    (lambda: mx.random.categorical(mx.zeros((2, 3)), axis=4), IndexError, "axis"),
    (lambda: mx.random.permutation(-3), ValueError, "-3"),
    (lambda: mx.random.uniform(stream="cpu"), TypeError, ""),
]


@pytest.mark.parametrize(("call", "error", "text"), MISTAKES)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text or "incompatible"):
        call()


def test_random_numbers_under_vmap():
    keys = mx.random.split(KEY, 4)
    mapped = mx.vmap(lambda k: mx.random.normal((3,), key=k))(keys)
    for k, row in zip(keys, mapped, strict=True):
        assert mx.random.normal((3,), key=k).tolist() == row.tolist()
