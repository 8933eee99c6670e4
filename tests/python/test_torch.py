# tests/python/test_torch.py -- nhwc.torch beside torch: values, gradients, operators, memory, patched models, mistakes
import copy
import doctest
import functools
import io
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nhwc as mx
from strategies import assert_close, some

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import nhwc.torch as nt  # noqa: E402

pytestmark = [
    pytest.mark.cpu_only("it computes on the CPU whatever the default device is"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),  # torch's own way to do it
]

OPS = torch.ops.nhwc
OURS = {getattr(torch, name): getattr(mx, name) for name in ("float16", "bfloat16", "float32", "float64")}


def channels_last(t):
    """The same values, in torch's channels-last format; a tensor of three dimensions likewise."""
    return t.movedim(1, -1).contiguous().movedim(-1, 1)


def leaf(t):
    return t.detach().requires_grad_()


def results_of(function, tensors, g=None):
    """The value of a convolution, and its derivatives along `g` by all of its tensors."""
    y = function(*tensors)
    wanted = [t for t in tensors if t is not None]
    return [y, *torch.autograd.grad(y, wanted, torch.ones_like(y) if g is None else g.to(y.dtype))]


def assert_torchs(got, theirs, tensors, g=None):
    """`got`, as results_of gives it, beside what the function `theirs` makes of the same values in float64."""
    wide = [None if t is None else leaf(t.double()) for t in tensors]
    sums = [None if t is None else leaf(t.double().abs()) for t in tensors]  # of absolute products, which bound errors
    wants, scales = results_of(theirs, wide, g), results_of(theirs, sums, None if g is None else g.abs())
    for i, (a, want, scale) in enumerate(zip(got, wants, scales, strict=True)):
        values, expected, bound = (t.detach().double().numpy() for t in (a, want, scale))
        assert_close(values, expected, bound, OURS[a.dtype], context=f"in result {i}")


@st.composite
def calls(draw):
    """(name, shape of the input, shape of the weight, keyword arguments, dtype, how the memory lies, seed)."""
    axes = draw(st.sampled_from([1, 2, 2, 3]))
    transposed = draw(st.booleans())
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    c_in, c_out = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 5))
    ranges = [(1, 3), (1, 2), (1, 4), (4, 9 if axes < 3 else 6)]
    stride, dilation, kernel, size = (draw(st.tuples(*[st.integers(*r)] * axes)) for r in ranges)
    kwargs = dict(stride=stride, dilation=dilation, groups=groups)
    if transposed:
        rooms = [(n - 1) * s + d * (k - 1) for n, s, d, k in zip(size, stride, dilation, kernel, strict=True)]
        kwargs["padding"] = tuple(draw(st.integers(0, min(5, room // 2))) for room in rooms)
        kwargs["output_padding"] = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
    else:
        word = draw(st.sampled_from([None, None, "same", "valid"]))
        if word == "same":
            kwargs["stride"] = 1
        kwargs["padding"] = word or draw(st.tuples(*[st.integers(0, 3)] * axes))
        size = tuple(max(n, d * (k - 1) + 1) for n, k, d in zip(size, kernel, dilation, strict=True))
    batch = draw(st.sampled_from([(), (1,), (2,), (3,)]))
    weight = (c_in, c_out // groups, *kernel) if transposed else (c_out, c_in // groups, *kernel)
    name = f"conv_transpose{axes}d" if transposed else f"conv{axes}d"
    outputs = c_out if draw(st.booleans()) else None
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.float32, torch.bfloat16, torch.float16]))
    layout = draw(st.sampled_from(["contiguous", "channels_last", "weight_channels_last", "strided", "expanded"]))
    return name, (*batch, c_in, *size), weight, outputs, kwargs, dtype, layout, draw(st.integers(0, 2**16))


def drawn(call):
    """The tensors of a call, as leaves whose gradients can be asked for."""
    _, x_shape, w_shape, outputs, _, dtype, layout, seed = call
    generator = torch.Generator().manual_seed(seed)
    x, w = (torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in (x_shape, w_shape))
    bias = None if outputs is None else leaf(torch.randn(outputs, generator=generator).to(dtype))
    if layout == "channels_last" and len(x_shape) == len(w_shape):
        x, w = channels_last(x), channels_last(w)
    elif layout == "weight_channels_last":
        w = channels_last(w)
    elif layout == "strided":
        x = torch.stack([x, -x], dim=-1).flatten(-2)[..., ::2]
        w = w.flip(-1)
    elif layout == "expanded":
        x = x.narrow(-1, 0, 1).expand(x_shape)
    return leaf(x), leaf(w), bias


@given(calls())
@some(40)
def test_values_and_gradients_are_torchs(call):
    name, _, _, _, kwargs, dtype, _, seed = call
    tensors = drawn(call)
    ours, theirs = (functools.partial(getattr(library, name), **kwargs) for library in (nt, F))
    shape = ours(*tensors).shape
    g = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1)).to(dtype)
    got = results_of(ours, tensors, g)
    assert {t.dtype for t in got} == {dtype}
    assert_torchs(got, theirs, tensors, g)


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_half_types_round_once(name):
    x = torch.full((1, 1, 1, 1), 1 + 2**-7, dtype=torch.bfloat16)  # whose square is 1 + 2**-6 + 2**-14
    bias = torch.tensor([-1 - 2**-6], dtype=torch.bfloat16)
    assert getattr(nt, name)(x, x, bias).item() == 2**-14


