# tests/python/test_jax.py -- nhwc.jax beside lax and the definition: values, gradients, batches, programs, mistakes
import concurrent.futures
import doctest
import functools
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nhwc as mx
import oracle
from strategies import (
    assert_close,
    general_kwargs,
    plain_kwargs,
    problems,
    reference,
    transposed_kwargs,
    transposed_problems,
    transposed_reference,
)

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

import nhwc.jax as nj  # noqa: E402
from beside_lax import NHWC, calls_of, close, float64, normal, results, same  # noqa: E402, F401

pytestmark = pytest.mark.cpu_only("it computes on the CPU whatever the default device is")


def assert_by_definition(function, p, definition):
    """Value and gradients of `function` of the problem's arrays; `definition` is the oracle's."""
    x, w = normal(p.seed, p.x_shape, p.w_shape, dtype=p.dtype.__str__().rpartition(".")[2])
    y, pull = jax.vjp(function, x, w)
    (g,) = normal(p.seed + 1, y.shape, dtype=x.dtype)
    x64, w64, g64 = (np.asarray(a, np.float64) for a in (x, w, g))
    for got, want in (
        (y, lambda x, w, g: definition(x, w)),
        (pull(g)[0], lambda x, w, g: definition.input_grad(g, w, x.shape)),
        (pull(g)[1], lambda x, w, g: definition.weight_grad(x, g, w.shape)),
    ):
        assert got.dtype == x.dtype
        scale = want(*map(np.abs, (x64, w64, g64)))
        assert_close(np.asarray(got, np.float64), want(x64, w64, g64), scale, p.dtype)


@given(problems())
@settings(max_examples=30)
def test_general_by_definition(p):
    assert_by_definition(functools.partial(nj.conv_general, **general_kwargs(p)), p, reference(p))


@given(problems(general=False))
@settings(max_examples=15)
def test_plain_by_definition(p):
    name = f"conv{len(p.x_shape) - 2}d"
    assert_by_definition(functools.partial(getattr(nj, name), **plain_kwargs(p)), p, reference(p))


@given(transposed_problems())
@settings(max_examples=20)
def test_transposed_by_definition(p):
    name = f"conv_transpose{len(p.x_shape) - 2}d"
    assert_by_definition(functools.partial(getattr(nj, name), **transposed_kwargs(p)), p, transposed_reference(p))


@pytest.mark.parametrize("padding", ["same", "valid", "causal"])
def test_words_for_padding(padding):
    x, w = normal(1, (2, 10, 3), (4, 3, 3))
    got = nj.conv1d(x, w, stride=2, padding=padding, dilation=2)
    low, high = {"same": oracle.same_padding(10, 3, 2, 2), "valid": (0, 0), "causal": (4, 0)}[padding]
    want = lax.conv_general_dilated(x, w, (2,), [(low, high)], None, (2,), ("NWC", "OWI", "NWC"))
    close(got, want)


