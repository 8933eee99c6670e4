# tools/linux/check.py -- what a Linux wheel has to hold: sizes, contents, versions of symbols, an archive of g++'s
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

from . import sysroot

MB = 1_000_000
WHEEL_LIMITS = {"x86_64": 6 * MB, "aarch64": 5 * MB}
MODULE_LIMIT = 3 * MB
CONTENTS = {
    "module": r"nhwc/_core\.(abi3|cpython-\d+t?-\w+-linux-gnu)\.so",
    "types": r"nhwc/_core/__init__\.pyi",
    "py.typed": r"nhwc/py\.typed",
    "archive": r"nhwc/lib/libnhwc\.a",
    "headers": r"nhwc/include/nhwc/nhwc\.h",
    "CMake package": r"nhwc/.*/nhwc-config\.cmake",
    "pkg-config file": r"nhwc/.*/nhwc\.pc",
    "licence": r"nhwc-[\w.]+\.dist-info/licenses/LICENSE",
    "licence of nanobind": r"nhwc-[\w.]+\.dist-info/licenses/nanobind/LICENSE",
    "licence of robin_map": r"nhwc-[\w.]+\.dist-info/licenses/robin_map/LICENSE",
    "bill of materials": r"nhwc-[\w.]+\.dist-info/sboms/nhwc\.cdx\.json",
}
SYSTEM = {"libstdc++.so.6", "libgcc_s.so.1", "libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"}


def versions(readelf, module):
    """{GLIBC_2.17, ...} that a module asks for."""
    text = subprocess.run([readelf, "--version-info", "--wide", module], check=True, capture_output=True, text=True)
    return set(re.findall(r"Name: (\w+_[\d.]+)\b", text.stdout))


def too_new(version):
    name, _, numbers = version.partition("_")
    parts = tuple(int(n) for n in numbers.split("."))
    return (name == "GLIBC" and parts > sysroot.GLIBC) or (name in sysroot.FLOORS and not sysroot.allowed(version))


def check_module(path, arch):
    """[(what, figure, right?)] of the extension module."""
    readelf = sysroot.compiler_for(arch)[1]
    asked = versions(readelf, path)
    text = subprocess.run([readelf, "--dynamic", "--wide", path], check=True, capture_output=True, text=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", text))
    foreign = {n for n in needed - SYSTEM if not n.startswith("ld-linux")}
    symbols = subprocess.run([readelf, "--dyn-syms", "--wide", path], check=True, capture_output=True, text=True).stdout
    exported = set(re.findall(r"(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+ (\S+)", symbols))
    unknown = set(re.findall(r"GLOBAL\s+DEFAULT\s+UND ((?!_?Py)\w+)$", symbols, re.M))  # a library's have versions
    unknown -= {"__tls_get_addr"}  # the loader's own, which is no library of the link
    newest = max((v for v in asked if v.startswith("GLIBC_")), key=lambda v: [int(n) for n in v[6:].split(".")])
    return [
        ("module, bytes", path.stat().st_size, path.stat().st_size < MODULE_LIMIT),
        ("newest glibc it asks for", newest, not any(map(too_new, asked))),
        ("libraries it needs", ", ".join(sorted(needed)), not foreign),
        ("symbols that no library has", ", ".join(sorted(unknown)) or "none", not unknown),
        ("symbols it exports", ", ".join(sorted(exported)), exported == {"PyInit__core"}),
    ]


def check_contents(names):
    rows = []
    for what, pattern in CONTENTS.items():
        found = [n for n in names if re.fullmatch(pattern, n)]
        rows.append((what, found[0] if found else f"nothing like {pattern}", bool(found)))
    return rows


def report(wheel):
    """Prints what was looked at; 1 where something is wrong."""
    arch = next((a for a in WHEEL_LIMITS if wheel.stem.endswith(a)), None)
    if not arch:
        sys.exit(f"{wheel.name} is no Linux wheel of {' or '.join(WHEEL_LIMITS)}")
    size = wheel.stat().st_size
    rows = [("wheel, bytes", size, size < WHEEL_LIMITS[arch])]
    with zipfile.ZipFile(wheel) as z, tempfile.TemporaryDirectory() as folder:
        rows += check_contents(z.namelist())
        for name in z.namelist():
            if re.fullmatch(CONTENTS["module"], name):
                rows += check_module(pathlib.Path(z.extract(name, folder)), arch)
    for what, figure, right in rows:
        print(f"{'ok   ' if right else 'WRONG'}  {what}: {figure}")
    return int(not all(right for *_, right in rows))
