// python/src/bind_random.cpp -- the submodule random: MLX's generators, and the state they draw keys from
#include <nanobind/stl/variant.h>

#include <chrono>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

// The list `random.state`: its one item is the key that the next draw splits. A list, so that compile can capture it.
PyObject* state = nullptr;

Array key_or_next(nb::object key) {
  if (!key.is_none()) {
    const Array* given = as_array(key);
    if (!given)
      throw nb::type_error(
          ("[random] key must be an array as random.key(seed) gives, got " + python_type(key)).c_str());
    return *given;
  }
  const nb::handle first = PyList_Size(state) == 1 ? PyList_GetItem(state, 0) : nullptr;
  const Array* now = first ? as_array(first) : nullptr;
  if (!now) throw nb::type_error("[random] random.state must hold one array, a key; set it with random.seed");
  auto [next, drawn] = random::split(*now);
  PyList_SetItem(state, 0, wrap(next).release().ptr());
  return drawn;
}

void set_state(const Array& key) {
  nb::list fresh;
  fresh.append(wrap(key));
  if (PyList_SetSlice(state, 0, PyList_Size(state), fresh.ptr()) != 0) nb::raise_python_error();
}

uint64_t to_seed(nb::handle o) {
  const nb::object index = nb::steal(PyNumber_Index(o.ptr()));
  if (!index) {
    PyErr_Clear();
    throw nb::type_error(("[random] seed must be an int, got " + python_type(o)).c_str());
  }
  const uint64_t v = PyLong_AsUnsignedLongLong(index.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    raise<ValueError>("[random] seed ", nb::cast<std::string>(nb::str(index)),
                      " is out of range; expected 0 to 2**64 - 1");
  }
  return v;
}

Array param(const ScalarOrArray& v, Dtype t) { return to_operand(v.value, t); }

// The shape asked for, or that of the parameters.
Shape shape_or(nb::object shape, const Shape& otherwise) {
  return shape.is_none() ? otherwise : Shape(to_dims(shape, "random", "shape"));
}

#define NHWC_KEY_ARGS nb::arg("key") = nb::none(), nb::arg("stream") = nb::none()
#define NHWC_KEY_SIG "key: array | None = None, stream: Stream | Device | DeviceType | None = None) -> array"
#define NHWC_KEY_DOC \
  "    key (array, optional): from :func:`key`. Default: drawn from ``random.state``.\n" NHWC_STREAM_DOC
#define NHWC_DTYPE_DOC "    dtype (Dtype, optional): floating. Default: float32.\n"

void bind_keys(nb::module_& r) {
  r.def(
      "key", [](nb::object seed) { return random::key(to_seed(seed)); }, nb::arg("seed"),
      nb::sig("def key(seed: int) -> array"),
      "A key from a seed: the same seed gives the same numbers everywhere.\n\nArgs:\n    seed (int): 64 "
      "bits.\n\nReturns:\n    array: ``(2,)``, uint32.\n" NHWC_EXAMPLE "mx.random.key(7).tolist()\n    [0, 7]\n");
  r.def(
      "seed", [](nb::object seed) { set_state(random::key(to_seed(seed))); }, nb::arg("seed"),
      nb::sig("def seed(seed: int) -> None"),
      "Sets the key that draws without a key begin from.\n\nArgs:\n    seed (int): 64 bits.\n" NHWC_EXAMPLE
      "mx.random.seed(7)\n");
  r.def(
      "split",
      [](const Array& key, nb::object num, const StreamOrDevice& s) {
        OnStream scope(s, "random.split");
        return random::split(key, to_int(num, "random.split", "num"));
      },
      nb::arg("key"), nb::arg("num") = 2, nb::arg("stream") = nb::none(),
      nb::sig("def split(key: array, num: int = 2, stream: Stream | Device | DeviceType | None = None) -> array"),
      "New keys from a key.\n\nArgs:\n    key (array): from :func:`key`.\n    num (int): how many. Default: "
      "``2``.\n" NHWC_STREAM_DOC "\nReturns:\n    array: ``(num, 2)``, uint32.\n" NHWC_EXAMPLE
      "mx.random.split(mx.random.key(0), 3).shape\n    (3, 2)\n");
}

