#!/usr/bin/env python3
# tools/mca.py -- llvm-mca's estimate of the share of FMA peak that the NEON inner loops reach
"""python tools/mca.py [--cpu CPU ...] [--only PATTERN] [--all] [--least SHARE]

Compiles csrc/kernels/isa_neon*.cpp to assembly as the library is built, takes the innermost loop of every kernel that
has the most multiply-adds, and lets llvm-mca run it on its models of processors. The share is of what the same model
makes of independent multiply-adds alone. It is an estimate: all loads hit L1, and the models are LLVM's, whose
apple-m1 has three pipes of an older core. Per kernel its best tile is shown; --all shows every tile. With --least the
exit status tells whether the whole float32 direct tiles reach that share on every processor.

Needs clang and llvm-mca, 16 or later, and g++'s headers for arm64: apt-get install clang-19 llvm-19
g++-aarch64-linux-gnu."""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

import arm64

ROOT = pathlib.Path(__file__).resolve().parents[1]
CPUS = ("apple-m1", "neoverse-v1", "neoverse-v2", "neoverse-n1")
NO_BF16 = ("apple-m1", "neoverse-n1", "cortex-a72", "cortex-a76")  # LLVM prices its instructions all the same
PRODUCT = re.compile(r"\s+(fmla|fmls|bfdot|bfmmla)\s+v\d+\.(4s|2d)")
ITERATIONS = 200
PEAK = "independent operations of the same pipes"

Loop = collections.namedtuple("Loop", "kernel lines products")


def functions(assembly):
    """(mangled name, lines) of every function."""
    name, lines = None, []
    for line in assembly.splitlines():
        if m := re.match(r"(_Z\w+):", line):
            name, lines = m[1], []
        elif name and re.match(r"\.Lfunc_end", line):
            yield name, lines
            name = None
        elif name and not re.match(r"\s*(//|\.(?!L)|$)", line):
            lines.append(line.split("//")[0].rstrip())


def innermost_loops(lines):
    """The lines between a label and a branch back to it, where they hold no other such pair."""
    label, spans = {}, []
    for i, line in enumerate(lines):
        if m := re.match(r"(\.L\w+):", line):
            label[m[1]] = i
        elif (m := re.match(r"\s+(?:b|b\.\w+|cbn?z|tbn?z)\s+.*?(\.L\w+)$", line)) and m[1] in label:
            spans.append((label[m[1]], i))
    for first, last in spans:
        if not any((a, b) != (first, last) and first <= a and b <= last for a, b in spans):
            yield lines[first : last + 1]


def readable(mangled):
    text = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True).stdout
    names = [re.sub(r"nhwc::|\(anonymous namespace\)::|^void ", "", t) for t in text.splitlines()]
    return [re.sub(r"\(.*", "", name) for name in names]


def loops_of(assembly):
    """The inner loop of every kernel that has one with multiply-adds of vectors."""
    found = []
    for name, lines in functions(assembly):
        body = max(innermost_loops(lines), key=lambda b: sum(bool(PRODUCT.match(x)) for x in b), default=[])
        if products := sum(bool(PRODUCT.match(x)) for x in body):
            found.append(Loop(name, body, products))
    return [loop._replace(kernel=name) for loop, name in zip(found, readable(x.kernel for x in found), strict=True)]


def simulate(cpu, loops, mca):
    """Products per cycle of each loop."""
    text = [".text"]
    for i, loop in enumerate(loops):
        renamed = re.sub(r"\.L(\w+)", rf"L{i}_\1", "\n".join(loop.lines))  # both files count from 0
        text += [f"# LLVM-MCA-BEGIN {i}", renamed, "# LLVM-MCA-END"]
    source = "\n".join(text) + "\n"
    command = [mca, "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+bf16,+fullfp16", f"-iterations={ITERATIONS}", "-json"]
    run = subprocess.run(command, input=source, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{run.stderr[-2000:]}")
    regions = json.loads(run.stdout)["CodeRegions"]
    cycles = {int(r["Name"]): r["SummaryView"]["TotalCycles"] for r in regions}
    return [loop.products * ITERATIONS / cycles[i] for i, loop in enumerate(loops)]


def shares(loops, cpu, mca):
    independent = [f"\tfmul\tv{i}.4s, v30.4s, v31.4s" for i in range(28)]
    *speeds, peak = simulate(cpu, [*loops, Loop(PEAK, independent, len(independent))], mca)
    return [speed / peak for speed in speeds], peak


def best_of_kernels(loops, table):
    """For each kernel and type the tile with the largest share on the slowest processor."""
    best = {}
    for i, loop in enumerate(loops):
        kind = re.match(r"\w+(?:<(?:float|double|\w*Float16))?", loop.kernel)[0]
        least = min(column[i] for column in table)
        if kind not in best or least > best[kind][0]:
            best[kind] = (least, i)
    return [i for _, i in best.values()]


def whole_tiles():
    """The direct kernels of the largest tiles of the list, in whose loops most time goes."""
    text = (ROOT / "csrc" / "plan" / "conv_tiles.inc").read_text()
    mr, mr3 = re.search(r"^NHWC_CONV_TILE\(neon, \d+, (\d+), (\d+)", text, re.MULTILINE).groups()
    return {f"{kernel}<float, {rows}, {vectors}" for kernel in ("direct_tile", "even_tiles")
            for rows, vectors in ((mr, 2), (mr3, 3))}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="append", help=f"LLVM's name of a processor; default: {', '.join(CPUS)}")
    parser.add_argument("--only", default="", help="kernels whose name has this")
    parser.add_argument("--all", action="store_true", help="every tile, not the best one of each kernel")
    parser.add_argument("--least", type=float, help="fail where the float32 direct tile has a smaller share")
    args = parser.parse_args()
    cpus = args.cpu or CPUS

    loops = [loop for loop in loops_of(arm64.compile_kernels()) if args.only in loop.kernel]
    columns, peaks = zip(*(shares(loops, cpu, arm64.tool("llvm-mca")) for cpu in cpus), strict=True)
    print("Share of FMA peak in L1 as llvm-mca's models estimate it; not a measurement.")
    print(f"{'kernel':<52}" + "".join(f"{cpu:>14}" for cpu in cpus))
    print(f"{'peak: ' + PEAK + ' per cycle':<52}" + "".join(f"{peak:>14.2f}" for peak in peaks))
    for i in range(len(loops)) if args.all else best_of_kernels(loops, columns):
        texts = ["-" if "pairs" in loops[i].kernel and cpu in NO_BF16 else f"{column[i]:.0%}"
                 for cpu, column in zip(cpus, columns, strict=True)]  # fmt: skip
        print(f"{loops[i].kernel:<52}" + "".join(f"{text:>14}" for text in texts))
    if args.least is None:
        return 0
    judged = whole_tiles()
    named = [i for i, loop in enumerate(loops) if any(re.match(re.escape(n) + r"\b", loop.kernel) for n in judged)]
    failed = len(named) != len(judged)
    for i in named:
        least = min(column[i] for column in columns)
        failed |= least < args.least
        print(f"{loops[i].kernel}: at least {least:.1%}, wanted {args.least:.0%}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
