# python/nhwc/fast.pyi -- types of the submodule fast, which lives in the extension module
from nhwc._core.fast import *  # noqa: F403
