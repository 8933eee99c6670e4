# tests/python/test_conv_grad.py -- derivatives of the convolutions: every kind, order and combination of transforms
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
import oracle
from strategies import (
    FLOAT64,
    ON_GPU,
    array_of,
    assert_close,
    general_kwargs,
    laid_out,
    problems,
    reference,
    some,
    to_float64,
    transposed_kwargs,
    transposed_problems,
    transposed_reference,
)

TRANSPOSED = {1: mx.conv_transpose1d, 2: mx.conv_transpose2d, 3: mx.conv_transpose3d}
WIDE = [mx.float32, *FLOAT64]


def general(p):
    return lambda x, w: mx.conv_general(x, w, **general_kwargs(p))


def transposed(p):
    return lambda x, w: TRANSPOSED[x.ndim - 2](x, w, **transposed_kwargs(p))


def check_vjp(p, f, ref):
    x, w, x64, w64 = p.arrays()
    y = f(x, w)
    gy, gy64 = laid_out(np.random.default_rng(p.seed + 1).standard_normal(y.shape), p.dtype, p.x_layout)
    _, (gx, gw) = mx.vjp(f, [x, w], [gy])
    assert gx.dtype == gw.dtype == p.dtype
    size = np.abs
    assert_close(
        gx,
        ref.input_grad(gy64, w64, x.shape),
        ref.input_grad(size(gy64), size(w64), x.shape),
        p.dtype,
        context=f"input {p}",
    )
    assert_close(
        gw,
        ref.weight_grad(x64, gy64, w.shape),
        ref.weight_grad(size(x64), size(gy64), w.shape),
        p.dtype,
        context=f"weight {p}",
    )


@given(problems())
def test_vjp(p):
    check_vjp(p, general(p), reference(p))


@given(transposed_problems())
def test_vjp_of_transposed(p):
    check_vjp(p, transposed(p), transposed_reference(p))


def check_jvp(p, f, ref):
    x, w, x64, w64 = p.arrays()
    rng = np.random.default_rng(p.seed + 1)
    dx, dx64 = laid_out(rng.standard_normal(x.shape), p.dtype, "plain")
    dw, dw64 = laid_out(rng.standard_normal(w.shape), p.dtype, "plain")
    (y,), (dy,) = mx.jvp(f, [x, w], [dx, dw])
    scale = ref(np.abs(x64) + np.abs(dx64), np.abs(w64) + np.abs(dw64))
    assert_close(y, ref(x64, w64), scale, p.dtype, context=str(p))
    assert_close(dy, ref(dx64, w64) + ref(x64, dw64), scale, p.dtype, context=str(p))


@given(problems(dtypes=WIDE))
@some(40)
def test_jvp(p):
    check_jvp(p, general(p), reference(p))


@given(transposed_problems(dtypes=WIDE))
@some(30)
def test_jvp_of_transposed(p):
    check_jvp(p, transposed(p), transposed_reference(p))


def check_second_order(p, f, ref):
    """<v, d<gy, y>/dx> = <gy, conv(v, w)>, whose derivatives are known in closed form; likewise for the weight."""
    x, w, x64, w64 = p.arrays()
    rng = np.random.default_rng(p.seed + 1)
    gy, gy64 = laid_out(rng.standard_normal(f(x, w).shape), p.dtype, "plain")
    v, v64 = laid_out(rng.standard_normal(x.shape), p.dtype, "plain")
    u, u64 = laid_out(rng.standard_normal(w.shape), p.dtype, "plain")

    def along_x(w, gy):
        return mx.sum(mx.vjp(f, [x, w], [gy])[1][0] * v)

    def along_w(x, gy):
        return mx.sum(mx.vjp(f, [x, w], [gy])[1][1] * u)

    a, b, c, d, e, g = map(np.abs, (x64, w64, gy64, v64, u64, gy64))
    gw, ggy = mx.grad(along_x, argnums=(0, 1))(w, gy)
    assert_close(gw, ref.weight_grad(v64, gy64, w.shape), ref.weight_grad(d, c, w.shape), p.dtype, context=str(p))
    assert_close(ggy, ref(v64, w64), ref(d, b), p.dtype, context=str(p))
    gx, ggy = mx.grad(along_w, argnums=(0, 1))(x, gy)
    assert_close(gx, ref.input_grad(gy64, u64, x.shape), ref.input_grad(g, e, x.shape), p.dtype, context=str(p))
    assert_close(ggy, ref(x64, u64), ref(a, e), p.dtype, context=str(p))
    # jvp of grad: the same numbers, forwards over backwards
    _, (dgx,) = mx.jvp(lambda w: mx.grad(lambda x: mx.sum(f(x, w) * gy))(x), [w], [u])
    assert_close(dgx, ref.input_grad(gy64, u64, x.shape), ref.input_grad(g, e, x.shape), p.dtype, context=str(p))
    # grad of jvp
    gw = mx.grad(lambda w: mx.sum(mx.jvp(lambda x: f(x, w), [x], [v])[1][0] * gy))(w)
    assert_close(gw, ref.weight_grad(v64, gy64, w.shape), ref.weight_grad(d, c, w.shape), p.dtype, context=str(p))


