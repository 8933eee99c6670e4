# python/nhwc/random.pyi -- types of the submodule random, which lives in the extension module
from nhwc._core.random import *  # noqa: F403
