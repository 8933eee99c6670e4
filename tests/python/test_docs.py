# tests/python/test_docs.py -- the pages of docs/ are true: examples run, rows agree, every public name is listed
import ast
import contextlib
import doctest
import functools
import importlib.util
import pathlib
import re
import types

import pytest

import nhwc as mx
import translations
from nhwc import nn, optimizers, utils

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
pytestmark = [
    pytest.mark.skipif(not PAGES, reason="not in a checkout"),
    pytest.mark.cpu_only("the pages show plans of the CPU, and float64"),
]


def fenced(page, language):
    """The page with everything blank but its code of that language, so that lines keep their numbers; None without."""
    inside, lines, found = False, [], False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = line == f"```{language}"
            found |= inside
            line = ""
        lines.append(line if inside else "")
    return "\n".join(lines) if found else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, tmp_path, monkeypatch):
    """A page's ``pycon`` is one session; its ``python`` is one program."""
    session, program = fenced(page, "pycon") or "", fenced(page, "python")
    for library in re.findall(r"^>>> import (\S+)", session, re.MULTILINE):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    output = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(doctest.DocTestParser().get_doctest(session, {}, page.name, str(page), 0), out=output.append)
    assert not runner.failures, "".join(output)
    if program:
        exec(compile(program, str(page), "exec"), {})


CODE = re.compile(r"`([^`]+)`(?:<br>|, )?")


def tables(page):
    """Lists of rows, without their headings; a row is a list of cells."""
    for table in re.findall(r"^\|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE):
        yield [line.strip("|").strip().split(" | ") for line in table.splitlines()]


def code_of(cell):
    """The code of a cell that is nothing but code, a line for each piece; else None. Other names may follow, in ()."""
    cell = re.sub(r" \(.*\)$", "", cell)
    return None if CODE.sub("", cell).strip() else "\n".join(CODE.findall(cell))


LIBRARIES = {"from_pytorch": translations.pytorch, "from_jax": translations.jax, "from_mlx": translations.mlx}
MODULES = {"from_pytorch": "torch", "from_jax": "jax", "from_mlx": "mlx.core"}


def rows(columns):
    """The rows of that many columns, as parameters: the page, and the code of the last two."""
    for name in LIBRARIES:
        for table in tables(DOCS / f"{name}.md") if PAGES else ():
            for row in table:
                codes = [code_of(cell) for cell in row]
                if len(row) == columns and codes[-1] and codes[-2]:
                    yield pytest.param(name, *codes[-2:], id=f"{name}: {codes[-1]}")


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")
@pytest.mark.parametrize(("page", "theirs", "ours"), list(rows(2)))
def test_both_sides_of_a_row_are_the_same(page, theirs, ours):
    pytest.importorskip(MODULES[page])
    expected = translations.result(theirs, LIBRARIES[page]())
    translations.check_same(expected, translations.result(ours, translations.ours()))


@pytest.mark.parametrize(("page", "theirs", "ours"), list(rows(3)))
def test_what_to_write_for_a_task_runs(page, theirs, ours, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = translations.ours() | translations.a_model()
    ast.parse(theirs)
    exec(ours, names)


def test_tables_are_found():
    assert len(list(rows(2))) > 120
    assert len(list(rows(3))) > 15


def test_the_page_names_what_mlx_has_and_nhwc_has_not():
    mlx = pytest.importorskip("mlx.core")
    text = (DOCS / "from_mlx.md").read_text()
    names = [name for name in dir(mlx) if not name.startswith("_") and not hasattr(mx, name)]
    assert len(names) > 50
    assert [name for name in names if not re.search(rf"`(mx\.)?{name}\b|mx\.{name}\(", text)] == []


def test_what_the_page_says_is_missing_is():
    section = (DOCS / "from_mlx.md").read_text().split("## What is missing")[1].split("Not there at all")[0]
    names = [re.match(r"\| `mx\.([\w.]+)", line)[1] for line in section.splitlines() if line.startswith("| `")]
    assert len(names) > 40
    found = []
    for name in names:
        with contextlib.suppress(AttributeError):
            functools.reduce(getattr, name.split("."), mx)
            found.append(name)
    assert found == []


def public_names():
    """Every public name, dotted, with the module where it is documented."""
    extension = [mx.random, mx.linalg, mx.metal, mx.cuda]
    for module in [mx, nn, optimizers, utils, mx.distributed, mx.fast]:
        for name in module.__all__:
            if not isinstance(getattr(module, name), types.ModuleType):
                yield f"{module.__name__}.{name}"
    for module in [*extension, nn.losses, nn.init, nn.utils]:
        for name, value in vars(module).items():
            ours = module in extension or getattr(value, "__module__", None) == module.__name__
            if ours and not name.startswith("_"):
                yield f"{module.__name__}.{name}".replace("._core.", ".")
    for bridge in ("nhwc.torch", "nhwc.jax"):
        body = ast.parse(pathlib.Path(importlib.util.find_spec(bridge).origin).read_text()).body
        (names,) = (n.value for n in body if isinstance(n, ast.Assign) and n.targets[0].id == "__all__")
        yield from (f"{bridge}.{name}" for name in ast.literal_eval(names))


def listed_names():
    """What the pages of the reference describe."""
    for page in sorted((DOCS / "reference").glob("*.rst")):
        module = "nhwc"
        for kind, first, more in re.findall(r"^\.\. (\w+):: (.+)\n((?: {10,}\w+\n)*)", page.read_text(), re.MULTILINE):
            if kind in ("currentmodule", "automodule"):
                module = first
            elif kind.removeprefix("auto") in ("function", "class", "data"):
                for name in [first.split("(")[0], *more.split()]:
                    yield name if name.startswith("nhwc.") else f"{module}.{name}"


def test_the_reference_lists_every_public_name_once():
    listed = list(listed_names())
    assert sorted(name for name in set(listed) if listed.count(name) > 1) == []
    assert sorted(set(listed) ^ set(public_names())) == []
