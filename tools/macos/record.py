#!/usr/bin/env python3
# tools/macos/record.py -- writes exports.txt: what libraries of macOS export, as published wheels bear witness
"""python tools/macos/record.py WHEEL...

Frameworks cannot be had without a Mac, but every macOS wheel names the symbols that it takes from them, library by
library, and the oldest macOS that it runs on: a symbol that it needs there is exported there. Of each symbol the oldest
such version is kept; "weak" where wheels only ask whether it is there. Wheels come from

    pip download --no-deps --only-binary=:all: --platform macosx_13_0_arm64 --python-version 3.12 NAME==VERSION
"""

import argparse
import pathlib
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from macos import macho  # noqa: E402

RECORD = HERE / "exports.txt"
FRAMEWORKS = "/System/Library/Frameworks/"
LIBRARIES = {
    "c++": "/usr/lib/libc++.1.dylib",
    "objc": "/usr/lib/libobjc.A.dylib",
    "System": "/usr/lib/libSystem.B.dylib",
    "Accelerate": FRAMEWORKS + "Accelerate.framework/Versions/A/Accelerate",
    "CoreFoundation": FRAMEWORKS + "CoreFoundation.framework/Versions/A/CoreFoundation",
    "CoreGraphics": FRAMEWORKS + "CoreGraphics.framework/Versions/A/CoreGraphics",
    "Foundation": FRAMEWORKS + "Foundation.framework/Versions/C/Foundation",
    "IOKit": FRAMEWORKS + "IOKit.framework/Versions/A/IOKit",
    "IOSurface": FRAMEWORKS + "IOSurface.framework/Versions/A/IOSurface",
    "Metal": FRAMEWORKS + "Metal.framework/Versions/A/Metal",
    "QuartzCore": FRAMEWORKS + "QuartzCore.framework/Versions/A/QuartzCore",
}
NAMES = {path: name for name, path in LIBRARIES.items()}
# Older than any wheel shows, or taken by none of them. C++: LLVM's own list of what libc++ exports on arm64 Macs
# (libcxx/lib/abi) has had them since before there was such a Mac. Metal: of macOS 10.13, after Apple's documentation.
STRING = "__ZNSt3__112basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEE"
OLDER = {
    "c++": {
        STRING + "4nposE",
        STRING + "21__grow_by_and_replaceEmmmmmmPKc",
        STRING + "C2ERKS5_mmRKS4_",
        "__ZNSt12out_of_rangeD2Ev",
        "__ZNSt16invalid_argumentD2Ev",
        "__ZNSt3__111timed_mutex6unlockEv",
        "__ZNSt3__111timed_mutex8try_lockEv",
        "__ZNSt3__111timed_mutexC1Ev",
        "__ZNSt3__14__fs10filesystem8__renameERKNS1_4pathES4_PNS_10error_codeE",
    },
    "Metal": {"_MTLCopyAllDevicesWithObserver", "_MTLRemoveDeviceObserver"},
}
WEAK = (99, 0)  # later than every version
TITLE = "# tools/macos/exports.txt -- symbols of macOS libraries with the oldest version where a wheel needs them"


def images(wheel):
    """The arm64 images for macOS in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:  # libraries and programs, whatever they are called
                start = file.read(4)
                data = start + file.read() if macho.is_macho(start) else b""
            for part in macho.slices(data) if data else ():
                if macho.cpu_of(part) == macho.CPU_ARM64:
                    image = macho.read_image(part)
                    if image.platform == macho.PLATFORM_MACOS:
                        yield image


def witnessed(wheels):
    """{library: {symbol: oldest version}}."""
    found = {name: {} for name in LIBRARIES}
    for wheel in wheels:
        for image in images(wheel):
            for i in image.imports:
                if i.library in NAMES:
                    symbols = found[NAMES[i.library]]
                    seen = WEAK if i.weak else image.min_version
                    symbols[i.symbol] = min(seen, symbols.get(i.symbol, WEAK))
    return found


def version_text(version):
    return "weak" if version == WEAK else f"{version[0]}.{version[1]}"


def write(found, wheels):
    lines = [TITLE, "# Written by tools/macos/record.py from", *(f"#   {w.name}" for w in sorted(wheels))]
    for name, symbols in found.items():
        if symbols:
            lines += ["", f"[{name}]", *(f"{symbol} {version_text(v)}" for symbol, v in sorted(symbols.items()))]
    RECORD.write_text("\n".join(lines) + "\n")


def read():
    """{library: {symbol: oldest version, or WEAK}} of exports.txt and OLDER."""
    found, symbols = {}, None
    for line in RECORD.read_text().splitlines():
        if line.startswith("["):
            symbols = found.setdefault(line[1:-1], {})
        elif line and not line.startswith("#"):
            symbol, seen = line.rsplit(" ", 1)
            symbols[symbol] = WEAK if seen == "weak" else tuple(map(int, seen.split(".")))
    for name, older in OLDER.items():
        found[name] |= dict.fromkeys(older, (11, 0))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="+", type=pathlib.Path, help="wheels for macOS on arm64")
    args = parser.parse_args()
    found = witnessed(args.wheels)
    write(found, args.wheels)
    for name, symbols in found.items():
        print(f"{name:15} {len(symbols):5} symbols")


if __name__ == "__main__":
    sys.exit(main())