@st.composite
def lax_calls(draw):
    """(shape of lhs, shape of rhs, arguments of conv_general_dilated, seed)"""
    axes = draw(st.sampled_from([1, 2, 2, 3]))
    names = "DHW"[3 - axes :]
    layouts = [draw(st.permutations(first + names + second)) for first, second in ("NC", "OI", "NC")]
    if draw(st.booleans()):
        layouts[1] = names + "IO"  # which has a way of its own
    size = [draw(st.integers(1, 9 if axes < 3 else 5)) for _ in names]
    kernel, stride = ([draw(st.integers(1, 3)) for _ in names] for _ in range(2))
    lhs_dilation, rhs_dilation = (
        draw(st.none() | st.lists(st.integers(1, 3), min_size=axes, max_size=axes)) for _ in range(2)
    )
    padding = draw(st.sampled_from(["SAME", "VALID", "SAME_LOWER", None]))
    if padding is None:
        ordered = [size[names.index(name)] for name in layouts[1] if name in names]  # as lax reads lists by axis
        room = [(n - 1) * d for n, d in zip(ordered, lhs_dilation or [1] * axes, strict=True)]
        padding = [(draw(st.integers(-(r // 2), 4)), draw(st.integers(-(r // 2), 4))) for r in room]
    else:
        lhs_dilation = None  # which lax refuses there
    groups, batch_groups = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]))
    n, c, o = batch_groups * draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    lhs, rhs = dict(zip("N" + names + "C", [n, *size, groups * c], strict=True)), dict(
        zip("O" + names + "I", [groups * batch_groups * o, *kernel, c], strict=True)
    )  # fmt: skip
    kwargs = dict(
        window_strides=stride, padding=padding, lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation,
        dimension_numbers=tuple("".join(layout) for layout in layouts),
        feature_group_count=groups, batch_group_count=batch_groups,
    )  # fmt: skip
    return [lhs[i] for i in layouts[0]], [rhs[i] for i in layouts[1]], kwargs, draw(st.integers(0, 2**16))


@given(lax_calls())
@settings(max_examples=25)
def test_drop_in_for_lax(call):
    lhs, rhs, kwargs, seed = call
    x, w = normal(seed, lhs, rhs)
    ours, theirs = (functools.partial(f, **kwargs) for f in (nj.conv_general_dilated, lax.conv_general_dilated))
    close(results(ours, x, w, seed + 1), results(theirs, x, w, seed + 1))


def test_lax_defaults_and_types():
    x, w = normal(2, (2, 3, 8, 7), (4, 3, 3, 3), dtype=jnp.bfloat16)
    for kwargs in (
        dict(),
        dict(preferred_element_type=jnp.float32),
        dict(preferred_element_type="bfloat16", precision="highest"),
        dict(precision=(lax.Precision.HIGHEST, lax.Precision.DEFAULT)),
        dict(dimension_numbers=lax.ConvDimensionNumbers((0, 1, 2, 3), (0, 1, 2, 3), (0, 2, 1, 3))),
    ):
        got, want = (f(x, w, (1, 2), "SAME", **kwargs) for f in (nj.conv_general_dilated, lax.conv_general_dilated))
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(np.float32(got), np.float32(want), atol=0.1)
    same(
        *(
            nj.conv_general_dilated(x, w, s, p)
            for s, p in (((1, 2), [(1, 0)] * 2), (np.array([1, 2]), np.array([[1, 0]] * 2)))
        )
    )
    wide = lax.conv_general_dilated(x.astype("float32"), w.astype("float32"), (1, 2), "SAME")
    got = nj.conv_general_dilated(x, w, (1, 2), "SAME", preferred_element_type=jnp.float32)
    np.testing.assert_allclose(got, wide, atol=1e-5)


@given(problems(dtypes=[mx.float64]))
@settings(max_examples=12)
def test_second_derivatives_by_lax(p):
    x, w = normal(p.seed, p.x_shape, p.w_shape)
    k = dict(p.kwargs)
    cropped = [(max(0, -low), n - max(0, -high)) for n, (low, high) in zip(p.x_shape[1:-1], k["padding"], strict=True)]
    flipped = range(1, w.ndim - 1) if k["flip"] else ()
    names = "DHW"[-len(cropped) :]

    def theirs(x, w):
        return lax.conv_general_dilated(
            x[(slice(None), *(slice(a, b) for a, b in cropped))], jnp.flip(w, flipped), k["stride"],
            [(max(a, 0), max(b, 0)) for a, b in k["padding"]], k["input_dilation"], k["kernel_dilation"],
            (f"N{names}C", f"O{names}I", f"N{names}C"), k["groups"],
        )  # fmt: skip

    ours = functools.partial(nj.conv_general, **general_kwargs(p))
    close(results(ours, x, w, p.seed), results(theirs, x, w, p.seed))


ACTIVATIONS = {
    None: lambda y: y, "relu": jax.nn.relu, "relu6": jax.nn.relu6, "leaky_relu": jax.nn.leaky_relu,
    "silu": jax.nn.silu, "gelu": lambda y: jax.nn.gelu(y, approximate=False), "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("with_bias", [True, False])
def test_bias_and_activation(activation, with_bias):
    x, w, b, g = normal(3, (2, 6, 5, 3), (4, 3, 3, 3), (4,), (2, 6, 5, 4))
    arrays = (x, 3 * w, b) if with_bias else (x, 3 * w)

    def ours(x, w, *bias):
        return nj.conv2d(x, w, padding=1, bias=bias[0] if bias else None, activation=activation)

    def theirs(x, w, *bias):
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC)
        return ACTIVATIONS[activation](sum(bias, y))

    got, want = (jax.vjp(f, *arrays) for f in (ours, theirs))
    close(got[0], want[0])
    close(got[1](g), want[1](g))

    def square(f):
        return jax.grad(lambda *args: sum((d**2).sum() for d in jax.vjp(f, *args)[1](g)), range(len(arrays)))

    close(square(ours)(*arrays), square(theirs)(*arrays))
    for axes in itertools.product([0, None], repeat=len(arrays)):
        if any(a == 0 for a in axes):
            batched = [jnp.stack([a, -a, 2 * a]) if at == 0 else a for a, at in zip(arrays, axes, strict=True)]
            close(jax.vmap(ours, axes)(*batched), jax.vmap(theirs, axes)(*batched))


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_half_types_round_once(name):
    x = jnp.full((1, 1, 1, 1), 1 + 2**-7, jnp.bfloat16)  # whose square is 1 + 2**-6 + 2**-14
    bias = jnp.array([-1 - 2**-6], jnp.bfloat16)
    assert getattr(nj, name)(x, x, bias=bias).item() == 2**-14


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_buffers_are_used_in_place(axes):
    x, w, b = normal(9, (2, *[6] * axes, 3), (4, *[3] * axes, 3), (4,), dtype=jnp.float32)
    conv = getattr(nj, f"conv{axes}d")
    names, text = calls_of(lambda x, w, b: conv(x, w, bias=b, activation="relu"), x, w, b)
    assert names == ["nhwc_conv"]
    assert not re.search(r"\b(copy|transpose)\(", text), text
    names, _ = calls_of(jax.grad(lambda w, x: conv(x, w).sum()), w, x)
    assert names == ["nhwc_conv_weight_grad"]  # nobody asked for the other

    def as_lax(w, x):
        spatial = "DHW"[3 - axes :]
        numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
        return nj.conv_general_dilated(x, w, (1,) * axes, "VALID", dimension_numbers=numbers)

    names, text = calls_of(lambda w, x, g: jax.vjp(as_lax, w, x)[1](g), jnp.moveaxis(w, 0, -1), x, conv(x, w))
    assert sorted(names) == ["nhwc_conv_input_grad", "nhwc_conv_weight_grad"]
    assert not re.search(r"\b(copy|transpose)\(", text), text


def test_relu_keeps_nothing_but_its_output():
    x, w = normal(9, (2, 8, 8, 3), (4, 3, 3, 3), dtype=jnp.float32)
    _, pull = jax.vjp(lambda x, w: nj.conv2d(x, w, activation="relu"), x, w)
    assert sorted(a.shape for a in jax.tree.leaves(pull)) == sorted([x.shape, w.shape, (2, 6, 6, 4)])


def test_inside_of_programs():
    """jit, scan, checkpoint, a loop's gradient; the bits are those of the plain call where the program is the same."""
    x, w = normal(10, (2, 8, 8, 3), (3, 3, 3, 3), dtype=jnp.float32)
    conv = functools.partial(nj.conv2d, padding=1, activation="relu")
    same(jax.jit(conv)(x, w), conv(x, w))

    def loss(step, x, w):
        return (lax.scan(lambda y, _: (step(y, w), None), x, length=3)[0] ** 2).sum()

    def unrolled(x, w):
        return (conv(conv(conv(x, w), w), w) ** 2).sum()

    want = jax.value_and_grad(unrolled, (0, 1))(x, w)
    for step in (conv, jax.checkpoint(conv)):
        got = jax.jit(jax.value_and_grad(functools.partial(loss, step), (0, 1)))(x, w)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_donated_and_constant_arguments():
    x, w = normal(11, (2, 8, 8, 3), (3, 3, 3, 3), dtype=jnp.float32)
    want = nj.conv2d(x, w, padding=1)
    given_away = jax.jit(lambda x: nj.conv2d(x, w, padding=1), donate_argnums=0)
    same(given_away(x.copy()), want)
    same(nj.conv2d(np.asarray(x), np.asarray(w), padding=1), want)


def test_weights_are_read_at_every_call():
    x, w = normal(12, (1, 5, 5, 2), (2, 3, 3, 2), dtype=jnp.float32)
    step = jax.jit(lambda x, w: nj.conv2d(x, w))
    same(step(x, 2 * w), 2 * step(x, w))
    same(step(x, 4 * w), 4 * step(x, w))


def test_bits_do_not_depend_on_threads():
    x, w = normal(13, (4, 33, 31, 16), (24, 3, 3, 16), dtype=jnp.float32)
    (g,) = normal(14, (4, 31, 29, 24), dtype=jnp.float32)

    @jax.jit
    def all_of(x, w, g):
        y, pull = jax.vjp(nj.conv2d, x, w)
        return y, *pull(g)

    before, values = mx.num_threads(), []
    try:
        for threads in (1, 2, 3):
            mx.set_num_threads(threads)
            values.append(jax.block_until_ready(all_of(x, w, g)))
    finally:
        mx.set_num_threads(before)
    same(values[1], values[0])
    same(values[2], values[0])


def test_many_threads_at_once():
    """XLA computes on threads of its own, several programs at a time, beside evaluations of ours."""
    shapes = [((2, 9 + i, 8, 4 + i), (5, 3, 3, 4 + i)) for i in range(4)]
    cases = [normal(20 + i, *s, dtype=jnp.float32) for i, s in enumerate(shapes)]
    step = jax.jit(lambda x, w: (nj.conv2d(x, w), nj.conv_transpose2d(x, w)))
    alone = [step(*c) for c in cases]
    a = mx.random.normal((2, 16, 16, 8))
    ours = mx.conv2d(a, mx.ones((8, 3, 3, 8)))
    mx.eval(ours)

    def work(i):
        if i % 5 == 4:
            return mx.array_equal(mx.conv2d(a, mx.ones((8, 3, 3, 8))), ours).item()
        same(jax.block_until_ready(step(*cases[i % 4])), alone[i % 4])
        return True

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(120)))


