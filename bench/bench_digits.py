# bench/bench_digits.py -- one training step of the network of examples/train_digits.py, against the same in eager torch
"""python bench/bench_digits.py [--batch 64] [--threads 1 2] [--seconds 2] [--blocks 5]"""

import argparse
import contextlib
import pathlib
import sys

from common import print_heading
from workers import Worker, bind_to_processors, measure, serve

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "examples"))

CONTENDERS = ("nhwc", "nhwc without compile", "torch")


def nhwc_step(batch, compiled):
    import train_digits

    import nhwc as mx

    params = train_digits.init_params()
    moments = {n: {k: [mx.zeros_like(a), mx.zeros_like(a)] for k, a in layer.items()} for n, layer in params.items()}
    optimizer = {"t": mx.array(0.0), "moments": moments}
    if not compiled:
        mx.disable_compile()
    step, state = train_digits.make_step(params, optimizer)
    x, y = mx.random.normal((batch, 8, 8, 1)), mx.random.randint(0, 10, (batch,))
    rate = mx.array(1e-3)
    mx.eval(x, y, rate)
    return lambda: mx.eval(step(x, y, rate), state)


def torch_step(batch):
    import torch
    import train_digits

    layers = []
    for _, (c_out, k, _, c_in), stride in train_digits.LAYERS:
        layers += [torch.nn.Conv2d(c_in, c_out, k, stride, padding=1), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(256, 10)).to(
        memory_format=torch.channels_last
    )
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.randn(batch, 1, 8, 8).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))

    def step():
        adam.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        adam.step()

    return step


def worker(contender, threads):
    bind_to_processors(threads)
    if contender == "torch":
        import torch

        torch.set_num_threads(threads)

    def prepare(batch):
        step = torch_step(batch) if contender == "torch" else nhwc_step(batch, contender == "nhwc")
        return {"": step}, lambda _: {}

    serve(prepare)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each contender")
    parser.add_argument("--blocks", type=int, default=5)
    args = parser.parse_args()
    print_heading()
    for threads in args.threads:
        with contextlib.ExitStack() as stack:
            workers = {name: Worker(__file__, name, threads) for name in CONTENDERS}
            for one in workers.values():
                stack.callback(one.close)
            answers = measure(workers, {"batch": args.batch}, args.seconds, args.blocks)
        theirs = answers["torch"].get("seconds")
        for contender, answer in answers.items():
            text = f"{answer['seconds'] * 1e6:9.1f} us" if "seconds" in answer else answer["failed"]
            compared = theirs and "seconds" in answer
            ratio = f"   torch's time / this: {theirs / answer['seconds']:.2f}" if compared else ""
            print(f"{threads} threads, batch {args.batch}: {contender:22} {text}{ratio}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
    else:
        main()
