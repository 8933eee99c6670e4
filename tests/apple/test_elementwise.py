# tests/apple/test_elementwise.py -- elementwise functions, chains, copies, random bits and ranges on the GPU
import math

import numpy as np
import pytest
from devices import DTYPES, EPS, FLOATS, INTEGERS, ONE_SANITIZED, check, filled, generator, on, to_numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nhwc as mx

pytestmark = pytest.mark.usefixtures("gpu")
hypothetical = settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))

OF_FLOATS = [
    "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "sinh", "cosh", "tanh", "sigmoid", "erf", "erfinv",
]  # fmt: skip
OF_NUMBERS = [
    "abs", "negative", "sign", "square", "floor", "ceil", "round", "isnan", "isinf", "isfinite", "logical_not",
    "bitwise_invert",
]  # fmt: skip
BINARY = [
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "maximum", "minimum",
    "logaddexp", "arctan2", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and",
    "logical_or", "bitwise_and", "bitwise_or", "bitwise_xor",
]  # fmt: skip
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 0.5, 6.5, -1e5, 3e38]
EXTREMES = {4: [-(2**31), 2**31 - 1, -1, 0], 8: [-(2**63), 2**63 - 1, -1, 0]}


def operand(rng, dtype, layout):
    """A (7, 13) array with what is special about its type in it."""
    a = filled(rng, (7, 13), dtype, layout)
    with mx.stream(mx.cpu):
        if dtype in FLOATS:
            at, v = rng.integers(0, 91, 11), np.array(SPECIAL, np.float32)
            a = a + mx.zeros((7, 13), dtype)  # a copy: the special values below are written to it
            flat = mx.reshape(a, (91,))
            flat[mx.array(at)] = mx.array(v).astype(dtype)
            a = mx.reshape(flat, (7, 13))
        elif dtype in (mx.int32, mx.int64):
            a = mx.where(a == 3, mx.array(EXTREMES[dtype.size][int(rng.integers(0, 4))], dtype), a)
        if layout == "reversed":
            a = a[::-1, ::-1]
        mx.eval(a)
    return a


def exists(call):
    try:
        call(mx.cpu)
    except ValueError:
        return False
    return True


def compare(name, *operands):
    """The same bits but for a few units in the last place of what the CPU computes in another order."""

    def call(device):
        return getattr(mx, name)(*operands, stream=device)

    if not exists(call):
        return
    result = getattr(mx, name)(*operands, stream=mx.cpu).dtype
    bound = {"rtol": 6 * EPS[result], "atol": 1e-37} if result in FLOATS else {}
    with np.errstate(all="ignore"):
        check(lambda: getattr(mx, name)(*operands), (name, operands[0].dtype), **bound)


@pytest.mark.parametrize("dtype", ONE_SANITIZED, ids=str)
def test_unary_functions_of_every_dtype(dtype):
    for layout in ("plain", "reversed", "transposed"):
        a = operand(generator("unary", dtype, layout), dtype, layout)
        for name in OF_NUMBERS + (OF_FLOATS if dtype in FLOATS else []):
            compare(name, a)


@pytest.mark.parametrize("dtype", ONE_SANITIZED, ids=str)
def test_binary_functions_of_every_dtype(dtype):
    rng = generator("binary", dtype)
    a, b = operand(rng, dtype, "plain"), operand(rng, dtype, "plain")
    for name in BINARY:
        compare(name, a, b)
        compare(name, a[::-1], mx.broadcast_to(b[:, :1], a.shape, stream=mx.cpu))
        compare(name, mx.broadcast_to(a[2, 3], a.shape, stream=mx.cpu), b)


@hypothetical
@given(
    st.sampled_from(BINARY), st.sampled_from(DTYPES), st.lists(st.integers(1, 9), max_size=5), st.integers(0, 2**32 - 1)
)
def test_binary_functions_of_shapes_that_broadcast(name, dtype, shape, seed):
    rng = np.random.default_rng(seed)
    own = [tuple(1 if rng.random() < 0.3 else n for n in shape)[int(rng.integers(0, len(shape) + 1)) :] for _ in "ab"]
    layouts = [str(rng.choice(["plain", "reversed", "transposed", "strided"])) for _ in "ab"]
    compare(name, *(filled(rng, s, dtype, layout) for s, layout in zip(own, layouts, strict=True)))


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_conversions_between_all_dtypes(source):
    rng = generator("cast", source)
    a = filled(rng, (5, 37), source)
    with mx.stream(mx.cpu):
        if source in FLOATS:  # what is out of an integer's range has no value to agree on
            a = mx.abs(a) * 40
        mx.eval(a)
    for target in DTYPES:
        for x in (a, mx.transpose(a, stream=mx.cpu)):
            check(lambda x=x, target=target: x.astype(target), (source, target))


