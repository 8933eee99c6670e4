# tests/python/test_transforms.py -- gradients, products with Jacobians, vmap, checkpoint, custom functions, nested
import io
import threading

import numpy as np
import pytest

import nhwc as mx
from strategies import ON_GPU

X, Y = mx.array(2.0), mx.array(3.0)


def close(a, b, **kwargs):
    np.testing.assert_allclose(np.array(a), np.array(b), **{"rtol": 1e-5, "atol": 1e-6, **kwargs})


# ---- grad and value_and_grad: which arguments, and in what structure


def xxy(x, y):
    return x * x * y


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 12.0), ({"argnums": 1}, 4.0), ({"argnums": [0]}, 12.0), ({"argnums": (0, 1)}, (12.0, 4.0))],
)
def test_argnums(options, expected):
    value, gradient = mx.value_and_grad(xxy, **options)(X, Y)
    assert value.item() == 12.0
    got = tuple(g.item() for g in gradient) if isinstance(gradient, tuple) else gradient.item()
    assert got == expected
    alone = mx.grad(xxy, **options)(X, Y)
    assert type(alone) is type(gradient)


def test_gradients_come_in_the_order_of_the_arguments():
    assert [g.item() for g in mx.grad(xxy, argnums=(1, 0))(X, Y)] == [12.0, 4.0]


def test_argnames():
    positional, named = mx.grad(xxy, argnames="y")(X, y=Y)
    assert positional is None
    assert named["y"].item() == 4.0
    positional, named = mx.grad(xxy, argnums=0, argnames=["y"])(X, y=Y)
    assert (positional.item(), named["y"].item()) == (12.0, 4.0)


def test_trees_of_arguments_keep_their_structure():
    def f(p):
        return p["a"] * p["b"][0] + p["c"][1]["d"] ** 2

    gradient = mx.grad(f)({"a": X, "b": [Y], "c": (X, {"d": Y})})
    assert gradient["a"].item() == 3.0
    assert isinstance(gradient["b"], list)
    assert gradient["b"][0].item() == 2.0
    assert isinstance(gradient["c"], tuple)
    assert gradient["c"][0].item() == 0.0
    assert gradient["c"][1]["d"].item() == 6.0


def test_other_arguments_may_be_anything():
    assert mx.grad(lambda x, s, k=None: x * len(s) * k["n"])(X, "abc", k={"n": 2}).item() == 6.0


def test_results_after_the_first_are_passed_on():
    (value, extra, text), gradient = mx.value_and_grad(lambda x: (x * x, x + 1, "hi"))(X)
    assert (value.item(), extra.item(), text, gradient.item()) == (4.0, 3.0, "hi", 4.0)


def test_what_does_not_matter_has_gradient_zero():
    gradients = mx.grad(lambda x, y: x * 1.0, argnums=(0, 1))(X, mx.ones((2, 3)))
    assert gradients[1].shape == (2, 3)
    assert gradients[1].sum().item() == 0.0
    assert mx.grad(lambda x: mx.stop_gradient(x * x) * x)(X).item() == 4.0
    assert mx.grad(lambda x: mx.array(5.0))(X).item() == 0.0


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64])
def test_gradients_have_the_dtype_of_their_argument(dtype):
    x = mx.array([1.0, 2.0]).astype(dtype)
    assert mx.grad(lambda x: (x.astype(mx.float32) ** 2).sum())(x).dtype == dtype


