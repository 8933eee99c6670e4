# tests/python/test_io.py -- weight files: against NumPy and the safetensors package, and against damaged bytes
import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx

NUMPY_DTYPES = [np.bool_, np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64]
NUMPY_DTYPES += [np.float16, np.float32, np.float64]
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def numpy_arrays(draw):
    shape, dtype = draw(SHAPES), draw(st.sampled_from(NUMPY_DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    a = rng.integers(0, 100, shape).astype(dtype)
    return a.T if draw(st.booleans()) else a


def exact(a):
    """An nhwc array of the values and dtype of a NumPy one (float64 too)."""
    return mx.array(a, dtype=getattr(mx, "bool_" if a.dtype == np.bool_ else a.dtype.name))


def same(got, expected):
    assert str(got.dtype).split(".")[-1].rstrip("_") == expected.dtype.name
    assert got.shape == expected.shape
    np.testing.assert_array_equal(np.array(got), expected)


def saved(write, /, *args, **kwargs):
    f = io.BytesIO()
    write(f, *args, **kwargs)
    return f.getvalue()


def written(module, kind, file, a):
    """The array under the name `a`, or alone in an npy file."""
    if kind == "npy":
        module.save(file, a)
    elif kind == "npz":
        module.savez(file, a=a)
    else:
        module.save_safetensors(file, {"a": a})


def loaded(data, kind, **kwargs):
    return mx.load(io.BytesIO(data), format=kind, **kwargs)


# ---- npy


@given(numpy_arrays())
def test_npy_reads_what_numpy_writes(a):
    same(loaded(saved(np.save, a), "npy"), a)
    if a.dtype.itemsize > 1:
        same(loaded(saved(np.save, a.astype(a.dtype.newbyteorder(">"))), "npy"), a)


@given(numpy_arrays())
def test_numpy_reads_what_npy_writes(a):
    data = saved(mx.save, exact(a))
    back = np.load(io.BytesIO(data))
    assert (back.dtype, back.shape) == (a.dtype, a.shape)
    np.testing.assert_array_equal(back, a)
    assert (len(data) - a.nbytes) % 64 == 0


def test_npy_views_are_written_row_major():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    view = exact(a).transpose(2, 0, 1)[::-1, :, 1:]
    np.testing.assert_array_equal(np.load(io.BytesIO(saved(mx.save, view))), a.transpose(2, 0, 1)[::-1, :, 1:])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_versions(version):
    f = io.BytesIO()
    np.lib.format.write_array(f, np.arange(6.0), version=version)
    same(loaded(f.getvalue(), "npy"), np.arange(6.0))


def npy(header, data=b""):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
BAD_NPY = {
    "empty": b"",
    "magic": b"not numpy at all",
    "short header": npy(GOOD)[:30],
    "short data": npy(GOOD, b"1234567"),
    "data behind": npy(GOOD, b"123456789"),
    "text behind the header": npy(GOOD + "x", b"12345678"),
    "version": b"\x93NUMPY\x09\x00" + npy(GOOD, b"12345678")[8:],
    "huge size": npy(GOOD.replace("(2,)", "(4611686018427387904, 4)")),
    "huge size beside 0": npy(GOOD.replace("(2,)", "(0, 4611686018427387904, 4611686018427387904)")),
    "size beyond 64 bits": npy(GOOD.replace("(2,)", "(99999999999999999999,)")),
    "negative size": npy(GOOD.replace("(2,)", "(-2,)")),
    "no shape": npy("{'descr': '<f4', 'fortran_order': False}"),
    "key twice": npy(GOOD.replace("'shape'", "'shape': (2,), 'shape'"), b"1" * 16),
    "objects": npy(GOOD.replace("<f4", "|O")),
    "complex": npy(GOOD.replace("<f4", "<c8"), b"1" * 16),
    "structured": npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }"),
    "many axes": npy(GOOD.replace("(2,)", "(" + "1," * 100 + ")")),
    "order": npy(GOOD.replace("False", "Maybe")),
}


@pytest.mark.parametrize("name", BAD_NPY)
def test_bad_npy(name):
    with pytest.raises(ValueError, match=r"\[load\] the file"):
        loaded(BAD_NPY[name], "npy")


# ---- npz

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/\\"), min_size=1, max_size=8)
NAMED = st.dictionaries(NAMES, numpy_arrays(), max_size=4)


def as_dict(loaded_arrays, expected):
    assert loaded_arrays.keys() == expected.keys()
    for name, a in expected.items():
        same(loaded_arrays[name], a)


@given(NAMED, st.booleans())
def test_npz_round_trip_and_numpy(named, compressed):
    ours = mx.savez_compressed if compressed else mx.savez
    named.pop("file", None)  # the argument's own name, as in NumPy
    data = saved(ours, **{n: exact(a) for n, a in named.items()})
    as_dict(loaded(data, "npz"), named)
    with np.load(io.BytesIO(data)) as theirs:
        assert set(theirs.files) == set(named)
        for n, a in named.items():
            np.testing.assert_array_equal(theirs[n], a)
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_npz_reads_what_numpy_writes(write, rng):
    named = {
        "noise": rng.standard_normal((50, 70)).astype(np.float32),
        "zeros": np.zeros((300, 300), np.float64),
        "ramp": np.arange(100000, dtype=np.int32) // 7,
        "text": np.frombuffer(b"channels last, " * 3000, np.uint8),
        "empty": np.zeros((0, 3), np.int8),
    }
    as_dict(loaded(saved(write, **named), "npz"), named)


@given(st.binary(max_size=300), st.integers(1, 200), st.integers(0, 9))
def test_inflate_of_every_level(piece, times, level):
    a = np.frombuffer(piece * times, np.uint8)
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as z:
        z.writestr("a.npy", saved(np.save, a))
    same(loaded(f.getvalue(), "npz")["a"], a)


@given(st.binary(max_size=300), st.integers(1, 400))
def test_deflate_is_read_by_zlib(piece, times):
    a = np.frombuffer(piece * times, np.uint8)
    with np.load(io.BytesIO(saved(mx.savez_compressed, a=mx.array(a)))) as back:
        np.testing.assert_array_equal(back["a"], a)


def test_compression_compresses():
    a = mx.zeros((1000, 100))
    assert len(saved(mx.savez_compressed, a)) < a.nbytes / 20


def test_positional_names_and_clashes():
    data = loaded(saved(mx.savez, mx.array([1]), mx.array([2]), w=mx.array([3])), "npz")
    assert {k: v.tolist() for k, v in data.items()} == {"arr_0": [1], "arr_1": [2], "w": [3]}
    with pytest.raises(ValueError, match="arr_0"):
        mx.savez(io.BytesIO(), mx.array([1]), arr_0=mx.array([2]))


def test_the_same_arrays_give_the_same_file():
    assert saved(mx.savez, a=mx.arange(9)) == saved(mx.savez, a=mx.arange(9))


def zipped(entries):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w") as z:
        for name, data in entries:
            z.writestr(name, data)
    return f.getvalue()


def bad_npz():
    one = saved(np.save, np.arange(4))
    good = zipped([("a.npy", one)])
    yield "empty", b""
    yield "no zip", b"x" * 100
    yield "behind", good + b"x"
    yield "before", b"x" + good
    yield "checksum", good.replace(one[-8:], b"\0\1\2\3\4\5\6\7")
    yield "no npy", zipped([("a.npy", b"hello")])
    yield "local name", good.replace(b"a.npy", b"b.npy", 1)
    yield "encrypted", bytes(b | (i == good.index(b"PK\1\2") + 8) for i, b in enumerate(good))
    with pytest.warns(UserWarning, match="Duplicate"):
        yield "twice", zipped([("a.npy", one), ("a.npy", one)])
    # A second directory entry for the same bytes.
    at, end = good.index(b"PK\1\2"), good.index(b"PK\5\6")
    yield "overlap", good[:end] + good[at:end].replace(b"a.npy", b"a.npy") + good[end:]


@pytest.mark.parametrize(("name", "data"), [pytest.param(n, d, id=n) for n, d in bad_npz()])
def test_bad_npz(name, data):
    with pytest.raises(ValueError, match=r"\[load\] the file"):
        loaded(data, "npz")


def test_overlapping_entries_are_refused():
    one = saved(np.save, np.arange(4))
    good = zipped([("a.npy", one)])
    at, end = good.index(b"PK\1\2"), good.index(b"PK\5\6")
    tail = bytearray(good[end:])
    tail[8:12] = struct.pack("<HH", 2, 2)
    tail[12:16] = struct.pack("<I", 2 * (end - at))
    with pytest.raises(ValueError, match="inside another"):
        loaded(good[:end] + good[at:end] + bytes(tail), "npz")


def test_impossible_sizes_take_no_memory():
    data = zlib.compress(b"x" * 100, 9)[2:-4]
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a.npy", b"x" * 100)
    bad = f.getvalue().replace(struct.pack("<II", len(data), 100), struct.pack("<II", len(data), 2**31))
    with pytest.raises(ValueError, match="impossible"):
        loaded(bad, "npz")


# ---- safetensors

safetensors_numpy = pytest.importorskip("safetensors.numpy")


@given(
    NAMED,
    st.dictionaries(
        st.text(st.characters(blacklist_categories=["Cs"])),
        st.text(st.characters(blacklist_categories=["Cs"])),
        max_size=3,
    ),
)
def test_safetensors_round_trip(named, metadata):
    data = saved(mx.save_safetensors, {n: exact(a) for n, a in named.items()}, metadata)
    arrays, meta = loaded(data, "safetensors", return_metadata=True)
    as_dict(arrays, named)
    assert meta == metadata
    theirs = safetensors_numpy.load(data)
    assert theirs.keys() == named.keys()
    for n, a in named.items():
        assert theirs[n].dtype == a.dtype
        np.testing.assert_array_equal(theirs[n], a)


@given(NAMED)
def test_safetensors_reads_what_the_package_writes(named):
    named = {n: np.ascontiguousarray(a) if a.ndim else a for n, a in named.items()}
    as_dict(loaded(safetensors_numpy.save(named, {"format": "np"}), "safetensors"), named)


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_bfloat16(kind):
    a = mx.array([1.5, -2.0, 3.0], dtype=mx.bfloat16)
    f = io.BytesIO()
    written(mx, kind, f, a)
    back = loaded(f.getvalue(), kind)
    back = back if kind == "npy" else back["a"]
    assert back.dtype == mx.bfloat16
    assert back.tolist() == [1.5, -2.0, 3.0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool_"])
@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_mlx_reads_ours_and_we_read_its(kind, dtype, tmp_path):
    mlx = pytest.importorskip("mlx.core")
    for ours, theirs in ((mx, mlx), (mlx, mx)):
        path = str(tmp_path / f"w.{kind}")
        a = ours.array([1, 0, 3]).astype(getattr(ours, dtype))
        written(ours, kind, path, a)
        back = theirs.load(path)
        back = back if kind == "npy" else back["a"]
        assert back.dtype == getattr(theirs, dtype)
        assert back.tolist() == a.tolist()


def tensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape=(2,), begin=0, end=8, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


EIGHT = b"12345678"
BAD_SAFETENSORS = {
    "empty": b"",
    "short length": b"\1\0",
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "header beyond the file": struct.pack("<Q", 10) + b"{}",
    "no json": tensors(b"hello"),
    "list": tensors(b"[]"),
    "open": tensors(b'{"a":'),
    "behind the json": tensors(b"{} x"),
    "deep": tensors(b"[" * 100000),
    "deep objects": tensors(b'{"a":' * 100000),
    "data behind": tensors({"a": entry()}, EIGHT + b"x"),
    "short data": tensors({"a": entry()}, b"1234"),
    "overlap": tensors({"a": entry(), "b": entry()}, EIGHT),
    "hole": tensors({"a": entry(begin=4, end=12)}, EIGHT + b"1234"),
    "backwards": tensors({"a": entry(begin=8, end=0)}, EIGHT),
    "size": tensors({"a": entry(shape=(3,))}, EIGHT),
    "overflow": tensors({"a": entry(shape=(2**62, 8))}, EIGHT),
    "overflow beside 0": tensors({"a": entry(shape=(0, 2**62, 2**62), end=0)}),
    "beyond 64 bits": tensors({"a": entry(shape=(2**64 + 2,))}, EIGHT),
    "negative": tensors({"a": entry(shape=(-2,))}, EIGHT),
    "fraction": tensors({"a": entry(shape=(2.0,))}, EIGHT),
    "dtype": tensors({"a": entry(dtype="F8_E4M3", shape=(8,))}, EIGHT),
    "dtype is a number": tensors({"a": entry(dtype=3)}, EIGHT),
    "no dtype": tensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, EIGHT),
    "key": tensors({"a": entry(more=1)}, EIGHT),
    "three offsets": tensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]}}, EIGHT),
    "name twice": tensors(
        b'{"a":' + json.dumps(entry()).encode() + b',"a":' + json.dumps(entry(begin=8, end=16)).encode() + b"}",
        EIGHT * 2,
    ),
    "metadata": tensors({"__metadata__": {"a": 1}}),
    "metadata is a list": tensors({"__metadata__": []}),
    "surrogate": tensors(b'{"__metadata__": {"a": "\\ud800"}}'),
    "escape": tensors(b'{"__metadata__": {"a": "\\x"}}'),
    "control": tensors(b'{"__metadata__": {"a": "\n"}}'),
}


