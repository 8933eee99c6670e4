# python/nhwc/fast.py -- normalisations of the extension module, attention, rotary encoding
"""What networks do in one call: normalisation along the last axis, attention, rotary positional encoding.

``layer_norm`` and ``rms_norm`` are the extension's; the others are made of operations, and differentiable like those.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import nhwc as mx
from nhwc._core.fast import layer_norm, rms_norm

__all__ = ["layer_norm", "metal_kernel", "rms_norm", "rope", "scaled_dot_product_attention"]


def _on(stream: Any) -> contextlib.AbstractContextManager:
    return contextlib.nullcontext() if stream is None else mx.stream(stream)


def _masked(scores: mx.array, mask: mx.array | str) -> mx.array:
    """Scores ``(B, heads, L, M)`` of which a mask leaves some out, or to which it adds."""
    if isinstance(mask, str):
        if mask != "causal":
            raise ValueError(f"[scaled_dot_product_attention] mask must be an array or 'causal', got {mask!r}")
        queries, keys = scores.shape[-2:]
        mask = mx.arange(keys) <= mx.arange(keys - queries, keys)[:, None]
    if mask.ndim > 4 or mx.result_type(mask, scores) != scores.dtype:
        raise ValueError(
            f"[scaled_dot_product_attention] the mask, {mask.shape} of {mask.dtype}, must broadcast to {scores.shape} "
            f"and promote to {scores.dtype}"
        )
    # The least number, not -inf: a query that sees no key gets the mean of the values.
    return mx.where(mask, scores, mx.finfo(scores.dtype).min) if mask.dtype == mx.bool_ else scores + mask


def _check_attention(q: mx.array, k: mx.array, v: mx.array, sinks: mx.array | None) -> None:
    shapes = f"{q.shape}, {k.shape} and {v.shape}"
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ValueError(f"[scaled_dot_product_attention] expected q, k and v of (B, heads, T, D), got {shapes}")
    if not mx.issubdtype(mx.result_type(q, k, v), mx.floating):
        raise ValueError(f"[scaled_dot_product_attention] expected a floating dtype, got {q.dtype}")
    if not (q.shape[0] == k.shape[0] == v.shape[0] and k.shape[1:3] == v.shape[1:3] and q.shape[3] == k.shape[3]):
        raise ValueError(
            "[scaled_dot_product_attention] q, k and v must have one batch, q and k one number of features, k and v as "
            f"many heads and positions, got {shapes}"
        )
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(
            f"[scaled_dot_product_attention] the {k.shape[1]} heads of k and v must divide the {q.shape[1]} of q"
        )
    if sinks is not None and sinks.shape != (q.shape[1],):
        raise ValueError(
            f"[scaled_dot_product_attention] expected sinks of ({q.shape[1]},), one a head, got {sinks.shape}"
        )


def scaled_dot_product_attention(
    q: mx.array,
    k: mx.array,
    v: mx.array,
    *,
    scale: float,
    mask: mx.array | str | None = None,
    sinks: mx.array | None = None,
    force_fused: bool = False,
    stream: Any = None,
) -> mx.array:
    """Sums of values, weighted by ``softmax(scale * q @ k.T)``; the weights are computed in float32 at least.

    Args:
        q (array): queries ``(B, heads, L, D)``.
        k, v (array): keys ``(B, heads of keys, M, D)`` and values ``(B, heads of keys, M, D_v)``; each of their heads
            serves as many of the queries, one after another.
        scale (float): factor of the scores, mostly ``D ** -0.5``.
        mask (array | str, optional): boolean, which keys count, or added to the scores; broadcasts to ``(B, heads, L,
            M)``. ``"causal"``: keys up to the query's own position, the last query's being the last key's.
        sinks (array, optional): ``(heads,)`` scores of one more key each, whose value is zero. Default: none.
        force_fused (bool): taken for MLX's programs; there is one way to compute it.
        stream (Device | Stream, optional): where it runs. Default: the default device's stream.

    Returns:
        array: ``(B, heads, L, D_v)``.

    Raises:
        ValueError: shapes that do not fit, a mask of another word.

    Example:
        >>> x = mx.ones((1, 2, 4, 8))
        >>> mx.fast.scaled_dot_product_attention(x, x, x, scale=8**-0.5).shape
        (1, 2, 4, 8)
    """
    with _on(stream):
        _check_attention(q, k, v, sinks)
        dtype = mx.result_type(q, k, v)
        q, k, v = q.astype(dtype) * scale, k.astype(dtype), v.astype(dtype)
        batch, heads, queries, _ = q.shape
        groups, keys = k.shape[1:3]
        shared = heads != groups  # then queries get an axis more, along which keys and values broadcast
        if shared:
            q = q.reshape(batch, groups, heads // groups, queries, -1)
            k, v = mx.expand_dims(k, 2), mx.expand_dims(v, 2)
        scores = (q @ k.swapaxes(-1, -2)).reshape(batch, heads, queries, keys)
        if mask is not None:
            scores = _masked(scores, mask)
        if sinks is not None:
            column = mx.broadcast_to(sinks.astype(dtype).reshape(-1, 1, 1), (batch, heads, queries, 1))
            scores = mx.concatenate([column, scores], axis=-1)
        weights = mx.softmax(scores, axis=-1, precise=True)
        if sinks is not None:
            weights = weights[..., 1:]
        if shared:
            weights = weights.reshape(batch, groups, heads // groups, queries, keys)
        return (weights @ v).reshape(batch, heads, queries, -1)


def rope(
    a: mx.array,
    dims: int,
    *,
    traditional: bool,
    base: float | None,
    scale: float,
    offset: int | mx.array,
    freqs: mx.array | None = None,
    stream: Any = None,
) -> mx.array:
    """Rotary positional encoding (Su et al., 2021): pairs of features, turned by an angle that grows with the position.

    Args:
        a (array): ``(..., L, D)``, floating.
        dims (int): how many features are turned, an even number; others stay.
        traditional (bool): whether neighbours make a pair; otherwise features ``dims / 2`` apart do.
        base (float, optional): pair ``i`` turns by ``base ** (-2 * i / dims)`` a position; or None, and ``freqs``.
        scale (float): factor of positions.
        offset (int | array): the first position; or ``(B,)`` of them, one for each item of ``a`` ``(B, ..., L, D)``.
        freqs (array, optional): ``(dims / 2,)`` positions that a pair takes for one radian.
        stream (Device | Stream, optional): where it runs. Default: the default device's stream.

    Returns:
        array: the shape and dtype of ``a``.

    Raises:
        ValueError: odd or too many ``dims``, both or neither of ``base`` and ``freqs``, shapes that do not fit.

    Example:
        >>> mx.fast.rope(mx.ones((1, 5, 8)), 8, traditional=False, base=1e4, scale=1, offset=0).shape
        (1, 5, 8)
    """
    half = dims // 2
    if a.ndim < 2 or a.shape[-1] < dims or dims % 2 or not mx.issubdtype(a.dtype, mx.floating):
        raise ValueError(
            f"[rope] expected a floating input (..., L, D) with D of dims={dims}, an even number, or more, got "
            f"{a.shape} of {a.dtype}"
        )
    if (base is None) == (freqs is None):
        raise ValueError("[rope] expected either base or freqs")
    if freqs is not None and freqs.shape != (half,):
        raise ValueError(f"[rope] expected freqs of ({half},), one a pair, got {freqs.shape}")
    if isinstance(offset, mx.array) and offset.size != 1 and (a.ndim < 3 or offset.shape != a.shape[:1]):
        raise ValueError(f"[rope] offsets of shape {offset.shape} do not fit an input of shape {a.shape}")
    with _on(stream):
        if isinstance(offset, mx.array):
            offset = offset.reshape(-1, *[1] * (a.ndim - 2)) if offset.size != 1 else offset.reshape(())
        rates = mx.exp(mx.arange(half) * (-math.log(base) / half)) if freqs is None else 1 / freqs
        positions = (mx.arange(a.shape[-2]) + offset) * scale
        angles = positions.astype(mx.float32)[..., None] * rates
        return _turned(a, dims, mx.cos(angles).astype(a.dtype), mx.sin(angles).astype(a.dtype), traditional)


def _turned(a: mx.array, dims: int, cos: mx.array, sin: mx.array, neighbours: bool) -> mx.array:
    """The first ``dims`` features as pairs, neighbours or half of ``dims`` apart, turned; the others as they are."""
    half = dims // 2
    if neighbours:
        pairs = a[..., :dims].reshape(*a.shape[:-1], half, 2)
        first, second = pairs[..., 0], pairs[..., 1]
        turned = mx.stack([first * cos - second * sin, first * sin + second * cos], axis=-1)
        parts = [turned.reshape(*a.shape[:-1], dims)]
    else:
        first, second = a[..., :half], a[..., half:dims]
        parts = [first * cos - second * sin, first * sin + second * cos]
    if a.shape[-1] > dims:
        parts.append(a[..., dims:])
    return mx.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def metal_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    atomic_outputs: bool = False,
    compile_options: Any = None,
) -> Callable:
    """A kernel of the caller's own, in Metal's language, which nhwc does not run: calling it raises.

    Programs define such kernels at import, and mostly have operations for machines without Metal. As in MLX on those,
    the definition passes, and the call is refused.

    Args:
        name (str): what the refusal names.
        input_names, output_names, source, header, ensure_row_contiguous, atomic_outputs, compile_options: not read.

    Returns:
        A function that raises RuntimeError.

    Example:
        >>> kernel = mx.fast.metal_kernel("add", ["a", "b"], ["c"], "c[0] = a[0] + b[0];")
        >>> kernel(inputs=[])
        Traceback (most recent call last):
        RuntimeError: [fast.metal_kernel] nhwc runs no kernels but its own: compute what 'add' does with operations
    """

    def refused(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"[fast.metal_kernel] nhwc runs no kernels but its own: compute what {name!r} does with operations"
        )

    return refused
