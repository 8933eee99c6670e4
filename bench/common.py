# bench/common.py -- what every benchmark prints, and the median time of a call
import datetime
import os
import platform
import shlex
import statistics
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


def heading_lines(leave_out=()):
    """Machine, command, date. `leave_out`: options with a value that do not matter to a reader: files written."""
    arguments = sys.argv[1:]
    for option in leave_out:
        while option in arguments:
            at = arguments.index(option)
            del arguments[at : at + 2]
    script = os.path.relpath(sys.argv[0]).rsplit("../", 1)[-1] if sys.argv[0] else ""
    return [
        f"machine: {machine()}",
        f"command: `python {shlex.join([script, *arguments])}`",
        f"date: {datetime.date.today()}",
    ]


def print_heading():
    print("\n".join(heading_lines()))
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
