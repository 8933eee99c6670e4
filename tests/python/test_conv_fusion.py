# tests/python/test_conv_fusion.py -- convolution, bias, residual and activation in one pass: the bits of one by one
import numpy as np
import pytest
from seed import SEED

import nhwc as mx

# One shape per algorithm: input, weight, arguments of conv_general.
PROBLEMS = {
    "winograd6": ((2, 17, 18, 24), (24, 3, 3, 24), {"padding": 1}),
    "winograd4": ((1, 7, 7, 64), (64, 3, 3, 64), {"padding": 1}),
    "direct": ((2, 9, 31, 20), (40, 1, 1, 20), {}),
    "direct strided": ((2, 19, 15, 33), (17, 3, 3, 33), {"stride": 2, "padding": 1}),
    "merged": ((2, 20, 40, 3), (37, 3, 3, 3), {"stride": 2, "padding": 1}),
    "dot": ((2, 12, 13, 32), (3, 3, 3, 32), {"padding": 1}),
    "depthwise": ((2, 15, 16, 37), (37, 5, 5, 1), {"padding": 2, "groups": 37}),
    "grouped": ((2, 11, 12, 24), (24, 3, 3, 4), {"stride": 2, "padding": 1, "groups": 6}),
    "fft": ((1, 40, 40, 16), (16, 31, 31, 1), {"padding": 15, "groups": 16}),
    "long sums": ((1, 3, 4, 5000), (9, 1, 1, 5000), {}),
    "unreached outputs": ((2, 6, 7, 16), (24, 2, 1, 16), {"input_dilation": 3, "padding": 2}),
    "dilated input": ((1, 9, 10, 16), (24, 4, 4, 16), {"input_dilation": 2, "padding": 2}),
    "one row": ((2, 300, 8), (40, 9, 8), {"padding": 4}),
    "volume": ((1, 5, 9, 10, 8), (20, 3, 3, 3, 8), {"padding": 1}),
}
ACTIVATIONS = {"none": lambda x: x, "relu": lambda x: mx.maximum(x, 0), "tanh": mx.tanh, "sigmoid": mx.sigmoid}


def operands(name, dtype=mx.float32):
    x_shape, w_shape, arguments = PROBLEMS[name]
    rng = np.random.default_rng(SEED)
    x, w = (mx.array(rng.standard_normal(s)).astype(dtype) for s in (x_shape, w_shape))
    y_shape = mx.conv_general(x, w, **arguments).shape
    bias, residual = (mx.array(rng.standard_normal(s)).astype(dtype) for s in ((y_shape[-1],), y_shape))
    mx.eval(x, w, bias, residual)
    return x, w, bias, residual, arguments


def one_by_one(x, w, bias, residual, activation, arguments, side=0):
    """Every step is held, so none is hidden in another's pass."""
    y = mx.conv_general(x, w, **arguments)
    mx.eval(y)
    for term in (bias, residual):
        if term is not None:
            y = y + term if side == 0 else term + y
            mx.eval(y)
    return activation(y)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_residual_gives_the_bits_of_one_by_one(name, activation):
    print("seed", SEED)
    x, w, bias, residual, arguments = operands(name)
    f = ACTIVATIONS[activation]
    for b in (None, bias):
        for side in (0, 1):
            y = mx.conv_general(x, w, **arguments)
            y = y if b is None else y + b
            y = f(y + residual if side == 0 else residual + y)
            want = one_by_one(x, w, b, residual, f, arguments)
            np.testing.assert_array_equal(np.array(y), np.array(want), err_msg=f"bias {b is not None}, side {side}")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["winograd6", "direct", "depthwise"])
def test_residual_of_other_types(name, dtype):
    x, w, bias, residual, arguments = operands(name, getattr(mx, dtype))
    y = mx.maximum(mx.conv_general(x, w, **arguments) + bias + residual, 0)
    want = one_by_one(x, w, bias, residual, ACTIVATIONS["relu"], arguments)
    wide = mx.float64 if dtype == "float64" else mx.float32
    got, want = (np.array(a.astype(wide)) for a in (y, want))
    # Half types are rounded once where they are computed in one pass.
    tolerance = {"float16": 4e-3, "bfloat16": 3e-2, "float64": 0}[dtype] * np.abs(want).max()
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


def test_residual_may_be_the_input_a_view_or_another_convolution():
    rng = np.random.default_rng(SEED)
    shapes = (2, 13, 14, 32), (32, 3, 3, 32), (32, 1, 1, 32)
    x, w, other = (mx.array(rng.standard_normal(s).astype("f")) for s in shapes)
    first = mx.conv2d(x, w, padding=1)
    mx.eval(first)
    np.testing.assert_array_equal(np.array(mx.conv2d(x, w, padding=1) + x), np.array(first) + np.array(x))
    turned = mx.transpose(mx.array(rng.standard_normal((2, 14, 13, 32)).astype("f")), (0, 2, 1, 3))
    np.testing.assert_array_equal(np.array(mx.conv2d(x, w, padding=1) + turned), np.array(first) + np.array(turned))
    shortcut = mx.conv2d(x, other)
    mx.eval(shortcut)
    both = mx.conv2d(x, w, padding=1) + mx.conv2d(x, other)
    np.testing.assert_array_equal(np.array(both), np.array(first) + np.array(shortcut))
    twice = mx.conv2d(x, w, padding=1)
    np.testing.assert_array_equal(np.array(twice + twice), 2 * np.array(first))


def test_what_is_not_finite_is_computed_again_before_the_residual_is_added():
    x, w, bias, residual, arguments = operands("winograd6")
    a = np.array(x)
    a[1, 5, 6, 7], a[0, 0, 0, 0] = np.nan, np.inf
    x = mx.array(a)
    f = ACTIVATIONS["relu"]
    want = one_by_one(x, w, bias, residual, f, arguments)
    got = f(mx.conv_general(x, w, **arguments) + bias + residual)
    np.testing.assert_array_equal(np.array(got), np.array(want))


def test_gradient_of_a_residual_block_is_that_of_its_steps():
    x, w, bias, residual, arguments = operands("winograd6")

    def loss(x, w, bias, residual):
        return mx.maximum(mx.conv_general(x, w, **arguments) + bias + residual, 0).sum()

    grads = mx.grad(loss, argnums=(0, 1, 2, 3))(x, w, bias, residual)
    alive = np.array(one_by_one(x, w, bias, residual, ACTIVATIONS["none"], arguments)) > 0
    np.testing.assert_array_equal(np.array(grads[3]), alive.astype("f"))
    np.testing.assert_allclose(np.array(grads[2]), alive.sum((0, 1, 2)), rtol=1e-6)
