# examples/conv_vae.py -- a convolutional variational autoencoder learns to write digits
"""Learns a few numbers for each of scikit-learn's scanned digits, and draws digits that nobody wrote from random ones.

pip install "nhwc[examples]"
python examples/conv_vae.py
python examples/conv_vae.py --epochs 120 --latent 12 --seed 7 --out vae.png
"""

import time
from functools import partial

import numpy as np
from resnet20_digits import enlarge
from shared import TITLE, bare, options, positive, profiled, pyplot, report
from tqdm import tqdm
from train_digits import load_digits

import nhwc as mx
import nhwc.nn as nn
import nhwc.optimizers as optim
from nhwc.utils import tree_flatten

ENLARGED = 16  # pixels of the images for one that was scanned


class VAE(nn.Module):
    """Images (N, 32, 32, 1) to a normal distribution of `latent` numbers, and such numbers back to images."""

    def __init__(self, latent, width=16):
        super().__init__()
        self.down = [
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)  # 32 -> 16 -> 8 -> 4
            for inputs, outputs in [(1, width), (width, 2 * width), (2 * width, 4 * width)]
        ]
        self.to_latent = nn.Linear(4 * 4 * 4 * width, 2 * latent)
        self.from_latent = nn.Linear(latent, 4 * 4 * 4 * width)
        self.up = [
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)  # 4 -> 8 -> 16 -> 32
            for inputs, outputs in [(4 * width, 2 * width), (2 * width, width), (width, width)]
        ]
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def encode(self, x):
        """Mean and logarithm of the variance, each (N, latent)."""
        for conv in self.down:
            x = nn.silu(conv(x))
        return mx.split(self.to_latent(x.reshape(x.shape[0], -1)), 2, axis=-1)

    def decode(self, z):
        """Ink in 0 .. 1, (N, 32, 32, 1)."""
        x = nn.silu(self.from_latent(z)).reshape(z.shape[0], 4, 4, -1)
        for conv in self.up:
            x = nn.silu(conv(x))
        return mx.sigmoid(self.last(x))


def terms(model, x, sigma=0.12):
    """Squared error of the ink in units of its noise, and nats of the code, of an image; scanned pixels count once.

    Their sum is the negative bound of Kingma and Welling (2013), but for a constant.
    """
    mean, log_variance = model.encode(x)
    z = mean + mx.exp(0.5 * log_variance) * mx.random.normal(mean.shape)
    error = mx.sum(mx.square(model.decode(z) - x)) / (2 * sigma**2 * ENLARGED * x.shape[0])
    code = 0.5 * mx.sum(mx.exp(log_variance) + mx.square(mean) - 1 - log_variance) / x.shape[0]
    return error, code


def train(model, images, args):
    """Losses of every step."""
    batch = min(args.batch, len(images))
    per_epoch = len(images) // batch
    steps = args.epochs * per_epoch
    optimizer = optim.Adam(optim.cosine_decay(args.rate, steps))
    loss_and_grad = nn.value_and_grad(model, lambda x: sum(terms(model, x)))
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        loss, gradients = loss_and_grad(x)
        optimizer.update(model, gradients)
        return loss

    images = mx.array(images)
    losses = []
    with tqdm(total=steps, desc="training", unit="step") as bar:
        for _ in range(args.epochs):
            order = mx.random.permutation(len(images))
            for i in range(per_epoch):
                with profiled(args.profile, len(losses), steps):
                    loss = step(images[order[i * batch : (i + 1) * batch]])
                    mx.eval(loss, state)
                losses.append(loss.item())
                bar.update()
            bar.set_postfix(nats=f"{np.mean(losses[-per_epoch:]):.2f}")
    return losses


def reconstruct(model, images):
    """Decoded from the means."""
    return np.array(model.decode(model.encode(mx.array(images))[0]))


def sample(model, latent, count):
    return np.array(model.decode(mx.random.normal((count, latent))))


def walk(model, images, columns):
    """From each image to the next, through the numbers between theirs; (len(images) - 1, columns, 32, 32, 1)."""
    mean = model.encode(mx.array(images))[0]
    t = mx.linspace(0, 1, columns)[None, :, None]
    z = mean[:-1, None] * (1 - t) + mean[1:, None] * t
    return np.array(model.decode(z.reshape(-1, z.shape[-1]))).reshape(len(images) - 1, columns, 32, 32, 1)


def tiled(images, columns, gap=4):
    """One picture of many (N, H, W, 1), `columns` in a row."""
    rows = -(-len(images) // columns)
    height, width = images.shape[1] + gap, images.shape[2] + gap
    sheet = np.zeros((rows * height - gap, columns * width - gap), np.float32)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image[..., 0]
    return sheet


def draw(path, originals, reconstructions, samples, paths):
    """Held-out digits above their reconstructions, walks between digits, and samples."""
    plt = pyplot()
    pairs = [np.concatenate(pair) for pair in zip(np.split(originals, 3), np.split(reconstructions, 3), strict=True)]
    figure, axes = plt.subplot_mosaic(
        [["pairs", "samples"], ["walk", "samples"]], figsize=(13, 6.9), height_ratios=[6, 5], layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    for name, title, images, columns in [
        ("pairs", "Held-out digits, and below each what came back", np.concatenate(pairs), 12),
        ("walk", "From one digit to another", paths.reshape(-1, 32, 32, 1), 12),
        ("samples", "Digits that nobody wrote", samples, 12),
    ]:
        axis = axes[name]
        axis.imshow(tiled(images, columns), cmap="gray_r", vmin=0, vmax=1)
        axis.set_title(title, loc="left", pad=8, **TITLE)
        bare(axis)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = options(__doc__, "vae.png")
    parser.add_argument("--epochs", type=positive, default=60, help="passes over the training images")
    parser.add_argument("--batch", type=positive, default=64, help="images a step")
    parser.add_argument("--latent", type=positive, default=10, help="numbers that describe a digit")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate at the start")
    args = parser.parse_args()

    mx.random.seed(args.seed)
    (images, _), (held_out, labels) = load_digits()
    images, held_out = enlarge(images), enlarge(held_out)
    model = VAE(args.latent)
    count = sum(array.size for _, array in tree_flatten(model.trainable_parameters()))
    print(f"{len(images)} training images, {len(held_out)} held out, {count} parameters")

    start = time.perf_counter()
    losses = train(model, images, args)
    seconds = time.perf_counter() - start
    ink, divergence = (term.item() for term in terms(model, mx.array(held_out)))
    ends = held_out[[np.flatnonzero(labels == digit)[0] for digit in (0, 6, 4, 9, 7, 2)]]
    draw(
        args.out,
        held_out[:36],
        reconstruct(model, held_out[:36]),
        sample(model, args.latent, 12 * 12),
        walk(model, ends, 12),
    )
    report(losses, seconds, args.out)
    print(f"held out: {ink + divergence:.2f} nats an image, {ink:.2f} of the ink and {divergence:.2f} of the code")


if __name__ == "__main__":
    main()
