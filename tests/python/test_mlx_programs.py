# tests/python/test_mlx_programs.py -- published MLX programs, unchanged but for what they import, beside mlx's own run
"""They come from PyPI: ``pip install --no-deps mlx-image==0.1.10 diffuse-mlx==0.1.2 mlx-audio==0.6.2``; what is not
installed is skipped. Three more are mlx-examples', of which MLX_EXAMPLES names a copy. Each runs in a process of its
own (``mlx_programs.py``), on nhwc and on mlx, from the same seed."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import mlx_programs
import nhwc

HERE = pathlib.Path(__file__).resolve().parent
# Error relative to the size of an array. It is rounding; a unit of a ReLU whose input is within rounding of zero is on
# in one library and off in the other, which gradients show, the more the deeper the network. Of EnCodec's group
# normalisation over a second of sound mlx's sums are the less exact ones: nhwc is 1.6e-6 from float64, mlx 2.5e-4.
KINDS = ("gradient.", "running ")
TOLERANCE = {"cifar": 0.1, "codecs": 5e-3, "encodec example": 1e-3}


def run(library, program, folder):
    (folder / library).mkdir()
    file = folder / library / "results.npz"
    paths = [str(pathlib.Path(nhwc.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, HERE / "mlx_programs.py", library, program, file],
        capture_output=True, text=True, timeout=600, cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )  # fmt: skip
    assert done.returncode == 0, f"{program} on {library}:\n{done.stdout}{done.stderr}"
    with np.load(file) as results:
        return dict(results)


def size(a):
    """Of what varies in an array: an error must not hide behind a mean."""
    a = np.asarray(a, np.float64)
    return float(np.linalg.norm(a - a.mean() if a.size > 1 else a))


def compare(ours, theirs, tolerance):
    assert list(ours) == list(theirs)
    # Rounding is all there is of the gradient of a bias before a batch normalisation, and of the mean of its results:
    # small ones count as parts of the whole.
    whole = {kind: np.hypot.reduce([size(a) for name, a in theirs.items() if kind in name]) for kind in KINDS}
    for name, a in theirs.items():
        assert ours[name].shape == a.shape, name
        assert ours[name].dtype == a.dtype, name
        if not np.issubdtype(a.dtype, np.floating):  # codes: the nearest of two that are as near as rounding
            assert np.mean(ours[name] == a) > 0.98, name
            continue
        assert np.isfinite(a).all(), name
        least = [1e-6, *(1e-3 * total for kind, total in whole.items() if kind in name)]
        error = float(np.linalg.norm(ours[name].astype(np.float64) - a)) / max(size(a), *least)
        assert error < tolerance, f"{name}: {error:.2g}"


@pytest.mark.parametrize("program", mlx_programs.PROGRAMS)
def test_program_computes_what_it_does_on_mlx(program, tmp_path):
    _, package = mlx_programs.PROGRAMS[program]
    if package is None and "MLX_EXAMPLES" not in os.environ:
        pytest.skip("MLX_EXAMPLES names no copy of mlx-examples")
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    pytest.importorskip("mlx.core")
    ours, theirs = (run(library, program, tmp_path) for library in ("nhwc", "mlx"))
    print(f"{program}: {len(theirs)} arrays")
    compare(ours, theirs, TOLERANCE.get(program, 1e-3 if "gradient" in str(list(theirs)) else 1e-4))


def test_the_comparison_sees_a_difference():
    rng = np.random.default_rng(0)
    theirs = {
        "y": rng.standard_normal(9),
        "gradient.w": np.arange(3.0),
        "gradient.b": np.zeros(3),
        "codes": np.arange(9),
    }
    compare(theirs, theirs, 1e-9)
    compare({**theirs, "gradient.b": np.full(3, 1e-8)}, theirs, 1e-4)
    changes = [
        ("y", 1.01 * theirs["y"]),
        ("gradient.b", np.full(3, 1e-3)),
        ("codes", np.zeros(9, int)),
        ("y", np.ones(3)),
    ]
    for name, wrong in changes:
        with pytest.raises(AssertionError, match=name):
            compare({**theirs, name: wrong}, theirs, 1e-3)
