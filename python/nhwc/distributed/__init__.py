# python/nhwc/distributed/__init__.py -- several processes that train together, under the names of mlx.core.distributed
"""Communication between the processes that ``mpirun`` or ``srun`` started, over MPI; one process alone otherwise.

``pip install "nhwc[mpi]"`` brings mpi4py and an MPI; mpi4py on a cluster's own MPI serves as well. Without a launcher
nothing of it is imported.

Collectives run at once: they evaluate their argument and wait for the other processes, so all of a group must call them
in the same order. Where a function is traced, for ``compile``, a derivative or a batch, they run when the result is
evaluated: then all must evaluate the same in the same order. Messages (:func:`send`, :func:`recv`) cannot be compiled.
float16 and bfloat16 are summed in float32.

Where a process dies or ends by an exception, the others are ended too, instead of waiting for it. ``sys.exit`` is no
exception in this sense; ``mpirun -n 2 python -m mpi4py program.py`` has it end the others as well.
"""

from nhwc.distributed._collectives import all_gather, all_max, all_min, all_sum, recv, recv_like, send, sum_scatter
from nhwc.distributed._gradients import average_gradients
from nhwc.distributed._group import Group, init, is_available

__all__ = [
    "Group",
    "all_gather",
    "all_max",
    "all_min",
    "all_sum",
    "average_gradients",
    "init",
    "is_available",
    "recv",
    "recv_like",
    "send",
    "sum_scatter",
]
