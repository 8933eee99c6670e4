# bench/contenders.py -- one class per library: how it is given a convolution, and how its result is read
"""Each class has `name`, `modules` (what must be installed), `dtypes` (what it is compared in) and
`variants(shape, x, w, gy)`: {name: call}, the ways in which the library can do it, of which the fastest counts. It is
made of a number of threads, or of workers.GPU where `devices` has "gpu", and computes in its `dtype`, float32 unless it
is set. A call gives what `results` turns
into NumPy arrays: [y], or [y, dx, dw] where the shape is a training step's. x, w and gy come channels-last:
(N, *in, C), (O, *kernel, C / groups), (N, *out, O). Weights are given before the call and may be packed once, except in
training, where they are new every time."""

import dataclasses
import functools
import math
import re

import numpy as np
from workers import GPU


def channels_first(a):
    return np.ascontiguousarray(np.moveaxis(a, -1, 1))


def channels_last(a):
    return np.moveaxis(a, 1, -1)


def rows_first(w, groups):
    """(C, O / groups, *kernel), as torch and ONNX want the weights of transposed convolutions, of (O, *kernel, C/g)."""
    per_group = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])  # (g, o, *kernel, c)
    moved = np.moveaxis(per_group, -1, 1)  # (g, c, o, *kernel)
    return np.ascontiguousarray(moved.reshape(-1, *moved.shape[2:]))


def rows_first_back(w, groups):
    """The inverse of rows_first."""
    per_group = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    moved = np.moveaxis(per_group, 1, -1)
    return moved.reshape(-1, *moved.shape[2:])


def data(shape):
    """x, w, gy in float32: normal numbers, the same in every process. Sums of products are of about unit size."""
    seed = [*shape.name.encode()]
    rng = np.random.default_rng(seed)
    scale = 1 / math.sqrt(math.prod(shape.w_shape[1:]))
    x, w = (rng.standard_normal(s, dtype=np.float32) for s in (shape.x_shape, shape.w_shape))
    gy = rng.standard_normal(shape.y_shape, dtype=np.float32) if shape.training else None
    return x, w * np.float32(scale), gy


class Unsupported(Exception):
    """The library has no such convolution."""


class NoDevice(Exception):
    """The library finds no GPU here; the text has its words."""


class Contender:
    dtype, dtypes = "float32", ("float32",)
    devices = ("cpu",)


class MlxLike(Contender):
    """nhwc and MLX: the same names."""

    dtypes = ("float32", "bfloat16", "float16")
    devices = ("cpu", "gpu")

    def use(self, device):
        """Makes it the default; NoDevice where the library has none of that kind."""
        try:
            self.mx.set_default_device(getattr(self.mx, device))
            self.mx.eval(self.mx.zeros(1) + 1)
        except (RuntimeError, ValueError) as error:
            raise NoDevice(f"{self.name} finds no {device.upper()}: {error}") from None

    def convolution(self, shape, **more):
        mx = self.mx
        how = dict(stride=shape.stride, padding=shape.padding, dilation=shape.dilation, groups=shape.groups)
        if shape.rank == 1:
            how = {k: v[0] if isinstance(v, tuple) else v for k, v in how.items()}
        kind = "conv_transpose" if shape.transposed else "conv"
        if shape.transposed:
            how["output_padding"] = shape.output_padding if shape.rank > 1 else shape.output_padding[0]
        return functools.partial(getattr(mx, f"{kind}{shape.rank}d"), **how, **more)

    def variants(self, shape, x, w, gy):
        mx, convolve = self.mx, self.convolution(shape)
        if shape.training and self.dtype != "float32":
            raise Unsupported("gradients are compared in float32 only")
        x = self.array(x)
        if shape.training:
            gy, w = self.array(gy), self.new_weights(w)

            def call():
                (y,), grads = mx.vjp(convolve, [x, w], [gy])
                mx.eval(y, *grads)
                return [y, *grads]
        else:
            w = self.array(w)

            def call():
                y = convolve(x, w)
                mx.eval(y)
                return [y]

        mx.eval(x, w)
        return {"": call}

    def array(self, a):
        return self.mx.array(a, getattr(self.mx, self.dtype))

    new_weights = array

    def results(self, shape, raw):
        return [np.array(a.astype(self.mx.float32)) for a in raw]


