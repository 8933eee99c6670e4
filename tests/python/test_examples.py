# tests/python/test_examples.py -- the programs that a user would start from run, learn, and draw what they learned
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


def run(name, *args):
    command = [sys.executable, str(EXAMPLES / name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def check_picture(path):
    pyplot = pytest.importorskip("matplotlib.image")
    picture = pyplot.imread(path)
    assert picture.shape[0] > 300
    assert picture.shape[1] > 600
    assert picture[..., :3].std() > 0.05  # not blank


def test_train_digits(tmp_path):
    for package in ("sklearn", "matplotlib", "tqdm"):
        pytest.importorskip(package)
    done = run("train_digits.py", "--epochs", 12, "--out", tmp_path / "digits.png")
    last = done.stdout.strip().splitlines()[-1]
    found = re.fullmatch(r"test accuracy: (\d+\.\d) %", last)
    assert found, last
    assert float(found[1]) >= 97
    assert "training" in done.stderr  # the progress bar
    check_picture(tmp_path / "digits.png")


def test_denoise(tmp_path):
    for package in ("skimage", "matplotlib", "tqdm"):
        pytest.importorskip(package)
    done = run("denoise.py", "--steps", 120, "--width", 16, "--out", tmp_path / "denoised.png")
    gain = re.search(r"gain (-?\d+\.\d+) dB", done.stdout)
    assert gain, done.stdout
    assert float(gain[1]) >= 3
    check_picture(tmp_path / "denoised.png")


@pytest.mark.parametrize("name", ["train_digits.py", "denoise.py"])
def test_bad_arguments_are_refused(name):
    for bad in (["--batch", "0"], ["--no-such"]):
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), *bad], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert "usage:" in done.stderr
