#!/usr/bin/env python3
# tools/build_macos.py -- builds the macOS arm64 wheel on any machine, and checks what can be checked without a Mac
"""python tools/build_macos.py [--out FOLDER] [--stubs FOLDER]

Needs `pip install ziglang` and, for the interface stubs, nhwc itself (`pip install .`). The wheel is for the version of
the Python that runs this: cp311, or from 3.12 on abi3. The C++ tests are compiled and linked with it where doctest.h is
found. tools/macos/ has the parts; nothing of it is run on a Mac, so what it cannot show is whether kernels are right
there: .github/workflows/macos.yml does."""

import argparse
import importlib.util
import os
import pathlib
import shlex
import subprocess
import sys
import time

from macos import check, sdk

ROOT = pathlib.Path(__file__).resolve().parents[1]


def installed_stubs():
    """The folder of an installed nhwc that holds its stubs, or None."""
    found = importlib.util.find_spec("nhwc")
    folders = [pathlib.Path(p) for p in (found.submodule_search_locations or () if found else ())]
    folders += [p.absolute().parent / "stubs" for p in folders]  # a build folder has them there
    return next((p for p in folders if (p / "_core" / "__init__.pyi").exists()), None)


def metal_cpp():
    """The folder of Apple's headers that the tests use too."""
    sys.path.insert(0, str(ROOT / "tests" / "apple"))
    import build_runtime

    return build_runtime.metal_cpp()


def extension_suffix():
    major, minor = sys.version_info[:2]
    return f".cpython-{major}{minor}-darwin.so"


def build_environment(toolchain, stubs, tests):
    platform = "macosx-{}.{}-arm64".format(*sdk.MIN_VERSION)
    definitions = {
        "CMAKE_TOOLCHAIN_FILE": toolchain,
        "NHWC_STUBS": stubs,
        "NHWC_TESTS": "ON" if tests else "OFF",
        "NHWC_METAL": "ON",
        "NHWC_METAL_CPP_DIR": metal_cpp(),
    }
    arguments = [f"-D{k}={v}" for k, v in definitions.items()]
    return os.environ | {
        "_PYTHON_HOST_PLATFORM": platform,
        "SETUPTOOLS_EXT_SUFFIX": extension_suffix(),
        "CMAKE_ARGS": shlex.join([*shlex.split(os.environ.get("CMAKE_ARGS", "")), *arguments]),
    }


def build(args, toolchain, tests):
    """Runs pip; the path of the wheel."""
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps", "--wheel-dir", str(args.out)]
    command += [f"--config-settings=build-dir={args.out / 'build'}", "--quiet", "--disable-pip-version-check"]
    if args.no_isolation:
        command.append("--no-build-isolation")
    before = set(args.out.glob("*.whl"))
    for old in before:
        old.unlink()
    subprocess.run(command, check=True, env=build_environment(toolchain, args.stubs, tests))
    (wheel,) = args.out.glob("*.whl")
    return wheel


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=pathlib.Path, default=ROOT / "build" / "macos", help="folder for the wheel and all on the way")
    add("--stubs", type=pathlib.Path, default=installed_stubs(), help="folder with _core/__init__.pyi of this version")
    add("--no-isolation", action="store_true", help="build with the scikit-build-core and nanobind that are installed")
    add("--check", type=pathlib.Path, metavar="WHEEL", help="only check a wheel that was built before")
    args = parser.parse_args()
    if args.check:
        return args
    if not args.stubs:
        parser.error("the stubs of nhwc are missing: `pip install .` first, or name their folder with --stubs")
    if not importlib.util.find_spec("ziglang"):
        parser.error("the compiler is missing: `pip install ziglang`")
    args.out, args.stubs = args.out.resolve(), args.stubs.resolve()
    return args


def main():
    args = parse()
    if args.check:
        return check.report(args.check, None)
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    tests = sdk.write_doctest(args.out / "sdk")
    wheel = build(args, sdk.make(args.out / "sdk"), tests)
    print(f"built {wheel.name} in {time.monotonic() - start:.0f} s")
    if not tests:
        print("the C++ tests were not linked: there is no doctest.h")
    return check.report(wheel, args.out / "build" / "tests" / "nhwc_tests" if tests else None)


if __name__ == "__main__":
    sys.exit(main())
