# tests/python/test_conv_fft.py -- long and large kernels, which are convolved by transforms, against NumPy's FFT
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
from strategies import assert_close, some

pytestmark = pytest.mark.cpu_only("transforms are an algorithm of the CPU")


def convolved(x, w, groups=1, pads=None):
    """The stride-1 correlation of float64 arrays (N, *spatial, C) and (O, *kernel, C / groups) by numpy.fft."""
    spatial = tuple(range(1, x.ndim - 1))
    pads = pads or [(0, 0)] * len(spatial)
    x = np.pad(x, [(0, 0), *((max(lo, 0), max(hi, 0)) for lo, hi in pads), (0, 0)])
    x = x[(slice(None), *(slice(max(-lo, 0), n - max(-hi, 0)) for (lo, hi), n in zip(pads, x.shape[1:], strict=False)))]
    sizes = [x.shape[a] for a in spatial]
    n, c, o = x.shape[0], w.shape[-1], w.shape[0] // groups
    fx = np.fft.rfftn(x, sizes, spatial).reshape(n, -1, groups, c)
    fw = np.conj(np.fft.rfftn(w, sizes, spatial)).reshape(groups, o, -1, c)
    fy = np.einsum("nfgc,gofc->nfgo", fx, fw)
    half = [*sizes[:-1], sizes[-1] // 2 + 1]
    y = np.fft.irfftn(fy.reshape(n, *half, groups * o), sizes, spatial)
    return y[(slice(None), *(slice(0, size - k + 1) for size, k in zip(sizes, w.shape[1:], strict=False)))]


def algorithm(y):
    return mx.explain(y).splitlines()[1].split()[0]


def draw_arrays(seed, x_shape, w_shape):
    rng = np.random.default_rng(seed)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (x_shape, w_shape))
    return mx.array(x), mx.array(w), x.astype(np.float64), w.astype(np.float64)


def check(y, x64, w64, **kw):
    assert_close(y, convolved(x64, w64, **kw), convolved(np.abs(x64), np.abs(w64), **kw), mx.float32, factor=8)


CHANNELS = st.sampled_from([(1, 1, 1), (3, 3, 1), (3, 5, 1), (16, 16, 1), (20, 20, 20), (64, 64, 64), (8, 12, 4)])


