# tests/python/test_conv_errors.py -- every mistake raises at the call and says what was got, expected, and the mend
import re

import numpy as np
import pytest

import nhwc as mx

X1, X2, X3 = (mx.zeros((2, *[9] * n, 4)) for n in (1, 2, 3))
W1, W2, W3 = (mx.zeros((8, *[3] * n, 4)) for n in (1, 2, 3))
CONV = {1: mx.conv1d, 2: mx.conv2d, 3: mx.conv3d}
TRANSPOSED = {1: mx.conv_transpose1d, 2: mx.conv_transpose2d, 3: mx.conv_transpose3d}
X, W = {1: X1, 2: X2, 3: X3}, {1: W1, 2: W2, 3: W3}
LAYOUT = {1: "(N, W, C)", 2: "(N, H, W, C)", 3: "(N, D, H, W, C)"}
ALL = [(f, n) for table in (CONV, TRANSPOSED) for n, f in table.items()] + [(mx.conv_general, n) for n in (1, 2, 3)]
IDS = [f"{f.__name__}-{n}d" for f, n in ALL]


def raises(error, call, *parts):
    """`call` raises exactly `error`, and the message names the function and holds every part (patterns allowed)."""
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error, f"{caught.type} is not {error}: {caught.value}"
    for part in parts:
        assert re.search(part, str(caught.value)), f"{part!r} is not in {str(caught.value)!r}"


def brackets(f):
    return rf"^\[{f.__name__}\]"


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_rank_of_input(f, n):
    for shape in [(), (4,), (9, 4), (1, 2, 3, 3, 3, 4)]:
        raises(
            ValueError,
            lambda shape=shape: f(mx.zeros(shape), W[n]),
            brackets(f),
            rf"\b{len(shape)} dim",
            "expected",
            re.escape("C)"),
        )
    if f is not mx.conv_general:
        for other in {1, 2, 3} - {n}:
            raises(
                ValueError,
                lambda other=other: f(X[other], W[other]),
                brackets(f),
                rf"\b{other + 2} dim",
                rf"\b{n + 2}\b",
                re.escape(LAYOUT[n]),
                re.escape(str(X[other].shape)),
            )


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_rank_of_weight(f, n):
    for other in {1, 2, 3} - {n}:
        raises(
            ValueError,
            lambda other=other: f(X[n], W[other]),
            brackets(f),
            re.escape("(C_out, ..., C_in / groups)"),
            re.escape(str(W[other].shape)),
        )


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_channels(f, n):
    wrong = mx.zeros((*X[n].shape[:-1], 3))
    raises(
        ValueError,
        lambda: f(wrong, W[n]),
        brackets(f),
        r"\b3 channels",
        r"expects 4\b",
        re.escape(str(W[n].shape)),
        "groups",
        r"C(_in)? / groups",
    )


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_groups(f, n):
    for groups in (0, -1):
        raises(
            ValueError,
            lambda groups=groups: f(X[n], W[n], groups=groups),
            brackets(f),
            "groups",
            rf"{groups}\b",
            "at least 1",
        )
    raises(ValueError, lambda: f(X[n], W[n], groups=3), brackets(f), r"groups=3\b", r"\b4\b", r"\b8\b", "divide")
    raises(
        ValueError, lambda: f(X[n], mx.zeros((7, *[3] * n, 2)), groups=2), brackets(f), "groups=2", r"\b7\b", "divide"
    )
    raises(ValueError, lambda: f(X[n], W[n], groups=2), brackets(f), "groups=2", r"\b8\b", r"\b4 channels")


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_stride_and_dilation(f, n):
    names = ["stride", "kernel_dilation", "input_dilation"] if f is mx.conv_general else ["stride", "dilation"]
    for name in names:
        for value in (0, -2):
            raises(
                ValueError,
                lambda name=name, value=value: f(X[n], W[n], **{name: value}),
                brackets(f),
                name,
                rf"{value}\b",
                "at least 1",
            )
        if n > 1:
            raises(
                ValueError, lambda name=name: f(X[n], W[n], **{name: [1] * (n - 1) + [0]}), brackets(f), name, r"\b0\b"
            )


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_number_of_values(f, n):
    names = ["stride", "padding"] + (["kernel_dilation", "input_dilation"] if f is mx.conv_general else ["dilation"])
    for name in names:
        for values in ([1] * (n + 2), []):
            raises(
                ValueError,
                lambda name=name, values=values: f(X[n], W[n], **{name: values}),
                brackets(f),
                name,
                rf"\b{len(values)}\b",
                rf"\b{n}\b|one per",
            )
    if f in CONV.values():
        pairs = [(1, 1)] * (n + 1)
        raises(ValueError, lambda: f(X[n], W[n], padding=pairs), brackets(f), "padding", rf"\b{n + 1}\b", rf"\b{n}\b")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_output_padding(n):
    f = TRANSPOSED[n]
    for kw, limit in [({}, 1), ({"stride": 2}, 2), ({"dilation": 3}, 3)]:
        raises(
            ValueError,
            lambda kw=kw, limit=limit: f(X[n], W[n], output_padding=limit, **kw),
            brackets(f),
            "output_padding",
            rf"\b{limit}\b",
            "stride",
            "dilation",
        )
        assert f(X[n], W[n], output_padding=limit - 1, **kw).ndim == n + 2
    raises(ValueError, lambda: f(X[n], W[n], output_padding=-1), brackets(f), "output_padding", "-1")


