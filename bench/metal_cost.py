# bench/metal_cost.py -- what the Metal kernels cost, counted without a GPU, beside MLX's kernels on the same problem
"""Runs convolutions of published networks on the emulated GPU and counts what their kernels do: bytes that threads load
and store in device memory, and how many of those are different ones; bytes through threadgroup memory; 8x8x8 products;
barriers; threadgroup memory. MLX's implicit GEMM (its published source) is launched as MLX's host code would and
counted alike. The times are a roofline over the shipped table of chips (csrc/plan/metal_chips.inc): the larger of
products / peak and different bytes / bandwidth. They are estimates, nothing is measured; no Apple machine is involved.

    python bench/metal_cost.py                     ResNet-50, MobileNetV2 and audio layers
    python bench/metal_cost.py --only ResNet --markdown
    python bench/metal_cost.py --explain           also the plan of each
    python bench/metal_cost.py --dtype float16     of half types
    python bench/metal_cost.py --weight-grad       of weight gradients

NHWC_METAL_ALGORITHM chooses the algorithm, as everywhere.

Needs ziglang, and what nhwc's tests need.
"""

import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from shapes import read_classes

ROOT = pathlib.Path(__file__).resolve().parents[1]
APPLE = ROOT / "tests" / "apple"
sys.path[:0] = [str(APPLE), str(APPLE / "mlx"), str(APPLE / "emulator")]

DEFAULT = re.compile(r"ResNet-50|MobileNetV2|wav2vec|Whisper|EnCodec|HiFi", re.IGNORECASE)
LARGEST = 4e8  # multiply-adds that are emulated; more takes minutes
CHIPS = ("M1", "M2", "M3", "M4", "M5")
ITEM = {"float32": 4, "float16": 2, "bfloat16": 2}  # bytes


def chips():
    """{name: (GFLOP/s, GB/s)} of the shipped table."""
    row = re.compile(r'NHWC_METAL_CHIP\("([^"]+)", (\d+), (\d+), ([\d.]+), ([\d.]+), ([\d.]+)\)')
    text = (ROOT / "csrc" / "plan" / "metal_chips.inc").read_text()
    return {name: (int(cores) * float(rate), float(gbs)) for name, _, cores, rate, _, gbs in row.findall(text)}


def products(shape):
    """Multiply-adds of the convolution by its definition, without those that meet padding being left out."""
    taps, pixels = math.prod(shape.kernel), math.prod(shape.in_ if shape.transposed else shape.out)
    return shape.batch * pixels * taps * shape.c * shape.o // shape.groups


