# bench/common.py -- what every benchmark prints, and how it measures: medians, each contender in a process of its own
import json
import os
import platform
import statistics
import subprocess
import sys
import time


def machine():
    """One line: processor, cores that this process may use, system, interpreter."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as f:
            model = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {cores} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}{load}"


def print_heading():
    print(f"machine: {machine()}")
    script = os.path.relpath(sys.argv[0]) if sys.argv[0] else ""
    print(f"command: python {' '.join([script.rsplit('../', 1)[-1], *sys.argv[1:]])}")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5:
        print("warning: other programs are running; the figures below are theirs too")


def median_seconds(call, seconds=0.3, repeats=5):
    """Median over `repeats` blocks of the time of one call; a block lasts about seconds / repeats."""
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-9)
    number = max(1, int(seconds / repeats / once))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(number):
            call()
        times.append((time.perf_counter() - start) / number)
    return statistics.median(times)


def in_process(script, *args, threads=1):
    """What `script --worker args` prints last, from JSON, in a fresh interpreter; None where it fails."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "NHWC_NUM_THREADS": str(threads)}
    command = [sys.executable, script, "--worker", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode:
        print("   ", (done.stderr.strip().splitlines() or ["failed"])[-1], file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def in_turn(script, contenders, rounds, threads=1, *args):
    """Medians over rounds in which the contenders run one after the other: {contender: {row: median}}."""
    collected = {c: {} for c in contenders}
    for _ in range(rounds):
        for contender in contenders:
            rows = in_process(script, contender, threads, *args, threads=threads)
            for row, value in (rows or {}).items():
                collected[contender].setdefault(row, []).append(value)
    return {c: {row: statistics.median(values) for row, values in rows.items()} for c, rows in collected.items()}
