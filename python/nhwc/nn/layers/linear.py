# python/nhwc/nn/layers/linear.py -- Linear, Bilinear, Embedding
"""Layers that multiply with a matrix or pick rows of one."""

from __future__ import annotations

import math

import nhwc as mx
from nhwc.nn.layers._arguments import check_last, count
from nhwc.nn.layers.base import Module


class Linear(Module):
    """An affine map of the last axis: ``x @ weight.T + bias``.

    Args:
        input_dims (int): size of the input's last axis.
        output_dims (int): size of the output's last axis.
        bias (bool): whether a bias is added. Default: ``True``.

    Raises:
        ValueError: sizes below 1.

    Weight ``(output_dims, input_dims)`` and bias ``(output_dims,)`` are uniform within ``+-1 / sqrt(input_dims)`` at
    first.

    Example:
        >>> nn.Linear(3, 5)(mx.ones((2, 4, 3))).shape
        (2, 4, 5)
    """

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True):
        super().__init__()
        inputs, outputs = count(input_dims, "Linear", "input_dims"), count(output_dims, "Linear", "output_dims")
        bound = math.sqrt(1 / inputs)
        self.weight = mx.random.uniform(-bound, bound, (outputs, inputs))
        if bias:
            self.bias = mx.random.uniform(-bound, bound, (outputs,))

    def _extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"input_dims={inputs}, output_dims={outputs}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        weight = self["weight"]
        if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
            check_last(x, weight.shape[1], "Linear", "input_dims")
        if "bias" in self:
            return mx.addmm(self["bias"], x, weight.T)
        return x @ weight.T


class Bilinear(Module):
    """A map of two inputs that is linear in each: ``y[k] = x1 @ weight[k].T @ x2 + bias[k]``.

    Args:
        input1_dims (int): size of the first input's last axis.
        input2_dims (int): size of the second input's last axis.
        output_dims (int): size of the output's last axis.
        bias (bool): whether a bias is added. Default: ``True``.

    Raises:
        ValueError: sizes below 1; inputs whose other axes differ.

    Weight ``(output_dims, input2_dims, input1_dims)`` and bias ``(output_dims,)`` are uniform within
    ``+-1 / sqrt(input1_dims)`` at first.

    Example:
        >>> nn.Bilinear(3, 4, 5)(mx.ones((2, 3)), mx.ones((2, 4))).shape
        (2, 5)
    """

    def __init__(self, input1_dims: int, input2_dims: int, output_dims: int, bias: bool = True):
        super().__init__()
        first = count(input1_dims, "Bilinear", "input1_dims")
        second, outputs = count(input2_dims, "Bilinear", "input2_dims"), count(output_dims, "Bilinear", "output_dims")
        bound = math.sqrt(1 / first)
        self.weight = mx.random.uniform(-bound, bound, (outputs, second, first))
        if bias:
            self.bias = mx.random.uniform(-bound, bound, (outputs,))

    def _extra_repr(self) -> str:
        outputs, second, first = self.weight.shape
        return f"input1_dims={first}, input2_dims={second}, output_dims={outputs}, bias={'bias' in self}"

    def __call__(self, x1: mx.array, x2: mx.array) -> mx.array:
        outputs, second, first = self.weight.shape
        check_last(x1, first, "Bilinear", "input1_dims")
        check_last(x2, second, "Bilinear", "input2_dims")
        if x1.shape[:-1] != x2.shape[:-1]:
            raise ValueError(f"[Bilinear] the inputs' first axes must be the same, got {x1.shape} and {x2.shape}")
        maps = (x1.reshape(-1, first) @ self.weight.reshape(-1, first).T).reshape(-1, outputs, second)
        y = (maps @ x2.reshape(-1, second, 1)).reshape(*x1.shape[:-1], outputs)
        return y + self.bias if "bias" in self else y


class Embedding(Module):
    """A table of vectors, picked by integers.

    Args:
        num_embeddings (int): number of vectors.
        dims (int): size of each.

    Raises:
        ValueError: sizes below 1.

    The weight ``(num_embeddings, dims)`` is normal with standard deviation ``1 / sqrt(dims)`` at first.

    Example:
        >>> nn.Embedding(10, 4)(mx.array([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, dims: int):
        super().__init__()
        shape = (count(num_embeddings, "Embedding", "num_embeddings"), count(dims, "Embedding", "dims"))
        self.weight = mx.random.normal(shape, scale=math.sqrt(1 / shape[1]))

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"

    def __call__(self, x: mx.array) -> mx.array:
        if not mx.issubdtype(x.dtype, mx.integer):
            raise ValueError(f"[Embedding] expected integers, got {x.dtype}")
        return self["weight"][x]

    def as_linear(self, x: mx.array) -> mx.array:
        """The products of the input's last axis, of size ``dims``, with all vectors: ``x @ weight.T``."""
        check_last(x, self.weight.shape[1], "Embedding.as_linear", "dims")
        return x @ self["weight"].T
