# python/nhwc/torch/_functional.py -- torch.nn.functional's convolutions: arguments, mistakes, autocast; no arithmetic
from collections.abc import Sequence

import torch
from torch import Tensor

from nhwc.torch import _ops

Ints = int | Sequence[int]

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
AXES = {1: "L", 2: "H, W", 3: "D, H, W"}
KERNEL = {1: "kL", 2: "kH, kW", 3: "kD, kH, kW"}


def _each(who: str, name: str, value: Ints, axes: int, least: int) -> list[int]:
    """One int per axis."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    values = values * axes if len(values) == 1 else values
    if len(values) != axes or any(not isinstance(v, (int, torch.SymInt)) or v < least for v in values):
        raise ValueError(f"[{who}] {name} must be an int of at least {least}, or {axes} of them; got {name}={value!r}")
    return values


def _check_tensors(who: str, tensors: dict[str, Tensor]) -> None:
    for name, t in tensors.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"[{who}] {name} must be a torch.Tensor, got {type(t).__name__}")
        if t.device.type not in ("cpu", "meta"):
            raise ValueError(f"[{who}] {name} is on {t.device}, but nhwc computes on the CPU: move it with .cpu()")
        if t.layout != torch.strided:
            raise ValueError(f"[{who}] {name} has layout {t.layout}, expected torch.strided: see Tensor.to_dense()")
        if t.dtype not in DTYPES:
            raise TypeError(f"[{who}] {name} is {t.dtype}; expected one of {', '.join(map(str, DTYPES))}")


def _autocast(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Inside torch.autocast: in its dtype, as torch's own convolutions are."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    dtype = torch.get_autocast_dtype("cpu")
    return {name: t if t.dtype == torch.float64 else t.to(dtype) for name, t in tensors.items()}


def _expected(axes: int, transposed: bool) -> str:
    channels = "C_in, C_out / groups" if transposed else "C_out, C_in / groups"
    sizes = AXES[axes]
    return f"inputs are (N, C_in, {sizes}) or (C_in, {sizes}), weights ({channels}, {KERNEL[axes]})"


def _check_shapes(who, axes, input, weight, bias, groups, transposed):
    x, w = tuple(input.shape), tuple(weight.shape)
    if len(w) != axes + 2 or len(x) not in (axes + 1, axes + 2):
        raise ValueError(f"[{who}] got input {x} and weight {w}; {_expected(axes, transposed)}")
    if not isinstance(groups, int) or groups < 1 or w[0] % groups:
        divided = "C_in" if transposed else "C_out"
        expected = _expected(axes, transposed)
        raise ValueError(f"[{who}] groups={groups!r} must be an int that divides {divided}={w[0]}; {expected}")
    takes, gives = (w[0], w[1] * groups) if transposed else (w[1] * groups, w[0])
    if x[-axes - 1] != takes:
        raise ValueError(
            f"[{who}] input has {x[-axes - 1]} channels but weight {w} with groups={groups} expects {takes}; "
            f"{_expected(axes, transposed)}"
        )
    if 0 in (*w, *x[-axes:]):
        raise ValueError(f"[{who}] got input {x} and weight {w}; no size but N may be 0")
    if bias is not None and tuple(bias.shape) != (gives,):
        raise ValueError(f"[{who}] bias has shape {tuple(bias.shape)}, expected ({gives},): one per output channel")


def _checked(who, axes, input, weight, bias, groups, transposed):
    """The tensors, fit for each other and in the dtype to compute in."""
    tensors = {"input": input, "weight": weight} | ({} if bias is None else {"bias": bias})
    _check_tensors(who, tensors)
    tensors = _autocast(tensors)
    input, weight, bias = tensors["input"], tensors["weight"], tensors.get("bias")
    for name, t in tensors.items():
        if t.dtype != input.dtype:
            raise TypeError(f"[{who}] input is {input.dtype} but {name} is {t.dtype}; expected one dtype")
    _check_shapes(who, axes, input, weight, bias, groups, transposed)
    return input, weight, bias


def _is_channels_last(t: Tensor) -> bool:
    """Whether a tensor lies channels-last, by torch's own rule; where size 1 leaves both readings, the strides decide.
    A tensor of three dimensions, for which torch names no such format, may lie so too."""
    least = 0
    for axis in (1, *range(t.dim() - 1, 1, -1), 0):
        if t.shape[axis] == 0 or t.stride(axis) == 0 or t.stride(axis) < least:
            return False
        if axis == 0 and least == t.stride(1):
            return False  # (N, 1, 1, 1), and slices of contiguous tensors
        least = t.stride(axis) * max(t.shape[axis], 1)
    return True


def _paddings(who, padding, axes, kernel, stride, dilation):
    """The padding before and after each axis."""
    if not isinstance(padding, str):
        both = _each(who, "padding", padding, axes, 0)
        return both, both
    if padding == "valid":
        return [0] * axes, [0] * axes
    if padding != "same":
        raise ValueError(f"[{who}] padding={padding!r} must be ints, 'same' or 'valid'")
    if any(s != 1 for s in stride):
        raise ValueError(f"[{who}] padding='same' needs stride 1, got stride={tuple(stride)}")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [t // 2 for t in total], [t - t // 2 for t in total]


def _conv(who, axes, input, weight, bias, stride, padding, dilation, groups):
    input, weight, bias = _checked(who, axes, input, weight, bias, groups, False)
    stride, dilation = _each(who, "stride", stride, axes, 1), _each(who, "dilation", dilation, axes, 1)
    size, kernel = input.shape[-axes:], weight.shape[2:]
    low, high = _paddings(who, padding, axes, kernel, stride, dilation)
    for i, k, a, b, d in zip(size, kernel, low, high, dilation, strict=True):
        if i + a + b < d * (k - 1) + 1:
            raise ValueError(
                f"[{who}] kernel {tuple(kernel)} with dilation={tuple(dilation)} is larger than the padded input: "
                f"{tuple(size)}, padding {tuple(low)} before and {tuple(high)} after"
            )
    x = input if input.dim() == axes + 2 else input.unsqueeze(0)
    channels_last = _is_channels_last(x) or _is_channels_last(weight)
    y = _ops.conv(x, weight, bias, stride, low, high, dilation, groups, channels_last)
    return y if x is input else y.squeeze(0)


def _conv_transpose(who, axes, input, weight, bias, stride, padding, output_padding, groups, dilation):
    input, weight, bias = _checked(who, axes, input, weight, bias, groups, True)
    stride, dilation = _each(who, "stride", stride, axes, 1), _each(who, "dilation", dilation, axes, 1)
    if isinstance(padding, str):
        raise ValueError(f"[{who}] padding={padding!r} must be ints: words are for plain convolutions")
    low = _each(who, "padding", padding, axes, 0)
    extra = _each(who, "output_padding", output_padding, axes, 0)
    size, high = [], []
    for i, k, s, d, p, e in zip(input.shape[-axes:], weight.shape[2:], stride, dilation, low, extra, strict=True):
        if e >= max(s, d):
            raise ValueError(
                f"[{who}] output_padding={tuple(extra)} must be less than stride={tuple(stride)} or "
                f"dilation={tuple(dilation)} on every axis"
            )
        size.append((i - 1) * s - 2 * p + d * (k - 1) + 1 + e)
        # This is the gradient of a convolution from `size` to i. What a stride leaves over at the end is less than the
        # stride; where `e` is more, the padding says that no output of that convolution begins there.
        high.append(p if e < s else p - e)
    if any(n < 1 for n in size):
        raise ValueError(
            f"[{who}] the output would have size {tuple(size)}: input {tuple(input.shape)}, kernel "
            f"{tuple(weight.shape[2:])}, stride={tuple(stride)}, padding={tuple(low)}"
        )
    y = input if input.dim() == axes + 2 else input.unsqueeze(0)
    channels_last = _is_channels_last(y) or _is_channels_last(weight)
    x = _ops.conv_transpose(y, weight, bias, size, stride, low, high, dilation, groups, channels_last)
    return x if y is input else x.squeeze(0)


_CONV = """A {axes}-D convolution: ``torch.nn.functional.{who}`` on nhwc's CPU kernels, differentiable in any order.

