# bench/report.py -- what a comparison says: lines, tables, files
import csv
import dataclasses
import math
import pathlib
import re

from shapes import REQUIRED, TITLES
from workers import GPU

LOWEST = 0.95  # no shape of a class may be slower than this, as a ratio to the fastest peer
LOWEST_RANDOM = 0.90
MARKERS = ("<!-- compare table -->", "<!-- end of compare table -->")
CSV_COLUMNS = (
    "class", "name", "threads", "contender", "variant", "us", "spread", "gflops", "percent_of_peak", "intensity",
    "relative_error", "algorithm", "failed",
)  # fmt: skip


def geometric_mean(values):
    """Of positive numbers; NaN of none."""
    values = list(values)
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else math.nan


@dataclasses.dataclass
class Row:
    """One shape with one number of threads: what workers.measure gave for every contender."""

    shape: object
    threads: int  # or workers.GPU
    answers: dict
    peak: object = None  # peak.Peak for this number of threads
    required: float | None = None  # the geometric mean of its class' ratios, where that of float32 does not hold

    @property
    def ours(self):
        """The answer of nhwc, or None where it failed."""
        answer = self.answers.get("nhwc", {})
        return answer if "seconds" in answer else None

    @property
    def rival(self):
        """The name of the fastest peer, or None."""
        times = {n: a["seconds"] for n, a in self.answers.items() if n != "nhwc" and "seconds" in a}
        return min(times, key=times.get) if times else None

    @property
    def ratio(self):
        """The fastest peer's time / nhwc's, or None."""
        if not self.ours or not self.rival:
            return None
        return self.answers[self.rival]["seconds"] / self.ours["seconds"]

    def gflops(self, name="nhwc"):
        return self.shape.flops / self.answers[name]["seconds"] / 1e9

    def percent(self, name="nhwc"):
        return 100 * self.gflops(name) / self.peak.gflops if self.peak else None


def number(value, pattern, missing="-"):
    return missing if value is None or (isinstance(value, float) and math.isnan(value)) else format(value, pattern)


def threads_text(threads):
    return "GPU" if threads == GPU else f"{threads} thread{'s' * (threads > 1)}"


def threads_mark(threads):
    return "gpu" if threads == GPU else f"{threads}t"


def row_line(row):
    """One line of the terminal."""
    head = f"{row.shape.name:46.46} {threads_mark(row.threads)}"
    if not row.ours:
        return f"{head} nhwc failed: {row.answers['nhwc'].get('failed')}"
    cells = [head, f"{row.ours['seconds'] * 1e6:10.1f} us", f"{row.gflops():7.1f} GF/s"]
    cells.append(f"{number(row.percent(), '5.1f'):>5} %")
    if row.rival:
        theirs = row.answers[row.rival]
        name = f"{row.rival} ({theirs['variant']})" if theirs.get("variant") else row.rival
        cells.append(f"x{row.ratio:6.2f} of {name:34.34}")
        cells.append(f"error {row.ours['error']:.1e} ({theirs['error']:.1e})")
    else:
        cells.append(f"no peer; error {row.ours['error']:.1e}")
    cells.append(row.ours.get("algorithm", ""))
    return "  ".join(cells).rstrip()


def check_line(row):
    """One line of the terminal, without times."""
    errors = [f"{name} {a['error']:.1e}" for name, a in row.answers.items() if "error" in a]
    return f"{row.shape.name:46.46} {threads_mark(row.threads)}  {'  '.join(errors)}"


def failures(row):
    """One line per peer that failed; not those that have no such convolution."""
    failed = {name: a["failed"] for name, a in row.answers.items() if "failed" in a and name != "nhwc"}
    return [f"    {name}: {why}" for name, why in failed.items() if not why.startswith("Unsupported")]


@dataclasses.dataclass
class Summary:
    """A class with one number of threads."""

    klass: str
    threads: int
    count: int
    mean: float  # geometric, of the ratios; NaN without a peer
    worst: Row | None
    percent: float | None  # of peak: the median
    required: float | None  # a bound of `mean`

    @property
    def met(self):
        """Whether the class is as fast as is required; None where nothing is, or nothing was compared."""
        if self.required is None or math.isnan(self.mean):
            return None
        return self.mean >= self.required


