# bench/compare.py -- convolutions side by side: nhwc against every installed library that has them
"""Times nhwc and its peers on the convolutions of published networks, class by class (bench/shapes/*.csv), or on random
ones, and says how nhwc stands to the fastest peer of each shape.

    python bench/compare.py                                    everything, one thread and two
    python bench/compare.py --class 3x3_stride1 --only ResNet --threads 1
    python bench/compare.py --random 50 --seed 7               shapes drawn by a seed
    python bench/compare.py --dtype bfloat16 --peers torch     half types
    python bench/compare.py --isa avx2 --peers torch           as on a processor without AVX-512
    python bench/compare.py --device gpu                       on an Apple GPU, against MLX and torch's MPS
    python bench/compare.py --check                            only whether all contenders compute the same
    python bench/compare.py --markdown README.md --csv raw.csv --plot roofline.png

Every contender runs in a process of its own, on as many processors as threads, stopped while another runs;
they take turns in blocks, and the medians over blocks count. Inputs and weights are the same in all, given once, in the
layout the library likes best; of a library's ways to do a shape the fastest counts. "x" is the fastest peer's time /
nhwc's. GFLOP/s are those of the direct method, whatever was computed. Errors are relative L2 errors against float64,
nhwc's and, in brackets, that of the fastest peer. The class "training" computes the result and both gradients, with
weights that are new every time, and is compared with torch alone unless --peers says otherwise."""

import argparse
import contextlib
import os
import pathlib
import secrets
import sys
import tempfile

import contenders
import report
from common import heading_lines, print_heading
from peak import measure_peak
from shapes import REQUIRED, REQUIRED_OF_HALVES, REQUIRED_OF_ISA, Shape, ShapeError, random_shapes, read_classes
from workers import GPU, Worker, WorkerError, bind_to_processors, measure, serve

WRONG = {"float32": 1e-3, "float16": 5e-3, "bfloat16": 4e-2}  # a relative error that no rounding explains
CHECKED = {"float32": 1e-5, "float16": 1e-3, "bfloat16": 8e-3}  # what --check allows
# --isa: how each contender is kept to it. Those without an entry have no such setting (XLA's holds for the code that it
# generates, not for the libraries that this calls).
ISAS = {
    "avx2": {
        "nhwc": {"NHWC_ISA": "avx2"},
        "torch": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    },
}


def worker(name, threads):
    """The process of one contender; `threads` may be GPU."""
    bind_to_processors(threads)
    import numpy as np

    contender = contenders.ALL[name](threads)

    def prepare(shape, dtype="float32", reference=None, save=None):
        shape = Shape.from_json(shape)
        if dtype not in contender.dtypes:
            raise contenders.Unsupported(f"not compared in {dtype}")
        contender.dtype = dtype

        def facts(result):
            arrays = contender.results(shape, result)
            if save:
                assert all(a.dtype == np.float64 for a in arrays)
                np.savez(save, *arrays)
                return {}
            with np.load(reference) as saved:
                errors = contenders.relative_errors(arrays, [saved[k] for k in saved.files])
            more = contender.facts(shape) if hasattr(contender, "facts") else {}
            return {"error": max(errors), **more}

        return contender.variants(shape, *contenders.data(shape)), facts

    serve(prepare)


