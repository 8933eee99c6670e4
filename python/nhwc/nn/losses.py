# python/nhwc/nn/losses.py -- loss functions
"""Loss functions. ``reduction`` is ``"none"``, ``"mean"`` or ``"sum"``: what is made of the losses of all items."""

from __future__ import annotations

import math

import nhwc as mx

_REDUCTIONS = {"none": lambda loss: loss, "mean": mx.mean, "sum": mx.sum}


def _reduced(loss: mx.array, reduction: str, who: str) -> mx.array:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"[{who}] reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return _REDUCTIONS[reduction](loss)


def _check_same_shape(who: str, **arrays: mx.array) -> None:
    if len({a.shape for a in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ValueError(f"[{who}] expected arrays of the same shape, got {shapes}")


def _weighted(loss: mx.array, weights: mx.array | None, who: str) -> mx.array:
    if weights is None:
        return loss
    if weights.shape != loss.shape:
        raise ValueError(f"[{who}] weights must have the shape of the losses, {loss.shape}, got {weights.shape}")
    return loss * weights


def _at(scores: mx.array, indices: mx.array, axis: int, who: str) -> mx.array:
    """The scores at indices along an axis, which is gone then."""
    expected = list(scores.shape)
    del expected[axis]
    if indices.shape != tuple(expected):
        raise ValueError(
            f"[{who}] targets must be indices of shape {tuple(expected)}, or have the shape {scores.shape}, "
            f"got {indices.shape}"
        )
    if not mx.issubdtype(indices.dtype, mx.integer):
        raise ValueError(f"[{who}] targets of shape {indices.shape} must be integers, got {indices.dtype}")
    return mx.take_along_axis(scores, mx.expand_dims(indices, axis), axis).squeeze(axis)


def cross_entropy(
    logits: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    axis: int = -1,
    label_smoothing: float = 0.0,
    reduction: str = "none",
) -> mx.array:
    """``-log(softmax(logits))`` at the right class.

    Args:
        logits (array): scores of the classes along ``axis``, not normalized.
        targets (array): indices of classes, of the shape of ``logits`` without ``axis``; or probabilities, of the shape
            of ``logits``.
        weights (array, optional): factors of the losses, of their shape. Default: ``None``.
        axis (int): the axis of the classes. Default: ``-1``.
        label_smoothing (float): how much of the targets is spread evenly over all classes, in [0, 1). Default: ``0``.
        reduction (str): Default: ``"none"``; ``"mean"`` divides by the number of losses, not by the sum of weights.

    Returns:
        array: a scalar, or the losses, of the shape of ``logits`` without ``axis``.

    Raises:
        ValueError: shapes that do not fit, smoothing out of range, an unknown reduction.

    Example:
        >>> nn.losses.cross_entropy(mx.array([[0.0, 0.0]]), mx.array([1])).item()
        0.6931471824645996
    """
    who = "cross_entropy"
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"[{who}] label_smoothing must be in [0, 1), got {label_smoothing}")
    if targets.ndim == logits.ndim:
        _check_same_shape(who, logits=logits, targets=targets)
        if label_smoothing:
            targets = (1 - label_smoothing) * targets + label_smoothing / logits.shape[axis]
        loss = mx.sum(targets * (mx.logsumexp(logits, axis=axis, keepdims=True) - logits), axis=axis)
    else:
        score = _at(logits, targets, axis, who)
        if label_smoothing:
            score = (1 - label_smoothing) * score + label_smoothing * mx.mean(logits, axis=axis)
        loss = mx.logsumexp(logits, axis=axis) - score
    return _reduced(_weighted(loss, weights, who), reduction, who)


def binary_cross_entropy(
    inputs: mx.array,
    targets: mx.array,
    weights: mx.array | None = None,
    with_logits: bool = True,
    reduction: str = "mean",
) -> mx.array:
    """``-targets * log(p) - (1 - targets) * log(1 - p)``.

    Args:
        inputs (array): ``p``, or its logits.
        targets (array): probabilities, of the shape of ``inputs``.
        weights (array, optional): factors of the losses, of their shape. Default: ``None``.
        with_logits (bool): whether ``inputs`` are logits, ``p = sigmoid(inputs)``; otherwise logarithms are kept above
            -100. Default: ``True``.
        reduction (str): Default: ``"mean"``.

    Returns:
        array: a scalar, or the losses.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.

    Example:
        >>> nn.losses.binary_cross_entropy(mx.array([0.0]), mx.array([1.0])).item()
        0.6931471824645996
    """
    who = "binary_cross_entropy"
    _check_same_shape(who, inputs=inputs, targets=targets)
    if with_logits:
        loss = mx.logaddexp(0.0, inputs) - inputs * targets
    else:
        yes, no = mx.maximum(mx.log(inputs), -100), mx.maximum(mx.log(1 - inputs), -100)
        loss = -(targets * yes + (1 - targets) * no)
    return _reduced(_weighted(loss, weights, who), reduction, who)


def l1_loss(predictions: mx.array, targets: mx.array, reduction: str = "mean") -> mx.array:
    """``abs(predictions - targets)``.

    Args:
        predictions (array): any shape.
        targets (array): the same shape.
        reduction (str): Default: ``"mean"``.

    Raises:
        ValueError: different shapes, an unknown reduction.

    Example:
        >>> nn.losses.l1_loss(mx.array([1.0, 2.0]), mx.array([1.0, 4.0])).item()
        1.0
    """
    _check_same_shape("l1_loss", predictions=predictions, targets=targets)
    return _reduced(mx.abs(predictions - targets), reduction, "l1_loss")


def mse_loss(predictions: mx.array, targets: mx.array, reduction: str = "mean") -> mx.array:
    """``(predictions - targets) ** 2``.

    Args:
        predictions (array): any shape.
        targets (array): the same shape.
        reduction (str): Default: ``"mean"``.

    Raises:
        ValueError: different shapes, an unknown reduction.

    Example:
        >>> nn.losses.mse_loss(mx.array([1.0, 2.0]), mx.array([1.0, 4.0])).item()
        2.0
    """
    _check_same_shape("mse_loss", predictions=predictions, targets=targets)
    return _reduced(mx.square(predictions - targets), reduction, "mse_loss")


def nll_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: str = "none") -> mx.array:
    """The negative logarithm of the probability of the right class.

    Args:
        inputs (array): logarithms of the probabilities of the classes along ``axis``.
        targets (array): indices of classes, of the shape of ``inputs`` without ``axis``.
        axis (int): the axis of the classes. Default: ``-1``.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.

    Example:
        >>> nn.losses.nll_loss(mx.array([[-1.0, -2.0]]), mx.array([1])).tolist()
        [2.0]
    """
    return _reduced(-_at(inputs, targets, axis, "nll_loss"), reduction, "nll_loss")