void bind_uniform(nb::module_& r) {
  r.def(
      "uniform",
      [](const ScalarOrArray& low, const ScalarOrArray& high, nb::object shape, std::optional<Dtype> dtype,
         nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.uniform");
        const Dtype t = dtype.value_or(Dtype::float32);
        return random::uniform(param(low, t), param(high, t), shape_or(shape, {}), t, key_or_next(key));
      },
      nb::arg("low") = 0, nb::arg("high") = 1, nb::arg("shape") = nb::tuple(), nb::arg("dtype").none() = Dtype::float32,
      NHWC_KEY_ARGS,
      nb::sig("def uniform(low: " NHWC_SCALAR_SIG " = 0, high: " NHWC_SCALAR_SIG
              " = 1, shape: Sequence[int] = (), dtype: Dtype | None = float32, " NHWC_KEY_SIG),
      "Numbers spread evenly over [low, high).\n\nArgs:\n    low, high (array): the bounds, broadcast. Default: ``0`` "
      "and ``1``.\n"
      "    shape (tuple): Default: ``()``.\n" NHWC_DTYPE_DOC NHWC_KEY_DOC
      "\nReturns:\n    array: ``shape``.\n" NHWC_EXAMPLE "mx.random.uniform(shape=(2, 3)).shape\n    (2, 3)\n");
  r.def(
      "normal",
      [](nb::object shape, std::optional<Dtype> dtype, const std::optional<ScalarOrArray>& loc,
         const std::optional<ScalarOrArray>& scale, nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.normal");
        const Dtype t = dtype.value_or(Dtype::float32);
        auto optional = [&](const std::optional<ScalarOrArray>& v) -> std::optional<Array> {
          if (!v) return {};
          return param(*v, t);
        };
        return random::normal(shape_or(shape, {}), t, optional(loc), optional(scale), key_or_next(key));
      },
      nb::arg("shape") = nb::tuple(), nb::arg("dtype").none() = Dtype::float32, nb::arg("loc") = nb::none(),
      nb::arg("scale") = nb::none(), NHWC_KEY_ARGS,
      nb::sig("def normal(shape: Sequence[int] = (), dtype: Dtype | None = float32, loc: " NHWC_SCALAR_SIG
              " | None = None, scale: " NHWC_SCALAR_SIG " | None = None, " NHWC_KEY_SIG),
      "Numbers of the normal distribution.\n\nArgs:\n    shape (tuple): Default: ``()``.\n" NHWC_DTYPE_DOC
      "    loc, scale (array, optional): mean and standard deviation, broadcast. Default: ``0`` and "
      "``1``.\n" NHWC_KEY_DOC "\nReturns:\n    array: ``shape``.\n" NHWC_EXAMPLE
      "mx.random.normal((2, 3)).shape\n    (2, 3)\n");
  r.def(
      "truncated_normal",
      [](const ScalarOrArray& low, const ScalarOrArray& high, nb::object shape, std::optional<Dtype> dtype,
         nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.truncated_normal");
        const Dtype t = dtype.value_or(Dtype::float32);
        const Array a = param(low, t), b = param(high, t);
        return random::truncated_normal(a, b, shape_or(shape, broadcast_shapes(a.shape(), b.shape())), t,
                                        key_or_next(key));
      },
      nb::arg("lower"), nb::arg("upper"), nb::arg("shape") = nb::none(), nb::arg("dtype").none() = Dtype::float32,
      NHWC_KEY_ARGS,
      nb::sig("def truncated_normal(lower: " NHWC_SCALAR_SIG ", upper: " NHWC_SCALAR_SIG
              ", shape: Sequence[int] | None = None, dtype: Dtype | None = float32, " NHWC_KEY_SIG),
      "Numbers of the normal distribution between bounds.\n\nArgs:\n    lower, upper (array): the bounds, broadcast.\n "
      "   shape (tuple, optional): Default: that of the bounds.\n" NHWC_DTYPE_DOC NHWC_KEY_DOC
      "\nReturns:\n    array: ``shape``.\n" NHWC_EXAMPLE
      "mx.random.truncated_normal(-1, 1, (2, 3)).shape\n    (2, 3)\n");
}

