# tests/python/test_distributed.py -- communication: a process alone, and real processes under mpirun
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import nhwc as mx
from nhwc import _core

dist = mx.distributed
RANKS = pathlib.Path(__file__).resolve().with_name("distributed_ranks.py")
LAUNCHED = ("OMPI_", "PMI_", "PMIX_", "MV2_", "SLURM_")
X = mx.array([1.0, 2.0])


def environment(**more):
    """That of these tests, without what a launcher left there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHED)}
    return {**kept, "PYTHONPATH": str(pathlib.Path(mx.__file__).parents[1]), "NHWC_NUM_THREADS": "1", **more}


def mpirun(size, *arguments, program=RANKS):
    """The finished run of a program in several processes."""
    pytest.importorskip("mpi4py", reason="needs mpi4py")
    beside = pathlib.Path(sys.executable).with_name("mpirun")  # the one of the package, if it is installed
    launcher = str(beside) if beside.exists() else shutil.which("mpirun")
    if not launcher:
        pytest.skip("no mpirun")
    command = [launcher, "-n", str(size), sys.executable, str(program), *arguments]
    # Open MPI refuses root and more processes than cores unless it is told.
    told = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    told["PRTE_MCA_rmaps_default_mapping_policy"] = ":oversubscribe"
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment() | told,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("part", ["collectives", "gradients", "compiled", "messages", "groups", "training"])
def test_processes(part, size):
    done = mpirun(size, part)
    assert done.returncode == 0, done.stdout + done.stderr
    # Launchers may join lines of two processes.
    assert sorted(re.findall(r"rank \d of \d: \w+ done", done.stdout)) == [
        f"rank {r} of {size}: {part} done" for r in range(size)
    ]


def test_the_example():
    pytest.importorskip("sklearn")
    pytest.importorskip("tqdm")
    done = mpirun(2, "--epochs", "12", program=RANKS.parents[2] / "examples" / "distributed_training.py")
    found = re.search(r"2 processes; test accuracy: (\d+\.\d) %", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) >= 97


@pytest.mark.parametrize("part", ["raises", "killed"])
def test_a_process_that_ends_by_an_error_ends_the_others(part):
    done = mpirun(2, part)  # a timeout would say that it does not
    assert done.returncode != 0
    assert "done" not in done.stdout
    if part == "raises":
        assert "ArithmeticError: the second is wrong" in done.stderr
        assert "rank 1:" in done.stderr


def test_a_process_alone():
    group = dist.init()
    assert dist.init() is group
    assert (group.rank(), group.size()) == (0, 1)
    assert "size=1" in repr(group)
    for f in (dist.all_sum, dist.all_max, dist.all_min, dist.all_gather, dist.sum_scatter):
        assert f(X).tolist() == [1.0, 2.0]
        assert mx.grad(lambda x, f=f: (f(x) * X).sum())(X).tolist() == [1.0, 2.0]
        assert mx.compile(f)(X).tolist() == [1.0, 2.0]
        assert mx.vmap(f)(mx.ones((2, 3))).shape == (2, 3)
    tree = {"a": [X]}
    assert dist.average_gradients(tree) is tree
    assert not dist.is_available("nccl")
    assert dist.init(backend="ring").size() == 1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: dist.init(backend="mip"), ValueError, r"\[distributed.init\] backend must be one of any, mpi"),
        (lambda: dist.init(strict=True), RuntimeError, "start the program by mpirun"),
        (lambda: dist.init(strict=True, backend="ring"), RuntimeError, "no group for backend 'ring'"),
        (lambda: dist.init().split(0), RuntimeError, r"\[Group.split\]"),
        (lambda: dist.send(X, 0), ValueError, r"\[send\] a process alone has nobody to send to"),
        (lambda: dist.recv((2,), mx.float32, 0), ValueError, r"\[recv\] a process alone"),
        (lambda: dist.recv_like(X, 0), ValueError, "nobody to receive from"),
        (lambda: dist.all_sum(X, group=1), TypeError, r"\[all_sum\] group must be a Group.*got int"),
        (lambda: dist.sum_scatter(mx.array(1.0)), ValueError, r"\[sum_scatter\] the first axis of \(\)"),
        (lambda: dist.average_gradients({"a": 1}), TypeError, r"\[average_gradients\] the gradients hold a int at 'a'"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_an_exchange_that_fails_where_it_is_evaluated():
    calls = []

    def fails(x):
        calls.append(x.tolist())
        if len(calls) < 3:
            raise OSError("the line is down")
        return mx.array([7.0, 8.0])

    y = mx.compile(lambda x: _core._host_call(x * 2, (2,), fails) + 1)(X)
    assert not calls
    for _ in range(2):
        with pytest.raises(OSError, match="the line is down"):
            mx.eval(y)
    assert y.tolist() == [8.0, 9.0]  # what failed is lazy again
    assert calls == [[2.0, 4.0]] * 3


def test_messages_cannot_be_compiled():
    for message in (lambda x: dist.send(x, 0), lambda x: dist.recv((2,), mx.float32, 0)):
        with pytest.raises(RuntimeError, match="compiled cannot"):
            mx.compile(message)(X)


ABSENT = "import sys; sys.modules['mpi4py'] = None\n"


@pytest.mark.parametrize(
    ("set_up", "launcher", "text"),
    [
        (ABSENT, {"PMI_SIZE": "2"}, 'mpi4py cannot be imported.*pip install "nhwc\\[mpi\\]"'),
        (ABSENT, {"PMIX_RANK": "0"}, "mpi4py cannot be imported"),
        (ABSENT, {"SLURM_STEP_NUM_TASKS": "2"}, "RuntimeWarning.*srun --mpi=pmi2"),
        # mpi4py warns of it too, of some.
        ("import mpi4py", {"MV2_COMM_WORLD_SIZE": "2"}, "started 2 processes, but mpi4py sees 1"),
    ],
)
def test_a_launcher_without_its_mpi(set_up, launcher, text):
    if "None" not in set_up:
        pytest.importorskip("mpi4py")
    program = f"{set_up}\nimport nhwc\nnhwc.distributed.init()"
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(**launcher),
    )
    assert done.returncode == 1

    assert re.search(text, done.stderr), done.stderr


def test_nothing_of_mpi_is_imported_without_a_launcher():
    program = "import sys, nhwc; nhwc.distributed.init(); print('mpi4py' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), check=True
    )
    assert done.stdout.split() == ["False", "False"]
