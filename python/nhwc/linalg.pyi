# python/nhwc/linalg.pyi -- types of the submodule linalg, which lives in the extension module
from nhwc._core.linalg import *  # noqa: F403
