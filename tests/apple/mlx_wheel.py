# tests/apple/mlx_wheel.py -- MLX's published kernels, from its wheel for macOS: fetched once, kept out of this project
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

import pytest
import toolchain

WHEEL = "mlx-metal==0.32.4"


def mlx_folder():
    """The unpacked wheel: mlx/include, mlx/lib/mlx.metallib. Skips the test where it cannot be had.

    NHWC_MLX_METAL names a folder that has it already.
    """
    if named := os.environ.get("NHWC_MLX_METAL"):
        return pathlib.Path(named)
    folder = toolchain.cache_root() / WHEEL.replace("==", "-")
    with toolchain.locked(folder.with_suffix(".lock")):
        if folder.exists():
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent) as build:
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary=:all:",
                "--timeout=20",
            ]
            command += ["--retries=1", "--platform", "macosx_14_0_arm64", "-d", build, WHEEL]
            done = subprocess.run(command, capture_output=True, text=True)
            wheels = list(pathlib.Path(build).glob("*.whl"))
            if done.returncode or not wheels:
                last = (done.stderr.strip().splitlines() or ["?"])[-1]
                pytest.skip(f"{WHEEL} cannot be fetched: {last}")
            unpacked = pathlib.Path(build) / "unpacked"
            zipfile.ZipFile(wheels[0]).extractall(unpacked)
            shutil.move(unpacked, folder)
    return folder


def mlx_include():
    return mlx_folder() / "mlx" / "include"
