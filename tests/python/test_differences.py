# tests/python/test_differences.py -- where nhwc is deliberately not what MLX 0.32 is
import numpy as np
import pytest

import nhwc as mx
import nhwc.nn as nn
import nhwc.optimizers as optim
import oracle
from strategies import array_of, assert_close, laid_out, to_float64


def random_pair(rng, x_shape, w_shape, dtype=mx.float32):
    (x, x64), (w, w64) = (laid_out(rng.standard_normal(shape), dtype, "plain") for shape in (x_shape, w_shape))
    return x, w, x64, w64


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_groups_in_three_dimensions(rng, groups):
    x, w, x64, w64 = random_pair(rng, (2, 4, 5, 6, 6), (12, 2, 3, 2, 6 // groups))
    ref = oracle.conv(x.shape, w.shape, padding=1, groups=groups)
    assert_close(mx.conv3d(x, w, padding=1, groups=groups), ref(x64, w64), ref(abs(x64), abs(w64)), mx.float32)
    ref = oracle.conv_transpose(x.shape, w.shape, stride=2, groups=groups)
    assert_close(mx.conv_transpose3d(x, w, stride=2, groups=groups), ref(x64, w64), ref(abs(x64), abs(w64)), mx.float32)


def test_jvp_of_a_convolution(rng):
    x, w, x64, w64 = random_pair(rng, (1, 5, 5, 2), (3, 3, 3, 2))
    (_,), (dy,) = mx.jvp(lambda x: mx.conv2d(x, w), [x], [x])
    ref = oracle.conv(x.shape, w.shape)
    assert_close(dy, ref(x64, w64), ref(abs(x64), abs(w64)), mx.float32)


@pytest.mark.parametrize("map_x", [True, False])
def test_vmap_over_weights_with_groups(rng, map_x):
    x, w, x64, w64 = random_pair(rng, (3, 2, 5, 5, 4), (3, 6, 3, 3, 2))
    y = mx.vmap(lambda x, w: mx.conv2d(x, w, groups=2), in_axes=(0 if map_x else None, 0))(x if map_x else x[0], w)
    ref = oracle.conv(x.shape[1:], w.shape[1:], groups=2)
    want = np.stack([ref(x64[i if map_x else 0], w64[i]) for i in range(3)])
    assert_close(y, want, np.abs(want).max() + 1, mx.float32)


@pytest.mark.parametrize("size", [7, 8, 9, 10])
@pytest.mark.parametrize(
    "kw", [dict(input_dilation=2), dict(stride=3), dict(stride=2, padding=1), dict(input_dilation=3, stride=2)], ids=str
)
def test_shape_of_the_weight_gradient(rng, size, kw):
    x, w, x64, _w64 = random_pair(rng, (2, size, size, 3), (4, 3, 3, 3))
    gx, gw = mx.grad(lambda x, w: mx.sum(mx.conv_general(x, w, **kw)), argnums=(0, 1))(x, w)
    assert gx.shape == x.shape
    assert gw.shape == w.shape
    ref = oracle.conv(x.shape, w.shape, **kw)
    ones = np.ones((2, *ref.out_shape, 4))
    assert_close(gw, ref.weight_grad(x64, ones, w.shape), ref.weight_grad(abs(x64), ones, w.shape), mx.float32)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 2, 1), (2, 2, 2), (2, 3, 3), (3, 2, 4), (1, 3, 2)])
def test_transposed_with_more_padding_than_kernel(rng, kernel, stride, padding):
    x, w, x64, w64 = random_pair(rng, (1, 9, 9, 3), (2, kernel, kernel, 3))
    y = mx.conv_transpose2d(x, w, stride=stride, padding=padding)
    size = 8 * stride - 2 * padding + kernel
    assert y.shape == (1, size, size, 2)
    ref = oracle.conv_transpose(x.shape, w.shape, stride=stride, padding=padding)
    assert_close(y, ref(x64, w64), ref(abs(x64), abs(w64)), mx.float32)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_kernel_a_little_larger_than_the_input(stride):
    with pytest.raises(ValueError, match=r"\bW\b.*\b4\b.*\b3\b"):
        mx.conv1d(mx.ones((1, 3, 1)), mx.ones((1, 4, 1)), stride=stride)


def test_zero_groups_and_zero_channels():
    with pytest.raises(ValueError, match="groups"):
        mx.conv2d(mx.ones((1, 4, 4, 2)), mx.ones((2, 3, 3, 2)), groups=0)
    assert mx.conv2d(mx.ones((1, 4, 4, 0)), mx.ones((2, 3, 3, 0))).tolist() == mx.zeros((1, 2, 2, 2)).tolist()
    assert mx.conv2d(mx.ones((1, 4, 4, 2)), mx.ones((0, 3, 3, 2))).shape == (1, 2, 2, 0)
    assert mx.conv_transpose2d(mx.ones((1, 4, 4, 0)), mx.ones((2, 3, 3, 0))).tolist() == mx.zeros((1, 6, 6, 2)).tolist()
    with pytest.raises(ValueError, match="size 0"):
        mx.conv2d(mx.ones((1, 4, 4, 2)), mx.ones((2, 0, 3, 2)))