@pytest.mark.parametrize(("f", "n"), [a for a in ALL if a[0] not in TRANSPOSED.values()])
def test_kernel_larger_than_the_input(f, n):
    small = mx.zeros((1, *[5] * (n - 1), 2, 4))
    raises(ValueError, lambda: f(small, W[n]), brackets(f), r"\bW\b", r"\b3\b", r"\b2\b", "pad")
    name = "kernel_dilation" if f is mx.conv_general else "dilation"
    raises(ValueError, lambda: f(X[n], W[n], **{name: 5}), brackets(f), r"\b11\b", r"\b9\b", LAYOUT[n][4])
    if n > 1:
        tall = mx.zeros((1, 2, *[5] * (n - 1), 4))
        raises(ValueError, lambda: f(tall, W[n]), brackets(f), LAYOUT[n][4])


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_kernel_of_size_zero(f, n):
    raises(ValueError, lambda: f(X[n], mx.zeros((8, *[3] * (n - 1), 0, 4)), padding=1), brackets(f), r"\bW\b", r"\b0\b")


def test_result_of_a_transposed_one_without_places():
    raises(ValueError, lambda: mx.conv_transpose2d(X2, W2, padding=9), r"\[conv_transpose2d\]", "padding", r"\b9\b")


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_wrong_types(f, n):
    names = ["stride", "padding", "groups"] + (
        ["kernel_dilation", "input_dilation"] if f is mx.conv_general else ["dilation"]
    )
    if f in TRANSPOSED.values():
        names.append("output_padding")
    for name in names:
        for value in (1.0, None, 1j, object(), b"1"):
            raises(TypeError, lambda name=name, value=value: f(X[n], W[n], **{name: value}), name)
    for name in set(names) - {"padding"}:
        raises(TypeError, lambda name=name: f(X[n], W[n], **{name: [[1, 1]]}), name)
        raises(TypeError, lambda name=name: f(X[n], W[n], **{name: "same"}), name)
    for value in ([1.0] * n, [None] * n, [[[1, 1]]] * n):
        raises(TypeError, lambda value=value: f(X[n], W[n], stride=value), "stride")


def test_things_that_are_no_arrays():
    for bad in (None, "x", object(), 3j):
        raises(TypeError, lambda bad=bad: mx.conv2d(bad, W2))
        raises(TypeError, lambda bad=bad: mx.conv2d(X2, bad))
    raises(TypeError, lambda: mx.conv2d(X2))
    raises(TypeError, lambda: mx.conv2d(input=X2, weight=W2))
    raises(TypeError, lambda: mx.conv2d(X2, W2, padding=1, paddings=1))
    raises(TypeError, lambda: mx.conv2d(X2, W2, 1, 0, 1, 1, mx.zeros((8,))))


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_unknown_words(f, n):
    raises(
        ValueError,
        lambda: f(X[n], W[n], activation="swish"),
        brackets(f),
        "swish",
        "relu",
        "leaky_relu",
        "gelu",
        "silu",
        "tanh",
        "sigmoid",
    )
    raises(ValueError, lambda: f(X[n], W[n], precision="fast"), brackets(f), "fast", "default", "highest")
    if f in CONV.values():
        raises(ValueError, lambda: f(X[n], W[n], padding="sane"), brackets(f), "sane", "valid", "same")
        if n > 1:
            raises(ValueError, lambda: f(X[n], W[n], padding="causal"), brackets(f), "causal", "conv1d")
    if f in TRANSPOSED.values():
        raises(ValueError, lambda: f(X[n], W[n], padding="same"), brackets(f), "same")
        raises(ValueError, lambda: f(X[n], W[n], padding=[(1, 1)] * n), brackets(f), "pairs")


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_integer_dtypes(f, n):
    for dtype, name in [(mx.int32, "int32"), (mx.bool_, "bool"), (mx.uint8, "uint8"), (mx.int64, "int64")]:
        raises(
            ValueError,
            lambda dtype=dtype: f(X[n].astype(dtype), W[n].astype(dtype)),
            brackets(f),
            rf"\b{name}\b",
            "float32",
            "astype",
        )


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_bias(f, n):
    for shape in [(7,), (), (1,), (8, 1), (1, 8)]:
        raises(
            ValueError,
            lambda shape=shape: f(X[n], W[n], bias=mx.zeros(shape)),
            brackets(f),
            "bias",
            re.escape(str(shape)),
            r"\(8,\)",
        )


