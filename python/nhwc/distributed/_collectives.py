# python/nhwc/distributed/_collectives.py -- sums, extrema and copies of arrays over the processes of a group
"""Collectives, and messages from one process to another."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nhwc import _core
from nhwc._core import array
from nhwc._transforms import custom_function
from nhwc.distributed._group import Group, init

if TYPE_CHECKING:
    import numpy as np

_HALVES = (_core.float16, _core.bfloat16)


def _group_of(group: Group | None, who: str) -> Group:
    if group is None:
        return init()
    if not isinstance(group, Group):
        raise TypeError(f"[{who}] group must be a Group, as init() gives, or None, got {type(group).__name__}")
    return group


def _array_of(x: Any) -> array:
    return x if isinstance(x, array) else array(x)


def _bits(x: array) -> array:
    """A half type's bits as integers."""
    return _core.contiguous(x).view(_core.uint16)


def _exchanged(x: array, shape: Sequence[int], exchange: Callable[[np.ndarray, np.ndarray], None]) -> array:
    """An array of the dtype of ``x``, which ``exchange(values of x, new values)`` fills.

    That happens at once, or, where a function is traced and there may be no values, when the result is evaluated.
    """
    if x.dtype in _HALVES and _core._tracing():  # there bits cannot be seen
        return _exchanged(x.astype(_core.float32), shape, exchange).astype(x.dtype)
    if x.dtype in _HALVES:  # which buffers do not have
        return _exchanged(_bits(x), shape, exchange).view(x.dtype)

    def run(x: array) -> array:
        import numpy as np  # here: importing nhwc does not import it

        values = np.ascontiguousarray(np.asarray(x))
        new = np.empty(shape, values.dtype)
        exchange(values, new)
        return _core.asarray(new, x.dtype)

    return _core._host_call(x, tuple(shape), run) if _core._tracing() else run(x)


def _reduced(x: array, kind: str, comm: Any) -> array:
    from mpi4py import MPI

    if x.dtype in _HALVES:
        return _reduced(x.astype(_core.float32), kind, comm).astype(x.dtype)
    ops = {"sum": MPI.SUM, "max": MPI.MAX, "min": MPI.MIN}
    if x.dtype == _core.bool_:
        ops = {"sum": MPI.LOR, "max": MPI.LOR, "min": MPI.LAND}
    return _exchanged(x, x.shape, lambda values, new: comm.Allreduce(values, new, op=ops[kind]))


def _last(axis: int, x: array) -> array:
    """With the batch, which is along ``axis``, as the last axis: these functions work along the first."""
    return _core.moveaxis(x, axis, -1)


# Each process differentiates its own loss: the other processes' arguments are constants to it.


def _all_reduce(x: Any, kind: str, group: Group | None) -> array:
    x, group = _array_of(x), _group_of(group, f"all_{kind}")
    if group.size() == 1:
        return x
    comm = group._comm

    @custom_function
    def reduce(x):
        return _reduced(x, kind, comm)

    @reduce.vjp
    def vjp(primal, cotangent, output):
        return cotangent if kind == "sum" else _core.where(primal == output, cotangent, 0)

    @reduce.jvp
    def jvp(primal, tangent):
        if kind == "sum":
            return _reduced(tangent, kind, comm)
        chosen = (primal == _reduced(primal, kind, comm)).astype(tangent.dtype)
        return _reduced(chosen * tangent, "sum", comm) / _reduced(chosen, "sum", comm)

    @reduce.vmap
    def vmap(primal, axis):
        return reduce(primal), axis

    return reduce(x)


def all_sum(x: Any, *, group: Group | None = None, stream: Any = None) -> array:
    """The sum of the arrays that the processes give; of booleans whether any is true.

    float16 and bfloat16 are summed in float32. The gradient is that of each process's own loss: the cotangent as it is.

    Args:
        x (array): of the same shape and dtype in all processes.
        group (Group, optional): who takes part. Default: all.
        stream: accepted for MLX's sake.

    Returns:
        array: of the shape and dtype of ``x``, the same in all processes.

    Example:
        >>> mx.distributed.all_sum(mx.array([1, 2])).tolist()
        [1, 2]
    """
    return _all_reduce(x, "sum", group)