class Nhwc(MlxLike):
    name, modules = "nhwc", ("nhwc",)

    def __init__(self, threads):
        import nhwc as mx

        self.mx = mx
        self.use("gpu" if threads == GPU else "cpu")
        if threads != GPU:
            mx.set_num_threads(threads)

    def new_weights(self, w):
        return self.mx.asarray(w, copy=False)  # borrowed memory, whose packed form is not kept

    def facts(self, shape):
        """The algorithm and its tile, as nhwc.explain names them; of a training step the three."""
        mx, convolve = self.mx, self.convolution(shape)

        def zeros(of):
            return mx.zeros(of, getattr(mx, self.dtype))

        x, w = zeros(shape.x_shape), zeros(shape.w_shape)
        if shape.training:
            (y,), grads = mx.vjp(convolve, [x, w], [zeros(shape.y_shape)])
            results = [y, *grads]
        else:
            results = [convolve(x, w)]
        found = [re.search(r"\n  (\w+) on \w+(, tile \w+)?", mx.explain(a)) for a in results]
        return {"algorithm": " | ".join("".join(f.groups("")) if f else "?" for f in found)}


class Reference(MlxLike):
    """float64, without transforms, on the CPU: what all others are compared with; never timed."""

    name, modules = "reference", ("nhwc",)
    devices = ("cpu",)

    def __init__(self, threads):
        import nhwc as mx

        self.mx = mx
        self.use("cpu")
        if threads != GPU:
            mx.set_num_threads(threads)

    def convolution(self, shape):
        return super().convolution(shape, precision="highest")

    def array(self, a):
        return self.mx.array(a, self.mx.float64)

    new_weights = array

    def results(self, shape, raw):
        return [np.array(a) for a in raw]


class Mlx(MlxLike):
    name, modules = "mlx", ("mlx.core",)

    def __init__(self, threads):
        import mlx.core as mx

        self.mx = mx
        self.use("gpu" if threads == GPU else "cpu")


class Torch(Contender):
    """Eager torch, channels_last. 1-D convolutions also as 2-D ones of one row, which is how they get to lie
    channels-last. On a GPU also channels first, the layout it has kernels for."""

    name, modules = "torch", ("torch",)
    dtypes, devices = MlxLike.dtypes, MlxLike.devices

    def __init__(self, threads):
        import torch

        self.torch, self.device = torch, "mps" if threads == GPU else "cpu"
        if threads != GPU:
            torch.set_num_threads(threads)
        elif not torch.backends.mps.is_available():
            raise NoDevice("torch finds no GPU: torch.backends.mps.is_available() is False")

    def finished(self, results):
        """What a call gives, when it is there: on the GPU torch only starts it."""
        if self.device == "mps":
            self.torch.mps.synchronize()
        return results

    def laid_out(self, t, last):
        """A tensor of channels-first shape that lies channels-last, in the dtype that is compared; one of a 1-D
        convolution, for which torch has no such layout, lies as it did."""
        t = t.to(self.device, getattr(self.torch, self.dtype))
        formats = {4: self.torch.channels_last, 5: self.torch.channels_last_3d}
        return t.contiguous(memory_format=formats[t.ndim]) if last and t.ndim in formats else t

    def variants(self, shape, x, w, gy):
        calls = {}
        if shape.rank == 1:
            calls["conv1d"] = self.one_way(shape, x, w, gy)
            calls["conv2d"] = self.one_way(*as_rows(shape, x, w, gy))
        else:
            calls["channels_last"] = self.one_way(shape, x, w, gy)
            if self.device == "mps":
                calls["channels_first"] = self.one_way(shape, x, w, gy, last=False)
        return calls

    def one_way(self, shape, x, w, gy, last=True):
        torch = self.torch
        x = self.laid_out(torch.tensor(channels_first(x)), last)
        w = torch.tensor(rows_first(w, shape.groups) if shape.transposed else channels_first(w))
        w = self.laid_out(w, last)
        convolve = self.convolution(shape, x, w)
        torch.set_grad_enabled(shape.training)
        if not shape.training:
            return lambda: self.finished([convolve(x, w)])
        gy = self.laid_out(torch.tensor(channels_first(gy)), last)
        x.requires_grad_()
        w.requires_grad_()

        def step():
            y = convolve(x, w)
            return self.finished([y, *torch.autograd.grad(y, (x, w), gy)])

        return step

    def convolution(self, shape, x, w):
        functional = self.torch.nn.functional
        how = dict(stride=shape.stride, padding=shape.padding, dilation=shape.dilation, groups=shape.groups)
        if shape.transposed:
            how["output_padding"] = shape.output_padding
        kind = "conv_transpose" if shape.transposed else "conv"
        return functools.partial(getattr(functional, f"{kind}{shape.rank}d"), **how)

    def results(self, shape, raw):
        arrays = [a.detach().float().cpu().numpy() for a in raw]
        weight = arrays[2:]
        if weight and shape.transposed:
            weight = [rows_first_back(weight[0], shape.groups)]
        elif weight:
            weight = [channels_last(weight[0])]
        wanted = (shape.y_shape, shape.x_shape, shape.w_shape)
        return [
            a.reshape(s) for a, s in zip([*map(channels_last, arrays[:2]), *weight], wanted, strict=False)
        ]  # fmt: skip


