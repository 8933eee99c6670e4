# python/nhwc/nn/layers/recurrent.py -- RNN, LSTM, GRU
"""Recurrent layers on sequences ``(N, L, D)`` or ``(L, D)``; they return the states of all steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import nhwc as mx
from nhwc.nn.layers._arguments import check_last, check_rank, count
from nhwc.nn.layers.activations import tanh
from nhwc.nn.layers.base import Module


def _steps(x: mx.array, size: int, layer: str) -> int:
    check_rank(x, (2, 3), layer, "(N, L, D) or (L, D)")
    check_last(x, size, layer, "input_size")
    if x.shape[-2] == 0:
        raise ValueError(f"[{layer}] expected a sequence of one step or more, got {x.shape}")
    return x.shape[-2]


class Recurrent(Module):
    """What recurrent layers share: the size of their state and their initial parameters."""

    def _prepare(self, input_size: int, hidden_size: int) -> Callable[..., mx.array]:
        name = type(self).__name__
        count(input_size, name, "input_size")
        self.hidden_size = count(hidden_size, name, "hidden_size")
        bound = 1 / math.sqrt(hidden_size)
        return lambda *shape: mx.random.uniform(-bound, bound, shape)


class RNN(Recurrent):
    """A recurrent layer: ``h[t] = nonlinearity(x[t] @ Wxh.T + h[t - 1] @ Whh.T + bias)``.

    Args:
        input_size (int): ``D``.
        hidden_size (int): ``H``.
        bias (bool): whether there is a bias. Default: ``True``.
        nonlinearity (callable, optional): Default: ``tanh``.

    Raises:
        ValueError: sizes below 1; an input that does not fit.

    All parameters are uniform within ``+-1 / sqrt(H)`` at first. The call takes the input and, optionally, the state
    before it, ``(N, H)``, zero by default; it returns ``(N, L, H)``.

    Example:
        >>> nn.RNN(3, 5)(mx.ones((2, 7, 3))).shape
        (2, 7, 5)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Callable | None = None):
        super().__init__()
        if nonlinearity is not None and not callable(nonlinearity):
            raise ValueError(f"[RNN] nonlinearity must be a function, got {type(nonlinearity).__name__}")
        self.nonlinearity = nonlinearity or tanh
        uniform = self._prepare(input_size, hidden_size)
        self.Wxh = uniform(hidden_size, input_size)
        self.Whh = uniform(hidden_size, hidden_size)
        self.bias = uniform(hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return (
            f"input_dims={self.Wxh.shape[1]}, hidden_size={self.hidden_size}, nonlinearity={self.nonlinearity}, "
            f"bias={self.bias is not None}"
        )

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        steps = _steps(x, self.Wxh.shape[1], "RNN")
        x = x @ self.Wxh.T if self.bias is None else mx.addmm(self.bias, x, self.Wxh.T)
        recur, states = self.Whh.T, []
        for t in range(steps):
            now = x[..., t, :]
            hidden = self.nonlinearity(now if hidden is None else now + hidden @ recur)
            states.append(hidden)
        return mx.stack(states, axis=-2)


class LSTM(Recurrent):
    """A recurrent layer with gates and a cell.

    With ``i, f, g, o = split(x[t] @ Wx.T + h[t - 1] @ Wh.T + bias, 4)``, ``c[t] = sigmoid(f) * c[t - 1] + sigmoid(i) *
    tanh(g)`` and ``h[t] = sigmoid(o) * tanh(c[t])``.

    Args:
        input_size (int): ``D``.
        hidden_size (int): ``H``.
        bias (bool): whether there is a bias. Default: ``True``.

    Raises:
        ValueError: sizes below 1; an input that does not fit.

    All parameters are uniform within ``+-1 / sqrt(H)`` at first. The call takes the input and, optionally, state and
    cell before it, ``(N, H)``, zero by default; it returns states and cells, each ``(N, L, H)``.

    Example:
        >>> states, cells = nn.LSTM(3, 5)(mx.ones((2, 7, 3)))
        >>> states.shape, cells.shape
        ((2, 7, 5), (2, 7, 5))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        uniform = self._prepare(input_size, hidden_size)
        self.Wx = uniform(4 * hidden_size, input_size)
        self.Wh = uniform(4 * hidden_size, hidden_size)
        self.bias = uniform(4 * hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, bias={self.bias is not None}"

    def __call__(
        self, x: mx.array, hidden: mx.array | None = None, cell: mx.array | None = None
    ) -> tuple[mx.array, mx.array]:
        steps = _steps(x, self.Wx.shape[1], "LSTM")
        x = x @ self.Wx.T if self.bias is None else mx.addmm(self.bias, x, self.Wx.T)
        recur, states, cells = self.Wh.T, [], []
        for t in range(steps):
            gates = x[..., t, :]
            if hidden is not None:
                gates = gates + hidden @ recur
            i, f, g, o = mx.split(gates, 4, axis=-1)
            new = mx.sigmoid(i) * mx.tanh(g)
            cell = new if cell is None else mx.sigmoid(f) * cell + new
            hidden = mx.sigmoid(o) * mx.tanh(cell)
            states.append(hidden)
            cells.append(cell)
        return mx.stack(states, axis=-2), mx.stack(cells, axis=-2)


class GRU(Recurrent):
    """A recurrent layer with gates.

    With ``r, z = sigmoid(split(x[t] @ Wx[:2H].T + h[t - 1] @ Wh[:2H].T + b[:2H], 2))`` and ``n = tanh(x[t] @
    Wx[2H:].T + b[2H:] + r * (h[t - 1] @ Wh[2H:].T + bhn))``, ``h[t] = (1 - z) * n + z * h[t - 1]``.

    Args:
        input_size (int): ``D``.
        hidden_size (int): ``H``.
        bias (bool): whether there are biases. Default: ``True``.

    Raises:
        ValueError: sizes below 1; an input that does not fit.

    All parameters are uniform within ``+-1 / sqrt(H)`` at first. The call takes the input and, optionally, the state
    before it, ``(N, H)``, zero by default; it returns ``(N, L, H)``.

    Example:
        >>> nn.GRU(3, 5)(mx.ones((2, 7, 3))).shape
        (2, 7, 5)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        uniform = self._prepare(input_size, hidden_size)
        self.Wx = uniform(3 * hidden_size, input_size)
        self.Wh = uniform(3 * hidden_size, hidden_size)
        self.b = uniform(3 * hidden_size) if bias else None
        self.bhn = uniform(hidden_size) if bias else None

    def _extra_repr(self) -> str:
        return f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, bias={self.b is not None}"

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        steps, size = _steps(x, self.Wx.shape[1], "GRU"), self.hidden_size
        x = x @ self.Wx.T if self.b is None else mx.addmm(self.b, x, self.Wx.T)
        recur, states = self.Wh.T, []
        for t in range(steps):
            gates, n = x[..., t, : 2 * size], x[..., t, 2 * size :]
            of_old = self.bhn
            if hidden is not None:
                old = hidden @ recur
                gates, old = gates + old[..., : 2 * size], old[..., 2 * size :]
                of_old = old if of_old is None else old + of_old
            r, z = mx.split(mx.sigmoid(gates), 2, axis=-1)
            n = mx.tanh(n if of_old is None else n + r * of_old)
            hidden = (1 - z) * n if hidden is None else (1 - z) * n + z * hidden
            states.append(hidden)
        return mx.stack(states, axis=-2)
