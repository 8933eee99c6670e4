# tests/python/test_bench.py -- the side-by-side benchmark's parts: shapes, figures, tables, processes
import csv
import dataclasses
import itertools
import math
import os
import pathlib
import random
import sys
import textwrap

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from seed import SEED

import nhwc as mx

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
if not BENCH.is_dir():
    pytest.skip("not in a checkout", allow_module_level=True)
sys.path.insert(0, str(BENCH))

import contenders  # noqa: E402
import report  # noqa: E402
import shapes  # noqa: E402
import workers  # noqa: E402
from peak import Peak  # noqa: E402

import oracle  # noqa: E402

seeds = st.integers(0, 2**31)


@pytest.fixture(autouse=True)
def modes_of_the_process():
    """Contenders choose a default device for their process, and torch's records no gradients."""
    before = mx.default_device()
    yield
    mx.set_default_device(before)
    if torch := sys.modules.get("torch"):
        torch.set_grad_enabled(True)


def some_shapes(number, seed, **limits):
    """Random shapes, small enough for the plainest loops."""
    limits = {"least_flops": 1, "most_flops": 2e5, "most_bytes": 2e5} | limits
    return shapes.random_shapes(number, seed, **limits)


def as_row(shape):
    """The fields of a line of a CSV file."""

    def text(values):
        return "x".join(map(str, values))

    numbers = {k: str(getattr(shape, k)) for k in ("name", "rank", "batch", "c", "o", "groups")}
    axes = {k: text(getattr(shape, k)) for k in shapes.PER_AXIS}
    return numbers | axes | {"in": text(shape.in_), "transposed": str(int(shape.transposed))}


def write_csv(path, rows):
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, shapes.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


# Shapes


@pytest.mark.parametrize("klass", shapes.REQUIRED)
def test_files_of_shapes(klass):
    read = shapes.read_classes([klass])
    assert 8 <= len(read) <= 16
    for shape in read:
        assert shape.problem() is None
        assert 1e3 < shape.flops < 2e10
        assert shape.training == (klass == "training")


def test_every_file_is_of_a_class():
    assert {p.stem for p in shapes.FOLDER.glob("*.csv")} == set(shapes.REQUIRED)


@given(seed=seeds)
def test_rows_are_read_back(seed, tmp_path_factory):
    drawn = some_shapes(5, seed)
    path = tmp_path_factory.mktemp("shapes") / "random.csv"
    write_csv(path, map(as_row, drawn))
    assert shapes.read_csv(path, "random") == drawn
    for shape in drawn:
        assert shapes.Shape.from_json(shape.to_json()) == shape


WRONG_FIELDS = [
    ("rank", "4", "rank is 1, 2 or 3"),
    ("rank", "two", "invalid literal"),
    ("batch", "0", "at least 1"),
    ("batch", "", "batch wrong or missing"),
    ("in", "1x2x3x4", "4 numbers for"),
    ("kernel", "3x3x3x3", "4 numbers for"),
    ("kernel", "99999", "output would be"),
    ("stride", "0", "at least 1"),
    ("padding", "-1", "not negative"),
    ("groups", "7919", "do not divide"),
    ("transposed", "yes", "transposed is 0 or 1"),
    ("output_padding", "5", "output_padding"),
]


@pytest.mark.parametrize(("field", "value", "says"), WRONG_FIELDS)
@given(seed=seeds)
def test_wrong_rows_are_refused(field, value, says, seed, tmp_path_factory):
    drawn = [s for s in some_shapes(20, seed) if not s.transposed][:3]
    rows = [as_row(s) for s in drawn]
    wrong = random.Random(seed).randrange(len(rows))
    rows[wrong][field] = value
    path = tmp_path_factory.mktemp("shapes") / "random.csv"
    write_csv(path, rows)
    with pytest.raises(shapes.ShapeError) as error:
        shapes.read_csv(path, "random")
    assert says in str(error.value)
    assert f"random.csv:{wrong + 2}: " in str(error.value)


def test_a_name_twice_is_refused(tmp_path):
    row = as_row(some_shapes(1, SEED)[0])
    write_csv(tmp_path / "random.csv", [row, row])
    with pytest.raises(shapes.ShapeError, match=r"random\.csv:3: .*twice"):
        shapes.read_csv(tmp_path / "random.csv", "random")


