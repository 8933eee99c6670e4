# python/nhwc/distributed/_group.py -- who is there: the processes of a launcher, their groups, and how they end
"""Groups of processes."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
import warnings
from typing import Any

# What the launchers set in every process: Open MPI; MPICH, Intel MPI and Slurm's pmi2; MVAPICH; PMIx (Slurm, PRRTE).
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("PMIX_RANK", "PMI_RANK")
_BACKENDS = ("any", "mpi", "ring", "nccl", "jaccl")


class Group:
    """Processes that communicate; :func:`init` gives the one of all, :meth:`split` smaller ones."""

    def __init__(self, comm: Any = None):
        self._comm = comm  # an mpi4py communicator, or None for this process alone

    def rank(self) -> int:
        """The number of this process in the group, from 0."""
        return self._comm.Get_rank() if self._comm else 0

    def size(self) -> int:
        """How many processes the group has."""
        return self._comm.Get_size() if self._comm else 1

    def split(self, color: int, key: int = -1) -> Group:
        """The group of those that call with the same color; all of this group must call it.

        Args:
            color (int): at least 0; names the new group.
            key (int): ranks in the new group are in the order of keys. Default: ``-1``, the order of this group.

        Returns:
            Group: the one that this process is in.

        Raises:
            RuntimeError: a process alone.
        """
        if not self._comm:
            raise RuntimeError("[Group.split] a process alone is no group to split")
        if color < 0:
            raise ValueError(f"[Group.split] color must be at least 0, got {color}")
        return Group(self._comm.Split(color, key if key >= 0 else self.rank()))

    def __repr__(self) -> str:
        return f"Group(rank={self.rank()}, size={self.size()})"


_world: Group | None = None


def _launched() -> int:
    """How many processes a launcher of MPI started; 0 where none did, and 1 where the number is not told."""
    for name in _SIZES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return int(any(name in os.environ for name in _RANKS))


def is_available(backend: str = "any") -> bool:
    """Whether processes could communicate: whether mpi4py is installed.

    Args:
        backend (str): ``"any"`` or ``"mpi"``; others of MLX are not there. Default: ``"any"``.

    Returns:
        bool: whether :func:`init` can connect processes that a launcher started.

    Example:
        >>> mx.distributed.is_available("nccl")
        False
    """
    return backend in ("any", "mpi") and importlib.util.find_spec("mpi4py") is not None


def init(strict: bool = False, backend: str = "any", *, all_gather_factory: Any = None) -> Group:
    """The group of all processes that were started together; calls after the first give the same.

    Args:
        strict (bool): refuse to be alone. Default: ``False``.
        backend (str): ``"any"`` or ``"mpi"``. With another of MLX's (``"ring"``, ``"nccl"``, ``"jaccl"``) a process is
            alone. Default: ``"any"``.
        all_gather_factory: accepted for MLX's sake.

    Returns:
        Group: the processes of ``mpirun``, or this process alone where no launcher started it.

    Raises:
        RuntimeError: with ``strict``, no other process could be; or a launcher started several, but mpi4py is absent or
            belongs to another MPI.
        ValueError: an unknown backend.

    Example:
        >>> mx.distributed.init().size()
        1
    """
    global _world
    del all_gather_factory
    if backend not in _BACKENDS:
        raise ValueError(f"[distributed.init] backend must be one of {', '.join(_BACKENDS)}, got {backend!r}")
    if backend in ("any", "mpi"):
        if _world is None:
            _world = _connect()
        if _world._comm or not strict:
            return _world
    if strict:
        raise RuntimeError(
            f"[distributed.init] no group for backend {backend!r}: start the program by mpirun or by srun --mpi, with "
            'mpi4py installed (pip install "nhwc[mpi]")'
        )
    return Group()


def _connect() -> Group:
    count = _launched()
    if not count:
        if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
            warnings.warn(
                "[distributed.init] srun started several processes without MPI, so each is alone; "
                "srun --mpi=pmi2 or --mpi=pmix connects them",
                RuntimeWarning,
                stacklevel=3,
            )
        return Group()
    try:
        from mpi4py import MPI
    except ImportError as e:
        raise RuntimeError(
            "[distributed.init] the program was started by a launcher of MPI, but mpi4py cannot be imported "
            f'({e}); pip install "nhwc[mpi]"'
        ) from e
    world = MPI.COMM_WORLD
    if world.Get_size() < count:
        raise RuntimeError(
            f"[distributed.init] the launcher started {count} processes, but mpi4py sees {world.Get_size()}: they are "
            f"of different MPIs; mpi4py uses {MPI.Get_library_version().splitlines()[0].strip()}"
        )
    if world.Get_size() > 1:
        _end_together(world)
    return Group(world.Dup())  # messages of ours and of a program's own mpi4py do not meet


def _end_together(world: Any) -> None:
    """Lets an exception that ends this process end the others, which would wait for it."""

    before = sys.excepthook

    def hook(kind: type[BaseException], value: BaseException, trace: Any) -> None:
        try:
            print(f"rank {world.Get_rank()}:", file=sys.stderr)
            before(kind, value, trace)
        except Exception:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        world.Abort(1)

    sys.excepthook = hook