def ends(dtype):
    """The least and the greatest integers of a type, and those around 0, each beside each: two arrays."""
    info = np.iinfo(str(dtype).rpartition(".")[2])
    values = sorted({info.min, info.min + 1, *range(-3 if info.min else 0, 4), info.max // 2, info.max - 1, info.max})
    pairs = np.array([(a, b) for a in values for b in values], dtype=info.dtype)
    return mx.array(pairs[:, 0].copy()), mx.array(pairs[:, 1].copy())


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_at_the_ends_of_their_range(dtype):
    a, b = ends(dtype)
    for name in BINARY:
        compare(name, a, b)
    for name in OF_NUMBERS:
        compare(name, a)


def test_zeros_of_either_sign_and_nan():
    """The second of two equal numbers is taken, as on the CPU; NaN wins wherever it stands."""
    values = np.array([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf], np.float32)
    pairs = np.array([(a, b) for a in values for b in values], np.float32)
    a, b = mx.array(pairs[:, 0].copy()), mx.array(pairs[:, 1].copy())
    for f in (
        mx.maximum,
        mx.minimum,
        mx.abs,
        mx.sign,
        mx.sin,
        mx.tan,
        mx.tanh,
        mx.arctan,
        mx.arcsin,
        mx.sinh,
        mx.expm1,
        mx.log1p,
    ):
        x = (a, b) if f in (mx.maximum, mx.minimum) else (a,)
        got, want = (to_numpy(on(device, lambda f=f, x=x: f(*x))) for device in (mx.gpu, mx.cpu))
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want), str(f))
        number = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got)[number], np.signbit(want)[number], str(f))


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_floats_at_the_ends_of_integers(dtype):
    """What does not fit gives the least integer of the type by way of which it is converted, as on the CPU."""
    ends = [2.0**7, 2.0**8, 2.0**15, 2.0**16, 2.0**31, 2.0**32, 2.0**63, 2.0**64]
    near = [f for x in ends for f in (np.nextafter(np.float32(x), np.float32(0)), x, 1.5 * x)]
    x = np.array([*near, *(-f for f in near), 0.5, -0.5, np.inf, -np.inf, np.nan], np.float32)
    check(lambda: mx.array(x).astype(dtype), dtype)


@pytest.mark.sanitizer
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_choices(dtype):
    rng = generator("where", dtype)
    c = filled(rng, (6, 11), mx.bool_)
    a, b = filled(rng, (6, 11), dtype), filled(rng, (11, 6), dtype)
    for x in (b[0, 0], mx.transpose(b, stream=mx.cpu), a[::-1]):
        check(lambda x=x: mx.where(c, a, x), dtype)
    check(lambda: mx.where(c[:, :1], a, a + a), dtype)


