# tests/embed/building.py -- runs compilers and CMake for the tests here
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "cpp"


def run(*command, cwd=None, env=None, succeeds=True):
    """The output of a command, both streams."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == succeeds, f"{command}\n{done.stdout[-5000:]}"
    return done.stdout


def configure(source, build, succeeds=True, **definitions):
    if shutil.which("ccache"):
        definitions.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")
    options = [f"-D{name}={value}" for name, value in definitions.items()]
    return run("cmake", "-G", "Ninja", "-S", source, "-B", build, *options, succeeds=succeeds)


def build_examples(build, **definitions):
    configure(EXAMPLES, build, **definitions)
    run("cmake", "--build", build)
    return build


def pkg_config(folder, *arguments):
    return run("pkg-config", *arguments, "nhwc", env={"PKG_CONFIG_PATH": str(folder)}).split()


def wheel_folder(kind):
    done = subprocess.run([sys.executable, "-m", "nhwc", f"--{kind}-dir"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no installed wheel: {done.stderr.strip()}")
    return pathlib.Path(done.stdout.strip())
