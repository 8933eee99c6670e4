# tests/python/test_conv.py -- what the convolutions compute, against the definition in float64
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
import oracle
from strategies import (
    EPS,
    FLOATS,
    LAYOUTS,
    Problem,
    array_of,
    assert_close,
    general_kwargs,
    laid_out,
    plain_kwargs,
    problems,
    reference,
    some,
    to_float64,
    transposed_kwargs,
    transposed_problems,
    transposed_reference,
)

CONV = {1: mx.conv1d, 2: mx.conv2d, 3: mx.conv3d}
TRANSPOSED = {1: mx.conv_transpose1d, 2: mx.conv_transpose2d, 3: mx.conv_transpose3d}


def check(call, ref, x64, w64, dtype, **kw):
    y = call()
    assert y.dtype == dtype
    assert_close(y, ref(x64, w64), ref(np.abs(x64), np.abs(w64)), dtype, **kw)


@given(problems())
def test_conv_general(p):
    x, w, x64, w64 = p.arrays()
    check(lambda: mx.conv_general(x, w, **general_kwargs(p)), reference(p), x64, w64, p.dtype, context=str(p))


@given(problems(general=False))
def test_conv_nd_with_pairs(p):
    x, w, x64, w64 = p.arrays()
    check(lambda: CONV[x.ndim - 2](x, w, **plain_kwargs(p)), reference(p), x64, w64, p.dtype, context=str(p))


@given(transposed_problems())
def test_conv_transpose(p):
    x, w, x64, w64 = p.arrays()
    check(
        lambda: TRANSPOSED[x.ndim - 2](x, w, **transposed_kwargs(p)),
        transposed_reference(p),
        x64,
        w64,
        p.dtype,
        context=str(p),
    )


@some(40)
@given(
    problems(spatial=(1, 2), dtypes=[mx.float32]),
    st.sampled_from(sorted(oracle.ACTIVATIONS)),
    st.booleans(),
    st.booleans(),
)
def test_bias_activation_precision(p, activation, with_bias, highest):
    x, w, x64, w64 = p.arrays()
    bias64 = np.random.default_rng(p.seed + 1).standard_normal(p.w_shape[0]).astype(np.float32).astype(np.float64)
    extras = dict(activation=activation, precision="highest" if highest else "default")
    if with_bias:
        extras["bias"] = array_of(bias64, p.dtype)
    y = mx.conv_general(x, w, **general_kwargs(p), **extras)
    ref = reference(p)
    want = oracle.ACTIVATIONS[activation](ref(x64, w64) + (bias64 if with_bias else 0))
    assert_close(y, want, ref(np.abs(x64), np.abs(w64)) + np.abs(bias64), p.dtype, context=f"{activation} {p}")