@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (4, 1), (3, 2), (4, 3)])
def test_same_padding_has_its_odd_zero_last(kernel, dilation):
    x, w = torch.arange(1.0, 10).reshape(1, 1, 9), torch.arange(1.0, 1 + kernel).reshape(1, 1, kernel)
    assert torch.equal(*(f(x, w, padding="same", dilation=dilation) for f in (nt.conv1d, F.conv1d)))


@given(calls())
@some(15)
def test_results_lie_by_the_rule(call):
    """Channels-last where input or weight is, else contiguous."""
    name, _, _, _, kwargs, _, _, _ = call
    x, w, bias = drawn(call)
    y = getattr(nt, name)(x, w, bias, **kwargs)
    if x.dim() < w.dim():
        x, y = x.unsqueeze(0), y.unsqueeze(0)
    rule = nt._functional._is_channels_last
    assert (y.movedim(1, -1) if rule(x) or rule(w) else y).is_contiguous()


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (2, 1, 1, 1), (1, 3, 1, 4), (1, 1, 1, 1)])
def test_the_rule_is_torchs(shape):
    """Where size 1 leaves open how a tensor lies, too."""
    suggested = pytest.importorskip("torch._prims_common").suggest_memory_format
    grown = torch.zeros([n + 1 for n in shape])
    for t in (torch.zeros(shape), grown, channels_last(grown), channels_last(torch.zeros(shape))):
        part = t[tuple(slice(n) for n in shape)]
        for view in (part, part.transpose(1, 3), part.transpose(0, 1), part[:1].expand(shape)):
            assert nt._functional._is_channels_last(view) == (suggested(view) is torch.channels_last), view.stride()


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("conv2d", dict(stride=2, padding=1, groups=2)),
        ("conv_transpose2d", dict(stride=2, padding=1, output_padding=1, groups=2)),
        ("conv_transpose2d", dict(dilation=3, output_padding=2)),
        ("conv1d", dict(padding="same")),
        ("conv3d", dict(dilation=(1, 2, 1), padding=1)),
    ],
)
def test_first_and_second_derivatives_by_differences(name, kwargs):
    torch.manual_seed(5)
    axes = int(name[-2])
    w = torch.randn(4, 4 // kwargs.get("groups", 1), *[3, 2, 2][:axes], dtype=torch.float64)
    tensors = [leaf(t) for t in (torch.randn(1, 4, *[4, 5, 3][:axes], dtype=torch.float64), w)]
    bias = leaf(torch.randn(w.shape[1] * kwargs.get("groups", 1) if "transpose" in name else 4, dtype=torch.float64))

    def call(*args):
        return getattr(nt, name)(*args, **kwargs)

    assert torch.autograd.gradcheck(call, (*tensors, bias), fast_mode=True)
    assert torch.autograd.gradgradcheck(call, (*tensors, bias), fast_mode=True)


def operators():
    """Every operator, with arguments for 1, 2 and 3 axes, contiguous and channels-last."""
    for axes in (1, 2, 3):
        for last in (False, True):
            lay = channels_last if last else torch.Tensor.contiguous
            torch.manual_seed(axes)
            size, kernel = [7, 6, 5][:axes], [3, 2, 1][:axes]
            stride, low, high, dilation = [2] * axes, [1] * axes, [0] * axes, [1] * axes
            places = [(n + 1 - k) // 2 + 1 for n, k in zip(size, kernel, strict=True)]
            geometry = (stride, low, high, dilation, 2, last)
            x, w, y = (leaf(lay(torch.randn(s))) for s in ((2, 4, *size), (6, 2, *kernel), (2, 6, *places)))
            yield axes, last, "conv", (x, w, leaf(torch.randn(6)), *geometry)
            yield axes, last, "conv", (x, w, None, *geometry)
            yield axes, last, "conv_transpose", (y, w, None, size, *geometry)
            twice = [(n - 1) * 2 - 2 + k + 1 for n, k in zip(places, kernel, strict=True)]
            symmetric = (stride, low, low, *geometry[3:])
            yield axes, last, "conv_transpose", (y, w, leaf(torch.randn(4)), twice, *symmetric)
            yield axes, last, "conv_weight_grad", (x, y, kernel, *geometry)
            yield axes, last, "conv_bias_grad", (y,)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        pytest.param(name, args, id=f"{name}-{axes}d-{'last' if last else 'contiguous'}")
        for axes, last, name, args in operators()
        if axes == 2 or args[-1] is True
    ],
)
def test_operators_pass_torchs_own_checks(name, args):
    torch.library.opcheck(getattr(OPS, name).default, args)


