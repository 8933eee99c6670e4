# python/nhwc/torch/__init__.py -- nhwc's convolutions for programs written for torch
"""The convolutions of ``torch.nn.functional``, computed by nhwc's CPU kernels, on tensors of torch.

``patch(model)`` swaps the convolutions of a model; ``conv2d`` and the others take the arguments of their namesakes.
They are operators of torch (``torch.ops.nhwc``), so autograd, autocast and ``torch.compile`` know them. Tensors in
torch's ``channels_last`` memory format are read and returned where they lie.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError('nhwc.torch needs PyTorch, which is not installed: pip install "nhwc[torch]"') from error

from nhwc.torch._functional import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from nhwc.torch._modules import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    patch,
    unpatch,
)

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "patch",
    "unpatch",
]