BAD_GRADS = [
    (lambda: mx.grad(xxy, argnums=2)(X, Y), ValueError, "out of range"),
    (lambda: mx.grad(xxy, argnums=-1)(X, Y), ValueError, "out of range"),
    (lambda: mx.grad(xxy, argnums=(0, 0))(X, Y), ValueError, "twice"),
    (lambda: mx.grad(xxy, argnums=[])(X, Y), ValueError, "argnums"),
    (lambda: mx.grad(xxy, argnums="x")(X, Y), TypeError, "argnums"),
    (lambda: mx.grad(xxy, argnums=True)(X, Y), TypeError, "argnums"),
    (lambda: mx.grad(xxy, argnames="z")(X, y=Y), ValueError, "z"),
    (lambda: mx.grad(xxy)(2.0, Y), TypeError, "float"),
    (lambda: mx.grad(xxy)({"a": 3}, Y), TypeError, "int"),
    (lambda: mx.grad(lambda x: x)(mx.array([1.0, 2.0])), ValueError, r"\(2,\)"),
    (lambda: mx.grad(lambda x: 3.0)(X), ValueError, "float"),
    (lambda: mx.grad(lambda x: None)(X), ValueError, "NoneType"),
    (lambda: mx.grad(lambda x: x.sum())(mx.array([1, 2])), ValueError, "int32"),
    (lambda: mx.grad(3), TypeError, "int"),
    (lambda: mx.vjp(mx.sin, [X], [X, X]), ValueError, "1 outputs but 2"),
    (lambda: mx.vjp(mx.sin, [X], [mx.ones(2)]), ValueError, "shape"),
    (lambda: mx.jvp(mx.sin, [X], [mx.ones(2)]), ValueError, "shape"),
    (lambda: mx.vjp(lambda x: 3, [X], [X]), TypeError, "int"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD_GRADS)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_errors_of_the_function_are_passed_on():
    class Own(Exception):
        pass

    own = Own("mine")

    def f(x):
        raise own

    custom = mx.custom_function(lambda x: x * 2)
    custom.vjp(lambda p, c, o: f(p))
    calls = [
        lambda: mx.grad(f)(X),
        lambda: mx.vjp(f, [X], [X]),
        lambda: mx.jvp(f, [X], [X]),
        lambda: mx.vmap(f)(mx.ones(3)),
        lambda: mx.compile(f)(X),
        lambda: mx.checkpoint(f)(X),
        lambda: mx.custom_function(f)(X),
        lambda: mx.grad(custom)(X),
        lambda: mx.compile(mx.grad(mx.vmap(f)))(A),
    ]
    for call in calls:
        with pytest.raises(Own) as caught:
            call()
        assert caught.value is own
    assert mx.grad(lambda x: x * x)(X).item() == 4.0  # nothing is left behind


# ---- vjp, jvp, second derivatives


def test_vjp_and_jvp():
    def f(x, y):
        return x * y, mx.sin(x)

    outputs, cotangents = mx.vjp(f, [X, Y], [mx.array(1.0), mx.array(10.0)])
    close(outputs, [6.0, np.sin(2.0)])
    close(cotangents, [3.0 + 10 * np.cos(2.0), 2.0])
    outputs, tangents = mx.jvp(f, (X, Y), (mx.array(1.0), mx.array(10.0)))
    close(tangents, [3.0 + 20.0, np.cos(2.0)])


def test_higher_derivatives():
    f = lambda x: x**4  # noqa: E731
    for n, expected in enumerate([32.0, 48.0, 48.0, 24.0, 0.0], 1):
        g = f
        for _ in range(n):
            g = mx.grad(g)
        assert g(X).item() == pytest.approx(expected)


WIDEST, CLOSE = (mx.float32, 1e-3) if ON_GPU else (mx.float64, 1e-10)


def test_hessian_in_four_ways():
    rng = np.random.default_rng(0)
    a = mx.array(rng.standard_normal((4, 4)), dtype=WIDEST)
    x = mx.array(rng.standard_normal(4), dtype=WIDEST)
    basis = mx.eye(4, dtype=WIDEST)

    def f(x):
        return (mx.sin(a @ x) ** 2).sum() + (x**3).sum()

    forward_reverse = [mx.jvp(mx.grad(f), [x], [v])[1][0] for v in basis]
    reverse_reverse = [mx.vjp(mx.grad(f), [x], [v])[1][0] for v in basis]
    mapped = mx.vmap(lambda v: mx.jvp(mx.grad(f), [x], [v])[1][0])(basis)
    dotted = mx.vmap(lambda v: mx.grad(lambda x: (mx.grad(f)(x) * v).sum())(x))(basis)
    y, m = np.array(a) @ np.array(x), np.array(a)
    expected = m.T @ np.diag(2 * np.cos(2 * y)) @ m + np.diag(6 * np.array(x))
    for hessian in (mx.stack(forward_reverse), mx.stack(reverse_reverse), mapped, dotted):
        close(hessian, expected, rtol=CLOSE)


def test_gradient_of_a_convolution_in_every_nesting():
    rng = np.random.default_rng(1)
    x = mx.array(rng.standard_normal((2, 6, 6, 3)), dtype=WIDEST)
    w = mx.array(rng.standard_normal((4, 3, 3, 3)), dtype=WIDEST)

    def loss(w, x):
        return (mx.conv2d(x, w, padding=1) ** 2).sum()

    plain = mx.grad(loss)(w, x)
    close(mx.compile(mx.grad(loss))(w, x), plain, rtol=CLOSE)
    close(mx.grad(mx.compile(loss))(w, x), plain, rtol=CLOSE)
    close(mx.grad(mx.checkpoint(loss))(w, x), plain, rtol=CLOSE)
    close(mx.compile(mx.grad(mx.checkpoint(mx.compile(loss))))(w, x), plain, rtol=CLOSE)
    each = mx.vmap(mx.grad(lambda w, x: loss(w, x[None])), in_axes=(None, 0))(w, x)
    close(each.sum(0), plain, rtol=CLOSE)
    close(mx.vmap(mx.compile(mx.grad(lambda w, x: loss(w, x[None]))), in_axes=(None, 0))(w, x), each, rtol=CLOSE)


# ---- vmap

A = mx.arange(6).reshape(2, 3).astype(mx.float32)


def test_vmap_axes():
    assert mx.vmap(lambda a: a.sum())(A).tolist() == [3.0, 12.0]
    assert mx.vmap(lambda a: a.sum(), in_axes=1)(A).tolist() == [3.0, 5.0, 7.0]
    assert mx.vmap(lambda a: a * 2, in_axes=-1, out_axes=-1)(A).tolist() == (A * 2).tolist()
    assert mx.vmap(lambda a: a, out_axes=1)(A).tolist() == A.T.tolist()
    assert mx.vmap(lambda a, b: a + b, in_axes=(0, None))(A, mx.array([1.0, 2.0, 3.0])).tolist() == [
        [1, 3, 5],
        [4, 6, 8],
    ]
    _, b = mx.vmap(lambda a: (a, mx.array(1.0)), out_axes=(0, None))(A)
    assert b.shape == ()


def test_vmap_of_trees():
    f = mx.vmap(
        lambda d: {"s": d["a"] + d["b"], "t": (d["a"],)},
        in_axes=({"a": 0, "b": None},),
        out_axes={"s": 1, "t": 0},
    )
    out = f({"a": A, "b": mx.array([1.0, 2.0, 3.0])})
    assert out["s"].tolist() == [[1, 4], [3, 6], [5, 8]]
    assert out["t"][0].tolist() == A.tolist()
    assert mx.vmap(lambda d: d["a"] * d["b"])({"a": A, "b": A}).tolist() == (A * A).tolist()


def test_vmap_nested():
    outer = mx.vmap(mx.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    assert outer(mx.array([1.0, 2.0]), mx.array([3.0, 4.0, 5.0])).tolist() == [[3, 4, 5], [6, 8, 10]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: mx.vmap(lambda a, b: a + b)(A, A.T), ValueError),
        (lambda: mx.vmap(lambda a: a, in_axes=5)(A), (ValueError, IndexError)),
        (lambda: mx.vmap(lambda a: a)(X), (ValueError, IndexError)),
        (lambda: mx.vmap(lambda a: a, in_axes=None)(A), ValueError),
        (lambda: mx.vmap(lambda a, b: a, in_axes=(0,))(A, A), ValueError),
        (lambda: mx.vmap(lambda a, b: a * b)(A, 2), TypeError),
        (lambda: mx.vmap(lambda a: 3)(A), TypeError),
        (lambda: mx.vmap(lambda a: a, in_axes="x")(A), TypeError),
        (lambda: mx.vmap(lambda a: a, out_axes=(0, 0))(A), ValueError),
        (lambda: mx.vmap(lambda a: a * a.sum().item())(A), ValueError),
    ],
)
def test_vmap_mistakes(call, error):
    with pytest.raises(error, match=r"\["):
        call()