@pytest.mark.parametrize("activation", [None, *sorted(oracle.ACTIVATIONS)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_epilogue_in_every_dtype(rng, activation, dtype):
    x, x64 = laid_out(rng.standard_normal((2, 9, 9, 5)), dtype, "plain")
    w, w64 = laid_out(rng.standard_normal((19, 3, 3, 5)), dtype, "plain")
    b, b64 = laid_out(rng.standard_normal(19), dtype, "plain")
    ref = oracle.conv(x.shape, w.shape, padding=1)
    want = oracle.ACTIVATIONS.get(activation, lambda v: v)(ref(x64, w64) + b64)
    scale = ref(np.abs(x64), np.abs(w64)) + np.abs(b64)
    assert_close(mx.conv2d(x, w, padding=1, bias=b, activation=activation), want, scale, dtype)
    ref = oracle.conv_transpose(x.shape, w.shape, stride=2, padding=1)
    want = oracle.ACTIVATIONS.get(activation, lambda v: v)(ref(x64, w64) + b64)
    y = mx.conv_transpose2d(x, w, stride=2, padding=1, bias=b, activation=activation)
    assert_close(y, want, scale.max(), dtype)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("c_in", [1, 3, 4, 16, 30])
def test_every_channel_tail(rng, kernel, c_in):
    for c_out in range(1, 68):
        x, x64 = laid_out(rng.standard_normal((1, 5, 6, c_in)), mx.float32, "plain")
        w, w64 = laid_out(rng.standard_normal((c_out, kernel, kernel, c_in)), mx.float32, "plain")
        ref = oracle.conv(x.shape, w.shape, padding=kernel // 2)
        check(
            lambda x=x, w=w: mx.conv2d(x, w, padding=kernel // 2), ref, x64, w64, mx.float32, context=f"C_out={c_out}"
        )


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_depthwise_tail(rng, kernel, stride):
    for channels in [*range(1, 36), 63, 64, 65]:
        x, x64 = laid_out(rng.standard_normal((1, 8, 17, channels)), mx.float32, "plain")
        w, w64 = laid_out(rng.standard_normal((channels, kernel, kernel, 1)), mx.float32, "plain")
        kw = dict(stride=stride, padding=kernel // 2, groups=channels)
        ref = oracle.conv(x.shape, w.shape, **kw)
        check(lambda x=x, w=w, kw=kw: mx.conv2d(x, w, **kw), ref, x64, w64, mx.float32, context=f"C={channels}")


@pytest.mark.parametrize("width", [1, 2, 13, 14, 15, 27, 28, 29, 57])
def test_every_pixel_tail(rng, width):
    x, x64 = laid_out(rng.standard_normal((2, 3, width, 24)), mx.float32, "plain")
    w, w64 = laid_out(rng.standard_normal((40, 3, 3, 24)), mx.float32, "plain")
    check(lambda: mx.conv2d(x, w, padding=1), oracle.conv(x.shape, w.shape, padding=1), x64, w64, mx.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_layouts(rng, layout, dtype):
    x, x64 = laid_out(rng.standard_normal((3, 7, 7, 12)), dtype, layout)
    w, w64 = laid_out(rng.standard_normal((10, 3, 3, 12)), dtype, layout)
    check(lambda: mx.conv2d(x, w, padding=1), oracle.conv(x.shape, w.shape, padding=1), x64, w64, dtype)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_words(rng, n, kernel, stride, dilation):
    x, x64 = laid_out(rng.standard_normal((2, *(9, 8, 10)[:n], 3)), mx.float32, "plain")
    w, w64 = laid_out(rng.standard_normal((4, *[kernel] * n, 3)), mx.float32, "plain")
    kw = dict(stride=stride, dilation=dilation)
    same = tuple(oracle.same_padding(size, kernel, stride, dilation) for size in x.shape[1:-1])
    y = CONV[n](x, w, padding="same", **kw)
    assert y.shape[1:-1] == tuple(-(-size // stride) for size in x.shape[1:-1])
    words = {"same": same, "valid": 0}
    if n == 1:
        words["causal"] = ((dilation * (kernel - 1), 0),)
    for word, padding in words.items():
        ref = oracle.conv(x.shape, w.shape, stride=stride, padding=padding, kernel_dilation=dilation)
        check(lambda word=word: CONV[n](x, w, padding=word, **kw), ref, x64, w64, mx.float32, context=word)


def test_padding_forms(rng):
    x = mx.array(rng.standard_normal((1, 6, 7, 2)).astype(np.float32))
    w = mx.array(rng.standard_normal((3, 3, 3, 2)).astype(np.float32))
    same = [
        mx.conv2d(x, w, padding=1),
        mx.conv2d(x, w, 1, 1),
        mx.conv2d(x, w, padding=(1, 1)),
        mx.conv2d(x, w, padding=[1, 1]),
        mx.conv2d(x, w, padding=((1, 1), (1, 1))),
        mx.conv2d(x, w, padding="same"),
        mx.conv_general(x, w, padding=1),
        mx.conv_general(x, w, padding=[1]),
        mx.conv_general(x, w, padding=[1, 1]),
        mx.conv_general(x, w, padding=([1, 1], [1, 1])),
        mx.conv_general(x, w, padding=([1], [1])),
        mx.conv_general(x, w, (1, 1), (1, 1), (1, 1), (1, 1), 1, False),
    ]
    for y in same:
        assert y.shape == (1, 6, 7, 3)
        assert mx.array_equal(y, same[0])
    assert mx.conv2d(x, w, padding=((0, 1), (2, 3))).shape == (1, 5, 10, 3)
    assert mx.conv_general(x, w, padding=([0, 2], [1, 3])).shape == (1, 5, 10, 3)
    assert mx.conv2d(x, w, padding=((-1, 0), (0, -2))).shape == (1, 3, 3, 3)
    assert mx.conv1d(x[0], w[:, 0], padding=((2, 1),)).shape == (6, 8, 3)


def test_flip_is_convolution_and_no_flip_is_correlation():
    x = mx.array([1.0, 2, 3, 4]).reshape(1, 4, 1)
    w = mx.array([1.0, 10]).reshape(1, 2, 1)
    assert mx.conv_general(x, w).flatten().tolist() == [21, 32, 43]
    assert mx.conv_general(x, w, flip=True).flatten().tolist() == [12, 23, 34]
    assert mx.conv1d(x, w).flatten().tolist() == [21, 32, 43]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (1, 1), (9, 2), (2, 9), (100, 7)])
def test_convolve(rng, mode, sizes):
    a, v = (rng.standard_normal(size).astype(np.float32) for size in sizes)
    y = mx.convolve(mx.array(a), mx.array(v), mode=mode)
    want = np.convolve(a.astype(np.float64), v.astype(np.float64), mode)
    assert_close(y, want, np.convolve(np.abs(a), np.abs(v), "full"), mx.float32)


ALL_DTYPES = [mx.bool_, mx.uint8, mx.int16, mx.int32, mx.int64, mx.uint64, *FLOATS]


@pytest.mark.parametrize("b", ALL_DTYPES, ids=str)
@pytest.mark.parametrize("a", ALL_DTYPES, ids=str)
def test_dtypes_are_promoted(a, b):
    x, w = mx.ones((1, 4, 2)).astype(a), mx.ones((3, 2, 2)).astype(b)
    expected = mx.result_type(x, w)
    if not mx.issubdtype(a, mx.floating):
        with pytest.raises(ValueError, match=str(a).split(".")[-1]):
            mx.conv1d(x, w)
        return
    y = mx.conv1d(x, w)
    assert y.dtype == expected
    assert y.astype(mx.float32).flatten().tolist() == [4.0] * 9


@pytest.mark.parametrize("a", FLOATS, ids=str)
@pytest.mark.parametrize("b", FLOATS, ids=str)
def test_bias_takes_part_in_promotion(a, b):
    x, w, bias = mx.ones((1, 4, 2), dtype=a), mx.ones((3, 2, 2), dtype=a), mx.ones((3,), dtype=b)
    y = mx.conv1d(x, w, bias=bias)
    assert y.dtype == mx.result_type(x, bias)
    assert y.astype(mx.float32).flatten().tolist() == [5.0] * 9


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
def test_half_types_accumulate_in_float32(dtype):
    count = 8192  # a half accumulator stops growing at 2048 (float16) or 256 (bfloat16)
    y = mx.conv1d(mx.ones((1, 1, count), dtype=dtype), mx.ones((2, 1, count), dtype=dtype))
    assert y.astype(mx.float32).tolist() == [[[count, count]]]


@pytest.mark.cpu_only("float64")
def test_float64_is_computed_in_float64(rng):
    x64, w64 = rng.standard_normal((1, 10, 10, 9)), rng.standard_normal((11, 3, 3, 9))
    y = mx.conv2d(mx.array(x64, dtype=mx.float64), mx.array(w64, dtype=mx.float64))
    assert y.dtype == mx.float64
    np.testing.assert_allclose(np.array(y), oracle.conv(x64.shape, w64.shape)(x64, w64), rtol=1e-12, atol=1e-12)


EMPTY = [
    ("no images", (0, 5, 5, 3), (4, 3, 3, 3), {}),
    ("no output channels", (2, 5, 5, 3), (0, 3, 3, 3), {}),
    ("no input channels", (2, 5, 5, 0), (4, 3, 3, 0), {}),
    ("no rows, but padding", (2, 0, 5, 3), (4, 3, 3, 3), dict(padding=((2, 2), (0, 0)))),
    ("all cropped, then padding", (1, 3, 5, 3), (4, 3, 3, 3), dict(padding=((-3, 4), (0, 0)))),
]


@pytest.mark.parametrize(("name", "x_shape", "w_shape", "kw"), EMPTY, ids=[e[0] for e in EMPTY])
def test_empty_things_work(name, x_shape, w_shape, kw):
    ref = oracle.conv(x_shape, w_shape, **kw)
    x, w = mx.ones(x_shape), mx.ones(w_shape)
    y = mx.conv2d(x, w, **kw)
    np.testing.assert_array_equal(np.array(y), ref(np.ones(x_shape), np.ones(w_shape)))
    gx, gw = mx.grad(lambda x, w: mx.sum(mx.conv2d(x, w, **kw)), argnums=(0, 1))(x, w)
    np.testing.assert_array_equal(np.array(gx), ref.input_grad(np.ones(y.shape), np.ones(w_shape), x_shape))
    np.testing.assert_array_equal(np.array(gw), ref.weight_grad(np.ones(x_shape), np.ones(y.shape), w_shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "shape", [(1, 12, 12, 3, 5, 1), (1, 13, 13, 20, 33, 1), (1, 12, 12, 16, 16, 16), (2, 30, 30, 64, 64, 1)]
)
def test_non_finite_values_reach_what_they_should(rng, bad, shape):
    n, h, w_, c, o, groups = shape
    x64 = rng.standard_normal((n, h, w_, c))
    x64[0, 5, 6, c // 2] = bad
    w64 = rng.uniform(0.5, 1, (o, 3, 3, c // groups))
    x, w = array_of(x64, mx.float32), array_of(w64, mx.float32)
    with np.errstate(invalid="ignore"):
        want = oracle.conv(x64.shape, w64.shape, padding=1, groups=groups)(x64, w64)
    got = to_float64(mx.conv2d(x, w, padding=1, groups=groups))
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    np.testing.assert_array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)])


@given(problems(dtypes=[mx.float32], spatial=(1, 2)))
@some(25)
def test_the_same_on_any_number_of_threads(p):
    x, w, *_ = p.arrays()
    results = []
    try:
        for threads in (1, 2, 5):
            mx.set_num_threads(threads)
            results.append(np.array(mx.conv_general(x, w, **general_kwargs(p))))
    finally:
        mx.set_num_threads(BEFORE)
    for r in results[1:]:
        np.testing.assert_array_equal(r, results[0])


BEFORE = mx.num_threads()


def test_slices_of_weights_are_not_confused_with_the_whole(rng):
    """Packed weights are cached on their storage: a view at another offset, and a changed array, are other weights."""
    x64, w64 = rng.standard_normal((1, 8, 8, 8)), rng.standard_normal((32, 3, 3, 8))
    x, w = array_of(x64, mx.float32), array_of(w64, mx.float32)
    ref = oracle.conv((1, 8, 8, 8), (16, 3, 3, 8))
    for _ in range(2):
        for part in (slice(0, 16), slice(16, 32), slice(8, 24), slice(0, 32, 2), slice(None, None, -2)):
            check(lambda part=part: mx.conv2d(x, w[part]), ref, x64, w64[part], mx.float32)
    w[3] = 0
    w64[3] = 0
    ref = oracle.conv((1, 8, 8, 8), (32, 3, 3, 8))
    check(lambda: mx.conv2d(x, w), ref, x64, w64, mx.float32)


def test_weights_in_borrowed_memory_may_change(rng):
    """What NumPy owns can change behind the library's back: it must not be cached."""
    memory = rng.standard_normal((16, 3, 3, 4)).astype(np.float32)
    x64 = rng.standard_normal((1, 6, 6, 4))
    x, w = array_of(x64, mx.float32), mx.asarray(memory, copy=False)
    ref = oracle.conv((1, 6, 6, 4), (16, 3, 3, 4))
    for _ in range(3):
        check(lambda: mx.conv2d(x, w), ref, x64, memory.astype(np.float64), mx.float32)
        memory *= -2


@given(problems(dtypes=[mx.float32], general=False))
@some(40)
def test_against_torch(p):
    torch = pytest.importorskip("torch")
    n = len(p.x_shape) - 2
    x, w, x64, w64 = p.arrays()
    functional = torch.nn.functional
    first, last = (0, n + 1, *range(1, n + 1)), (0, *range(2, n + 2), 1)
    xt = torch.tensor(x64.astype(np.float32)).permute(first)
    wt = torch.tensor(w64.astype(np.float32)).permute(first)
    kw = plain_kwargs(p)
    pads = [v for pair in reversed(kw["padding"]) for v in pair]
    conv = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[n]
    yt = conv(functional.pad(xt, pads), wt, stride=kw["stride"], dilation=kw["dilation"], groups=kw["groups"]).permute(
        last
    )
    scale = reference(p)(np.abs(x64), np.abs(w64))
    assert_close(CONV[n](x, w, **kw), yt.numpy().astype(np.float64), scale, mx.float32, context=str(p))


@given(transposed_problems(dtypes=[mx.float32]))
@some(40)
def test_transposed_against_torch(p):
    torch = pytest.importorskip("torch")
    n = len(p.x_shape) - 2
    x, w, x64, w64 = p.arrays()
    groups = p.kwargs["groups"]
    functional = torch.nn.functional
    first, last = (0, n + 1, *range(1, n + 1)), (0, *range(2, n + 2), 1)
    # torch keeps (C_in, C_out / groups, *kernel): within a group, channels in and out change places
    wt = w64.astype(np.float32).reshape(groups, -1, *w64.shape[1:])
    wt = np.ascontiguousarray(np.swapaxes(wt, 1, -1)).reshape(-1, *w64.shape[1:-1], w64.shape[0] // groups)
    conv = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}[n]
    yt = conv(torch.tensor(x64.astype(np.float32)).permute(first), torch.tensor(wt).permute(first), **p.kwargs).permute(
        last
    )
    scale = transposed_reference(p)(np.abs(x64), np.abs(w64))
    assert_close(
        TRANSPOSED[n](x, w, **transposed_kwargs(p)), yt.numpy().astype(np.float64), scale, mx.float32, context=str(p)
    )


@given(problems(dtypes=[mx.float32]))
@some(40)
def test_against_mlx(p):
    mlx = pytest.importorskip("mlx.core")
    if (len(p.x_shape) == 5 and p.kwargs["groups"] > 1) or any(
        low < 0 or high < 0 for low, high in p.kwargs["padding"]
    ):
        return  # refused there, or not defined
    x, w, x64, w64 = p.arrays()
    kw = general_kwargs(p)
    y = mlx.conv_general(mlx.array(x64.astype(np.float32)), mlx.array(w64.astype(np.float32)), **kw)
    scale = reference(p)(np.abs(x64), np.abs(w64))
    assert_close(mx.conv_general(x, w, **kw), np.array(y).astype(np.float64), scale, mx.float32, context=str(p))


def test_a_sum_of_many_small_terms_stays_accurate(rng):
    x64, w64 = rng.standard_normal((1, 14, 14, 512)), rng.standard_normal((32, 3, 3, 512)) / 48
    x, w = array_of(x64, mx.float32), array_of(w64, mx.float32)
    want = oracle.conv(x64.shape, w64.shape, padding=1)(to_float64(x), to_float64(w))
    got = to_float64(mx.conv2d(x, w, padding=1))
    relative = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert relative < 100 * EPS[mx.float32], relative


def test_problem_reprs_can_be_repeated():
    p = Problem(
        (1, 4, 2),
        (3, 2, 2),
        dict(stride=(1,), padding=((0, 0),), kernel_dilation=(1,), groups=1),
        mx.float32,
        "plain",
        "plain",
        1,
    )
    x, w, _, w64 = p.arrays()
    assert x.shape == (1, 4, 2)
    assert np.array_equal(to_float64(w), w64)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_image_and_window(rng, dtype, bad):
    x = rng.integers(-3, 4, (2, 12, 12, 16)).astype(np.float32)
    w = mx.array(rng.integers(1, 4, (32, 3, 3, 16)).astype(np.float32)).astype(getattr(mx, dtype))
    clean = np.array(mx.conv2d(mx.array(x).astype(w.dtype), w, padding=1).astype(mx.float32))
    x[1, 5, 7, 3] = bad
    y = np.array(mx.conv2d(mx.array(x).astype(w.dtype), w, padding=1).astype(mx.float32))
    window = np.zeros(y.shape, bool)
    window[1, 4:7, 6:9] = True
    assert np.array_equal(np.isfinite(y), ~window)
    np.testing.assert_array_equal(y[0], clean[0])
    assert np.all(np.isnan(y[window])) if np.isnan(bad) else np.all(y[window] == bad)


@pytest.mark.cpu_only("instruction sets")
def test_set_isa_takes_what_current_isa_says():
    before = mx.current_isa()
    x, w = mx.random.normal((1, 20, 20, 64)).astype(mx.bfloat16), mx.random.normal((64, 1, 1, 64)).astype(mx.bfloat16)
    try:
        mx.set_isa("baseline")
        assert mx.current_isa() == "baseline"
        assert "_bf16 on" not in mx.explain(mx.conv2d(x, w))
        slow = mx.conv2d(x, w).astype(mx.float32)
        mx.eval(slow)
        mx.set_isa(before)
        pairs = "_bf16 on" in mx.explain(mx.conv2d(x, w))  # not where they are no faster than float32
        assert pairs if before == "amx" else before.endswith("bf16") or not pairs
        assert "_bf16 on" not in mx.explain(mx.conv2d(x, w, precision="highest"))
        assert mx.allclose(mx.conv2d(x, w).astype(mx.float32), slow, rtol=2**-7, atol=1e-3).item()
        with pytest.raises(ValueError, match="baseline"):
            mx.set_isa("avx1024")
    finally:
        mx.set_isa(before)
