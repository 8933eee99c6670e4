# bench/bench_networks.py -- whole networks, nhwc against eager torch in channels_last
"""python bench/bench_networks.py [--only resnet20] [--threads 1 2] [--seconds 5] [--blocks 5]

resnet20      one training step on 64 images of 32x32: batch norm with running statistics, SGD with momentum
mobilenet_v2  forward, one image of 224x224, batch norm folded into the convolutions
unet3d        forward, one volume of 48^3, three levels of 16, 32 and 64 channels

Weights and inputs are random, and the same in both. The results are compared too: the outputs, or the losses of the
first three steps. Processes as in compare.py."""

import argparse
import contextlib
import pathlib
import sys
import tempfile

import numpy as np
from common import print_heading
from workers import Worker, bind_to_processors, measure, serve

NETWORKS = {"resnet20": 1.5, "mobilenet_v2": None, "unet3d": None}  # what torch's time / nhwc's should be
ALLOWED = 1e-3  # relative difference of the results
CONTENDERS = ("nhwc", "torch")


def worker(contender, threads):
    bind_to_processors(threads)
    if contender == "torch":
        import torch
        from networks import with_torch as made

        torch.set_num_threads(threads)
    else:
        from networks import with_nhwc as made

        import nhwc as mx

        mx.set_num_threads(threads)

    def prepare(network, folder):
        call = getattr(made, network)()
        calls = 3 if network == "resnet20" else 1
        results = [np.array(made.result(call())) for _ in range(calls)]
        np.save(pathlib.Path(folder) / f"{contender}.npy", np.stack(results))
        return {"": call}, lambda _: {}

    serve(prepare)


def difference(a, b):
    """The largest difference relative to the largest value."""
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-30))


def compare(workers, network, seconds, blocks):
    """(answers of measure, relative difference of the results or None)."""
    with tempfile.TemporaryDirectory() as folder:
        answers = measure(workers, {"network": network, "folder": folder}, seconds, blocks)
        if any("failed" in a for a in answers.values()):
            return answers, None
        ours, theirs = (np.load(pathlib.Path(folder) / f"{name}.npy") for name in CONTENDERS)
        return answers, difference(ours, theirs)


def show(network, threads, answers, apart):
    """Prints a line; False if something is wrong."""
    head = f"{network:13} {threads} thread{'s' if threads > 1 else ' '}"
    for name, a in answers.items():
        if "failed" in a:
            print(f"{head}  {name}: {a['failed']}")
    if apart is None:
        return False
    ours, theirs = (answers[name]["seconds"] for name in CONTENDERS)
    required = NETWORKS[network]
    verdict = f", required {required:g}: {'met' if theirs / ours >= required else 'NOT met'}" if required else ""
    same = f"results differ by {apart:.1e}" + ("" if apart <= ALLOWED else f", more than {ALLOWED:g}: WRONG")
    print(f"{head}  nhwc {ours * 1e3:8.2f} ms, torch {theirs * 1e3:8.2f} ms, x{theirs / ours:5.2f}{verdict}; {same}")
    return apart <= ALLOWED


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETWORKS, help="one network")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each contender and network")
    parser.add_argument("--blocks", type=int, default=5)
    args = parser.parse_args()
    print_heading()
    good = True
    for threads in args.threads:
        with contextlib.ExitStack() as stack:
            workers = {name: Worker(__file__, name, threads, timeout=300) for name in CONTENDERS}
            for one in workers.values():
                stack.callback(one.close)
            for network in [args.only] if args.only else NETWORKS:
                answers, apart = compare(workers, network, args.seconds, args.blocks)
                good = show(network, threads, answers, apart) and good
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
