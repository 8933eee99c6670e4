# tests/apple/emulator/toolchain.py -- the compiler of the emulator's modules, and its cache
"""clang compiles the modules: the one in the ziglang wheel, or the one that NHWC_EMULATOR_CXX names.

Modules use neither a C++ library nor libc's headers, so the compiler is run bare, without zig's own driver.
"""

import functools
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess

import build_cache

HERE = pathlib.Path(__file__).resolve().parent
MODES = ("plain", "check", "asan", "tsan")
SYSTEM_HEADERS = (
    "metal_stdlib metal_atomic metal_common metal_compute metal_config metal_geometric metal_integer metal_limits "
    "metal_math metal_matrix metal_numeric metal_relational metal_simdgroup metal_simdgroup_matrix metal_type_traits "
    "metal_types metal_array metal_pack metal_quad metal_texture metal_logging"
).split()
FLAGS = (
    "-std=c++20 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-strict-aliasing "
    "-ffp-contract=off -Xclang -ffloat16-excess-precision=none -Xclang -fbfloat16-excess-precision=none "
    "-Xclang -cl-single-precision-constant -ftrivial-auto-var-init=pattern -ferror-limit=20 -nostdinc -nostdinc++ "
    "-Wno-unknown-attributes -Wno-unknown-pragmas -Wno-user-defined-literals -Wno-duplicate-decl-specifier "
    "-Wno-reserved-user-defined-literal -Wno-undefined-var-template -Wno-nan-infinity-disabled"
).split()
MODE_FLAGS = {
    "plain": [],
    # The instrumentation of ThreadSanitizer, with calls that go to the emulator.
    "check": [
        "-DMSL_TRACED", "-gdwarf-4", "-gline-tables-only", "-fsanitize=thread",
        "-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm", "-tsan-instrument-read-before-write=1",
        "-mllvm", "-tsan-instrument-atomics=0",
        # Arrays of a thread's own, and conversions to integers that do not hold the number, end the kernel.
        "-fsanitize=array-bounds,local-bounds,float-cast-overflow", "-fsanitize-trap=all", "-fstrict-flex-arrays=3",
    ],
    "asan": ["-g", "-fsanitize=address", "-shared-libsan"],
    "tsan": ["-g", "-fsanitize=thread"],
}  # fmt: skip


class CompileError(Exception):
    """The compiler's words."""


def run(command, **options):
    # A sanitizer that was preloaded into this process is none of the compiler's.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, **options)
    if done.returncode:
        raise CompileError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def run_loosely(command, text):
    """(output, messages) of a command that is given a text, whether it fails or not."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, input=text)
    return done.stdout, done.stderr


@functools.cache
def compiler():
    """The command of a clang."""
    if named := os.environ.get("NHWC_EMULATOR_CXX"):
        return [named]
    try:
        import ziglang
    except ImportError:
        raise CompileError("no compiler for Metal kernels: pip install ziglang, or set NHWC_EMULATOR_CXX") from None
    return [str(pathlib.Path(ziglang.__file__).parent / "zig"), "clang"]


def linker():
    """The command that makes a shared object of objects without any library."""
    if compiler()[-1] == "clang":
        return [compiler()[0], "ld.lld", "-shared", "--eh-frame-hdr"]
    return [*compiler(), "-shared", "-nostdlib"]


def available():
    """Whether modules can be compiled here."""
    try:
        return bool(compiler())
    except CompileError:
        return False


@functools.cache
def machine_flags():
    if platform.machine() == "x86_64":
        features = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
        level = "x86-64-v3" if all(f" {f} " in features for f in ("avx2", "f16c", "fma", "bmi2")) else "x86-64-v2"
        return ["--target=x86_64-unknown-linux-gnu", f"-march={level}"]
    return ["--target=aarch64-unknown-linux-gnu"]


@functools.cache
def emulator_hash():
    """Of everything that a module's code depends on but its source."""
    digest = hashlib.sha256()
    for path in [
        *sorted(HERE.glob("include/msl/*")),
        *(HERE / f"{name}.py" for name in ("compile", "rewrite", "toolchain")),
    ]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    tool = compiler()[0]
    where = shutil.which(tool) or tool
    digest.update(f"{where} {os.stat(where).st_mtime_ns} {machine_flags()} {FLAGS} {MODE_FLAGS}".encode())
    return digest.hexdigest()[:16]


def swizzles(n):
    """The members of a union that name every choice of 2 to 4 elements of a vector of n."""
    out = []
    for letters in ("xyzw", "rgba"):
        choices = [((), "")]
        for count in range(1, (4 if letters == "xyzw" else 3) + 1):
            choices = [((*indices, i), name + letters[i]) for indices, name in choices for i in range(n)]
            if count > 1:
                out += [f"swizzle<T, {n}, {', '.join(map(str, indices))}> {name};" for indices, name in choices]
    return "\n".join(out) + "\n"


@functools.cache
def prepared(mode):
    """The folder with headers and, for a mode, precompiled headers and support code; made once."""
    build_cache.prune_sometimes()
    folder = build_cache.root() / emulator_hash()
    done = folder / f"{mode}.ready"
    with build_cache.locked(folder / "prepare.lock"):
        if build_cache.claim(folder) and done.exists():
            return folder
        headers = folder / "include"
        if not headers.exists():
            staging = folder / "include.new"
            shutil.rmtree(staging, ignore_errors=True)
            shutil.copytree(HERE / "include" / "msl", staging / "msl")
            for n in (2, 3, 4):
                (staging / "msl" / f"swizzles{n}.inc").write_text(swizzles(n))
            (staging / "system").mkdir()
            for name in SYSTEM_HEADERS:
                (staging / "system" / name).write_text("")
            staging.rename(headers)
        flags = [*FLAGS, *machine_flags()]
        run([*compiler(), "-x", "c++-header", *flags, "-O1", *MODE_FLAGS[mode], headers / "msl" / "prefix.h",
             "-o", folder / f"{mode}.pch"])  # fmt: skip
        traced = ["-DMSL_TRACED"] if mode == "check" else []
        run([*compiler(), "-x", "c++", *flags, "-O2", *traced, "-c", headers / "msl" / "support.cpp",
             "-o", folder / f"{mode}.support.o"])  # fmt: skip
        if not (folder / "libm.so").exists():
            # A library of libm's name and nothing in it: the linker then writes down that modules need libm.
            run([*compiler(), "-x", "c++", *flags, "-c", "/dev/null", "-o", folder / "empty.o"])
            run([*linker(), "-soname" if linker()[1] == "ld.lld" else "-Wl,-soname,libm.so.6",
                 *(["libm.so.6"] if linker()[1] == "ld.lld" else []), folder / "empty.o",
                 "-o", folder / "libm.so"])  # fmt: skip
        done.touch()
    return folder
