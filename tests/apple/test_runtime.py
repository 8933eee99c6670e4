# tests/apple/test_runtime.py -- the metal-cpp host code through the C interface, on the emulated GPU: what works
import ctypes
import itertools
import threading

from runtime_process import PROBE, N, StandIn, isolated, main
from runtime_table import constant


@isolated
def test_facts(path):
    facts = StandIn(path).facts
    assert facts.name.startswith(b"Apple ")
    assert facts.family >= 7
    assert (facts.simd_width, facts.max_threads, facts.threadgroup_memory) == (32, 1024, 32768)
    assert facts.max_buffer > 1 << 30
    assert facts.working_set > 1 << 30


@isolated
def test_kernel_reads_and_writes_shared_memory(path):
    gpu = StandIn(path)
    x, y = gpu.floats(range(N)), gpu.allocate(N)
    gpu.add(0, x, y, 0.5)
    gpu.finish()
    assert list(y) == [i + 0.5 for i in range(N)]
    assert gpu.release(x)
    assert gpu.release(y)
    assert gpu.misuses() == ""


@isolated
def test_blocks_are_aligned_apart_and_known(path):
    gpu = StandIn(path)
    sizes = [1, 255, 256, 257, 4096, 100_000, 262_144, 262_145, 1 << 20, 9 << 20]
    blocks = [gpu.allocate(n, ctypes.c_ubyte) for n in sizes for _ in range(5)]
    spans = sorted((ctypes.addressof(b), ctypes.addressof(b) + len(b)) for b in blocks)
    assert all(begin % 256 == 0 for begin, _ in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    for block in blocks:
        ctypes.memset(block, 1, len(block))
        start = ctypes.addressof(block)
        assert gpu.table.owns(start)
        assert gpu.table.owns(start + len(block) - 1)
    here = ctypes.c_int()
    assert not gpu.table.owns(ctypes.addressof(here))
    assert not gpu.table.release(ctypes.addressof(here))
    inside = ctypes.addressof(blocks[-1]) + 256
    assert not gpu.table.release(inside)
    for block in blocks:
        assert gpu.release(block)
        assert not gpu.release(block)
        assert not gpu.table.owns(ctypes.addressof(block))
    assert gpu.misuses() == ""


@isolated
def test_memory_from_several_threads(path):
    gpu = StandIn(path)
    wrong = []

    def work(seed):
        held = []
        for step in range(300):
            size = 1 + (seed * 7919 + step * 104_729) % 300_000
            block = gpu.allocate(size, ctypes.c_ubyte)
            block[0] = block[size - 1] = seed
            held.append(block)
            if len(held) > 8:
                old = held.pop(step % 8)
                if old[0] != seed or old[len(old) - 1] != seed or not gpu.release(old):
                    wrong.append((seed, step))
        wrong.extend((seed, -1) for block in held if not gpu.release(block))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    x, y = gpu.floats([1.0] * N), gpu.allocate(N)
    for _ in range(20):  # encoding looks blocks up meanwhile
        gpu.add(0, x, y)
        gpu.finish()
    for thread in threads:
        thread.join()
    assert not wrong
    assert gpu.misuses() == ""


@isolated
def test_dependent_dispatches_run_in_order(path):
    gpu = StandIn(path)
    a, b, c = gpu.floats([0.0] * N), gpu.allocate(N), gpu.allocate(N)
    for _ in range(10):
        gpu.add(0, a, b)  # read after write
        gpu.add(0, b, c)
        gpu.add(0, c, b)  # write after read
        gpu.add(0, b, a, -2.0)
    gpu.add(0, a, a, 5.0)  # in place
    gpu.add(0, a, c)
    gpu.finish()
    assert list(a) == [15.0] * N
    assert list(c) == [16.0] * N
    assert gpu.misuses() == ""


@isolated
def test_batches_of_a_queue_run_in_order(path):
    gpu = StandIn(path)
    a, b = gpu.floats([0.0] * N), gpu.allocate(N)
    batches = []
    for _ in range(30):
        gpu.add(0, a, b)
        batches.append(gpu.commit())
        gpu.add(0, b, a)
        batches.append(gpu.commit())
    gpu.wait(0, batches[-1])
    assert list(a) == [60.0] * N
    assert gpu.misuses() == ""


@isolated
def test_parts_of_a_block_and_unbound_operands(path):
    gpu = StandIn(path)
    block = gpu.floats([0.0] * 4 * N)
    block[:N] = [1.0] * N
    thirds = [(ctypes.c_float * N).from_buffer(block, 4 * N * i) for i in range(4)]
    gpu.add(0, thirds[0], thirds[1])
    gpu.add(0, thirds[0], thirds[2], 2.0)
    constants = [constant(0, 3), constant(1, True), constant(2, 0.25), constant(3, False)]
    gpu.probe(0, "probe_constants", [(thirds[2], 0), (None, 0), (thirds[3], 1)], constants=constants)
    gpu.finish()
    assert list(block[:: N // 2]) == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, -8.75, -8.75]
    assert gpu.misuses() == ""


@isolated
def test_constants_specialise(path):
    gpu = StandIn(path)
    x, bias, y = gpu.floats(range(N)), gpu.floats([100.0] * N), gpu.allocate(N)
    for factor, negated, offset, has_bias in [(2, False, 0.5, True), (2, True, 0.5, True), (-3, False, 1.5, False)]:
        constants = [constant(0, factor), constant(1, negated), constant(2, offset), constant(3, has_bias)]
        gpu.probe(0, "probe_constants", [(x, 0), (bias, 0), (y, 1)], constants=constants)
        gpu.finish()
        assert y[7] == (-7 if negated else 7) * factor + offset + 100 * has_bias
    assert "3 MTLComputePipelineState" in ", ".join(f"{n} {kind}" for kind, n in gpu.live_objects().items())
    assert gpu.misuses() == ""


@isolated
def test_grid(path):
    gpu = StandIn(path)
    y = gpu.allocate(4 * 6 * 10, ctypes.c_int)
    gpu.encode(0, "probe_grid", [(y, 1)], source=PROBE, groups=(2, 3, 5), threads=(2, 2, 2))
    gpu.finish()
    assert y[0] == 0
    assert y[-1] == 1 + 20 + 400
    assert y[(3 * 6 + 2) * 4 + 1] == 10 + 100
    gpu.encode(0, "probe_grid", [(y, 1)], source=PROBE, groups=(2, 0, 5), threads=(2, 2, 2))  # nothing
    gpu.finish()
    assert gpu.misuses() == ""


@isolated
def test_batch_numbers(path):
    gpu = StandIn(path)
    x, y = gpu.floats([0.0] * N), gpu.allocate(N)
    assert gpu.commit() == 0
    assert gpu.finished() == 0
    gpu.wait(0, 0)
    for number in (1, 2, 3):
        gpu.add(0, x, y)
        gpu.add(0, y, x)
        assert gpu.commit() == number
        assert gpu.commit() == number
    gpu.wait(0, 2)
    assert gpu.finished() >= 2
    gpu.wait(0, 3)
    assert gpu.finished() == 3
    gpu.wait(0, 3)
    gpu.add(7, x, y)
    assert gpu.commit(7) == 1
    gpu.wait(7, 1)
    assert gpu.commit(0) == 3
    assert gpu.misuses() == ""


if __name__ == "__main__":
    main(globals())
