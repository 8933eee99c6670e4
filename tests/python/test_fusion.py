# tests/python/test_fusion.py -- elementwise chains in one pass: the same bits as one by one, NumPy's values, memory
import contextlib
import dataclasses
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
import strategies
from nhwc import _core

MB = 2**20
SIZES = [1, 2, 3, 5, 8, 17, 64, 129]
LARGE = [(5000,), (3, 11, 7, 64), (2, 40, 300), (4, 3000), (70, 70, 3), (2, 4, 1100), (300, 20)]
SHAPES = st.one_of(
    st.just(()),
    st.lists(st.sampled_from(SIZES[:5]), min_size=1, max_size=4).map(tuple),
    st.tuples(st.integers(1, 40), st.sampled_from(SIZES)),
    st.sampled_from(LARGE),
)
FLOATS = strategies.FLOATS
DTYPES = [*FLOATS, mx.float32, mx.float32, mx.int32, mx.uint8, mx.bool_, mx.int64]
UNARY = ["abs", "negative", "sign", "square", "sqrt", "rsqrt", "reciprocal", "exp", "log1p", "sin", "tanh", "sigmoid"]
UNARY += ["erf", "floor", "round", "isnan", "isfinite", "logical_not"]
BINARY = ["add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "logaddexp", "less", "equal"]
BINARY += ["logical_and", "floor_divide"]
# What NumPy computes with the same roundings.
EXACT_UNARY = ["abs", "square", "ceil", "floor"]  # not sign: of NaN it is 0 here and in MLX, NaN in NumPy
EXACT_BINARY = ["add", "subtract", "multiply", "maximum", "minimum", "less", "equal"]
TYPES = {mx.float32: np.float32, mx.float64: np.float64, mx.int32: np.int32, mx.int64: np.int64, mx.bool_: np.bool_}


@contextlib.contextmanager
def one_by_one():
    _core._set_fusion_enabled(False)
    try:
        yield
    finally:
        _core._set_fusion_enabled(True)


def bits(a):
    """The bytes of an array; NaNs are one: which of two NaNs an addition gives is the compiler's choice."""
    if a.dtype in FLOATS:
        a = mx.where(mx.isnan(a), mx.array(np.nan).astype(a.dtype), a)
    a = a.reshape(-1) if a.dtype == mx.bool_ else a.reshape(-1).view(mx.uint8)
    return np.array(a)


def assert_same_bits(got, want, context):
    assert (got.dtype, got.shape) == (want.dtype, want.shape), context
    np.testing.assert_array_equal(bits(got), bits(want), err_msg=str(context))


@dataclasses.dataclass
class Leaf:
    shape: tuple
    dtype: object
    layout: str
    seed: int

    def values(self):
        rng = np.random.default_rng(self.seed)
        v = rng.standard_normal(self.shape) * 3
        if self.seed % 3 == 0 and v.size and self.dtype in FLOATS:
            v.flat[rng.integers(0, v.size, 1 + v.size // 7)] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e4])
        return v if self.dtype in FLOATS else np.abs(np.trunc(v))


@dataclasses.dataclass
class Program:
    """Steps (name, operands): each operand is a leaf or an earlier result; the last result is the program's."""

    leaves: list
    steps: list

    def run(self, arrays, library, keep=lambda a: a):
        values = list(arrays)
        for name, operands in self.steps:
            args = [values[i] for i in operands]
            if name == "where":
                values.append(keep(library.where(args[0] > args[1], args[1], args[2])))
            elif isinstance(name, tuple):
                values.append(keep(library_cast(library, args[0], name[1])))
            else:
                values.append(keep(getattr(library, name)(*args)))
        return values[-1]


def library_cast(library, a, dtype):
    return a.astype(dtype if library is mx else TYPES[dtype])


@st.composite
def leaf(draw, shape, dtypes):
    """An array of the shape, or one that broadcasts to it, in some layout."""
    shape = tuple(draw(st.sampled_from([n, n, 1])) for n in shape) if draw(st.booleans()) else shape
    shape = shape[draw(st.integers(0, len(shape))) :] if draw(st.booleans()) else shape
    layout = draw(st.sampled_from(strategies.LAYOUTS))
    return Leaf(shape, draw(st.sampled_from(dtypes)), layout, draw(st.integers(0, 2**16)))


@st.composite
def programs(draw, dtypes=tuple(DTYPES), unary=tuple(UNARY), binary=tuple(BINARY), longest=45, shapes=SHAPES):
    shape = draw(shapes)
    leaves = draw(st.lists(leaf(shape, dtypes), min_size=1, max_size=5))
    steps = []
    for i in range(draw(st.integers(2, longest))):
        count = len(leaves) + i
        earlier = st.one_of(st.just(count - 1), st.integers(0, count - 1))
        what = draw(st.sampled_from(["unary", "binary", "binary", "where", "cast"]))
        if what == "unary":
            steps.append((draw(st.sampled_from(unary)), [draw(earlier)]))
        elif what == "binary":
            steps.append((draw(st.sampled_from(binary)), [draw(earlier), draw(earlier)]))
        elif what == "where":
            steps.append(("where", [draw(earlier) for _ in range(3)]))
        else:
            steps.append((("astype", draw(st.sampled_from(dtypes))), [draw(earlier)]))
    return Program(leaves, steps)


def laid_out(p):
    return [strategies.laid_out(x.values(), x.dtype, x.layout)[0] for x in p.leaves]


def tried(f):
    """What f gives, or the kind of error: some operations refuse some types."""
    try:
        return f()
    except (ValueError, TypeError) as e:
        return type(e)


@given(programs())
def test_chains_give_the_bits_of_single_operations(p):
    arrays = laid_out(p)
    fused = tried(lambda: p.run(arrays, mx))
    with one_by_one():
        single = tried(lambda: p.run(arrays, mx))
        if isinstance(single, type):
            assert fused is single
            return
        mx.eval(single)
    assert_same_bits(fused, single, p)


@strategies.some(30)
@given(programs())
def test_results_that_somebody_holds_keep_their_values(p):
    arrays, kept = laid_out(p), []

    def keep(a):
        kept.append(a)
        return a

    fused = tried(lambda: p.run(arrays, mx, lambda a: keep(a) if len(kept) % 3 else a))
    if isinstance(fused, type):
        return
    mx.eval(fused)
    held = []
    with one_by_one():
        single = p.run(arrays, mx, lambda a: (held.append(a), mx.eval(a))[0] or a)
    assert_same_bits(fused, single, p)
    for a in kept:
        assert any(a.shape == b.shape and a.dtype == b.dtype and np.array_equal(bits(a), bits(b)) for b in held), p


@given(programs((mx.float32, *strategies.FLOAT64, mx.int32), tuple(EXACT_UNARY), tuple(EXACT_BINARY), longest=12))
def test_chains_give_numpys_values(p):
    arrays = laid_out(p)
    with np.errstate(all="ignore"):
        theirs = tried(lambda: p.run([np.array(a) for a in arrays], np))
    ours = tried(lambda: p.run(arrays, mx))
    if isinstance(ours, type) or isinstance(theirs, type) or ours.dtype not in TYPES:
        return
    if TYPES[ours.dtype] != theirs.dtype:  # int32 with float32 is float64 in NumPy
        return
    if any(np.issubdtype(np.array(a).dtype, np.integer) for a in arrays) and ours.dtype in FLOATS:
        return
    if any(isinstance(name, tuple) and name[1] == mx.int32 for name, _ in p.steps):
        return  # NaN, or what is out of range, as an integer: any value
    np.testing.assert_array_equal(np.array(ours), theirs, err_msg=str(p))


@st.composite
def reductions(draw):
    p = draw(
        programs(
            dtypes=(mx.float32, mx.float32, mx.float16, *strategies.FLOAT64, mx.int32),
            longest=8,
            shapes=st.sampled_from(LARGE),
        )
    )
    return (
        p,
        draw(st.sampled_from(["sum", "mean", "max", "min", "prod", "var", "all"])),
        draw(st.integers(0, 15)),
        draw(st.booleans()),
    )


@given(reductions())
def test_reduced_chains_give_the_bits_of_single_operations(drawn):
    p, name, which, keepdims = drawn
    arrays = laid_out(p)

    def run():
        y = p.run(arrays, mx)
        axes = [a for a in range(y.ndim) if which >> a & 1]
        return getattr(mx, name)(y, axis=axes, keepdims=keepdims)

    fused = tried(run)
    with one_by_one():
        single = tried(run)
        if isinstance(single, type):
            assert fused is single
            return
        mx.eval(single)
    assert_same_bits(fused, single, drawn)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float64, mx.float16], ids=str)
@pytest.mark.parametrize("shape", [(1_000_003,), (61, 33, 7, 64), (300, 1111), (50, 40, 40, 3), (9, 7, 600)], ids=str)
def test_large_reductions(shape, dtype, rng):
    x = mx.array(rng.standard_normal(shape)).astype(dtype)
    m = mx.array(rng.standard_normal(shape[-1:])).astype(dtype)
    x64, m64 = strategies.to_float64(x), strategies.to_float64(m)
    for axes in [None, 0, -1, tuple(range(len(shape) - 1)) or 0]:
        results = []
        for threads in (1, 3):
            before = mx.num_threads()
            mx.set_num_threads(threads)
            results.append(mx.sum(mx.square(x - m), axis=axes))
            mx.eval(results[-1])
            mx.set_num_threads(before)
        with one_by_one():
            single = mx.sum(mx.square(x - m), axis=axes)
            mx.eval(single)
        assert_same_bits(results[0], single, (shape, axes))
        assert_same_bits(results[1], single, (shape, axes))
        want = np.sum(np.square(x64 - m64), axis=axes)
        eps = max(strategies.EPS[dtype], 2.0**-40)
        if dtype != mx.float16 or np.max(want) < 6e4:
            np.testing.assert_allclose(strategies.to_float64(single), want, rtol=8 * eps + 70 * 2.0**-24)


def normalised(x, m, v, g, b):
    return (x - m) * mx.rsqrt(v + 1e-5) * g + b


@given(
    st.sampled_from(FLOATS),
    st.sampled_from([(2, 3, 5, 8), (4, 6, 6, 130), (3, 64)]),
    st.sampled_from(strategies.LAYOUTS),
    st.integers(0, 2**16),
)
def test_gradients_through_chains(dtype, shape, layout, seed):
    rng = np.random.default_rng(seed)
    x, x64 = strategies.laid_out(rng.standard_normal(shape), dtype, layout)
    small = [strategies.laid_out(rng.uniform(0.5, 1.5, shape[-1:]), dtype, "plain") for _ in range(4)]
    y = [a for a, _ in small]
    weights = mx.array(rng.standard_normal(shape)).astype(dtype)

    def loss(x, *y):
        n = normalised(x, *y)
        return mx.sum(n * mx.sigmoid(n) * weights, stream=None)

    f = mx.grad(loss, argnums=(0, 1, 2, 3, 4))
    fused = f(x, *y)
    mx.eval(fused)
    with one_by_one():
        single = f(x, *y)
        mx.eval(single)
    for a, b in zip(fused, single, strict=True):
        assert_same_bits(a, b, (dtype, shape, layout, seed))
    m, v, g, b = (s for _, s in small)
    r = 1 / np.sqrt(v + 1e-5)
    n = (x64 - m) * r * g + b
    sigma = 1 / (1 + np.exp(-n))
    dn = strategies.to_float64(weights) * (sigma + n * sigma * (1 - sigma))
    scale = 1000 if mx.float64 != dtype else 1e4
    axes = tuple(range(len(shape) - 1))
    for got, want in [(fused[0], dn * r * g), (fused[4], dn.sum(axes)), (fused[3], (dn * (x64 - m) * r).sum(axes))]:
        bound = scale * strategies.EPS[dtype] * np.maximum(np.abs(dn).max() * 4, 1)
        assert np.all(np.abs(strategies.to_float64(got) - want) <= bound * (1 + np.sqrt(x64.size))), (
            dtype,
            shape,
            seed,
        )


def test_a_compiled_chain_and_a_chain_after_a_convolution():
    x, w, b = mx.random.normal((2, 9, 9, 8)), mx.random.normal((16, 3, 3, 8)), mx.random.normal((16,))
    s = mx.random.normal((2, 9, 9, 16))
    mx.eval(x, w, b, s)

    def block(x, w, b, s):
        return mx.maximum(mx.conv2d(x, w, padding=1, bias=b, activation="silu") * 2 + s, 0) - 1

    fused = block(x, w, b, s)
    text = mx.explain(fused)
    assert text.startswith("elementwise chain of 4 ops in one pass\n"), text
    assert "forward float32" in text  # the convolution's plan
    compiled = mx.compile(block)(x, w, b, s)
    with one_by_one():
        single = block(x, w, b, s)
        mx.eval(single)
    assert_same_bits(fused, single, "plain")
    assert_same_bits(compiled, single, "compiled")


def extra_peak(make):
    """Bytes at the peak of evaluating make() beyond what was there before."""
    mx.clear_cache()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    mx.eval(make())
    return mx.get_peak_memory() - before


@pytest.mark.cpu_only("the GPU gives memory back when a batch of steps has finished")
def test_a_long_chain_needs_its_result_only():
    x = mx.random.normal((4 * MB,))
    mx.eval(x)

    def deep(step, steps=20):
        y = x
        for i in range(steps):
            y = step(y, i)
        return y

    assert extra_peak(lambda: deep(lambda y, i: mx.sin(y) * 0.5 + i)) < x.nbytes * 1.2
    assert extra_peak(lambda: mx.sum(deep(lambda y, i: y * y - i, 10))) < x.nbytes * 0.1
    # Steps that are no chain: one buffer is read, one written, and both are used again.
    assert extra_peak(lambda: deep(lambda y, i: mx.cumsum(y, axis=0))) < x.nbytes * 2.3
    with one_by_one():  # the input that dies is written over
        assert extra_peak(lambda: deep(lambda y, i: mx.sin(y) * 0.5 + i)) < x.nbytes * 1.2


@pytest.mark.cpu_only("the GPU gives memory back when a batch of steps has finished")
def test_a_sum_of_many_results_does_not_wait_for_all_of_them():
    x, w = mx.random.normal((1, 256, 256, 16)), mx.random.normal((16, 1, 1, 16))
    mx.eval(x, w)

    def total():
        y = mx.conv2d(x, w)
        for _ in range(15):
            y = y + mx.conv2d(x, w)
        return y

    assert extra_peak(total) < 8 * x.nbytes
    assert extra_peak(lambda: mx.sum(total())) < 8 * x.nbytes


def test_an_input_that_dies_is_written_over():
    def total():
        x = mx.cumsum(mx.full((4 * MB,), 2.0), axis=0)
        return mx.sigmoid(x) * x + x * 3  # x is read by the chain only, three times

    one = 16 * MB
    assert extra_peak(total) < 2.2 * one  # the sum's input and its result, which the chain takes
    y = mx.cumsum(mx.full((1000,), 2.0), axis=0)
    z = y * 2 + 1
    mx.eval(z)
    np.testing.assert_array_equal(np.array(y), np.arange(2, 2001, 2, np.float32))
    np.testing.assert_array_equal(np.array(z), np.arange(2, 2001, 2, np.float32) * 2 + 1)


def test_pictures_show_what_makes_one_pass():
    x, m = mx.ones((400, 80)), mx.ones((80,))
    mx.eval(x, m)
    out = io.StringIO()
    mx.export_to_dot(out, mx.mean(mx.square(x - m), axis=0))
    text = out.getvalue()
    assert "elementwise chain of 2 ops in one pass with its sum" in text, text
    assert text.count("subgraph cluster") == 1


def test_pictures_show_the_pass_of_a_convolution():
    x, w, b = mx.ones((1, 8, 8, 16)), mx.ones((16, 3, 3, 16)), mx.ones((16,))
    mx.eval(x, w, b)
    out = io.StringIO()
    mx.export_to_dot(out, mx.maximum(mx.conv2d(x, w, padding=1) + b + x, 0))
    text = out.getvalue()
    (cluster,) = re.findall(r"subgraph cluster_0 \{\n    label=\"(.*)\";\n    (.*)\n", text)
    assert cluster[0] == "convolution, bias, residual, activation in one pass", text
    names = [re.search(rf"{node} \[label=\"(\w+)", text)[1] for node in cluster[1].rstrip(";").split("; ")]
    assert sorted(names) == ["add", "add", "conv", "maximum"], text


def test_the_environment_variable():
    code = "import nhwc as mx\ntry: print(mx.explain(mx.sin(mx.ones((3,))) * 2 + 1))\nexcept ValueError: print('none')"
    for value, want in [("", "elementwise chain of 3 ops in one pass"), ("1", "none")]:
        env = os.environ | {"NHWC_DISABLE_FUSION": value}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.strip() == want, (value, done.stdout)


@pytest.mark.large
def test_chains_200_000_deep_and_with_everything_shared():
    x = mx.ones((3,))
    for i in range(100_000):
        x = mx.abs(-x) if i % 2 else x + 0
    assert x.tolist() == [1, 1, 1]
    y = mx.ones((3,))
    for _ in range(100_000):
        y = y * 0.5 + y * 0.5
    assert y.tolist() == [1, 1, 1]
