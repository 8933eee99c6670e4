# bench/networks/with_layers.py -- networks as programs for MLX write them, for nhwc and for mlx


def resnet20(mx, nn):
    """ResNet-20 for small images (He et al., 2015), shortcuts without parameters, as a program for MLX writes it."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, stride=1, padding=1, bias=False)
            self.bn2 = nn.BatchNorm(outputs)
            self.wider = outputs - inputs

        def __call__(self, x):
            y = nn.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if self.wider:
                x = mx.pad(x[:, ::2, ::2, :], [(0, 0), (0, 0), (0, 0), (self.wider // 2, self.wider // 2)])
            return nn.relu(y + x)

    class ResNet(nn.Module):
        def __init__(self, classes=10):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, kernel_size=3, stride=1, padding=1, bias=False)
            self.bn1 = nn.BatchNorm(16)
            for name, inputs, outputs, stride in (("a", 16, 16, 1), ("b", 16, 32, 2), ("c", 32, 64, 2)):
                blocks = [Block(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1) for i in range(3)]
                setattr(self, f"stage_{name}", nn.Sequential(*blocks))
            self.linear = nn.Linear(64, classes)

        def __call__(self, x):
            x = nn.relu(self.bn1(self.conv1(x)))
            x = self.stage_c(self.stage_b(self.stage_a(x)))
            return self.linear(mx.mean(x, axis=[1, 2]))

    return ResNet()


def resnet20_step(mx, nn, optim, compiled=True, batch=64, size=32):
    """A training step with momentum on random images, lazy: it gives the loss; and what it changes."""
    mx.random.seed(0)
    model = resnet20(mx, nn)
    optimizer = optim.SGD(learning_rate=0.01, momentum=0.9)
    optimizer.init(model.trainable_parameters())
    x, y = mx.random.normal((batch, size, size, 3)), mx.random.randint(0, 10, (batch,))
    state = [model.state, optimizer.state]
    mx.eval(x, y, state)
    both = nn.value_and_grad(model, lambda: nn.losses.cross_entropy(model(x), y, reduction="mean"))

    def step():
        loss, gradients = both()
        optimizer.update(model, gradients)
        return loss

    return mx.compile(step, inputs=state, outputs=state) if compiled else step, state
