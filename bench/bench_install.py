#!/usr/bin/env python3
# bench/bench_install.py -- how long a wheel takes from the file to the first convolution, and what its import costs
"""python bench/bench_install.py WHEEL [--repeat N]

Makes a virtual environment with NumPy in it, then times: `pip install WHEEL`, with the first convolution after it (3
s are allowed), and `import nhwc` in fresh processes beyond `import numpy` (50 ms; medians). Reports, judges nothing."""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import venv

FIRST = "import nhwc as mx; print(mx.conv2d(mx.ones((1, 32, 32, 3)), mx.ones((8, 3, 3, 3))).tolist()[0][0][0][0])"


def seconds(*command):
    begun = time.perf_counter()
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=15, help="imports of each kind (default: 15)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = pathlib.Path(folder) / "bin" / "python"
        seconds(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy")
        install = seconds(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", args.wheel)
        first = seconds(python, "-c", FIRST)
        alone, both = [], []
        for _ in range(args.repeat):
            alone.append(seconds(python, "-c", "import numpy"))
            both.append(seconds(python, "-c", "import numpy, nhwc"))
    print(f"to the first convolution: {install + first:.2f} s (pip install {install:.2f}, its process {first:.2f})")
    print(f"import beyond NumPy's: {1e3 * (statistics.median(both) - statistics.median(alone)):.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
