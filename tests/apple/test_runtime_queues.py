# tests/apple/test_runtime_queues.py -- the metal-cpp host code: several queues, times, traces, archives, what is kept
import ctypes
import itertools
import struct
import subprocess
import sys
import time

from runtime_process import PROBE, N, StandIn, failure, isolated, main
from runtime_table import Report, Status

# A kernel of an embedded library; the grid is empty, so that only its pipeline is made.
EMBEDDED = {"library": "index", "groups": (0, 1, 1), "threads": (32, 1, 1)}


def ping_pong(gpu, rounds, commits):
    """Adds 1 to a in turn on two queues, each after the other."""
    a, b = gpu.floats([0.0] * N), gpu.allocate(N)
    for _ in range(rounds):
        gpu.add(0, a, b)
        gpu.commit(0)
        gpu.order(1, 0)
        gpu.add(1, b, a)
        commits.append(gpu.commit(1))
        gpu.order(0, 1)
    gpu.wait(1, commits[-1])
    return list(a)


@isolated
def test_order_of_two_queues(path):
    gpu = StandIn(path)
    assert ping_pong(gpu, 20, []) == [40.0] * N
    assert gpu.misuses() == ""


@isolated
def test_queues_without_order_are_caught(path):
    gpu = StandIn(path)
    a, b, c = gpu.floats([0.0] * N), gpu.allocate(N), gpu.allocate(N)
    told = ""
    for _ in range(50):  # nothing is wrong where one has finished before the other is committed
        for _ in range(20):
            gpu.add(0, a, c)
        gpu.add(1, a, c)
        batches = gpu.commit(0), gpu.commit(1)
        gpu.wait(0, batches[0])
        gpu.wait(1, batches[1])
        told += gpu.misuses()
        if told:
            break
    assert "hazard" in told
    gpu.add(0, a, b)
    gpu.commit(0)
    gpu.order(1, 0)
    gpu.add(1, b, c)
    gpu.finish(1)
    assert gpu.misuses() == ""


@isolated
def test_order_before_and_after_work(path):
    gpu = StandIn(path)
    a, b, c, d = gpu.floats([0.0] * N), gpu.allocate(N), gpu.allocate(N), gpu.allocate(N)
    gpu.add(0, a, b)
    first = gpu.commit(0)  # while there is one queue, nothing is signalled
    gpu.order(1, 0)
    gpu.order(1, 1)
    gpu.order(1, 2)  # has done nothing
    gpu.add(1, b, c)
    gpu.add(2, a, d)
    gpu.commit(2)
    gpu.order(1, 2)  # within a batch
    gpu.add(1, d, c)
    gpu.finish(1)
    assert gpu.finished(0) == first
    assert list(c) == [2.0] * N
    gpu.wait(0, first)
    gpu.order(1, 0)  # has finished
    assert gpu.commit(1) == 1
    assert gpu.misuses() == ""