def all_max(x: Any, *, group: Group | None = None, stream: Any = None) -> array:
    """The largest of the processes' values, element by element.

    Args:
        x (array): of the same shape and dtype in all processes.
        group (Group, optional): who takes part. Default: all.
        stream: accepted for MLX's sake.

    Returns:
        array: of the shape and dtype of ``x``, the same in all processes. Its gradient goes to the processes whose
        value it is.

    Example:
        >>> mx.distributed.all_max(mx.array([1, 2])).tolist()
        [1, 2]
    """
    return _all_reduce(x, "max", group)


def all_min(x: Any, *, group: Group | None = None, stream: Any = None) -> array:
    """The smallest of the processes' values, element by element.

    Args:
        x (array): of the same shape and dtype in all processes.
        group (Group, optional): who takes part. Default: all.
        stream: accepted for MLX's sake.

    Returns:
        array: of the shape and dtype of ``x``, the same in all processes. Its gradient goes to the processes whose
        value it is.

    Example:
        >>> mx.distributed.all_min(mx.array([1, 2])).tolist()
        [1, 2]
    """
    return _all_reduce(x, "min", group)


def all_gather(x: Any, *, group: Group | None = None, stream: Any = None) -> array:
    """The arrays of all processes, one after the other along the first axis.

    Args:
        x (array): (n, ...), of the same shape and dtype in all processes; a scalar counts as (1,).
        group (Group, optional): who takes part. Default: all.
        stream: accepted for MLX's sake.

    Returns:
        array: (size * n, ...), the same in all processes; ``x`` itself in a process alone.

    Example:
        >>> mx.distributed.all_gather(mx.array([1, 2])).tolist()
        [1, 2]
    """
    x, group = _array_of(x), _group_of(group, "all_gather")
    if group.size() == 1:
        return x
    rank, size, comm = group.rank(), group.size(), group._comm

    def gathered(x):
        return _exchanged(x, (size * x.shape[0], *x.shape[1:]), comm.Allgather)

    gather = custom_function(gathered)

    @gather.vjp
    def vjp(primal, cotangent, output):
        return cotangent[rank * primal.shape[0] : (rank + 1) * primal.shape[0]]

    @gather.jvp
    def jvp(primal, tangent):
        return gathered(tangent)

    @gather.vmap
    def vmap(primal, axis):
        return gather(_last(axis, primal)), primal.ndim - 1

    return gather(x.reshape(1) if x.ndim == 0 else x)


def sum_scatter(x: Any, *, group: Group | None = None, stream: Any = None) -> array:
    """The sum of the arrays that the processes give, of which each gets its part along the first axis.

    float16 and bfloat16 are summed in float32.

    Args:
        x (array): (n, ...), of the same shape and dtype in all processes; n a multiple of their number.
        group (Group, optional): who takes part. Default: all.
        stream: accepted for MLX's sake.

    Returns:
        array: (n / size, ...), the rows from ``rank * n / size`` on of ``all_sum(x)``.

    Raises:
        ValueError: a first axis that cannot be shared evenly.

    Example:
        >>> mx.distributed.sum_scatter(mx.array([1, 2])).tolist()
        [1, 2]
    """
    x, group = _array_of(x), _group_of(group, "sum_scatter")
    rank, size, comm = group.rank(), group.size(), group._comm
    if x.ndim == 0 or x.shape[0] % size:
        raise ValueError(
            f"[sum_scatter] the first axis of {x.shape} must be a multiple of the group's {size} processes"
        )
    if size == 1:
        return x
    rows = x.shape[0] // size

    def scattered(x):
        from mpi4py import MPI

        if x.dtype in _HALVES:
            return scattered(x.astype(_core.float32)).astype(x.dtype)
        op = MPI.LOR if x.dtype == _core.bool_ else MPI.SUM
        return _exchanged(x, (rows, *x.shape[1:]), lambda values, new: comm.Reduce_scatter_block(values, new, op=op))

    scatter = custom_function(scattered)

    @scatter.vjp
    def vjp(primal, cotangent, output):
        rest = [(0, 0)] * (primal.ndim - 1)
        return _core.pad(cotangent, [(rank * rows, (size - 1 - rank) * rows), *rest])

    @scatter.jvp
    def jvp(primal, tangent):
        return scattered(tangent)

    @scatter.vmap
    def vmap(primal, axis):
        return scatter(_last(axis, primal)), primal.ndim - 1

    return scatter(x)


