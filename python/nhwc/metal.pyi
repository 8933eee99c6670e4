# python/nhwc/metal.pyi -- types of the submodule metal, which lives in the extension module
from nhwc._core.metal import *  # noqa: F403
