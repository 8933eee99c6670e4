# examples/train_digits.py -- a small convolutional network learns to read handwritten digits
"""Trains on scikit-learn's 1797 scanned digits of 8 by 8 pixels, 357 of which are held out, and draws what it learned.

python examples/train_digits.py
python examples/train_digits.py --epochs 40 --batch 32 --seed 7 --out digits.png
python examples/train_digits.py --save digits  # digits.safetensors and digits.npz, for examples/cpp/digits.cpp
"""

import math
import time
from functools import partial

import numpy as np
from shared import INK, LINE, RED, TEAL, TITLE, draw_losses, options, positive, profiled, pyplot, quiet, report
from tqdm import tqdm

import nhwc as mx

HELD_OUT = 357
LAYERS = [  # weight (C_out, kh, kw, C_in), stride
    ("conv1", (16, 3, 3, 1), 1),  # 8x8x1  -> 8x8x16
    ("conv2", (32, 3, 3, 16), 2),  # 8x8x16 -> 4x4x32
    ("conv3", (64, 3, 3, 32), 2),  # 4x4x32 -> 2x2x64
]


def load_digits():
    """Images (N, 8, 8, 1) in 0 .. 1 and labels (N,); the test is always the same: the last 357 of a fixed shuffle."""
    from sklearn.datasets import load_digits as load

    data = load()
    order = np.random.default_rng(0).permutation(len(data.target))
    images = (data.images[order, :, :, None] / 16).astype(np.float32)
    labels = data.target[order].astype(np.int32)
    return (images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:])


def init_params():
    """Weights by He's rule; every convolution has a bias, and one linear layer reads the last 2x2x64 values."""
    params = {}
    for name, shape, _ in LAYERS:
        fan_in = math.prod(shape[1:])
        params[name] = {"w": mx.random.normal(shape) * math.sqrt(2 / fan_in), "b": mx.zeros((shape[0],))}
    params["head"] = {"w": mx.random.normal((256, 10)) * math.sqrt(1 / 256), "b": mx.zeros((10,))}
    return params


def network(params, x):
    """Logits (N, 10) of images (N, 8, 8, 1)."""
    for name, _, stride in LAYERS:
        layer = params[name]
        x = mx.conv2d(x, layer["w"], stride=stride, padding=1, bias=layer["b"], activation="relu")
    return x.reshape(x.shape[0], -1) @ params["head"]["w"] + params["head"]["b"]


def loss_fn(params, x, y):
    """Mean cross entropy."""
    logits = network(params, x)
    chosen = mx.take_along_axis(logits, y[:, None], axis=-1).squeeze(-1)
    return mx.mean(mx.logsumexp(logits, axis=-1) - chosen)


def adam(params, grads, state, rate, beta1=0.9, beta2=0.999, eps=1e-8):
    """One step of Adam (Kingma and Ba, 2014), in place in the dictionaries."""
    state["t"] = state["t"] + 1
    correction = mx.sqrt(1 - beta2 ** state["t"]) / (1 - beta1 ** state["t"])
    for name, layer in params.items():
        for key, grad in grads[name].items():
            m, v = state["moments"][name][key]
            m = beta1 * m + (1 - beta1) * grad
            v = beta2 * v + (1 - beta2) * grad * grad
            layer[key] = layer[key] - rate * correction * m / (mx.sqrt(v) + eps)
            state["moments"][name][key] = [m, v]


def make_step(params, optimizer):
    """A compiled step (images, labels, rate) -> loss that updates the parameters and the optimizer's state."""
    state = [params, optimizer]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x, y, rate):
        loss, grads = mx.value_and_grad(loss_fn)(params, x, y)
        adam(params, grads, optimizer, rate)
        return loss

    return step, state


