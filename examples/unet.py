# examples/unet.py -- a U-Net learns to find cell nuclei in a micrograph
"""Learns from the upper part of a micrograph whose nuclei people outlined, and finds those in the lower part.

pip install "nhwc[examples]" && pip install --no-deps stardist
python examples/unet.py
python examples/unet.py --steps 800 --width 24 --seed 7 --out unet.png

The micrograph and its outlines are two files inside the stardist package, which is not imported. The network says of
every pixel whether it belongs to a nucleus and how deep inside it lies, which keeps nuclei apart that touch.
"""

import time
from functools import partial

import numpy as np
from shared import TITLE, bare, draw_losses, from_package, options, positive, profiled, pyplot, report
from tqdm import tqdm

import nhwc as mx
import nhwc.nn as nn
import nhwc.optimizers as optim
from nhwc.utils import tree_flatten

LEARN_FROM = 304  # rows of the 512; the network never sees those below


def load_nuclei():
    """A micrograph (512, 512) in about 0 .. 1, and which nucleus each pixel belongs to, 0 for none."""
    from skimage import io

    folder = from_package("stardist", "data/images")
    image = io.imread(folder / "img2d.tif").astype(np.float32)
    low, high = np.percentile(image, (1, 99.8))
    return (image - low) / (high - low), io.imread(folder / "mask2d.tif")


def targets(nuclei):
    """For each pixel of (H, W): whether it is of a nucleus, and how deep inside, 1 in the middle; (H, W, 2)."""
    from scipy.ndimage import distance_transform_edt
    from skimage.measure import regionprops

    depth = np.zeros(nuclei.shape, np.float32)
    for region in regionprops(nuclei):
        distance = distance_transform_edt(np.pad(region.image, 1))[1:-1, 1:-1]
        depth[region.slice] += distance / distance.max()
    return np.stack([nuclei > 0, depth], axis=-1).astype(np.float32)


class Twice(nn.Module):
    """Two 3x3 convolutions, each normalized and rectified."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm(outputs)

    def __call__(self, x):
        x = nn.relu(self.norm1(self.conv1(x)))
        return nn.relu(self.norm2(self.conv2(x)))


class UNet(nn.Module):
    """Images (N, H, W, 1), sides multiples of 8, to logits (N, H, W, 2) (Ronneberger et al., 2015)."""

    def __init__(self, width):
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.down = [Twice(inputs, outputs) for inputs, outputs in zip([1, *widths], widths, strict=False)]
        self.pool = nn.MaxPool2d(2)
        self.up = [nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in widths[:-1]]
        self.merge = [Twice(2 * w, w) for w in widths[:-1]]
        self.last = nn.Conv2d(width, 2, 1)

    def __call__(self, x):
        passed = []
        for stage in self.down:
            x = stage(self.pool(x) if passed else x)
            passed.append(x)
        for up, merge, fine in zip(self.up[::-1], self.merge[::-1], passed[-2::-1], strict=True):
            x = merge(mx.concatenate([fine, up(x)], axis=-1))
        return self.last(x)


def patches(image, target, count, size, rng):
    """Random squares of both, turned, mirrored, brighter or darker: (count, size, size, 1), (count, size, size, 2)."""
    x = np.empty((count, size, size, 1), np.float32)
    y = np.empty((count, size, size, 2), np.float32)
    for i in range(count):
        top, left = (rng.integers(side - size + 1) for side in image.shape)
        cut = np.s_[top : top + size, left : left + size]
        turns, mirror = rng.integers(4), 2 * rng.integers(2) - 1
        x[i, ..., 0] = np.rot90(image[cut], turns)[:, ::mirror] * rng.uniform(0.6, 1.5)
        y[i] = np.rot90(target[cut], turns)[:, ::mirror]
    return mx.array(x), mx.array(y)


def train(model, image, target, args):
    """Losses of every step."""
    optimizer = optim.AdamW(optim.cosine_decay(args.rate, args.steps), weight_decay=1e-3)
    loss_and_grad = nn.value_and_grad(model, lambda x, y: nn.losses.binary_cross_entropy(model(x), y))
    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x, y):
        loss, gradients = loss_and_grad(x, y)
        optimizer.update(model, gradients)
        return loss

    rng = np.random.default_rng(args.seed)
    losses = []
    bar = tqdm(range(args.steps), desc="training", unit="step")
    for i in bar:
        with profiled(args.profile, i, args.steps):
            loss = step(*patches(image, target, args.batch, args.patch, rng))
            mx.eval(loss, state)
        losses.append(loss.item())
        if i % 20 == 19:
            bar.set_postfix(loss=f"{np.mean(losses[-20:]):.4f}")
    return losses


def predict(model, image):
    """For each pixel of (H, W), sides multiples of 8, what `targets` gives for an outlined image."""
    model.eval()
    found = np.array(mx.sigmoid(model(mx.array(image[None, ..., None]))[0]))
    model.train()
    return found


def separate(found):
    """Nuclei (H, W), numbered from 1: from the deepest pixels, each grows until it meets the background or another.

    A nucleus is some 20 pixels wide, so middles are at least 7 apart.
    """
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian
    from skimage.segmentation import watershed

    depth = gaussian(found[..., 1], 3)
    middles = peak_local_max(depth, min_distance=7, threshold_abs=0.3, exclude_border=False)
    seeds = np.zeros(depth.shape, np.int32)
    seeds[tuple(middles.T)] = np.arange(1, len(middles) + 1)
    return watershed(-depth, seeds, mask=found[..., 0] > 0.5)


def threshold(image):
    """Nuclei (H, W) without a network: what is brighter than Otsu's threshold and connected."""
    from skimage.filters import gaussian, threshold_otsu
    from skimage.measure import label

    return label(gaussian(image) > threshold_otsu(image))