def summarize(rows):
    """Summaries in the order of the rows."""
    groups = {}
    for row in rows:
        groups.setdefault((row.shape.klass, row.threads), []).append(row)
    made = []
    for (klass, threads), members in groups.items():
        compared = [r for r in members if r.ratio]
        shares = sorted(r.percent() for r in members if r.ours and r.peak)
        made.append(
            Summary(
                klass,
                threads,
                len(members),
                geometric_mean(r.ratio for r in compared),
                min(compared, key=lambda r: r.ratio, default=None),
                shares[len(shares) // 2] if shares else None,
                (members[0].required or REQUIRED.get(klass)) if threads != GPU else None,
            )
        )
    return made


def title(klass):
    return TITLES.get(klass, klass)


def verdict(summary):
    return {None: "", True: "met", False: "NOT met"}[summary.met]


def worst_text(summary):
    return f"{summary.worst.ratio:.2f} {summary.worst.shape.name} ({summary.worst.rival})" if summary.worst else "-"


def table(header, rows):
    """Lines of a table with aligned columns."""
    cells = [list(map(str, r)) for r in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def summary_table(rows):
    header = ("class", "threads", "shapes", "geometric mean", "required", "", "of peak", "worst shape")
    return table(
        header,
        [
            (
                title(s.klass), "GPU" if s.threads == GPU else s.threads, s.count, number(s.mean, ".3f"),
                number(s.required, "g"), verdict(s), number(s.percent, ".0f") + " %", worst_text(s),
            )
            for s in summarize(rows)
        ],
    )  # fmt: skip


def slow_lines(rows, limit):
    """The shapes whose ratio is under the limit, slowest first, with what nhwc chose."""
    slow = sorted((r for r in rows if r.ratio and r.ratio < limit), key=lambda r: r.ratio)
    lines = [
        f"  {r.ratio:.3f}  {title(r.shape.klass)}: {r.shape.name}, {threads_text(r.threads)}, against {r.rival}"
        f" ({r.ours.get('algorithm', '?')})"
        for r in slow
    ]
    return [f"{len(slow)} of {len(rows)} below {limit:g}{':' if lines else ''}", *lines]


LISTED = 10  # slow shapes in a table for readers


def markdown_table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(map(str, r)) + " |" for r in lines]


def markdown(rows, heading):
    """The table of README.md, a line per class, under what it was measured on; then the shapes that are too slow."""
    summaries = summarize(rows)
    counts = sorted({s.threads for s in summaries})
    header = ["class", "shapes", "required"]
    for t in counts:
        header += [threads_text(t), "worst shape", "of peak"]
    lines = []
    for klass in dict.fromkeys(s.klass for s in summaries):
        mine = {s.threads: s for s in summaries if s.klass == klass}
        any_of = next(iter(mine.values()))
        cells = [title(klass), any_of.count, number(any_of.required, "g")]
        for t in counts:
            s = mine[t]
            worst = f"{s.worst.ratio:.2f} {s.worst.shape.name}" if s.worst else "-"
            mean = number(s.mean, ".2f")
            cells += [mean if s.met is not False else f"{mean} (not met)", worst, number(s.percent, ".0f") + " %"]
        lines.append(cells)
    slow = slow_lines(rows, LOWEST)
    return "\n".join(
        [
            "; ".join(heading),
            "",
            *markdown_table(header, lines),
            "",
            slow[0],
            *(f"-{line[1:]}" for line in slow[1 : 1 + LISTED]),
            *([f"- and {len(slow) - 1 - LISTED} more, which the command prints"] if len(slow) > 1 + LISTED else []),
            "",
        ]
    )


def write_markdown(path, text):
    """Between the markers of a file that has them; otherwise it becomes the file."""
    path = pathlib.Path(path)
    old = path.read_text() if path.exists() else ""
    pattern = re.compile(f"({re.escape(MARKERS[0])}\n).*?({re.escape(MARKERS[1])})", re.DOTALL)
    if pattern.search(old):
        text = pattern.sub(lambda m: f"{m[1]}\n{text}\n{m[2]}", old)
    path.write_text(text)


def csv_records(rows):
    for row in rows:
        for name, answer in row.answers.items():
            timed = "seconds" in answer
            yield {
                "class": row.shape.klass,
                "name": row.shape.name,
                "threads": row.threads if row.threads != GPU else "gpu",
                "contender": name,
                "variant": answer.get("variant", ""),
                "us": f"{answer['seconds'] * 1e6:.3f}" if timed else "",
                "spread": f"{answer['spread']:.3f}" if timed else "",
                "gflops": f"{row.gflops(name):.2f}" if timed else "",
                "percent_of_peak": f"{row.percent(name):.2f}" if timed and row.peak else "",
                "intensity": f"{row.shape.intensity:.3f}",
                "relative_error": f"{answer['error']:.3e}" if timed else "",
                "algorithm": answer.get("algorithm", ""),
                "failed": answer.get("failed", ""),
            }


def write_csv(path, rows):
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, CSV_COLUMNS)
        writer.writeheader()
        writer.writerows(csv_records(rows))
