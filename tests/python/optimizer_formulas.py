# tests/python/optimizer_formulas.py -- each optimizer as its paper has it, for one parameter, in NumPy
import math

import numpy as np


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


class Formulas:
    """Each rule as its paper has it, for one parameter, in float64."""

    def __init__(self, name, w, rate):
        self.rule = getattr(self, name)
        self.rate = rate
        self.m, self.v, self.u = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
        self.rows, self.columns = w.sum(-1) * 0 if w.ndim else w, w.sum(-2) * 0 if w.ndim > 1 else w

    def SGD(self, t, w, g, momentum=0.0, weight_decay=0.0, dampening=0.0, nesterov=False):
        g = g + weight_decay * w
        self.v = momentum * self.v + (1 - dampening) * g
        return w - self.rate * ((g + momentum * self.v if nesterov else self.v) if momentum else g)

    def Adam(self, t, w, g, betas=(0.9, 0.999), eps=1e-8, bias_correction=False):
        b1, b2 = betas
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        m, v = (self.m / (1 - b1**t), self.v / (1 - b2**t)) if bias_correction else (self.m, self.v)
        return w - self.rate * m / (np.sqrt(v) + eps)

    def AdamW(self, t, w, g, weight_decay=0.01, **options):
        return self.Adam(t, w, g, **options) - self.rate * weight_decay * w

    def Adamax(self, t, w, g, b1=0.9, b2=0.999, eps=1e-8):
        self.m = b1 * self.m + (1 - b1) * g
        self.v = np.maximum(b2 * self.v, np.abs(g))
        return w - self.rate * self.m / (self.v + eps)

    def RMSprop(self, t, w, g, alpha=0.99, eps=1e-8):
        self.v = alpha * self.v + (1 - alpha) * g**2
        return w - self.rate * g / (np.sqrt(self.v) + eps)

    def Adagrad(self, t, w, g, eps=1e-8):
        self.v = self.v + g**2
        return w - self.rate * g / (np.sqrt(self.v) + eps)

    def AdaDelta(self, t, w, g, rho=0.9, eps=1e-6):
        self.v = rho * self.v + (1 - rho) * g**2
        d = np.sqrt(self.u + eps) / np.sqrt(self.v + eps) * g
        self.u = rho * self.u + (1 - rho) * d**2
        return w - self.rate * d

    def Lion(self, t, w, g, b1=0.9, b2=0.99, weight_decay=0.0):
        c = np.sign(b1 * self.m + (1 - b1) * g)
        self.m = b2 * self.m + (1 - b2) * g
        return w - self.rate * (c + weight_decay * w)

    def Muon(self, t, w, g, momentum=0.95, weight_decay=0.01, nesterov=True, ns_steps=5):
        g = g + weight_decay * w
        self.v = momentum * self.v + (1 - momentum) * g
        step = (1 - momentum) * g + momentum * self.v if nesterov else self.v
        if w.ndim < 2:
            return w - self.rate * step
        # The polynomial on the singular values, in the place of products of matrices.
        left, s, right = np.linalg.svd(step.reshape(len(step), -1), full_matrices=False)
        s = s / np.sqrt((s**2).sum())
        for _ in range(ns_steps):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        factor = (left * s) @ right
        return w - self.rate * math.sqrt(max(1, factor.shape[0] / factor.shape[1])) * factor.reshape(w.shape)

    def Adafactor(
        self,
        t,
        w,
        g,
        relative_step=True,
        scale_parameter=True,
        warmup_init=False,
        beta_1=None,
        weight_decay=0.0,
        decay_rate=-0.8,
        clip_threshold=1.0,
    ):
        rate = min(1e-6 * t if warmup_init else 1e-2, 1 / math.sqrt(t)) if relative_step else self.rate
        rate = rate * (max(1e-3, rms(w)) if scale_parameter else 1)
        b2 = 1 - t**decay_rate
        if w.ndim < 2:
            self.v = b2 * self.v + (1 - b2) * (g**2 + 1e-30)
            step = g / np.sqrt(self.v)
        else:
            self.rows = b2 * self.rows + (1 - b2) * (g**2 + 1e-30).mean(-1)
            self.columns = b2 * self.columns + (1 - b2) * (g**2 + 1e-30).mean(-2)
            share = self.rows / self.rows.mean(-1, keepdims=True)
            step = g / np.sqrt(share[..., None] * self.columns[..., None, :])
        step = rate * step / max(1, rms(step) / clip_threshold)
        if beta_1 is not None:
            step = self.m = beta_1 * self.m + (1 - beta_1) * step
        return w - weight_decay * rate * w - step