@given(problems(dtypes=WIDE, spatial=(1, 2)))
@some(30)
def test_second_derivatives(p):
    check_second_order(p, general(p), reference(p))


@given(transposed_problems(dtypes=WIDE, spatial=(1, 2)))
@some(20)
def test_second_derivatives_of_transposed(p):
    check_second_order(p, transposed(p), transposed_reference(p))


def numerical_gradient(f, a, step=1e-5):
    g = np.zeros_like(a)
    for i in np.ndindex(a.shape):
        high, low = a.copy(), a.copy()
        high[i] += step
        low[i] -= step
        g[i] = (f(high) - f(low)) / (2 * step)
    return g


@pytest.mark.cpu_only("differences need float64")
@pytest.mark.parametrize("activation", [None, *sorted(oracle.ACTIVATIONS)])
def test_gradients_through_bias_and_activation(rng, activation):
    x, w, b = rng.standard_normal((1, 4, 4, 2)), rng.standard_normal((3, 3, 3, 2)), rng.standard_normal(3)
    r = rng.standard_normal((1, 2, 2, 3))

    def f64(x, w, b):
        y = oracle.conv(x.shape, w.shape, stride=2, padding=1)(x, w) + b
        return np.sum(r * oracle.ACTIVATIONS.get(activation, lambda v: v)(y))

    def f(x, w, b):
        return mx.sum(array_of(r, mx.float64) * mx.conv2d(x, w, stride=2, padding=1, bias=b, activation=activation))

    arrays = [array_of(v, mx.float64) for v in (x, w, b)]
    gx, gw, gb = mx.grad(f, argnums=(0, 1, 2))(*arrays)
    np.testing.assert_allclose(np.array(gx), numerical_gradient(lambda v: f64(v, w, b), x), atol=1e-6)
    np.testing.assert_allclose(np.array(gw), numerical_gradient(lambda v: f64(x, v, b), w), atol=1e-6)
    np.testing.assert_allclose(np.array(gb), numerical_gradient(lambda v: f64(x, w, v), b), atol=1e-6)


@pytest.mark.cpu_only("differences need float64")
@pytest.mark.parametrize("activation", ["silu", "gelu", "tanh", "sigmoid"])
def test_second_derivatives_through_activation(rng, activation):
    x, w = rng.standard_normal((1, 3, 3, 2)), rng.standard_normal((2, 2, 2, 2))

    def first(x):
        wa = array_of(w, mx.float64)
        return mx.grad(lambda x: mx.sum(mx.conv2d(x, wa, padding=1, activation=activation)))(x)

    seed = array_of(rng.standard_normal(x.shape), mx.float64)
    got = mx.grad(lambda x: mx.sum(first(x) * seed))(array_of(x, mx.float64))
    want = numerical_gradient(lambda v: mx.sum(first(array_of(v, mx.float64)) * seed).item(), x)
    np.testing.assert_allclose(np.array(got), want, atol=1e-5)


@pytest.mark.cpu_only("differences need float64")
def test_third_derivative(rng):
    x = array_of(rng.standard_normal((1, 6, 1)), mx.float64)
    w = array_of(rng.standard_normal((1, 3, 1)), mx.float64)

    def along(t):
        return mx.sum(mx.conv1d(x * t, w * t) ** 2)  # t^4 * s

    s = along(mx.array(1.0, dtype=mx.float64)).item()
    third = mx.grad(mx.grad(mx.grad(along)))(mx.array(2.0, dtype=mx.float64))
    assert third.item() == pytest.approx(24 * 2 * s, rel=1e-10)


