# bench/peak.py -- the machine's peak of multiply-adds and its memory bandwidth, measured by peak.cpp
import os
import pathlib
import subprocess
import tempfile
from typing import NamedTuple

SOURCE = pathlib.Path(__file__).with_name("peak.cpp")


class Peak(NamedTuple):
    bits: int  # of a vector
    gflops: float  # float32, of all threads together
    bandwidth: float  # GB/s, reading


def measure_peak(thread_counts, isa=None):
    """{threads: Peak}, with this instruction set at most; empty without a C++ compiler."""
    common = [os.environ.get("CXX", "c++"), "-std=c++17", "-O3", "-march=native", "-ffast-math", "-pthread"]
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "peak"
        flags = [["-march=haswell"]] if isa == "avx2" else [["-mprefer-vector-width=512"], []]
        for more in flags:
            try:
                command = [*common, *more, SOURCE, "-o", program]
                if subprocess.run(command, capture_output=True, check=False).returncode:
                    continue
                command = [program, *map(str, thread_counts)]
                lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            except (OSError, subprocess.CalledProcessError):
                return {}
            rows = [line.split() for line in lines]
            return {int(t): Peak(int(bits), float(gflops), float(speed)) for t, bits, gflops, speed in rows}
    return {}
