# python/nhwc/jax/_functional.py -- nhwc's convolutions with arrays of JAX: arguments and docstrings
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nhwc import _core
from nhwc.jax import _ops

Ints = int | tuple[int, ...]

DTYPES = ("float16", "bfloat16", "float32", "float64")


def floating(who: str, arrays: dict) -> list[jax.Array]:
    """The arguments as arrays of one dtype that nhwc computes in."""
    found = {}
    for name, a in arrays.items():
        if not hasattr(a, "shape") or not hasattr(a, "dtype"):
            raise TypeError(f"[{who}] {name} must be an array, got {type(a).__name__}")
        found[name] = jnp.asarray(a)
    first, *_ = found.items()
    for name, a in found.items():
        if str(a.dtype) not in DTYPES:
            raise TypeError(f"[{who}] {name} is {a.dtype}; expected one of {', '.join(DTYPES)}: convert with astype")
        if a.dtype != first[1].dtype:
            raise TypeError(f"[{who}] {first[0]} is {first[1].dtype} but {name} is {a.dtype}; expected one dtype")
    return list(found.values())


def _conv(
    who,
    input,
    weight,
    stride,
    padding,
    dilation,
    groups,
    bias,
    activation,
    precision,
    input_dilation=1,
    output_padding=0,
    flip=False,
):
    x, w, *b = floating(who, dict(input=input, weight=weight) | ({} if bias is None else dict(bias=bias)))
    out, *geometry = _core._conv_geometry(
        who,
        x.shape,
        w.shape,
        stride,
        padding,
        dilation,
        input_dilation,
        output_padding,
        groups,
        flip,
        b[0].shape if b else False,
        activation,
        precision,
    )
    stride, low, dilation, input_dilation, flip, highest = geometry
    sizes = x.shape[1:-1], w.shape[1:-1], out[1:-1], x.shape[-1], w.shape[0]
    p = _ops.Problem(*sizes, stride, low, dilation, input_dilation, int(groups), flip, highest)
    return _ops.conv(p, activation, x, w, *b)


_SIZES = {1: "W", 2: "H, W", 3: "D, H, W"}
_KERNEL = {1: "K", 2: "KH, KW", 3: "KD, KH, KW"}

_ARRAYS = """
    input (array): ``(N, {sizes}, C_in)``; float16, bfloat16, float32 or float64, on the CPU.
    weight (array): ``(C_out, {kernel}, C_in / groups)``, of the same dtype."""
_EXTRAS = """    bias (array, optional): ``(C_out,)``, added to every output position. Default: ``None``.
    activation (str, optional): applied last: ``"relu"``, ``"relu6"``, ``"leaky_relu"`` (slope 0.01), ``"silu"``,
        ``"gelu"`` (exact, by erf), ``"tanh"`` or ``"sigmoid"``. Default: ``None``.
    precision (str, optional): ``"default"``, or ``"highest"`` to exclude algorithms that transform, or take subnormal
        bfloat16 for zero. Default: ``None``.
"""
_RAISES = """
Raises:
    TypeError: no arrays, dtypes that do not fit, or a float, ``None`` or a nested list where ints are expected.
    ValueError: shapes, channels, groups or values that do not fit.
"""
_GROUPS = "    groups (int): the channels are split into this many independent convolutions. Default: ``1``.\n"

_CONV = (
    "A {axes}-D convolution (cross-correlation) of channels-last arrays: ``nhwc.{who}`` on arrays of JAX.\n\nArgs:"
    + _ARRAYS
    + """
    stride (int | tuple): step between outputs. Default: ``1``.
    padding (int | tuple | str): zeros on both sides of each axis; a negative value crops. Also one ``(low, high)`` per
        axis, ``"valid"`` (none), ``"same"`` (out = ceil(in / stride), the extra zero after){causal}. Default: ``0``.
    dilation (int | tuple): step between the kernel's taps. Default: ``1``.
"""
    + _GROUPS
    + _EXTRAS
    + """
Returns:
    jax.Array: ``(N, ..., C_out)``, each size out = (in + low + high - dilation * (K - 1) - 1) // stride + 1.
"""
    + _RAISES
    + """
Example:
    >>> conv{axes}d(jnp.ones(({input})), jnp.ones(({weight})), padding=1).shape
    ({output})
"""
)
_TRANSPOSED = (
    "A {axes}-D transposed convolution of channels-last arrays: ``nhwc.{who}`` on arrays of JAX.\n\nArgs:"
    + _ARRAYS
    + """
    stride (int | tuple): step between the places where the kernel is laid. Default: ``1``.
    padding (int | tuple): elements taken off both sides of the result. Default: ``0``.
    dilation (int | tuple): step between the kernel's taps. Default: ``1``.
    output_padding (int | tuple): elements added at the end, less than stride or dilation. Default: ``0``.
"""
    + _GROUPS
    + _EXTRAS
    + """
Returns:
    jax.Array: ``(N, ..., C_out)``, each size out = (in - 1) * stride - 2 * padding + dilation * (K - 1) + 1 +
    output_padding.
"""
    + _RAISES
    + """
Example:
    >>> conv_transpose{axes}d(jnp.ones(({input})), jnp.ones(({weight})), stride=2).shape
    ({output})
"""
)