Args:
    input (Tensor): ``(N, C_in, {sizes})`` or ``(C_in, {sizes})``; float16, bfloat16, float32 or float64, on the CPU.
    weight (Tensor): ``(C_out, C_in / groups, {kernel})``.
    bias (Tensor, optional): ``(C_out,)``. Default: ``None``.
    stride (int | tuple): step between outputs. Default: ``1``.
    padding (int | tuple | str): zeros on both sides of each axis, ``"valid"`` (none) or ``"same"`` (out = in; stride 1
        only). Default: ``0``.
    dilation (int | tuple): step between the kernel's taps. Default: ``1``.
    groups (int): the channels are split into this many independent convolutions. Default: ``1``.

Returns:
    Tensor: ``(N, C_out, ...)``, each size out = (in + 2 * padding - dilation * (K - 1) - 1) // stride + 1. It lies
    channels-last in memory if input or weight does, else contiguous; what lies channels-last is not copied.

Raises:
    TypeError: no tensors, or dtypes that do not fit.
    ValueError: shapes, devices or values that do not fit.

Example:
    >>> conv{axes}d(torch.ones({input}), torch.ones({weight}), stride=2, padding=1).shape
    torch.Size([{output}])
"""
_TRANSPOSED = """A {axes}-D transposed convolution: ``torch.nn.functional.{who}`` on nhwc's CPU kernels.

