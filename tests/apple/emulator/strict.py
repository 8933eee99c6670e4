#!/usr/bin/env python3
# tests/apple/emulator/strict.py -- checks a .metal file against rules of Metal that the emulator does not enforce
"""strict.py SOURCE.metal [-I FOLDER] [-D NAME=VALUE]

The emulator's C++ has no address spaces. Here the file goes through clang's C++ for OpenCL, which has: pointers of
different spaces do not mix, `constant` is not written to, there is no double, no exception, no allocation, no virtual
function, no function pointer. Also refused: pointers and references without a space, recursion, static variables,
lambdas, goto, and threadgroup variables outside kernels.
"""

import argparse
import re
import sys

import compile as metal_compile
import rewrite
import toolchain

FLAGS = (
    "-cc1 -x cl -cl-std=clc++2021 -triple x86_64-unknown-linux-gnu -cl-single-precision-constant "
    "-cl-ext=-all,+cl_khr_fp16,+__opencl_c_generic_address_space -Wall -Wno-unused -Wno-unknown-attributes "
    "-Wno-undefined-inline -Wno-undefined-internal -Wno-missing-braces -Wno-unknown-pragmas -ferror-limit 20"
).split()
VECTOR = re.compile(r"\b(?:metal::)?((?:float|half|char|uchar|short|ushort|int|uint|long|ulong)[234])\s*(?=\()")
VECTOR_TEMPLATE = re.compile(r"\b(?:metal::)?vec<([^<>;]*)>\s*(?=\()")
WORDS = {
    r"\bgoto\b": "goto",
    r"\[\s*[&=]?\s*\]\s*(?:\([^()]*\)\s*)?(?:mutable\s*)?\{": "a lambda",
    r"\bdynamic_cast\b|\btypeid\b": "run-time type information",
    r"\bthread_local\b": "thread_local",
    r"\basm\b": "assembler",
}


def problems_of_text(text, unit):
    """What regular expressions find: (position, message)."""
    for pattern, what in WORDS.items():
        for found in re.finditer(pattern, text):
            yield found.start(), f"Metal has no {what}" if what[0] != "a" else f"Metal has not {what}"
    bodies = [kernel.span for kernel in unit.kernels.values()]
    for found in rewrite.SHARED.finditer(text):
        before = re.sub(r"<.*>", "", found[2].split("[")[0], flags=re.S)
        if re.search(r"[=*&(]", before):
            continue
        if not any(start < found.start() < end for start, end in bodies):
            yield found.end(1), "a threadgroup variable outside a kernel"


def rewrite_strict(text):
    """The text with vectors made by functions, and what attributes said removed; and what was found on the way."""
    unit = rewrite.Unit()
    text = rewrite.BFLOAT_LITERAL.sub(r"bfloat(\1f)", text)
    rewrite.read_instances(text, unit)
    rewrite.read_kernels(text, unit)
    problems = [f"{rewrite.place(text, at)}: error: {what}" for at, what in problems_of_text(text, unit)]
    text = rewrite.CONSTANT.sub(lambda found: f"extern constant {found[1]} {found[2]}", text)
    text = re.sub(r"\btemplate\s*((?:\[\[[^\]]*\]\]\s*)+)", "template ", text)
    text = re.sub(r"\bkernel\b(?=\s+void\b)", " ", text)

    def shared(number, kind, name, dimensions):
        return (
            f"typedef {kind} msl_block_{number}{dimensions}; threadgroup msl_block_{number}& {name} ="
            f" *msl_shared<msl_block_{number}>();"
        )

    text = rewrite.without_attributes(rewrite.rewrite_shared(text, shared))
    text = VECTOR.sub(r"msl_make_\1", text)
    return VECTOR_TEMPLATE.sub(r"msl_make<metal::vec<\1>>", text), problems


def run_clang(code, *options):
    """(output, messages) of clang on the code."""
    folder = toolchain.HERE / "include" / "strict"
    command = [*toolchain.compiler(), *FLAGS, f"-I{folder}", "-include", "prefix.h", *options, "-"]
    return toolchain.run_loosely(command, code)


