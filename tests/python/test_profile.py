# tests/python/test_profile.py -- the trace and the table of profile
import contextlib
import json
import threading

import pytest

import nhwc as mx


def spans(path):
    trace = json.loads(path.read_text())
    return [e for e in trace["traceEvents"] if e["ph"] == "X"]


def network(x, w):
    y = mx.maximum(mx.conv2d(x, w, padding=1) + w[:, 0, 0, 0], 0)
    return mx.sum(mx.exp(y) * 2)


@pytest.mark.cpu_only("names of its steps")
def test_steps_of_the_cpu(tmp_path, rng):
    x, w = mx.array(rng.normal(size=(2, 8, 8, 3))), mx.array(rng.normal(size=(4, 3, 3, 3)))
    with mx.profile(tmp_path / "trace.json") as p:
        mx.eval(network(x, w), mx.matmul(w[0, 0], w[0, 1].T))
    found = spans(tmp_path / "trace.json")
    (evaluation,) = [e for e in found if e["name"] == "evaluation"]
    steps = [e for e in found if e is not evaluation]
    assert evaluation["args"]["detail"] == f"{len(steps)} steps"
    for e in steps:
        assert e["dur"] >= 0
        assert evaluation["ts"] <= e["ts"]
        assert e["ts"] + e["dur"] <= evaluation["ts"] + evaluation["dur"] + 1e-3
    by_name = {e["name"]: e["args"]["detail"] for e in steps}
    conv = next(detail for name, detail in by_name.items() if name.startswith("conv"))
    assert conv.startswith("(2, 8, 8, 4) float32 of (2, 8, 8, 3) float32, (4, 3, 3, 3) float32, bias")
    assert "on one core" in conv  # the plan
    chain = next(detail for name, detail in by_name.items() if name.startswith("chain of"))
    assert chain == "(2, 8, 8, 4) float32: exp, multiply"
    assert by_name["sum"] == "() float32 of (2, 8, 8, 4) float32"
    assert "matmul" in by_name
    assert [(e["name"], e["args"]["detail"]) for e in steps] == [s[:2] for s in p.steps]


def test_both_devices(tmp_path):
    with mx.profile(tmp_path / "trace.json") as p:
        mx.eval(mx.ones((4, 4)) @ mx.ones((4, 4)))
    on_gpu = mx.default_device() == mx.gpu
    assert bool(p.kernels) == on_gpu
    assert {e["pid"] for e in spans(tmp_path / "trace.json")} == ({1, 2} if on_gpu else {1})
    assert any(name.endswith("matmul") for name, _, _ in p.steps)


def test_table():
    with mx.profile() as p:
        for _ in range(3):
            mx.eval(mx.ones((64, 64)) @ mx.ones((64, 64)))
        mx.eval(mx.sort(mx.ones((5,))))
    lines = str(p).splitlines()
    assert lines[0].split() == ["ms", "share", "calls", "operation"]
    (product,) = [line for line in lines if line.endswith(" matmul")]
    assert product.split()[2] == "3"
    shares = [float(line.split()[1].rstrip("%")) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=len(shares))
    assert len(p.table(most=1).splitlines()) == 3  # the heading, one operation, and how many more


def test_what_is_not_in_the_block_is_not_in_the_trace(tmp_path):
    mx.eval(mx.ones(3) + 1)
    with mx.profile(tmp_path / "trace.json"):
        pass
    mx.eval(mx.ones(3) + 1)
    assert spans(tmp_path / "trace.json") == []


def test_other_threads_and_async_eval_are_in_it():
    y = mx.ones((8, 8)) @ mx.ones((8, 8))
    with mx.profile() as p:
        mx.async_eval(mx.sort(mx.ones(9)))
        thread = threading.Thread(target=mx.eval, args=(y,))
        thread.start()
        thread.join()
    names = [name.removeprefix("encode ") for name, _, _ in p.steps]
    assert "sort" in names
    assert "matmul" in names


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError), mx.profile(tmp_path / "nowhere" / "trace.json"):
        raise AssertionError("the block ran")
    with mx.profile(), pytest.raises(RuntimeError, match="one profile at a time"), mx.profile():
        raise AssertionError("the block ran")
    with contextlib.suppress(KeyError), mx.profile(tmp_path / "trace.json") as p:
        mx.eval(mx.ones((8, 8)) @ mx.ones((8, 8)))
        raise KeyError("of the block")
    assert p.steps  # what came before the error is there
    assert spans(tmp_path / "trace.json")
    with mx.profile():  # and the next one begins
        pass
