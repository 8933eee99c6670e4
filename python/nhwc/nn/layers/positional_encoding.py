# python/nhwc/nn/layers/positional_encoding.py -- RoPE, SinusoidalPositionalEncoding, ALiBi
"""Ways to tell a network where in a sequence a value stands."""

from __future__ import annotations

import functools
import math

import numpy as np

import nhwc as mx
from nhwc.nn.layers._arguments import count
from nhwc.nn.layers.base import Module


def _even(dims: int, layer: str) -> int:
    if count(dims, layer, "dims", 2) % 2:
        raise ValueError(f"[{layer}] dims must be even, got {dims}")
    return dims


class RoPE(Module):
    """Rotary positional encoding (Su et al., 2021): pairs of features, turned by an angle that grows with the position.

    Args:
        dims (int): how many features are turned, an even number; others stay.
        traditional (bool): whether neighbours make a pair; otherwise features ``dims / 2`` apart do.
            Default: ``False``.
        base (float): pair ``i`` turns by ``base ** (-2 * i / dims)`` a position. Default: ``10000``.
        scale (float): factor of positions. Default: ``1.0``.

    Raises:
        ValueError: an odd ``dims``; an input ``(..., L, D)`` with fewer features, offsets that do not fit it.

    The call takes the input and, optionally, the first position, ``offset``: a number, or an array ``(N,)`` of one for
    each item of an input ``(N, ..., L, D)``.

    Example:
        >>> nn.RoPE(8)(mx.ones((1, 2, 5, 16)), offset=3).shape
        (1, 2, 5, 16)
    """

    def __init__(self, dims: int, traditional: bool = False, base: float = 10000, scale: float = 1.0):
        super().__init__()
        self.dims = _even(dims, "RoPE")
        self.traditional = traditional
        self.base = base
        self.scale = scale

    def _extra_repr(self) -> str:
        return f"{self.dims}, traditional={self.traditional}"

    def __call__(self, x: mx.array, offset: int | mx.array = 0) -> mx.array:
        return mx.fast.rope(x, self.dims, traditional=self.traditional, base=self.base, scale=self.scale, offset=offset)


class SinusoidalPositionalEncoding(Module):
    """Sines and cosines of positions at frequencies that are evenly spread in logarithm (Vaswani et al., 2017).

    Args:
        dims (int): number of features, even: half are sines, half cosines.
        min_freq (float): the lowest frequency. Default: ``0.0001``.
        max_freq (float): the highest. Default: ``1``.
        scale (float, optional): factor of the result. Default: ``sqrt(2 / dims)``.
        cos_first (bool): whether cosines come before sines. Default: ``False``.
        full_turns (bool): whether frequencies count turns instead of radians. Default: ``False``.

    Raises:
        ValueError: an odd ``dims``, frequencies that are not positive.

    The call takes positions of any shape and adds an axis at the end.

    Example:
        >>> nn.SinusoidalPositionalEncoding(8)(mx.arange(5)).shape
        (5, 8)
    """

    def __init__(
        self,
        dims: int,
        min_freq: float = 0.0001,
        max_freq: float = 1,
        scale: float | None = None,
        cos_first: bool = False,
        full_turns: bool = False,
    ):
        super().__init__()
        half = _even(dims, "SinusoidalPositionalEncoding") // 2
        if min_freq <= 0 or max_freq <= 0:
            raise ValueError(
                f"[SinusoidalPositionalEncoding] frequencies must be positive, got {min_freq} and {max_freq}"
            )
        places = 1 - mx.arange(half) / max(half - 1, 1)
        frequencies = mx.exp(places * (math.log(max_freq) - math.log(min_freq)) + math.log(min_freq))
        self._sigmas = frequencies * (2 * math.pi) if full_turns else frequencies
        self.scale = scale if scale is not None else math.sqrt(2 / dims)
        self.cos_first = cos_first

    def __call__(self, x: mx.array) -> mx.array:
        angles = x[..., None] * self._sigmas
        parts = [mx.sin(angles), mx.cos(angles)]
        y = mx.concatenate(parts[::-1] if self.cos_first else parts, axis=-1)
        return y if self.scale == 1 else y * self.scale


@functools.lru_cache(maxsize=64)
def _slopes(heads: int) -> list[float]:
    """``2 ** (-8 * i / heads)``; other numbers than powers of two take some of the next power's between them."""
    power = 2 ** int(math.log2(heads))
    first = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    return first if power == heads else first + _slopes(2 * power)[0::2][: heads - power]


class ALiBi(Module):
    """Attention with linear biases (Press et al., 2021): scores fall with the distance, at a slope for each head.

    The call takes scores ``(N, heads, L, M)``, the position of the first query, ``offset``, and a mask that is added.

    Example:
        >>> nn.ALiBi()(mx.zeros((1, 2, 3, 3)))[0, 0, 0].tolist()
        [0.0, -0.0625, -0.125]
    """

    @staticmethod
    def create_alibi_matrix(
        q_sequence_length: int,
        k_sequence_length: int,
        num_heads: int,
        offset: int = 0,
        dtype: mx.Dtype = mx.float32,
    ) -> mx.array:
        """The biases of queries from ``offset`` on: ``(1, num_heads, q_sequence_length - offset, k_sequence_length)``.

        Positions are counted from the first key's; ``q_sequence_length`` is where the queries end.
        """
        queries, keys = np.arange(offset, q_sequence_length), np.arange(k_sequence_length)
        distance = mx.array(-np.abs(queries[:, None] - keys)[None, None], dtype)
        return distance * ALiBi.create_alibi_slope(num_heads, dtype)

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """The slopes, ``(num_heads, 1, 1)``."""
        return mx.array(_slopes(count(num_heads, "ALiBi", "num_heads")), dtype).reshape(-1, 1, 1)

    def __call__(self, attention_scores: mx.array, offset: int = 0, mask: mx.array | None = None) -> mx.array:
        heads, queries, keys = attention_scores.shape[-3:]
        biases = ALiBi.create_alibi_matrix(queries + offset, keys, heads, offset, attention_scores.dtype)
        return attention_scores + (biases if mask is None else biases + mask)
