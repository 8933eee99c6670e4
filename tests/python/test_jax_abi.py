# tests/python/test_jax_abi.py -- our declarations of XLA's C interface beside jaxlib's header; what handlers refuse
import ctypes
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from nhwc import _core  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "python" / "src"
pytestmark = pytest.mark.cpu_only("XLA's programs run on the CPU whatever the default device is")

# Ours and theirs: structs with their members, and values of enums.
STRUCTS = {
    "Extension XLA_FFI_Extension_Base": "struct_size kind=type next",
    "Version XLA_FFI_Api_Version": "struct_size extension=extension_start major_version minor_version",
    "ErrorCreateArgs XLA_FFI_Error_Create_Args": "struct_size extension=extension_start message code=errc",
    "Buffer XLA_FFI_Buffer": "struct_size extension=extension_start dtype data rank dims",
    "Arguments XLA_FFI_Args": "struct_size extension=extension_start size kinds=types values=args",
    "Arguments XLA_FFI_Rets": "struct_size extension=extension_start size kinds=types values=rets",
    "ByteSpan XLA_FFI_ByteSpan": "data=ptr size=len",
    "ScalarAttribute XLA_FFI_Scalar": "dtype value",
    "ArrayAttribute XLA_FFI_Array": "dtype size data",
    "Attributes XLA_FFI_Attrs": "struct_size extension=extension_start size kinds=types names values=attrs",
    "CallFrame XLA_FFI_CallFrame": "struct_size extension=extension_start api context=ctx stage arguments=args "
    "results=rets attributes=attrs future",
    "Metadata XLA_FFI_Metadata": "struct_size version=api_version traits state_type=state_type_id",
    "MetadataExtension XLA_FFI_Metadata_Extension": "base=extension_base metadata",
    "Api XLA_FFI_Api": "struct_size extension=extension_start version=api_version internal=internal_api "
    "error_create=XLA_FFI_Error_Create",
}
VALUES = {
    "DataType": "boolean=PRED int64=S64 float16=F16 float32=F32 float64=F64 bfloat16=BF16",
    "ArgumentKind ArgType": "buffer=BUFFER",
    "ArgumentKind RetType": "buffer=BUFFER",
    "AttributeKind AttrType": "array=ARRAY scalar=SCALAR string=STRING",
    "Stage ExecutionStage": "instantiate=INSTANTIATE prepare=PREPARE initialize=INITIALIZE execute=EXECUTE",
    "ErrorCode Error_Code": "invalid_argument=INVALID_ARGUMENT resource_exhausted=RESOURCE_EXHAUSTED "
    "failed_precondition=FAILED_PRECONDITION internal=INTERNAL",
    "ExtensionKind Extension_Type": "metadata=Extension_Metadata",
}
# The last member that a struct's size covers.
SIZES = {"Version": "minor_version", "ErrorCreateArgs": "code", "MetadataExtension": "metadata"} | {
    "Metadata": "traits",
    "CallFrame": "attributes",
}


def pairs(text):
    return [(one.partition("=")[0], one.rpartition("=")[2]) for one in text.split()]


def assertions():
    for names, members in STRUCTS.items():
        ours, theirs = names.split()
        for mine, its in pairs(members):
            both = f"sizeof(xla::{ours}::{mine}) == sizeof((({theirs}*)nullptr)->{its})"
            yield f"offsetof(xla::{ours}, {mine}) == offsetof({theirs}, {its}) && {both}"
        if ours != "Api":  # of which we know the first members
            yield f"sizeof(xla::{ours}) == sizeof({theirs})"
    for ours, last in SIZES.items():
        (theirs,) = (names.split()[1] for names in STRUCTS if names.split()[0] == ours)
        yield f"NHWC_XLA_SIZE(xla::{ours}, {last}) == {theirs}_STRUCT_SIZE"
    for names, values in VALUES.items():
        ours, theirs = names.split()[0], names.split()[-1]
        for mine, its in pairs(values):
            prefix = "XLA_FFI_" if its.startswith("Extension") else f"XLA_FFI_{theirs}_"
            yield f"static_cast<int>(xla::{ours}::{mine}) == static_cast<int>({prefix}{its})"
        yield f"sizeof(xla::{ours}) == sizeof(XLA_FFI_{theirs})"
    yield "xla::kMajor == XLA_FFI_API_MAJOR && xla::kMinor <= XLA_FFI_API_MINOR"


