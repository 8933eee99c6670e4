# bench/networks/with_torch.py -- the networks in eager torch, channels_last

import numpy as np
import torch
import torch.nn.functional as F
from networks import parameters

MOMENTUM, RATE, EPS, KEEP = 0.9, 0.1, 1e-5, 0.1
LIKE = {4: torch.channels_last, 5: torch.channels_last_3d}


def turned(a):
    """A channels-last array as a tensor of channels-first shape in the same order of memory."""
    t = torch.tensor(np.ascontiguousarray(np.moveaxis(a, -1, 1)))
    return t.contiguous(memory_format=LIKE[a.ndim])


def tensors(arrays):
    return {k: turned(v) if v.ndim > 2 else torch.tensor(v) for k, v in arrays.items()}


def resnet20():
    arrays, images, labels = parameters.resnet20()
    p = {k: v.requires_grad_() for k, v in tensors(arrays).items()}
    norms = [k.removesuffix(".scale") for k in p if k.endswith(".scale")]
    running = {n: (torch.zeros(len(p[f"{n}.scale"])), torch.ones(len(p[f"{n}.scale"]))) for n in norms}
    x, y = turned(images), torch.tensor(labels)
    descent = torch.optim.SGD(p.values(), lr=RATE, momentum=MOMENTUM, fused=True)

    def conv_norm(name, x, stride=1):
        x = F.conv2d(x, p[f"{name}.w"], stride=stride, padding=1)
        scale, shift = p[f"{name}.scale"], p[f"{name}.shift"]
        return F.batch_norm(x, *running[name], scale, shift, training=True, momentum=KEEP, eps=EPS)

    def loss_of(x):
        x = F.relu(conv_norm("first", x))
        for name, c, o, stride in parameters.resnet20_blocks():
            shortcut = x[:, :, ::stride, ::stride] if stride > 1 else x
            if o > c:
                shortcut = F.pad(shortcut, (0, 0, 0, 0, (o - c) // 2, (o - c) // 2))
            inner = F.relu(conv_norm(f"{name}.a", x, stride))
            x = F.relu(conv_norm(f"{name}.b", inner) + shortcut)
        return F.cross_entropy(x.mean((2, 3)) @ p["head.w"] + p["head.b"], y)

    def call():
        descent.zero_grad()
        loss = loss_of(x)
        loss.backward()
        descent.step()
        return loss

    return call


def mobilenet_v2():
    arrays, image = parameters.mobilenet_v2()
    p, x = tensors(arrays), turned(image)
    layers = list(parameters.mobilenet_layers())

    @torch.inference_mode()
    def call():
        y = x
        for name, k, _, _, stride, groups, clipped, role in layers:
            if role == "in":
                came_in = y
            y = F.conv2d(y, p[f"{name}.w"], p[f"{name}.b"], stride, k // 2, groups=groups)
            if clipped:
                y = F.relu6(y, inplace=True)
            if role == "out":
                y = y + came_in
        return y.mean((2, 3)) @ p["head.w"] + p["head.b"]

    return call


def unet3d():
    arrays, volume = parameters.unet3d()
    p, x = tensors(arrays), turned(volume)
    for name in [k for k in p if k.startswith("grow") and k.endswith(".w")]:
        p[name] = p[name].transpose(0, 1).contiguous(memory_format=LIKE[5])

    def twice(name, y):
        for part in "ab":
            y = F.relu(F.conv3d(y, p[f"{name}.{part}.w"], p[f"{name}.{part}.b"], padding=1), inplace=True)
        return y

    @torch.inference_mode()
    def call():
        y, kept, last = x, [], len(parameters.LEVELS) - 1
        for level in range(last):
            y = twice(f"down{level}", y)
            kept.append(y)
            y = F.conv3d(y, p[f"shrink{level}.w"], p[f"shrink{level}.b"], stride=2)
        y = twice(f"down{last}", y)
        for level in reversed(range(last)):
            y = F.conv_transpose3d(y, p[f"grow{level}.w"], p[f"grow{level}.b"], stride=2)
            y = twice(f"up{level}", torch.cat([kept[level], y], 1))
        return F.conv3d(y, p["head.w"], p["head.b"])

    return call


def result(y):
    y = y.detach().numpy()
    return np.moveaxis(y, 1, -1) if y.ndim > 2 else y
