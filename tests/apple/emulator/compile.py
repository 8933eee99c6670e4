#!/usr/bin/env python3
# tests/apple/emulator/compile.py -- compiles a .metal file to a shared object that the emulator runs; cached
"""compile.py SOURCE.metal -o OUT.so [--mode plain|check|asan|tsan] [-I FOLDER] [-D NAME=VALUE] [--kernels a,b]"""

import argparse
import hashlib
import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import build_cache
import rewrite
import toolchain
from toolchain import CompileError

PREPROCESS = "-x c++ -std=c++20 -E -nostdinc -nostdinc++ -undef -D__METAL__=1 -D__METAL_VERSION__=310".split()
PREPROCESS += ["-D__HAVE_BFLOAT__=1", "-D__cplusplus=201703L", "-Wno-builtin-macro-redefined", "-Wno-macro-redefined"]


def preprocess(source, include=(), define=()):
    folder = toolchain.prepared("plain") / "include" / "system"
    command = [*toolchain.compiler(), *PREPROCESS, "-isystem", folder]
    command += [f"-I{path}" for path in include] + [f"-D{name}" for name in define]
    return toolchain.run([*command, source])


def compile_text(text, mode, where):
    """Compiles rewritten text to the shared object `where`."""
    folder = toolchain.prepared(mode)
    where.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent, prefix="build.") as build:
        code, objects = pathlib.Path(build) / "kernels.cpp", pathlib.Path(build) / "kernels.o"
        code.write_text(text)
        toolchain.run(
            [*toolchain.compiler(), *toolchain.FLAGS, *toolchain.machine_flags(), "-O1",
             *toolchain.MODE_FLAGS[mode], "-include-pch", folder / f"{mode}.pch", "-c", code, "-o", objects]
        )  # fmt: skip
        result = pathlib.Path(build) / "module.so"
        toolchain.run([*toolchain.linker(), objects, folder / f"{mode}.support.o", folder / "libm.so", "-o", result])
        os.replace(result, where)


def compile_metal(source, mode=None, include=(), define=(), kernels=None):
    """The shared object of a .metal file, from the cache where it is there.

    Args:
      source: path of the file.
      mode: "plain"; "check": traffic is counted, access out of bounds and races are reported; "asan", "tsan": for a
        process with the sanitizer's runtime. None: what NHWC_EMULATOR_MODE says, or plain.
      include: folders for #include.
      define: "NAME=VALUE" of macros.
      kernels: names of the kernels that are wanted; None: all.
    Raises: CompileError with the compiler's words, which name the .metal file and line.
    """
    mode = mode or os.environ.get("NHWC_EMULATOR_MODE", "plain")
    text = preprocess(source, include, define)
    key = hashlib.sha256(repr((text, mode, sorted(kernels) if kernels else None)).encode()).hexdigest()[:32]
    folder = toolchain.prepared(mode) / "modules"
    where = folder / f"{key}.so"
    if build_cache.claim(where):
        return where
    with build_cache.locked(folder.parent / "locks" / key[:2]):
        if not build_cache.claim(where):
            try:
                code = rewrite.rewrite(text, mode == "check", set(kernels) if kernels else None)
            except rewrite.RewriteError as error:
                raise CompileError(str(error)) from None
            compile_text(code, mode, where)
    return where


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("-o", dest="out")
    parser.add_argument("--mode", choices=toolchain.MODES)
    parser.add_argument("-I", dest="include", action="append", default=[])
    parser.add_argument("-D", dest="define", action="append", default=[])
    parser.add_argument("--kernels", type=lambda text: re.split(",", text))
    parser.add_argument("--rewritten", action="store_true", help="write the C++ to standard output and stop")
    options = parser.parse_args()
    try:
        if options.rewritten:
            print(rewrite.rewrite(preprocess(options.source, options.include, options.define)))
            return 0
        path = compile_metal(options.source, options.mode, options.include, options.define, options.kernels)
    except (CompileError, rewrite.RewriteError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.out:
        staging = f"{options.out}.{os.getpid()}"
        shutil.copyfile(path, staging)
        os.replace(staging, options.out)
    else:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