def compiles(compiler, conditions, folder):
    program = "#include <xla/ffi/api/c_api.h>\n#include <xla_ffi.h>\nnamespace xla = nhwc::py::xla;\n"
    source = folder / "abi.cpp"
    source.write_text(program + "".join(f'static_assert({c}, "");\n' for c in conditions))
    flags = ["-std=c++20", "-fsyntax-only", "-Wno-invalid-offsetof", f"-I{SOURCES}", f"-I{jax.ffi.include_dir()}"]
    return subprocess.run([compiler, *flags, source], capture_output=True, text=True, check=False)


def test_declarations_are_those_of_jaxlib(tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no compiler")
    every = list(assertions())
    run = compiles(compiler, every, tmp_path)
    assert run.returncode == 0, run.stderr
    run = compiles(compiler, [every[0].replace("==", "!=", 1)], tmp_path)
    assert "static assertion failed" in run.stderr


def members(body):
    """Names of the members that a struct's body declares."""
    for declaration in re.sub(r"//.*", "", body).split(";"):
        pointer = re.search(r"\(\*(\w+)\)", declaration)  # to a function
        yield from [pointer[1]] if pointer else re.findall(r"(\w+)\s*(?:,|$)", declaration)


def test_every_declaration_is_compared():
    text = (SOURCES / "xla_ffi.h").read_text()
    structs = re.findall(r"^struct (\w+) \{(.*?)^\};", text, re.MULTILINE | re.DOTALL)
    compared = {names.split()[0]: [mine for mine, _ in pairs(those)] for names, those in STRUCTS.items()}
    assert {name: list(members(body)) for name, body in structs} == compared
    enums = re.findall(r"^enum class (\w+) : unsigned \{(.*?)\};", text, re.MULTILINE | re.DOTALL)
    compared = {names.split()[0]: [mine for mine, _ in pairs(those)] for names, those in VALUES.items()}
    assert {name: re.findall(r"[a-z]\w*", body) for name, body in enums} == compared


class Version(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
    )


class ErrorArgs(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("extension", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("code", ctypes.c_int),
    )


CREATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(ErrorArgs))


class Api(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("extension", ctypes.c_void_p), ("version", Version),
                ("internal", ctypes.c_void_p), ("create", CREATE))  # fmt: skip


class Metadata(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("version", Version), ("traits", ctypes.c_uint32), ("state", ctypes.c_int64))


class Asked(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("kind", ctypes.c_int), ("next", ctypes.c_void_p),
                ("metadata", ctypes.POINTER(Metadata)))  # fmt: skip


class Frame(ctypes.Structure):  # whose operands nobody reads here
    _fields_ = (("size", ctypes.c_size_t), ("extension", ctypes.POINTER(Asked)), ("api", ctypes.POINTER(Api)),
                ("rest", ctypes.c_uint8 * 400))  # fmt: skip


def ask(name, major=0, minor=3, frame_size=400, metadata_size=36):
    """What the handler tells an XLA of this version: (errors, metadata)."""
    errors = []
    create = CREATE(lambda args: errors.append((args[0].message.decode(), args[0].code)) or 1)
    api = Api(ctypes.sizeof(Api), None, Version(24, None, major, minor), None, create)
    metadata = Metadata(metadata_size, Version(), 7, 7)
    asked = Asked(32, 1, None, ctypes.pointer(metadata))
    frame = Frame(frame_size, ctypes.pointer(asked), ctypes.pointer(api))
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(Frame))(pointer(_core._xla_handlers()[name], None))
    assert bool(handler(ctypes.byref(frame))) == bool(errors)
    return errors, metadata


@pytest.mark.parametrize("name", ["nhwc_conv", "nhwc_conv_input_grad", "nhwc_conv_weight_grad"])
def test_versions_of_xla(name):
    for minor in (3, 4, 99):  # later ones of the same major version keep what is there
        errors, m = ask(name, 0, minor)
        assert not errors
        assert (m.version.major, m.version.minor, m.traits, m.state) == (0, 3, 0, 7)
    errors, m = ask(name, metadata_size=48)  # which has room for a state
    assert not errors
    assert m.state == 0
    for wrong in (dict(major=1), dict(minor=2), dict(major=1, minor=0), dict(metadata_size=35)):
        ((message, code),), _ = ask(name, **wrong)
        assert code == 9
        assert (
            f"have version {wrong.get('major', 0)}.{wrong.get('minor', 3)}; nhwc was built for 0.3 and later" in message
        )
    ((message, code),), _ = ask(name, frame_size=100)
    assert code == 9
    assert "another version" in message


