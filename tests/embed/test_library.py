# tests/embed/test_library.py -- what a program gets with the library: no work at load, no allocations, few bytes
import re
import subprocess
import sys

import pytest
from building import ROOT, configure, pkg_config, run

PROGRAMS = ROOT / "tests" / "embed" / "programs"


def compile_program(name, prefix, to, *flags):
    (folder,) = {path.parent for path in prefix.rglob("nhwc.pc")}
    libraries = pkg_config(folder, "--cflags", "--libs")
    run("c++", "-std=c++20", "-O1", "-Wall", "-Wextra", PROGRAMS / f"{name}.cpp", "-o", to / name, *flags, *libraries)
    return to / name


def test_nothing_happens_at_load(prefix, tmp_path):
    said = run(compile_program("load", prefix, tmp_path))
    assert said == "1 thread at load, 1 after a small convolution, 0 bytes held\n"


def test_the_archive_has_no_global_constructors(prefix):
    (library,) = prefix.rglob("libnhwc.a")
    sections = subprocess.run(["readelf", "-SW", library], capture_output=True, text=True, check=True).stdout
    assert ".text" in sections
    assert not re.findall(r"\.(?:init_array|ctors|preinit_array)\S*", sections)


def test_a_plan_that_has_run_allocates_nothing(prefix, tmp_path):
    said = run(compile_program("no_allocation", prefix, tmp_path))
    assert "\n0 plans allocate" in said, said


TWO_COPIES = """
import ctypes, sys
def load_plugin():
    plugin = ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)  # what it exported would come before the module's own
    plugin.plugin_workspace.restype = plugin.plugin_active_memory.restype = ctypes.c_size_t
    plugin.plugin_convolve.restype = ctypes.c_double
    plugin.plugin_set_workspace.argtypes = [ctypes.c_size_t]
    return plugin
if sys.argv[2] == "plugin first":
    plugin = load_plugin()
import nhwc as mx
if sys.argv[2] != "plugin first":
    plugin = load_plugin()
plugin.plugin_set_workspace(5 << 20)
mx.set_workspace_limit(7 << 20)
assert (plugin.plugin_workspace(), mx.get_workspace_limit()) == (5 << 20, 7 << 20)
kept = mx.ones((1 << 20,)) * 3
mx.eval(kept)
assert plugin.plugin_active_memory() < 1 << 20 < mx.get_active_memory()
assert plugin.plugin_convolve(6) == 4 * 4 * 2 * 36
assert mx.sum(mx.conv2d(mx.ones((1, 6, 6, 4)), mx.ones((2, 3, 3, 4)))).item() == 4 * 4 * 2 * 36
"""


@pytest.mark.parametrize("order", ["plugin first", "module first"])
def test_two_copies_in_a_process_share_nothing(prefix, tmp_path, order):
    pytest.importorskip("nhwc")
    plugin = compile_program("plugin", prefix, tmp_path, "-shared", "-fPIC")
    exported = run("nm", "-D", "--defined-only", "-C", plugin)
    assert "plugin_convolve" in exported
    # Of std's templates those of our types are visible, as libstdc++ has it.
    assert not re.findall(r"^\w+ \w (?:[a-z ]+ for )?nhwc::.*", exported, re.MULTILINE)
    run(sys.executable, "-c", TWO_COPIES, plugin, order)


LIMITS = {  # bytes of a stripped program that uses conv2d alone, C and C++ libraries apart
    "all": 1_000_000,
    "avx2": 700_000,
}


@pytest.mark.parametrize("isas", LIMITS)
def test_a_minimal_program(tmp_path, isas):
    configure(ROOT, tmp_path / "build", NHWC_MINIMAL="ON", NHWC_ISAS=isas, CMAKE_INSTALL_PREFIX=tmp_path / "prefix")
    run("cmake", "--build", tmp_path / "build", "--target", "install")
    (library,) = (tmp_path / "prefix").rglob("libnhwc.a")
    names = run("nm", "-C", "--defined-only", library)
    assert "nhwc::ConvPlan::run" in names
    assert "nhwc::Array" not in names
    program = compile_program("minimal", tmp_path / "prefix", tmp_path, "-Wl,--gc-sections", "-s")
    assert run(program) == "4 9\n"
    print(f"NHWC_ISAS={isas}: archive {library.stat().st_size} bytes, program {program.stat().st_size} bytes")
    assert program.stat().st_size <= LIMITS[isas]


def test_instruction_sets_that_are_not_there_are_refused(tmp_path):
    def said(**definitions):  # CMake breaks lines
        return " ".join(configure(ROOT, tmp_path / "build", succeeds=False, **definitions).split())

    assert "NHWC_ISAS has sse9; expected all" in said(NHWC_ISAS="sse9")
    assert "NHWC_ISAS has avx512bf16, which is a part of avx512; add that" in said(NHWC_ISAS="avx512bf16")
    assert "turn those off" in said(NHWC_MINIMAL="ON", NHWC_TESTS="ON", NHWC_ISAS="all")