class Bench:
    """The processes of one comparison."""

    def __init__(self, peers, args):
        self.args, everyone, settings = args, ("nhwc", *peers), ISAS.get(args.isa, {})
        self.required = REQUIRED_OF_HALVES if args.dtype != "float32" else REQUIRED_OF_ISA if args.isa else None
        self.reference = Worker(__file__, "reference", max(args.threads), args.timeout)
        self.workers = {
            t: {name: Worker(__file__, name, t, args.timeout, settings.get(name)) for name in everyone}
            for t in args.threads
        }

    def rows(self, shape, peaks, trained_by):
        """One report.Row per number of threads."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder) / "reference.npz")
            self.reference.ask("prepare", shape=shape.to_json(), save=path)
            task = {"shape": shape.to_json(), "dtype": self.args.dtype, "reference": path}
            given_up = {}
            for threads, everyone in self.workers.items():
                takes_part = [n for n in everyone if n == "nhwc" or not shape.training or n in trained_by]
                chosen = {n: everyone[n] for n in takes_part if n not in given_up}
                answers = measure(chosen, task, self.args.seconds, self.args.blocks) | given_up
                for name, answer in answers.items():
                    if answer.get("error", 0) > WRONG[self.args.dtype]:
                        answers[name] = {"failed": f"wrong result: relative error {answer['error']:.1e}"}
                    elif answer.get("failed", "").startswith("no answer"):
                        given_up[name] = answer
                yield report.Row(shape, threads, answers, peaks.get(threads), self.required)

    def close(self):
        for one in (self.reference, *(w for group in self.workers.values() for w in group.values())):
            one.close()


def parse(argv=None):
    class Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
        pass

    def names(known, what):
        def split(text):
            wrong = [t for t in text.split(",") if t not in known]
            if wrong:
                raise argparse.ArgumentTypeError(f"unknown {what} {', '.join(wrong)}; there are {', '.join(known)}")
            return text.split(",")

        return split

    def at_least(low, kind):
        def number(text):
            value = kind(text)
            if not value >= low:
                raise argparse.ArgumentTypeError(f"expected at least {low}, got {text}")
            return value

        number.__name__ = kind.__name__
        return number

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Formatter)
    add = parser.add_argument
    add("--class", dest="classes", type=names(REQUIRED, "class"), metavar="NAMES", help="of " + ", ".join(REQUIRED))
    add("--only", default="", metavar="TEXT", help="shapes whose name or class holds this")
    add("--peers", type=names(contenders.PEERS, "peer"), metavar="NAMES", help="of " + ", ".join(contenders.PEERS))
    add("--device", choices=("cpu", "gpu"), default="cpu", help="where all compute; gpu: whatever there is of it, once")
    add(
        "--threads", type=at_least(1, int), nargs="+", metavar="N", help="numbers of threads of the CPU, by default 1 2"
    )
    add("--seconds", type=at_least(0, float), default=0.5, help="for each contender, shape and number of threads")
    add("--blocks", type=at_least(1, int), default=5, help="turns of each contender")
    add("--timeout", type=at_least(1, float), default=60, help="seconds after which a contender is given up")
    add("--quick", action="store_true", help="a first impression: 0.1 seconds, 3 blocks")
    add("--check", action="store_true", help="compare numbers, not times")
    add("--dtype", choices=list(WRONG), default="float32", help="of inputs, weights and results")
    add("--isa", choices=list(ISAS), help="the instruction set that all are kept to")
    add("--random", type=at_least(1, int), metavar="N", help="random shapes in place of the published ones")
    add("--seed", type=int, help="of --random; by default a new one, which is printed")
    add("--markdown", metavar="FILE", help="writes the summary, between the markers of a file that has them")
    add("--csv", metavar="FILE", help="writes every measurement")
    add("--plot", metavar="FILE.png", help="draws a roofline")
    args = parser.parse_args(argv)
    check_arguments(parser, args)
    args.threads = [GPU] if args.device == "gpu" else list(dict.fromkeys(args.threads or [1, 2]))
    if args.quick:
        args.seconds, args.blocks = 0.1, 3
    if args.check:
        args.seconds, args.blocks = 0, 0
    return parser, args


def check_arguments(parser, args):
    """Ends the program, with a text, where options contradict each other or this machine."""
    if args.random and (args.classes or args.only):
        parser.error("--random draws shapes of every class: it goes with neither --class nor --only")
    if args.check and (args.markdown or args.plot):
        parser.error("--check measures no times: it goes with neither --markdown nor --plot")
    if args.seed is not None and not args.random:
        parser.error("--seed belongs to --random")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if max(args.threads or [1]) > cores:
        parser.error(f"--threads {max(args.threads)}: this process may use {cores} processors")
    if args.device == "gpu" and (args.threads or args.isa):
        parser.error("--threads and --isa are of the CPU: they do not go with --device gpu")
    elsewhere = [n for n in args.peers or () if args.device not in contenders.PEERS[n].devices]
    if elsewhere:
        parser.error(f"--device {args.device}: {', '.join(elsewhere)} cannot compute there")
    free = [n for n in args.peers or () if args.isa and n not in ISAS[args.isa]]
    if free:
        parser.error(f"--isa {args.isa}: nothing keeps {', '.join(free)} to it")
    for path in (args.markdown, args.csv, args.plot):
        if path and not pathlib.Path(path).absolute().parent.is_dir():
            parser.error(f"there is no folder for {path}")


def chosen_shapes(parser, args):
    if args.random:
        if args.seed is None:
            args.seed = secrets.randbelow(1 << 31)
        print(f"shapes: {args.random} random ones, --seed {args.seed}")
        return random_shapes(args.random, args.seed)
    try:
        classes = [c for c in REQUIRED if c != "training" or args.dtype == "float32"]
        shapes = read_classes(args.classes or classes, args.only)
    except ShapeError as error:
        parser.error(str(error))
    if not shapes:
        parser.error(f'no shape holds "{args.only}" in its name')
    return shapes


def installed_peers(args):
    """Those that can run; the others are named."""
    present = []
    for name in args.peers or contenders.DEFAULT_PEERS:
        missing = contenders.missing_modules(name)
        if missing:
            print(f"skipped: {name} ({', '.join(missing)} not installed)")
        elif args.isa and name not in ISAS[args.isa]:
            print(f"skipped: {name} (nothing keeps it to {args.isa})")
        elif args.device not in contenders.PEERS[name].devices:
            print(f"skipped: {name} (has nothing for this GPU)")
        else:
            present.append(name)
    print(f"peers: {', '.join(present) or 'none'}")
    return present


def compare(bench, shapes, args, peaks, rows):
    """Appends to `rows` what was measured, and prints it."""
    from tqdm import tqdm

    trained_by = args.peers or ["torch"]
    last = None
    with tqdm(total=len(shapes), unit="shape", file=sys.stderr, dynamic_ncols=True) as bar:
        for shape in shapes:
            bar.set_description(f"{report.title(shape.klass)}: {shape.name}"[:48])
            if shape.klass != last:
                if last and not args.check:
                    print_class(bar, rows, last)
                bar.write(f"\n{report.title(shape.klass)}", file=sys.stdout)
                last = shape.klass
            for row in bench.rows(shape, peaks, trained_by):
                rows.append(row)
                lines = [report.check_line(row) if args.check else report.row_line(row)]
                if row.threads == args.threads[0]:
                    lines += report.failures(row)
                bar.write("\n".join(lines), file=sys.stdout)
            bar.update()
    if not args.check:
        print_class(tqdm, rows, last)


def print_class(bar, rows, klass):
    for s in report.summarize([r for r in rows if r.shape.klass == klass]):
        if s.worst:
            need = f", required {s.required:g}: {report.verdict(s)}" if s.required else ""
            head = f"  {report.threads_text(s.threads)}: geometric mean {s.mean:.3f}{need}"
            bar.write(f"{head}; worst {report.worst_text(s)}", file=sys.stdout)


def print_check(rows, allowed):
    """The largest error of every contender; True if all are small."""
    worst, good = {}, True
    for row in rows:
        for name, answer in row.answers.items():
            failed = answer.get("failed", "")
            if "error" in answer:
                worst[name] = max(worst.get(name, (0, "")), (answer["error"], row.shape.name))
            good = good and answer.get("error", 0) <= allowed and not failed.startswith("wrong") and not (
                failed and name == "nhwc"
            )  # fmt: skip
    for name, (error, shape) in worst.items():
        count = sum("error" in r.answers.get(name, {}) for r in rows)
        print(f"{name:14} {count:4} results, largest relative error {error:.1e} ({shape})")
    print(f"every error is at most {allowed:g}" if good else f"WRONG: errors above {allowed:g}")
    return good


def finish(rows, args):
    """Tables and files; the exit code."""
    if not rows:
        return 1
    print()
    if args.csv:
        report.write_csv(args.csv, rows)
    if args.check:
        return 0 if print_check(rows, CHECKED[args.dtype]) else 1
    print("\n".join(report.summary_table(rows)))
    limit = report.LOWEST_RANDOM if args.random else report.LOWEST
    print("\n".join(["", *report.slow_lines(rows, limit)]))
    if args.markdown:
        heading = heading_lines(leave_out=("--markdown", "--csv", "--plot"))
        report.write_markdown(args.markdown, report.markdown(rows, heading))
    if args.plot:
        import roofline

        roofline.draw(args.plot, rows, heading_lines()[0])
    return 0 if all(r.ours for r in rows) else 1


def main():
    parser, args = parse()
    if contenders.missing_modules("nhwc"):
        parser.error("nhwc is not installed, nor on PYTHONPATH")
    if args.device == "gpu":
        try:
            gpu = contenders.Nhwc(GPU).mx.metal.device_info()
        except contenders.NoDevice as error:
            parser.error(f"--device gpu: {error}")
    print_heading()
    if args.device == "gpu":
        print(f"device: {gpu['device_name']}")
    peers = installed_peers(args)
    shapes = chosen_shapes(parser, args)
    peaks = {} if args.check or args.device == "gpu" else measure_peak(args.threads, args.isa)
    for threads, peak in peaks.items():
        print(f"peak of {threads}: {peak.gflops:.0f} GFLOP/s in {peak.bits}-bit vectors, {peak.bandwidth:.0f} GB/s")
    rows = []
    bench = Bench(peers, args)
    with contextlib.closing(bench):
        try:
            compare(bench, shapes, args, peaks, rows)
        except KeyboardInterrupt:
            print("\ninterrupted; what was measured until then:")
        except WorkerError as error:
            sys.exit(f"the reference {error}")
    return finish(rows, args)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