def convolution_of(shape):
    return contenders.MlxLike.convolution(type("", (), {"mx": mx})(), shape)


@given(seed=seeds)
def test_output_shape_is_that_of_nhwc(seed):
    for shape in some_shapes(5, seed, most_flops=1e9, most_bytes=1e8):
        assert convolution_of(shape)(mx.zeros(shape.x_shape), mx.zeros(shape.w_shape)).shape == shape.y_shape


@given(seed=seeds)
def test_flops_count_every_product(seed):
    for shape in some_shapes(4, seed, most_flops=2e4):
        places = shape.in_ if shape.transposed else shape.out
        products = 0
        for _ in itertools.product(range(shape.batch), *map(range, places), *map(range, shape.kernel)):
            products += shape.o * (shape.c // shape.groups)
        assert shape.flops == 2 * products
        trained = dataclasses.replace(shape, klass="training")
        assert trained.flops == 3 * shape.flops
        sizes = [np.prod(s) for s in (shape.x_shape, shape.w_shape, shape.y_shape)]
        assert shape.bytes == 4 * sum(sizes)
        assert trained.intensity == pytest.approx(1.5 * shape.intensity)


def test_random_shapes_follow_the_seed():
    first, again, other = (shapes.random_shapes(40, s) for s in (SEED, SEED, SEED + 1))
    assert first == again
    assert first != other
    assert len({s.name for s in first}) == 40
    assert first[:10] == shapes.random_shapes(10, SEED)
    many = shapes.random_shapes(400, SEED)
    assert {s.rank for s in many} == {1, 2, 3}
    for has in (
        lambda s: s.transposed,
        lambda s: s.groups == s.c > 1,
        lambda s: 1 < s.groups < s.c,
        lambda s: max(s.dilation) > 1,
        lambda s: max(s.stride) > 1,
        lambda s: s.batch > 1,
    ):
        assert 10 < sum(map(has, many)) < 390


# Numbers of the contenders


@given(seed=seeds)
def test_weights_turn_and_return(seed):
    for shape in some_shapes(5, seed):
        w = np.random.default_rng(seed).standard_normal(shape.w_shape)
        turned = contenders.rows_first(w, shape.groups)
        assert turned.shape == (shape.c, shape.o // shape.groups, *shape.kernel)
        np.testing.assert_array_equal(contenders.rows_first_back(turned, shape.groups), w)


def computed(contender, shape):
    """The arrays of each of the library's ways."""
    calls = contender.variants(shape, *contenders.data(shape))
    return {name: contender.results(shape, call()) for name, call in calls.items()}


@given(seed=seeds)
def test_the_reference_is_right(seed):
    (shape,) = some_shapes(1, seed)
    shape = dataclasses.replace(shape, klass="training")
    how = dict(stride=shape.stride, padding=shape.padding, groups=shape.groups)
    if shape.transposed:
        how |= dict(dilation=shape.dilation, output_padding=shape.output_padding)
        problem = oracle.conv_transpose(shape.x_shape, shape.w_shape, **how)
    else:
        problem = oracle.conv(shape.x_shape, shape.w_shape, kernel_dilation=shape.dilation, **how)
    x, w, gy = (a.astype(np.float64) for a in contenders.data(shape))
    expected = problem(x, w), problem.input_grad(gy, w, x.shape), problem.weight_grad(x, gy, w.shape)
    for ours, theirs in zip(computed(contenders.Reference(1), shape)[""], expected, strict=True):
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


@given(seed=seeds, training=st.booleans())
@pytest.mark.parametrize("name", ["nhwc", "torch"])
def test_contenders_compute_the_same(name, seed, training):
    missing = contenders.missing_modules(name)
    if missing:
        pytest.skip(f"{missing} not installed")
    (shape,) = some_shapes(1, seed)
    shape = dataclasses.replace(shape, klass="training" if training else "random")
    expected = computed(contenders.Reference(1), shape)[""]
    assert len(expected) == (3 if training else 1)
    for way, arrays in computed(contenders.ALL[name](1), shape).items():
        errors = contenders.relative_errors(arrays, expected)
        assert max(errors) < 1e-5, way


def test_relative_error():
    b = np.array([3.0, 4.0])
    assert contenders.relative_errors([np.array([3.0, 4.5], np.float32)], [b]) == [pytest.approx(0.1)]
    assert contenders.relative_errors([b], [b]) == [0]


# Figures and tables

positive = st.floats(1e-300, 1e300)


@given(st.lists(positive, min_size=1), st.randoms())
def test_geometric_mean(values, rng):
    mean = report.geometric_mean(values)
    assert min(values) * (1 - 1e-9) <= mean <= max(values) * (1 + 1e-9)
    assert report.geometric_mean(1 / v for v in values) == pytest.approx(1 / mean)
    rng.shuffle(values)
    assert report.geometric_mean(values) == pytest.approx(mean, rel=1e-9)
    assert report.geometric_mean([*values, mean]) == pytest.approx(mean)


def test_geometric_mean_of_known_values():
    assert report.geometric_mean([2, 8]) == pytest.approx(4)
    assert math.isnan(report.geometric_mean([]))


def made_row(shape, threads, ours=1e-3, **theirs):
    def answer(seconds):
        if seconds is None:
            return {"failed": "it cannot"}
        return {"seconds": seconds, "spread": 0.1, "error": 1e-7, "variant": "", "algorithm": "direct"}

    answers = {"nhwc": answer(ours), **{n: answer(t) for n, t in theirs.items()}}
    return report.Row(shape, threads, answers, Peak(512, 250.0, 30.0))


def test_the_fastest_peer_counts():
    shape = some_shapes(1, SEED)[0]
    row = made_row(shape, 1, 1e-3, torch=3e-3, jax=2e-3, mlx=None)
    assert row.rival == "jax"
    assert row.ratio == pytest.approx(2)
    assert row.gflops() == pytest.approx(shape.flops / 1e6)
    assert row.percent() == pytest.approx(shape.flops / 1e6 / 2.5)
    assert made_row(shape, 1, None, torch=1.0).ratio is None
    assert made_row(shape, 1, 1.0).ratio is None
    assert made_row(shape, 1, 1.0, torch=None).rival is None


def rows_of(ratios, klass):
    drawn = some_shapes(len(ratios), SEED)
    return [
        made_row(dataclasses.replace(s, klass=klass), t, 1.0, torch=r, jax=2 * r, mlx=None)
        for s, r in zip(drawn, ratios, strict=True)
        for t in (1, 2)
    ]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.sampled_from([*shapes.REQUIRED, "random"]))
def test_summary(ratios, klass):
    one, two = report.summarize(rows_of(ratios, klass))
    assert (one.threads, two.threads) == (1, 2)
    assert one.count == len(ratios)
    assert one.mean == pytest.approx(report.geometric_mean(ratios))
    assert one.worst.ratio == pytest.approx(min(ratios))
    assert one.met == (None if klass == "random" else one.mean >= shapes.REQUIRED[klass])


def test_the_gpu_is_named_and_nothing_is_required_of_it():
    row = made_row(shapes.read_classes(["1x1"])[0], workers.GPU, 1.0, torch=0.5)
    (summary,) = report.summarize([row])
    assert summary.met is None
    assert summary.mean == pytest.approx(0.5)
    assert " gpu " in report.row_line(row)
    assert " gpu " in report.check_line(row)
    assert "GPU" in report.summary_table([row])[2]
    assert "| GPU |" in report.markdown([row], ["a machine"])
    assert {r["threads"] for r in report.csv_records([row])} == {"gpu"}


def test_summary_without_peers():
    row = made_row(shapes.read_classes(["1x1"])[0], 1)
    (summary,) = report.summarize([row])
    assert math.isnan(summary.mean)
    assert summary.met is None
    assert "no peer" in report.row_line(row)
    assert "1x1" in "\n".join(report.summary_table([row]))


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.sampled_from([*shapes.REQUIRED, "random"]))
def test_tables_hold_every_figure(ratios, klass):
    rows = rows_of(ratios, klass)
    for row in rows:
        line = report.row_line(row)
        assert row.shape.name[:40] in line
        assert f"{row.ratio:.2f} of torch" in line
    lines = report.summary_table(rows)
    assert len(lines) == 4
    assert all(report.title(klass) in line for line in lines[2:])
    worst = min(ratios)
    assert f"{worst:.2f} " in lines[2]
    slow = report.slow_lines(rows, report.LOWEST)
    assert len(slow) == 1 + sum(r.ratio < report.LOWEST for r in rows)
    assert slow[0].startswith(f"{len(slow) - 1} of {len(rows)} ")
    text = report.markdown(rows, ["machine: M", "command: C", "date: D"])
    assert text.startswith("machine: M; command: C; date: D\n")
    bars = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert bars == {10}


