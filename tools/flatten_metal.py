#!/usr/bin/env python3
# tools/flatten_metal.py -- one text per .metal file, its own includes written out; the build embeds them
"""Metal compiles kernels at run time from a string, without files beside it. So `#include "..."` is replaced by the
file, at every place or, where it says `#pragma once`, at the first; `#include <...>` stays. `#line` keeps the
compiler's words pointing at the file that a person edits.

    flatten_metal.py conv.metal                     prints the text
    flatten_metal.py --embed out.cpp *.metal        writes embedded_sources() of csrc/backend/metal/runtime/sources.h
    flatten_metal.py --depends *.metal              prints the files that were read, one a line"""

import argparse
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Where an include is looked for, after the folders of the file that has it and of the topic.
PLACES = (ROOT / "metal", ROOT)
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')
ONCE = re.compile(r"\s*#\s*pragma\s+once\b")
DELIMITER = "msl"


def find(name, includer, topic):
    for place in (includer.parent, topic.parent, *PLACES):
        if (place / name).is_file():
            return (place / name).resolve()
    raise FileNotFoundError(f'{includer}: no file "{name}" beside it, in metal/ or in the project')


def shown(path):
    """The path as errors name it: from the project's root where it lies below."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def lines_of(path, done, above):
    """The lines of a file and of all it includes. `done` collects the files, above are those that are being read."""
    if path in above:
        raise RecursionError(f"{shown(path)} includes itself")
    first = path not in done
    done[path] = None
    text = path.read_text().splitlines()
    if any(map(ONCE.match, text)) and not first:
        return
    yield f'#line 1 "{shown(path)}"'
    for number, line in enumerate(text, 1):
        include = INCLUDE.match(line)
        if include:
            yield from lines_of(find(include[1], path, (*above, path)[0]), done, (*above, path))
            yield f'#line {number + 1} "{shown(path)}"'
        else:
            yield "" if ONCE.match(line) else line


def flatten(path, done=None):
    """The text of a .metal file without includes of ours; `done`, a dict, gets the files that were read."""
    done = {} if done is None else done
    return "\n".join(lines_of(pathlib.Path(path).resolve(), done, ())) + "\n"


def embed(paths):
    """C++ that defines embedded_sources()."""
    entries = []
    for path in sorted(map(pathlib.Path, paths)):
        text = flatten(path, {})
        if f'){DELIMITER}"' in text:
            raise ValueError(f"{path} holds the end of a raw string")
        entries.append(f'    {{"{path.stem}", R"{DELIMITER}({text}){DELIMITER}"}},\n')
    table = f"const EmbeddedSource kSources[] = {{\n{''.join(entries)}}};\n" if entries else ""
    return (
        '// written by tools/flatten_metal.py\n#include "backend/metal/runtime/sources.h"\n\n'
        f"namespace nhwc::metal {{\n{'namespace {' if table else ''}\n{table}{'}' if table else ''}\n"
        f"std::span<const EmbeddedSource> embedded_sources() {{ return {'kSources' if table else '{}'}; }}\n"
        "}  // namespace nhwc::metal\n"
    )


def write_changed(path, text):
    """Leaves a file that is right as it is, so that nothing is compiled again."""
    path = pathlib.Path(path)
    if path.is_file() and path.read_text() == text:
        return
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embed", metavar="CPP")
    parser.add_argument("--depends", action="store_true")
    parser.add_argument("metal", nargs="*")
    args = parser.parse_args()
    if args.embed:
        write_changed(args.embed, embed(args.metal))
        return
    done = {}
    texts = [flatten(path, done) for path in args.metal]
    sys.stdout.write("\n".join(map(str, done)) + "\n" if args.depends else "".join(texts))


if __name__ == "__main__":
    main()
