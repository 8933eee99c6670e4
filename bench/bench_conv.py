# bench/bench_conv.py -- float32 convolutions, nhwc against torch in channels_last, in percent of the measured FMA peak
"""python bench/bench_conv.py [--threads 1 2] [--rounds 3] [--only 3x3]

Each contender runs in processes of its own, in turn. Weights are given once and used again, as in inference."""

import argparse
import csv
import json
import pathlib
import subprocess

from common import in_turn, median_seconds, print_heading

HERE = pathlib.Path(__file__).parent
INTEGERS = ("n", "h", "w", "c_in", "c_out", "k", "stride", "padding", "dilation", "groups")


def shapes(only=""):
    with open(HERE / "conv_shapes.csv") as f:
        for row in csv.DictReader(f):
            if only in row["name"]:
                yield {k: int(v) if k in INTEGERS else v for k, v in row.items()}


def out_side(row, side):
    if row["kind"] == "transposed":
        return (row[side] - 1) * row["stride"] - 2 * row["padding"] + row["k"]
    return (row[side] + 2 * row["padding"] - row["dilation"] * (row["k"] - 1) - 1) // row["stride"] + 1


def flops(row):
    places = row["h"] * row["w"] if row["kind"] == "transposed" else out_side(row, "h") * out_side(row, "w")
    return 2 * row["n"] * places * row["c_out"] * row["c_in"] // row["groups"] * row["k"] ** 2


def nhwc_call(row):
    import nhwc as mx

    x = mx.random.normal((row["n"], row["h"], row["w"], row["c_in"]))
    w = mx.random.normal((row["c_out"], row["k"], row["k"], row["c_in"] // row["groups"]))
    g = mx.random.normal((row["n"], out_side(row, "h"), out_side(row, "w"), row["c_out"]))
    mx.eval(x, w, g)
    how = {name: row[name] for name in ("stride", "padding", "dilation", "groups")}
    convolve = mx.conv_transpose2d if row["kind"] == "transposed" else mx.conv2d
    if row["kind"] == "weight_grad":
        return lambda: mx.eval(mx.vjp(lambda w: convolve(x, w, **how), [w], [g])[1])
    if row["kind"] == "input_grad":
        return lambda: mx.eval(mx.vjp(lambda x: convolve(x, w, **how), [x], [g])[1])
    return lambda: mx.eval(convolve(x, w, **how))


def torch_call(row):
    import torch

    like = torch.channels_last
    x = torch.randn(row["n"], row["c_in"], row["h"], row["w"]).contiguous(memory_format=like)
    how = [[row[name]] * 2 for name in ("stride", "padding", "dilation")]
    transposed = row["kind"] == "transposed"
    rows, columns = (row["c_in"], row["c_out"]) if transposed else (row["c_out"], row["c_in"])
    w = torch.randn(rows, columns // row["groups"], row["k"], row["k"]).contiguous(memory_format=like)
    g = torch.randn(row["n"], row["c_out"], out_side(row, "h"), out_side(row, "w")).contiguous(memory_format=like)
    if row["kind"] in ("weight_grad", "input_grad"):
        mask = [row["kind"] == "input_grad", row["kind"] == "weight_grad", False]
        return lambda: torch.ops.aten.convolution_backward(g, x, w, None, *how, False, [0, 0], row["groups"], mask)
    return lambda: torch.ops.aten.convolution(x, w, None, *how, transposed, [0, 0], row["groups"])


def worker(contender, threads, only, seconds):
    if contender == "torch":
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        make = torch_call
    else:
        import nhwc as mx

        mx.set_num_threads(threads)
        make = nhwc_call
    print(json.dumps({row["name"]: median_seconds(make(row), seconds) for row in shapes(only)}))


def fma_peak():
    """GFLOP/s of one core, measured by a register-only loop compiled here; None without a compiler."""
    source = r"""
#include <chrono>
#include <cstdio>
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float V __attribute__((vector_size(kLanes * 4)));
int main() {
  constexpr int kChains = kLanes == 16 ? 24 : 12, kSteps = 4000000;
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    V acc[kChains], a, b;
    for (int j = 0; j < kLanes; ++j) { a[j] = 0.999999f; b[j] = 1e-6f; }
#pragma GCC unroll 24  // all loops over acc, or it is kept in memory
    for (int i = 0; i < kChains; ++i) acc[i] = a + float(i);
    auto start = std::chrono::steady_clock::now();
    for (int s = 0; s < kSteps; ++s) {
#pragma GCC unroll 24
      for (int i = 0; i < kChains; ++i) acc[i] = acc[i] * a + b;
#pragma GCC unroll 24
      for (int i = 0; i < kChains; ++i) __asm__ volatile("" : "+v"(acc[i]));
    }
    double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double rate = 2.0 * kLanes * kChains * kSteps / t / 1e9;
    if (rate > best) best = rate;
  }
  std::printf("%d %.1f\n", kLanes * 32, best);
}
"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "peak"
        build = [
            "c++",
            "-O3",
            "-march=native",
            "-mprefer-vector-width=512",
            "-ffast-math",
            "-x",
            "c++",
            "-",
            "-o",
            program,
        ]
        try:
            subprocess.run(build, input=source, text=True, check=True, capture_output=True)
            bits, rate = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
        except (OSError, subprocess.CalledProcessError):
            return None
    print(f"FMA peak of one core: {float(rate):.0f} GFLOP/s, {bits}-bit")
    return float(rate)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--seconds", type=float, default=0.3, help="per row and round")
    args = parser.parse_args()
    print_heading()
    peak = fma_peak()
    alone = {}
    for threads in args.threads:
        results = in_turn(__file__, ["nhwc", "torch"], args.rounds, threads, args.only, args.seconds)
        print(f"\n{threads} thread{'s' * (threads > 1)}: median us, GFLOP/s, percent of peak, torch's time / nhwc's")
        for row in shapes(args.only):
            name = row["name"]
            ours, theirs = (results[c].get(name) for c in ("nhwc", "torch"))
            if ours is None:
                continue
            alone.setdefault(name, ours)
            rate = flops(row) / ours / 1e9
            cells = [f"{name:30}", f"{ours * 1e6:9.1f} us", f"{rate:7.1f} GF/s"]
            cells.append(f"{100 * rate / peak / threads:5.1f} %" if peak else "")
            cells.append(f"torch {theirs * 1e6:9.1f} us  x{theirs / ours:5.2f}" if theirs else "torch absent")
            if threads != args.threads[0]:
                cells.append(f"scaling {alone[name] / ours:4.2f}")
            print("  ".join(cells))


if __name__ == "__main__":
    import sys

    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        worker(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
    else:
        main()