class Network(nn.Module):
    """Every kind of layer that patch() knows, and one that it must leave."""

    class Own(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) * 2

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.norm = nn.BatchNorm2d(8)
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False)
        self.depthwise = nn.Conv2d(12, 12, 3, padding="same", groups=12)
        self.own = self.Own(12, 12, 1)
        self.up = nn.ConvTranspose2d(12, 8, 3, stride=2, padding=1)
        self.volume = nn.Sequential(nn.Conv3d(1, 2, (1, 3, 3)), nn.ConvTranspose3d(2, 1, (1, 3, 3)))
        self.line = nn.Sequential(nn.Conv1d(8, 4, 3), nn.ReLU(inplace=True), nn.ConvTranspose1d(4, 2, 3))

    def forward(self, x):
        y = self.norm(self.stem(x)).relu_()
        y = self.own(self.depthwise(self.down(y)))
        y = self.up(y, output_size=x.shape[2:])
        y = self.volume(y.unsqueeze(1)).squeeze(1)
        return self.line(y.flatten(2)).reshape(len(x), -1)


def named_types(model):
    return {name: type(m) for name, m in model.named_modules()}


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_patched_model_trains_as_torchs(memory_format):
    torch.manual_seed(3)
    theirs = Network()
    ours = copy.deepcopy(theirs)
    if memory_format is torch.channels_last:
        for layer in (ours.stem, ours.down, ours.depthwise, ours.up):
            layer.to(memory_format=memory_format)
    before = {name: p.data_ptr() for name, p in ours.named_parameters()}
    assert nt.patch(ours) is ours
    assert {name: p.data_ptr() for name, p in ours.named_parameters()} == before
    changed = {name for name, kind in named_types(ours).items() if kind is not named_types(theirs)[name]}
    assert changed == {"stem", "down", "depthwise", "up", "volume.0", "volume.1", "line.0", "line.2"}
    assert "nhwc.Conv2d(3, 8" in repr(ours)
    x = torch.randn(4, 3, 12, 10).contiguous(memory_format=memory_format)
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (ours, theirs)]
    losses = []
    for _ in range(3):
        step = []
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            step.append(loss.item())
        losses.append(step)
    for got, want in losses:
        assert got == pytest.approx(want, rel=1e-4)
    assert losses[0][0] != losses[2][0]
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_unpatched_model_is_torchs_again():
    model = nt.patch(Network())
    stored = io.BytesIO()
    torch.save(model.state_dict(), stored)
    stored.seek(0)
    plain = Network()
    plain.load_state_dict(torch.load(stored, weights_only=True))
    copied = copy.deepcopy(model)
    assert named_types(copied) == named_types(model)
    assert nt.unpatch(nt.patch(model)) is model
    assert named_types(model) == named_types(plain)
    assert isinstance(nt.patch(nn.Conv1d(1, 1, 1)), nt.Conv1d)
    for change in (nt.patch, nt.unpatch):
        with pytest.raises(TypeError, match="Module"):
            change(Network)