@isolated
def test_times_of_each_dispatch(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    seen = []
    report = Report(lambda ctx, timing: seen.append((ctx, timing[0].kernel, timing[0].start, timing[0].end)))
    gpu.add(0, x, y)  # not timed, in a batch with what is
    gpu.table.set_timing(report, 7)
    for _ in range(80):  # more than the command buffers of a queue
        gpu.add(0, y, x)
        gpu.add(0, x, y)
    first = gpu.commit()
    gpu.add(0, y, x)
    assert gpu.commit() == first + 1 == 2
    gpu.wait(0, first)
    assert len(seen) == 160
    gpu.wait(0, 2)
    assert len(seen) == 161
    assert {entry[:2] for entry in seen} == {(7, b"probe_add")}
    assert all(start <= end for *_, start, end in seen)
    assert all(left[3] <= right[2] for left, right in itertools.pairwise(seen))
    assert list(x) == [163.0] * N
    gpu.table.set_timing(Report(), None)
    gpu.add(0, y, x)
    gpu.finish()
    assert len(seen) == 161
    assert gpu.misuses() == ""


@isolated
def test_error_of_a_timed_dispatch(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    seen = []
    report = Report(lambda _, timing: seen.append(timing[0].kernel))
    gpu.table.set_timing(report, None)
    gpu.fault("commit=2:timeout")
    gpu.add(0, x, y)
    gpu.add(0, y, x)
    assert failure(gpu.finish).status is Status.timeout
    assert seen == [b"probe_add"]
    assert gpu.finished() == 1


@isolated(MTL_CAPTURE_ENABLED="1")
def test_capture(path, folder):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    trace = folder / "two.gputrace"
    gpu.check(gpu.table.start_capture, str(trace).encode())
    assert "captured already" in failure(gpu.check, gpu.table.start_capture, b"other.gputrace").text
    gpu.add(0, x, y)
    gpu.finish()
    gpu.table.stop_capture()
    gpu.table.stop_capture()  # nothing
    gpu.add(0, y, x)
    gpu.finish()
    assert (trace / "commands").read_text().count("probe_add") == 1
    error = failure(gpu.check, gpu.table.start_capture, str(trace).encode())
    assert f"'{trace}': Output URL already exists" in error.text
    assert gpu.misuses() == ""


@isolated(MTL_CAPTURE_ENABLED="0")
def test_capture_that_is_off(path):
    gpu = StandIn(path)
    error = failure(gpu.check, gpu.table.start_capture, b"off.gputrace")
    assert error.status is Status.unsupported
    assert "MTL_CAPTURE_ENABLED=1" in error.text


def in_new_process(path, folder, name):
    subprocess.run([sys.executable, __file__, name, str(path), str(folder)], check=True)


@isolated
def archive_one_kernel(path):
    gpu = StandIn(path)
    gpu.encode(0, "index_places", [], **EMBEDDED)
    assert gpu.commit() == 0
    assert gpu.misuses() == ""


@isolated
def test_archive_is_kept_and_used(path, folder):
    cache = folder / "cache" / "nhwc"
    in_new_process(path, folder, "archive_one_kernel")
    (archive,) = cache.iterdir()
    first = archive.stat()
    assert "index_places" in archive.read_text()
    in_new_process(path, folder, "archive_one_kernel")
    assert archive.stat().st_ino == first.st_ino  # nothing was missing: not written again
    archive.write_text("not an archive\n")
    in_new_process(path, folder, "archive_one_kernel")
    assert "index_places" in archive.read_text()
    assert list(cache.iterdir()) == [archive]


@isolated
def test_archive_that_cannot_be_written(path, folder):
    (folder / "cache").write_text("a file where the folder should be")
    in_new_process(path, folder, "archive_one_kernel")


@isolated
def test_nothing_piles_up(path):
    gpu = StandIn(path)

    def work():
        x, y = gpu.floats([0.0] * N), gpu.allocate(100_000)
        small = (ctypes.c_float * N).from_buffer(y)
        for _ in range(5):
            gpu.add(0, x, small)
            gpu.add(0, small, x)
            gpu.commit()
            gpu.order(1, 0)
            gpu.add(1, x, small)
            gpu.finish(1)
            gpu.order(0, 1)
        gpu.finish(0)
        failure(gpu.probe, 0, "probe_nothing", [(x, 0)])
        assert gpu.release(x)
        assert gpu.release(y)

    def settled():
        """What is alive when Metal's threads have let go of the command buffers whose end they have told."""
        for _ in range(100):
            alive = gpu.live_objects()
            if "MTLCommandBuffer" not in alive:
                break
            time.sleep(0.02)
        return alive

    work()
    before = settled()
    for _ in range(10):
        work()
    after = settled()
    assert after == before
    for kind in ("MTLBuffer", "MTLCommandBuffer", "MTLComputeCommandEncoder", "NSError"):
        assert kind not in after
    assert after["MTLHeap"] == 1
    assert gpu.misuses() == ""


@isolated
def test_many_independent_dispatches(path):
    gpu = StandIn(path)
    x = gpu.floats([float(i) for i in range(64)])
    outs = [gpu.allocate(64) for _ in range(400)]
    for i, y in enumerate(outs):
        gpu.encode(0, "probe_add", [(x, 0), (y, 1)], source=PROBE, params=struct.pack("if", 64, i), **ONE_GROUP)
    gpu.finish()
    assert all(y[63] == 63.0 + i for i, y in enumerate(outs))
    assert gpu.misuses() == ""


ONE_GROUP = {"groups": (1, 1, 1), "threads": (64, 1, 1)}


if __name__ == "__main__":
    main(globals())