@given(st.lists(st.lists(st.text(alphabet="abc |", max_size=9), min_size=3, max_size=3), min_size=1, max_size=5))
def test_columns_are_aligned(cells):
    header = ["one", "two", "three"]
    lines = report.table(header, cells)
    widths = [max(len(r[i]) for r in [header, *cells]) for i in range(3)]
    for line, row in zip([lines[0], *lines[2:]], [header, *cells], strict=True):
        at = 0
        for cell, width in zip(row, widths, strict=True):
            assert line.ljust(200)[at : at + width] == cell.ljust(width)
            at += width + 2


def test_markdown_is_put_between_markers(tmp_path):
    path = tmp_path / "README.md"
    start, end = report.MARKERS
    path.write_text(f"# before\n{start}\nold \\1\n{end}\nafter\n")
    for text in ("new \\1 | table", "newer"):
        report.write_markdown(path, text)
        assert path.read_text() == f"# before\n{start}\n\n{text}\n{end}\nafter\n"
    report.write_markdown(tmp_path / "other.md", "text")
    assert (tmp_path / "other.md").read_text() == "text"


def test_csv_has_a_line_per_contender(tmp_path):
    rows = rows_of([0.5, 2.0], "3d")
    report.write_csv(tmp_path / "raw.csv", rows)
    with open(tmp_path / "raw.csv", newline="") as f:
        read = list(csv.DictReader(f))
    assert len(read) == sum(len(r.answers) for r in rows)
    assert tuple(read[0]) == report.CSV_COLUMNS
    torch = [r for r in read if r["contender"] == "torch"]
    assert [float(r["us"]) for r in torch] == [5e5, 5e5, 2e6, 2e6]
    assert {r["failed"] for r in read if r["contender"] == "mlx"} == {"it cannot"}