Args:
    input (Tensor): ``(N, C_in, {sizes})`` or ``(C_in, {sizes})``; float16, bfloat16, float32 or float64, on the CPU.
    weight (Tensor): ``(C_in, C_out / groups, {kernel})``.
    bias (Tensor, optional): ``(C_out,)``. Default: ``None``.
    stride (int | tuple): step between the places where the kernel is laid. Default: ``1``.
    padding (int | tuple): elements taken off both sides of the result. Default: ``0``.
    output_padding (int | tuple): elements added at the end, less than stride or dilation. Default: ``0``.
    groups (int): the channels are split into this many independent convolutions. Default: ``1``.
    dilation (int | tuple): step between the kernel's taps. Default: ``1``.

Returns:
    Tensor: ``(N, C_out, ...)``, each size out = (in - 1) * stride - 2 * padding + dilation * (K - 1) + 1 +
    output_padding. It lies channels-last in memory if input or weight does, else contiguous; what lies channels-last is
    not copied.

Raises:
    TypeError: no tensors, or dtypes that do not fit.
    ValueError: shapes, devices or values that do not fit.

Example:
    >>> conv_transpose{axes}d(torch.ones({input}), torch.ones({weight}), stride=2).shape
    torch.Size([{output}])
"""


def _make(template: str, axes: int):
    """The function of so many axes, with its name and docstring."""
    if template is _CONV:
        who = f"conv{axes}d"

        def call(
            input: Tensor,
            weight: Tensor,
            bias: Tensor | None = None,
            stride: Ints = 1,
            padding: Ints | str = 0,
            dilation: Ints = 1,
            groups: int = 1,
        ) -> Tensor:
            return _conv(who, axes, input, weight, bias, stride, padding, dilation, groups)

        examples = [1, 3, *[8] * axes], [4, 3, *[3] * axes], [1, 4, *[4] * axes]
    else:
        who = f"conv_transpose{axes}d"

        def call(
            input: Tensor,
            weight: Tensor,
            bias: Tensor | None = None,
            stride: Ints = 1,
            padding: Ints = 0,
            output_padding: Ints = 0,
            groups: int = 1,
            dilation: Ints = 1,
        ) -> Tensor:
            return _conv_transpose(who, axes, input, weight, bias, stride, padding, output_padding, groups, dilation)

        examples = [1, 3, *[4] * axes], [3, 4, *[2] * axes], [1, 4, *[8] * axes]
    x, w, y = (", ".join(map(str, shape)) for shape in examples)
    call.__name__ = call.__qualname__ = who
    call.__doc__ = template.format(
        axes=axes, who=who, sizes=AXES[axes], kernel=KERNEL[axes], input=x, weight=w, output=y
    )
    return call


conv1d, conv2d, conv3d = (_make(_CONV, axes) for axes in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_make(_TRANSPOSED, axes) for axes in (1, 2, 3))
