# tests/apple/test_emulator_functions.py -- MSL's functions in the emulator against NumPy
import functools

import emu
import ml_dtypes
import numpy as np
import pytest

TYPES = {
    "float": np.float32,
    "half": np.float16,
    "bfloat": ml_dtypes.bfloat16,
    "char": np.int8,
    "uchar": np.uint8,
    "short": np.int16,
    "ushort": np.uint16,
    "int": np.int32,
    "uint": np.uint32,
    "long": np.int64,
    "ulong": np.uint64,
}
INTS = [name for name, dtype in TYPES.items() if np.issubdtype(dtype, np.integer)]
HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"


@functools.cache
def compiled(text):
    return emu.Library(HEAD + text)


def kernel_text(name, kind, out, expression):
    return (
        f"[[kernel]] void {name}(device const {kind}* a [[buffer(0)]], device const {kind}* b [[buffer(1)]],"
        f" device const {kind}* c [[buffer(2)]], device {out}* y [[buffer(3)]], uint i [[thread_position_in_grid]])"
        f" {{ {kind} x = a[i], z = b[i], w = c[i]; (void)x; (void)z; (void)w; y[i] = {out}({expression}); }}\n"
    )


def evaluate(cases, key, arrays):
    """The results of a kernel out of {key: (type, result type, expression)}; all are compiled at once."""
    text = "".join(kernel_text(f"k{i}", *case) for i, case in enumerate(cases.values()))
    _, out, _ = cases[key]
    y = np.zeros(arrays[0].size, TYPES.get(out, np.bool_))
    compiled(text).run(f"k{list(cases).index(key)}", [*arrays, y], grid=(y.size, 1, 1), threads=(64, 1, 1))
    return y


# Name: expression, NumPy function, range of the arguments.
MATH = {
    "acos": ("acos(x)", lambda x, z, w: np.arccos(x), (-1, 1)),
    "acosh": ("acosh(x)", lambda x, z, w: np.arccosh(x), (1, 9)),
    "asin": ("asin(x)", lambda x, z, w: np.arcsin(x), (-1, 1)),
    "asinh": ("asinh(x)", lambda x, z, w: np.arcsinh(x), (-9, 9)),
    "atan": ("atan(x)", lambda x, z, w: np.arctan(x), (-9, 9)),
    "atanh": ("atanh(x)", lambda x, z, w: np.arctanh(x), (-0.9, 0.9)),
    "ceil": ("ceil(x)", lambda x, z, w: np.ceil(x), (-9, 9)),
    "cos": ("cos(x)", lambda x, z, w: np.cos(x), (-9, 9)),
    "cosh": ("cosh(x)", lambda x, z, w: np.cosh(x), (-5, 5)),
    "cospi": ("cospi(x)", lambda x, z, w: np.cos(np.pi * x), (-3, 3)),
    "exp": ("exp(x)", lambda x, z, w: np.exp(x), (-5, 5)),
    "fast_exp": ("fast::exp(x)", lambda x, z, w: np.exp(x), (-5, 5)),
    "exp2": ("precise::exp2(x)", lambda x, z, w: np.exp2(x), (-5, 5)),
    "exp10": ("exp10(x)", lambda x, z, w: 10.0**x, (-3, 3)),
    "fabs": ("fabs(x) + abs(z)", lambda x, z, w: np.abs(x) + np.abs(z), (-9, 9)),
    "floor": ("floor(x)", lambda x, z, w: np.floor(x), (-9, 9)),
    "fract": ("fract(x)", lambda x, z, w: x - np.floor(x), (-9, 9)),
    "log": ("log(x)", lambda x, z, w: np.log(x), (0.1, 9)),
    "log2": ("log2(x)", lambda x, z, w: np.log2(x), (0.1, 9)),
    "log10": ("log10(x)", lambda x, z, w: np.log10(x), (0.1, 9)),
    "rint": ("rint(x)", lambda x, z, w: np.rint(x), (-9, 9)),
    "round": ("round(x)", lambda x, z, w: np.sign(x) * np.floor(np.abs(x) + 0.5), (-9, 9)),
    "rsqrt": ("rsqrt(x)", lambda x, z, w: 1 / np.sqrt(x), (0.1, 9)),
    "sign": ("sign(x)", lambda x, z, w: np.sign(x), (-2, 2)),
    "sin": ("sin(x)", lambda x, z, w: np.sin(x), (-9, 9)),
    "sinh": ("sinh(x)", lambda x, z, w: np.sinh(x), (-5, 5)),
    "sinpi": ("sinpi(x)", lambda x, z, w: np.sin(np.pi * x), (-3, 3)),
    "sqrt": ("sqrt(x)", lambda x, z, w: np.sqrt(x), (0, 9)),
    "tan": ("tan(x)", lambda x, z, w: np.tan(x), (-1, 1)),
    "tanh": ("tanh(x)", lambda x, z, w: np.tanh(x), (-5, 5)),
    "trunc": ("trunc(x)", lambda x, z, w: np.trunc(x), (-9, 9)),
    "saturate": ("saturate(x)", lambda x, z, w: np.clip(x, 0, 1), (-2, 2)),
    "atan2": ("atan2(x, z)", lambda x, z, w: np.arctan2(x, z), (-9, 9)),
    "copysign": ("copysign(x, z)", lambda x, z, w: np.copysign(x, z), (-9, 9)),
    "divide": ("divide(x, z)", lambda x, z, w: x / z, (1, 9)),
    "fdim": ("fdim(x, z)", lambda x, z, w: np.maximum(x - z, 0), (-9, 9)),
    "fmod": ("fmod(x, z)", lambda x, z, w: np.fmod(x, z), (1, 9)),
    "pow": ("pow(x, z)", lambda x, z, w: x**z, (0.5, 3)),
    "step": ("step(x, z)", lambda x, z, w: (z >= x) * 1.0, (-9, 9)),
    "max": ("max(x, z)", lambda x, z, w: np.maximum(x, z), (-9, 9)),
    "fmin": ("fmin(x, z)", lambda x, z, w: np.minimum(x, z), (-9, 9)),
    "max3": ("max3(x, z, w)", lambda x, z, w: np.maximum(x, np.maximum(z, w)), (-9, 9)),
    "median3": ("median3(x, z, w)", lambda x, z, w: np.median([x, z, w], axis=0), (-9, 9)),
    "clamp": ("clamp(x, min(z, w), max(z, w))", lambda x, z, w: np.median([x, z, w], axis=0), (-9, 9)),
    "fma": ("fma(x, z, w)", lambda x, z, w: x * z + w, (1, 9)),
    "mix": ("mix(x, z, w)", lambda x, z, w: x + (z - x) * w, (0, 1)),
    "smoothstep": ("smoothstep(KIND(0), KIND(1), x)", lambda x, z, w: 3 * x**2 - 2 * x**3, (0, 1)),
    "ldexp": ("ldexp(x, 3)", lambda x, z, w: x * 8, (-9, 9)),
    "select": ("select(x, z, w > x)", lambda x, z, w: np.where(w > x, z, x), (-9, 9)),
    "isnan": ("isnan(x / (x - x)) || isinf(x) || !isfinite(x)", lambda x, z, w: x == 0, (1, 9)),
    "dot": ("dot(vec<KIND, 3>(x, z, w), vec<KIND, 3>(w, x, z))", lambda x, z, w: x * w + z * x + w * z, (1, 4)),
    "length": ("length(vec<KIND, 2>(x, z))", lambda x, z, w: np.hypot(x, z), (1, 4)),
}
MATH_CASES = {
    (name, kind): (kind, "float", case[0].replace("KIND", kind))
    for name, case in MATH.items()
    for kind in ("float", "half")
}


