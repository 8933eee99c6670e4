# tests/embed/conftest.py -- the library built and installed, and data for the examples, once a session
import os
import pathlib
import sys

import pytest
from building import EXAMPLES, ROOT, build_examples, run


@pytest.fixture(scope="session")
def subdirectory(tmp_path_factory):
    """The examples by add_subdirectory, in a build that installs the library too."""
    folder = tmp_path_factory.mktemp("subdirectory")
    return build_examples(
        folder / "build", NHWC_FROM="subdirectory", NHWC_INSTALL="ON", CMAKE_INSTALL_PREFIX=folder / "prefix"
    )


@pytest.fixture(scope="session")
def prefix(request):
    """What was installed, moved to another place; NHWC_TEST_PREFIX names one that is there already."""
    if given := os.environ.get("NHWC_TEST_PREFIX"):
        return pathlib.Path(given)
    subdirectory = request.getfixturevalue("subdirectory")
    run("cmake", "--install", subdirectory)
    moved = subdirectory.parent / "moved"
    (subdirectory.parent / "prefix").rename(moved)
    return moved


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A photograph, and the digits network with its test, as the Python programs write them."""
    for package in ("nhwc", "skimage", "sklearn"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("data")
    run(sys.executable, EXAMPLES / "photograph.py", folder / "photo.ppm")
    train = ROOT / "examples" / "train_digits.py"
    run(sys.executable, train, "--epochs", 12, "--out", folder / "digits.png", "--save", folder / "digits")
    return folder