@pytest.mark.parametrize("dynamic", [False, True])
def test_whole_graphs_compile(dynamic):
    torch.manual_seed(2)
    model = nt.patch(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding="same"), nn.ReLU(), nn.ConvTranspose2d(6, 2, 2, stride=2))
    )
    model = model.to(memory_format=torch.channels_last)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for n in (2, 3):
        x = leaf(channels_last(torch.randn(n, 3, 6, 5 + n)))
        results = []
        for f in (model, compiled):
            y = f(x)
            results.append([y, *torch.autograd.grad(y.square().sum(), [x, *model.parameters()])])
        for got, want in zip(*results, strict=True):
            assert torch.equal(got, want)
            assert got.stride() == want.stride()


def test_meta_tensors_have_shapes_alone():
    x, w = torch.empty(2, 3, 8, 8, device="meta"), torch.empty(4, 3, 3, 3, device="meta")
    y = nt.conv2d(x, w, stride=2)
    assert (y.shape, y.device.type) == ((2, 4, 3, 3), "meta")
    assert nt.conv_transpose2d(y, w).shape == (2, 3, 5, 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype):
    torch.manual_seed(4)
    x, w, b = leaf(torch.randn(2, 3, 6, 6)), leaf(torch.randn(4, 3, 3, 3)), leaf(torch.randn(4))
    with torch.autocast("cpu", dtype=dtype):
        y, want = nt.conv2d(x, w, b), F.conv2d(x, w, b)
        mixed = nt.conv2d(x.detach().to(dtype), w, b)
        wide = nt.conv2d(x.double(), w.double())
        compiled = torch.compile(lambda *args: nt.conv2d(*args), fullgraph=True, backend="aot_eager")(x, w, b)
    assert y.dtype == want.dtype == dtype
    assert wide.dtype == torch.float64
    assert torch.equal(mixed, y)
    assert torch.equal(compiled, y)
    narrow = [t.detach().to(dtype) for t in (x, w, b)]
    gradients = torch.autograd.grad(y, (x, w, b), torch.ones_like(y))
    assert {g.dtype for g in gradients} == {torch.float32}
    assert_torchs([y, *(g.to(dtype) for g in gradients)], F.conv2d, narrow)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_last_memory_is_shared(axes, dtype, monkeypatch):
    """The kernels read the tensors' own memory, and the result is theirs to keep."""
    seen, given_back = [], []
    read, hand_out = mx.from_dlpack, torch.from_dlpack

    def reading(t):
        a = read(t)
        seen.append((t.data_ptr(), hand_out(a).data_ptr(), t.is_contiguous()))
        return a

    def handing_out(a):
        t = hand_out(a)
        given_back.append(t.data_ptr())
        return t

    monkeypatch.setattr(mx, "from_dlpack", reading)
    monkeypatch.setattr(torch, "from_dlpack", handing_out)
    size = [8, 7, 6][:axes]
    x, w = (channels_last(torch.randn(s).to(dtype)) for s in ((2, 4, *size), (4, 4, *[3] * axes)))
    b = torch.randn(4).to(dtype)
    for f in (getattr(nt, f"conv{axes}d"), getattr(nt, f"conv_transpose{axes}d")):
        seen.clear()
        y = f(x, w, b)
        assert {t.data_ptr() for t in (x, w, b)} == {pointer for pointer, _, _ in seen}
        assert all(pointer == of_array and row_major for pointer, of_array, row_major in seen)
        assert y.data_ptr() == given_back[-1]
        assert y.movedim(1, -1).is_contiguous()