@pytest.mark.cpu_only("float64")
def test_no_complex_numbers_and_true_float64(rng):
    assert not hasattr(mx, "complex64")
    with pytest.raises(TypeError):
        mx.array(1j)
    x, w, x64, w64 = random_pair(rng, (1, 6, 6, 3), (4, 3, 3, 3), mx.float64)
    want = oracle.conv(x.shape, w.shape)(x64, w64)
    assert np.abs(np.array(mx.conv2d(x, w)) - want).max() < 1e-13


def test_output_padding_is_checked():
    x, w = mx.ones((1, 3, 1)), mx.ones((1, 2, 1))
    for kw in (
        dict(output_padding=1),
        dict(stride=2, output_padding=2),
        dict(dilation=2, output_padding=2),
        dict(output_padding=-1),
    ):
        with pytest.raises(ValueError, match="output_padding"):
            mx.conv_transpose1d(x, w, **kw)
    assert mx.conv_transpose1d(x, w, dilation=3, output_padding=2).shape == (1, 8, 1)


def test_conv1d_takes_rank_3_only():
    with pytest.raises(ValueError, match=r"\(N, W, C\)"):
        mx.conv1d(mx.ones((1, 4, 4, 1)), mx.ones((1, 2, 2, 1)))


@pytest.mark.cpu_only("positions beyond 32 bits are refused on the GPU")
def test_shapes_beyond_32_bits():
    size = 2**31 + 5
    y = mx.broadcast_to(mx.array(1.0), (1, size, 1))
    assert y.shape == (1, size, 1)
    out = mx.conv1d(y, mx.ones((1, 2, 1)), stride=2**31)  # reads at the far end without making the array
    assert out.shape == (1, 2**31 // 2**31, 1) or out.shape[1] == (size - 2) // 2**31 + 1
    assert out.flatten().tolist() == [2.0] * out.shape[1]


def test_index_out_of_range_and_array_protocol():
    a = mx.arange(4)
    with pytest.raises(IndexError):
        a[4]
    with pytest.raises(IndexError):
        mx.eval(mx.take(a, mx.array([1, 9])))
    assert a.__array__(np.float64).dtype == np.float64
    copy = np.array(a, copy=True)
    copy[0] = 7
    assert a.tolist() == [0, 1, 2, 3]


def test_the_norm_of_half_gradients_does_not_overflow():
    clipped, norm = optim.clip_grad_norm({"w": mx.full((4,), 1000.0, mx.float16)}, 2.0)
    assert norm.item() == 2000.0
    assert clipped["w"].dtype == mx.float16
    assert clipped["w"].tolist() == pytest.approx([1.0] * 4, rel=1e-3)


def test_additions_are_keyword_only(rng):
    x, w, x64, w64 = random_pair(rng, (1, 4, 2), (3, 2, 2))
    bias = array_of([1.0, 2.0, 3.0], mx.float32)
    y = mx.conv1d(x, w, bias=bias, activation="relu", precision="highest")
    want = np.maximum(oracle.conv(x.shape, w.shape)(x64, w64) + np.arange(1, 4), 0)
    assert_close(to_float64(y), want, 10, mx.float32)


def test_elu_and_selu_have_finite_gradients_far_from_zero():
    for function in (nn.elu, nn.selu):
        assert np.isfinite(np.array(mx.grad(lambda x, f=function: f(x).sum())(mx.array([100.0, 1e4, -1e4])))).all()


def test_unfreezing_a_model_leaves_running_statistics_frozen():
    model = nn.Sequential(nn.BatchNorm(2)).freeze().unfreeze()
    assert sorted(model.trainable_parameters()["layers"][0]) == ["bias", "weight"]


def test_batch_norm_of_volumes(rng):
    y = np.array(nn.BatchNorm(3)(array_of(rng.standard_normal((2, 3, 4, 5, 3)), mx.float32)))
    np.testing.assert_allclose(y.mean((0, 1, 2, 3)), 0, atol=1e-6)


def test_cubic_upsampling_of_an_output_at_an_input():
    y = np.array(nn.Upsample(2.7, mode="cubic")(mx.eye(5).reshape(1, 5, 5)))
    np.testing.assert_allclose(y[0, 6], [0, 0, 1, 0, 0], atol=1e-6)


def test_interpolation_keeps_half_types():
    assert nn.Upsample(2, mode="linear")(mx.ones((1, 3, 2)).astype(mx.float16)).dtype == mx.float16


def test_cross_entropy_of_targets_that_do_not_sum_to_one():
    logits, targets = np.array([[2.0, -1.0, 0.5]]), np.array([[2.0, 0.0, 0.5]])
    logs = logits - np.log(np.exp(logits).sum())
    got = nn.losses.cross_entropy(array_of(logits, mx.float32), array_of(targets, mx.float32))
    np.testing.assert_allclose(np.array(got), -(targets * logs).sum(-1), rtol=1e-6)


def test_gradient_of_a_transposed_convolution_with_output_padding():
    x = mx.ones((1, 5, 2))
    gradient = mx.grad(lambda x: mx.conv_transpose1d(x, mx.ones((3, 3, 2)), stride=2, output_padding=1).sum())(x)
    assert gradient.tolist() == [[[9.0, 9.0]] * 5]


def test_what_is_no_array_is_no_parameter():
    with pytest.raises(ValueError, match="'weight', an array, cannot be replaced by an int"):
        nn.Linear(1, 1).update({"weight": 3}, strict=False)
