#!/usr/bin/env python3
# tools/arm64.py -- cross-builds for 64-bit Arm on any Debian or Ubuntu, and runs the tests under qemu
"""python tools/arm64.py [--cpu CPU ...] [--tests REGEX] [--wheel WHEEL | --no-python] [--python FILE ...]

The folder gets a small system for arm64, of the distribution's own packages and NumPy's wheel: headers and libraries to
build with, and a Python. clang compiles the C++ tests and the extension module for it. qemu runs the C++ tests as each
CPU ("max" has every extension, "cortex-a72" none beyond Advanced SIMD) and, with small problems, the Python tests as
the first: of that module, or of a wheel that tools/build_linux.py --arch aarch64 made. Emulated processors prove
results, not speed: see tools/mca.py for an estimate of that.

Needs clang, lld and llvm 16 or later, qemu-user-static, doctest-dev, and `pip install nanobind cmake ninja`; as root it
installs the packages itself."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "arm64"
PACKAGES = {"clang++": "clang-19", "ld.lld": "lld-19", "llvm-mca": "llvm-19", "qemu-aarch64-static": "qemu-user-static"}
PYTHON_PACKAGES = ["numpy", "pytest", "hypothesis", "ml_dtypes", "pyyaml", "safetensors"]

TOOLCHAIN = """
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_SYSROOT {system})
set(CMAKE_CXX_COMPILER {compiler})
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
foreach(kind EXE SHARED MODULE)
  set(CMAKE_${{kind}}_LINKER_FLAGS_INIT "--ld-path={linker}")
endforeach()
list(APPEND CMAKE_PREFIX_PATH {folder}/cmake)
"""
DOCTEST = """
add_library(doctest::doctest INTERFACE IMPORTED)
target_include_directories(doctest::doctest INTERFACE {folder}/doctest)
"""


# pip's cmake and ninja lie beside the interpreter.
os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


def tool(name):
    """The path of a program, by its plain name or with the version that packages add; installed where root may."""
    for versioned in (*(f"{name}-{v}" for v in range(24, 15, -1)), name):
        if path := shutil.which(versioned):
            return path
    package = PACKAGES[name]
    if os.geteuid() != 0:
        sys.exit(f"{name} is missing, and installing it needs root: apt-get install {package}")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package, stdout=subprocess.DEVNULL)
    return tool(name)


def foreign_apt(folder):
    """The words of an apt-get command for arm64 whose state is this folder's own."""
    apt = folder / "apt"
    for sub in ("state/lists/partial", "cache/archives/partial"):
        (apt / sub).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
    }
    return ["apt-get", "-qq", *(f"-o{k}={v}" for k, v in options.items())]


def newest(apt, pattern):
    """The package of that name with the largest number in it."""
    cache = ["apt-cache", *apt[2:], "pkgnames"]
    names = subprocess.run([str(c) for c in cache], capture_output=True, text=True, check=True).stdout.split()
    found = {tuple(map(int, re.findall(r"\d+", name))): name for name in names if re.fullmatch(pattern, name)}
    return found[max(found)]


def make_system(folder):
    """Unpacks what programs for arm64 are built with and run on; its root."""
    system = folder / "system"
    done = system / "complete"
    if done.exists():
        return system
    apt = foreign_apt(folder)
    run(*apt, "update")
    python = newest(apt, r"libpython3\.\d+-dev").removeprefix("lib").removesuffix("-dev")
    packages = [newest(apt, r"libstdc\+\+-\d+-dev"), f"lib{python}-dev", f"{python}-minimal", f"lib{python}-stdlib"]
    run(*apt, "install", "--download-only", "--no-install-recommends", "-y", *packages, stdout=subprocess.DEVNULL)
    system.mkdir(exist_ok=True)
    for package in sorted((folder / "apt" / "cache" / "archives").glob("*.deb")):
        run("dpkg-deb", "-x", package, system)
    for link in system.rglob("*.so"):  # the linker would follow them out of the folder
        if link.is_symlink() and os.readlink(link).startswith("/"):
            inside = system / os.readlink(link)[1:]
            link.unlink()
            link.symlink_to(inside)
    version = python.removeprefix("python")
    wheels = ["manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"]
    run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:",
        *(f"--platform={w}" for w in wheels), f"--python-version={version}", "--implementation=cp",
        f"--target={system / 'site'}", *PYTHON_PACKAGES)  # fmt: skip
    done.write_text(python)
    return system