def gaussian_nll_loss(
    inputs: mx.array,
    targets: mx.array,
    vars: mx.array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> mx.array:
    """The negative logarithm of a normal density: ``(log(vars) + (targets - inputs) ** 2 / vars) / 2``.

    Args:
        inputs (array): the expected values.
        targets (array): the values, of the same shape.
        vars (array): the variances, of the same shape.
        full (bool): whether ``log(2 * pi) / 2`` is added. Default: ``False``.
        eps (float): variances are taken for at least this. Default: ``1e-6``.
        reduction (str): Default: ``"mean"``.

    Raises:
        ValueError: different shapes, an unknown reduction.

    Example:
        >>> nn.losses.gaussian_nll_loss(mx.array([1.0]), mx.array([3.0]), mx.array([1.0])).item()
        2.0
    """
    _check_same_shape("gaussian_nll_loss", inputs=inputs, targets=targets, vars=vars)
    vars = mx.maximum(vars, eps)
    loss = 0.5 * (mx.log(vars) + mx.square(targets - inputs) / vars)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction, "gaussian_nll_loss")


def kl_div_loss(inputs: mx.array, targets: mx.array, axis: int = -1, reduction: str = "none") -> mx.array:
    """The Kullback-Leibler divergence: the sum of ``exp(targets) * (targets - inputs)`` along an axis.

    Args:
        inputs (array): logarithms of the predicted probabilities.
        targets (array): logarithms of the true ones, of the same shape.
        axis (int): the axis of the distribution. Default: ``-1``.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: different shapes, an unknown reduction.

    Example:
        >>> nn.losses.kl_div_loss(mx.array([[-1.0, -1.0]]), mx.array([[0.0, -1.0]])).tolist()
        [1.0]
    """
    _check_same_shape("kl_div_loss", inputs=inputs, targets=targets)
    return _reduced(mx.sum(mx.exp(targets) * (targets - inputs), axis=axis), reduction, "kl_div_loss")


