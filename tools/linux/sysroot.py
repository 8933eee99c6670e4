# tools/linux/sysroot.py -- link-time copies of old system libraries, and the CMake toolchain that links with them
"""A module linked on a new Linux asks for the newest version of every symbol, and loads nowhere else. Here it is linked
with stubs: of glibc as zig knows each version of it, and of libstdc++ with the symbols that manylinux_2_28 allows; what
is younger comes from libstdc++.a, as Red Hat's toolsets do it."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

GLIBC = (2, 28)
# What PEP 600's manylinux_2_28 grants: auditwheel's policy file has the same numbers.
FLOORS = {"GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)}
LIBRARIES = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2")

TOOLCHAIN = """\
# Written by tools/linux/sysroot.py.
{system}set(CMAKE_CXX_COMPILER "{compiler}")
set(CMAKE_CXX_FLAGS_INIT "-include {folder}/floor.h")
# The libraries are named one by one, after all objects: what no stub has comes from the archives.
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-nodefaultlibs -Wl,--exclude-libs,ALL")
set(CMAKE_CXX_STANDARD_LIBRARIES "{libraries}")
"""
CROSS = "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR {arch})\n"


def allowed(version):
    """Whether a symbol of this version is everywhere that manylinux_2_28 means."""
    name, _, numbers = version.partition("_")
    return name in FLOORS and tuple(int(n) for n in numbers.split(".") if n.isdigit()) <= FLOORS[name]


def read_symbols(library, readelf):
    """[(name, version, type, size)] of what a shared library defines, in the version that linkers take."""
    text = subprocess.run([readelf, "--dyn-syms", "--wide", library], check=True, capture_output=True, text=True).stdout
    row = re.compile(r"^\s*\d+:\s+\S+\s+(\S+)\s+(FUNC|OBJECT|TLS|IFUNC)\s+\S+\s+\S+\s+(?!UND)\S+\s+(\S+?)@@(\S+)", re.M)
    return [(name, version, kind, int(size, 0)) for size, kind, name, version in row.findall(text)]


def write_stub(path, symbols, compiler):
    """A shared library that defines these symbols and has no code."""
    source, script = path.with_suffix(".s"), path.with_suffix(".map")
    lines, versions = ['.section .note.GNU-stack,"",%progbits', ".data"], {}
    for name, version, kind, size in symbols:
        of = {"OBJECT": "object", "TLS": "tls_object"}.get(kind, "function")
        if kind == "TLS":
            lines.append('.section .tbss,"awT",%nobits')
        lines += [f".globl {name}", f".type {name}, %{of}", f".size {name}, {size}", f"{name}: .skip {max(size, 1)}"]
        if kind == "TLS":
            lines.append(".data")
        versions.setdefault(version, []).append(name)
    source.write_text("\n".join(lines) + "\n")
    script.write_text("".join(f"{v} {{ {' '.join(n + ';' for n in names)} }};\n" for v, names in versions.items()))
    command = [compiler, "-shared", "-nostdlib", f"-Wl,-soname,{path.name}", f"-Wl,--version-script,{script}"]
    subprocess.run([*command, "-x", "assembler", source, "-o", path], check=True)


def zig_stubs(folder, arch):
    """Stubs of glibc, which zig makes on the way when it links for that version."""
    cache = folder / "zig"
    source = folder / "empty.c"
    source.write_text("int nhwc_empty;\n")
    target = f"{arch}-linux-gnu.{'.'.join(map(str, GLIBC))}"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-shared", "-lpthread", "-ldl", "-lm"]
    environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    subprocess.run([*command, "-o", folder / "empty.so", source], check=True, env=environment)
    for name in LIBRARIES:
        found = sorted(cache.rglob(name))
        if not found:
            sys.exit(f"zig made no stub of {name} for {target}")
        shutil.copy(found[0], folder / name)
    shutil.rmtree(cache)


def compiler_for(arch):
    """(g++, readelf) for this processor, or an end that says what to install."""
    native = arch == os.uname().machine
    prefix = "" if native else f"{arch}-linux-gnu-"
    compiler, readelf = os.environ.get("CXX") if native else None, f"{prefix}readelf"
    compiler = compiler or shutil.which(f"{prefix}g++")
    if not compiler or not shutil.which(readelf):
        package = "g++ binutils" if native else f"g++-{arch.replace('_', '-')}-linux-gnu"
        sys.exit(f"no g++ for {arch}: apt-get install {package}")
    return compiler, readelf


def file_of(compiler, name):
    """Where the compiler would find a library."""
    found = subprocess.run([compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True).stdout
    path = pathlib.Path(found.strip())
    if not path.is_absolute():
        sys.exit(f"{compiler} has no {name}")
    return path.resolve()


def make(folder, arch):
    """Fills the folder for a processor; the path of the toolchain file."""
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    compiler, readelf = compiler_for(arch)
    zig_stubs(folder, arch)
    symbols = [s for s in read_symbols(file_of(compiler, "libstdc++.so.6"), readelf) if allowed(s[1])]
    write_stub(folder / "libstdc++.so.6", symbols, compiler)
    shutil.copy(pathlib.Path(__file__).with_name("floor.h"), folder / "floor.h")
    floor = pathlib.Path(__file__).with_name("floor.c")
    command = [compiler, "-x", "c", "-c", "-O2", "-fPIC", "-fvisibility=hidden", floor, "-o", folder / "floor.o"]
    subprocess.run(command, check=True)
    subprocess.run([readelf.replace("readelf", "ar"), "rcs", folder / "libfloor.a", folder / "floor.o"], check=True)
    libraries = [folder / "libstdc++.so.6", file_of(compiler, "libstdc++.a"), file_of(compiler, "libgcc_s.so.1")]
    libraries += [file_of(compiler, "libgcc.a"), folder / "libfloor.a", *(folder / name for name in LIBRARIES)]
    libraries.append(file_of(compiler, "libc_nonshared.a"))  # pthread_atfork, which no newer port's library exports
    toolchain = folder / "toolchain.cmake"
    joined = " ".join(p.as_posix() for p in libraries)
    system = "" if arch == os.uname().machine else CROSS.format(arch=arch)
    text = TOOLCHAIN.format(system=system, compiler=compiler, folder=folder.as_posix(), libraries=joined)
    toolchain.write_text(text)
    return toolchain
