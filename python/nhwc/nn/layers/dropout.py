# python/nhwc/nn/layers/dropout.py -- Dropout, Dropout2d, Dropout3d
"""Dropout: in training mode some values become zero and the others are scaled up, so that the expectation stays."""

from __future__ import annotations

import nhwc as mx
from nhwc.nn.layers._arguments import check_rank, probability
from nhwc.nn.layers.base import Module


class Dropout(Module):
    """Each element is zero with probability ``p``, and otherwise multiplied with ``1 / (1 - p)``.

    Args:
        p (float): a probability in [0, 1). Default: ``0.5``.

    Raises:
        ValueError: ``p`` out of range.

    Example:
        >>> nn.Dropout(0.5).eval()(mx.ones((2,))).tolist()
        [1.0, 1.0]
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        self._p_1 = 1 - probability(p, type(self).__name__)

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"

    def _mask_shape(self, x: mx.array) -> tuple[int, ...]:
        return x.shape

    def __call__(self, x: mx.array) -> mx.array:
        shape = self._mask_shape(x)
        if self._p_1 == 1 or not self._training:
            return x
        return mx.random.bernoulli(self._p_1, shape) * x * (1 / self._p_1)


class Dropout2d(Dropout):
    """Each channel of each item is zero with probability ``p``, and otherwise multiplied with ``1 / (1 - p)``.

    Args:
        p (float): a probability in [0, 1). Default: ``0.5``.

    Raises:
        ValueError: ``p`` out of range; an input that is neither ``(N, H, W, C)`` nor ``(H, W, C)``.

    Example:
        >>> nn.Dropout2d(0.5)(mx.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def _mask_shape(self, x: mx.array) -> tuple[int, ...]:
        check_rank(x, (3, 4), "Dropout2d", "(N, H, W, C) or (H, W, C)")
        return (*x.shape[: x.ndim - 3], 1, 1, x.shape[-1])


class Dropout3d(Dropout):
    """Each channel of each item is zero with probability ``p``, and otherwise multiplied with ``1 / (1 - p)``.

    Args:
        p (float): a probability in [0, 1). Default: ``0.5``.

    Raises:
        ValueError: ``p`` out of range; an input that is neither ``(N, D, H, W, C)`` nor ``(D, H, W, C)``.

    Example:
        >>> nn.Dropout3d(0.5)(mx.ones((2, 4, 4, 4, 3))).shape
        (2, 4, 4, 4, 3)
    """

    def _mask_shape(self, x: mx.array) -> tuple[int, ...]:
        check_rank(x, (4, 5), "Dropout3d", "(N, D, H, W, C) or (D, H, W, C)")
        return (*x.shape[: x.ndim - 4], 1, 1, 1, x.shape[-1])
