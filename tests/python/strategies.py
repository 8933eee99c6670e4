# tests/python/strategies.py -- Hypothesis strategies over convolutions, dtypes and memory layouts
import dataclasses
import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import nhwc as mx
import oracle

ON_GPU = mx.default_device() == mx.gpu  # conftest.py has made it so
FLOAT64 = [] if ON_GPU else [mx.float64]  # which the GPU refuses
FLOATS = [mx.float16, mx.bfloat16, mx.float32, *FLOAT64]
EPS = {mx.float16: 2.0**-11, mx.bfloat16: 2.0**-8, mx.float32: 2.0**-24, mx.float64: 2.0**-53}
LAYOUTS = ["plain", "offset", "strided", "transposed", "reversed", "broadcast"]


def some(count):
    """Settings for a test that is worth fewer examples than usual; the profile "ci" tries five times as many."""
    return settings(max_examples=count * settings().max_examples // 60)


# Channels around the widths of vectors and register tiles, small ones more often.
CHANNELS = st.one_of(st.integers(1, 5), st.sampled_from([7, 8, 9, 15, 16, 17, 31, 32, 33, 48]))


@dataclasses.dataclass
class Problem:
    """One convolution: shapes, arguments as conv_general takes them (padding as pairs), and data from `seed`."""

    x_shape: tuple
    w_shape: tuple
    kwargs: dict
    dtype: object
    x_layout: str
    w_layout: str
    seed: int

    def arrays(self):
        """(x, w) as nhwc arrays of the drawn layouts, and the same values in float64."""
        rng = np.random.default_rng(self.seed)
        x, x64 = laid_out(rng.standard_normal(self.x_shape), self.dtype, self.x_layout)
        w, w64 = laid_out(rng.standard_normal(self.w_shape), self.dtype, self.w_layout)
        return x, w, x64, w64


def to_float64(a):
    """Values of an nhwc array; NumPy has no bfloat16."""
    return np.array(a.astype(mx.float32) if a.dtype in (mx.bfloat16, mx.float16) else a).astype(np.float64)


def array_of(values, dtype):
    with mx.stream(mx.cpu):  # which has float64
        return mx.array(np.asarray(values, np.float64), dtype=mx.float64).astype(dtype)


def laid_out(values, dtype, layout):
    """`values` as an array that lies in memory as `layout` says, and what it holds after rounding, in float64."""
    values = np.asarray(values, np.float64)
    if layout == "broadcast" and values.ndim and values.shape[0] > 0:
        values = np.broadcast_to(values[:1], values.shape)
        a = mx.broadcast_to(array_of(values[:1], dtype), values.shape)
    elif layout == "offset" and values.ndim:
        a = (
            array_of(np.concatenate([np.full_like(values[:1], 1e3), values]), dtype)[1:]
            if len(values)
            else array_of(values, dtype)
        )
    elif layout == "strided" and values.ndim:
        double = np.full((*values.shape[:-1], 2 * values.shape[-1]), 1e3)
        double[..., ::2] = values
        a = array_of(double, dtype)[..., ::2]
    elif layout == "transposed" and values.ndim > 1:
        a = mx.swapaxes(array_of(np.swapaxes(values, 1, -1).copy(), dtype), 1, -1)
    elif layout == "reversed" and values.ndim > 1:
        a = array_of(values[:, ::-1].copy(), dtype)[:, ::-1]
    else:
        a = array_of(values, dtype)
    mx.eval(a)
    return a, to_float64(a)


def assert_close(got, want, scale, dtype, factor=64, context=""):
    """|got - want| <= factor * eps32 * scale + rounding of the result; `scale` bounds the sum of absolute products."""
    got = to_float64(got) if isinstance(got, mx.array) else np.asarray(got, np.float64)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape} {context}"
    if not got.size:
        return
    accumulate = EPS[mx.float64] if dtype == mx.float64 else EPS[mx.float32]
    rounding = 4 * EPS[dtype] * np.abs(want) + (2.0**-24 if dtype == mx.float16 else 0)
    bound = factor * accumulate * (np.max(scale) + 1e-30) + rounding
    error = np.abs(got - want)
    worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error - bound)), error.shape)
    assert np.all(error <= bound), f"at {worst}: {got[worst]}, expected {want[worst]} +- {bound[worst]} {context}"


