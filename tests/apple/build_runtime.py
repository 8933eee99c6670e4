#!/usr/bin/env python3
# tests/apple/build_runtime.py -- builds libnhwc_gpu_emulated.so: metal-cpp host code, the stand-in and the emulator
"""build_runtime.py [-o OUT.so]: prints the path of the library, built where it is not in the cache.

The host code of csrc/backend/metal/runtime is compiled as it is for a Mac, against metal-cpp's headers and the
stand-in Objective-C runtime and Metal framework of standin/; kernels run in emulator/. nhwc then finds the library by
NHWC_GPU_RUNTIME=<path>.
"""

import argparse
import concurrent.futures
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "emulator"))
import build_cache
import mlx_wheel

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HOST = ROOT / "csrc" / "backend" / "metal" / "runtime"
COMPILE = HERE / "emulator" / "compile.py"

# -fno-delete-null-pointer-checks: metal-cpp sends messages to null pointers, as Objective-C may.
# __MAC_26_0: metal-cpp then links to string constants, instead of looking them up in the process.
FLAGS = [
    "-std=c++20", "-g", "-fPIC", "-fblocks", "-pthread", "-fno-delete-null-pointer-checks",
    "-fvisibility=hidden", "-fvisibility-inlines-hidden",
    "-DMETALCPP_SYMBOL_VISIBILITY_HIDDEN", "-D__MAC_26_0=260000", "-DNHWC_METAL_EMULATED", "-Wall", "-Wextra",
    "-Wno-unknown-attributes", "-Wno-ignored-attributes",
]  # fmt: skip
EXPORTED = ("nhwc_gpu_runtime", "nhwc_standin_*")
SANITIZERS = {None: [], "address": ["-fsanitize=address", "-shared-libsan"], "thread": ["-fsanitize=thread"]}


class BuildError(Exception):
    """The compiler's or the linker's words."""


def compiler():
    """The command of clang++: the one that NHWC_STANDIN_CXX names, or the one in the ziglang wheel."""
    if named := os.environ.get("NHWC_STANDIN_CXX"):
        return named.split()
    return [sys.executable, "-m", "ziglang", "c++"]


def metal_cpp():
    """The folder of metal-cpp's headers: NHWC_METAL_CPP_DIR, or from a wheel that carries them."""
    if named := os.environ.get("NHWC_METAL_CPP_DIR"):
        return pathlib.Path(named)
    return mlx_wheel.unpacked() / "mlx" / "include" / "metal_cpp"


def available():
    """Whether the library can be built here."""
    if os.environ.get("NHWC_STANDIN_CXX"):
        return True
    try:
        import ziglang  # noqa: F401
    except ImportError:
        return False
    return True


def flags_for(source, headers, sanitizer):
    """Compiler flags of one source. Paths are relative to the project, so that checkouts share what is built."""
    here = HERE.relative_to(ROOT)
    if HERE / "emulator" in source.parents:
        # Its fibers switch stacks, and it tells the sanitizers so itself.
        return ["-O2", "-fno-sanitize=all", f"-I{here}"]
    # Fibers switch stacks within a thread, which the thread sanitizer would take for races of their own switching.
    fibers = sanitizer == "thread" and HERE / "emulator" in source.parents
    flags = ["-O1", *([] if fibers else SANITIZERS[sanitizer]), f"-I{here}"]
    if source == HERE / "standin" / "metal" / "compile.cpp":
        flags += [f'-DNHWC_STANDIN_PYTHON_PATH="{sys.executable}"', f'-DNHWC_STANDIN_COMPILE_PATH="{COMPILE}"']
    if HERE / "standin" not in source.parents:
        flags += ["-isystem", here / "standin" / "sdk", "-isystem", headers, "-Icsrc", "-Icsrc/include", "-I."]
    return flags


def digest(*parts):
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:24]


def included(source, found):
    """Adds every file of the project that `source` includes by a quoted name, directly or not, to `found`."""
    for name in re.findall(r'^\s*#\s*include "([^"]+)"', source.read_text(), re.MULTILINE):
        for folder in (HERE, ROOT / "csrc", ROOT / "csrc" / "include", ROOT, source.parent):
            path = folder / name
            if path.exists() and path not in found:
                found.add(path)
                included(path, found)
    return found