def find_doctest(folder):
    """Makes doctest's header known to CMake without this machine's other headers."""
    found = pathlib.Path("/usr/include/doctest/doctest.h")
    if not found.exists():
        if os.geteuid() != 0:
            sys.exit("doctest is missing, and installing it needs root: apt-get install doctest-dev")
        run("apt-get", "install", "-y", "-qq", "doctest-dev", stdout=subprocess.DEVNULL)
    for path, text in (
        (folder / "doctest" / "doctest" / "doctest.h", found.read_text()),
        (folder / "cmake" / "doctest-config.cmake", DOCTEST.format(folder=folder)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text)


def configure(folder, python=False, tests=".*"):
    """Runs CMake; the build's folder. `tests` is a regular expression of the C++ tests' files."""
    system, build = make_system(folder), folder / "build"
    find_doctest(folder)
    toolchain = folder / "toolchain.cmake"
    toolchain.write_text(
        TOOLCHAIN.format(system=system, compiler=tool("clang++"), linker=tool("ld.lld"), folder=folder)
    )
    definitions = {"CMAKE_TOOLCHAIN_FILE": toolchain, "NHWC_TESTS": "ON", "NHWC_PYTHON": "ON" if python else "OFF"}
    definitions["NHWC_TEST_SOURCES"] = tests
    if shutil.which("ccache"):
        definitions["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
    if python:
        version = (system / "complete").read_text()
        definitions |= {
            "Python_EXECUTABLE": sys.executable,
            "Python_INCLUDE_DIR": system / "usr" / "include" / version,
            "NB_SUFFIX": ".so",
            "NB_SUFFIX_S": ".so",
        }
    command = ["cmake", "-GNinja", "-S", ROOT, "-B", build, *(f"-D{k}={v}" for k, v in definitions.items())]
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    (folder / "configure.log").write_text(done.stdout)
    if done.returncode:
        sys.exit(done.stdout)
    return build


def compile_kernels(folder=OUT):
    """The assembly of isa_neon*.cpp, compiled with the flags of the library."""
    build = configure(folder)
    assembly = folder / "kernels.s"
    text = ""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if "/isa_neon" not in entry["file"]:
            continue
        words = shlex.split(entry["command"])
        words = words[words.index(tool("clang++")) : words.index("-o")]
        run(*words, "-S", "-o", assembly, entry["file"])
        text += assembly.read_text()
    return text


def emulated(folder, cpu, *words):
    return [tool("qemu-aarch64-static"), "-cpu", cpu, "-L", folder / "system", *words]


def installed(wheel, folder):
    """The folder that a wheel for arm64 is installed in."""
    target = folder / "installed"
    shutil.rmtree(target, ignore_errors=True)
    version = (make_system(folder) / "complete").read_text().removeprefix("python")
    platform = re.search(r"manylinux_\d+_\d+_aarch64", wheel.name)
    if not platform:
        sys.exit(f"{wheel.name} is no wheel for arm64 that auditwheel has repaired")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index",
        f"--platform={platform[0]}", f"--python-version={version}", "--implementation=cp", f"--target={target}",
        wheel)  # fmt: skip
    return target


def run_python(folder, cpu, package, files):
    """Runs these of the Python tests, or all, with the package nhwc of that folder."""
    system = folder / "system"
    python = system / "usr" / "bin" / (system / "complete").read_text()
    environment = os.environ | {
        "PYTHONPATH": f"{package}:{system / 'site'}",
        "PYTHONHOME": str(system / "usr"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NHWC_TEST_EMULATED": "1",
        "QEMU_CPU": cpu,
        "QEMU_LD_PREFIX": str(system),
    }
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    tests = [ROOT / "tests" / "python" / name for name in files or [""]]
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *tests]
    return report(f"Python tests as {cpu}", emulated(folder, cpu, python, *command), cwd=empty, env=environment)


def run_cpp(folder, cpu, program):
    return report(f"C++ tests as {cpu}", emulated(folder, cpu, program), env=os.environ | {"NHWC_TEST_EMULATED": "1"})


def report(what, command, **options):
    """Runs tests and prints what they printed, in one piece; whether they passed."""
    start = time.monotonic()
    done = subprocess.run(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    print(f"{done.stdout}{what}: {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="folder for the system and the build")
    parser.add_argument("--cpu", action="append", help="qemu's name of a processor; default: max, cortex-a72")
    parser.add_argument("--tests", default=".*", metavar="REGEX", help="only C++ tests of files that match")
    parser.add_argument("--python", nargs="+", metavar="FILE", help="of tests/python; default: all")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--wheel", type=pathlib.Path, help="what the Python tests run on, instead of a build of its own")
    which.add_argument("--no-python", action="store_true", help="leave the extension module and its tests out")
    args = parser.parse_args()
    folder, start = args.out.resolve(), time.monotonic()
    build = configure(folder, python=not (args.no_python or args.wheel), tests=args.tests)
    run("cmake", "--build", build, stdout=subprocess.DEVNULL)
    print(f"built in {time.monotonic() - start:.0f} s", flush=True)
    cpus = args.cpu or ["max", "cortex-a72"]
    # What is emulated hardly waits: as many at once as there are processors.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run_cpp, folder, cpu, build / "tests" / "nhwc_tests") for cpu in cpus]
        if not args.no_python:
            package = installed(args.wheel, folder) if args.wheel else build / "python"
            runs.append(pool.submit(run_python, folder, cpus[0], package, args.python))
    return int(not all(r.result() for r in runs))


if __name__ == "__main__":
    sys.exit(main())
