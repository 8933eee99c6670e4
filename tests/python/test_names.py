# tests/python/test_names.py -- every name that the documentation promises exists, and takes the arguments of mlx.core
import inspect
import re

import pytest

import nhwc as mx

CONVOLUTIONS = "conv1d conv2d conv3d conv_general conv_transpose1d conv_transpose2d conv_transpose3d convolve"
CREATION = """
    array asarray from_dlpack bool_ uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32
    float64 Dtype issubdtype floating finfo result_type inf nan pi newaxis zeros ones full arange linspace eye
    diag tri tril triu meshgrid zeros_like ones_like full_like
"""
ELEMENTWISE = """
    add subtract multiply divide floor_divide remainder power negative abs sign square sqrt rsqrt reciprocal exp
    expm1 log log1p log2 log10 logaddexp sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh sigmoid erf
    maximum minimum clip where equal not_equal less less_equal greater greater_equal logical_and logical_or
    logical_not isnan isinf isfinite nan_to_num floor ceil round
"""
REDUCTIONS = """sum mean prod max min var std all any argmax argmin logsumexp softmax cumsum cumprod sort argsort topk
    partition argpartition"""
SHAPES = """
    reshape transpose swapaxes moveaxis squeeze expand_dims flatten unflatten broadcast_to concatenate stack
    split repeat tile pad roll flip take take_along_axis put_along_axis contiguous
"""
LINEAR = """
    matmul addmm outer inner tensordot einsum linalg.norm fast.layer_norm fast.rms_norm
    fast.scaled_dot_product_attention fast.rope fast.metal_kernel
"""
RANDOM = """
    random.key random.seed random.split random.normal random.uniform random.bernoulli random.randint
    random.truncated_normal random.categorical random.permutation random.state
"""
TRANSFORMS = """
    stop_gradient allclose isclose array_equal eval async_eval grad value_and_grad vjp jvp vmap compile
    disable_compile enable_compile checkpoint custom_function save load savez save_safetensors
"""
DEVICES = """
    Device DeviceType Stream cpu gpu default_device set_default_device default_stream set_default_stream
    new_stream stream synchronize clear_streams get_active_memory get_peak_memory reset_peak_memory
    get_cache_memory clear_cache set_memory_limit get_memory_limit set_cache_limit metal.is_available
    metal.start_capture metal.get_peak_memory metal.clear_cache metal.set_cache_limit cuda.is_available export_to_dot
"""
OURS = """
    explain set_num_threads num_threads set_workspace_limit get_workspace_limit batch_invariant set_batch_invariant
    tune tuning profile __version__
"""

METHODS = """
    astype item tolist shape size ndim nbytes itemsize dtype T at __array__ __dlpack__ __dlpack_device__ __len__
    __iter__ __repr__ __copy__ __deepcopy__ __reduce_ex__ __getitem__ __setitem__ abs all any argmax argmin conj
    cos cummax cumprod cumsum diag diagonal exp flatten log log10 log1p log2 logsumexp max mean min moveaxis
    prod reciprocal reshape round rsqrt sin split sqrt square squeeze std sum swapaxes transpose var view
"""
NOT_PROMISED = {"conj", "cummax", "view", "diagonal", "diag"}  # MLX's, not in the documentation's list

PROMISED = " ".join(
    (CONVOLUTIONS, CREATION, ELEMENTWISE, REDUCTIONS, SHAPES, LINEAR, RANDOM, TRANSFORMS, DEVICES, OURS)
).split()


def find(root, dotted):
    for part in dotted.split("."):
        root = getattr(root, part)
    return root


@pytest.mark.parametrize("name", PROMISED)
def test_name_exists(name):
    find(mx, name)


@pytest.mark.parametrize("name", sorted(set(METHODS.split()) - NOT_PROMISED))
def test_method_exists(name):
    assert hasattr(mx.array, name)


OPERATORS = """
    add sub mul truediv floordiv mod pow matmul and or xor neg invert eq ne lt le gt ge iadd isub imul itruediv
    radd rsub rmul rpow rtruediv
"""


@pytest.mark.parametrize("name", OPERATORS.split())
def test_operator_exists(name):
    assert f"__{name}__" in dir(mx.array)


def parameters(text, name):
    """Names of the arguments in the first signature of a docstring, in order, with * and / kept."""
    found = re.search(rf"{name}\((.*?)\)\s*->", text, re.DOTALL)
    if not found:
        return None
    depth, part, parts = 0, "", []
    for c in found[1] + ",":
        depth += c in "([{"
        depth -= c in ")]}"
        if c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    return [re.split(r"[:=\s]", p)[0] for p in parts if p]


@pytest.mark.parametrize("name", [n for n in PROMISED if n not in OURS.split()])
def test_arguments_are_mlx_own(name):
    mlx = pytest.importorskip("mlx.core")
    theirs = find(mlx, name) if name != "asarray" or hasattr(mlx, name) else None
    if theirs is None or inspect.isclass(theirs) or not callable(theirs):
        pytest.skip("not a function")
    last = name.split(".")[-1]
    expected, got = parameters(theirs.__doc__ or "", last), parameters(signature(find(mx, name), last), last)
    if not expected or not got:
        pytest.skip("no signature to read")
    plain = [p for p in got if not p.startswith("*") and p != "/"]
    missing = [p for p in expected if not p.startswith("*") and p != "/" and p not in plain]
    assert not missing, f"{name}{tuple(got)} lacks {missing} of {tuple(expected)}"
    common = [p for p in plain if p in expected]
    assert common == [p for p in expected if p in common], f"{name}: order {got}, expected {expected}"


def signature(function, name):
    """As `name(arguments) -> result`, from nanobind or from Python."""
    lines = [entry[0] for entry in getattr(function, "__nb_signature__", ())]
    if lines:
        return lines[0].replace("def ", "", 1)
    try:
        return f"{name}{inspect.signature(function)} ->".replace(" -> ", ") -> ", 0)
    except (TypeError, ValueError):
        return function.__doc__ or ""


def test_the_module_lists_what_it_has():
    assert {n for n in PROMISED if "." not in n and not n.startswith("_")} <= set(dir(mx))
    assert re.fullmatch(r"\d+\.\d+\.\d+", mx.__version__)