def least_bytes(shape, dtype):
    """Each input, weight and output once."""
    elements = shape.batch * (math.prod(shape.in_) * shape.c + math.prod(shape.out) * shape.o)
    return ITEM[dtype] * (elements + math.prod(shape.kernel) * shape.c * shape.o // shape.groups)


def run_ours(shape, dtype, weight_grad):
    """In a process whose GPU is the emulated one: computes the shape and prints its plan."""
    import nhwc as mx

    mx.eval(mx.zeros(1, stream=mx.gpu) + 1)  # arrays lie where the GPU sees them from now on
    if trace := os.environ.get("NHWC_STANDIN_TRACE"):
        pathlib.Path(trace).write_text("")

    rng = np.random.default_rng(0)
    taps = shape.kernel

    def normal(*size):
        with mx.stream(mx.cpu):
            a = mx.array(rng.normal(size=size).astype(np.float32)).astype(getattr(mx, dtype))
        mx.eval(a)
        return a

    x, w = normal(shape.batch, *shape.in_, shape.c), normal(shape.o, *taps, shape.c // shape.groups)
    more = {"stride": shape.stride, "padding": shape.padding, "dilation": shape.dilation, "groups": shape.groups}
    function = getattr(mx, f"conv{'_transpose' if shape.transposed else ''}{shape.rank}d")
    if shape.transposed:
        more["output_padding"] = shape.output_padding
    if shape.rank == 1:
        more = {k: v[0] if isinstance(v, tuple) else v for k, v in more.items()}
    if weight_grad:
        gradient = normal(shape.batch, *shape.out, shape.o)
        with mx.stream(mx.gpu):
            y = mx.vjp(lambda w: function(x, w, **more), [w], [gradient])[1][0]
    else:
        y = function(x, w, stream=mx.gpu, **more)
    print(mx.explain(y))
    mx.eval(y)


def count_ours(shape, dtype="float32", weight_grad=False):
    """(counters summed over the dispatches, the most threadgroup memory, the plan)."""
    import build_runtime

    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace"
        environment = {
            **os.environ,
            "NHWC_GPU_RUNTIME": str(build_runtime.build()),
            "NHWC_EMULATOR_MODE": "check",
            "NHWC_STANDIN_TRACE": str(trace),
        }
        command = [sys.executable, __file__, "--run", json.dumps([shape.klass, shape.name, dtype, weight_grad])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{shape.name}: {done.stderr[-2000:]}")
        rows = [json.loads(line) for line in trace.read_text().splitlines()]
    names = [k for k, v in rows[0].items() if isinstance(v, int)]
    total = {name: sum(row[name] for row in rows) for name in names}
    total["threadgroup_bytes"] = max(row["threadgroup_bytes"] for row in rows)
    total["dispatches"] = len(rows)
    return total, done.stdout.strip()


def count_mlx(shape):
    """The same of MLX's implicit GEMM; None where MLX takes another algorithm or its source is not published."""
    import conv_host
    from mlx_wheel import mlx_include

    if shape.groups != 1 or shape.transposed or shape.rank > 2:
        return None
    fill = (1,) * (2 - shape.rank)
    q = conv_host.Problem(
        shape.batch, (*shape.in_, *fill), shape.c, shape.o, (*shape.kernel, *fill),
        stride=(*shape.stride, *fill), pad=(*shape.padding, *(0 for _ in fill)), dilation=(*shape.dilation, *fill),
    )  # fmt: skip
    try:
        counters = conv_host.run_as_mlx(q, mlx_include())
    except conv_host.emu.KernelError as e:  # it loads whole tiles of filters, also beyond the last
        print(f"{shape.name}: MLX's kernel stops: {str(e).splitlines()[0]}", file=sys.stderr)
        return None
    if counters is None:
        return None
    return {name: getattr(counters, name) for name, _ in counters._fields_}


def traffic(c):
    return c["device_read"] + c["device_written"]


def lines_of(shape, ours, theirs, dtype):
    """The figures of a shape, a row for us and one for MLX."""
    least, exact = least_bytes(shape, dtype), products(shape) / 512
    for who, c in (("nhwc", ours), ("MLX", theirs)):
        if c is None:
            continue
        unique = c["device_read_unique"] + c["device_written_unique"]
        times = []
        for chip in CHIPS:
            gflops, gbs = chips()[chip]
            flops = 1024 * c["mma"] if c["mma"] else 2 * products(shape)
            times.append(f"{max(flops / gflops / 1e3, unique / gbs / 1e3):.0f}")
        yield [
            shape.name if who == "nhwc" else "",
            who,
            f"{traffic(c) / least:.2f}",
            f"{unique / least:.2f}",
            f"{(c['threadgroup_read'] + c['threadgroup_written']) / 1e6:.1f}",
            f"{c['mma'] / exact:.2f}" if c["mma"] else "none",
            str(c["barriers"]),
            f"{c['threadgroup_bytes'] / 1024:.1f}",
            " ".join(times),
        ]


HEADING = (
    "shape", "kernels", "bytes / least", "different / least", "threadgroup MB", "products / least", "barriers",
    "threadgroup KiB", f"us on {' '.join(CHIPS)}",
)  # fmt: skip


def show(rows, markdown):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells).rstrip())
        if number == 0:
            print("|" + "|".join("---" for _ in row) + "|" if markdown else "-" * (sum(widths) + 2 * len(widths)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="shapes whose name contains this (default: ResNet-50, MobileNetV2, audio)")
    parser.add_argument("--largest", type=float, default=LARGEST, help="multiply-adds beyond which a shape is left out")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--dtype", choices=sorted(ITEM), default="float32", help="MLX's kernel is counted in float32")
    parser.add_argument("--weight-grad", action="store_true", help="the gradient of the weights, without MLX's")
    parser.add_argument("--explain", action="store_true", help="print the plans too")
    parser.add_argument("--most", type=float, help="exit with 1 where device bytes / MLX's are more in the mean")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    every = [shape for shape in read_classes() if not shape.training]
    if options.run:
        klass, name, *how = json.loads(options.run)
        return run_ours(next(s for s in every if (s.klass, s.name) == (klass, name)), *how)
    wanted = [s for s in every if (options.only.lower() in s.name.lower() if options.only else DEFAULT.search(s.name))]
    left_out = [s.name for s in wanted if products(s) > options.largest]
    wanted = [s for s in wanted if products(s) <= options.largest]
    if not wanted:
        raise SystemExit("no shape is left; see --only and --largest")
    from tqdm import tqdm

    rows, ratios, plans = [list(HEADING)], [], []
    for shape in tqdm(wanted, unit="shape", disable=None):
        ours, plan = count_ours(shape, options.dtype, options.weight_grad)
        theirs = None if options.weight_grad or options.dtype != "float32" else count_mlx(shape)
        rows += lines_of(shape, ours, theirs, options.dtype)
        plans.append(f"{shape.name}\n{plan}\n")
        if theirs:
            ratios.append((traffic(ours) / traffic(theirs), shape.name))
    show(rows, options.markdown)
    if options.explain:
        print(*plans, sep="\n")
    if ratios:
        mean = math.exp(sum(math.log(r) for r, _ in ratios) / len(ratios))
        worst = max(ratios)
        print(
            f"device bytes / MLX's: geometric mean {mean:.2f}, worst {worst[0]:.2f} ({worst[1]}), {len(ratios)} shapes"
        )
    if left_out:
        print("left out for their size: " + ", ".join(left_out))
    if options.most and not ratios:
        raise SystemExit("none of these shapes has a kernel of MLX's to compare with")
    return int(bool(options.most) and mean > options.most)


if __name__ == "__main__":
    sys.exit(main())
