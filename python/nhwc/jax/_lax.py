# python/nhwc/jax/_lax.py -- jax.lax.conv_general_dilated on nhwc's kernels
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from nhwc.jax import _ops
from nhwc.jax._functional import floating

_WHO = "conv_general_dilated"
_HIGHEST = ("highest", "float32", lax.Precision.HIGHEST)


def _hashable(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return tuple(map(_hashable, value)) if type(value) in (list, tuple) else value


@functools.lru_cache(maxsize=4096)
def _problem(lhs, rhs, dtype, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, groups, **more):
    """The problem that the arguments make, the order of lhs's, rhs's and the result's axes, and the result's dtype."""
    arrays = (jax.ShapeDtypeStruct(shape, dtype) for shape in (lhs, rhs))
    steps = dict(lhs_dilation=lhs_dilation, rhs_dilation=rhs_dilation, dimension_numbers=dimension_numbers)
    theirs = functools.partial(lax.conv_general_dilated, window_strides=window_strides, padding=padding, **steps)
    result = jax.eval_shape(functools.partial(theirs, feature_group_count=groups, **more), *arrays)  # all mistakes
    axes = len(lhs) - 2
    if axes not in (1, 2, 3):
        raise ValueError(f"[{_WHO}] got {axes} spatial axes, lhs {lhs}; nhwc convolves 1, 2 or 3")
    numbers = lax.conv_dimension_numbers(lhs, rhs, dimension_numbers)
    orders = [(first, *rest, second) for first, second, *rest in numbers]
    x, w, y = ([shape[i] for i in o] for shape, o in zip((lhs, rhs, result.shape), orders, strict=True))
    if any(s < 1 for s in window_strides):
        raise ValueError(f"[{_WHO}] window_strides must be at least 1, got {window_strides}")
    if 0 in w[1:-1]:
        raise ValueError(f"[{_WHO}] the kernel has size 0: rhs {rhs}")
    ones = (1,) * axes
    dilation, input_dilation = rhs_dilation or ones, lhs_dilation or ones
    if isinstance(padding, str):
        spans = [d * (k - 1) + 1 for d, k in zip(dilation, w[1:-1], strict=True)]
        padding = lax.padtype_to_pads(x[1:-1], spans, window_strides, padding)
    low = tuple(int(before) for before, _ in padding)
    outputs_last = tuple(numbers.rhs_spec) == (axes + 1, axes, *range(axes))
    if outputs_last:
        orders[1] = tuple(range(axes + 2))
    sizes = tuple(x[1:-1]), tuple(w[1:-1]), tuple(y[1:-1]), x[-1], w[0]
    p = _ops.Problem(*sizes, window_strides, low, dilation, input_dilation, groups, outputs_last=outputs_last)
    return p, orders, result.dtype


def conv_general_dilated(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers=None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision=None,
    preferred_element_type: DTypeLike | None = None,
    out_sharding=None,
) -> jax.Array:
    """``jax.lax.conv_general_dilated`` on nhwc's CPU kernels, with its arguments and its mistakes.

    Where the layouts are ``("NHWC", "OHWI", "NHWC")``, or those of 1 or 3 axes, arrays are read and written in place;
    weights as HWIO are copied by nhwc's threads, and for other layouts XLA transposes.

    Args:
        lhs (array): the input; float16, bfloat16, float32 or float64, on the CPU. 1 to 3 spatial axes.
        rhs (array): the weights, of the same dtype.
        window_strides (sequence): step between outputs, per spatial axis.
        padding (str | sequence): ``"SAME"``, ``"SAME_LOWER"``, ``"VALID"``, or one ``(low, high)`` per spatial axis, of
            the dilated input; negative values crop it.
        lhs_dilation (sequence, optional): step between the input's elements, with zeros between. Default: ``None``, 1.
        rhs_dilation (sequence, optional): step between the kernel's taps. Default: ``None``, 1.
        dimension_numbers (optional): as ``jax.lax.conv_dimension_numbers`` takes them. Default: ``None``, channels
            before sizes everywhere.
        feature_group_count (int): the channels are split into this many independent convolutions. Default: ``1``.
        batch_group_count (int): the batch is split into this many, each with its own outputs. Default: ``1``.
        precision (optional): ``Precision.HIGHEST`` excludes algorithms that transform, or take subnormal bfloat16 for
            zero; all others are the same. Default: ``None``.
        preferred_element_type (DTypeLike, optional): the result's, floating; what is wider is computed so. Default:
            ``None``, that of lhs.
        out_sharding (optional): refused. Default: ``None``.

    Returns:
        jax.Array: laid out as ``dimension_numbers`` says; each size out = (lhs_dilation * (in - 1) + 1 + low + high -
        rhs_dilation * (K - 1) - 1) // stride + 1, at least 0.

    Raises:
        TypeError: no arrays, dtypes that do not fit.
        ValueError: shapes and values that do not fit, 0 or more than 3 spatial axes, an ``out_sharding``.

    Example:
        >>> x, w = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
        >>> conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")).shape
        (1, 4, 4, 4)
    """
    x, w = floating(_WHO, dict(lhs=lhs, rhs=rhs))
    if out_sharding is not None:
        raise ValueError(f"[{_WHO}] got out_sharding={out_sharding}; nhwc computes on one device: leave it None")
    asked = [window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers]
    p, (of_x, of_w, of_y), dtype = _problem(
        x.shape, w.shape, x.dtype, *map(_hashable, asked), feature_group_count, batch_group_count=batch_group_count,
        precision=_hashable(precision), preferred_element_type=preferred_element_type,
    )  # fmt: skip
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"[{_WHO}] got preferred_element_type={dtype}; expected a floating one")
    given = precision if isinstance(precision, (list, tuple)) else (precision,)
    p = p._replace(highest_precision=any(one in _HIGHEST for one in given))
    x, w = (a.astype(jnp.promote_types(a.dtype, dtype)).transpose(order) for a, order in ((x, of_x), (w, of_w)))
    if batch_group_count > 1:  # as many groups of channels
        x = x.reshape(batch_group_count, -1, *x.shape[1:])
        x = jnp.moveaxis(x, 0, -2).reshape(*x.shape[1:-1], -1)
        p = p._replace(groups=batch_group_count, c_in=x.shape[-1])
    y = _ops.conv(p, None, x, w).astype(dtype)
    return y.transpose(sorted(range(y.ndim), key=lambda axis: of_y[axis]))