def compile_object(source, headers, sanitizer):
    """The object file of a source, from the cache where nothing that it depends on has changed."""
    command = [*compiler(), *FLAGS, *flags_for(source, headers, sanitizer)]
    name = source.relative_to(ROOT) if ROOT in source.parents else source
    key = digest(*command, name, source.read_text(), *(p.read_text() for p in sorted(included(source, set()))))
    target = build_cache.shelf("objects") / f"{key}.o"
    if build_cache.claim(target):
        return target
    staging = target.with_suffix(f".{os.getpid()}.o")
    command += ["-c", name, "-o", staging]
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{source}\n{done.stderr}")
    if done.stderr:
        print(done.stderr, file=sys.stderr)
    staging.replace(target)
    return target


def objects(sources, sanitizer):
    headers = metal_cpp().resolve()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda source: compile_object(source, headers, sanitizer), sources))


def standin_sources():
    return sorted([*(HERE / "standin").rglob("*.cpp"), *(HERE / "emulator" / "core").glob("*.cpp")])


def host_sources():
    return sorted(HOST.rglob("*.cpp"))


def link(inputs, target, sanitizer, shared=True):
    """Links objects; a shared library exports the runtime's entry and the hooks of tests, and nothing else."""
    script = target.with_suffix(".map")
    script.write_text(f"{{ global: {' '.join(name + ';' for name in EXPORTED)} local: *; }};\n")
    command = [*compiler(), *SANITIZERS[sanitizer], "-g", "-pthread", *map(str, inputs)]
    if not shared:
        command = [word for word in command if word != "-shared-libsan"]
    else:
        command += ["-shared", f"-Wl,--version-script={script}"]
    staging = target.with_suffix(f".{os.getpid()}.new")
    done = subprocess.run([*command, "-ldl", "-o", str(staging)], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(done.stderr)
    staging.replace(target)
    return target


def linked(entry, name, inputs, *how, **more):
    """The file `name` of an entry of the cache, linked where it is not there."""
    target = build_cache.shelf(entry) / name
    build_cache.claim(target.parent)
    return target if target.exists() else link(inputs, target, *how, **more)


def build(sanitizer=None, metal=ROOT / "metal", replaced=()):
    """The path of libnhwc_gpu_emulated.so, with the kernels of the folder `metal`.

    `replaced` are files that take the place of those of their names in the host code.
    """
    build_cache.prune_sometimes()
    names = {path.name for path in replaced}
    host = [*(path for path in host_sources() if path.name not in names), *replaced]
    inputs = objects([*host, *embedded(metal), *standin_sources()], sanitizer)
    return linked(f"runtime-{digest(*compiler(), *inputs)}", "libnhwc_gpu_emulated.so", inputs, sanitizer)


def build_program(name, sources, sanitizer=None):
    """The path of a program of metal-cpp code that is linked with the stand-in and the emulator, without the host."""
    inputs = objects([*sources, HOST / "metal_cpp.cpp", *standin_sources()], sanitizer)
    return linked(f"program-{digest(*compiler(), *inputs)}", name, inputs, sanitizer, shared=False)


def embedded(metal):
    """The source file with the kernels' text, as the build for a Mac writes it."""
    topics = sorted(metal.glob("*.metal"))
    parts = sorted(path for suffix in ("*.metal", "*.h", "*.inc") for path in metal.rglob(suffix))
    tool = ROOT / "tools" / "flatten_metal.py"
    entry = build_cache.shelf("embedded") / digest(*(path.read_text() for path in [tool, *parts]))
    entry.mkdir(exist_ok=True)
    build_cache.claim(entry)
    target = entry / "metal_sources.cpp"
    if not target.exists():
        staging = target.with_suffix(f".{os.getpid()}.cpp")
        subprocess.run([sys.executable, tool, "--embed", staging, *topics], check=True)
        staging.replace(target)
    return [target]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", dest="out")
    parser.add_argument("--sanitizer", choices=[name for name in SANITIZERS if name])
    options = parser.parse_args()
    try:
        path = build(options.sanitizer)
    except (BuildError, mlx_wheel.FetchError) as error:
        return error
    if options.out:
        shutil.copyfile(path, options.out)
    print(options.out or path)


if __name__ == "__main__":
    sys.exit(main())
