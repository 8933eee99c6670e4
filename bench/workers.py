# bench/workers.py -- contenders in processes of their own, each stopped while another runs, measured in turn
"""The protocol of every side-by-side benchmark.

A script that compares starts one `Worker` per contender; each is the same script run again with `--worker`, which calls
`serve(prepare)`. Thread pools spin after their work, so a process group is stopped (SIGSTOP) unless it has been asked
something. All contenders of one measurement may use the same processors, as many as threads."""

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

GPU = 0  # in place of a number of threads: the contender computes on the GPU
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NHWC_NUM_THREADS", "NPROC", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
HOPELESS = 3.0  # a contender this many times slower than the fastest is not measured further
MAX_CALLS = 1_000_000


class WorkerError(Exception):
    """The contender cannot do what it was asked; the text says why, in one line."""


class Worker:
    """One contender in a process group of its own, which runs only between a question and its answer."""

    def __init__(self, script, contender, threads, timeout=60.0, settings=None):
        """`threads`: a number, or GPU. `settings`: environment variables of its own."""
        self.command = [sys.executable, os.fspath(script), "--worker", contender, str(threads)]
        self.settings = settings or {}
        self.contender, self.threads, self.timeout = contender, threads, timeout
        self.process = None

    def _start(self):
        limits = dict.fromkeys(THREAD_VARIABLES, str(self.threads)) if self.threads != GPU else {}
        env = os.environ | limits | {"JAX_PLATFORMS": "cpu"} | self.settings
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in close()
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=env,
            start_new_session=True,
        )
        self.buffer = b""
        self._answer(self.timeout)  # it has imported what it needs

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _stop(self):
        self._signal(signal.SIGSTOP)
        if hasattr(os, "waitid"):  # until it has stopped, or died
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def _last_words(self):
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "no message"

    def _answer(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                self.close()
                raise WorkerError(f"no answer in {timeout:.0f} s")
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                code, words = self.process.wait(), self._last_words()
                self.close()
                raise WorkerError(f"died ({signal.Signals(-code).name if code < 0 else code}): {words}")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        self._stop()
        answer = json.loads(line)
        if "failed" in answer:
            raise WorkerError(answer["failed"])
        return answer

    def ask(self, what, **arguments):
        """The answer, a dict. WorkerError where the contender refuses, dies (it is started again at the next
        question) or does not answer in time."""
        if self.process is None:
            self._start()
        self._signal(signal.SIGCONT)
        try:
            self.process.stdin.write((json.dumps({"ask": what, **arguments}) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its death is reported by _answer
        return self._answer(self.timeout)

    def close(self):
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.log):
                with contextlib.suppress(OSError):
                    pipe.close()
            self.process = None


def bind_to_processors(threads):
    """This process may use only so many processors, the last ones: interrupts tend to be served by the first. With GPU
    all of them."""
    if threads != GPU and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


def die_with_parent():
    """A stopped process whose parent was killed would stay for ever."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def fastest_variant(variants):
    """(name, seconds of one call, what it gave) of the fastest of {name: call}, each of which is called a few times."""
    best = None
    for name, call in variants.items():
        call()
        times, end = [], time.perf_counter() + 0.03
        while not times or (len(times) < 5 and time.perf_counter() < end):
            start = time.perf_counter()
            result = call()
            times.append(time.perf_counter() - start)
        if best is None or min(times) < best[1]:
            best = (name, max(min(times), 1e-9), result)
    return best


def run_block(call, number):
    """Seconds of one call, the mean of `number`; a few before them do not count: others filled the caches."""
    for _ in range(max(1, number // 8)):
        call()
    start = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - start) / number


def serve(prepare):
    """Answers a Worker's questions until its pipe closes. `prepare(**task)` gives ({variant: call}, facts), where
    `facts(result)` is asked once, with what a call of the fastest variant gave, for what else to answer."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"ready": True})
    call = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if question.pop("ask") == "prepare":
                call = None  # frees what the last task held
                variants, facts = prepare(**question)
                name, once, result = fastest_variant(variants)
                call = variants[name]
                say({"variant": name, "once": once, **facts(result)})
                variants = facts = result = None
            else:
                say({"seconds": run_block(call, **question)})
        except Exception as error:  # whatever a library raises: this contender does not support the task
            traceback.print_exc()
            text = str(error).strip().splitlines()
            say({"failed": f"{type(error).__name__}: {text[0] if text else ''}"[:300]})


def measure(workers, task, seconds=0.5, blocks=5):
    """{contender: answer of prepare with "seconds", "spread" and "blocks", or {"failed": why}}.

    `seconds` is what each contender gets in all, warming up aside, in blocks that the contenders take in turn."""
    results = {}
    for name, worker in workers.items():
        try:
            results[name] = worker.ask("prepare", **task)
        except WorkerError as error:
            results[name] = {"failed": str(error)}
    fastest = min((r["once"] for r in results.values() if "once" in r), default=0)
    times = {name: [] for name, r in results.items() if "once" in r and r["once"] <= HOPELESS * fastest}
    for block in range(blocks):
        for name in list(times) if block % 2 == 0 else list(times)[::-1]:
            number = min(MAX_CALLS, max(1, int(seconds / blocks / results[name]["once"])))
            try:
                times[name].append(workers[name].ask("block", number=number)["seconds"])
            except WorkerError as error:
                results[name] = {"failed": str(error)}
                del times[name]
    for name, r in results.items():
        if "failed" not in r:
            taken = times.get(name) or [r["once"]]
            r["seconds"] = statistics.median(taken)
            r["spread"] = (max(taken) - min(taken)) / r["seconds"]
            r["blocks"] = len(times.get(name, []))
    return results
