# python/nhwc/_profile.py -- where the time of evaluations goes: a trace for Perfetto, and a table
"""profile: the operations evaluated in a with block, timed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from nhwc import _core

_CPU, _GPU = 1, 2  # the trace's processes


class Profile:
    """What :func:`profile` collected; there once its block has ended. ``print`` shows :meth:`table`."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, float]] = []
        """``(operation, detail, microseconds)`` of each step on the CPU, in the order in which they ended."""
        self.kernels: list[tuple[str, float]] = []
        """``(name, microseconds)`` of each kernel on the GPU."""

    def table(self, most: int = 20) -> str:
        """Time by operation, the longest first.

        Args:
            most (int): so many lines at most. Default: ``20``.

        Returns:
            str: a line for each operation: milliseconds, share of the time in all steps, calls, name.
        """
        times: dict[str, list[float]] = {}
        for name, _, us in self.steps:
            times.setdefault(name, []).append(us)
        for name, us in self.kernels:
            times.setdefault(f"GPU: {name}", []).append(us)
        whole = sum(map(sum, times.values())) or 1.0
        rows = sorted(times.items(), key=lambda row: -sum(row[1]))
        lines = [f"{'ms':>10}{'share':>8}{'calls':>8}  operation"]
        lines += [
            f"{sum(us) / 1e3:10.3f}{sum(us) / whole:8.1%}{len(us):8}  {name}" for name, us in rows[: max(most, 0)]
        ]
        if len(rows) > most:
            lines.append(f"{'':26}  and {len(rows) - most} more")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


def _span(name: str, process: int, thread: int, begin: float, end: float, **args: Any) -> dict[str, Any]:
    """An event of https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU; times in us."""
    return dict(name=name, ph="X", pid=process, tid=thread, ts=begin, dur=end - begin, args=args)


def _name(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return dict(name=kind, ph="M", pid=process, tid=thread, args={"name": name})


@contextlib.contextmanager
def profile(file: str | os.PathLike[str] | None = None) -> Iterator[Profile]:
    """Times every step of the evaluations in its block, of all threads, and writes a trace.

    The trace is in the Trace Event format: https://ui.perfetto.dev and ``chrome://tracing`` open it. Its spans are
    evaluations, and in them the steps: an operation, or what was computed in one pass. A span's arguments are the
    shapes, and of a convolution its plan. Kernels of the GPU have a track of their own, by the GPU's clock, and run one
    by one meanwhile. Timing takes about a microsecond a step, and of a convolution the time that :func:`explain` takes.

    Args:
        file (str | path | None): where the trace goes; ``None``: nowhere. Default: ``None``.

    Returns:
        A context manager that gives a ``Profile``: after the block ``print`` shows the time by operation.

    Raises:
        OSError: the file cannot be written; nothing was run then.
        RuntimeError: inside another such block.

    Example:
        >>> with mx.profile() as p:
        ...     mx.eval(mx.conv2d(mx.ones((1, 8, 8, 3)), mx.ones((4, 3, 3, 3))))
        >>> "conv" in str(p)
        True
    """
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(open(file, "w", encoding="utf-8")) if file is not None else None
        _core._start_profile()
        gpu = _core.metal.is_available()
        if gpu:
            _core.metal.start_timing()
        result = Profile()
        try:
            yield result
        finally:
            _core.synchronize()
            kernels = _core.metal.stop_timing() if gpu else []
            events = _core._stop_profile()
            result.steps = [(e[0], e[1], (e[3] - e[2]) / 1e3) for e in events if e[0] != "evaluation"]
            result.kernels = [(name, (end - begin) * 1e6) for name, begin, end in kernels]
            if out:
                json.dump(_trace(events, kernels), out)


def _trace(events: list[Any], kernels: list[Any]) -> dict[str, Any]:
    spans = [_name("process_name", _CPU, 0, "nhwc")]
    first = min((e[2] for e in events), default=0)
    for thread in sorted({e[4] for e in events}):
        spans.append(_name("thread_name", _CPU, thread, f"evaluation, thread {thread}"))
    for name, detail, begin, end, thread in events:
        spans.append(_span(name, _CPU, thread, (begin - first) / 1e3, (end - first) / 1e3, detail=detail))
    if kernels:
        spans.append(_name("process_name", _GPU, 0, f"GPU: {_core.metal.device_info()['device_name']}"))
        first = min(begin for _, begin, _ in kernels)
        spans += [_span(name, _GPU, 0, (b - first) * 1e6, (e - first) * 1e6) for name, b, e in kernels]
    return {"traceEvents": spans, "displayTimeUnit": "ms"}
