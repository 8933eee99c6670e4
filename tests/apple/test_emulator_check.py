# tests/apple/test_emulator_check.py -- planted defects are named by --mode check, in one run, with the .metal line
import re

import emu
import numpy as np
import pytest
from test_emulator_igemm import SOURCE, run_igemm


def line_of(text):
    """The first line of the source that contains a text."""
    return next(i for i, line in enumerate(SOURCE.read_text().splitlines(), 1) if text in line)


TILE_STORE = "a_tile[row * LA + column +"
CAUGHT = {
    1: (TILE_STORE, r"race: thread \(1, 0, 0\) writes .* 'a_tile', which thread \(0, 0, 0\) read at line \d+ with no"),
    2: (TILE_STORE, r"race: .* writes .* 'a_tile', which .* read at line"),
    3: (TILE_STORE, r"an index outside of its array"),
    4: ("return x[((n", r"out of bounds: reads . bytes \d+ bytes before buffer 0 'x', which has"),
    5: ("simdgroup_load(a[i]", r"race: .* reads .* 'a_tile', which .* wrote at line"),
    6: ("threadgroup_barrier", r"returned while others wait at this threadgroup_barrier"),
    7: ("threadgroup T a_tile", r"threadgroup memory of \d+ bytes with 'a_tile' of \d+: the limit is 32768"),
    8: ("float v = c_tile", r"race: .* reads .* 'c_tile', which .* wrote at line"),
    9: ("y[(m0 + row)", r"out of bounds: writes . bytes 0 bytes past the end of buffer 2 'y', which has"),
}


@pytest.mark.parametrize("defect", CAUGHT)
def test_defect_is_named(defect):
    library = emu.Library(SOURCE, mode="check", define=[f"DEFECT={defect}"])
    text, pattern = CAUGHT[defect]
    with pytest.raises(emu.KernelError, match=pattern) as caught:
        run_igemm(library)
    if defect not in (1, 3, 6):
        assert f"igemm.metal:{line_of(text)}: " in str(caught.value)
    assert "igemm.metal:" in str(caught.value)


@pytest.mark.parametrize("kernel", ["igemm_float_32x32x16", "igemm_half_32x64x16", "igemm_bf16"])
def test_sound_kernel_passes_in_every_order(kernel):
    library = emu.Library(SOURCE, mode="check")
    for seed in range(4):
        run_igemm(library, kernel, seed=seed)


OUTSIDE = """
#include <metal_stdlib>
using namespace metal;
struct Place { int at[3]; };
[[kernel]] void shared(device float* y [[buffer(0)]], constant int& n [[buffer(1)]]) {
  threadgroup float tile[8];
  threadgroup float* p = tile;
  p[n] = 1;
  y[0] = p[n];
}
[[kernel]] void own(device float* y [[buffer(0)]], constant int& n [[buffer(1)]]) {
  Place place;
  for (int a = 0; a < 3; ++a) place.at[a] = a;
  y[0] = float(place.at[n]);
}
[[kernel]] void narrow(device float* y [[buffer(0)]], constant int& n [[buffer(1)]]) { y[0] = float(int(y[0])); }
"""


@pytest.mark.parametrize(
    ("kernel", "inside", "outside", "line", "what"),
    [
        (
            "shared",
            (0.0, 7),
            (0.0, 8),
            8,
            "writes 4 bytes 0 bytes past the end of threadgroup memory 'tile', which has 32",
        ),
        ("own", (0.0, 2), (0.0, 3), 11, "an index outside of its array"),
        ("narrow", (2.0**30, 0), (2.0**31, 0), 16, "a number that its integer type does not hold"),
    ],
)
def test_what_is_outside_is_named(kernel, inside, outside, line, what):
    library = emu.Library(OUTSIDE, mode="check")
    for first, n in (inside, outside):
        arguments = [np.array([first], np.float32), np.array([n], np.int32)]
        if n == inside[1] and first == inside[0]:
            library.run(kernel, arguments, threads=(1, 1, 1))
        else:
            with pytest.raises(emu.KernelError, match=what) as caught:
                library.run(kernel, arguments, threads=(1, 1, 1))
            assert f".metal:{line}" in str(caught.value)


