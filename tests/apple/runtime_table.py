# tests/apple/runtime_table.py -- csrc/base/gpu_runtime.h for Python: the table of a runtime's functions through ctypes
import ctypes as c
import enum


class Status(enum.IntEnum):
    ok = 0
    no_device = 1
    unsupported = 2
    no_function = 3
    out_of_memory = 4
    device_lost = 5
    timeout = 6
    failed = 7


class Error(c.Structure):
    _fields_ = (("text", c.c_char * 1024),)


class Facts(c.Structure):
    _fields_ = (
        ("name", c.c_char * 128),
        ("family", c.c_int32),
        ("cores", c.c_int32),
        ("simd_width", c.c_int32),
        ("threadgroup_memory", c.c_uint32),
        ("max_threads", c.c_uint32),
        ("max_buffer", c.c_uint64),
        ("working_set", c.c_uint64),
    )


class Operand(c.Structure):
    _fields_ = (("data", c.c_void_p), ("bytes", c.c_uint64), ("written", c.c_int32))


class Value(c.Union):
    _fields_ = (("i", c.c_int32), ("u", c.c_uint32), ("f", c.c_float))


class Constant(c.Structure):
    _fields_ = (("index", c.c_uint16), ("type", c.c_uint8), ("value", Value))


class Launch(c.Structure):
    _fields_ = (
        ("library", c.c_char_p),
        ("source", c.c_char_p),
        ("kernel", c.c_char_p),
        ("constants", c.POINTER(Constant)),
        ("constant_count", c.c_int32),
        ("operands", c.POINTER(Operand)),
        ("operand_count", c.c_int32),
        ("params", c.c_char_p),
        ("params_bytes", c.c_int32),
        ("groups", c.c_uint32 * 3),
        ("threads", c.c_uint32 * 3),
    )


class Timing(c.Structure):
    _fields_ = (("kernel", c.c_char_p), ("start", c.c_double), ("end", c.c_double))


Report = c.CFUNCTYPE(None, c.c_void_p, c.POINTER(Timing))
ErrorPointer = c.POINTER(Error)


class Table(c.Structure):
    _fields_ = (
        ("version", c.c_uint32),
        ("open", c.CFUNCTYPE(c.c_int32, c.POINTER(Facts), ErrorPointer)),
        ("allocate", c.CFUNCTYPE(c.c_void_p, c.c_uint64, ErrorPointer)),
        ("release", c.CFUNCTYPE(c.c_bool, c.c_void_p)),
        ("owns", c.CFUNCTYPE(c.c_bool, c.c_void_p)),
        ("encode", c.CFUNCTYPE(c.c_int32, c.c_int32, c.POINTER(Launch), ErrorPointer)),
        ("commit", c.CFUNCTYPE(c.c_uint64, c.c_int32)),
        ("finished", c.CFUNCTYPE(c.c_uint64, c.c_int32)),
        ("wait", c.CFUNCTYPE(c.c_int32, c.c_int32, c.c_uint64, c.c_int32, ErrorPointer)),
        ("order", c.CFUNCTYPE(None, c.c_int32, c.c_int32)),
        ("start_capture", c.CFUNCTYPE(c.c_int32, c.c_char_p, ErrorPointer)),
        ("stop_capture", c.CFUNCTYPE(None)),
        ("set_timing", c.CFUNCTYPE(None, Report, c.c_void_p)),
    )


class RuntimeFailure(Exception):
    """A status that is not ok, with the runtime's text."""

    def __init__(self, status, text):
        super().__init__(f"{status.name}: {text}")
        self.status, self.text = status, text


def constant(index, value):
    """A function constant of the type that Python's value has; int is int32."""
    if isinstance(value, bool):
        return Constant(index, 0, Value(i=int(value)))
    return Constant(index, 3, Value(f=value)) if isinstance(value, float) else Constant(index, 1, Value(i=value))


class Runtime:
    """The functions with Python's values, raising RuntimeFailure; `library` is what exports nhwc_gpu_runtime."""

    def __init__(self, path, open_device=True):
        self.library = c.CDLL(str(path))
        self.library.nhwc_gpu_runtime.restype = c.POINTER(Table)
        self.table = self.library.nhwc_gpu_runtime().contents
        self.facts = Facts()
        if open_device:
            self.check(self.table.open, c.byref(self.facts))

    def check(self, function, *args):
        error = Error()
        status = Status(function(*args, c.byref(error)))
        if status is not Status.ok:
            raise RuntimeFailure(status, error.text.decode())

    def allocate(self, count, ctype=c.c_float):
        """An array of `count` elements in shared memory; its address is c.addressof."""
        error = Error()
        address = self.table.allocate(count * c.sizeof(ctype), c.byref(error))
        if not address:
            raise RuntimeFailure(Status.out_of_memory, error.text.decode())
        return (ctype * count).from_address(address)

    def release(self, array):
        return self.table.release(c.addressof(array))

    def encode(
        self, queue, kernel, operands, *, source=None, library="chain", params=b"", constants=(), groups, threads
    ):
        """`operands`: pairs of an array (None: unbound) and whether the kernel writes it."""
        bound = [Operand(c.addressof(a), c.sizeof(a), w) if a is not None else Operand() for a, w in operands]
        launch = Launch(
            library.encode(),
            source.encode() if source else None,
            kernel.encode(),
            (Constant * len(constants))(*constants),
            len(constants),
            (Operand * len(bound))(*bound),
            len(bound),
            params or None,
            len(params),
            (c.c_uint32 * 3)(*groups),
            (c.c_uint32 * 3)(*threads),
        )
        self.check(self.table.encode, queue, c.byref(launch))

    def commit(self, queue=0):
        return self.table.commit(queue)

    def finished(self, queue=0):
        return self.table.finished(queue)

    def wait(self, queue, batch):
        self.check(self.table.wait, queue, batch, -1)

    def order(self, queue, other):
        self.table.order(queue, other)