@st.composite
def axis(draw, general=True, largest=20):
    """One spatial axis on which at least one output place exists."""
    kernel = draw(st.integers(1, 5))
    stride = draw(st.integers(1, 3))
    kernel_dilation = draw(st.sampled_from([1, 1, 2, 3]))
    input_dilation = draw(st.sampled_from([1, 1, 2, 3])) if general else 1
    size = draw(st.one_of(st.integers(1, min(9, largest)), st.integers(min(10, largest), largest)))
    low, high = draw(st.integers(-min(2, size), 4)), draw(st.integers(-min(2, size), 4))
    if low < 0 and high < 0 and size + low + high < 0:
        high = 0
    if not general and draw(st.booleans()):
        low, high = max(low, 0), max(high, 0)
    kept = max(0, size - max(0, -low) - max(0, -high))
    dilated = input_dilation * (kept - 1) + 1 if kept else 0
    missing = kernel_dilation * (kernel - 1) + 1 - (dilated + max(low, 0) + max(high, 0))
    if missing > 0:  # as much more padding as the kernel needs
        if high < 0:
            kept = max(0, size - max(0, -low))
            dilated = input_dilation * (kept - 1) + 1 if kept else 0
        high = max(high, 0)
        high += max(0, kernel_dilation * (kernel - 1) + 1 - (dilated + max(low, 0) + high))
    return size, kernel, stride, (low, high), kernel_dilation, input_dilation


@st.composite
def channels(draw):
    """(C_in, C_out, groups); groups equal to C_in (depthwise) often enough."""
    if draw(st.booleans()):
        return draw(CHANNELS), draw(CHANNELS), 1
    groups = draw(st.sampled_from([2, 3, 4, 8, 16, 20]))
    if draw(st.booleans()):
        return groups, groups * draw(st.integers(1, 2)), groups
    return groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 5)), groups


@st.composite
def problems(draw, dtypes=FLOATS, spatial=(1, 2, 3), general=True):
    n = draw(st.sampled_from(spatial))
    axes = [draw(axis(general, largest=20 if n < 3 else 6)) for _ in range(n)]
    sizes, kernels, strides, pads, kdils, idils = (tuple(a[i] for a in axes) for i in range(6))
    c_in, c_out, groups = draw(channels())
    batch = draw(st.sampled_from([1, 1, 2, 3]))
    kwargs = dict(stride=strides, padding=pads, kernel_dilation=kdils, groups=groups)
    if general:
        kwargs |= dict(input_dilation=idils, flip=draw(st.booleans()))
    return Problem(
        (batch, *sizes, c_in), (c_out, *kernels, c_in // groups), kwargs, draw(st.sampled_from(dtypes)),
        draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(LAYOUTS)), draw(st.integers(0, 2**16)),
    )  # fmt: skip


@st.composite
def transposed_problems(draw, dtypes=FLOATS, spatial=(1, 2, 3)):
    n = draw(st.sampled_from(spatial))
    axes = []
    for _ in range(n):
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 4))
        dilation = draw(st.sampled_from([1, 1, 2, 3]))
        size = draw(st.integers(1, 9 if n < 3 else 4))
        output_padding = draw(st.integers(0, max(stride, dilation) - 1))
        room = (size - 1) * stride + dilation * (kernel - 1) + output_padding  # one output place is left
        padding = draw(st.integers(0, min(4, room // 2)))
        axes.append((size, kernel, stride, padding, dilation, output_padding))
    sizes, kernels, strides, pads, dils, outs = (tuple(a[i] for a in axes) for i in range(6))
    c_in, c_out, groups = draw(channels())
    kwargs = dict(stride=strides, padding=pads, dilation=dils, output_padding=outs, groups=groups)
    return Problem(
        (draw(st.integers(1, 2)), *sizes, c_in), (c_out, *kernels, c_in // groups), kwargs,
        draw(st.sampled_from(dtypes)), draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(LAYOUTS)),
        draw(st.integers(0, 2**16)),
    )  # fmt: skip


def general_kwargs(p):
    """The arguments in conv_general's form: padding as (lows, highs)."""
    k = dict(p.kwargs)
    lows, highs = zip(*k["padding"], strict=True)
    return k | dict(padding=(list(lows), list(highs)))


def plain_kwargs(p):
    """The arguments in the form of conv1d, conv2d and conv3d."""
    k = dict(p.kwargs)
    one = len(p.x_shape) == 3
    stride, dilation = (k[name][0] if one else k[name] for name in ("stride", "kernel_dilation"))
    return dict(stride=stride, padding=k["padding"], dilation=dilation, groups=k["groups"])


def transposed_kwargs(p):
    """The arguments in the form of conv_transpose1d, conv_transpose2d and conv_transpose3d."""
    return {k: v[0] if isinstance(v, tuple) and len(v) == 1 else v for k, v in p.kwargs.items()}


def reference(p):
    return oracle.conv(p.x_shape, p.w_shape, **p.kwargs)


def transposed_reference(p):
    return oracle.conv_transpose(p.x_shape, p.w_shape, **p.kwargs)


def size(shape):
    return math.prod(shape)