class TorchPacked(Torch):
    """torch with weights packed once by oneDNN, which torch does itself only in frozen graphs. The operators have no
    public names, so it runs when it is asked for."""

    name, devices = "torch-packed", ("cpu",)

    def convolution(self, shape, x, w):
        if shape.transposed or shape.training or shape.rank == 1:
            raise Unsupported("2-D and 3-D forward convolutions only")
        torch = self.torch
        pack = getattr(torch._C._nn, f"mkldnn_reorder_conv{shape.rank}d_weight")
        lists = [list(v) for v in (shape.padding, shape.stride, shape.dilation)]
        with torch.inference_mode():
            packed = pack(w.to_mkldnn(), *lists, shape.groups, list(x.shape))
        run = torch.ops.mkldnn._convolution_pointwise
        return lambda x, _: run(x, packed, None, *lists, shape.groups, "none", [], "")

    def variants(self, shape, x, w, gy):
        return {"packed": self.one_way(shape, x, w, gy)}


def as_rows(shape, x, w, gy=None):
    """A 1-D convolution as a 2-D one over a single row."""
    usual = dict(in_=1, kernel=1, stride=1, padding=0, dilation=1, output_padding=0)
    more = {k: (first, *getattr(shape, k)) for k, first in usual.items()}
    row = dataclasses.replace(shape, **more)
    return row, x[:, None], w[:, None], None if gy is None else gy[:, None]


def onnx_model(shape, w):
    """The bytes of an ONNX model of one node, channels first, with its weights as a constant."""
    from onnx import TensorProto, helper, numpy_helper

    how = dict(
        strides=shape.stride,
        pads=shape.padding * 2,
        dilations=shape.dilation,
        group=shape.groups,
        kernel_shape=shape.kernel,
    )
    if shape.transposed:
        w, how["output_padding"] = rows_first(w, shape.groups), shape.output_padding
    else:
        w = channels_first(w)
    node = helper.make_node("ConvTranspose" if shape.transposed else "Conv", ["x", "w"], ["y"], **how)
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [shape.batch, c, *sizes])
        for n, c, sizes in (("x", shape.c, shape.in_), ("y", shape.o, shape.out))
    )
    graph = helper.make_graph([node], "convolution", [x], [y], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


class OnnxRuntime(Contender):
    """A session with one node; its arrays lie channels first, as ONNX has it, and are bound once."""

    name, modules = "onnxruntime", ("onnxruntime", "onnx")

    def __init__(self, threads):
        import onnxruntime

        self.library, self.threads = onnxruntime, threads

    def variants(self, shape, x, w, gy):
        if shape.training:
            raise Unsupported("no gradients")
        calls = {"": self.one_way(shape, x, w)}
        if shape.rank == 1:
            calls["as 2-D"] = self.one_way(*as_rows(shape, x, w)[:3])
        return calls

    def one_way(self, shape, x, w):
        ort = self.library
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        session = ort.InferenceSession(onnx_model(shape, w), options, providers=["CPUExecutionProvider"])
        given = ort.OrtValue.ortvalue_from_numpy(channels_first(x))
        made = ort.OrtValue.ortvalue_from_numpy(np.empty((shape.batch, shape.o, *shape.out), np.float32))
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", given)
        binding.bind_ortvalue_output("y", made)

        def call():
            session.run_with_iobinding(binding)
            return [made]

        return call

    def results(self, shape, raw):
        return [channels_last(a.numpy()).reshape(shape.y_shape) for a in raw]


class OpenVino(Contender):
    """A compiled model of one node in float32, channels first as well as channels last."""

    name, modules = "openvino", ("openvino", "onnx")

    def __init__(self, threads):
        import openvino

        self.library, self.core = openvino, openvino.Core()
        self.settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }

    def variants(self, shape, x, w, gy):
        if shape.training:
            raise Unsupported("no gradients")
        calls = {}
        for last in (False, True):
            order = "channels last" if last else "channels first"
            calls[order] = self.one_way(last, shape, x, w)
            if shape.rank == 1:
                calls[f"{order}, as 2-D"] = self.one_way(last, *as_rows(shape, x, w)[:3])
        return calls

    def one_way(self, last, shape, x, w):
        ov = self.library
        model = self.core.read_model(onnx_model(shape, w))
        if last:
            space = "DHW"[-shape.rank :]
            steps = ov.preprocess.PrePostProcessor(model)
            for side in (steps.input(), steps.output()):
                side.tensor().set_layout(ov.Layout(f"N{space}C"))
                side.model().set_layout(ov.Layout(f"NC{space}"))
            model = steps.build()
        request = self.core.compile_model(model, "CPU", self.settings).create_infer_request()
        request.set_input_tensor(ov.Tensor(np.ascontiguousarray(x) if last else channels_first(x)))

        def call():
            request.infer()
            return [(last, request.get_output_tensor().data)]

        return call

    def results(self, shape, raw):
        return [(a if last else channels_last(a)).reshape(shape.y_shape) for last, a in raw]