def test_results_are_ordinary_tensors():
    """They outlive what made them, can be written to, and share nothing with the inputs."""
    x, w = channels_last(torch.ones(1, 2, 4, 4)), channels_last(torch.ones(2, 2, 1, 1))
    y = nt.conv2d(x, w)
    kept = y.clone()
    again = nt.conv2d(x, w)
    y.zero_()
    assert torch.equal(again, kept)
    assert torch.equal(x, torch.ones_like(x))
    w.mul_(3)  # an optimizer's step: nothing may remember the old weights
    assert torch.equal(nt.conv2d(x, w), 3 * kept)
    w.data.mul_(2)
    assert torch.equal(nt.conv2d(x, w), 6 * kept)
    g = torch.ones(1, 3, 1, 1)
    by_bias = OPS.conv_bias_grad(g)
    by_bias.zero_()
    assert torch.equal(g, torch.ones_like(g))


def test_empty_batches():
    x, w, b = leaf(torch.ones(0, 3, 5, 5)), leaf(torch.ones(4, 3, 3, 3)), leaf(torch.ones(4))
    for name, size in (("conv2d", 3), ("conv_transpose2d", 7)):
        w_here = w if name == "conv2d" else leaf(w.detach().transpose(0, 1).contiguous())
        y = getattr(nt, name)(x, w_here, b)
        assert y.shape == (0, 4, size, size)
        gradients = torch.autograd.grad(y.sum(), (x, w_here, b))
        assert [g.shape for g in gradients] == [x.shape, w_here.shape, b.shape]
        assert not any(g.any() for g in gradients)


def test_bits_do_not_depend_on_the_threads_of_either_library():
    torch.manual_seed(6)
    # With one output channel torch's own sum for the bias would depend on its threads.
    calls = [
        [leaf(channels_last(torch.randn(s))) for s in (x, (outputs, x[1], 3, 3))] + [leaf(torch.randn(outputs))]
        for x, outputs in (((4, 16, 33, 31), 24), ((1, 1, 302, 302), 1))
    ]
    cotangents = [torch.randn(nt.conv2d(*call).shape) for call in calls]
    threads = torch.get_num_threads(), mx.num_threads()
    results = []
    try:
        for theirs, ours in ((1, 1), (2, 1), (1, 3), (3, 3)):
            torch.set_num_threads(theirs)
            mx.set_num_threads(ours)
            results.append(
                [t for call, g in zip(calls, cotangents, strict=True) for t in results_of(nt.conv2d, call, g)]
            )
    finally:
        torch.set_num_threads(threads[0])
        mx.set_num_threads(threads[1])
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