@pytest.mark.parametrize("name", BAD_SAFETENSORS)
def test_bad_safetensors(name):
    with pytest.raises(ValueError, match=r"\[load\] the file"):
        loaded(BAD_SAFETENSORS[name], "safetensors")


def test_names_keep_zero_bytes_and_escapes():
    named = {"a\0b": mx.array([1]), 'q"\\\n': mx.array([2]), "\U0001f600é": mx.array([3])}
    back = loaded(saved(mx.save_safetensors, named), "safetensors")
    assert {k: v.tolist() for k, v in back.items()} == {k: v.tolist() for k, v in named.items()}
    assert loaded(
        tensors(b'{"\\ud83d\\ude00":' + json.dumps(entry()).encode() + b"}", EIGHT), "safetensors"
    ).keys() == {"\U0001f600"}


def test_arrays_cannot_take_the_name_of_the_metadata():
    with pytest.raises(ValueError, match="__metadata__"):
        mx.save_safetensors(io.BytesIO(), {"__metadata__": mx.array([1])})


def test_bools_are_0_or_1():
    data = tensors({"a": entry("BOOL", (4,), 0, 4)}, b"\0\1\2\xff")
    a = loaded(data, "safetensors")["a"]
    assert a.astype(mx.int32).tolist() == [0, 1, 1, 1]


