# examples/denoise.py -- a convolutional autoencoder learns to take the noise out of photographs
"""Learns from photographs that come inside scikit-image and cleans one that it never saw.

python examples/denoise.py
python examples/denoise.py --steps 1200 --sigma 40 --out denoised.png
"""

import math
import time
from functools import partial

import numpy as np
from shared import TITLE, options, positive, profiled, pyplot, report
from tqdm import tqdm

import nhwc as mx

LEARN_FROM = ["astronaut", "coffee", "rocket", "stereo_motorcycle"]
NEVER_SEEN = "chelsea"  # a cat


def photograph(name):
    """One photograph (H, W, 3) in 0 .. 1, from a file inside the skimage package; sides cut to an even number."""
    from skimage import data

    image = getattr(data, name)()
    image = image[0] if isinstance(image, tuple) else image
    height, width = (side - side % 2 for side in image.shape[:2])
    return (image[:height, :width] / 255).astype(np.float32)


def init_params(width):
    """Weights (C_out, kh, kw, C_in) by He's rule. `up` undoes the stride of `down`."""
    shapes = {
        "first": (width, 3, 3, 3),
        "down": (2 * width, 4, 4, width),
        "deep1": (2 * width, 3, 3, 2 * width),
        "deep2": (2 * width, 3, 3, 2 * width),
        "up": (width, 4, 4, 2 * width),
        "last": (3, 3, 3, width),
    }
    params = {}
    for name, shape in shapes.items():
        scale = math.sqrt(2 / math.prod(shape[1:])) * (0.1 if name == "last" else 1)
        params[name] = {"w": mx.random.normal(shape) * scale, "b": mx.zeros((shape[0],))}
    return params


def network(params, x):
    """The cleaned images (N, H, W, 3): what the last layer gives is the noise, which is subtracted."""

    def conv(x, name, activation="relu", **how):
        return mx.conv2d(x, params[name]["w"], bias=params[name]["b"], activation=activation, **how)

    fine = conv(x, "first", padding=1)
    coarse = conv(fine, "down", stride=2, padding=1)
    coarse = conv(coarse, "deep1", padding=1)
    coarse = conv(coarse, "deep2", padding=1)
    up = mx.conv_transpose2d(coarse, params["up"]["w"], stride=2, padding=1, bias=params["up"]["b"], activation="relu")
    return x - conv(fine + up, "last", activation=None, padding=1)


def loss_fn(params, noisy, clean):
    return mx.mean(mx.square(network(params, noisy) - clean))


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


def patches(photographs, count, size, rng):
    """`count` random squares (count, size, size, 3), half of them mirrored."""
    out = np.empty((count, size, size, 3), np.float32)
    for i in range(count):
        image = photographs[rng.integers(len(photographs))]
        top, left = (rng.integers(side - size + 1) for side in image.shape[:2])
        square = image[top : top + size, left : left + size]
        out[i] = square[:, ::-1] if rng.random() < 0.5 else square
    return out


def train(params, photographs, args):
    """Losses of every step; the parameters are changed in place."""
    moments = {n: {k: [mx.zeros_like(a), mx.zeros_like(a)] for k, a in layer.items()} for n, layer in params.items()}
    optimizer = {"t": mx.array(0.0), "moments": moments}
    state = [params, optimizer, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(clean, rate):
        noisy = clean + mx.random.normal(clean.shape) * (args.sigma / 255)
        loss, grads = mx.value_and_grad(loss_fn)(params, noisy, clean)
        adam(params, grads, optimizer, rate)
        return loss

    rng = np.random.default_rng(args.seed)
    losses = []
    bar = tqdm(range(args.steps), desc="training", unit="step")
    for i in bar:
        rate = 0.5 * args.rate * (1 + math.cos(math.pi * i / args.steps))
        with profiled(args.profile, i, args.steps):
            loss = step(mx.array(patches(photographs, args.batch, args.patch, rng)), mx.array(rate))
            mx.eval(loss, state)
        losses.append(loss.item())
        if i % 20 == 19:
            bar.set_postfix(psnr=f"{-10 * math.log10(np.mean(losses[-20:])):.1f} dB")
    return losses


def psnr(image, truth):
    """Peak signal to noise ratio in decibels; higher is better."""
    return -10 * math.log10(np.mean((image.astype(np.float64) - truth) ** 2))


def draw(path, panels):
    """The whole photograph above and a cut-out below, once per (title, image)."""
    plt = pyplot()
    from matplotlib.patches import Rectangle

    top, left, size = 60, 130, 96  # the cut-out: an eye of the cat
    height, width = panels[0][1].shape[:2]
    figure, axes = plt.subplots(
        2, len(panels), figsize=(13, 7.9), height_ratios=[height / width, 1], layout="constrained", facecolor="white"
    )
    for (title, image), above, below in zip(panels, *axes, strict=True):
        above.imshow(image)
        above.add_patch(Rectangle((left, top), size, size, fill=False, edgecolor="white", linewidth=1.6))
        above.set_title(title, loc="left", pad=8, **TITLE)
        below.imshow(image[top : top + size, left : left + size], interpolation="nearest")
        above.set_axis_off()
        below.set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = options(__doc__, "denoised.png")
    parser.add_argument("--steps", type=positive, default=600, help="training steps")
    parser.add_argument("--batch", type=positive, default=16, help="patches a step")
    parser.add_argument("--patch", type=positive, default=48, help="side of a patch in pixels, even")
    parser.add_argument("--width", type=positive, default=24, help="channels of the first layer")
    parser.add_argument("--sigma", type=float, default=25, help="standard deviation of the noise, of 255")
    parser.add_argument("--rate", type=float, default=4e-3, help="learning rate at the start")
    args = parser.parse_args()
    if args.patch % 2 or args.patch < 4:
        parser.error("--patch must be even and at least 4")

    mx.random.seed(args.seed)
    params = init_params(args.width)
    count = sum(array.size for layer in params.values() for array in layer.values())
    print(f"learning from {', '.join(LEARN_FROM)}; {count} parameters")
    start = time.perf_counter()
    losses = train(params, [photograph(name) for name in LEARN_FROM], args)
    seconds = time.perf_counter() - start

    clean = photograph(NEVER_SEEN)
    noise = np.random.default_rng(args.seed + 1).normal(size=clean.shape) * args.sigma / 255
    noisy = np.clip(clean + noise, 0, 1).astype(np.float32)
    restored = np.clip(np.array(network(params, mx.array(noisy[None]))[0]), 0, 1)
    before, after = psnr(noisy, clean), psnr(restored, clean)
    draw(args.out, [("Original", clean), (f"Noisy, {before:.1f} dB", noisy), (f"Restored, {after:.1f} dB", restored)])
    report(losses, seconds, args.out)
    print(f"{NEVER_SEEN}, never seen: {before:.2f} dB noisy, {after:.2f} dB restored, gain {after - before:.2f} dB")


if __name__ == "__main__":
    main()