def smooth_l1_loss(predictions: mx.array, targets: mx.array, beta: float = 1.0, reduction: str = "mean") -> mx.array:
    """``d ** 2 / (2 * beta)`` for differences ``d`` below ``beta``, and ``abs(d) - beta / 2`` for others.

    Args:
        predictions (array): any shape.
        targets (array): the same shape.
        beta (float): where the parabola ends; 0 makes it :func:`l1_loss`. Default: ``1.0``.
        reduction (str): Default: ``"mean"``.

    Raises:
        ValueError: different shapes, a negative ``beta``, an unknown reduction.

    Example:
        >>> nn.losses.smooth_l1_loss(mx.array([0.5, 3.0]), mx.array([0.0, 0.0]), reduction="none").tolist()
        [0.125, 2.5]
    """
    _check_same_shape("smooth_l1_loss", predictions=predictions, targets=targets)
    if beta < 0:
        raise ValueError(f"[smooth_l1_loss] beta must not be negative, got {beta}")
    d = mx.abs(predictions - targets)
    loss = mx.where(d < beta, mx.square(d) * (0.5 / beta), d - 0.5 * beta) if beta else d
    return _reduced(loss, reduction, "smooth_l1_loss")


def huber_loss(inputs: mx.array, targets: mx.array, delta: float = 1.0, reduction: str = "none") -> mx.array:
    """``d ** 2 / 2`` for differences ``d`` up to ``delta``, and ``delta * (abs(d) - delta / 2)`` for others.

    Args:
        inputs (array): any shape.
        targets (array): a shape that broadcasts with it.
        delta (float): where the parabola ends. Default: ``1.0``.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.

    Example:
        >>> nn.losses.huber_loss(mx.array([0.5, 3.0]), mx.array([0.0, 0.0])).tolist()
        [0.125, 2.5]
    """
    d = mx.abs(inputs - targets)
    inner = mx.minimum(d, delta)
    return _reduced(0.5 * mx.square(inner) + delta * (d - inner), reduction, "huber_loss")


def log_cosh_loss(inputs: mx.array, targets: mx.array, reduction: str = "none") -> mx.array:
    """``log(cosh(inputs - targets))``.

    Args:
        inputs (array): any shape.
        targets (array): a shape that broadcasts with it.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.

    Example:
        >>> nn.losses.log_cosh_loss(mx.array([1.0, 0.0]), mx.array([1.0, 0.0])).tolist()
        [0.0, 0.0]
    """
    d = inputs - targets
    return _reduced(mx.logaddexp(d, -d) - math.log(2), reduction, "log_cosh_loss")


def hinge_loss(inputs: mx.array, targets: mx.array, reduction: str = "none") -> mx.array:
    """``max(0, 1 - inputs * targets)``.

    Args:
        inputs (array): scores.
        targets (array): -1 or 1, of a shape that broadcasts with it.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.

    Example:
        >>> nn.losses.hinge_loss(mx.array([0.5, 2.0]), mx.array([1.0, 1.0])).tolist()
        [0.5, 0.0]
    """
    return _reduced(mx.maximum(1 - inputs * targets, 0), reduction, "hinge_loss")


