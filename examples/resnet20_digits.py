# examples/resnet20_digits.py -- the ResNet-20 of CIFAR-10 learns to read handwritten digits at 32x32
"""Trains the smallest residual network of He et al. (2015) on scikit-learn's scanned digits, enlarged to 32x32 pixels.

pip install "nhwc[examples]"
python examples/resnet20_digits.py
python examples/resnet20_digits.py --epochs 30 --batch 32 --seed 7 --out resnet20.png
"""

import time
from functools import partial

import numpy as np
from shared import options, positive, profiled, report
from tqdm import tqdm
from train_digits import draw, load_digits

import nhwc as mx
import nhwc.nn as nn
import nhwc.optimizers as optim
from nhwc.utils import tree_flatten


class Block(nn.Module):
    """Two convolutions beside a shortcut, which skips pixels and appends zeros where the shape changes (option A)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm(outputs)
        self.stride = stride

    def __call__(self, x):
        y = nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        x = x[:, :: self.stride, :: self.stride]
        x = mx.pad(x, [(0, 0)] * 3 + [(0, y.shape[-1] - x.shape[-1])])
        return nn.relu(x + y)


class ResNet20(nn.Module):
    """Images (N, 32, 32, 1) to logits (N, 10): a first convolution, three stages of three blocks, a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm(16)
        widths = [(16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2)]
        self.blocks = [Block(*width) for width in [*widths, (64, 64, 1), (64, 64, 1)]]
        self.head = nn.Linear(64, 10)

    def __call__(self, x):
        x = nn.relu(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(mx.mean(x, axis=(1, 2)))


def enlarge(images):
    """(N, 8, 8, 1) to (N, 32, 32, 1), linearly interpolated."""
    return np.array(nn.Upsample(4, mode="linear")(mx.array(images)))


def shift(images, rng, reach=3):
    """Every image moved by up to `reach` pixels each way; what comes in is paper."""
    n, height, width, _ = images.shape
    padded = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    top, left = rng.integers(0, 2 * reach + 1, (2, n, 1, 1))
    rows, columns = top + np.arange(height)[:, None], left + np.arange(width)
    return padded[np.arange(n)[:, None, None], rows, columns]


def classify(model, images, batch=128):
    """The class (N,) of every image."""
    model.eval()
    said = [mx.argmax(model(mx.array(images[i : i + batch])), axis=-1) for i in range(0, len(images), batch)]
    model.train()
    return np.concatenate([np.array(part) for part in said])


def train(model, images, labels, test, args):
    """Losses of every step, and the accuracy on the held-out (images, labels) after every epoch."""
    batch = min(args.batch, len(labels))
    per_epoch = len(labels) // batch
    steps = args.epochs * per_epoch
    optimizer = optim.SGD(optim.cosine_decay(args.rate, steps), momentum=0.9, weight_decay=1e-4)
    loss_and_grad = nn.value_and_grad(model, lambda x, y: nn.losses.cross_entropy(model(x), y, reduction="mean"))
    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x, y):
        loss, gradients = loss_and_grad(x, y)
        optimizer.update(model, gradients)
        return loss

    rng = np.random.default_rng(args.seed)
    losses, accuracies = [], []
    with tqdm(total=steps, desc="training", unit="step") as bar:
        for _ in range(args.epochs):
            order = rng.permutation(len(labels))
            for i in range(per_epoch):
                pick = order[i * batch : (i + 1) * batch]
                with profiled(args.profile, len(losses), steps):
                    loss = step(mx.array(shift(images[pick], rng)), mx.array(labels[pick]))
                    mx.eval(loss, state)
                losses.append(loss.item())
                bar.update()
            accuracies.append(np.mean(classify(model, test[0]) == test[1]))
            bar.set_postfix(loss=f"{np.mean(losses[-per_epoch:]):.4f}", held_out=f"{100 * accuracies[-1]:.1f} %")
    return losses, accuracies


def main():
    parser = options(__doc__, "resnet20.png")
    parser.add_argument("--epochs", type=positive, default=15, help="passes over the training images")
    parser.add_argument("--batch", type=positive, default=64, help="images a step")
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate at the start")
    args = parser.parse_args()

    mx.random.seed(args.seed)
    (train_x, train_y), (test_x, test_y) = load_digits()
    train_x, test_x = enlarge(train_x), enlarge(test_x)
    model = ResNet20()
    count = sum(array.size for _, array in tree_flatten(model.trainable_parameters()))
    print(f"{len(train_y)} training images, {len(test_y)} held out, {count} parameters")

    start = time.perf_counter()
    losses, accuracies = train(model, train_x, train_y, (test_x, test_y), args)
    seconds = time.perf_counter() - start
    said = classify(model, test_x)
    draw(args.out, losses, test_x, test_y, said, accuracies)
    report(losses, seconds, args.out)
    print(f"test accuracy: {100 * np.mean(said == test_y):.1f} %")


if __name__ == "__main__":
    main()