class Jax(Contender):
    """A compiled function; its weights are a constant of it, except in training."""

    name, modules = "jax", ("jax",)

    def __init__(self, threads):
        import jax

        self.jax = jax
        jax.config.update("jax_default_matmul_precision", "highest")

    def variants(self, shape, x, w, gy):
        jax, space = self.jax, "DHW"[-shape.rank :]
        how = dict(
            window_strides=shape.stride,
            padding=[(p, p) for p in shape.padding],
            rhs_dilation=shape.dilation,
            feature_group_count=shape.groups,
            dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        )
        w = np.moveaxis(w, 0, -1)
        if shape.transposed:
            w = np.flip(w, tuple(range(shape.rank)))
            edges = [d * (k - 1) - p for d, k, p in zip(shape.dilation, shape.kernel, shape.padding, strict=True)]
            how |= dict(
                window_strides=(1,) * shape.rank,
                lhs_dilation=shape.stride,
                padding=[(e, e + extra) for e, extra in zip(edges, shape.output_padding, strict=True)],
            )
        x, w = jax.device_put(x), jax.device_put(np.ascontiguousarray(w))
        convolve = functools.partial(jax.lax.conv_general_dilated, **how)
        if not shape.training:
            forward = jax.jit(lambda x: convolve(x, w))
            return {"": lambda: [forward(x).block_until_ready()]}
        gy = jax.device_put(gy)

        @jax.jit
        def step(x, w, gy):
            y, back = jax.vjp(convolve, x, w)
            return [y, *back(gy)]

        return {"": lambda: jax.block_until_ready(step(x, w, gy))}

    def results(self, shape, raw):
        y, *grads = [np.asarray(a) for a in raw]
        if grads and shape.transposed:
            grads[1] = np.flip(grads[1], tuple(range(shape.rank)))
        return [y, *grads[:1], *(np.moveaxis(g, -1, 0) for g in grads[1:])]


PEERS = {c.name: c for c in (Torch, OnnxRuntime, OpenVino, Jax, Mlx, TorchPacked)}
DEFAULT_PEERS = [name for name in PEERS if name != TorchPacked.name]
ALL = {c.name: c for c in (Nhwc, Reference, *PEERS.values())}


def missing_modules(name):
    """What would have to be installed for a contender."""
    import importlib.util

    def absent(module):
        try:
            return importlib.util.find_spec(module) is None
        except ModuleNotFoundError:
            return True

    return [module for module in ALL[name].modules if absent(module)]


def relative_errors(results, reference):
    """The relative L2 error of each array, against float64."""
    return [
        float(np.linalg.norm((a.astype(np.float64) - b).ravel()) / max(np.linalg.norm(b.ravel()), 1e-300))
        for a, b in zip(results, reference, strict=True)
    ]