@pytest.mark.parametrize("name", MATH)
@pytest.mark.parametrize("kind", ["float", "half"])
def test_math(name, kind):
    _, reference, (low, high) = MATH[name]
    rng = np.random.default_rng(1)
    arrays = [rng.uniform(low, high, 200).astype(TYPES[kind]) for _ in range(3)]
    if name == "round":
        arrays[0][:4] = [0.5, 1.5, -0.5, -2.5]
    got = evaluate(MATH_CASES, (name, kind), arrays)
    want = reference(*[a.astype(np.float64) for a in arrays])
    bound = 2e-6 if kind == "float" else 4e-3
    np.testing.assert_allclose(got, want, rtol=bound, atol=bound)


def wrap(value, kind):
    bits = np.dtype(TYPES[kind]).itemsize * 8
    value %= 1 << bits
    return value - (1 << bits) if TYPES[kind](0).dtype.kind == "i" and value >> (bits - 1) else value


def bits_of(value, kind):
    size = np.dtype(TYPES[kind]).itemsize * 8
    return format(value % (1 << size), f"0{size}b")


def saturated(value, kind):
    info = np.iinfo(TYPES[kind])
    return min(max(value, info.min), info.max)


INTEGER = {
    "popcount": ("popcount(x)", lambda x, z, k: bits_of(x, k).count("1")),
    "clz": ("clz(x)", lambda x, z, k: len(bits_of(x, k)) - len(bits_of(x, k).lstrip("0"))),
    "ctz": ("ctz(x)", lambda x, z, k: len(bits_of(x, k)) - len(bits_of(x, k).rstrip("0"))),
    "reverse_bits": ("reverse_bits(x)", lambda x, z, k: wrap(int(bits_of(x, k)[::-1], 2), k)),
    "mulhi": ("mulhi(x, z)", lambda x, z, k: (x * z) >> len(bits_of(0, k))),
    "addsat": ("addsat(x, z)", lambda x, z, k: saturated(x + z, k)),
    "subsat": ("subsat(x, z)", lambda x, z, k: saturated(x - z, k)),
    "hadd": ("hadd(x, z)", lambda x, z, k: (x + z) >> 1),
    "rhadd": ("rhadd(x, z)", lambda x, z, k: (x + z + 1) >> 1),
    "absdiff": ("absdiff(x, z)", lambda x, z, k: wrap(abs(x - z), k)),
    "rotate": ("rotate(x, KIND(3))", lambda x, z, k: wrap(int(bits_of(x, k)[3:] + bits_of(x, k)[:3], 2), k)),
    "min": ("min(x, z)", lambda x, z, k: min(x, z)),
    "max": ("max(x, z)", lambda x, z, k: max(x, z)),
    "clamp": ("clamp(x, KIND(2), KIND(60))", lambda x, z, k: min(max(x, 2), 60)),
    "extract_bits": ("extract_bits(x, 2, 3)", lambda x, z, k: extracted(x, k)),
    "insert_bits": ("insert_bits(x, z, 2, 3)", lambda x, z, k: wrap((x & ~(7 << 2)) | ((z & 7) << 2), k)),
    "vector": ("popcount(vec<KIND, 2>(x, z)).y", lambda x, z, k: bits_of(z, k).count("1")),
}
INTEGER_CASES = {
    (name, kind): (kind, kind, case[0].replace("KIND", kind)) for name, case in INTEGER.items() for kind in INTS
}