def test_roofline(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    import roofline

    roofline.draw(tmp_path / "roofline.png", rows_of([0.5, 2.0, 3.0], "3d"), "a machine")
    picture = image.imread(tmp_path / "roofline.png")
    assert picture.shape[1] > 1000
    assert picture[..., :3].std() > 0.05


# Processes

SCRIPT = """
import os, sys, time
sys.path.insert(0, {bench!r})
import workers

def prepare(kind):
    if kind == "refuse":
        raise ValueError("it cannot\\nand more")
    if kind == "die":
        os._exit(3)
    if kind == "hang":
        time.sleep(1000)
    print("noise")
    slow = 0.1 if sys.argv[2] == "slow" else 0.002
    calls = {{"bad": lambda: time.sleep(2 * slow), "good": lambda: time.sleep(slow)}}
    return calls, lambda result: {{"pid": os.getpid()}}

workers.serve(prepare)
"""


@pytest.fixture
def start(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT.format(bench=str(BENCH))))
    started = []

    def make(name, timeout=60):
        started.append(workers.Worker(script, name, 1, timeout))
        return started[-1]

    yield make
    for worker in started:
        worker.close()


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_measure_takes_turns(start):
    contenders_ = {name: start(name) for name in ("quick", "slow")}
    answers = workers.measure(contenders_, {"kind": "sleep"}, seconds=0.1, blocks=3)
    assert answers["quick"]["variant"] == "good"
    assert answers["quick"]["blocks"] == 3
    assert answers["slow"]["blocks"] == 0  # hopeless
    assert 0.002 <= answers["quick"]["seconds"] < 0.1 <= answers["slow"]["seconds"]
    if sys.platform == "linux":
        assert {state_of(a["pid"]) for a in answers.values()} == {"T"}  # stopped


@pytest.mark.parametrize(
    ("kind", "says"), [("refuse", "ValueError: it cannot"), ("die", "died (3)"), ("hang", "no answer in")]
)
def test_contenders_may_fail(start, kind, says):
    worker = start("one", timeout=3 if kind == "hang" else 60)
    answers = workers.measure({"one": worker}, {"kind": kind}, 0, 1)
    assert says in answers["one"]["failed"]
    assert worker.ask("prepare", kind="sleep")["variant"] == "good"  # it is there again


def test_closing_ends_the_process(start):
    worker = start("one")
    pid = worker.ask("prepare", kind="sleep")["pid"]
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
