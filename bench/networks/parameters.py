# bench/networks/parameters.py -- the networks as data: their layers, weights and inputs, the same everywhere
"""Weights lie as nhwc has them, (O, *kernel, C / groups); `with_torch.py` turns them."""

import math

import numpy as np

BATCH = 64
WIDTHS = (16, 32, 64)  # of the three stages of ResNet-20, three blocks each
CLASSES = 10

# Expansion, channels, repeats, stride of the bottlenecks: table 2 of Sandler et al., MobileNetV2, 2018.
BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

VOLUME = 48  # side of the 3-D U-Net's input
LEVELS = (16, 32, 64)  # its channels


class Maker:
    """Fills a dictionary of float32 arrays from one generator."""

    def __init__(self, seed):
        self.rng, self.arrays = np.random.default_rng(seed), {}

    def conv(self, name, o, kernel, c, bias=False):
        scale = math.sqrt(2 / (math.prod(kernel) * c))
        self.arrays[f"{name}.w"] = self.rng.standard_normal((o, *kernel, c), np.float32) * np.float32(scale)
        if bias:
            self.arrays[f"{name}.b"] = self.rng.standard_normal(o, np.float32) * np.float32(0.1)

    def norm(self, name, channels):
        self.arrays[f"{name}.scale"] = np.ones(channels, np.float32)
        self.arrays[f"{name}.shift"] = np.zeros(channels, np.float32)

    def input(self, *shape):
        return self.rng.standard_normal(shape, np.float32)


def resnet20_blocks():
    """(name, c, o, stride) of the nine blocks of two convolutions; He et al., 2015, section 4.2."""
    c = WIDTHS[0]
    for stage, o in enumerate(WIDTHS):
        for i in range(3):
            yield f"stage{stage}.{i}", c, o, 2 if stage and not i else 1
            c = o


def resnet20():
    """Parameters, images (64, 32, 32, 3), labels (64,)."""
    make = Maker(20)
    make.conv("first", WIDTHS[0], (3, 3), 3)
    make.norm("first", WIDTHS[0])
    for name, c, o, _ in resnet20_blocks():
        for part, channels in (("a", c), ("b", o)):
            make.conv(f"{name}.{part}", o, (3, 3), channels)
            make.norm(f"{name}.{part}", o)
    make.arrays["head.w"] = make.input(WIDTHS[-1], CLASSES) * np.float32(0.1)
    make.arrays["head.b"] = np.zeros(CLASSES, np.float32)
    return make.arrays, make.input(BATCH, 32, 32, 3), make.rng.integers(0, CLASSES, BATCH)


def mobilenet_layers():
    """(name, kernel, c, o, stride, groups, clipped, role) of every convolution of MobileNetV2, batch norm folded into
    it. A role "in" starts a block whose result "out" is added to what came in, where both have one shape."""
    yield "stem", 3, 3, 32, 2, 1, True, ""
    c = 32
    for b, (expand, o, repeats, first_stride) in enumerate(BOTTLENECKS):
        for i in range(repeats):
            stride, wide = first_stride if i == 0 else 1, c * expand
            added = stride == 1 and c == o
            start = "in" if added else ""
            if expand > 1:
                yield f"{b}.{i}.expand", 1, c, wide, 1, 1, True, start
            yield f"{b}.{i}.depthwise", 3, wide, wide, stride, wide, True, start if expand == 1 else ""
            yield f"{b}.{i}.project", 1, wide, o, 1, 1, False, "out" if added else ""
            c = o
    yield "last", 1, c, 1280, 1, 1, True, ""


def mobilenet_v2():
    """Parameters, one image (1, 224, 224, 3)."""
    make = Maker(2)
    for name, k, c, o, _, groups, _, _ in mobilenet_layers():
        make.conv(name, o, (k, k), c // groups, bias=True)
    make.arrays["head.w"] = make.input(1280, 1000) * np.float32(0.03)
    make.arrays["head.b"] = np.zeros(1000, np.float32)
    return make.arrays, make.input(1, 224, 224, 3)


def unet3d():
    """Parameters, one volume (1, 48, 48, 48, 1)."""
    make, c = Maker(3), 1
    for level, width in enumerate(LEVELS):
        make.conv(f"down{level}.a", width, (3, 3, 3), c, bias=True)
        make.conv(f"down{level}.b", width, (3, 3, 3), width, bias=True)
        if width != LEVELS[-1]:
            make.conv(f"shrink{level}", LEVELS[level + 1], (2, 2, 2), width, bias=True)
            c = LEVELS[level + 1]
    for level, width in list(enumerate(LEVELS))[-2::-1]:
        make.conv(f"grow{level}", width, (2, 2, 2), LEVELS[level + 1], bias=True)
        make.conv(f"up{level}.a", width, (3, 3, 3), 2 * width, bias=True)
        make.conv(f"up{level}.b", width, (3, 3, 3), width, bias=True)
    make.conv("head", 3, (1, 1, 1), LEVELS[0], bias=True)
    return make.arrays, make.input(1, VOLUME, VOLUME, VOLUME, 1)