# ---- damaged bytes


def specimens():
    arrays = {
        "a": np.arange(12, dtype=np.float32).reshape(3, 4),
        "b": np.zeros(200, np.int8),
        "c": np.ones((), np.bool_),
    }
    return {
        "npy": [saved(np.save, arrays["a"]), saved(np.save, arrays["a"].T)],
        "npz": [
            saved(np.savez, **arrays),
            saved(np.savez_compressed, **arrays),
            saved(mx.savez_compressed, **{k: exact(v) for k, v in arrays.items()}),
        ],
        "safetensors": [safetensors_numpy.save(arrays, {"k": "v"})],
    }


@st.composite
def damaged(draw):
    kind = draw(st.sampled_from(["npy", "npz", "safetensors"]))
    data = bytearray(draw(st.sampled_from(specimens()[kind])))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = draw(st.binary(max_size=20))
            case _:
                data[at : at + 8] = struct.pack("<Q", draw(st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])))
    return kind, bytes(data)


@given(damaged())
def test_damaged_files_raise_or_load(case):
    kind, data = case
    try:
        out = loaded(data, kind)
    except ValueError:
        return
    for a in [out] if kind == "npy" else out.values():
        assert a.nbytes < 2**20
        mx.eval(a + a if a.dtype != mx.bool_ else a)