def errors_of(messages):
    """(first line, whole text) of each error with its notes."""
    blocks = []
    for line in messages.splitlines():
        if re.search(r": (?:fatal )?error: ", line):
            blocks.append([line])
        elif blocks:
            blocks[-1].append(line)
    return [(block[0], "\n".join(block)) for block in blocks]


# C++ for OpenCL refuses a choice between an object and a value, and copies out of `constant`; Metal does not.
HARMLESS = re.compile(
    r"incompatible operand types \('(?:const )?(?:__private )?([\w:<>, ]+)' and '(?:const )?(?:__private )?\1'\)"
)
FROM_CONSTANT = re.compile(
    r"cannot bind reference in address space '__generic' to object in address space '__constant'"
)
SPACED = re.compile(r"__(?:global|local|constant)\b")


DECLARATION = re.compile(r"(?:Parm)?VarDecl|FieldDecl")
PLACE = re.compile(r"(<scratch space>|[^\s<>:,]+):(\d+):\d+")


def generic_pointers(dump):
    """Declarations of pointers and references without an address space, out of clang's dump of the syntax tree."""
    file, line, seen = "", 0, set()
    for text in dump.splitlines():
        for place in PLACE.finditer(text.split("'")[0]):
            # A file is named where it is another than that of the place before.
            file, line = (file if place[1] == "line" else place[1]), int(place[2])
        if "__generic" not in text or not DECLARATION.search(text) or "implicit" in text or "/strict/" in file:
            continue
        name = re.search(r"(\w+) '[^']*__generic[^']*[*&]", text)
        unnamed = not name or name[1].isdigit() or name[1] in ("used", "referenced", "invalid")  # of implicit copies
        if not unnamed and (file, line, name[1]) not in seen:
            seen.add((file, line, name[1]))
            yield f"{file}:{line}: error: '{name[1]}' points or refers to no address space"


CALLED = re.compile(r'@("[^"]+"|[\w.$]+)\(')


def recursive_functions(code):
    """Names of functions that reach themselves, out of LLVM's text."""
    calls, current = {}, None
    for line in code.splitlines():
        if line.startswith("define"):
            current = CALLED.search(line)[1]
            calls[current] = set()
        elif line.startswith("}"):
            current = None
        elif current and "call " in line and (found := CALLED.search(line)):
            calls[current].add(found[1])
    for start in calls:
        reached, todo = set(), [start]
        while todo:
            for name in calls.get(todo.pop(), ()):
                if name not in reached:
                    reached.add(name)
                    todo.append(name)
        if start in reached:
            yield f"error: '{start}' calls itself: Metal has no recursion"


def check(source, include=(), define=()):
    """The problems of a .metal file, as "file:line: error: what"; none where it is fine."""
    try:
        code, problems = rewrite_strict(metal_compile.preprocess(source, include, define))
    except rewrite.RewriteError as error:
        return [str(error)]
    except toolchain.CompileError as error:
        return str(error).splitlines()
    # Once with `thread` as any space, which is how `this` and temporaries are taken by both languages; and once with
    # its own, of which only the mix-ups with other spaces count.
    llvm, messages = run_clang(code, "-DMSL_LOOSE_THREAD", "-emit-llvm", "-O0", "-disable-llvm-passes", "-o", "-")
    for first, whole in errors_of(messages):
        if not HARMLESS.search(first) and not FROM_CONSTANT.search(whole):
            problems.append(first)
    problems += recursive_functions(llvm)
    dump, messages = run_clang(code, "-ast-dump")
    for first, whole in errors_of(messages):
        known = first in problems or HARMLESS.search(first) or FROM_CONSTANT.search(whole)
        if not known and "__private" in whole and SPACED.search(whole):
            problems.append(first)
    problems += generic_pointers(dump)
    return list(dict.fromkeys(problems))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("-I", dest="include", action="append", default=[])
    parser.add_argument("-D", dest="define", action="append", default=[])
    options = parser.parse_args()
    problems = check(options.source, options.include, options.define)
    for problem in problems:
        print(problem)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