def test_traffic():
    """One group: each pixel that lies inside is read by its taps, each weight once per group."""
    c = run_igemm(emu.Library(SOURCE, mode="check"), size=(1, 8, 8, 16), k=32)
    inside = 22 * 22  # of 8x8 pixels with 3x3 taps: (3 * 8 - 2) squared
    weights, bias = 9 * 16 * 32, 64 * 32
    assert c.device_read == 4 * (inside * 16 + 2 * weights + bias)
    assert c.device_read_unique == 4 * (8 * 8 * 16 + weights + 32)
    assert c.device_written == c.device_written_unique == 4 * 64 * 32
    loads_per_step = 2 * (32 * 16 + 16 * 32)  # each of 4 simdgroups loads half of each tile
    assert c.threadgroup_read == 4 * (2 * 9 * loads_per_step + 2 * 32 * 32)


ELEMENTWISE = """
#include <metal_stdlib>
using namespace metal;
[[kernel]] void neighbours(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                           constant uint& n [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  if (i CONDITION n) y[i STEP] = x[i] + 1;
}
"""


def run_elementwise(condition, step):
    library = emu.Library(ELEMENTWISE.replace("CONDITION", condition).replace("STEP", step), mode="check")
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    counters = library.run("neighbours", [x, y, np.uint32(100)], groups=(4, 1, 1), threads=(32, 1, 1))
    np.testing.assert_array_equal(y, x + 1)
    return counters


def test_elementwise():
    counters = run_elementwise("<", "")
    assert (counters.device_read, counters.device_written, counters.constant_read) == (400, 400, 4 * 128)


@pytest.mark.parametrize(
    ("condition", "step", "what"),
    [
        ("<=", "", r"out of bounds: reads 4 bytes 0 bytes past the end of buffer 0 'x', which has 400"),
        (
            "<",
            "/ 2",
            r"race: thread \(1, 0, 0\) writes 4 bytes, byte 0 of buffer 1 'y', which thread \(0, 0, 0\) wrote",
        ),
        ("<", "% 32", r"race: .* wrote at line 6"),
        ("<", "- 1", r"out of bounds: writes 4 bytes"),
    ],
)
def test_elementwise_defects(condition, step, what):
    with pytest.raises(emu.KernelError, match=what) as caught:
        run_elementwise(condition, step)
    assert re.search(r"source\.metal:6: ", str(caught.value))


ATOMIC = """
#include <metal_stdlib>
using namespace metal;
[[kernel]] void histogram(device const uint* x [[buffer(0)]], device atomic_uint* y [[buffer(1)]],
                          uint i [[thread_position_in_grid]]) {
  threadgroup atomic_uint held[8];
  if (i % 64 < 8) atomic_store_explicit(&held[i % 64], 0, memory_order_relaxed);
  threadgroup_barrier(mem_flags::MEM);
  atomic_fetch_add_explicit(&held[x[i]], 1u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (i % 64 < 8)
    atomic_fetch_add_explicit(&y[i % 64], atomic_load_explicit(&held[i % 64], memory_order_relaxed),
                              memory_order_relaxed);
}
"""


def test_atomics_are_no_race():
    x = np.random.default_rng(0).integers(0, 8, 256).astype(np.uint32)
    for seed in range(4):
        y = np.zeros(8, np.uint32)
        library = emu.Library(ATOMIC.replace("MEM", "mem_threadgroup"), mode="check")
        counters = library.run("histogram", [x, y], groups=(4, 1, 1), threads=(64, 1, 1), seed=seed)
        np.testing.assert_array_equal(y, np.bincount(x, minlength=8))
        assert counters.atomics == 4 * (8 + 64 + 2 * 8)


DEVICE_FLAG = """
#include <metal_stdlib>
using namespace metal;
[[kernel]] void shift(device float* x [[buffer(0)]], device float* y [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
  x[i] = float(i);
  threadgroup_barrier(mem_flags::FLAG);
  y[i] = x[(i + 1) % 64];
}
"""


def test_barrier_of_the_wrong_memory():
    x, y = np.zeros(64, np.float32), np.zeros(64, np.float32)
    library = emu.Library(DEVICE_FLAG.replace("FLAG", "mem_device"), mode="check")
    library.run("shift", [x, y], threads=(64, 1, 1))
    np.testing.assert_array_equal(y, (np.arange(64) + 1) % 64)
    with pytest.raises(emu.KernelError, match="race: "):
        emu.Library(DEVICE_FLAG.replace("FLAG", "mem_threadgroup"), mode="check").run(
            "shift", [x, y], threads=(64, 1, 1)
        )