EXACT = {  # in double, with the error that is allowed in units in the last place
    "exp": (np.exp, 1), "expm1": (np.expm1, 2), "log": (np.log, 1), "log2": (np.log2, 2), "log10": (np.log10, 2),
    "log1p": (np.log1p, 2), "sin": (np.sin, 2), "cos": (np.cos, 2), "tan": (np.tan, 4), "arcsin": (np.arcsin, 3),
    "arccos": (np.arccos, 3), "arctan": (np.arctan, 3), "sinh": (np.sinh, 4), "cosh": (np.cosh, 4),
    "tanh": (np.tanh, 2), "sqrt": (np.sqrt, 0.51), "rsqrt": (lambda x: 1 / np.sqrt(x), 2), "floor": (np.floor, 0),
    "ceil": (np.ceil, 0), "round": (np.rint, 0), "erf": (np.vectorize(math.erf, otypes=[float]), 2),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_functions_are_within_their_units_in_the_last_place(name):
    """The bounds of tests/backend/test_math.cpp."""
    reference, units = EXACT[name]
    x = np.arange(0, 2**32, 65521 if name == "erf" else 32749, np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.arange(-120, 120, 0.0171, np.float32), np.array(SPECIAL, np.float32)])
    x = np.where(np.abs(x) < 2.0**-126, 0, x)  # Metal may take subnormal numbers for zero
    with np.errstate(all="ignore"):
        got = to_numpy(on(mx.gpu, lambda: getattr(mx, name)(mx.array(x)))).astype(np.float64)
        want = reference(x.astype(np.float64))
        rounded = want.astype(np.float32)
        one = np.spacing(np.minimum(np.abs(rounded), np.float32(2.0**127))).astype(np.float64)
        error = np.where(np.isfinite(rounded), np.abs(got - want) / one, 0)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    overflow = np.isinf(rounded) & (np.abs(want) > 3.4029e38)
    np.testing.assert_array_equal(got[overflow], rounded[overflow])
    error[np.abs(want) < 2.0**-126] = 0
    worst = np.nanargmax(error)
    assert error[worst] <= units, (x[worst], got[worst], want[worst])


def test_logarithms_of_subnormal_numbers():
    """Right, or those of zero, for which Metal may take them."""
    x = np.array([1e-45, 3e-42, 1e-39, 1.1e-38, np.nextafter(np.float32(2.0**-126), np.float32(0))], np.float32)
    for name in ("log", "log2", "log10"):
        got = to_numpy(on(mx.gpu, lambda name=name: getattr(mx, name)(mx.array(x))))
        want = getattr(np, name)(x.astype(np.float64))
        assert np.all((np.abs(got - want) <= 2 * np.spacing(np.abs(want).astype(np.float32))) | (got == -np.inf)), name


@pytest.mark.skipif(mx.current_isa() == "baseline", reason="the CPU rounds products that are added")
def test_formulas_change_where_those_of_the_cpu_do():
    """Either is within its bound there, but a function is one on both devices."""
    for f, at in ((mx.tanh, 0.625), (mx.arctan, 1.0), (mx.erf, 0.927734375), (mx.arcsin, 0.5), (mx.arccos, 0.5),
                  (mx.sinh, 87.0), (mx.cosh, 87.0)):  # fmt: skip
        x = (np.float32(at).view(np.int32) + np.arange(-9, 10, dtype=np.int32)).view(np.float32)
        a = mx.array(np.concatenate([x, -x]))
        check(lambda f=f, a=a: f(a), f.__name__)


@pytest.mark.parametrize("word", ["relu", "relu6", "leaky_relu", "silu", "gelu"])
def test_activations_as_steps_of_their_own(word):
    """Not part of the convolution whose sums something else reads too."""
    rng = generator("activation", word)
    x = np.concatenate([rng.standard_normal(80) * 5, [0, 6, -6, np.inf, -np.inf, np.nan]]).astype(np.float32)
    for dtype in FLOATS:
        a = mx.array(x.reshape(1, -1, 1)).astype(dtype, stream=mx.cpu)
        one = mx.ones((1, 1, 1), dtype, stream=mx.cpu)

        def both(a=a, one=one):
            return mx.vjp(lambda a: mx.conv1d(a, one, activation=word), [a], [a])

        got, want = (on(device, lambda both=both: [r[0] for r in both()]) for device in (mx.gpu, mx.cpu))
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(to_numpy(g), to_numpy(w), 16 * EPS[dtype], 1e-6, err_msg=f"{word} {dtype}")


def test_gelu_and_erfinv():
    x = np.arange(-12, 12, 0.0037, np.float32)
    got = to_numpy(on(mx.gpu, lambda: mx.conv1d(mx.array(x.reshape(1, -1, 1)), mx.ones((1, 1, 1)), activation="gelu")))
    want = [0.5 * d * math.erfc(-d * math.sqrt(0.5)) for d in x.astype(float)]
    assert np.all(np.abs(got.ravel() - want) <= 2 * np.spacing(np.abs(x)) + 1e-45)
    y = np.arange(-0.999, 1, 0.001).astype(np.float32)
    inverse = to_numpy(on(mx.gpu, lambda: mx.erfinv(mx.array(y))))
    assert max(abs(math.erf(float(v)) - u) / max(abs(u), 1e-30) for v, u in zip(inverse, y, strict=True)) <= 4e-7
    z = 1 - np.geomspace(2.0**-24, 2.0**-8, 50).astype(np.float32)  # where erf says little of its argument, erfc does
    inverse = to_numpy(on(mx.gpu, lambda: mx.erfinv(mx.array(np.concatenate([z, -z])))))
    np.testing.assert_array_equal(inverse[:50], -inverse[50:])
    for v, u in zip(inverse[:50].astype(float), 1 - z.astype(float), strict=True):
        assert abs(math.erfc(v) / u - 1) <= (2 * v * v + 2) * 3 * EPS[mx.float32] * 2, (v, u)


