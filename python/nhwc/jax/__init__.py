# python/nhwc/jax/__init__.py -- nhwc's convolutions for programs written for JAX
"""Convolutions of JAX's arrays, computed by nhwc's CPU kernels inside XLA's programs.

``conv1d`` to ``conv_general`` take the arguments of their namesakes in ``nhwc``, ``conv_general_dilated`` those of
``jax.lax``. They work under ``jit``, ``grad`` of any order and ``vmap``; XLA's buffers are read and written in place.
"""

try:
    import jax as _jax
except ImportError as error:
    raise ImportError('nhwc.jax needs JAX, which is not installed: pip install "nhwc[jax]"') from error

if _jax.__version_info__ < (0, 10):
    raise ImportError(f'nhwc.jax needs JAX 0.10 or newer, this is {_jax.__version__}: pip install "nhwc[jax]"')

from nhwc.jax._functional import (
    conv1d,
    conv2d,
    conv3d,
    conv_general,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from nhwc.jax._lax import conv_general_dilated

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_general",
    "conv_general_dilated",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]
