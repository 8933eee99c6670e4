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
    # Only kernels are instrumented: what other threads of the process do is not seen, nor how they wait for another.
    "tsan": {"TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0:ignore_noninstrumented_modules=1"},
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
    # What is compiled here is not instrumented, and the compiler need not run under the sanitizer either.
    here = pathlib.Path(__file__).resolve().parent
    prepare = f"""
import os, sys
sys.path[:0] = [{str(here)!r}, {str(here.parent)!r}]
import build_runtime, emu
emu.core()
emu.toolchain.prepared({mode!r})
print(os.environ.get("NHWC_GPU_RUNTIME") or build_runtime.build())
"""
    inside = environment(mode)
    plain = {k: v for k, v in inside.items() if k != "LD_PRELOAD"}
    done = subprocess.run([sys.executable, "-c", prepare], env=plain, check=True, stdout=subprocess.PIPE, text=True)
    os.execvpe(sys.argv[2], sys.argv[2:], inside | {"NHWC_GPU_RUNTIME": done.stdout.split()[-1]})


if __name__ == "__main__":
    main()
