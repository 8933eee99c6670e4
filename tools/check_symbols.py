#!/usr/bin/env python3
# tools/check_symbols.py -- fails where a built file exports, or asks for, what it should not
"""python tools/check_symbols.py BUILD_DIR [--extension PATH]

An instruction set's object exports one symbol, its table, and nothing weak: an inline function compiled there with
AVX-512 could be the copy that the linker keeps for everybody. The extension module exports PyInit and nothing else, so
two libraries in one process cannot mix. The static library has nothing of Python in it."""

import argparse
import pathlib
import re
import subprocess
import sys


def symbols(path, *flags):
    """(type letter, name) of every symbol."""
    text = subprocess.run(["nm", "-C", *flags, str(path)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^(?:[0-9a-f]+)?\s+([A-Za-z]) (.+)$", text, re.MULTILINE)


def check_isa_object(path):
    found = symbols(path, "--defined-only")
    weak = [name for kind, name in found if kind in "WVuvw"]
    strong = [name for kind, name in found if kind.isupper() and kind not in "WVN"]
    problems = [f"weak: {name}" for name in weak[:5]]
    if len(strong) != 1:
        problems.append(f"exports {len(strong)} symbols, expected its table alone: {', '.join(strong[:5])}")
    return problems


def check_extension(path):
    exported = [name for kind, name in symbols(path, "-D", "--defined-only") if kind.isupper()]
    wrong = [name for name in exported if not name.startswith("PyInit_") and name not in ("_init", "_fini")]
    problems = [f"exports {name}" for name in wrong[:5]]
    if not any(name.startswith("PyInit_") for name in exported):
        problems.append("does not export PyInit__core")
    return problems


def check_static_library(path):
    wanted = sorted({name for kind, name in symbols(path) if re.match(r"_?Py[A-Z_]", name) or "nanobind" in name})
    return [f"refers to {name}" for name in wanted[:5]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="a CMake build folder")
    parser.add_argument(
        "--extension", type=pathlib.Path, help="the extension module, where it is not in the build folder"
    )
    args = parser.parse_args()

    checks = [(p, check_isa_object) for p in sorted(args.build.rglob("isa_*.cpp.o")) if "nhwc.dir" in p.parts]
    checks += [(p, check_static_library) for p in sorted(args.build.rglob("libnhwc.a"))]
    extensions = (
        [args.extension] if args.extension else [p for p in sorted(args.build.rglob("_core*.so")) if not p.is_symlink()]
    )
    checks += [(p, check_extension) for p in extensions]
    kinds = {check for _, check in checks}
    failed = False
    for needed, what in (
        (check_isa_object, "isa_*.cpp.o"),
        (check_static_library, "libnhwc.a"),
        (check_extension, "_core*.so"),
    ):
        if needed not in kinds:
            print(f"{args.build}: no {what} found; build first")
            failed = True
    for path, check in checks:
        problems = check(path)
        failed |= bool(problems)
        for problem in problems:
            print(f"{path}: {problem}")
    print(f"symbols: {len(checks)} files, {'wrong' if failed else 'right'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
