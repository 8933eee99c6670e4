# python/nhwc/__main__.py -- python -m nhwc: what is installed, and what it found on this machine
"""Prints the version, the build and the machine: ``python -m nhwc info``. And where C++ programs find the library."""

import argparse
import pathlib
import platform
import sys

import nhwc
from nhwc import _core


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _sections() -> list[tuple[str, list[tuple[str, str]]]]:
    info = _core._info()
    build, cpu, memory = info["build"], info["cpu"], info["memory"]
    return [
        (
            "nhwc",
            [
                ("version", nhwc.__version__),
                ("module", _core.__file__),
                ("python", f"{platform.python_implementation()} {platform.python_version()}"),
                ("compiler", f"{build['compiler']}, C++{build['c++']}, assertions {build['assertions']}"),
            ],
        ),
        (
            "cpu",
            [
                ("model", f"{cpu['model']} ({cpu['vendor']})"),
                ("family", cpu["family"]),
                ("features", " ".join(cpu["features"])),
                ("caches", f"L1d {cpu['l1d'] >> 10} KiB, L2 {cpu['l2'] >> 10} KiB, L3 {cpu['l3'] >> 10} KiB"),
                ("instruction sets", " ".join(cpu["instruction_sets"])),
                ("in use", cpu["instruction_set_used"]),
                ("threads", f"{cpu['threads']} of {cpu['cpus']}"),
            ],
        ),
        (
            "devices",
            [(device, "default" if device == info["default_device"] else "") for device in info["devices"]]
            + [("gpu", info["gpu"])],
        ),
        (
            "memory",
            [
                ("active, peak", f"{_mebibytes(memory['active'])}, {_mebibytes(memory['peak'])}"),
                ("cache", _mebibytes(memory["cache"])),
                ("limit", _mebibytes(memory["limit"])),
                ("workspace limit", _mebibytes(memory["workspace_limit"])),
            ],
        ),
        ("environment", [(f"{name}={value}", meaning) for name, value, meaning in info["environment"]]),
    ]


def _print_info() -> None:
    for title, rows in _sections():
        print(title)
        width = max(len(key) for key, _ in rows)
        for key, value in rows:
            print(f"  {key:{width}}  {value}".rstrip())


# What a build system asks for: the folder beside the module, and a file in it.
_FOLDERS = {
    "cmake-dir": ("lib/cmake/nhwc", "nhwc-config.cmake", "for CMake: -Dnhwc_DIR=$(python -m nhwc --cmake-dir)"),
    "include-dir": ("include", "nhwc/nhwc.h", "the headers"),
    "pkgconfig-dir": ("lib/pkgconfig", "nhwc.pc", "for pkg-config: PKG_CONFIG_PATH=$(python -m nhwc --pkgconfig-dir)"),
}


def _print_folder(name: str) -> int:
    place, file, _ = _FOLDERS[name]
    folder = pathlib.Path(_core.__file__).parent / place
    if not (folder / file).exists():
        print(f"{folder} is not there: only an installed wheel has the C++ library in it", file=sys.stderr)
        return 1
    print(folder.as_posix())
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The arguments after ``python -m nhwc``; default: the process's.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m nhwc", description=__doc__)
    parser.add_argument("--version", action="version", version=f"nhwc {nhwc.__version__}")
    parser.add_argument("command", nargs="?", choices=["info"], help="info: print the build and the machine")
    for name, (_, _, help_text) in _FOLDERS.items():
        parser.add_argument(
            f"--{name}", action="store_const", const=name, dest="folder", help=f"print the folder: {help_text}"
        )
    options = parser.parse_args(arguments)
    if options.folder:
        return _print_folder(options.folder)
    if options.command is None:
        parser.print_help()
        return 2
    _print_info()
    return 0


if __name__ == "__main__":
    sys.exit(main())