X, W = torch.ones(1, 4, 5, 5), torch.ones(6, 2, 3, 3)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: nt.conv2d(X.numpy(), W), TypeError, "input must be a torch.Tensor, got ndarray"),
        (lambda: nt.conv2d(X, W.int(), groups=2), TypeError, "weight is torch.int32; expected one of torch.float16"),
        (lambda: nt.conv2d(X, W.double(), groups=2), TypeError, "input is torch.float32 but weight is torch.float64"),
        (lambda: nt.conv2d(X, W, torch.ones(6).half(), groups=2), TypeError, "bias is torch.float16"),
        (lambda: nt.conv2d(X.to_sparse(), W, groups=2), ValueError, "input has layout torch.sparse_coo"),
        (
            lambda: nt.conv1d(X, W, groups=2),
            ValueError,
            r"\[conv1d\] got input \(1, 4, 5, 5\) .* inputs are \(N, C_in, L\)",
        ),
        (lambda: nt.conv2d(X[0, 0], W), ValueError, "weights .C_out, C_in / groups, kH, kW."),
        (lambda: nt.conv2d(X, W), ValueError, "input has 4 channels but weight .* with groups=1 expects 2"),
        (lambda: nt.conv_transpose2d(X, W), ValueError, "expects 6; .* weights .C_in, C_out / groups, kH, kW."),
        (lambda: nt.conv2d(X, W, groups=4), ValueError, "groups=4 must be an int that divides C_out=6"),
        (lambda: nt.conv2d(X, W, groups=0), ValueError, "groups=0"),
        (lambda: nt.conv2d(X, W, torch.ones(5), groups=2), ValueError, r"bias has shape \(5,\), expected \(6,\)"),
        (lambda: nt.conv2d(X, W, stride=0, groups=2), ValueError, "stride must be an int of at least 1, or 2 of them"),
        (lambda: nt.conv2d(X, W, stride=(1, 1, 1), groups=2), ValueError, r"got stride=\(1, 1, 1\)"),
        (lambda: nt.conv2d(X, W, dilation=1.5, groups=2), ValueError, "got dilation=1.5"),
        (lambda: nt.conv2d(X, W, padding=-1, groups=2), ValueError, "padding must be an int of at least 0"),
        (
            lambda: nt.conv2d(X, W, padding="full", groups=2),
            ValueError,
            "padding='full' must be ints, 'same' or 'valid'",
        ),
        (lambda: nt.conv2d(X, W, stride=2, padding="same", groups=2), ValueError, "'same' needs stride 1"),
        (lambda: nt.conv2d(X, W, dilation=3, groups=2), ValueError, "larger than the padded input"),
        (lambda: nt.conv2d(X[..., :0], W, padding=2, groups=2), ValueError, "no size but N may be 0"),
        (lambda: nt.conv_transpose2d(X, W[:4], padding="same"), ValueError, "words are for plain"),
        (
            lambda: nt.conv_transpose2d(X, W[:4], output_padding=1),
            ValueError,
            "output_padding=.1, 1. must be less than",
        ),
        (lambda: nt.conv_transpose2d(X, W[:4], padding=4), ValueError, "output would have size .-1, -1."),
    ],
)
def test_mistakes(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_other_devices_are_refused():
    class Elsewhere(torch.Tensor):
        device = torch.device("cuda", 1)

    with pytest.raises(ValueError, match=r"input is on cuda:1, but nhwc computes on the CPU: move it with .cpu\(\)"):
        nt.conv2d(X.as_subclass(Elsewhere), W, groups=2)


@pytest.mark.parametrize("name", nt.__all__)
def test_docstrings(name):
    text = getattr(nt, name).__doc__
    runner, output = doctest.DocTestRunner(), []
    names = {"torch": torch, **{n: getattr(nt, n) for n in nt.__all__}}
    runner.run(doctest.DocTestParser().get_doctest(text, names, name, None, None), out=output.append)
    assert runner.failures == 0, "".join(output)
    assert len(text.split()) > 5


def test_without_torch_it_says_what_to_install():
    program = "import sys; sys.modules['torch'] = None\nimport nhwc\nimport nhwc.torch"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert 'ImportError: nhwc.torch needs PyTorch, which is not installed: pip install "nhwc[torch]"' in run.stderr


def test_nhwc_alone_imports_no_torch():
    program = "import sys, nhwc, nhwc.nn; assert 'torch' not in sys.modules and 'nhwc.torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
