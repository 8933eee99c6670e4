# bench/bench_networks.py -- whole networks, nhwc against eager torch in channels_last, and against mlx
"""python bench/bench_networks.py [--only resnet20] [--threads 1 2] [--seconds 5] [--blocks 5]

resnet20         one training step on 64 images of 32x32: batch norm with running statistics, SGD with momentum
resnet20_layers  the same of nhwc.nn and nhwc.optimizers, compiled; mlx runs the same program, torch the one above
mobilenet_v2     forward, one image of 224x224, batch norm folded into the convolutions
unet3d           forward, one volume of 48^3, three levels of 16, 32 and 64 channels

Weights and inputs are random, and the same in both (of resnet20_layers in nhwc and mlx). The results are compared too:
the outputs, or the losses of the first three steps. Processes as in compare.py; mlx only where it is installed."""

import argparse
import contextlib
import importlib.util
import pathlib
import sys
import tempfile

import numpy as np
from common import print_heading
from workers import Worker, bind_to_processors, measure, serve

# What the others' time / nhwc's should be, at least.
NETWORKS = {
    "resnet20": {"torch": 1.5},
    "resnet20_layers": {"torch": 1.3, "mlx": 50},
    "mobilenet_v2": {"torch": None},
    "unet3d": {"torch": None},
}
SAME = {"resnet20_layers": "mlx"}  # whose results are to be nhwc's; else torch's
ALLOWED = 1e-3  # relative difference of the results


def program(contender, threads):
    """{network: its maker}, and what turns a call's result to NumPy."""
    if contender == "torch":
        import torch
        from networks import with_torch as made

        torch.set_num_threads(threads)
        makers = {network: getattr(made, network.removesuffix("_layers")) for network in NETWORKS}
        return makers, made.result
    if contender == "nhwc":
        from networks import with_nhwc as made

        import nhwc as mx
        from nhwc import nn
        from nhwc import optimizers as optim

        mx.set_num_threads(threads)
        makers = {network: getattr(made, network) for network in NETWORKS if network != "resnet20_layers"}
    else:
        import mlx.core as mx
        import mlx.optimizers as optim
        from mlx import nn

        makers = {}

    def resnet20_layers():
        from networks import with_layers

        step, state = with_layers.resnet20_step(mx, nn, optim)

        def call():
            loss = step()
            mx.eval(loss, state)
            return loss

        return call

    return {**makers, "resnet20_layers": resnet20_layers}, np.array


def worker(contender, threads):
    bind_to_processors(threads)
    makers, result = program(contender, threads)

    def prepare(network, folder):
        call = makers[network]()
        calls = 3 if network.startswith("resnet20") else 1
        results = [np.array(result(call())) for _ in range(calls)]
        np.save(pathlib.Path(folder) / f"{contender}.npy", np.stack(results))
        return {"": call}, lambda _: {}

    serve(prepare)


def difference(a, b):
    """The largest difference relative to the largest value."""
    return float(np.max(np.abs(a - b)) / max(np.max(np.abs(b)), 1e-30))


def compare(workers, network, seconds, blocks):
    """(answers of measure, relative difference of the results or None)."""
    taking_part = {name: one for name, one in workers.items() if name == "nhwc" or name in NETWORKS[network]}
    same = SAME.get(network, "torch")
    with tempfile.TemporaryDirectory() as folder:
        answers = measure(taking_part, {"network": network, "folder": folder}, seconds, blocks)
        if any("failed" in answers.get(name, {}) for name in ("nhwc", same)) or same not in answers:
            return answers, None
        ours, theirs = (np.load(pathlib.Path(folder) / f"{name}.npy") for name in ("nhwc", same))
        return answers, difference(ours, theirs)


def show(network, threads, answers, apart):
    """Prints a line; False if something is wrong."""
    head = f"{network:16} {threads} thread{'s' if threads > 1 else ' '}"
    good = True
    for name, a in answers.items():
        if "failed" in a:
            print(f"{head}  {name}: {a['failed']}")
            good = False
    if "failed" in answers["nhwc"]:
        return False
    ours = answers["nhwc"]["seconds"]
    parts = [f"nhwc {ours * 1e3:8.2f} ms"]
    for name, required in NETWORKS[network].items():
        if "failed" in answers.get(name, {"failed": "not there"}):
            continue
        theirs = answers[name]["seconds"]
        verdict = f" (required {required:g}: {'met' if theirs / ours >= required else 'NOT met'})" if required else ""
        parts.append(f"{name} {theirs * 1e3:8.2f} ms, x{theirs / ours:5.2f}{verdict}")
    if apart is not None:
        wrong = "" if apart <= ALLOWED else f", more than {ALLOWED:g}: WRONG"
        parts.append(f"results differ by {apart:.1e}{wrong}")
        good &= apart <= ALLOWED
    print(f"{head}  {'; '.join(parts)}")
    return good


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
            contenders = ["nhwc", "torch"] + ["mlx"] * (importlib.util.find_spec("mlx") is not None)
            workers = {name: Worker(__file__, name, threads, timeout=300) for name in contenders}
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
