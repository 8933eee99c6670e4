# tools/macos/sdk.py -- what the cross-build has in place of Xcode: link stubs, a few headers, CPython's, a toolchain
"""`make(folder)` fills a folder:

bin/                 clang++, ar, ranlib: scripts that call zig
lib/, Frameworks/    .tbd stubs: text in place of a library, from which the linker takes names
include/             the framework headers that metal-cpp reads, which zig does not carry
python/              headers of the running CPython, set right for macOS
cmake/               a package file for doctest, whose header is copied from this machine
toolchain.cmake      for CMAKE_TOOLCHAIN_FILE"""

import os
import pathlib
import re
import shutil
import sys
import sysconfig

from flatten_metal import write_changed
from macos import record

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIN_VERSION = (13, 0)  # of macOS: Metal 3, and what M1 to M5 all run
# Types that metal-cpp's headers name: declared for the stand-in of the tests, and no different on a Mac.
HEADERS = ROOT / "tests" / "apple" / "standin" / "sdk"
HEADER_FOLDERS = ("CoreFoundation", "CoreGraphics", "IOSurface")
DOCTEST = pathlib.Path("doctest", "doctest.h")
INCLUDE_FOLDERS = ("/usr/include", "/usr/local/include", "/opt/homebrew/include")
OBJC_CLASS = "_OBJC_CLASS_$_"

# What differs from Linux of those macros that CPython's headers read.
PYCONFIG = {
    "PTHREAD_KEY_T_IS_COMPATIBLE_WITH_INT": None,
    "SIZEOF_PTHREAD_KEY_T": "8",
    "SIZEOF_LONG_DOUBLE": "8",
    "ALIGNOF_MAX_ALIGN_T": "8",
}

TOOLCHAIN = """# Cross-compiling for macOS on arm64 with zig; written by tools/macos/sdk.py
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
set(CMAKE_OSX_SYSROOT "")
set(CMAKE_CXX_COMPILER "{sdk}/bin/clang++")
set(CMAKE_AR "{sdk}/bin/ar")
set(CMAKE_RANLIB "{sdk}/bin/ranlib")
set(CMAKE_INSTALL_NAME_TOOL "{sdk}/bin/no-install-name-tool")
set(CMAKE_FRAMEWORK_PATH "{sdk}/Frameworks")
set(CMAKE_LIBRARY_PATH "{sdk}/lib")
set(CMAKE_PREFIX_PATH "{sdk}/cmake")
set(CMAKE_SKIP_RPATH ON)
set(Python_INCLUDE_DIR "{sdk}/python" CACHE PATH "" FORCE)
"""


def zig():
    """The compiler of the ziglang package."""
    import ziglang

    return str(pathlib.Path(ziglang.__file__).with_name("zig"))


def quoted(names):
    return ", ".join(f"'{n}'" for n in sorted(names))


def stub(install_name, symbols):
    """The text of a .tbd file."""
    classes = {s[len(OBJC_CLASS) :] for s in symbols if s.startswith(OBJC_CLASS)}
    plain = {s for s in symbols if not s.startswith("_OBJC_")}
    lines = [
        "--- !tapi-tbd",
        "tbd-version: 4",
        "targets: [ arm64-macos ]",
        f"install-name: '{install_name}'",
        "exports:",
        "  - targets: [ arm64-macos ]",
        f"    symbols: [ {quoted(plain)} ]",
        *([f"    objc-classes: [ {quoted(classes)} ]"] if classes else []),
        "...",
    ]
    return "\n".join(lines) + "\n"


def write_stubs(folder, recorded):
    """A stub of every library, even one of which nothing is known; libSystem's comes with zig."""
    for name, path in record.LIBRARIES.items():
        if name == "System":
            continue
        if path.startswith(record.FRAMEWORKS):
            target = folder / "Frameworks" / f"{name}.framework" / f"{name}.tbd"
        else:
            target = folder / "lib" / f"lib{name}.tbd"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(stub(path, recorded.get(name, {})))


def write_python_headers(folder):
    """A copy of the headers of the running CPython, with a pyconfig.h that is true of macOS: the one that CPython's own
    build writes. The others choose by __APPLE__ themselves."""
    target = folder / "python"
    leave_out = shutil.ignore_patterns("pyconfig.h")
    shutil.copytree(sysconfig.get_path("include"), target, dirs_exist_ok=True, ignore=leave_out)
    text = pathlib.Path(sysconfig.get_config_h_filename()).read_text()
    for name, value in PYCONFIG.items():
        line = f"#undef {name}" if value is None else f"#define {name} {value}"
        text = re.sub(rf"^#define {name}\b.*$|^/\* #undef {name} \*/$", line, text, flags=re.MULTILINE)
    write_changed(target / "pyconfig.h", text)


def write_doctest(folder):
    """Copies the one header that the C++ tests need; False where this machine has none."""
    found = next((p for p in (pathlib.Path(f, DOCTEST) for f in INCLUDE_FOLDERS) if p.exists()), None)
    if not found:
        return False
    target = folder / "doctest" / DOCTEST
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(found, target)
    package = folder / "cmake" / "doctest-config.cmake"
    package.parent.mkdir(exist_ok=True)
    package.write_text(
        "add_library(doctest::doctest INTERFACE IMPORTED)\n"
        f'target_include_directories(doctest::doctest INTERFACE "{(folder / "doctest").as_posix()}")\n'
    )
    return True


def write_script(path, *words):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexec " + " ".join(f'"{w}"' for w in words) + ' "$@"\n')
    path.chmod(0o755)


def make(folder):
    """Fills the folder; the path of the toolchain file."""
    folder = pathlib.Path(folder).resolve()
    write_stubs(folder, record.read())
    write_python_headers(folder)
    for name in HEADER_FOLDERS:
        if (HEADERS / name).is_dir():
            shutil.copytree(HEADERS / name, folder / "include" / name, dirs_exist_ok=True)
    compiler = pathlib.Path(__file__).with_name("compiler.py")
    write_script(folder / "bin" / "clang++", sys.executable, "-I", compiler, folder)  # pip hides what is installed
    for tool in ("ar", "ranlib"):
        write_script(folder / "bin" / tool, zig(), tool)
    write_script(folder / "bin" / "no-install-name-tool", "false")  # nothing here has an rpath to change
    toolchain = folder / "toolchain.cmake"
    toolchain.write_text(TOOLCHAIN.format(sdk=folder.as_posix()))
    os.utime(folder / "bin" / "clang++", (0, 0))  # ccache tells compilers apart by time and size
    return toolchain