@given(
    problems(dtypes=[mx.float32], spatial=(1, 2)), st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans()
)
@some(40)
def test_vmap(p, x_axis, w_axis, map_x, map_w):
    if not (map_x or map_w):
        map_x = True
    f, ref = general(p), reference(p)
    rng = np.random.default_rng(p.seed)
    x64 = [rng.standard_normal(p.x_shape).astype(np.float32).astype(np.float64) for _ in range(3)]
    w64 = [rng.standard_normal(p.w_shape).astype(np.float32).astype(np.float64) for _ in range(3)]
    x_axis, w_axis = min(x_axis, len(p.x_shape)), min(w_axis, len(p.w_shape))
    x = array_of(np.stack(x64, x_axis) if map_x else x64[0], mx.float32)
    w = array_of(np.stack(w64, w_axis) if map_w else w64[0], mx.float32)
    axes = (x_axis if map_x else None, w_axis if map_w else None)
    y = mx.vmap(f, in_axes=axes)(x, w)
    pairs = [(x64[i if map_x else 0], w64[i if map_w else 0]) for i in range(3)]
    want = np.stack([ref(*pair) for pair in pairs])
    scale = np.stack([ref(*map(np.abs, pair)) for pair in pairs])
    assert_close(y, want, scale, mx.float32, context=str(p))
    # gradients one by one: vmap of grad
    gw = mx.vmap(mx.grad(lambda w, x: mx.sum(f(x, w))), in_axes=(axes[1], axes[0]))(w, x)
    ones = np.ones(want.shape[1:])
    want = np.stack([ref.weight_grad(x, ones, p.w_shape) for x, _ in pairs])
    scale = np.stack([ref.weight_grad(np.abs(x), ones, p.w_shape) for x, _ in pairs])
    assert_close(gw, want, scale, mx.float32, context=str(p))


@given(transposed_problems(dtypes=[mx.float32], spatial=(1, 2)))
@some(25)
def test_vmap_of_transposed(p):
    f, ref = transposed(p), transposed_reference(p)
    rng = np.random.default_rng(p.seed)
    x64 = rng.standard_normal((2, *p.x_shape)).astype(np.float32).astype(np.float64)
    w64 = rng.standard_normal((2, *p.w_shape)).astype(np.float32).astype(np.float64)
    x, w = array_of(x64, mx.float32), array_of(w64, mx.float32)
    want = np.stack([ref(x64[i], w64[i]) for i in range(2)])
    scale = np.stack([ref(np.abs(x64[i]), np.abs(w64[i])) for i in range(2)])
    assert_close(mx.vmap(f)(x, w), want, scale, mx.float32, context=str(p))
    nested = mx.vmap(lambda x: mx.vmap(lambda w: f(x, w))(w))(x)
    assert_close(nested[0, 1], ref(x64[0], w64[1]), ref(np.abs(x64[0]), np.abs(w64[1])), mx.float32, context=str(p))


def block(x, w, v):
    y = mx.conv2d(x, w, padding=1, activation="silu")
    return mx.sum(mx.conv_transpose2d(y, v, stride=2) ** 2)


NESTS = {
    "compile": lambda f: mx.compile(f),
    "checkpoint": lambda f: mx.checkpoint(f),
    "compile(checkpoint)": lambda f: mx.compile(mx.checkpoint(f)),
    "checkpoint(compile)": lambda f: mx.checkpoint(mx.compile(f)),
    "compile(compile)": lambda f: mx.compile(mx.compile(f)),
}


WIDEST, CLOSE = (mx.float32, 1e-5) if ON_GPU else (mx.float64, 1e-12)