# ---- checkpoint


def test_checkpoint_computes_again_in_the_backward_pass():
    calls = []

    def f(x, scale=1.0):
        calls.append(1)
        return {"r": mx.sin(x["v"]) * scale}

    g = mx.checkpoint(f)
    assert g({"v": X}, scale=2.0)["r"].item() == pytest.approx(2 * np.sin(2.0))
    gradient = mx.grad(lambda v: g({"v": v}, scale=3.0)["r"].sum())(A)
    close(gradient, 3 * np.cos(np.array(A)))
    assert g.__name__ == "f"


# ---- custom functions


def test_custom_vjp():
    seen = []

    @mx.custom_function
    def f(x, y):
        return mx.sin(x) * y

    @f.vjp
    def f_vjp(primals, cotangent, output):
        seen.append(output.item())
        return cotangent * primals[1] * 10, cotangent * 100

    assert f_vjp is f
    assert f(X, Y).item() == pytest.approx(3 * np.sin(2.0))
    assert [g.item() for g in mx.grad(f, argnums=(0, 1))(X, Y)] == [30.0, 100.0]
    assert seen == pytest.approx([3 * np.sin(2.0)])
    close(mx.jvp(mx.custom_function(lambda x: mx.sin(x)), [X], [Y])[1][0], 3 * np.cos(2.0))


