# python/nhwc/nn/layers/transformer.py -- attention, and the transformer's encoder and decoder made of it
"""Attention with several heads, and transformers (Vaswani et al., 2017) on sequences ``(N, L, D)``.

Masks are added to the scores ``(N, heads, L, M)``, or, where they are boolean, say which keys count; ``"causal"`` lets
a query see the keys up to its own position.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import nhwc as mx
from nhwc.nn.layers._arguments import count
from nhwc.nn.layers.activations import relu
from nhwc.nn.layers.base import Module
from nhwc.nn.layers.dropout import Dropout
from nhwc.nn.layers.linear import Linear
from nhwc.nn.layers.normalization import LayerNorm


class MultiHeadAttention(Module):
    """Sums of values, weighted by how well their keys fit the queries, in several heads.

    Args:
        dims (int): features of queries and keys after their projection, those of all heads together.
        num_heads (int): number of heads.
        query_input_dims (int, optional): features of the queries. Default: ``dims``.
        key_input_dims (int, optional): features of the keys. Default: ``dims``.
        value_input_dims (int, optional): features of the values. Default: those of the keys.
        value_dims (int, optional): features of the values after their projection. Default: ``dims``.
        value_output_dims (int, optional): features of the result. Default: ``dims``.
        bias (bool): whether projections have a bias. Default: ``False``.

    Raises:
        ValueError: ``num_heads`` does not divide ``dims`` and ``value_dims``.

    The call takes queries ``(N, L, ...)``, keys and values ``(N, M, ...)`` and, optionally, a mask; it returns ``(N, L,
    value_output_dims)``.

    Example:
        >>> x = mx.ones((2, 5, 8))
        >>> nn.MultiHeadAttention(8, 2)(x, x, x).shape
        (2, 5, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        query_input_dims: int | None = None,
        key_input_dims: int | None = None,
        value_input_dims: int | None = None,
        value_dims: int | None = None,
        value_output_dims: int | None = None,
        bias: bool = False,
    ):
        super().__init__()
        self.num_heads = count(num_heads, "MultiHeadAttention", "num_heads")
        key_inputs = key_input_dims or dims
        values = value_dims or dims
        for name, size in (("dims", dims), ("value_dims", values)):
            if size % num_heads:
                raise ValueError(f"[MultiHeadAttention] num_heads={num_heads} must divide {name}={size}")
        self.query_proj = Linear(query_input_dims or dims, dims, bias=bias)
        self.key_proj = Linear(key_inputs, dims, bias=bias)
        self.value_proj = Linear(value_input_dims or key_inputs, values, bias=bias)
        self.out_proj = Linear(values, value_output_dims or dims, bias=bias)

    def _heads(self, x: mx.array) -> mx.array:
        """(N, heads, L, features of a head)."""
        return x.reshape(*x.shape[:2], self.num_heads, -1).transpose(0, 2, 1, 3)

    def __call__(
        self, queries: mx.array, keys: mx.array, values: mx.array, mask: mx.array | str | None = None
    ) -> mx.array:
        q, k, v = self.query_proj(queries), self.key_proj(keys), self.value_proj(values)
        q, k, v = self._heads(q), self._heads(k), self._heads(v)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=math.sqrt(1 / q.shape[-1]), mask=mask)
        return self.out_proj(y.transpose(0, 2, 1, 3).reshape(*queries.shape[:2], -1))

    @staticmethod
    def create_additive_causal_mask(N: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """A mask ``(N, N)`` that is 0 up to the diagonal and the type's least number beyond it."""
        return mx.triu(mx.full((N, N), mx.finfo(dtype).min, dtype), k=1)


class TransformerLayer(Module):
    """What layers of encoders and decoders share: normalised parts whose results are added to their input.

    The parts are attentions, under the names of the class, and two linear layers with an activation between.
    """

    _attentions: tuple[str, ...]

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
    ):
        super().__init__()
        for name in self._attentions:
            self[name] = MultiHeadAttention(dims, num_heads)
        parts = range(1, len(self._attentions) + 2)
        for i in parts:
            self[f"ln{i}"] = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims or dims * 4)
        self.linear2 = Linear(mlp_dims or dims * 4, dims)
        for i in parts:
            self[f"dropout{i}"] = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def _added(self, x: mx.array, norm: Module, part: Callable[[mx.array], mx.array]) -> mx.array:
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def _mlp(self, dropout: Module) -> Callable[[mx.array], mx.array]:
        return lambda x: self.linear2(dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(TransformerLayer):
    """Attention of a sequence to itself, and two linear layers with an activation between.

    Args:
        dims (int): number of features.
        num_heads (int): number of heads.
        mlp_dims (int, optional): features between the linear layers. Default: ``4 * dims``.
        dropout (float): after the attention and after the activation. Default: ``0.0``.
        activation (callable): Default: ``relu``.
        norm_first (bool): whether the input of each part is normalised, or else the sum with its result.
            Default: ``True``.

    Example:
        >>> nn.TransformerEncoderLayer(8, 2)(mx.ones((1, 5, 8)), "causal").shape
        (1, 5, 8)
    """

    _attentions = ("attention",)

    def __call__(self, x: mx.array, mask: mx.array | str | None) -> mx.array:
        x = self._added(x, self.ln1, lambda y: self.dropout1(self.attention(y, y, y, mask)))
        return self._added(x, self.ln2, self._mlp(self.dropout2))


class TransformerDecoderLayer(TransformerLayer):
    """Attention of a sequence to itself and then to another, and two linear layers with an activation between.

    Args:
        dims (int): number of features.
        num_heads (int): number of heads.
        mlp_dims (int, optional): features between the linear layers. Default: ``4 * dims``.
        dropout (float): after each attention and after the activation. Default: ``0.0``.
        activation (callable): Default: ``relu``.
        norm_first (bool): as for :class:`TransformerEncoderLayer`. Default: ``True``.

    Example:
        >>> nn.TransformerDecoderLayer(8, 2)(mx.ones((1, 5, 8)), mx.ones((1, 3, 8)), "causal", None).shape
        (1, 5, 8)
    """

    _attentions = ("self_attention", "cross_attention")

    def __call__(
        self, x: mx.array, memory: mx.array, x_mask: mx.array | str | None, memory_mask: mx.array | str | None
    ) -> mx.array:
        x = self._added(x, self.ln1, lambda y: self.dropout1(self.self_attention(y, y, y, x_mask)))
        attend = self.cross_attention
        x = self._added(x, self.ln2, lambda y: self.dropout2(attend(y, memory, memory, memory_mask)))
        return self._added(x, self.ln3, self._mlp(self.dropout3))


class TransformerStack(Module):
    """What encoder and decoder share: layers one after the other, and a normalisation."""

    _layer: type[TransformerLayer]

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ):
        super().__init__()
        self.layers = [
            self._layer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(count(num_layers, type(self).__name__, "num_layers", 0))
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def _through(self, x: mx.array, *more: Any) -> mx.array:
        from nhwc.nn.utils import checkpoint  # which is made of layers

        for layer in self.layers:
            x = (checkpoint(layer) if self.checkpoint else layer)(x, *more)
        return self.ln(x)


class TransformerEncoder(TransformerStack):
    """Encoder layers, one after the other, and a normalisation.

    Args:
        num_layers (int): number of layers.
        dims (int): number of features.
        num_heads (int): number of heads.
        mlp_dims (int, optional): as for :class:`TransformerEncoderLayer`, as is what follows. Default: ``4 * dims``.
        dropout (float): Default: ``0.0``.
        activation (callable): Default: ``relu``.
        norm_first (bool): Default: ``True``.
        checkpoint (bool): whether gradients compute a layer's arrays again instead of keeping them. Default: ``False``.

    Example:
        >>> nn.TransformerEncoder(2, 8, 2)(mx.ones((1, 5, 8)), None).shape
        (1, 5, 8)
    """

    _layer = TransformerEncoderLayer

    def __call__(self, x: mx.array, mask: mx.array | str | None) -> mx.array:
        return self._through(x, mask)


class TransformerDecoder(TransformerStack):
    """Decoder layers, one after the other, and a normalisation.

    Args:
        num_layers (int): number of layers.
        dims (int): number of features.
        num_heads (int): number of heads.
        mlp_dims (int, optional): as for :class:`TransformerDecoderLayer`, as is what follows. Default: ``4 * dims``.
        dropout (float): Default: ``0.0``.
        activation (callable): Default: ``relu``.
        norm_first (bool): Default: ``True``.
        checkpoint (bool): whether gradients compute a layer's arrays again instead of keeping them. Default: ``False``.

    Example:
        >>> nn.TransformerDecoder(1, 8, 2)(mx.ones((1, 5, 8)), mx.ones((1, 3, 8)), None, None).shape
        (1, 5, 8)
    """

    _layer = TransformerDecoderLayer

    def __call__(
        self, x: mx.array, memory: mx.array, x_mask: mx.array | str | None, memory_mask: mx.array | str | None
    ) -> mx.array:
        return self._through(x, memory, x_mask, memory_mask)


class Transformer(Module):
    """An encoder, and a decoder that attends to what it gives.

    Args:
        dims (int): number of features. Default: ``512``.
        num_heads (int): number of heads. Default: ``8``.
        num_encoder_layers (int): Default: ``6``.
        num_decoder_layers (int): Default: ``6``.
        mlp_dims (int, optional): features between a layer's linear layers. Default: ``4 * dims``.
        dropout (float): Default: ``0.0``.
        activation (callable): Default: ``relu``.
        custom_encoder (Module, optional): in place of the encoder. Default: ``None``.
        custom_decoder (Module, optional): in place of the decoder. Default: ``None``.
        norm_first (bool): as for :class:`TransformerEncoderLayer`. Default: ``True``.
        checkpoint (bool): whether gradients compute a layer's arrays again instead of keeping them. Default: ``False``.

    Example:
        >>> model = nn.Transformer(8, 2, 1, 1)
        >>> model(mx.ones((1, 5, 8)), mx.ones((1, 3, 8)), None, "causal", None).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        dims: int = 512,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        norm_first: bool = True,
        checkpoint: bool = False,
    ):
        super().__init__()
        shared = (dims, num_heads, mlp_dims, dropout, activation, norm_first, checkpoint)
        self.encoder = custom_encoder if custom_encoder is not None else TransformerEncoder(num_encoder_layers, *shared)
        self.decoder = custom_decoder if custom_decoder is not None else TransformerDecoder(num_decoder_layers, *shared)

    def __call__(
        self,
        src: mx.array,
        tgt: mx.array,
        src_mask: mx.array | str | None,
        tgt_mask: mx.array | str | None,
        memory_mask: mx.array | str | None,
    ) -> mx.array:
        return self.decoder(tgt, self.encoder(src, src_mask), tgt_mask, memory_mask)
