#!/usr/bin/env python3
# tools/macos/compiler.py -- zig as the compiler and linker that CMake expects of a Mac
"""compiler.py SDK ARGUMENT...

Compiling: zig's own libc++ headers, told that the library is the one of macOS, so that what an older macOS lacks is an
error here. Linking: against that /usr/lib/libc++.1.dylib, as Apple's compiler does; zig by itself would link a copy of
its own, of which operator new and delete are visible to the whole process. Options that zig's linker does not know are
put in its words."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from macos import macho, sdk

TARGET = f"aarch64-macos.{sdk.MIN_VERSION[0]}.{sdk.MIN_VERSION[1]}"
COMPILING = {"-c", "-E", "-S", "-fsyntax-only", "-M", "-MM"}
LIBCXX = [
    "-U_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS",
    "-U_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS",
    "-U_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS",
    "-D_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=1",
]


def linker_words(arguments):
    """(arguments for zig, symbols that alone are to be exported; empty: all)."""
    words, exported = [], set()
    for argument in arguments:
        if argument.startswith("-Wl,@"):  # nanobind's list of CPython's symbols, which the interpreter has
            words.append("-Wl,-undefined,dynamic_lookup")
        elif argument.startswith("-Wl,-exported_symbol,"):
            exported.add(argument.rsplit(",", 1)[1])
        elif argument == "-bundle":  # zig makes libraries; Python loads either
            words.append("-shared")
        elif argument not in ("-Wl,-headerpad_max_install_names", "-Wl,-search_paths_first"):
            words.append(argument)
    return words, exported


def link(folder, arguments):
    words, exported = linker_words(arguments)
    with tempfile.TemporaryDirectory() as private:
        if exported:
            for i, word in enumerate(words):
                if word.endswith((".o", ".a")) and not word.startswith("-"):
                    data = pathlib.Path(word).read_bytes()
                    archive = data.startswith(macho.ARCHIVE)
                    make = macho.make_archive_private if archive else macho.make_private
                    copy = pathlib.Path(private, f"{i}-{pathlib.Path(word).name}")
                    copy.write_bytes(make(data, exported.__contains__))
                    words[i] = str(copy)
        command = [sdk.zig(), "c++", "-target", TARGET, "-nostdlib++", *words, f"{folder}/lib/libc++.tbd"]
        return subprocess.run([*command, f"-F{folder}/Frameworks", f"-L{folder}/lib"], check=False).returncode


def zig_processor(argument):
    """An architecture with extensions, -march=armv8.2-a+bf16, in zig's words."""
    return re.sub(r"^-march=armv(\d+)\.(\d+)-a", r"-mcpu=generic+v\1_\2a", argument)


def main():
    folder, *arguments = [zig_processor(a) for a in sys.argv[1:]]
    if not COMPILING & set(arguments) and any(a.endswith((".o", ".a")) for a in arguments):
        return link(folder, arguments)
    command = [sdk.zig(), "c++", "-target", TARGET, *LIBCXX, f"-isystem{folder}/include", *arguments]
    return os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