def score(found, truth):
    """Dice coefficient of all nuclei, and how many of those outlined were found: at least half of their union."""
    dice = 2 * np.sum((found > 0) & (truth > 0)) / max(1, np.sum(found > 0) + np.sum(truth > 0))
    hits = 0
    for nucleus in np.unique(truth[truth > 0]):
        inside = truth == nucleus
        numbers, counts = np.unique(found[inside], return_counts=True)
        best = numbers[np.argmax(counts * (numbers > 0))]
        hits += best > 0 and 2 * np.sum(inside & (found == best)) >= np.sum(inside | (found == best))
    return dice, int(hits)


def draw(path, image, truth, found, depth, losses, dice):
    """What was held out, as it is and outlined by hand; how deep pixels lie, and which nuclei the network finds."""
    plt = pyplot()
    panels = [
        ("Held out", image, None, None),
        (f"Outlined by hand: {len(np.unique(truth)) - 1}", image, truth, "#f5b227"),
        ("How deep inside a nucleus", depth**2, None, None),
        (f"Found: {found.max()}, Dice {dice:.3f}", image, found, "#44d0be"),
    ]
    figure = plt.figure(figsize=(13, 8), layout="constrained", facecolor="white")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 1])
    for axis, (title, panel, nuclei, color) in zip(above.subplots(2, 2).ravel(), panels, strict=True):
        axis.imshow(np.sqrt(np.clip(panel, 0, 1)), cmap="gray", vmin=0, vmax=1)
        for nucleus in [] if nuclei is None else np.unique(nuclei[nuclei > 0]):
            axis.contour(nuclei == nucleus, [0.5], colors=color, linewidths=1)
        axis.set_title(title, loc="left", pad=8, **TITLE)
        bare(axis)
    axis = below.subplots()
    draw_losses(axis, losses, "cross entropy")
    axis.set_title("Training loss", loc="left", **TITLE)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = options(__doc__, "unet.png")
    parser.add_argument("--steps", type=positive, default=300, help="training steps")
    parser.add_argument("--batch", type=positive, default=8, help="patches a step")
    parser.add_argument("--patch", type=positive, default=96, help="side of a patch in pixels, a multiple of 8")
    parser.add_argument("--width", type=positive, default=16, help="channels of the first stage")
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate at the start")
    args = parser.parse_args()
    if args.patch % 8 or args.patch > LEARN_FROM:
        parser.error(f"--patch must be a multiple of 8, at most {LEARN_FROM}")

    mx.random.seed(args.seed)
    image, nuclei = load_nuclei()
    seen, held_out = np.s_[:LEARN_FROM], np.s_[LEARN_FROM:]
    model = UNet(args.width)
    count = sum(array.size for _, array in tree_flatten(model.trainable_parameters()))
    print(f"learning from {len(np.unique(nuclei[seen])) - 1} nuclei; {count} parameters")

    start = time.perf_counter()
    losses = train(model, image[seen], targets(nuclei)[seen], args)
    seconds = time.perf_counter() - start
    predicted, truth = predict(model, image[held_out]), nuclei[held_out]
    found = separate(predicted)
    dice, hits = score(found, truth)
    draw(args.out, image[held_out], truth, found, predicted[..., 1], losses, dice)
    report(losses, seconds, args.out)
    by_threshold = score(threshold(image[held_out]), truth)
    print(f"Otsu's threshold: Dice {by_threshold[0]:.3f}; {by_threshold[1]} nuclei found")
    print(f"held out: Dice {dice:.3f}; {hits} of {len(np.unique(truth)) - 1} nuclei found, {found.max()} drawn")


if __name__ == "__main__":
    main()
