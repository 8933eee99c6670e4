#!/usr/bin/env python3
# tools/check_size.py -- fails on a file over 500 lines or a function over 60 that is not named here with its reason
import ast
import fnmatch
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAX_FILE, MAX_FUNCTION = 500, 60
TOPS = ("csrc", "python", "tests", "bench", "examples", "tools", "metal")

# "path": reason; "path:function": reason. Both may be patterns.
EXCEPTIONS = {
    "csrc/grad/rules_elementwise.cpp:unary_cotangent": "one case per kind, most of a line or two",
    "python/nhwc/_transforms.py:value_and_grad": "most of it is the docstring",
    "python/nhwc/jax/_lax.py:conv_general_dilated": "most of it is the docstring",
    "python/src/bind_*.cpp:bind_*": "a list of bindings, mostly docstrings",
}


def cpp_functions(text):
    """(name, lines) of functions that start at the left margin, which is where the formatter puts them."""
    start, name = None, None
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if (
            start is None
            and re.match(r"[A-Za-z_].*[\w>]\s*\(", line)
            and re.search(r"[\w:~]+\s*\(", line)
            and not re.match(r"(namespace|struct|class|enum|using|#)", line)
        ):
            start, name = i, re.search(r"([\w:~]+)\s*\(", line)[1]
            if line.rstrip().endswith((";", "}")):
                start = None
        elif start is not None and line.startswith("}"):
            yield name, i - start + 1
            start = None
        elif start is not None and line.endswith(";") and not line.startswith((" ", "\t")):
            start = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


def main():
    long, used, count = [], set(), 0
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix not in {".h", ".cpp", ".inl", ".inc", ".py", ".metal"} or "__pycache__" in path.parts:
                continue
            count += 1
            name, text = path.relative_to(ROOT).as_posix(), path.read_text()
            length = text.count("\n")
            if length > MAX_FILE:
                long.append((name, length, MAX_FILE))
            functions = python_functions(text) if path.suffix == ".py" else cpp_functions(text)
            long += [
                (f"{name}:{function}", lines, MAX_FUNCTION) for function, lines in functions if lines > MAX_FUNCTION
            ]
    bad = 0
    for name, lines, limit in long:
        if named := [pattern for pattern in EXCEPTIONS if fnmatch.fnmatchcase(name, pattern)]:
            used.update(named)
            continue
        bad += 1
        print(f"{name}: {lines} lines, over {limit}; split it, or name it in tools/check_size.py with the reason")
    for name in sorted(set(EXCEPTIONS) - used):
        bad += 1
        print(f"{name}: is no longer too long; take it off the list in tools/check_size.py")
    print(f"sizes: {count} files, {len(used)} exceptions, {bad} wrong")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