def train(params, images, labels, epochs, batch, rate=3e-3, profile=None):
    """Losses of every step."""
    moments = {n: {k: [mx.zeros_like(a), mx.zeros_like(a)] for k, a in layer.items()} for n, layer in params.items()}
    step, state = make_step(params, {"t": mx.array(0.0), "moments": moments})
    batch = min(batch, len(labels))
    per_epoch = len(labels) // batch
    losses = []
    with tqdm(total=epochs * per_epoch, desc="training", unit="step") as bar:
        for _ in range(epochs):
            order = mx.random.permutation(len(labels))
            for i in range(per_epoch):
                pick = order[i * batch : (i + 1) * batch]
                progress = len(losses) / bar.total
                now = mx.array(rate * 0.5 * (1 + math.cos(math.pi * progress)))
                with profiled(profile, len(losses), bar.total):
                    loss = step(images[pick], labels[pick], now)
                    mx.eval(loss, state)
                losses.append(loss.item())
                bar.update()
            bar.set_postfix(loss=f"{np.mean(losses[-per_epoch:]):.4f}")
    return losses


def draw(path, losses, images, truth, said, accuracies=()):
    """The learning curve beside a grid of held-out digits: every mistake first, in red, then as many others as fit."""
    plt = pyplot()
    rows, cols = 8, 10
    order = np.argsort(said == truth, kind="stable")[: rows * cols]
    figure = plt.figure(figsize=(13, 6.4), facecolor="white")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15])

    *above, axis = np.ravel(left.subplots(2 if accuracies else 1, 1, sharex=True))
    left.subplots_adjust(left=0.13, right=0.95, top=0.86, bottom=0.12, hspace=0.12)
    left.text(0.13, 0.935, "Training loss, and accuracy on held-out digits" if above else "Training loss", **TITLE)
    draw_losses(axis, losses, "cross entropy")
    for axis in above:
        steps = np.arange(1, len(accuracies) + 1) * (len(losses) // len(accuracies))
        axis.plot(steps, 100 * np.array(accuracies), color=TEAL, linewidth=2, marker="o", markersize=4)
        axis.set_ylabel("held out, %", color=INK)
        axis.set_ylim(max(0, min(100 * min(accuracies) - 2, 90)), 101)
        quiet(axis)

    right.subplots_adjust(left=0.02, right=0.98, top=0.86, bottom=0.03, wspace=0.12, hspace=0.45)
    right.text(0.02, 0.935, "Held-out digits and what the network said", **TITLE)
    grid = right.subplots(rows, cols).ravel()
    for axis, i in zip(grid, order, strict=False):
        right_answer = said[i] == truth[i]
        axis.imshow(images[i, :, :, 0], cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        label = f"{said[i]}" if right_answer else f"{said[i]} (is {truth[i]})"
        color = INK if right_answer else RED
        axis.set_title(label, color=color, fontsize=9, pad=3, weight="normal" if right_answer else "bold")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_color(LINE if right_answer else RED)
            spine.set_linewidth(0.8 if right_answer else 2)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def save(stem, params, images, labels):
    """The weights, named "conv1.w" and so on, and what was held out: all that another program needs to read digits."""
    weights = {f"{name}.{key}": array for name, layer in params.items() for key, array in layer.items()}
    mx.save_safetensors(f"{stem}.safetensors", weights)
    mx.savez(f"{stem}.npz", images=mx.array(images), labels=mx.array(labels))


def main():
    parser = options(__doc__, "digits.png")
    parser.add_argument("--epochs", type=positive, default=25, help="passes over the training images")
    parser.add_argument("--batch", type=positive, default=64, help="images a step")
    parser.add_argument("--save", metavar="STEM", help="also write STEM.safetensors (weights) and STEM.npz (the test)")
    args = parser.parse_args()

    mx.random.seed(args.seed)
    (train_x, train_y), (test_x, test_y) = load_digits()
    params = init_params()
    count = sum(array.size for layer in params.values() for array in layer.values())
    print(f"{len(train_y)} training images, {len(test_y)} held out, {count} parameters")

    start = time.perf_counter()
    losses = train(params, mx.array(train_x), mx.array(train_y), args.epochs, args.batch, profile=args.profile)
    seconds = time.perf_counter() - start
    said = np.array(mx.argmax(network(params, mx.array(test_x)), axis=-1))
    draw(args.out, losses, test_x, test_y, said)
    if args.save:
        save(args.save, params, test_x, test_y)
    report(losses, seconds, args.out)
    print(f"test accuracy: {100 * np.mean(said == test_y):.1f} %")


if __name__ == "__main__":
    main()