@given(st.sampled_from(["npy", "npz", "safetensors"]), st.binary(max_size=200))
def test_random_bytes(kind, data):
    with pytest.raises(ValueError, match=r"\[load\]"):
        loaded(data, kind)


# ---- files and arguments


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_paths_get_their_suffix(kind, tmp_path):
    a = mx.arange(5)
    write = {
        "npy": lambda f: mx.save(f, a),
        "npz": lambda f: mx.savez(f, a),
        "safetensors": lambda f: mx.save_safetensors(f, {"arr_0": a}),
    }[kind]
    for path in (tmp_path / "plain", str(tmp_path / f"named.{kind}"), str(tmp_path / "bytes").encode()):
        write(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"bytes.{kind}", f"named.{kind}", f"plain.{kind}"]
    for path in tmp_path.iterdir():
        back = mx.load(path)
        assert (back if kind == "npy" else back["arr_0"]).tolist() == [0, 1, 2, 3, 4]
    with open(tmp_path / f"plain.{kind}", "rb") as f:
        back = mx.load(f)
    assert (back if kind == "npy" else back["arr_0"]).tolist() == [0, 1, 2, 3, 4]


def test_writing_through_a_link_keeps_link_and_permissions(tmp_path):
    target, link = tmp_path / "target.npy", tmp_path / "link.npy"
    mx.save(target, mx.array([1]))
    target.chmod(0o600)
    link.symlink_to(target)
    mx.save(link, mx.array([2]))
    assert link.is_symlink()
    assert mx.load(target).tolist() == [2]
    assert target.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def test_errors_of_paths(tmp_path):
    with pytest.raises(ValueError, match=r"cannot open .*none\.npy"):
        mx.load(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="cannot write"):
        mx.save(tmp_path / "no" / "a.npy", mx.array([1]))
    (tmp_path / "d.npy").mkdir()
    with pytest.raises(ValueError, match=r"d\.npy"):
        mx.load(tmp_path / "d.npy")
    with pytest.raises(ValueError, match=r"d\.npy"):
        mx.save(tmp_path / "d.npy", mx.array([1]))
    with pytest.raises(ValueError, match="zero byte"):
        mx.load("a\0b.npy")
    with pytest.raises(ValueError, match="format"):
        mx.load(tmp_path / "a.bin")
    with pytest.raises(ValueError, match="metadata"):
        mx.load(tmp_path / "a.npy", return_metadata=True)
    with pytest.raises(TypeError, match="path"):
        mx.load(3)
    with pytest.raises(TypeError, match="binary"):
        mx.load(io.StringIO("text"), format="npy")


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    mx.save_safetensors(path, {"a": mx.array([1])})
    with pytest.raises(ValueError, match="__metadata__"):
        mx.save_safetensors(path, {"__metadata__": mx.array([1])})
    assert mx.load(path)["a"].tolist() == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
