# bench/networks/with_nhwc.py -- the networks in nhwc, as a user would write them
from functools import partial

import numpy as np
from networks import parameters

import nhwc as mx

MOMENTUM, RATE, EPS, KEEP = 0.9, 0.1, 1e-5, 0.1


def batch_norm(p, running, name, x):
    """Batch norm of a training step, with the running statistics that evaluation would use."""
    mean, var = mx.mean(x, axis=(0, 1, 2)), mx.var(x, axis=(0, 1, 2))
    count = x.size / x.shape[-1]
    old_mean, old_var = running[name]
    running[name] = [
        (1 - KEEP) * old_mean + KEEP * mx.stop_gradient(mean),
        (1 - KEEP) * old_var + KEEP * (count / (count - 1)) * mx.stop_gradient(var),
    ]
    scale = p[f"{name}.scale"] * mx.rsqrt(var + EPS)
    return x * scale + (p[f"{name}.shift"] - mean * scale)


def resnet20_loss(p, running, x, y):
    def conv_norm(name, x, stride=1):
        return batch_norm(p, running, name, mx.conv2d(x, p[f"{name}.w"], stride=stride, padding=1))

    x = mx.maximum(conv_norm("first", x), 0)
    for name, c, o, stride in parameters.resnet20_blocks():
        shortcut = x[:, ::stride, ::stride] if stride > 1 else x
        if o > c:
            shortcut = mx.pad(shortcut, [(0, 0), (0, 0), (0, 0), ((o - c) // 2, (o - c) // 2)])
        inner = mx.maximum(conv_norm(f"{name}.a", x, stride), 0)
        x = mx.maximum(conv_norm(f"{name}.b", inner) + shortcut, 0)
    logits = mx.mean(x, axis=(1, 2)) @ p["head.w"] + p["head.b"]
    chosen = mx.take_along_axis(logits, y[:, None], axis=-1).squeeze(-1)
    return mx.mean(mx.logsumexp(logits, axis=-1) - chosen)


def resnet20():
    """A call that takes one step of stochastic gradient descent with momentum, and gives the loss."""
    arrays, images, labels = parameters.resnet20()
    p = {k: mx.array(v) for k, v in arrays.items()}
    velocity = {k: mx.zeros_like(v) for k, v in p.items()}
    norms = [k.removesuffix(".scale") for k in p if k.endswith(".scale")]
    running = {n: [mx.zeros_like(p[f"{n}.shift"]), mx.ones_like(p[f"{n}.scale"])] for n in norms}
    x, y = mx.array(images), mx.array(labels.astype(np.int32))
    state = [p, velocity, running]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x, y):
        loss, grads = mx.value_and_grad(lambda p: resnet20_loss(p, running, x, y))(p)
        for name, grad in grads.items():
            velocity[name] = MOMENTUM * velocity[name] + grad
            p[name] = p[name] - RATE * velocity[name]
        return loss

    def call():
        loss = step(x, y)
        mx.eval(loss, state)
        return loss

    return call


def mobilenet_v2():
    arrays, image = parameters.mobilenet_v2()
    p, x = {k: mx.array(v) for k, v in arrays.items()}, mx.array(image)

    @mx.compile
    def forward(x):
        for name, k, _, _, stride, groups, clipped, role in parameters.mobilenet_layers():
            if role == "in":
                came_in = x
            how = dict(stride=stride, padding=k // 2, groups=groups, activation="relu6" if clipped else None)
            x = mx.conv2d(x, p[f"{name}.w"], bias=p[f"{name}.b"], **how)
            if role == "out":
                x = x + came_in
        return mx.mean(x, axis=(1, 2)) @ p["head.w"] + p["head.b"]

    def call():
        y = forward(x)
        mx.eval(y)
        return y

    mx.eval(p, x)
    return call


def unet3d():
    arrays, volume = parameters.unet3d()
    p, x = {k: mx.array(v) for k, v in arrays.items()}, mx.array(volume)

    def conv(name, x, **how):
        return mx.conv3d(x, p[f"{name}.w"], bias=p[f"{name}.b"], **how)

    def twice(name, x):
        x = conv(f"{name}.a", x, padding=1, activation="relu")
        return conv(f"{name}.b", x, padding=1, activation="relu")

    @mx.compile
    def forward(x):
        kept, last = [], len(parameters.LEVELS) - 1
        for level in range(last):
            x = twice(f"down{level}", x)
            kept.append(x)
            x = conv(f"shrink{level}", x, stride=2)
        x = twice(f"down{last}", x)
        for level in reversed(range(last)):
            x = mx.conv_transpose3d(x, p[f"grow{level}.w"], stride=2, bias=p[f"grow{level}.b"])
            x = twice(f"up{level}", mx.concatenate([kept[level], x], axis=-1))
        return conv("head", x)

    def call():
        y = forward(x)
        mx.eval(y)
        return y

    mx.eval(p, x)
    return call


def result(y):
    return np.array(y)