GOOD = dict(
    stride=np.array([1, 1]), low=np.array([0, 0]), dilation=np.array([1, 1]), input_dilation=np.array([1, 1]),
    groups=np.int64(1), flip=False, highest_precision=False, outputs_last=False, activation="",
)  # fmt: skip
X, W, Y = (1, 4, 4, 2), (3, 2, 2, 2), (1, 3, 3, 3)


def call(target="nhwc_conv", shapes=(X, W), result=Y, dtype=np.float32, result_dtype=None, without=None, **attributes):
    import nhwc.jax  # noqa: F401

    attributes = GOOD | attributes
    attributes.pop(without, None)
    out = jax.ShapeDtypeStruct(result, result_dtype or dtype)
    return jax.ffi.ffi_call(target, out)(*(jax.numpy.ones(s, dtype) for s in shapes), **attributes)


def test_a_call_by_hand():
    np.testing.assert_array_equal(call(), np.full(Y, 8.0))
    np.testing.assert_array_equal(call(shapes=(X, W, (3,)), activation="relu6"), np.full(Y, 6.0))
    np.testing.assert_array_equal(call(shapes=(X, (*W[1:], 3)), outputs_last=True), np.full(Y, 8.0))
    np.testing.assert_array_equal(call("nhwc_conv_weight_grad", (X, Y), W), np.full(W, 9.0))
    np.testing.assert_array_equal(call("nhwc_conv_input_grad", (Y, W), X)[0, 1, 1], [12.0, 12.0])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(without="low"), "attribute `low` is missing"),
        (dict(low=np.array([0, 0], np.int32)), "attribute `low`: expected values of int64"),
        (dict(low=3), "attribute `low`: expected another kind"),
        (dict(low=np.array([0])), "as many dilations and paddings"),
        (dict(groups=np.int32(7)), "attribute `groups`: expected another dtype"),
        (dict(groups=np.int64(0)), "groups must be at least 1"),
        (dict(groups=np.int64(2)), "groups=2 must divide"),
        (dict(stride=np.array([0, 1])), "stride must be at least 1"),
        (dict(stride=np.array([2**62, 1])), "exceed 64 bits"),
        (dict(low=np.array([-(2**63), 0])), "exceed 64 bits"),
        (dict(stride=np.ones(4, int)), "got a buffer of 4 dimensions for 4 spatial axes"),
        (dict(stride=np.ones(0, int), shapes=((1, 2), (3, 2)), result=(1, 3)), "expected 1 to 3 strides"),
        (dict(activation="swish"), 'got activation="swish"; expected "relu"'),
        (dict(activation=np.int64(3)), "attribute `activation`: expected another kind"),
        (dict(shapes=(X,)), "got 1 arguments and 1 results"),
        (dict(shapes=(X, W, (3,), (3,))), "got 4 arguments"),
        (dict(shapes=(X, W, (2,))), r"bias has shape \(2,\)"),
        (dict(target="nhwc_conv_weight_grad", shapes=(X, Y, (3,)), result=W), "got 3 arguments"),
        (dict(shapes=(X, W[1:])), "got a buffer of 3 dimensions for 2 spatial axes"),
        (dict(shapes=(X, (3, 2, 2, 3))), "input has 2 channels"),
        (dict(outputs_last=True), "does not fit"),
        (dict(shapes=(X, (3, 0, 2, 2))), "the kernel has size 0 along H"),
        (dict(result=(2, 3, 3, 3)), "does not fit"),
        (dict(result=(1, 3, 3, 4)), "does not fit"),
        (dict(shapes=((2, *X), (3, *W)), result=(2, *Y)), "the axes in front have different sizes"),
        (dict(shapes=((2, *X), W)), "the axes in front have different sizes"),
        (dict(dtype=np.int32), "got a buffer of XLA's type 4"),
        (dict(result_dtype=np.float16), "the operands differ in dtype"),
    ],
)
def test_what_does_not_fit_is_an_error_of_xla(wrong, says):
    with pytest.raises(jax.errors.JaxRuntimeError, match=rf"INVALID_ARGUMENT: \[nhwc.jax\] .*{says}"):
        jax.block_until_ready(call(**wrong))
    test_a_call_by_hand()  # which still works
