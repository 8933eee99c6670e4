# examples/shared.py -- what the examples share: options of the command line, a trace of one step, the look of pictures
import argparse
import contextlib
import importlib.util
import pathlib

import numpy as np

import nhwc as mx

INK, MUTED, LINE, GRID = "#1f2933", "#8a94a3", "#cbd2d9", "#e4e7eb"
BLUE, RED, TEAL = "#2f6fde", "#d92d20", "#0f9d8a"
TITLE = {"color": INK, "fontsize": 13}


def positive(text):
    """A count on the command line."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def target(text):
    """A file to write, on the command line: its folder is asked for now, not after the training."""
    if not pathlib.Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder for {text}")
    return text


def options(doc, out, seed=True):
    """A parser with what the examples take; its help prints the defaults."""
    parser = argparse.ArgumentParser(
        description=doc.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    if seed:
        parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    parser.add_argument("--out", type=target, default=out, help="the picture to write")
    parser.add_argument(
        "--profile", type=target, metavar="FILE", help="write a trace of one step, which ui.perfetto.dev opens"
    )
    return parser


def profiled(path, step, steps):
    """What each step runs in: a trace if it is the one to show, late enough to be like those after it."""
    return mx.profile(path) if path and step == min(10, steps - 1) else contextlib.nullcontext()


def report(losses, seconds, out):
    """Prints what training took and gained."""
    few = -(-len(losses) // 10)
    first, last = np.mean(losses[:few]), np.mean(losses[-few:])
    print(f"{len(losses)} steps in {seconds:.1f} s; loss from {first:.4g} to {last:.4g}; picture: {out}")


def from_package(package, file):
    """The path of a file inside an installed package, which is not imported: it need not have what it depends on."""
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # of the package's parent
        spec = None
    if spec is None:
        raise SystemExit(f"{package} is not installed: pip install --no-deps {package.replace('_', '-')}")
    return pathlib.Path(spec.submodule_search_locations[0]) / file


def pyplot():
    """matplotlib, for files only."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def bare(axis):
    """No ticks, no frame."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def quiet(axis):
    """Axes that stay behind their lines."""
    axis.grid(True, which="major", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=MUTED, which="both")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(LINE)


def draw_losses(axis, losses, label):
    """The loss of every step, thin, and its running mean."""
    width = max(1, len(losses) // 40)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    axis.semilogy(losses, color=BLUE, alpha=0.25, linewidth=0.8)
    axis.semilogy(np.arange(len(smooth)) + width // 2, smooth, color=BLUE, linewidth=2)
    narrow = max(losses) < 30 * min(losses)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(lambda x, _: f"{x:.2g}" if narrow and f"{x:e}"[0] in "235" else "")
    axis.set_xlabel("step", color=INK)
    axis.set_ylabel(label, color=INK)
    quiet(axis)