# A message stays here until it has left: two processes may send to each other before either receives.
_leaving: list[tuple[Any, np.ndarray]] = []


def _wait_for_leaving() -> None:
    for request, _ in _leaving:
        request.Wait()
    _leaving.clear()


def _peer(rank: int, group: Group, who: str, verb: str) -> int:
    if _core._compiling():
        raise RuntimeError(f"[{who}] a function that is compiled cannot {verb} another process: it runs only once")
    if group.size() == 1:
        raise ValueError(f"[{who}] a process alone has nobody to {verb}")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 0 <= rank < group.size():
        raise ValueError(f"[{who}] there is no rank {rank!r} in a group of {group.size()} processes")
    return rank


def send(x: Any, dst: int, *, group: Group | None = None, stream: Any = None) -> array:
    """Sends an array to one process, without waiting until it is received.

    Args:
        x (array): any.
        dst (int): the rank of the process that calls :func:`recv`.
        group (Group, optional): whose ranks are meant. Default: that of all.
        stream: accepted for MLX's sake.

    Returns:
        array: ``x``.

    Raises:
        ValueError: no such rank, or a process alone.

    Example:
        >>> if mx.distributed.init().size() > 1:
        ...     mx.distributed.send(mx.array([1, 2]), 1)
    """
    x, group = _array_of(x), _group_of(group, "send")
    dst = _peer(dst, group, "send", "send to")
    import numpy as np

    if not _leaving:
        atexit.unregister(_wait_for_leaving)
        atexit.register(_wait_for_leaving)  # after that of mpi4py, so it runs before
    _leaving[:] = [held for held in _leaving if not held[0].Test()]
    values = np.ascontiguousarray(np.asarray(_bits(x) if x.dtype in _HALVES else x))
    _leaving.append((group._comm.Isend(values, dst), values))
    return x


def recv(shape: Sequence[int], dtype: Any, src: int, *, group: Group | None = None, stream: Any = None) -> array:
    """The array that one process sent; waits for it.

    Args:
        shape (tuple): of the array that was sent.
        dtype (Dtype): of the array that was sent.
        src (int): the rank of the process that called :func:`send`.
        group (Group, optional): whose ranks are meant. Default: that of all.
        stream: accepted for MLX's sake.

    Returns:
        array: what was sent.

    Raises:
        ValueError: no such rank, or a process alone.
        RuntimeError: another size than was sent.

    Example:
        >>> if mx.distributed.init().size() > 1:
        ...     mx.distributed.recv((2,), mx.int32, 0)
    """
    group = _group_of(group, "recv")
    src = _peer(src, group, "recv", "receive from")
    import numpy as np
    from mpi4py import MPI

    new = np.empty(shape, np.uint16 if dtype in _HALVES else str(dtype).split(".")[-1].rstrip("_"))
    status = MPI.Status()
    try:
        group._comm.Recv(new, src, status=status)
        count = status.Get_count(MPI.BYTE)
    except MPI.Exception as e:
        raise RuntimeError(f"[recv] rank {src} sent another array than {tuple(shape)} of {dtype}: {e}") from e
    if count != new.nbytes:
        raise RuntimeError(f"[recv] rank {src} sent {count} bytes; {tuple(shape)} of {dtype} has {new.nbytes}")
    return _core.asarray(new).view(dtype) if dtype in _HALVES else _core.asarray(new, dtype)


def recv_like(x: array, src: int, *, group: Group | None = None, stream: Any = None) -> array:
    """The array that one process sent, of the shape and dtype of another; waits for it.

    Args:
        x (array): whose shape and dtype are meant.
        src (int): the rank of the process that called :func:`send`.
        group (Group, optional): whose ranks are meant. Default: that of all.
        stream: accepted for MLX's sake.

    Returns:
        array: what was sent.

    Raises:
        ValueError: no such rank, or a process alone.
        RuntimeError: another size than was sent.

    Example:
        >>> if mx.distributed.init().size() > 1:
        ...     mx.distributed.recv_like(mx.zeros((2,)), 0)
    """
    return recv(x.shape, x.dtype, src, group=group)