def triplet_loss(
    anchors: mx.array,
    positives: mx.array,
    negatives: mx.array,
    axis: int = -1,
    p: int = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
    reduction: str = "none",
) -> mx.array:
    """How much farther than the positives, less a margin, the negatives should be: ``max(d(anchors, positives) -
    d(anchors, negatives) + margin, 0)``, with ``d(a, b) = (sum(abs(a - b) ** p) + eps) ** (1 / p)``.

    Args:
        anchors (array): samples.
        positives (array): samples that should be near.
        negatives (array): samples that should be far.
        axis (int): the axis of a sample's values. Default: ``-1``.
        p (int): the power, at least 1. Default: ``2``.
        margin (float): Default: ``1.0``.
        eps (float): keeps the derivative of the root finite. Default: ``1e-6``.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: shapes that do not fit, ``p`` below 1, an unknown reduction.

    Example:
        >>> nn.losses.triplet_loss(mx.array([[0.0]]), mx.array([[1.0]]), mx.array([[1.5]])).round(3).tolist()
        [0.5]
    """
    if p < 1:
        raise ValueError(f"[triplet_loss] p must be at least 1, got {p}")

    def distance(other: mx.array) -> mx.array:
        if p == 2:
            return mx.sqrt(mx.sum(mx.square(anchors - other), axis=axis) + eps)
        return mx.power(mx.sum(mx.power(mx.abs(anchors - other), p), axis=axis) + eps, 1 / p)

    loss = mx.maximum(distance(positives) - distance(negatives) + margin, 0)
    return _reduced(loss, reduction, "triplet_loss")


def cosine_similarity_loss(
    x1: mx.array, x2: mx.array, axis: int = 1, eps: float = 1e-8, reduction: str = "none"
) -> mx.array:
    """The cosine of the angle between vectors: ``sum(x1 * x2) / max(norm(x1) * norm(x2), eps)``.

    Args:
        x1 (array): vectors along ``axis``.
        x2 (array): the same, of a shape that broadcasts with it.
        axis (int): Default: ``1``.
        eps (float): the least divisor. Default: ``1e-8``.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: shapes that do not fit, an unknown reduction.

    Example:
        >>> nn.losses.cosine_similarity_loss(mx.array([[1.0, 0.0]]), mx.array([[0.0, 2.0]])).tolist()
        [0.0]
    """
    norms = mx.linalg.norm(x1, axis=axis) * mx.linalg.norm(x2, axis=axis)
    loss = mx.sum(x1 * x2, axis=axis) / mx.maximum(norms, eps)
    return _reduced(loss, reduction, "cosine_similarity_loss")


def margin_ranking_loss(
    inputs1: mx.array, inputs2: mx.array, targets: mx.array, margin: float = 0.0, reduction: str = "none"
) -> mx.array:
    """``max(0, -targets * (inputs1 - inputs2) + margin)``.

    Args:
        inputs1 (array): scores.
        inputs2 (array): scores, of the same shape.
        targets (array): 1 where the first should be larger, else -1; of the same shape.
        margin (float): Default: ``0.0``.
        reduction (str): Default: ``"none"``.

    Raises:
        ValueError: different shapes, an unknown reduction.

    Example:
        >>> nn.losses.margin_ranking_loss(mx.array([1.0, 3.0]), mx.array([2.0, 2.0]), mx.array([1.0, 1.0])).tolist()
        [1.0, 0.0]
    """
    _check_same_shape("margin_ranking_loss", inputs1=inputs1, inputs2=inputs2, targets=targets)
    loss = mx.maximum(0, margin - targets * (inputs1 - inputs2))
    return _reduced(loss, reduction, "margin_ranking_loss")