def _make(template: str, axes: int):
    """The function of so many axes, with its name and docstring."""
    if template is _CONV:
        who = f"conv{axes}d"

        def call(
            input: ArrayLike,
            weight: ArrayLike,
            /,
            stride: Ints = 1,
            padding: Ints | str | tuple[tuple[int, int], ...] = 0,
            dilation: Ints = 1,
            groups: int = 1,
            *,
            bias: ArrayLike | None = None,
            activation: str | None = None,
            precision: str | None = None,
        ) -> jax.Array:
            return _conv(who, input, weight, stride, padding, dilation, groups, bias, activation, precision)

        examples = [1, *[8] * axes, 3], [4, *[3] * axes, 3], [1, *[8] * axes, 4]
    else:
        who = f"conv_transpose{axes}d"

        def call(
            input: ArrayLike,
            weight: ArrayLike,
            /,
            stride: Ints = 1,
            padding: Ints = 0,
            dilation: Ints = 1,
            output_padding: Ints = 0,
            groups: int = 1,
            *,
            bias: ArrayLike | None = None,
            activation: str | None = None,
            precision: str | None = None,
        ) -> jax.Array:
            more = dict(output_padding=output_padding)
            return _conv(who, input, weight, stride, padding, dilation, groups, bias, activation, precision, **more)

        examples = [1, *[4] * axes, 3], [4, *[2] * axes, 3], [1, *[8] * axes, 4]
    x, w, y = (", ".join(map(str, shape)) for shape in examples)
    texts = dict(sizes=_SIZES[axes], kernel=_KERNEL[axes], input=x, weight=w, output=y)
    call.__name__ = call.__qualname__ = who
    call.__doc__ = template.format(axes=axes, who=who, causal=' or ``"causal"``' if axes == 1 else "", **texts)
    return call


conv1d, conv2d, conv3d = (_make(_CONV, axes) for axes in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_make(_TRANSPOSED, axes) for axes in (1, 2, 3))


def conv_general(
    input: ArrayLike,
    weight: ArrayLike,
    /,
    stride: Ints = 1,
    padding: Ints | tuple[tuple[int, ...], tuple[int, ...]] = 0,
    kernel_dilation: Ints = 1,
    input_dilation: Ints = 1,
    groups: int = 1,
    flip: bool = False,
    *,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    precision: str | None = None,
) -> jax.Array:
    more = dict(input_dilation=input_dilation, flip=bool(flip))
    who = "conv_general"
    return _conv(who, input, weight, stride, padding, kernel_dilation, groups, bias, activation, precision, **more)


conv_general.__doc__ = (
    "A convolution with every argument, over 1, 2 or 3 axes by the input's rank: ``nhwc.conv_general``.\n\nArgs:"
    + _ARRAYS.format(sizes="...", kernel="...")
    + """
    stride (int | tuple): step between outputs. Default: ``1``.
    padding (int | tuple | pair of tuples): zeros on both sides: one value, one per axis, or ``(lows, highs)``. A
        negative value crops the input before it is dilated. Default: ``0``.
    kernel_dilation (int | tuple): step between the kernel's taps. Default: ``1``.
    input_dilation (int | tuple): step between the input's elements, with zeros between. Default: ``1``.
"""
    + _GROUPS
    + "    flip (bool): reverse the kernel's spatial axes, which makes it a convolution in the strict sense. Default:\n"
    + "        ``False``.\n"
    + _EXTRAS
    + """
Returns:
    jax.Array: ``(N, ..., C_out)``, each size out = (input_dilation * (in - 1) + 1 + low + high - kernel_dilation *
    (K - 1) - 1) // stride + 1.
"""
    + _RAISES
    + """
Example:
    >>> conv_general(jnp.ones((1, 4, 4, 3)), jnp.ones((8, 3, 3, 3)), input_dilation=2, flip=True).shape
    (1, 5, 5, 8)
"""
)
