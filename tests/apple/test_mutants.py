# tests/apple/test_mutants.py -- the defects that the mutation run plants, and that none acts by itself
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "mutation"))

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


def evaluate(expression, number, **values):
    """A planted C++ condition in Python: of the operators that occur there, these differ."""
    cond, rest = expression.strip().removeprefix("(").removesuffix(")").split("?", 1)
    edge, others = rest.split(":", 1)
    python = f"{edge.strip()} if {cond} else {others}".replace("||", " or ").replace("&&", " and ")
    return eval(python, {"nhwc_mutant": number, **values})


@pytest.mark.parametrize(("a", "b"), [(1, 2), (2, 2), (3, 2)])
def test_a_planted_comparison_is_the_original_unless_switched_on(a, b):
    source, found = planted("  x = a < b;\n")
    expression = source.split("=", 1)[1].rstrip("\n;")
    by_kind = {m.kind: m.number for m in found}
    assert evaluate(expression, 0, a=a, b=b) == (a < b)
    assert evaluate(expression, by_kind["edge"], a=a, b=b) == (a <= b)
    assert evaluate(expression, by_kind["always"], a=a, b=b) is True
    assert evaluate(expression, by_kind["never"], a=a, b=b) is False


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
