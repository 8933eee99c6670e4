#!/usr/bin/env python3
# tests/apple/mutation/run.py -- whether the tests of the kernels notice defects in them: the mutation score
"""Plants one defect after the other in the Metal kernels and runs the tests that execute the file it is in.

    python tests/apple/mutation/run.py --count 20 --seed 3     a sample
    python tests/apple/mutation/run.py --all                   every mutant (hours)
    python tests/apple/mutation/run.py --list                  what would be planted

A mutant is caught where a test fails, crashes or takes far too long. The survivors are listed: each is a gap in the
tests, or changes nothing that can be seen. Exit status 1 where the score is below --least.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import build_runtime
import mutants

APPLE = pathlib.Path(__file__).resolve().parents[1]

# The tests that execute a topic's kernels, quickest first: the first that fails ends a mutant.
TESTS = {
    "conv": ["test_gpu_conv.py"],
    "matmul": ["test_matmul.py"],
    "elementwise": ["test_elementwise.py"],
    "copy": ["test_elementwise.py"],
    "random": ["test_elementwise.py"],
    "chain": ["test_elementwise.py"],
    "reduce": ["test_reductions.py"],
    "scan": ["test_reductions.py"],
    "softmax": ["test_reductions.py"],
    "sort": ["test_reductions.py"],
    "index": ["test_gpu_indexing.py"],
}


# Everywhere else reads out of bounds and races count, whatever they do to results; here that takes ten times as long.
UNCHECKED = {"test_elementwise.py"}


def includes(path, metal):
    """Every file that a topic is made of, itself included."""
    found, todo = set(), [path]
    while todo:
        at = todo.pop()
        if at in found or not at.exists():
            continue
        found.add(at)
        todo += [
            folder / name for name in re.findall(r'#include "([^"]+)"', at.read_text()) for folder in (metal, at.parent)
        ]
    return found


def tests_by_file(metal):
    """{file of metal/: tests that execute it}"""
    table = {}
    for topic in sorted(metal.glob("*.metal")):
        tests = next((t for prefix, t in TESTS.items() if topic.stem.startswith(prefix)), None)
        if tests is None:
            sys.exit(f"{topic.name}: name its tests in {pathlib.Path(__file__).name}")
        for part in includes(topic, metal):
            known = table.setdefault(part.resolve().relative_to(metal.resolve()).as_posix(), [])
            known += [t for t in tests if t not in known]
    return table


def run_tests(number, tests, runtime, seconds):
    """Whether the tests pass with this mutant; None where they took too long."""
    environment = {
        **os.environ,
        "NHWC_GPU_RUNTIME": str(runtime),
        "NHWC_MUTANT": str(number),
        "NHWC_EMULATOR_MODE": "plain" if tests[0] in UNCHECKED else "check",
        "NHWC_TEST_SEED": "1",
        "HYPOTHESIS_PROFILE": "default",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        *(str(APPLE / t) for t in tests),
    ]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true")
    which.add_argument("--count", type=int)
    which.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", help="only files whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, help="stop taking new mutants after so long")
    parser.add_argument("--least", type=float, default=0.95, help="score to reach (default: 0.95)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        metal = pathlib.Path(folder) / "metal"
        chosen = [m for m in mutants.plant_all(metal) if not options.file or options.file in m.file]
        print(f"{len(chosen)} mutants, seed {options.seed}")
        if options.list:
            print(*chosen, sep="\n")
            return 0
        random.Random(options.seed).shuffle(chosen)
        chosen = chosen[: options.count] if options.count else chosen
        return score(chosen, tests_by_file(metal), build_runtime.build(metal=metal), options)


def score(chosen, tests, runtime, options):
    """Runs the mutants and prints what became of them; the exit status."""
    from tqdm import tqdm

    begun = time.monotonic()
    for group in sorted({tuple(tests[m.file]) for m in chosen}):
        passed, text = run_tests(0, group, runtime, 1800)
        if not passed:
            sys.exit(f"{' '.join(group)} fail without a defect\n{text}")
    allowed = 60 + 3 * (time.monotonic() - begun)
    caught, survivors, left = 0, [], 0
    begun = time.monotonic()

    def one(mutant):
        if options.minutes and time.monotonic() - begun > 60 * options.minutes:
            return mutant, "left"
        return mutant, run_tests(mutant.number, tests[mutant.file], runtime, allowed)[0]

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for mutant, survived in tqdm(pool.map(one, chosen), total=len(chosen), unit="mutant", disable=None):
            if survived == "left":
                left += 1
            elif survived:
                survivors.append(mutant)
            else:
                caught += 1
    print(*(f"survived: {m}" for m in survivors), sep="\n")
    run = caught + len(survivors)
    print(f"{caught} of {run} caught ({100 * caught / max(run, 1):.1f} %), {left} not run for lack of time")
    return int(caught < options.least * run)


if __name__ == "__main__":
    sys.exit(main())
