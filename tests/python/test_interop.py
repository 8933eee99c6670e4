# tests/python/test_interop.py -- memory shared with NumPy, DLPack libraries and the buffer protocol, both ways
import array as pyarray
import gc
import io
import subprocess
import sys
import weakref

import numpy as np
import pytest

import nhwc as mx
from strategies import FLOAT64

NUMPY_TYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
]


def address(a):
    return np.asarray(a).__array_interface__["data"][0]


def ours(name):
    return getattr(mx, "bool_" if name == "bool" else name)


@pytest.mark.parametrize("name", NUMPY_TYPES)
def test_numpy_round_trip(name):
    x = np.array([[0, 1, 2], [3, 4, 5]]).astype(name)
    a = mx.array(x, ours(name))
    assert a.dtype is ours(name)
    back = np.asarray(a)
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)
    assert not back.flags.writeable
    assert address(a) == address(a)
    alias = mx.asarray(x, copy=False)
    assert alias.dtype is ours(name)
    assert address(alias) == x.__array_interface__["data"][0]
    x[0, 0] = 1
    assert alias[0, 0].item() == 1
    assert a[0, 0].item() == 0


def test_float64_becomes_float32_unless_shared():
    x = np.ones(3)
    assert mx.array(x).dtype is mx.float32
    assert mx.asarray(x).dtype is mx.float32
    assert mx.array(x, mx.float64).dtype is mx.float64
    assert mx.asarray(x, copy=False).dtype is mx.float64
    assert mx.from_dlpack(x).dtype is mx.float64


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T,
        lambda x: x[::-1],
        lambda x: x[:, ::2],
        lambda x: x[::-1, ::-2],
        lambda x: np.broadcast_to(x[0], (5, 4)),
        lambda x: x[:, :0],
        lambda x: x[0, 0, ...],
        lambda x: np.asfortranarray(x),
    ],
)
def test_strided_memory(view):
    for name in ("int8", "float16", "float32", *(["float64"] if FLOAT64 else [])):
        x = view(np.arange(12).reshape(3, 4).astype(name))
        np.testing.assert_array_equal(np.asarray(mx.array(x)), x)
        alias = mx.asarray(x, copy=False)
        np.testing.assert_array_equal(np.asarray(alias), x)
        np.testing.assert_array_equal(np.asarray(alias + 0), x)
        assert alias.tolist() == x.tolist()


def test_memory_that_cannot_be_shared_is_copied():
    big = np.arange(3, dtype=">f4")
    assert mx.array(big).tolist() == [0, 1, 2]
    record = np.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i1"), ("b", "f4")])
    assert mx.array(record["b"]).tolist() == [2, 4]
    unaligned = np.frombuffer(b"\0" + np.arange(3, dtype=np.float32).tobytes(), np.float32, offset=1)
    assert mx.array(unaligned).tolist() == [0, 1, 2]
    for x in (big, record["b"], unaligned, [1.0], 1.0):
        with pytest.raises(ValueError, match="copy"):
            mx.asarray(x, copy=False)
        assert mx.asarray(x).tolist() == mx.array(x).tolist()
    with pytest.raises(ValueError, match="copy"):
        mx.asarray(np.ones(2, np.float32), mx.int32, copy=False)
    for bad in (record, np.array(["a"]), np.array([None]), np.ones(2, "M8[s]")):
        with pytest.raises(TypeError):
            mx.array(bad)


def test_array_method_honours_dtype_and_copy():
    a = mx.array([1.5, 2.5])
    assert np.asarray(a, np.float64).dtype == np.float64
    assert a.__array__(np.int32).tolist() == [1, 2]
    assert a.__array__().flags.writeable is False
    copied = a.__array__(copy=True)
    copied[0] = 9
    assert a.tolist() == [1.5, 2.5]
    with pytest.raises(ValueError, match="copy"):
        a.__array__(np.float64, copy=False)
    changed = np.array(a)
    changed[0] = 9
    assert a.tolist() == [1.5, 2.5]


def test_exports_do_not_copy():
    a = mx.array(np.arange(6, dtype=np.float32)) + 1
    v = memoryview(a)
    assert (v.format, v.itemsize, v.readonly, v.shape, v.strides) == ("f", 4, True, (6,), (4,))
    assert address(a) == np.asarray(v).__array_interface__["data"][0]
    view = np.asarray(a.reshape(2, 3).T[::-1])
    assert view.strides == (-4, 12)
    assert view.tolist() == [[3, 6], [2, 5], [1, 4]]
    assert np.asarray(mx.array(3)).shape == ()
    assert np.asarray(mx.array([])).shape == (0,)
    keep = np.asarray(a)
    del a, v
    gc.collect()
    assert keep.tolist() == [1, 2, 3, 4, 5, 6]


def test_buffers_that_need_an_order():
    a = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert bytes(a) == np.asarray(a).tobytes()
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(b"").readinto(a.T)


def test_writable_export():
    a = mx.array([1.0, 2.0])
    assert io.BytesIO(np.float32(5).tobytes()).readinto(a) == 4
    assert a.tolist() == [5, 2]
    lent = mx.asarray(np.ones(2, np.float32), copy=False)
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(b"12345678").readinto(lent)
    assert memoryview(a).readonly


