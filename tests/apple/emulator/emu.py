# tests/apple/emulator/emu.py -- the emulator from Python: opens compiled kernels and runs them on NumPy arrays
"""emu.Library(path or text).run("kernel", [array, array, params], groups=(1, 1, 1), threads=(32, 1, 1))"""

import ctypes
import functools
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import build_cache
import compile as metal_compile
import toolchain

HERE = pathlib.Path(__file__).resolve().parent
MAX_BUFFERS = 31
IN_ORDER, REVERSED, RANDOM, SIMDGROUP_FIRST = 1, 2, 3, 4


class KernelError(Exception):
    """What the emulator says of a launch."""


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_uint64)]


class _Constant(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("index", ctypes.c_uint32), ("value", ctypes.c_void_p)]


class _Launch(ctypes.Structure):
    _fields_ = [
        ("buffers", _Buffer * MAX_BUFFERS),
        ("threadgroup_bytes", ctypes.c_uint32 * MAX_BUFFERS),
        ("groups", ctypes.c_uint32 * 3),
        ("threads", ctypes.c_uint32 * 3),
        ("grid", ctypes.c_uint32 * 3),
        ("constants", ctypes.POINTER(_Constant)),
        ("constant_count", ctypes.c_uint32),
        ("seed", ctypes.c_uint64),
        ("order", ctypes.c_int),
    ]


class Counters(ctypes.Structure):
    """emu_counters of emulator.h."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "threads barriers simd_operations mma threadgroup_bytes device_read device_written device_read_unique "
            "device_written_unique threadgroup_read threadgroup_written constant_read atomics"
        ).split()
    ] + [("seconds", ctypes.c_double)]


class _Error(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char * 2048)]


def core_sources():
    return sorted((HERE / "core").glob("*.cpp"))


def core_compiler():
    if named := os.environ.get("NHWC_EMULATOR_CXX"):
        return [named]
    return [toolchain.compiler()[0], "c++"]


@functools.cache
def core():
    """The emulator's core as a library, compiled once."""
    digest = hashlib.sha256(repr(core_compiler()).encode())
    for path in [*core_sources(), *(HERE / "core").glob("*.h"), HERE / "emulator.h", HERE / "include/msl/module.h"]:
        digest.update(path.read_bytes())
    folder = build_cache.shelf(f"core-{digest.hexdigest()[:16]}")
    path = folder / "libemulator.so"
    with build_cache.locked(folder / "lock"):
        build_cache.claim(folder)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=folder) as build:
                made = pathlib.Path(build) / "core.so"
                command = [*core_compiler(), "-std=c++20", "-O2", "-g", "-fPIC", "-shared", "-fno-sanitize=all"]
                subprocess.run([*command, *core_sources(), "-o", made, "-ldl"], check=True)
                os.replace(made, path)
    library = ctypes.CDLL(str(path))
    library.emu_find_kernel.restype = ctypes.c_void_p
    return library


def _address(array):
    return array.ctypes.data_as(ctypes.c_void_p).value


class Library:
    """The kernels of a .metal file.

    Args:
      source: its path, its text, or the path of a compiled module.
      options: for compile.compile_metal.
    """

    def __init__(self, source, **options):
        if str(source).endswith(".so"):
            self.path = source
        elif "\n" in str(source):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "source.metal"
                path.write_text(source)
                self.path = metal_compile.compile_metal(path, **options)
        else:
            self.path = metal_compile.compile_metal(source, **options)
        self._module, error = ctypes.c_void_p(), _Error()
        if core().emu_open(str(self.path).encode(), ctypes.byref(self._module), ctypes.byref(error)):
            raise KernelError(error.text.decode())

    def __contains__(self, kernel):
        return bool(core().emu_find_kernel(self._module, kernel.encode()))

    def run(
        self, kernel, buffers, *, groups=(1, 1, 1), threads=(32, 1, 1), grid=(0, 0, 0), constants=None, shared=(),
        seed=0, order=0,
    ):  # fmt: skip
        """Runs a kernel; arrays are changed in place.

        Args:
          buffers: contiguous arrays, bound at index 0 on; bytes for structs; None leaves one out. Or {index: array}.
          groups: threadgroups; grid: threads in all, instead.
          constants: {index or name: NumPy scalar}.
          shared: bytes of threadgroup memory bound at index 0 on.
        Returns: Counters.
        Raises: KernelError.
        """
        handle = core().emu_find_kernel(self._module, kernel.encode())
        if not handle:
            raise KernelError(f"no kernel '{kernel}'")
        launch, keep = _Launch(), []
        items = buffers.items() if isinstance(buffers, dict) else enumerate(buffers)
        for index, value in items:
            if value is None:
                continue
            array = np.frombuffer(value, np.uint8) if isinstance(value, (bytes, bytearray)) else np.asarray(value)
            assert array.flags.c_contiguous
            keep.append(array)
            launch.buffers[index] = _Buffer(_address(array), array.nbytes)
        launch.groups[:], launch.threads[:], launch.grid[:] = groups, threads, grid
        for index, size in enumerate(shared):
            launch.threadgroup_bytes[index] = size
        table = (_Constant * max(1, len(constants or {})))()
        for i, (key, value) in enumerate((constants or {}).items()):
            scalar = np.atleast_1d(np.asarray(value))
            keep.append(scalar)
            named = isinstance(key, str)
            table[i] = _Constant(key.encode() if named else None, 0 if named else key, _address(scalar))
        launch.constants, launch.constant_count = table, len(constants or {})
        launch.seed, launch.order = seed, order
        counters, error = Counters(), _Error()
        if core().emu_run(ctypes.c_void_p(handle), ctypes.byref(launch), ctypes.byref(counters), ctypes.byref(error)):
            raise KernelError(error.text.decode())
        return counters
