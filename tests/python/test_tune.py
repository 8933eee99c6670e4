# tests/python/test_tune.py -- measured choices: what is measured, kept, read back, and refused
import contextlib
import os
import pathlib
import re
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

import nhwc as mx
from nhwc import _core

pytestmark = pytest.mark.cpu_only("tune measures the CPU's algorithms")

SIDE = iter(range(20, 10_000))  # the table is the process's: every test convolves something new


def problem(channels=16, kernel=3, dtype=mx.float32, batch=1, **how):
    """A lazy convolution that no other test has."""
    rng = np.random.default_rng(3)
    side = next(SIDE)
    x = mx.array(rng.standard_normal((batch, side, 12, channels), dtype=np.float32)).astype(dtype)
    w = mx.array(rng.standard_normal((channels, kernel, kernel, channels), dtype=np.float32) / 12).astype(dtype)
    return lambda: mx.conv2d(x, w, padding=kernel // 2, **how)


def algorithm(y):
    return mx.explain(y).splitlines()[1].split()[0]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "tuned.txt"


def run(code, **environment):
    """Standard output of another process, whose choices are its own."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", "import nhwc as mx\n" + code],
        env={k: v for k, v in os.environ.items() if not k.startswith("NHWC_")} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done


CODE = """
x, w = mx.ones((1, 24, 24, 16)), mx.ones((16, 3, 3, 16))
print(mx.explain(mx.conv2d(x, w)))
mx.eval(mx.conv2d(x, w))
print("computed", mx.conv2d(x, w)[0, 0, 0, 0].item())
"""


def tuned_file(file):
    """A file with one choice, winograd4 for the convolution of CODE."""
    done = run(f"mx.tune(mx.conv2d, mx.ones((1, 24, 24, 16)), mx.ones((16, 3, 3, 16)), cache={str(file)!r})")
    assert done.returncode == 0, done.stderr
    text, changes = re.subn(r"\w+( [\d.]+ \w+ [\d.]+\nend 1\n)", r"winograd4\1", file.read_text())
    assert changes == 1
    file.write_text(text)
    return text


def test_tune_measures_and_reports(file):
    y = problem()
    expected = np.array(y())
    found = mx.tune(y, cache=file, repeats=3)
    assert len(found) == 1
    one = found[0]
    assert set(one) == {"problem", "algorithm", "us", "preferred", "preferred_us"}
    assert "kernel=1x3x3" in one["problem"]
    assert 0 < one["us"] <= one["preferred_us"]
    text = mx.explain(y())
    assert algorithm(y()) == one["algorithm"]
    assert f"tuned: measured {one['us']:g} us, the model preferred" in text
    np.testing.assert_allclose(np.array(y()), expected, rtol=1e-4, atol=1e-4)
    lines = file.read_text().splitlines()
    assert lines[0] == "nhwc tuning 1"
    assert lines[-1].startswith("end ")
    assert mx.tune(y, cache=file) == []


def test_a_value_is_deterministic_once_tuned(file):
    y = problem()
    mx.tune(y, cache=file)
    first = np.array(y())
    for _ in range(3):
        np.testing.assert_array_equal(np.array(y()), first)


def test_arrays_trees_and_functions_that_evaluate(file):
    assert len(mx.tune(problem()(), cache=file, repeats=1)) == 1
    assert len(mx.tune({"a": [problem()(), problem()()]}, cache=file, repeats=1)) == 2
    y = problem()

    def step():
        mx.eval(y())

    assert len(mx.tune(step, cache=file, repeats=1)) == 1


def test_gradients_are_measured_too(file):
    rng = np.random.default_rng(5)
    x = mx.array(rng.standard_normal((2, next(SIDE), 14, 32), dtype=np.float32))
    w = mx.array(rng.standard_normal((32, 3, 3, 1), dtype=np.float32))
    gradient = mx.grad(lambda w, x: mx.conv2d(x, w, groups=32).square().sum(), argnums=(0, 1))
    before = [np.array(g) for g in gradient(w, x)]
    kinds = [f["problem"].split(" float")[0] for f in mx.tune(gradient, w, x, cache=file, repeats=2)]
    assert "weight gradient" in kinds
    assert "forward" in kinds
    for a, b in zip(before, gradient(w, x), strict=True):
        np.testing.assert_allclose(a, np.array(b), rtol=1e-3, atol=1e-3)


def test_tuning_is_a_scope(file):
    inside, outside = problem(), problem()
    with mx.tuning(cache=file, repeats=1) as found:
        mx.eval(inside())
        assert found == []
    assert len(found) == 1
    mx.eval(outside())
    assert "tuned" in mx.explain(inside())
    assert "tuned" not in mx.explain(outside())


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float64])
def test_other_dtypes(file, dtype):
    y = problem(channels=4, dtype=dtype)
    before = np.array(y().astype(mx.float32))
    mx.tune(y, cache=file, repeats=2)
    np.testing.assert_allclose(np.array(y().astype(mx.float32)), before, rtol=2e-2, atol=2e-2)


def test_a_residual_in_the_same_pass(file):
    rng = np.random.default_rng(7)
    x = mx.array(rng.standard_normal((1, next(SIDE), 15, 16), dtype=np.float32))
    w = mx.array(rng.standard_normal((16, 3, 3, 16), dtype=np.float32) / 12)
    r = mx.array(rng.standard_normal(x.shape, dtype=np.float32) * 1000)

    def block():
        return mx.maximum(mx.conv2d(x, w, padding=1) + r, 0)

    before = np.array(block())
    assert len(mx.tune(block, cache=file, repeats=1)) == 1
    np.testing.assert_allclose(np.array(block()), before, rtol=1e-4, atol=1e-2)


def test_highest_precision_stays_exact(file):
    y = problem(precision="highest")
    before = np.array(y())
    for one in mx.tune(y, cache=file, repeats=2):
        assert not one["algorithm"].startswith(("winograd", "fft"))
    np.testing.assert_array_equal(np.array(y()), before)


def test_batch_invariance_keeps_its_promise(file):
    rng = np.random.default_rng(9)
    x = mx.array(rng.standard_normal((3, next(SIDE), 20, 16), dtype=np.float32))
    w = mx.array(rng.standard_normal((16, 5, 5, 16), dtype=np.float32))
    before = mx.batch_invariant()
    mx.set_batch_invariant(True)
    try:
        mx.tune(mx.conv2d, x, w, cache=file, repeats=2)
        whole = np.array(mx.conv2d(x, w))
        for i in range(3):
            np.testing.assert_array_equal(np.array(mx.conv2d(x[i : i + 1], w))[0], whole[i])
    finally:
        mx.set_batch_invariant(before)


def test_not_finite_values_do_not_matter(file):
    y = problem()()
    x = mx.where(mx.ones((1, next(SIDE), 12, 16)) > 0, mx.array(float("nan")), 0)
    w = mx.ones((16, 3, 3, 16))
    mx.tune(mx.conv2d, x, w, cache=file, repeats=1)
    mx.eval(y)
    assert np.isnan(np.array(mx.conv2d(x, w))).all()


def test_again_measures_what_is_known(file):
    y, z = problem(), problem()
    mx.tune(y, cache=file, repeats=1)
    mx.tune(z, cache=file, repeats=1)
    assert len(mx.tune(y, cache=file, repeats=1, again=True)) == 1
    assert "tuned" in mx.explain(z())  # is still in the file


def test_two_processes_share_a_file(file):
    run(f"mx.tune(mx.conv2d, mx.ones((1, 9, 9, 16)), mx.ones((16, 3, 3, 16)), cache={str(file)!r})")
    first = file.read_text().splitlines()
    run(f"mx.tune(mx.conv2d, mx.ones((1, 8, 8, 16)), mx.ones((16, 3, 3, 16)), cache={str(file)!r})")
    second = file.read_text().splitlines()
    assert len(first) + 1 == len(second)
    assert set(first[:-1]) < set(second)


def test_the_file_of_the_environment_is_read_at_the_first_convolution(file):
    tuned_file(file)
    done = run(CODE, NHWC_TUNE_CACHE=str(file))
    assert "winograd4 on" in done.stdout, done.stdout + done.stderr
    assert "tuned: measured" in done.stdout
    assert "computed 144" in done.stdout
    assert done.stderr == ""
    assert "tuned" not in run(CODE).stdout


def test_the_forced_algorithm_wins_over_the_table(file):
    tuned_file(file)
    done = run(CODE, NHWC_TUNE_CACHE=str(file), NHWC_CONV_ALGORITHM="direct")
    assert "direct on" in done.stdout, done.stdout + done.stderr
    assert done.stderr == ""


def test_the_default_file(tmp_path):
    code = "mx.tune(mx.conv2d, mx.ones((1, 9, 9, 16)), mx.ones((16, 3, 3, 16)), repeats=1)"
    run(code, XDG_CACHE_HOME=str(tmp_path / "a"))
    (written,) = (tmp_path / "a" / "nhwc").iterdir()
    assert re.fullmatch(r"tune-\w+-\d+-\d+-\d+\.txt", written.name)
    run(code, HOME=str(tmp_path / "b"), XDG_CACHE_HOME="")
    assert [p.name for p in (tmp_path / "b" / ".cache" / "nhwc").iterdir()] == [written.name]
    run(code, NHWC_TUNE_CACHE=str(tmp_path / "named.txt"))
    assert (tmp_path / "named.txt").exists()


def test_no_file_is_written_for_nothing(file):
    mx.tune(lambda: mx.ones((3,)) + 1, cache=file)
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("empty", lambda t: "", "no measurements"),
        ("something else", lambda t: '{"version": 1}', "no measurements"),
        ("binary", lambda t: "\0\xff" * 100, "no measurements"),
        ("cut off", lambda t: t[: len(t) // 2], "cut off"),
        ("last line missing", lambda t: t[: t.rindex("end")], "cut off"),
        ("damaged line", lambda t: t.replace(" float32 ", " floaty "), "damaged"),
        ("a number too large", lambda t: t.replace(" 24 ", " 99999999999999999999 "), "damaged"),
        ("another format", lambda t: t.replace("tuning 1", "tuning 7"), "version"),
        ("another library", lambda t: re.sub("library .*", "library 9.9.9", t), "version"),
        ("another machine", lambda t: re.sub("machine .*", "machine pdp11 1 2 3", t), "another machine"),
        ("unknown algorithm", lambda t: t.replace("winograd4", "alchemy"), "alchemy"),
        ("refused algorithm", lambda t: t.replace("winograd4", "depthwise"), "depthwise cannot compute"),
        ("of another form", lambda t: t.replace("winograd4", "weight_grad"), "weight_grad cannot compute"),
    ],
)
def test_a_bad_file_is_a_warning_and_the_defaults(file, name, damage, says):
    text = damage(tuned_file(file))
    file.write_text(text, encoding="latin-1")
    done = run(CODE, NHWC_TUNE_CACHE=str(file))
    assert done.returncode == 0, done.stderr
    assert "computed 144" in done.stdout
    assert "tuned" not in done.stdout
    assert "RuntimeWarning" in done.stderr
    assert says in done.stderr
    assert run(CODE).stdout == done.stdout


@pytest.mark.parametrize(
    ("damage", "says", "written"),
    [
        (lambda t: t[: len(t) // 2], "cut off", True),
        (lambda t: re.sub("library .*", "library 9.9.9", t), "version", True),
        (lambda t: re.sub("machine .*", "machine pdp11 1 2 3", t), "another machine", False),
    ],
)
def test_tune_with_a_bad_file(file, damage, says, written):
    mx.tune(problem(), cache=file, repeats=1)
    text = damage(file.read_text())
    file.write_text(text)
    y = problem()
    with pytest.warns(RuntimeWarning, match=says):
        assert len(mx.tune(y, cache=file, repeats=1)) == 1
    assert "tuned" in mx.explain(y())
    assert (file.read_text() != text) == written


def test_a_file_that_cannot_be_written_or_read(tmp_path):
    y = problem()
    blocked = tmp_path / "a file"
    blocked.write_text("")
    with pytest.warns(RuntimeWarning, match="kept in memory"):
        # A folder cannot be where a file is; root may write anywhere else.
        assert len(mx.tune(y, cache=blocked / "tuned.txt", repeats=1)) == 1
    assert "tuned" in mx.explain(y())
    with pytest.warns(RuntimeWarning) as said:
        mx.tune(problem(), cache=tmp_path, repeats=1)
    texts = [str(s.message) for s in said]
    assert any("cannot be read" in t for t in texts)
    assert any("cannot write" in t for t in texts)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    y = problem()
    with contextlib.ExitStack() as stack:
        stack.callback(tmp_path.chmod, stat.S_IRWXU)
        with pytest.warns(RuntimeWarning, match="kept in memory"):
            mx.tune(y, cache=tmp_path / "tuned.txt", repeats=1)
    assert "tuned" in mx.explain(y())


def test_what_an_interrupted_scope_has_measured_is_kept(file):
    y = problem()

    def stop():
        mx.eval(y())
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        mx.tune(stop, cache=file, repeats=1)
    assert file.exists()
    later = problem()
    mx.eval(later())
    assert "tuned" not in mx.explain(later())


def test_threads_tune_at_once(tmp_path):
    problems, errors = [problem() for _ in range(8)], []

    def work(i):
        try:
            with mx.tuning(cache=tmp_path / f"{i % 2}.txt", repeats=1):
                for y in problems[i % 4 :: 4]:
                    mx.eval(y())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    for y in problems:
        assert "tuned" in mx.explain(y())
    assert sorted(p.name for p in pathlib.Path(tmp_path).iterdir()) == ["0.txt", "1.txt"]  # nothing temporary is left


def test_explaining_while_another_thread_evaluates():
    y, done = problem(), threading.Event()

    def evaluate():
        x = mx.array(np.full((512, 512), 0.5, np.float32))
        for _ in range(100):
            x = x @ x
        mx.eval(x)
        done.set()

    thread = threading.Thread(target=evaluate)
    thread.start()
    while not done.is_set():
        assert "on" in mx.explain(y())
    thread.join()


def test_bad_arguments(file):
    for repeats in (0, -1, 10**9):
        with pytest.raises(ValueError, match="repeats"):
            mx.tune(problem(), cache=file, repeats=repeats)
    for repeats in (1.5, "3", True):
        with pytest.raises(TypeError, match="repeats"):
            mx.tune(problem(), cache=file, repeats=repeats)
    with pytest.raises(TypeError, match="no function"):
        mx.tune(mx.ones((2,)), 3, cache=file)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("NHWC_NUM_THREADS", "0", "must be an integer of at least 1"),
        ("NHWC_NUM_THREADS", "two", "must be an integer of at least 1"),
        ("NHWC_ISA", "mmx", "can run only: baseline"),
        ("NHWC_CONV_ALGORITHM", "alchemy", "must be one of empty, direct"),
        ("NHWC_DEBUG", "yes", "must be an integer of at least 0"),
    ],
)
def test_a_bad_environment_variable_is_a_clear_error(variable, value, says):
    done = run("try: mx.eval(mx.conv2d(mx.ones((1, 9, 9, 16)), mx.ones((16, 3, 3, 16))))\n"
               "except ValueError as e: print('ValueError', e)", **{variable: value})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ValueError"), done.stdout
    assert variable in done.stdout
    assert value in done.stdout
    assert says in done.stdout


def test_debug_prints_plans():
    done = run("mx.eval(mx.conv2d(mx.ones((1, 9, 9, 16)), mx.ones((16, 3, 3, 16))))", NHWC_DEBUG="1")
    assert "forward float32 batch=1" in done.stderr


def test_info_names_the_family():
    from nhwc.__main__ import _sections

    cpu = dict(dict(_sections())["cpu"])
    assert cpu["family"]
    assert cpu["family"] in mx.explain(problem()())
    assert _core._info()["cpu"]["family"] == cpu["family"]
