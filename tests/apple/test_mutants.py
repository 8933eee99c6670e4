# tests/apple/test_mutants.py -- the defects that the mutation run plants, and that none acts by itself
import os
import pathlib
import sys

import emu
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "mutation"))

import equivalent
import mutants

KERNEL = """\
template <int N>
inline float load(const device float* x, constant Params& p, int i) {
  if (i >= p.size || i < 0) return 0.0f;  // i < 0: before the first
  return x[i];
}
kernel void sum(int lane, int groups) {
  for (int k = 0; k < p.steps; ++k) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float v = lane < groups && k > 1 ? scratch[lane] : 0.0f;
  }
  constexpr bool small = N < 3;
}
"""


def planted(source=KERNEL):
    return mutants.plant(source, "sum.metal", 1)


def test_every_barrier_and_comparison_has_its_defects():
    _, found = planted()
    seen = [(m.line, m.kind, m.text) for m in found]
    expected = []
    for line, text in ((3, "i >= p.size"), (3, "i < 0")):
        expected += [(line, kind, text) for kind in ("edge", "always", "never")]
    expected += [(7, "edge", "k < p.steps")]  # a loop that never ends would tell nothing
    expected += [(8, "barrier", "threadgroup_barrier(mem_flags::mem_threadgroup);")]
    for text in ("lane < groups", "k > 1"):
        expected += [(9, kind, text) for kind in ("edge", "always", "never")]
    assert seen == expected
    assert [m.number for m in found] == list(range(1, len(found) + 1))


PROBE = """\
#include <metal_stdlib>
using namespace metal;
[[kernel]] void probe(const device float* x [[buffer(0)]], device int* y [[buffer(1)]],
                      uint i [[thread_index_in_threadgroup]]) {
  threadgroup float shared[32];
  shared[i] = x[i];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  int n = 0;
  if (n++ OPERATOR shared[31 - i]) n += 10;
  y[i] = n;
}
"""


@pytest.mark.parametrize(
    ("operator", "right", "edge"),
    [("<", np.less, np.less_equal), ("<=", np.less_equal, np.less), (">", np.greater, np.greater_equal),
     (">=", np.greater_equal, np.greater)],
)  # fmt: skip
def test_a_planted_kernel_is_the_original_unless_a_defect_acts(operator, right, edge, tmp_path, monkeypatch):
    source, found = mutants.plant(PROBE.replace("OPERATOR", operator), "probe.metal", 5)
    board = mutants.Board(tmp_path / "board")
    monkeypatch.setenv("NHWC_MUTATION_BOARD", str(board.path))
    library = emu.Library(
        mutants.SWITCH + source + f"// {os.getpid()}", mode="check"
    )  # its constructor reads the board
    number = {m.kind: m.number for m in found}
    x = np.arange(32, dtype=np.float32)[::-1].copy() - 8  # what thread i compares with is i - 8

    def run(acting):
        board.set(acting)
        y = np.zeros(32, np.int32)
        library.run("probe", [x, y])
        return y

    compared = np.arange(32) - 8
    for acting, want in ((0, right(0, compared)), (number["edge"], edge(0, compared)), (number["always"], True),
                         (number["never"], False)):  # fmt: skip
        np.testing.assert_array_equal(run(acting), 1 + 10 * want)  # the operand is computed once
    board.set(0)
    assert board.marks() == {}
    x[:] = 1  # at no edge
    run(0)
    different = {
        "barrier": 3,
        "edge": 1,
        **({"always": 3, "never": 1} if "<" not in operator else {"always": 1, "never": 3}),
    }
    assert board.marks() == {number[kind]: mark for kind, mark in different.items()}
    with pytest.raises(emu.KernelError, match="race"):
        run(number["barrier"])


def test_names_of_scopes_belong_to_their_operand():
    _, found = planted("  if (type >= kinds::f16 && p.n > N::size) return;\n")
    assert {m.text for m in found} == {"type >= kinds::f16", "p.n > N::size"}


def test_lines_stay_where_they_are():
    source, _ = planted()
    assert source.count("\n") == KERNEL.count("\n")


def test_comments_templates_and_constants_are_left_alone():
    source, _ = planted()
    assert "// i < 0: before the first" in source
    assert "template <int N>" in source
    assert "constexpr bool small = N < 3;" in source


def test_all_files_are_copied_and_numbers_go_on(tmp_path):
    metal = tmp_path / "metal"
    (metal / "params").mkdir(parents=True)
    (metal / "a.metal").write_text(KERNEL)
    (metal / "b.h").write_text("inline bool in(int i, int n) { return i < n; }\n")
    (metal / "params" / "c.h").write_text("struct P { int a; };  // a < 3\n")
    found = mutants.plant_all(tmp_path / "out", metal)
    assert [m.number for m in found] == list(range(1, len(found) + 1))
    assert {m.file for m in found} == {"a.metal", "b.h"}
    assert (tmp_path / "out" / "a.metal").read_text().startswith(mutants.SWITCH)
    assert (tmp_path / "out" / "params" / "c.h").read_text() == (metal / "params" / "c.h").read_text()


def test_a_mutant_is_named_by_its_function_and_place():
    source = KERNEL + "kernel void twice(int i) {\n  if (i < 3) f();\n  if (i < 3) g();\n}\n"
    keys = [m.key for m in planted(source)[1] if m.kind == "never"]
    assert keys == [
        ("sum.metal", "load", "i >= p.size", "never"),
        ("sum.metal", "load", "i < 0", "never"),
        ("sum.metal", "sum", "lane < groups", "never"),
        ("sum.metal", "sum", "k > 1", "never"),
        ("sum.metal", "twice", "i < 3", "never"),
        ("sum.metal", "twice", "i < 3 #2", "never"),
    ]


def test_the_list_of_equivalent_mutants_is_of_these_kernels(tmp_path):
    assert all(equivalent.read(mutants.plant_all(tmp_path)).values())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("sum.metal | load | i >= p.size | edge | why\n" * 2, "twice"),
        ("sum.metal | load | i > p.size | edge | why", "no mutant"),
        ("sum.metal | store | i >= p.size | edge, never | why", "no mutant"),
        ("sum.metal | load | i >= p.size | edge", "five fields"),
    ],
)
def test_a_stale_entry_is_refused(line, problem):
    _, found = planted()
    assert equivalent.read(found, "# a comment\n\nsum.metal | load | i < 0 | edge, never | why") == {
        ("sum.metal", "load", "i < 0", kind): "why" for kind in ("edge", "never")
    }
    with pytest.raises(ValueError, match=problem):
        equivalent.read(found, line)