def test_custom_vjp_of_trees_and_several_outputs():
    @mx.custom_function
    def f(d):
        return d["a"] * 2, {"b": d["b"] * 3}

    @f.vjp
    def _(primal, cotangents, outputs):
        assert set(primal) == {"a", "b"}
        assert set(outputs[1]) == {"b"}
        return {"a": cotangents[0] * 7, "b": cotangents[1]["b"] * 8}

    def loss(d):
        first, second = f(d)
        return first + 10 * second["b"]

    gradient = mx.grad(loss)({"a": X, "b": Y})
    assert (gradient["a"].item(), gradient["b"].item()) == (7.0, 80.0)


def test_custom_vjp_may_give_none():
    f = mx.custom_function(lambda x, y: x * y)
    f.vjp(lambda p, c, o: (None, c * 5))
    assert [g.item() for g in mx.grad(f, argnums=(0, 1))(X, Y)] == [0.0, 5.0]
    f.vjp(lambda p, c, o: None)
    assert mx.grad(f)(X, Y).item() == 0.0
    f.vjp(lambda p, c, o: c)
    with pytest.raises(ValueError, match="one per primal"):
        mx.grad(f)(X, Y)


def test_custom_jvp_and_vmap():
    f = mx.custom_function(lambda x, y: x * y)
    f.jvp(lambda primals, tangents: tangents[0] * 10 + tangents[1] * 100)
    assert mx.jvp(f, [X, Y], [X, Y])[1][0].item() == 320.0
    seen = []

    @f.vmap
    def _(inputs, axes):
        seen.append(axes)
        return inputs[0] * 100, axes[0]

    assert mx.vmap(f, in_axes=(0, None))(mx.array([1.0, 2.0]), Y).tolist() == [100.0, 200.0]
    assert seen == [(0, None)]


def test_custom_functions_without_rules_are_differentiated_as_written():
    f = mx.custom_function(lambda x, k=2: x * x * k)
    assert mx.grad(lambda x: f(x, k=5))(X).item() == 20.0
    assert mx.vmap(f)(A).tolist() == (A * A * 2).tolist()
    assert mx.grad(mx.grad(f))(X).item() == 4.0


def test_custom_gradient_under_vmap_and_compile():
    f = mx.custom_function(lambda x: x * 2)
    f.vjp(lambda p, c, o: c * 100 * p)
    v = mx.array([1.0, 2.0, 3.0])
    assert mx.vmap(mx.grad(f))(v).tolist() == [100.0, 200.0, 300.0]
    assert mx.compile(mx.grad(lambda v: f(v).sum()))(v).tolist() == [100.0, 200.0, 300.0]
    assert mx.grad(mx.compile(lambda v: f(v).sum()))(v).tolist() == [100.0, 200.0, 300.0]
    assert mx.grad(mx.checkpoint(lambda v: f(v).sum()))(v).tolist() == [100.0, 200.0, 300.0]


# ---- evaluation, pictures, threads


def test_eval_takes_trees_and_anything():
    a, b = X + 1, Y + 1
    mx.eval(a, [b, {"k": (3, "text", None)}])
    mx.async_eval([a * 2], {"b": b})
    mx.eval()
    mx.synchronize()
    assert (a.item(), b.item()) == (3.0, 4.0)


def test_trees_that_hold_themselves_raise():
    tree = [X]
    tree.append(tree)
    for call in (lambda: mx.eval(tree), lambda: mx.compile(lambda t: t)(tree), lambda: mx.grad(lambda t: t[0])(tree)):
        with pytest.raises(RecursionError):
            call()


def test_export_to_dot(tmp_path):
    x = mx.array(1.0)
    out = io.StringIO()
    mx.export_to_dot(out, mx.sin(x) + 1, named=x)
    assert "digraph" in out.getvalue()
    assert "sin" in out.getvalue()
    mx.export_to_dot(tmp_path / "graph.dot", mx.exp(x))
    assert "exp" in (tmp_path / "graph.dot").read_text()


def test_transformations_from_several_threads():
    results, f = {}, mx.compile(lambda x: mx.grad(lambda y: (mx.sin(y) * x).sum())(x))

    def work(i):
        x = mx.full((i + 2,), float(i))
        for _ in range(20):
            out = f(x)
            mx.eval(out)
        results[i] = np.array(out)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i in range(8):
        close(results[i], np.full(i + 2, np.cos(float(i)) * i))
