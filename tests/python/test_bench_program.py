# tests/python/test_bench_program.py -- bench/compare.py as it is called: what it refuses, what it prints and writes
import os
import pathlib
import subprocess
import sys

import pytest
from seed import SEED

import nhwc as mx

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
if not BENCH.is_dir():
    pytest.skip("not in a checkout", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import contenders  # noqa: E402
import workers  # noqa: E402


def run_compare(*args):
    folder = pathlib.Path(mx.__file__).absolute().parents[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(BENCH / "compare.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--class", "nonsense"], "unknown class nonsense; there are 3x3_stride1, strided_stems_patches"),
        (["--peers", "torch,caffe"], "unknown peer caffe; there are torch, onnxruntime"),
        (["--threads", "0"], "expected at least 1"),
        (["--threads", "100000"], "this process may use"),
        (["--only", "no such network"], "no shape holds"),
        (["--random", "3", "--class", "1x1"], "neither --class nor --only"),
        (["--seed", "3"], "--seed belongs to --random"),
        (["--csv", "no/such/folder/raw.csv"], "there is no folder for"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--device", "gpu", "--threads", "1"], "--threads and --isa are of the CPU"),
        (["--device", "gpu", "--isa", "avx2"], "--threads and --isa are of the CPU"),
        (["--device", "gpu", "--peers", "torch,jax"], "--device gpu: jax cannot compute there"),
    ],
)
def test_wrong_arguments(args, says):
    done = run_compare(*args)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.skipif(mx.metal.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named():
    done = run_compare("--device", "gpu")
    assert done.returncode == 2
    assert "--device gpu: nhwc finds no GPU: " in done.stderr
    for name in ("mlx", "torch"):
        if not contenders.missing_modules(name) and sys.platform == "linux":
            with pytest.raises(contenders.NoDevice, match=f"{name} finds no GPU: "):
                contenders.ALL[name](workers.GPU)


def test_contenders_of_the_gpu():
    assert {n for n, c in contenders.PEERS.items() if "gpu" in c.devices} == {"mlx", "torch"}


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_check_of_random_shapes(tmp_path):
    pytest.importorskip("tqdm")
    args = ["--check", "--random", 3, "--seed", SEED, "--threads", 1, "--peers", "torch"]
    done = run_compare(*args)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"--seed {SEED}" in done.stdout
    assert "nhwc              3 results" in done.stdout
    assert "every error is at most" in done.stdout


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_comparison(tmp_path):
    pytest.importorskip("tqdm")
    files = ["--csv", tmp_path / "raw.csv", "--markdown", tmp_path / "table.md"]
    done = run_compare(
        "--only", "squeeze", "--threads", 1, "--peers", "torch", "--seconds", 0.01, "--blocks", 2, *files
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "EfficientNet squeeze" in done.stdout
    assert "1x1" in (tmp_path / "table.md").read_text()
    assert "nhwc" in (tmp_path / "raw.csv").read_text()
    assert "shape" in done.stderr  # the progress bar