@pytest.mark.parametrize("nest", NESTS)
def test_transforms_nest(rng, nest):
    x, w, v = (array_of(rng.standard_normal(s), WIDEST) for s in [(2, 5, 5, 3), (4, 3, 3, 3), (2, 2, 2, 4)])
    plain = mx.value_and_grad(block, argnums=(0, 1, 2))(x, w, v)
    wrapped = NESTS[nest](block)
    for f in (mx.value_and_grad(wrapped, argnums=(0, 1, 2)), mx.compile(mx.value_and_grad(wrapped, argnums=(0, 1, 2)))):
        for _ in range(2):
            value, grads = f(x, w, v)
            np.testing.assert_allclose(np.array(value), np.array(plain[0]), rtol=CLOSE)
            for got, want in zip(grads, plain[1], strict=True):
                np.testing.assert_allclose(np.array(got), np.array(want), rtol=100 * CLOSE, atol=CLOSE)


@pytest.mark.parametrize("nest", NESTS)
def test_vmap_nests_with(rng, nest):
    x, w, v = (array_of(rng.standard_normal(s), WIDEST) for s in [(3, 2, 5, 5, 3), (4, 3, 3, 3), (2, 2, 2, 4)])
    want = np.stack([np.array(mx.grad(block)(x[i], w, v)) for i in range(3)])
    for f in (
        mx.vmap(mx.grad(NESTS[nest](block)), in_axes=(0, None, None)),
        NESTS[nest](mx.vmap(mx.grad(block), in_axes=(0, None, None))),
    ):
        np.testing.assert_allclose(np.array(f(x, w, v)), want, rtol=100 * CLOSE, atol=CLOSE)
    per_example = mx.grad(lambda w: mx.sum(mx.vmap(NESTS[nest](block), in_axes=(0, None, None))(x, w, v)))(w)
    want = sum(np.array(mx.grad(block, argnums=1)(x[i], w, v)) for i in range(3))
    np.testing.assert_allclose(np.array(per_example), want, rtol=100 * CLOSE, atol=CLOSE)


def test_stop_gradient_cuts():
    x, w = mx.ones((1, 4, 1)), mx.ones((1, 2, 1))
    gx, gw = mx.grad(lambda x, w: mx.sum(mx.conv1d(mx.stop_gradient(x), w)), argnums=(0, 1))(x, w)
    assert gx.tolist() == mx.zeros((1, 4, 1)).tolist()
    assert gw.flatten().tolist() == [3, 3]


def test_gradients_of_mixed_dtypes_come_back_in_their_own(rng):
    x, w, b = mx.ones((1, 4, 2), dtype=mx.float16), mx.ones((3, 2, 2), dtype=mx.bfloat16), mx.ones((3,))
    grads = mx.grad(lambda x, w, b: mx.sum(mx.conv1d(x, w, bias=b)), argnums=(0, 1, 2))(x, w, b)
    assert [g.dtype for g in grads] == [mx.float16, mx.bfloat16, mx.float32]
    assert to_float64(grads[1]).flatten().tolist() == [3.0] * 12


@given(problems(dtypes=[mx.float32], general=False, spatial=(1, 2)))
@some(30)
def test_gradients_against_torch(p):
    torch = pytest.importorskip("torch")
    n = len(p.x_shape) - 2
    x, w, x64, w64 = p.arrays()
    first, last = (0, n + 1, *range(1, n + 1)), (0, *range(2, n + 2), 1)
    xt = torch.tensor(x64).permute(first).requires_grad_()
    wt = torch.tensor(w64).permute(first).requires_grad_()
    pads = [v for pair in reversed(p.kwargs["padding"]) for v in pair]
    k = p.kwargs
    conv = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[n]
    padded = torch.nn.functional.pad(xt, pads)
    conv(padded, wt, stride=k["stride"], dilation=k["kernel_dilation"], groups=k["groups"]).sin().sum().backward()
    gx, gw = mx.grad(lambda x, w: mx.sum(mx.sin(general(p)(x, w))), argnums=(0, 1))(x, w)
    ref = reference(p)
    ones = np.ones((p.x_shape[0], *ref.out_shape, p.w_shape[0]))
    slack = 1 + ref(np.abs(x64), np.abs(w64)).max()  # an error in y moves cos(y)
    assert_close(
        gx,
        xt.grad.permute(last).numpy(),
        slack * ref.input_grad(ones, np.abs(w64), x.shape),
        mx.float32,
        context=str(p),
    )
    assert_close(
        gw,
        wt.grad.permute(last).numpy(),
        slack * ref.weight_grad(np.abs(x64), ones, w.shape),
        mx.float32,
        context=str(p),
    )
