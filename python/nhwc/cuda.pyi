# python/nhwc/cuda.pyi -- types of the submodule cuda, which lives in the extension module
from nhwc._core.cuda import *  # noqa: F403
