# python/nhwc/optimizers/__init__.py -- optimizers and schedules under the names of mlx.optimizers
"""Optimizers and learning-rate schedules, as in ``mlx.optimizers``.

>>> import nhwc as mx
>>> import nhwc.optimizers as optim
>>> optimizer = optim.AdamW(learning_rate=optim.cosine_decay(1e-3, 1000))
>>> parameters = {"w": mx.zeros((3,))}
>>> parameters = optimizer.apply_gradients({"w": mx.ones((3,))}, parameters)

A state is a dict of arrays: ``mx.save_safetensors(file, tree_flatten(optimizer.state, destination={}))`` saves it.
"""

from nhwc.optimizers import schedulers as schedulers
from nhwc.optimizers._adafactor import Adafactor
from nhwc.optimizers._adaptive import AdaDelta, Adagrad, Adam, Adamax, AdamW, RMSprop
from nhwc.optimizers._base import MultiOptimizer, Optimizer, clip_grad_norm
from nhwc.optimizers._momentum import SGD, Lion, Muon
from nhwc.optimizers.schedulers import cosine_decay, exponential_decay, join_schedules, linear_schedule, step_decay

__all__ = [
    "SGD",
    "AdaDelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "MultiOptimizer",
    "Muon",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "cosine_decay",
    "exponential_decay",
    "join_schedules",
    "linear_schedule",
    "step_decay",
]