void bind_discrete(nb::module_& r) {
  r.def(
      "bernoulli",
      [](const ScalarOrArray& p, nb::object shape, nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.bernoulli");
        const Array a = param(p, Dtype::float32);
        return random::bernoulli(a, shape_or(shape, a.shape()), key_or_next(key));
      },
      nb::arg("p") = 0.5, nb::arg("shape") = nb::none(), NHWC_KEY_ARGS,
      nb::sig("def bernoulli(p: " NHWC_SCALAR_SIG " = 0.5, shape: Sequence[int] | None = None, " NHWC_KEY_SIG),
      "True with a probability.\n\nArgs:\n    p (array): the probability, broadcast. Default: ``0.5``.\n    shape "
      "(tuple, optional): Default: that of ``p``.\n" NHWC_KEY_DOC
      "\nReturns:\n    array: ``shape``, bool.\n" NHWC_EXAMPLE
      "mx.random.bernoulli(1.0, (2,)).tolist()\n    [True, True]\n");
  r.def(
      "randint",
      [](const ScalarOrArray& low, const ScalarOrArray& high, nb::object shape, std::optional<Dtype> dtype,
         nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.randint");
        const auto [a, b] = to_arrays(low, high);
        return random::randint(a, b, shape_or(shape, broadcast_shapes(a.shape(), b.shape())),
                               dtype.value_or(Dtype::int32), key_or_next(key));
      },
      nb::arg("low"), nb::arg("high"), nb::arg("shape") = nb::tuple(), nb::arg("dtype").none() = Dtype::int32,
      NHWC_KEY_ARGS,
      nb::sig("def randint(low: " NHWC_SCALAR_SIG ", high: " NHWC_SCALAR_SIG
              ", shape: Sequence[int] = (), dtype: Dtype | None = int32, " NHWC_KEY_SIG),
      "Integers spread evenly over [low, high).\n\nArgs:\n    low, high (array): the bounds, broadcast.\n    shape "
      "(tuple): Default: ``()``.\n    dtype (Dtype, optional): integer. Default: int32.\n" NHWC_KEY_DOC
      "\nReturns:\n    array: ``shape``.\n" NHWC_EXAMPLE "mx.random.randint(3, 4, (2,)).tolist()\n    [3, 3]\n");
  r.def(
      "categorical",
      [](const Array& logits, int axis, nb::object shape, nb::object num, nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.categorical");
        std::optional<Shape> rows;
        if (!shape.is_none()) rows = to_dims(shape, "random.categorical", "shape");
        std::optional<int64_t> count;
        if (!num.is_none()) count = to_int(num, "random.categorical", "num_samples");
        return random::categorical(logits, axis, rows, count, key_or_next(key));
      },
      nb::arg("logits"), nb::arg("axis") = -1, nb::arg("shape") = nb::none(), nb::arg("num_samples") = nb::none(),
      NHWC_KEY_ARGS,
      nb::sig("def categorical(logits: array, axis: int = -1, shape: Sequence[int] | None = None, num_samples: int | "
              "None = None, " NHWC_KEY_SIG),
      "Indices with the probabilities softmax(logits).\n\nArgs:\n    logits (array): unnormalised log-probabilities.\n "
      "   axis (int): of the categories. Default: ``-1``.\n"
      "    shape (tuple, optional): broadcasts with the other axes. Default: one sample a row.\n    num_samples (int, "
      "optional): so many a row instead.\n" NHWC_KEY_DOC
      "\nReturns:\n    array: uint32.\n\nRaises:\n    ValueError: both shape and num_samples.\n" NHWC_EXAMPLE
      "mx.random.categorical(mx.zeros((4, 3)), num_samples=5).shape\n    (4, 5)\n");
  r.def(
      "permutation",
      [](nb::object x, int axis, nb::object key, const StreamOrDevice& s) {
        OnStream scope(s, "random.permutation");
        if (PyLong_Check(x.ptr())) return random::permutation(to_int(x, "random.permutation", "x"), key_or_next(key));
        return random::permutation(to_array(x), axis, key_or_next(key));
      },
      nb::arg("x"), nb::arg("axis") = 0, NHWC_KEY_ARGS,
      nb::sig("def permutation(x: int | array, axis: int = 0, " NHWC_KEY_SIG),
      "The numbers below ``x``, or the slices of ``x``, in random order.\n\nArgs:\n    x (int | array): how many, or "
      "what.\n    axis (int): along which. Default: ``0``.\n" NHWC_KEY_DOC
      "\nReturns:\n    array: ``(x,)`` uint32, or the shape of ``x``.\n" NHWC_EXAMPLE
      "mx.random.permutation(4).shape\n    (4,)\n");
}

}  // namespace

void bind_random(nb::module_& m) {
  nb::module_ r = m.def_submodule("random", "Random numbers from keys, by MLX's algorithms.");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  nb::list keys;
  keys.append(
      wrap(random::key(static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()))));
  r.attr("state") = keys;
  state = keys.release().ptr();  // lives as long as the process, as the module does
  bind_keys(r);
  bind_uniform(r);
  bind_discrete(r);
}

}  // namespace nhwc::py