def extracted(x, kind):
    field = x >> 2 & 7
    return field - 8 if TYPES[kind](0).dtype.kind == "i" and field & 4 else field


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("kind", INTS)
def test_integer(name, kind):
    rng, info = np.random.default_rng(2), np.iinfo(TYPES[kind])
    x, z = (rng.integers(info.min, info.max, 100, dtype=TYPES[kind], endpoint=True) for _ in range(2))
    x[:4], z[:4] = [0, 1, info.max, info.min], [info.max, info.min, info.max, info.min]
    got = evaluate(INTEGER_CASES, (name, kind), [x, z, x])
    want = [wrap(INTEGER[name][1](int(a), int(b), kind), kind) for a, b in zip(x, z, strict=True)]
    np.testing.assert_array_equal(got, np.array(want, TYPES[kind]))


CONVERSIONS = {(a, b): (a, b, "x") for a in TYPES for b in TYPES}


@pytest.mark.parametrize("source", TYPES)
def test_conversions(source):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 100, 300).astype(TYPES[source])
    if source in ("float", "half", "bfloat"):
        x = rng.uniform(0, 100, 300).astype(TYPES[source])
    for target in TYPES:
        got = evaluate(CONVERSIONS, (source, target), [x, x, x])
        np.testing.assert_array_equal(got, x.astype(np.float32).astype(TYPES[target]) if source != target else x)


def test_every_bfloat_and_half():
    """Rounding to nearest even, infinities, NaN, and back."""
    x = np.arange(1 << 16, dtype=np.uint32)
    text = """[[kernel]] void both(device const float* a [[buffer(0)]], device bfloat* b [[buffer(1)]],
        device half* h [[buffer(2)]], uint i [[thread_position_in_grid]]) { b[i] = bfloat(a[i]); h[i] = half(a[i]); }"""
    for low in (0, 0x7FFF, 0x8000, 0x8001):
        a = (x << 16 | low).view(np.float32)
        b, h = np.zeros(a.size, ml_dtypes.bfloat16), np.zeros(a.size, np.float16)
        compiled(text).run("both", [a, b, h], grid=(a.size, 1, 1), threads=(256, 1, 1))
        with np.errstate(over="ignore", invalid="ignore"):
            np.testing.assert_array_equal(b.astype(np.float32), a.astype(ml_dtypes.bfloat16).astype(np.float32))
            np.testing.assert_array_equal(h, a.astype(np.float16))


BFLOAT = """
[[kernel]] void arithmetic(device const bfloat* a [[buffer(0)]], device const bfloat* b [[buffer(1)]],
                           device bfloat* y [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  bfloat s = a[i] + b[i];
  s *= a[i];
  s = -s / b[i] - 1.0bf;
  const float wide = exp(a[i]) + b[i];
  y[i] = s < 0.5f ? s : bfloat(wide);
}
"""


def test_bfloat_rounds_at_each_operation():
    rng = np.random.default_rng(4)
    a, b = (rng.uniform(-3, 3, 500).astype(ml_dtypes.bfloat16) for _ in range(2))
    y = np.zeros_like(a)
    compiled(BFLOAT).run("arithmetic", [a, b, y], grid=(500, 1, 1), threads=(64, 1, 1))
    s = a + b
    s = s * a
    s = -s / b - ml_dtypes.bfloat16(1)
    wide = np.exp(a.astype(np.float32)) + b.astype(np.float32)
    np.testing.assert_array_equal(y, np.where(s < 0.5, s, wide.astype(ml_dtypes.bfloat16)))


@pytest.mark.parametrize("text", ["bfloat x = 1.0f;", "half h = 1.0h; bfloat x = h;", "bfloat b = 1.0bf; half x = b;"])
def test_conversions_that_metal_refuses(text):
    with pytest.raises(emu.metal_compile.CompileError, match=r"source\.metal:3:.*error"):
        emu.Library(HEAD + f"[[kernel]] void k(device float* y [[buffer(0)]]) {{ {text} y[0] = float(x); }}")
