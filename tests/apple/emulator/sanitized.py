#!/usr/bin/env python3
# tests/apple/emulator/sanitized.py -- runs a command in which kernels are compiled with a sanitizer
"""sanitized.py asan|tsan COMMAND...   e.g. sanitized.py tsan python -m pytest tests/apple/test_mlx_kernels.py

Needs clang with its sanitizers' runtimes (NHWC_EMULATOR_CXX, or clang++-19 on the path).
"""

import os
import pathlib
import shutil
import subprocess
import sys

OPTIONS = {
    # Python's own allocations are no business of these runs.
    "asan": {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"},
    "tsan": {"TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0"},
}


def compiler():
    return os.environ.get("NHWC_EMULATOR_CXX") or shutil.which("clang++-19")


def runtime(mode):
    """The sanitizer's shared runtime; None where there is none."""
    cxx = compiler()
    if not cxx or not shutil.which(cxx):
        return None
    name = f"libclang_rt.{mode}-x86_64.so"
    done = subprocess.run([cxx, f"-print-file-name={name}"], capture_output=True, text=True)
    path = pathlib.Path(done.stdout.strip())
    return path if path.is_absolute() and path.exists() else None


def environment(mode):
    """The environment of a process whose kernels have the sanitizer."""
    return {
        **os.environ,
        **OPTIONS[mode],
        "LD_PRELOAD": str(runtime(mode)),
        "NHWC_EMULATOR_CXX": compiler(),
        "NHWC_EMULATOR_MODE": mode,
    }


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in OPTIONS:
        sys.exit(__doc__)
    mode = sys.argv[1]
    if not runtime(mode):
        sys.exit(f"no {mode} runtime: install clang-19 and libclang-rt-19-dev, or set NHWC_EMULATOR_CXX")
    # The core is compiled without the runtime in its process: the compiler need not run under it.
    here = pathlib.Path(__file__).resolve().parent
    prepare = f"import sys; sys.path.insert(0, {str(here)!r}); import emu; emu.core(); emu.toolchain.prepared({mode!r})"
    plain = {k: v for k, v in environment(mode).items() if k != "LD_PRELOAD"}
    subprocess.run([sys.executable, "-c", prepare], env=plain, check=True)
    os.execvpe(sys.argv[2], sys.argv[2:], environment(mode))


if __name__ == "__main__":
    main()
