# tests/apple/test_runtime_errors.py -- the metal-cpp host code when something is missing, wrong or lost
import ctypes
import os

from runtime_process import PROBE, N, StandIn, failure, isolated, main
from runtime_table import Error, Runtime, Status, constant


def opening_fails(path):
    gpu = StandIn(path, open_device=False)
    error = failure(gpu.check, gpu.table.open, ctypes.byref(gpu.facts))
    assert not gpu.table.owns(id(gpu))
    assert not gpu.table.release(id(gpu))
    assert "not opened" in failure(gpu.allocate, N).text
    return error


@isolated(NHWC_STANDIN_FAULTS="no_device")
def test_no_device(path):
    error = opening_fails(path)
    assert error.status is Status.no_device
    assert "no GPU" in error.text


@isolated(NHWC_STANDIN_FAULTS="family=5")
def test_old_family(path):
    error = opening_fails(path)
    assert error.status is Status.unsupported
    assert "Apple5" in error.text
    assert "Apple7" in error.text


@isolated(NHWC_STANDIN_FAULTS="family=0")
def test_not_an_apple_gpu(path):
    error = opening_fails(path)
    assert error.status is Status.unsupported
    assert "is not an Apple GPU" in error.text


@isolated(NHWC_STANDIN_FAULTS="macos=13")
def test_old_system(path):
    error = opening_fails(path)
    assert error.status is Status.unsupported
    assert "macOS 13.0 is too old" in error.text


@isolated(NHWC_STANDIN_FAULTS="family=7,macos=14")
def test_oldest_that_is_supported(path):
    gpu = StandIn(path)
    assert gpu.facts.family == 7
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    gpu.add(0, x, y)
    gpu.finish()
    assert y[N - 1] == 2.0
    assert gpu.misuses() == ""