def test_settings_and_plans_are_nhwc_own():
    """The instruction set, the workspace limit and highest precision mean to XLA's programs what they mean to ours."""
    x, w = normal(15, (2, 28, 28, 32), (32, 3, 3, 32), dtype=jnp.float32)
    a, b = (mx.array(np.asarray(v)) for v in (x, w))
    with mx.stream(mx.cpu):
        for precision in (None, "highest"):
            got, want = nj.conv2d(x, w, precision=precision), mx.conv2d(a, b, precision=precision)
            same(got, np.array(want))


def hwio(x, w):
    return nj.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("conv", [nj.conv2d, hwio])
def test_empty_arrays(conv):
    for n, c_in, c_out in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
        x, w = jnp.ones((n, 5, 5, c_in)), jnp.ones((3, 3, c_in, c_out) if conv is hwio else (c_out, 3, 3, c_in))
        y, pull = jax.vjp(conv, x, w)
        assert y.shape == (n, 3, 3, c_out)
        assert not y.any()
        by_x, by_w = pull(y + 1)
        assert (by_x.shape, by_w.shape) == (x.shape, w.shape)
        assert not by_x.any()
        assert not by_w.any()


def test_empty_batches_and_results():
    x, w = jnp.ones((0, 2, 5, 5, 3)), jnp.ones((0, 4, 3, 3, 3))
    assert jax.vmap(nj.conv2d)(x, w).shape == (0, 2, 3, 3, 4)
    too_large = nj.conv_general_dilated(jnp.ones((1, 1, 3)), jnp.ones((1, 1, 5)), (1,), "VALID")
    assert too_large.shape == (1, 1, 0)