@pytest.mark.sanitizer
def test_chains_of_more_arrays_than_a_kernel_binds():
    rng = generator("many leaves")
    leaves = [filled(rng, (5, 8), mx.float32, layout) for layout in ("plain", "reversed", "transposed", "strided") * 11]

    def chain():
        y = leaves[0]
        for i, a in enumerate(leaves[1:]):
            y = mx.maximum(y, a) if i % 3 == 0 else y * 0.5 + a if i % 3 == 1 else y - a
        return y

    check(chain, "44 leaves", rtol=1e-6, atol=1e-6)


@pytest.mark.sanitizer
def test_more_axes_than_kernels_take():
    rng = generator("axes")
    a = filled(rng, (2,) * 12, mx.int16)
    order = (11, 9, 7, 5, 3, 1, 10, 8, 6, 4, 2, 0)

    def views():
        t = mx.transpose(a, order)
        return mx.contiguous(t), t + t, (t + a) * (t - 1), mx.maximum(t, mx.transpose(a, order[::-1]))

    for got, want in zip(on(mx.gpu, lambda: list(views())), on(mx.cpu, lambda: list(views())), strict=True):
        np.testing.assert_array_equal(to_numpy(got), to_numpy(want))


@pytest.mark.sanitizer
@pytest.mark.parametrize("dtype", [mx.bool_, mx.float16, mx.int32, mx.uint64], ids=str)
@pytest.mark.parametrize("layout", ["reversed", "transposed", "strided", "broadcast"])
def test_row_major_copies(dtype, layout):
    a = filled(generator("copy", dtype, layout), (3, 34, 5, 17), dtype, layout)
    check(lambda: mx.contiguous(a), layout)
    check(lambda: mx.reshape(mx.transpose(a, (0, 3, 1, 2)), (51, 170)), layout)


def test_nothing_at_all():
    empty = mx.zeros((0, 3))
    check(lambda: mx.exp(empty) + empty * 2, "chain")
    check(lambda: mx.contiguous(mx.transpose(empty)), "copy")
    check(lambda: empty.astype(mx.int8), "cast")


@pytest.mark.sanitizer
@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (5, 7), (1031,)], ids=str)
def test_random_bits_are_those_of_the_cpu(width, shape):
    key = mx.random.key(width)
    for keys in (key, mx.random.split(key, 3)[::-1][1]):
        bound = {"uint8": 255, "uint16": 65535}.get(f"uint{8 * width}", 2**31 - 1)
        check(lambda keys=keys, bound=bound: mx.random.randint(0, bound, shape, key=keys), (width, shape))
        check(lambda keys=keys: mx.random.uniform(shape=shape, dtype=mx.float16, key=keys), (width, shape))
    check(lambda: mx.random.split(key, 5), "split")


@pytest.mark.sanitizer
@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS], ids=str)
def test_ranges(dtype):
    for arguments in ((0, 100, 1), (5, 90, 7), (100, 2, -3)):
        check(lambda arguments=arguments: mx.arange(*arguments, dtype=dtype), arguments)
    if dtype in FLOATS:
        for arguments in ((-1.7, 3.3, 0.1), (1e6, 1e6 + 300, 1 / 3), (0, 1, 1 / 1009)):
            # What double gives near 0 is its own rounding error.
            check(lambda arguments=arguments: mx.arange(*arguments, dtype=dtype), arguments, atol=1e-12)
        check(lambda: mx.linspace(-2.5, 7, 1001, dtype=dtype), "linspace", rtol=2 * EPS[dtype], atol=1e-6)
