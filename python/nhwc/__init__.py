# python/nhwc/__init__.py -- the package: everything of the extension module under its own name
"""Channels-last convolution with lazily evaluated arrays and automatic differentiation.

Use it as ``import nhwc as mx``: names, signatures and semantics are those of ``mlx.core``.
"""

import sys as _sys

from nhwc import _interpreter as _interpreter  # it may refuse

# isort: split
from nhwc import _core
from nhwc._core import *  # noqa: F403
from nhwc._core import __version__ as __version__
from nhwc._profile import Profile, profile
from nhwc._transforms import (
    checkpoint,
    compile,
    custom_function,
    explain,
    export_to_dot,
    grad,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)
from nhwc._tune import tune, tuning

# isort: split
import nhwc.fast as fast  # noqa: F401  in place of the extension's, which it holds
from nhwc import distributed as distributed  # built on the functions above; it imports no MPI yet

# `import nhwc.random` and `from nhwc.linalg import norm` find the extension's submodules.
for _name in ("random", "linalg", "metal", "cuda"):
    _sys.modules[f"{__name__}.{_name}"] = getattr(_core, _name)
del _name

__all__ = [_name for _name in dir(_core) if not _name.startswith("_")] + [
    "Profile",
    "checkpoint",
    "compile",
    "custom_function",
    "distributed",
    "explain",
    "export_to_dot",
    "grad",
    "jvp",
    "profile",
    "tune",
    "tuning",
    "value_and_grad",
    "vjp",
    "vmap",
]