def test_forward_mode_is_refused():
    x, w = normal(16, (1, 4, 4, 2), (2, 3, 3, 2))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(nj.conv2d, (x, w), (x, w))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jit(jax.jacfwd(nj.conv2d))(x, w)


X, W = np.ones((1, 5, 5, 4), np.float32), np.ones((6, 3, 3, 2), np.float32)
X1, W1 = X[:, 0], W[:, 0]


def along_w(window_strides, padding=((1, 1),), rhs=W1, **more):
    more = dict(dimension_numbers=("NWC", "OWI", "NWC"), feature_group_count=2) | more
    return nj.conv_general_dilated(X1, rhs, window_strides, padding, **more)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nj.conv2d([[1.0]], W), TypeError, "input must be an array, got list"),
        (lambda: nj.conv2d(X, W.astype(int), groups=2), TypeError, "weight is int64; expected one of float16"),
        (lambda: nj.conv2d(X, W.astype(complex), groups=2), TypeError, "weight is complex128"),
        (lambda: nj.conv2d(X, W.astype(np.float64), groups=2), TypeError, "input is float32 but weight is float64"),
        (lambda: nj.conv2d(X, W, groups=2, bias=np.ones(6, np.float16)), TypeError, "input is float32 but bias is"),
        (lambda: nj.conv1d(X, W, groups=2), ValueError, r"\[conv1d\] input has 4 dimensions, .*\(N, W, C\)"),
        (lambda: nj.conv2d(X, W[0], groups=2), ValueError, "weight has 3 dimensions"),
        (lambda: nj.conv2d(X, W), ValueError, "input has 4 channels but weight .* with groups=1 expects 2"),
        (lambda: nj.conv2d(X, W, groups=4), ValueError, "groups=4 must divide"),
        (lambda: nj.conv2d(X, W, groups=0), ValueError, "groups must be at least 1, got 0"),
        (lambda: nj.conv2d(X, W, groups=2, bias=np.ones(5, np.float32)), ValueError, r"bias has shape \(5,\).*\(6,\)"),
        (lambda: nj.conv2d(X, W, stride=0, groups=2), ValueError, "stride must be at least 1, got 0"),
        (lambda: nj.conv2d(X, W, stride=(1, 1, 1), groups=2), ValueError, "got 3 values for stride"),
        (lambda: nj.conv2d(X, W, dilation=1.5, groups=2), TypeError, "dilation"),
        (lambda: nj.conv2d(X, W, padding="full", groups=2), ValueError, 'padding="full"; expected "valid", "same"'),
        (lambda: nj.conv2d(X, W, padding="causal", groups=2), ValueError, '"causal" is for conv1d'),
        (lambda: nj.conv2d(X, W, padding=((1, 1, 1), 1), groups=2), TypeError, "where a pair was expected"),
        (lambda: nj.conv2d(X, W, dilation=3, groups=2), ValueError, "the kernel reaches over 7 elements along H"),
        (lambda: nj.conv2d(X, W, padding=-3, groups=2), ValueError, "crops more than the input has"),
        (lambda: nj.conv2d(X, W, groups=2, activation="swish"), ValueError, 'activation="swish"; expected "relu"'),
        (lambda: nj.conv2d(X, W, groups=2, precision="low"), ValueError, 'precision="low"; expected "default"'),
        (lambda: nj.conv_transpose2d(X, W, groups=2, padding="same"), ValueError, "takes ints only"),
        (lambda: nj.conv_transpose2d(X, W, groups=2, padding=((1, 1), (1, 1))), ValueError, "got pairs as padding"),
        (lambda: nj.conv_transpose2d(X, W, groups=2, output_padding=1), ValueError, "output_padding 1 along H"),
        (lambda: nj.conv_transpose2d(X, W, groups=2, padding=4), ValueError, "output would have size -1"),
        (lambda: nj.conv_general(X[0, 0], W), ValueError, r"\[conv_general\] input has 2 dimensions"),
        (lambda: nj.conv_general(X, W, groups=2, input_dilation=0), ValueError, "input_dilation must be at least 1"),
        (lambda: nj.conv_general_dilated(X, W, (1, 1), "SAME"), ValueError, "feature_group_count"),
        (lambda: along_w([1, 1]), ValueError, "window and window_strides must have the same number"),
        (lambda: along_w([-1]), ValueError, r"window_strides must be at least 1, got \(-1,\)"),
        (lambda: along_w([1], rhs_dilation=(0,)), TypeError, "dilations must be positive"),
        (lambda: along_w([1], padding=[3]), ValueError, r"should be a string or a sequence of \(low, high\) pairs"),
        (lambda: along_w([1], preferred_element_type=int), (TypeError, ValueError), "preferred_element_type"),
        (lambda: along_w([1], out_sharding="x"), ValueError, "out_sharding=x"),
        (lambda: along_w([1], rhs=W1[:, :0]), ValueError, "the kernel has size 0"),
        (lambda: along_w([1], rhs=1j * W1), TypeError, "rhs is complex"),
        (lambda: nj.conv_general_dilated(X1[0], X1[0], (), ()), ValueError, "got 0 spatial axes.*1, 2 or 3"),
    ],
)  # fmt: skip
def test_mistakes(call, error, says):
    with pytest.raises(error, match=says):
        call()
    with pytest.raises(error, match=says):
        jax.jit(call)()


@pytest.mark.parametrize("name", nj.__all__)
def test_docstrings(name):
    text = getattr(nj, name).__doc__
    runner, output = doctest.DocTestRunner(), []
    names = {"jnp": jnp, **{n: getattr(nj, n) for n in nj.__all__}}
    runner.run(doctest.DocTestParser().get_doctest(text, names, name, None, None), out=output.append)
    assert runner.failures == 0, "".join(output)
    assert runner.tries > 0


def test_without_jax_it_says_what_to_install():
    program = "import sys; sys.modules['jax'] = None\nimport nhwc\nimport nhwc.jax"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert 'ImportError: nhwc.jax needs JAX, which is not installed: pip install "nhwc[jax]"' in run.stderr


def test_an_old_jax_is_refused():
    program = "import jax; jax.__version_info__, jax.__version__ = (0, 9, 2), '0.9.2'\nimport nhwc.jax"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ImportError: nhwc.jax needs JAX 0.10 or newer, this is 0.9.2" in run.stderr


def test_nhwc_alone_imports_no_jax():
    program = "import sys, nhwc, nhwc.nn; assert 'jax' not in sys.modules and 'nhwc.jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