def test_other_buffers():
    assert mx.array(pyarray.array("d", [1.5, 2.5]), mx.float64).tolist() == [1.5, 2.5]
    assert mx.array(memoryview(b"abc")).tolist() == [97, 98, 99]
    source = bytearray(b"abc")
    a = mx.asarray(source, copy=False)
    source[0] = 0
    assert a.tolist() == [0, 98, 99]
    with pytest.raises(BufferError):
        source.append(1)
    del a
    source.append(1)


def test_dlpack_with_numpy():
    x = np.arange(6, dtype=np.int16).reshape(2, 3)
    a = mx.from_dlpack(x.T)
    assert a.tolist() == x.T.tolist()
    assert address(a) == x.__array_interface__["data"][0]
    back = np.from_dlpack(a)
    assert address(a) == back.__array_interface__["data"][0]
    assert not back.flags.writeable
    assert mx.from_dlpack(x, copy=True).tolist() == x.tolist()
    assert address(mx.from_dlpack(x, copy=True)) != x.__array_interface__["data"][0]
    assert np.from_dlpack(a, copy=True).flags.writeable
    assert a.__dlpack_device__() == (1, 0)


def test_dlpack_with_itself():
    for t in (mx.bfloat16, mx.bool_, mx.float64):
        a = mx.array([[0, 1], [1, 0]], t)
        b = mx.from_dlpack(a)
        assert b.dtype is t
        assert b.tolist() == a.tolist()


def test_dlpack_errors():
    a = mx.array([1.0])
    capsule = a.__dlpack__()
    assert mx.from_dlpack(capsule).tolist() == [1]
    with pytest.raises(TypeError, match="unused"):
        mx.from_dlpack(capsule)
    with pytest.raises(TypeError, match="__dlpack__"):
        mx.from_dlpack([1])
    with pytest.raises(BufferError, match=r"\(1, 0\)"):
        a.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="complex"):
        mx.from_dlpack(np.ones(2, np.complex64))


def test_dropped_capsules_free_their_arrays():
    mx.clear_cache()
    before = mx.get_active_memory()
    a = mx.zeros((1000,)) + 1
    mx.eval(a)
    capsules = [a.__dlpack__(), a.__dlpack__(max_version=(1, 0)), memoryview(a)]
    del a
    assert mx.get_active_memory() >= before + 4000
    del capsules
    gc.collect()
    assert mx.get_active_memory() == before


def test_owners_live_as_long_as_their_memory():
    class Owner(bytearray):
        pass

    source = Owner(b"abcd")
    alive = weakref.ref(source)
    a = mx.asarray(source, copy=False)
    part = a[1:]
    mx.eval(part)
    del source, a
    gc.collect()
    assert alive() is not None
    assert part.tolist() == [98, 99, 100]
    del part
    gc.collect()
    assert alive() is None


def test_owners_outlive_nothing_at_exit():
    program = (
        "import numpy as np, nhwc as mx\n"
        "a = mx.asarray(np.ones(3, np.float32), copy=False)\n"
        "b = a + 1\n"
        "print(b.tolist())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("[2.0, 2.0, 2.0]", "")


def test_bfloat16_with_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = mx.array([1.5, 2.5], mx.bfloat16)
    x = np.asarray(a)
    assert x.dtype == ml_dtypes.bfloat16
    assert x.tolist() == [1.5, 2.5]
    assert not x.flags.writeable
    b = mx.array(x)
    assert b.dtype is mx.bfloat16
    assert b.tolist() == [1.5, 2.5]
    assert mx.array(np.ones((2, 3), ml_dtypes.bfloat16)[:, ::2]).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(BufferError, match="ml_dtypes"):
        memoryview(a)


def test_objects_that_only_have_array():
    class Image:
        def __array__(self, dtype=None, copy=None):
            return np.arange(3, dtype=np.uint8)

    assert mx.array(Image()).tolist() == [0, 1, 2]
    assert (mx.array([1, 1, 1]) + Image()).tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool"])
def test_torch(name):
    torch = pytest.importorskip("torch")
    t = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(getattr(torch, name))
    a = mx.from_dlpack(t.T)
    assert a.dtype is ours(name)
    assert a.tolist() == t.T.tolist()
    t[0, 0] = 1
    assert a[0, 0].item() == 1
    copied = mx.array(t)
    assert copied.dtype is (mx.float32 if name == "float64" else ours(name))
    assert copied.tolist() == t.tolist()
    b = a + a if name != "bool" else a
    back = torch.from_dlpack(b)
    assert back.dtype == t.dtype
    assert back.tolist() == b.tolist()
    assert back.data_ptr() == torch.from_dlpack(b).data_ptr()
    with pytest.raises(Exception, match="grad"):
        mx.array(torch.ones(2, requires_grad=True))


@pytest.mark.parametrize("name", ["bfloat16", "float32", "int32", "bool"])
def test_jax(name):
    jax = pytest.importorskip("jax")
    x = jax.numpy.array([[0, 1], [1, 0]], dtype=name)
    a = mx.array(x)
    assert a.dtype is ours(name)
    assert a.tolist() == x.tolist()
    assert mx.asarray(x, copy=False).tolist() == x.tolist()
    back = jax.dlpack.from_dlpack(a)
    assert back.tolist() == a.tolist()


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "int32", "uint8", "bool_"])
def test_mlx(name):
    core = pytest.importorskip("mlx.core")
    x = core.array([[0, 1], [1, 0]]).astype(getattr(core, name))
    a = mx.array(x)
    assert a.dtype is getattr(mx, name)
    assert a.tolist() == x.tolist()
    back = core.array(a)
    assert back.dtype == getattr(core, name)
    assert back.tolist() == a.tolist()
