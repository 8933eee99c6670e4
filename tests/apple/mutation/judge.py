# tests/apple/mutation/judge.py -- which tests a defect could fail, and whether one of them does
"""First every test runs without a defect, and the marks on the board (mutants.py) tell which defects would have changed
something there. A defect then needs only those tests, the quickest first."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import queue
import select
import subprocess
import sys
import tempfile

import mutants

HERE = pathlib.Path(__file__).resolve().parent
APPLE = HERE.parent


class Died(Exception):
    """The process of the tests ended, or answered too late."""


class Session:
    """A process that runs single tests, with the kernels of a folder and the runtime that has them; started again after
    it has died."""

    def __init__(self, runtime, metal, files, folder):
        self.board = mutants.Board(pathlib.Path(folder) / "board")
        self.files = [str(APPLE / name) for name in files]
        self.environment = {
            **os.environ,
            "HYPOTHESIS_PROFILE": "mutation",
            "NHWC_EMULATOR_MODE": "check",
            "NHWC_GPU_RUNTIME": str(runtime),
            "NHWC_MUTATION_BOARD": str(self.board.path),
            "NHWC_MUTATION_METAL": str(metal),
            "NHWC_STANDIN_ON_ERROR": "record",
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        }
        self.log = pathlib.Path(folder) / "log"
        self.process = None

    def start(self):
        (theirs, self.requests), (self.answers, back) = os.pipe(), os.pipe()
        self.board.set(0)
        command = [sys.executable, "-m", "pytest", "-p", "worker", "-p", "no:cacheprovider", "-p", "no:xdist"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*command, "-q", *self.files],
                env={**self.environment, "NHWC_MUTATION_REQUESTS": str(theirs), "NHWC_MUTATION_ANSWERS": str(back)},
                pass_fds=(theirs, back),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        os.close(theirs)
        os.close(back)
        self.pending = b""
        try:
            self.tests = self.answer(300)
        except Died:
            sys.exit(f"the tests cannot be collected\n{self.log.read_text()[-3000:]}")

    def answer(self, seconds):
        while b"\n" not in self.pending:
            ready, _, _ = select.select([self.answers], [], [], seconds)
            more = os.read(self.answers, 1 << 20) if ready else b""
            if not more:
                self.stop()
                raise Died
            self.pending += more
        line, _, self.pending = self.pending.partition(b"\n")
        return json.loads(line)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            os.close(self.requests)
            os.close(self.answers)
            self.process = None

    def run(self, test, number, seconds):
        """What worker.py says of a test with that defect; "failed" is None for a test that skips itself.

        Raises: Died.
        """
        if not self.process:
            self.start()
        self.board.set(number)
        with contextlib.suppress(BrokenPipeError):
            os.write(self.requests, f"{test}\n".encode())
        return self.answer(seconds)


@dataclasses.dataclass
class Test:
    """What is known of a test that passes: its seconds, and the marks that it leaves on the board."""

    index: int
    name: str
    work: float
    seconds: float
    marks: dict


def explore(sessions, progress):
    """The tests that meet a place where a defect could be, each run once without any. `progress` takes an iterator and
    its length."""
    for session in sessions:
        session.start()
    idle = queue.SimpleQueue()
    for session in sessions:
        idle.put(session)

    def one(index):
        name, session = sessions[0].tests[index], idle.get()
        try:
            result = session.run(index, 0, 1800)
            if result["failed"]:
                sys.exit(f"{name} fails without a defect\n{session.log.read_text()[-3000:]}")
            marks = {} if result["failed"] is None else session.board.marks()
            return Test(index, name, result["work"], result["seconds"], marks)
        finally:
            idle.put(session)

    indices = range(len(sessions[0].tests))
    with concurrent.futures.ThreadPoolExecutor(len(sessions)) as pool:
        return [test for test in progress(pool.map(one, indices), len(indices)) if test.marks]


@dataclasses.dataclass
class Verdict:
    mutant: mutants.Mutant
    caught: bool
    how: str  # the name of the test that caught it; or "not reached", "never different" or "unnoticed"
    runs: int = 0

    def __str__(self):
        return f"{self.mutant}: {'caught by ' if self.caught else ''}{self.how}"


def in_turn(tests):
    """The tests in the order in which one is likely to be found soon that fails: of each function the quickest, then
    of each the next, as the cases of one function mostly notice the same."""
    cases = collections.Counter()
    ranked = []
    for test in sorted(tests, key=lambda t: t.work):
        function = test.name.partition("[")[0]
        ranked.append((cases[function], test.work, test.index, test))
        cases[function] += 1
    return [entry[-1] for entry in sorted(ranked)]


def judge(session, mutant, tests, patience=None, most=None):
    """The verdict on one defect; `patience`: seconds of tests after which no further cases of a function are tried;
    `most`: seconds of tests after which none is."""
    concerned = in_turn(t for t in tests if t.marks.get(mutant.number, 0) & mutants.DIFFERENT)
    if not concerned:
        reached = any(mutant.number in t.marks for t in tests)
        return Verdict(mutant, False, "never different" if reached else "not reached")
    work, seen = 0.0, set()
    for runs, test in enumerate(concerned, 1):
        function = test.name.partition("[")[0]
        if (patience and work > patience and function in seen) or (most and work > most):
            break
        if fails(session, test, mutant.number):
            return Verdict(mutant, True, test.name, runs)
        work += test.work
        seen.add(function)
    return Verdict(mutant, False, "unnoticed", runs)


def fails(session, test, number):
    """Whether the test fails with the defect, and passes without it in the same process."""
    allowed = 60 + 20 * test.seconds
    for _ in range(2):
        fresh = session.process is None
        try:
            if not session.run(test.index, number, allowed)["failed"]:
                return False
            # What an earlier defect left behind must not count for this one.
            if not session.run(test.index, 0, allowed + 60)["failed"]:
                return True
            session.stop()
        except Died:
            if fresh:
                return True
        if fresh:
            return True
    return True


@contextlib.contextmanager
def sessions(count, runtime, metal, files):
    """As many sessions, ended with the block."""
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for i in range(count):
            (pathlib.Path(folder) / str(i)).mkdir()
            made.append(Session(runtime, metal, files, pathlib.Path(folder) / str(i)))
        try:
            yield made
        finally:
            for session in made:
                session.stop()
