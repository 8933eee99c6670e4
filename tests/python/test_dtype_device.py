# tests/python/test_dtype_device.py -- dtypes and their limits, devices and streams
import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import nhwc as mx

DTYPES = [
    mx.bool_, mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64,
    mx.float16, mx.bfloat16, mx.float32, mx.float64,
]  # fmt: skip
NUMPY_DTYPES = [t for t in DTYPES if t is not mx.bfloat16]


def dtype_name(t):
    return repr(t).split(".")[-1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_pickles_to_itself(dtype):
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert copy.deepcopy(dtype) is dtype
    assert len({dtype, dtype}) == 1


@pytest.mark.cpu_only("the default device is another")
def test_streams():
    a = mx.array([1, 2])
    assert mx.default_device() == mx.cpu
    assert mx.default_device() != None  # noqa: E711
    assert mx.default_stream(mx.cpu) not in (None, mx.cpu, 0)
    assert repr(mx.default_device()) == "Device(cpu, 0)"
    assert repr(mx.default_stream(mx.cpu)) == "Stream(Device(cpu, 0), 0)"
    s = mx.new_stream(mx.cpu)
    assert s.device == mx.Device(mx.cpu, 0)
    with mx.stream(s):
        b = a + 1
    assert b.tolist() == [2, 3]
    assert not mx.cuda.is_available()
    with pytest.raises(TypeError):
        mx.new_stream("cpu")
    with pytest.raises(TypeError):
        a.sum(stream="cpu")


WITHOUT_GPU = """
import nhwc as mx
a = mx.ones(3)
for call in (
    lambda: a.sum(stream=mx.gpu),
    lambda: mx.exp(a, stream=mx.gpu),
    lambda: mx.set_default_device(mx.gpu),
    lambda: mx.new_stream(mx.gpu),
    lambda: mx.stream(mx.Device(mx.gpu)),
    lambda: mx.metal.start_capture("x.gputrace"),
    lambda: mx.metal.device_info(),
):
    try:
        call()
    except ValueError as e:
        print(e)
print(mx.metal.is_available(), a.tolist())
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a GPU")
def test_without_a_gpu_each_call_that_names_it_says_so():
    environment = {k: v for k, v in os.environ.items() if k != "NHWC_GPU_RUNTIME"}
    out = subprocess.run([sys.executable, "-c", WITHOUT_GPU], env=environment, capture_output=True, text=True)
    *messages, last = out.stdout.splitlines()
    assert len(messages) == 7
    assert all("gpu device is not available" in m and "use nhwc.cpu" in m for m in messages)
    assert last == "False [1.0, 1.0, 1.0]"


def test_dtype_facts():
    assert [t.size for t in DTYPES] == [1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8]
    assert repr(mx.float32) == "nhwc.float32"
    assert mx.issubdtype(mx.float16, mx.floating)
    assert mx.issubdtype(mx.uint8, mx.integer)
    assert not mx.issubdtype(mx.int8, mx.unsignedinteger)
    assert not mx.issubdtype(mx.float64, mx.float32)
    assert mx.issubdtype(mx.signedinteger, mx.number)
    assert mx.issubdtype(mx.bool_, mx.generic)
    assert not mx.issubdtype(mx.bool_, mx.number)
    for t in NUMPY_DTYPES:
        n = np.dtype(dtype_name(t))
        if n.kind == "f":
            ours, theirs = mx.finfo(t), np.finfo(n)
            assert (ours.min, ours.max, ours.eps) == (theirs.min, theirs.max, theirs.eps)
            assert ours.smallest_normal == theirs.smallest_normal
        elif n.kind in "iu":
            assert (mx.iinfo(t).min, mx.iinfo(t).max) == (np.iinfo(n).min, np.iinfo(n).max)
    with pytest.raises(ValueError, match="iinfo"):
        mx.finfo(mx.int32)
    with pytest.raises(ValueError, match="finfo"):
        mx.iinfo(mx.float32)