@some(40)
@given(st.integers(5, 700), st.integers(0, 1500), CHANNELS, st.integers(1, 3), st.data())
def test_conv1d(kernel, more, channels, batch, data):
    c, o, groups = channels
    pad = data.draw(st.tuples(st.integers(-3, kernel), st.integers(-3, kernel)), label="padding")
    seed = data.draw(st.integers(0, 2**16), label="seed")
    x, w, x64, w64 = draw_arrays(seed, (batch, kernel + 6 + more, c), (o, kernel, c // groups))
    y = mx.conv1d(x, w, padding=(pad,), groups=groups)
    check(y, x64, w64, groups=groups, pads=[pad])


@some(40)
@given(st.tuples(st.integers(1, 40), st.integers(5, 40)), st.integers(0, 60), CHANNELS, st.data())
def test_conv2d(kernel, more, channels, data):
    c, o, groups = channels
    pads = [data.draw(st.tuples(st.integers(-1, k), st.integers(-1, k)), label="padding") for k in kernel]
    seed = data.draw(st.integers(0, 2**16), label="seed")
    x, w, x64, w64 = draw_arrays(
        seed, (2, kernel[0] + 2 + more, kernel[1] + 2 + more // 2, c), (o, *kernel, c // groups)
    )
    y = mx.conv2d(x, w, padding=tuple(pads), groups=groups)
    check(y, x64, w64, groups=groups, pads=pads)


SHAPES = {
    "one channel": ((1, 5000, 1), (1, 300, 1), 1),
    "depthwise": ((2, 3000, 64), (64, 200, 1), 64),
    "dense": ((2, 1000, 24), (40, 150, 24), 1),
    "planes": ((1, 90, 100, 16), (16, 31, 31, 1), 16),
}


@pytest.mark.parametrize("name", SHAPES)
def test_algorithm_threads_and_precision(name):
    x_shape, w_shape, groups = SHAPES[name]
    x, w, x64, w64 = draw_arrays(7, x_shape, w_shape)
    conv = {3: mx.conv1d, 4: mx.conv2d}[len(x_shape)]
    y = conv(x, w, groups=groups)
    assert algorithm(y) == "fft"
    assert algorithm(conv(x, w, groups=groups, precision="highest")) != "fft"
    check(y, x64, w64, groups=groups)
    before = mx.num_threads()
    try:
        for threads in (1, 3):
            mx.set_num_threads(threads)
            np.testing.assert_array_equal(np.array(conv(x, w, groups=groups)), np.array(y))
    finally:
        mx.set_num_threads(before)


@pytest.mark.parametrize("name", SHAPES)
def test_gradients(name):
    x_shape, w_shape, groups = SHAPES[name]
    x, w, x64, w64 = draw_arrays(8, x_shape, w_shape)
    conv = {3: mx.conv1d, 4: mx.conv2d}[len(x_shape)]
    shape = conv(x, w, groups=groups).shape
    gy = np.random.default_rng(9).standard_normal(shape).astype(np.float32)
    _, (gx, gw) = mx.vjp(lambda x, w: conv(x, w, groups=groups), [x, w], [mx.array(gy)])
    assert algorithm(gx) == "fft"
    # <gy, conv(x, w)> is linear in x and in w: both gradients give it back.
    value = np.vdot(gy.astype(np.float64), convolved(x64, w64, groups=groups))
    scale = np.vdot(np.abs(gy).astype(np.float64), convolved(np.abs(x64), np.abs(w64), groups=groups))
    for g, a in ((gx, x64), (gw, w64)):
        assert abs(np.vdot(np.array(g).astype(np.float64), a) - value) < 1e-7 * scale
    o, c = w_shape[0] // groups, w_shape[-1]
    back = np.moveaxis(w64.reshape(groups, o, *w_shape[1:]), 1, -1)  # (groups, *kernel, c, o)
    back = np.moveaxis(np.flip(back, tuple(range(1, len(w_shape) - 1))), -2, 1).reshape(groups * c, *w_shape[1:-1], o)
    pads = [(k - 1, k - 1) for k in w_shape[1:-1]]
    want = convolved(gy.astype(np.float64), back, groups, pads)
    assert_close(gx, want, convolved(np.abs(gy.astype(np.float64)), np.abs(back), groups, pads), mx.float32, factor=8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", SHAPES)
def test_nan_and_inf_spread_as_in_the_definition(name, bad):
    x_shape, w_shape, groups = SHAPES[name]
    _, w, x64, _ = draw_arrays(10, x_shape, w_shape)
    clean = np.array(x64, np.float32)
    dirty = clean.copy()
    at = tuple(n // 2 for n in x_shape[1:])
    dirty[(0, *at)] = bad
    conv = {3: mx.conv1d, 4: mx.conv2d}[len(x_shape)]
    y, direct = (np.array(conv(mx.array(dirty), w, groups=groups, precision=p)) for p in ("default", "highest"))
    assert algorithm(conv(mx.array(dirty), w, groups=groups)) == "fft"
    assert 0 < np.sum(~np.isfinite(direct)) < direct.size
    np.testing.assert_array_equal(np.isnan(y), np.isnan(direct))
    np.testing.assert_array_equal(y[~np.isfinite(y)], direct[~np.isfinite(direct)])
    np.testing.assert_allclose(y[np.isfinite(y)], direct[np.isfinite(direct)], atol=1e-4 * np.abs(w).max().item() * 30)


def test_bias_and_activation():
    x, w, x64, w64 = draw_arrays(11, (2, 2000, 5), (7, 300, 5))
    bias = np.linspace(-9, 9, 7).astype(np.float32)
    y = mx.conv1d(x, w, bias=mx.array(bias), activation="relu")
    want = np.maximum(convolved(x64, w64) + bias, 0)
    assert_close(y, want, convolved(np.abs(x64), np.abs(w64)), mx.float32, factor=8)
    y = mx.conv1d(x, w, bias=mx.array(bias), activation="tanh")
    want = np.tanh(convolved(x64, w64) + bias)
    assert_close(y, want, convolved(np.abs(x64), np.abs(w64)), mx.float32, factor=8)


def test_convolve_like_numpy():
    rng = np.random.default_rng(12)
    a, v = rng.standard_normal(20000), rng.standard_normal(700)
    for mode in ("full", "same", "valid"):
        got = np.array(mx.convolve(mx.array(a.astype(np.float32)), mx.array(v.astype(np.float32)), mode=mode))
        want = np.convolve(a.astype(np.float32).astype(np.float64), v.astype(np.float32).astype(np.float64), mode)
        assert np.linalg.norm(got - want) < 4e-7 * np.linalg.norm(want)
