# bench/bench_torch.py -- torch models as they are, and with their convolutions computed by nhwc
"""python bench/bench_torch.py [--threads 1] [--seconds 1]

A residual network and a small U-Net in channels_last, in eager torch: forward without gradients, and a training step.
Only the convolutions change; normalisation, activations and the optimizer are torch's in both. The last line is what a
call of nhwc.torch.conv2d costs beside its arithmetic."""

import argparse
import copy

import torch
from common import median_seconds, print_heading
from torch import nn

import nhwc as mx
import nhwc.torch


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(c_out), nn.BatchNorm2d(c_out)])
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride) if c_in != c_out else nn.Identity()

    def forward(self, x):
        y = self.norms[0](self.first(x)).relu_()
        return (self.norms[1](self.second(y)) + self.shortcut(x)).relu_()


def residual():
    """ResNet-18 on images of 64x64, without its classifier."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for c_in, c_out, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(c_in, c_out, stride), Block(c_out, c_out, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), torch.randn(8, 3, 64, 64)


class UNet(nn.Module):
    def __init__(self, c=32):
        super().__init__()
        self.down = nn.ModuleList(
            [nn.Conv2d(3, c, 3, 1, 1), nn.Conv2d(c, 2 * c, 3, 2, 1), nn.Conv2d(2 * c, 4 * c, 3, 2, 1)]
        )
        self.up = nn.ModuleList([nn.ConvTranspose2d(4 * c, 2 * c, 2, 2), nn.ConvTranspose2d(4 * c, c, 2, 2)])
        self.head = nn.Conv2d(2 * c, 3, 3, 1, 1)

    def forward(self, x):
        came = []
        for layer in self.down:
            x = layer(x).relu()
            came.append(x)
        for layer, skipped in zip(self.up, came[-2::-1], strict=True):
            x = torch.cat([layer(x).relu(), skipped], 1)
        return self.head(x)


def unet():
    return UNet(), torch.randn(2, 3, 96, 96)


def forward(model, x):
    model.eval()

    def call():
        with torch.inference_mode():
            return model(x)

    return call


def training_step(model, x):
    model.train()
    descent = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)

    def call():
        descent.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        descent.step()
        return loss.detach()

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1, help="of every measurement")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    mx.set_num_threads(args.threads)
    torch.manual_seed(0)
    print_heading()
    for network in (residual, unet):
        plain, x = network()
        plain, x = plain.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        for what in (forward, training_step):
            theirs, ours = what(copy.deepcopy(plain), x), what(nhwc.torch.patch(copy.deepcopy(plain)), x)
            want = theirs()
            worst = ((ours() - want).abs().max() / want.abs().max()).item()
            a, b = (median_seconds(call, args.seconds) * 1e3 for call in (theirs, ours))
            name = f"{network.__name__}, {what.__name__.replace('_', ' ')}"
            print(f"{name:26} torch {a:8.2f} ms   patched {b:8.2f} ms   x{a / b:5.2f}   results within {worst:.0e}")
    x, w = (torch.ones(s).contiguous(memory_format=torch.channels_last) for s in ((1, 8, 4, 4), (8, 8, 3, 3)))
    with torch.no_grad():
        a = median_seconds(lambda: torch.conv2d(x, w, padding=1), args.seconds) * 1e6
        b = median_seconds(lambda: nhwc.torch.conv2d(x, w, padding=1), args.seconds) * 1e6
    print(f"{'3x3 of (1, 8, 4, 4)':26} torch {a:8.2f} us   nhwc    {b:8.2f} us")


if __name__ == "__main__":
    main()
