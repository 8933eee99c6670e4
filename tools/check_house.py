#!/usr/bin/env python3
# tools/check_house.py -- fails on a file without its heading, on a path of somebody's machine, and on stray whitespace
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMENT = {".cpp": "//", ".h": "//", ".inl": "//", ".inc": "//", ".metal": "//", ".py": "#"}
MACHINE = re.compile(r"(?<![\w.])/(?:root|home|Users|work)/\w")


def problems_of(name, text):
    suffix = pathlib.PurePosixPath(name).suffix
    lines = text.splitlines()
    if suffix in COMMENT and lines:
        heading = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if not re.match(rf"{COMMENT[suffix]} \S+ -- ", heading):
            yield 1, f'the first line should be "{COMMENT[suffix]} {name} -- what it is"'
        elif heading.split()[1] != name:
            yield 1, f"the first line says {heading.split()[1]}"
    for number, line in enumerate(lines, 1):
        if MACHINE.search(line) and name != "tools/check_house.py":
            yield number, "a path of one machine"
        if line != line.rstrip():
            yield number, "whitespace at the end"


def main():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    bad = 0
    for name in names:
        path = ROOT / name
        try:
            text = path.read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for number, problem in problems_of(name, text):
            bad += 1
            print(f"{name}:{number}: {problem}")
    print(f"house: {len(names)} files, {bad} wrong")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
