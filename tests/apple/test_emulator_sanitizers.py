# tests/apple/test_emulator_sanitizers.py -- kernels compiled with ASan and TSan: clean ones pass, defects are reported
import pathlib
import subprocess
import sys

import pytest
import sanitized

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = """
import sys
sys.path[:0] = [{here!r}, {here!r} + "/emulator"]
import emu, test_emulator_check, test_emulator_igemm
library = emu.Library(test_emulator_igemm.SOURCE, define=["DEFECT={defect}"])
for seed in range(3):
    try:
        test_emulator_igemm.run_igemm(library, "igemm_half_32x64x16", seed=seed)
    except AssertionError:
        pass
print("finished")
"""


def run(mode, defect):
    if not sanitized.runtime(mode):
        pytest.skip(f"no {mode} runtime: needs clang-19 and libclang-rt-19-dev")
    program = PROGRAM.format(here=str(HERE), defect=defect)
    command = [sys.executable, HERE / "emulator" / "sanitized.py", mode, sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("mode", ["asan", "tsan"])
def test_sound_kernel_passes(mode):
    done = run(mode, 0)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "finished" in done.stdout


@pytest.mark.parametrize(
    ("mode", "defect", "what", "line"),
    [
        ("asan", 3, "use-after-poison", "a_tile[row * LA + column +"),
        ("asan", 4, "heap-buffer-overflow", "return x[((n"),
        ("asan", 9, "heap-buffer-overflow", "y[(m0 + row)"),
        ("tsan", 1, "data race", "a_tile[row * LA + column +"),
        ("tsan", 2, "data race", "a_tile[row * LA + column +"),
        ("tsan", 8, "data race", "float v = c_tile"),
    ],
)
def test_defect_is_reported(mode, defect, what, line):
    done = run(mode, defect)
    assert "finished" not in done.stdout
    assert done.returncode
    assert f"Sanitizer: {what}" in done.stderr, done.stderr[-2000:]
    source = (HERE / "kernels" / "igemm.metal").read_text().splitlines()
    number = next(i for i, text in enumerate(source, 1) if line in text)
    assert f"igemm.metal:{number}:" in done.stderr