@isolated
def test_unknown_kernel_library_and_text(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    operands = [(x, 0), (y, 1)]
    error = failure(gpu.probe, 0, "probe_nothing", operands)
    assert error.status is Status.no_function
    assert "'probe_nothing' of library 'chain'" in error.text
    error = failure(gpu.probe, 0, "probe_add", operands, source=None, library="nonsense")
    assert error.status is Status.no_function
    assert "no library 'nonsense'" in error.text
    error = failure(gpu.probe, 0, "probe_add", operands, source=PROBE.replace("x[i] + p.add", "x[i] + p.plus"))
    assert error.status is Status.no_function
    assert "does not compile" in error.text
    assert "plus" in error.text
    gpu.add(0, x, y)  # what failed has left nothing behind
    assert gpu.commit() == 1
    gpu.wait(0, 1)
    assert y[0] == 2.0
    assert gpu.misuses() == ""


@isolated
def test_pipeline_that_fails_is_tried_again(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    gpu.fault("pipeline=1")
    error = failure(gpu.add, 0, x, y)
    assert error.status is Status.no_function
    assert "'probe_add' of library 'chain' does not compile: injected" in error.text
    gpu.add(0, x, y)
    gpu.finish()
    assert y[0] == 2.0


@isolated
def test_launches_that_cannot_be(path):
    gpu = StandIn(path)
    x, y, alien = gpu.floats([1.0] * N), gpu.allocate(N), (ctypes.c_float * N)()

    def refused(text, *args, **kwargs):
        error = failure(gpu.probe, 0, "probe_add", *args, **kwargs)
        assert error.status is Status.failed
        assert "'probe_add'" in error.text
        assert text in error.text

    refused("operand 1 outside of the GPU's memory", [(x, 0), (alien, 1)])
    beyond = (ctypes.c_float * (2 * N)).from_address(ctypes.addressof(y))
    refused("operand 1 of 8000 bytes, of which its block holds", [(x, 0), (beyond, 1)])
    refused("1056 threads per threadgroup", [(x, 0), (y, 1)], threads=(1056, 1, 1))
    refused("0 threads per threadgroup", [(x, 0), (y, 1)], threads=(64, 0, 1))
    refused("31 operands", [(x, 0)] * 31)
    many = [(x, 0), (y, 1)]
    error = failure(
        gpu.encode, 0, "probe_add", many, source=PROBE, params=bytes(4097), groups=(1,) * 3, threads=(1,) * 3
    )
    assert "4097 bytes of parameters" in error.text
    assert gpu.commit() == 0
    assert gpu.misuses() == ""


@isolated(NHWC_STANDIN_FAULTS="max_buffer=1000000")
def test_memory_that_cannot_be_had(path):
    gpu = StandIn(path)
    error = failure(gpu.allocate, 250_001)
    assert "1000004 bytes is larger than this GPU's largest, 1000000" in error.text
    gpu.fault("memory=20000000")
    blocks, count = [], 200_000
    while not blocks or blocks[-1]:
        address = gpu.table.allocate(4 * count, ctypes.byref(told := Error()))
        blocks.append((ctypes.c_float * count).from_address(address) if address else None)
    assert blocks.pop() is None
    assert b"Metal cannot give 800000 bytes" in told.text
    assert len(blocks) > 10
    x, y = blocks[0], blocks[1]
    x[0] = 1.0
    gpu.probe(0, "probe_add", [(x, 0), (y, 1)], 2.0, count=1)
    gpu.finish()
    assert y[0] == 3.0
    assert gpu.release(blocks.pop())
    assert gpu.allocate(count)
    assert gpu.misuses() == ""


@isolated
def test_failed_heap_falls_back_to_a_buffer(path):
    gpu = StandIn(path)
    gpu.fault("allocation=1")
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    gpu.add(0, x, y)
    gpu.finish()
    assert y[5] == 2.0
    assert gpu.release(x)
    assert gpu.release(y)
    assert gpu.misuses() == ""


def failed_commit(path, word, status):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    gpu.add(0, x, y)
    gpu.finish()
    gpu.fault(f"commit=1:{word}")
    gpu.add(0, y, x)
    batch = gpu.commit()
    error = failure(gpu.wait, 0, batch)
    assert error.status is status
    assert "GPU kernel 'probe_add': " in error.text
    assert gpu.finished() == batch
    gpu.wait(0, batch)  # reported once
    assert y[0] == 2.0
    return gpu, x, y


@isolated
def test_timeout_names_the_kernel(path):
    gpu, x, y = failed_commit(path, "timeout", Status.timeout)
    gpu.add(0, y, x, 3.0)  # the queue goes on
    gpu.finish()
    assert x[0] == 5.0
    assert gpu.misuses() == ""


@isolated
def test_lost_device_names_the_kernel(path):
    gpu, x, y = failed_commit(path, "removed", Status.device_lost)
    for _ in range(2):  # and stays lost
        gpu.add(0, y, x)
        assert failure(gpu.finish).status is Status.device_lost


@isolated
def test_other_errors_of_command_buffers(path):
    failed_commit(path, "out_of_memory", Status.out_of_memory)
    failed_commit(path, "page_fault", Status.failed)
    failed_commit(path, "internal", Status.failed)


@isolated
def test_error_among_several_kernels(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    constants = [constant(0, 1), constant(1, False), constant(2, 0.0), constant(3, False)]

    def batch():
        gpu.add(0, x, y)
        gpu.add(0, y, x)
        gpu.probe(0, "probe_constants", [(x, 0), (None, 0), (y, 1)], constants=constants)
        return gpu.commit()

    gpu.fault("commit=2:timeout")
    first, second, third = batch(), batch(), batch()
    gpu.wait(0, first)
    error = failure(gpu.wait, 0, third)
    assert "one of the GPU kernels 'probe_add', 'probe_constants': " in error.text
    gpu.wait(0, second)
    gpu.fault("commit=1:timeout")  # from now on each dispatch is an encoder, and Metal says which it was
    error = failure(gpu.wait, 0, batch())
    assert "GPU kernel 'probe_add': " in error.text
    assert gpu.misuses() == ""


@isolated
def test_error_before_a_queue_that_waits(path):
    gpu = StandIn(path)
    x, y, z = gpu.floats([1.0] * N), gpu.allocate(N), gpu.allocate(N)
    gpu.add(0, x, y)
    gpu.add(1, x, z)
    gpu.finish(0)
    gpu.finish(1)
    gpu.fault("commit=1:timeout")
    gpu.add(0, x, y, 5.0)
    failed = gpu.commit(0)
    gpu.order(1, 0)
    gpu.add(1, y, z)
    gpu.finish(1)  # is not held up by what never ran
    assert failure(gpu.wait, 0, failed).status is Status.timeout
    assert gpu.misuses() == ""


@isolated
def test_missing_queue(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    gpu.fault("queue=1")
    error = failure(gpu.add, 0, x, y)
    assert error.status is Status.failed
    assert "command queue" in error.text
    gpu.add(0, x, y)
    gpu.finish()
    assert y[0] == 2.0


@isolated
def test_forked_child_is_refused(path):
    gpu = StandIn(path)
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    gpu.add(0, x, y)
    gpu.finish()
    child = os.fork()
    if child == 0:
        error = failure(gpu.add, 0, x, y)
        told = error.status is Status.no_device and "forked" in error.text
        told &= "forked" in failure(gpu.allocate, N).text
        told &= gpu.table.owns(ctypes.addressof(x)) and y[3] == 2.0
        told &= gpu.release(x) and not gpu.release(x)
        os._exit(0 if told else 1)
    assert os.waitpid(child, 0)[1] == 0
    gpu.add(0, y, x)
    gpu.finish()
    assert x[0] == 3.0
    assert gpu.misuses() == ""


@isolated
def test_debug_layer_sees_a_missing_barrier(path):
    gpu = StandIn(path)
    x, y, z = gpu.floats([1.0] * N), gpu.allocate(N), gpu.allocate(N)
    gpu.add(0, x, y)
    gpu.add(0, y, z)
    gpu.finish()
    assert gpu.misuses() == ""
    gpu.probe(0, "probe_add", [(x, 0), (y, 0)], 5.0)  # says that it does not write y
    gpu.add(0, y, z)
    gpu.finish()
    assert "hazard" in gpu.misuses()


@isolated
def test_closed_runtime_refuses(path):
    gpu = Runtime(path, open_device=False)
    x = (ctypes.c_float * 4)()
    error = failure(gpu.encode, 0, "probe_add", [(x, 0)], source=PROBE, groups=(1,) * 3, threads=(1,) * 3)
    assert error.status is Status.no_device
    assert "not opened" in error.text
    assert gpu.commit() == 0


if __name__ == "__main__":
    main(globals())
