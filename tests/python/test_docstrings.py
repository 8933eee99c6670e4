# tests/python/test_docstrings.py -- every public function explains itself, and its example runs
import doctest
import types

import numpy as np
import pytest

import nhwc as mx
from nhwc import nn, utils

MODULES = [mx, mx.random, mx.linalg, mx.fast, mx.metal, mx.cuda, mx.distributed]
MODULES += [nn, nn.losses, nn.init, nn.utils, utils]


def public_functions():
    for module in MODULES:
        prefix = "" if module is mx else module.__name__.removeprefix("nhwc.") + "."
        for name in sorted(dir(module)):
            value = getattr(module, name)
            if name.startswith("_") or isinstance(value, types.ModuleType) or not callable(value):
                continue
            if prefix.startswith(("fast.", "nn.", "utils.")) and not getattr(value, "__module__", "").startswith(
                "nhwc."
            ):
                continue  # what it imports
            marks = [pytest.mark.cpu_only("the example is of the CPU")] * (name in ("default_device", "tune"))
            yield pytest.param(prefix + name, value, id=prefix + name, marks=marks)


@pytest.mark.parametrize(("name", "value"), list(public_functions()))
def test_docstring(name, value):
    text = value.__doc__ or ""
    assert len(text.split()) >= 3, f"{name} has no docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    output = []
    test = doctest.DocTestParser().get_doctest(text, {**vars(utils), "mx": mx, "nn": nn, "np": np}, name, None, None)
    runner.run(test, out=output.append)
    assert runner.failures == 0, "".join(output)