@pytest.mark.parametrize(("f", "n"), ALL, ids=IDS)
def test_stream_on_a_device_that_is_not_there(f, n):
    raises(ValueError, lambda: f(X[n], W[n], stream=mx.Device(mx.gpu, 1)), "gpu", "cpu")


def test_crops_more_than_there_is():
    raises(ValueError, lambda: mx.conv2d(X2, W2, padding=-5), r"\[conv2d\]", "-5", r"\b9\b")


def test_sizes_beyond_64_bits():
    big = 2**62
    for kw in (dict(padding=big), dict(dilation=big), dict(padding=((big, big), (big, big)))):
        with pytest.raises((ValueError, OverflowError)):
            mx.conv2d(X2, W2, **kw)
    with pytest.raises((ValueError, OverflowError)):
        mx.conv_transpose2d(X2, W2, stride=big)
    for value in (2**63, 2**100, -(2**63) - 1):
        with pytest.raises((ValueError, TypeError, OverflowError)):
            mx.conv2d(X2, W2, stride=value)


def test_result_too_large_for_memory():
    other = mx.ones((3,)) + 1
    y = mx.conv2d(mx.zeros((1, 1, 1, 1)), mx.ones((1, 1, 1, 1)), padding=2**21)  # 2^44 floats
    assert y.shape == (1, 2**22 + 1, 2**22 + 1, 1)
    with pytest.raises(MemoryError):
        mx.eval(y + mx.sum(other))
    assert other.tolist() == [2, 2, 2]
    w = mx.ones((1, 1, 1, 1))
    assert mx.conv2d(mx.ones((1, 2, 2, 1)), w).flatten().tolist() == [1, 1, 1, 1]


def test_convolve_arguments():
    a = mx.ones((4,))
    raises(ValueError, lambda: mx.convolve(a, a, mode="fill"), r"\[convolve\]", "fill", "full", "same", "valid")
    raises(ValueError, lambda: mx.convolve(mx.ones((2, 2)), a), r"\[convolve\]", "dim|rank|1-D")
    raises(ValueError, lambda: mx.convolve(mx.zeros((0,)), a), r"\[convolve\]", "empty|size 0|at least")


def test_gradient_functions_say_what_is_wrong():
    raises(ValueError, lambda: mx.grad(lambda x: mx.conv2d(x, W2))(X2), "scalar", re.escape(str((2, 7, 7, 8))))
    raises(ValueError, lambda: mx.vjp(lambda x: mx.conv2d(x, W2), [X2], [X2]), "shape")
    raises(ValueError, lambda: mx.vmap(lambda x: mx.conv1d(x, W1), in_axes=7)(X2), "7|axis")


def test_errors_are_raised_at_the_call_not_at_eval():
    with pytest.raises(ValueError, match="channels"):
        mx.conv2d(mx.zeros((1, 4, 4, 3)), mx.zeros((2, 3, 3, 4)))  # nobody evaluates


def test_numpy_ints_are_ints():
    y = mx.conv2d(X2, W2, stride=np.int64(2), padding=(np.int32(1), np.uint8(1)), groups=np.int64(1))
    assert y.shape == (2, 5, 5, 8)


def test_padding_that_shrinks_while_it_is_read():
    class Emptying:
        def __index__(self):
            padding.clear()
            return 1

    padding = [Emptying(), 1]
    with pytest.raises(IndexError):
        mx.conv2d(mx.ones((1, 5, 5, 1)), mx.ones((1, 3, 3, 1)), padding=[padding, padding])
