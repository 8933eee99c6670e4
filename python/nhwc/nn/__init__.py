# python/nhwc/nn/__init__.py -- neural networks: layers, losses, initializers, with the interface of mlx.nn
"""Neural networks: layers, activation functions, losses, initializers.

Use it as ``import nhwc.nn as nn``: names, arguments, parameters and their initial values are those of ``mlx.nn``.
Images are ``(N, H, W, C)``: channels are the last axis everywhere.
"""

from nhwc.nn import init, layers, losses, utils
from nhwc.nn.layers import *  # noqa: F403
from nhwc.nn.utils import average_gradients, value_and_grad

__all__ = [*layers.__all__, "average_gradients", "init", "layers", "losses", "utils", "value_and_grad"]
