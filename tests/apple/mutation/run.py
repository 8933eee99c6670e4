#!/usr/bin/env python3
# tests/apple/mutation/run.py -- whether the tests of the kernels notice defects in them: the mutation score
"""Plants every barrier less, bound check less and edge off by one in the Metal kernels, and asks of each whether a test
notices it, with reads out of bounds and races counting whatever they do to results.

    python tests/apple/mutation/run.py --all                   every mutant
    python tests/apple/mutation/run.py --count 20 --seed 3     a sample
    python tests/apple/mutation/run.py --list                  what would be planted

First all tests run without a defect, to learn which of them a defect could fail. The survivors are listed: "unnoticed"
by tests in which they make a difference, "never different" where the tests never meet what would, "not reached". Those
that equivalent.txt says to change nothing do not count; it is an error if one of them is caught. Exit status 1 where
the score is below --least.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import queue
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import build_runtime
import equivalent
import judge
import mutants

# The tests that execute kernels.
FILES = [
    "test_matmul.py", "test_copies.py", "test_gpu_indexing.py", "test_gpu_conv.py", "test_reductions.py",
    "test_elementwise.py", "test_gpu_memory.py", "test_kernels.py",
]  # fmt: skip


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
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds of tests before it is enough of a kind (20)"
    )
    parser.add_argument("--least", type=float, default=0.95, help="score to reach (default: 0.95)")
    parser.add_argument("--verbose", action="store_true", help="every verdict, when it is known")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        metal = pathlib.Path(folder) / "metal"
        planted = mutants.plant_all(metal)
        reasons = equivalent.read(planted)
        chosen = [m for m in planted if not options.file or options.file in m.file]
        print(f"{len(chosen)} mutants, {sum(m.key in reasons for m in chosen)} of them equivalent, seed {options.seed}")
        if options.list:
            print(*chosen, sep="\n")
            return 0
        if options.count:
            # Equivalent ones are not drawn: only the whole run asks whether they are.
            chosen = [m for m in chosen if m.key not in reasons]
            random.Random(options.seed).shuffle(chosen)
            chosen = chosen[: options.count]
        with judge.sessions(options.jobs, build_runtime.build(metal=metal), metal, FILES) as sessions:
            return report(verdicts(chosen, reasons, sessions, options), reasons, options)


def verdicts(chosen, reasons, sessions, options):
    """A verdict on each mutant for which there is time."""
    from tqdm import tqdm

    begun = time.monotonic()
    tests = judge.explore(sessions, lambda done, total: tqdm(done, total=total, unit="test", disable=None))
    print(f"{len(tests)} tests, {sum(t.seconds for t in tests):.0f} s; learnt in {time.monotonic() - begun:.0f} s")
    idle = queue.SimpleQueue()
    for session in sessions:
        idle.put(session)
    begun = time.monotonic()

    def one(mutant):
        if options.minutes and time.monotonic() - begun > 60 * options.minutes:
            return None
        session = idle.get()
        try:
            # Of what is said to change nothing no test fails, however many are tried: a look is enough.
            most = options.patience / 4 if mutant.key in reasons else None
            return judge.judge(session, mutant, tests, options.patience, most)
        finally:
            idle.put(session)

    with concurrent.futures.ThreadPoolExecutor(len(sessions)) as pool:
        for verdict in tqdm(pool.map(one, chosen), total=len(chosen), unit="mutant", disable=None):
            if options.verbose and verdict:
                print(verdict, flush=True)
            yield verdict


def report(found, reasons, options):
    """Prints what became of the mutants; the exit status."""
    all_found = list(found)
    found = [v for v in all_found if v]
    counted = [v for v in found if v.mutant.key not in reasons]
    wrong = [v for v in found if v.mutant.key in reasons and v.caught]
    survivors = [v for v in counted if not v.caught]
    print(*(f"survived: {v}" for v in survivors), sep="\n")
    print(*(f"listed as equivalent, but {v}" for v in wrong), sep="\n")
    caught = len(counted) - len(survivors)
    kinds = collections.Counter(v.how for v in survivors)
    print(f"{caught} of {len(counted)} caught ({100 * caught / max(len(counted), 1):.1f} %);", end=" ")
    print(*(f"{n} {how}," for how, n in kinds.items()), f"{len(found) - len(counted)} equivalent,", end=" ")
    print(f"{len(all_found) - len(found)} not run for lack of time")
    return int(caught < options.least * len(counted) or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
