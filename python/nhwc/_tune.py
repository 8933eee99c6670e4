# python/nhwc/_tune.py -- measuring convolutions on this machine, and the file that keeps what was measured
"""tune and tuning: the fastest algorithm of each convolution, found by running all of them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from nhwc import _core
from nhwc._core import array

_GOOD, _DAMAGED, _OTHER_MACHINE, _OTHER_VERSION = range(4)  # ParsedTuning::Status


def _default_file() -> pathlib.Path:
    named = os.environ.get("NHWC_TUNE_CACHE")
    if named:
        return pathlib.Path(named)
    folder = os.environ.get("XDG_CACHE_HOME")
    # The specification of that variable: a relative path counts as none.
    if not folder or not os.path.isabs(folder):
        folder = os.path.expanduser("~/.cache")
    machine = _core._tuning_text().splitlines()[2].split()[1:]
    caches = "-".join(str(int(size) >> 10) for size in machine[1:])
    return pathlib.Path(folder) / "nhwc" / f"tune-{machine[0]}-{caches}.txt"


def _load(file: pathlib.Path) -> bool:
    """Takes over the file's choices; whether it may be written afterwards."""
    status, problem = _core._load_tuning(os.fspath(file))
    if status == _OTHER_MACHINE:
        problem += "; it is left as it is, and what is measured now is kept in memory"
    elif status != _GOOD:
        problem += "; it is ignored, and written anew"
    if problem:
        warnings.warn(f"[tune] {file}: {problem}", RuntimeWarning, stacklevel=2)
    return status != _OTHER_MACHINE


def _save(file: pathlib.Path) -> None:
    """Replaces the file in one step, by what it holds now and what this process knows."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _core._load_tuning(os.fspath(file))  # another process may have added to it
        handle, temporary = tempfile.mkstemp(prefix=file.name, dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as out:
                out.write(_core._tuning_text())
            os.replace(temporary, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        warnings.warn(
            f"[tune] cannot write {file}: {error.strerror or error}; what was measured is kept in memory",
            RuntimeWarning,
            stacklevel=2,
        )


def _arrays(tree: Any) -> list[array]:
    """The arrays of what a function returned, whatever else is there."""
    if isinstance(tree, array):
        return [tree]
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [a for item in items for a in _arrays(item)]


@contextlib.contextmanager
def tuning(
    *, cache: str | os.PathLike | None = None, repeats: int = 10, again: bool = False, progress: bool = True
) -> Iterator[list[dict[str, Any]]]:
    """A scope in which each new convolution that is evaluated is measured first.

    See :func:`tune`. What is made inside but evaluated after it is not measured.

    Args:
        cache (str | path, optional): the file of measurements. Default: as for tune.
        repeats (int): timings of each algorithm. Default: 10.
        again (bool): forgets what was measured before. Default: False.
        progress (bool): a line on stderr, if that is a terminal. Default: True.

    Returns:
        A context manager that gives a list, filled at the end of the scope: what was measured, as by tune.

    Raises:
        ValueError: repeats is less than 1.

    Example:
        >>> import os, tempfile
        >>> with mx.tuning(cache=os.path.join(tempfile.mkdtemp(), "tuned.txt"), repeats=1):
        ...     mx.eval(mx.conv2d(mx.ones((1, 8, 8, 16)), mx.ones((16, 3, 3, 16))))
    """
    if isinstance(repeats, bool) or not isinstance(repeats, int):
        raise TypeError(f"[tuning] repeats must be an int, got {type(repeats).__name__}")
    if not 1 <= repeats <= 1_000_000:
        raise ValueError(f"[tuning] repeats must be from 1 to 1000000, got {repeats}")
    file = pathlib.Path(cache) if cache is not None else _default_file()
    show = progress and sys.stderr is not None and sys.stderr.isatty()
    found: list[dict[str, Any]] = []
    begun = _core._begin_tuning(repeats, show, again)
    try:
        # Of a file that is measured again, what is not met stays: it is read at the end.
        writable = True if again else _load(file)
        yield found
    finally:
        names = ("problem", "algorithm", "us", "preferred", "preferred_us")
        found += [dict(zip(names, row, strict=True)) for row in _core._end_tuning(begun)]
        if show and found:
            print(file=sys.stderr)
        if found and again:
            writable = _load(file)
        if found and writable:
            _save(file)


def tune(
    fun: Callable | Any,
    *args: Any,
    cache: str | os.PathLike | None = None,
    repeats: int = 10,
    again: bool = False,
    progress: bool = True,
    **kwargs: Any,
) -> list[dict[str, Any]]:
    """Finds the fastest algorithm for each convolution of a function by running all that can compute it.

    The planner's choice follows from a model of the processor; this measures instead, on the arrays that the function
    really convolves, and on as many threads as are set. From then on each such convolution takes the algorithm that was
    the fastest (at least 2 % faster than the model's choice), in this process, and in later ones that are started with
    ``NHWC_TUNE_CACHE`` set or call ``tune`` or ``tuning``. Results are deterministic for a given file. Nothing is
    measured that ``precision="highest"`` or ``set_batch_invariant`` forbid, ``NHWC_CONV_ALGORITHM`` still wins, and
    ``explain`` says what was tuned.

    Args:
        fun (callable | array | tree): called with the other arguments, and what it returns is evaluated; or arrays,
            which are evaluated. Convolutions that it evaluates itself (a training step) are measured too.
        *args: of the function.
        cache (str | path, optional): the file of measurements; it is read first, and written at the end if something
            was measured. Default: that of ``NHWC_TUNE_CACHE``, else one for this kind of processor in
            ``$XDG_CACHE_HOME/nhwc`` or ``~/.cache/nhwc``.
        repeats (int): timings of each algorithm, in turn, of which the least counts. Default: 10.
        again (bool): forgets what was measured before; in the file it stays for convolutions that are not met. Default:
            False, measures only what is new.
        progress (bool): a line on stderr, if that is a terminal. Default: True.
        **kwargs: of the function.

    Returns:
        list[dict]: of each convolution that was measured ``problem`` (a text), ``algorithm`` and its time ``us``,
        ``preferred`` (by the model) and its time ``preferred_us``. Convolutions that only one algorithm computes are
        not measured.

    Raises:
        ValueError: repeats is less than 1.

    Warns:
        RuntimeWarning: the file cannot be read or written, is damaged, or of another machine or version of nhwc:
            then it is ignored, and what is measured is kept in memory.

    Example:
        >>> import os, tempfile
        >>> x, w = mx.ones((1, 16, 16, 16)), mx.ones((16, 3, 3, 16))
        >>> found = mx.tune(mx.conv2d, x, w, padding=1, cache=os.path.join(tempfile.mkdtemp(), "tuned.txt"), repeats=1)
        >>> len(found), found[0]["us"] <= found[0]["preferred_us"]
        (1, True)
    """
    with tuning(cache=cache, repeats=repeats, again=again, progress=progress) as found:
        if callable(fun):
            result = fun(*args, **kwargs)
        elif args or kwargs:
            raise TypeError("[tune] got arguments for something that is no function")
        else:
            result = fun
        _core.eval(*_arrays(result))
    return found
