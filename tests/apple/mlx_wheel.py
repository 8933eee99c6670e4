# tests/apple/mlx_wheel.py -- MLX's wheel for macOS, with its kernels and Apple's metal-cpp: fetched once, kept out of
# this project
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import build_cache

WHEEL = "mlx-metal==0.32.4"


class FetchError(Exception):
    """Why the wheel cannot be had."""


def unpacked():
    """The folder of the unpacked wheel, from the cache where it is there; NHWC_MLX_METAL names another.

    Raises: FetchError.
    """
    if named := os.environ.get("NHWC_MLX_METAL"):
        return pathlib.Path(named)
    folder = build_cache.root() / WHEEL.replace("==", "-")
    with build_cache.locked(folder.with_name(f"{folder.name}.lock")):
        if build_cache.claim(folder):
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent) as build:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
            command += ["--timeout=20", "--retries=1", "--platform", "macosx_14_0_arm64", "-d", build, WHEEL]
            done = subprocess.run(command, capture_output=True, text=True)
            wheels = list(pathlib.Path(build).glob("*.whl"))
            if done.returncode or not wheels:
                raise FetchError(f"{WHEEL} cannot be fetched: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            zipfile.ZipFile(wheels[0]).extractall(pathlib.Path(build) / "unpacked")
            (pathlib.Path(build) / "unpacked").rename(folder)
    return folder


def mlx_folder():
    """unpacked(), of which a test is skipped where the wheel cannot be had."""
    import pytest

    try:
        return unpacked()
    except FetchError as error:
        pytest.skip(str(error))


def mlx_include():
    return mlx_folder() / "mlx" / "include"
