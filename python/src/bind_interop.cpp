// python/src/bind_interop.cpp -- asarray and from_dlpack
#include "bind.h"
#include "convert.h"
#include "interop.h"

namespace nhwc::py {
namespace {

Array asarray(nb::object a, std::optional<Dtype> dtype, std::optional<bool> copy) {
  bool always = copy.value_or(false), never = copy.has_value() && !*copy;
  if (Array* x = as_array(a)) {
    if (dtype && *dtype != x->dtype()) {
      if (never) raise<ValueError>("[asarray] a copy is needed to go from ", name(x->dtype()), " to ", name(*dtype));
      return astype(*x, *dtype);
    }
    if (!always) return *x;
    evaluate_nogil(*x);
    return copy_strided(*x, x->dtype());
  }
  bool memory = exports_memory(a) && !PyFloat_Check(a.ptr());  // numpy.float64 is a Python float
  if (!memory) {
    if (never) raise<ValueError>("[asarray] ", python_type(a), " holds no memory to share; use copy=None or copy=True");
    return to_array(a, dtype);
  }
  if (never) {
    Array x = import_alias(a, "asarray");
    if (dtype && *dtype != x.dtype())
      raise<ValueError>("[asarray] a copy is needed to go from ", name(x.dtype()), " to ", name(*dtype));
    return x;
  }
  return import_memory(a, dtype, !always, "asarray");
}

Array from_dlpack(nb::object x, std::optional<bool> copy) {
  Array a = import_dlpack(x, "from_dlpack");
  return copy.value_or(false) ? copy_strided(a, a.dtype()) : a;
}

}  // namespace

void bind_interop(nb::module_& m) {
  m.def("asarray", &asarray, nb::arg("a"), nb::arg("dtype") = nb::none(), nb::kw_only(), nb::arg("copy") = nb::none(),
        nb::sig("def asarray(a: object, dtype: Dtype | None = None, *, copy: bool | None = None) -> array"),
        R"(Makes an array of the argument, in its own memory where that is possible.

An array that shares memory shows later changes of that memory; nothing computed from it is cached.

Args:
    a: A number, a (nested) list or tuple, an array, or anything with ``__dlpack__`` or the buffer protocol.
    dtype: Element type. Default: the one of ``a``, but float32 for float64 unless ``copy`` is ``False``.
    copy: ``True`` always copies, ``False`` never does, ``None`` copies where sharing is impossible.

Returns:
    An array of the shape of ``a``.

Raises:
    ValueError: If ``copy`` is ``False`` and a copy is needed.
    TypeError: If no array can be made of ``a``.

Example:
    >>> mx.asarray(bytearray(b"ab"), copy=False)
    array([97, 98], dtype=uint8)
)");
  m.def("from_dlpack", &from_dlpack, nb::arg("x"), nb::kw_only(), nb::arg("copy") = nb::none(),
        nb::sig("def from_dlpack(x: object, /, *, copy: bool | None = None) -> array"),
        R"(Makes an array in the memory of an object that supports DLPack; the memory stays alive with it.

Args:
    x: An object with ``__dlpack__``, on the CPU.
    copy: ``True`` copies; ``False`` and ``None`` share.

Returns:
    An array of the shape, strides and dtype of ``x``.

Raises:
    TypeError: If ``x`` has no ``__dlpack__``, or elements of a type that nhwc does not have.
    ValueError: If the memory is not on the CPU.

Example:
    >>> mx.from_dlpack(mx.array([1, 2, 3]))
    array([1, 2, 3], dtype=int32)
)");
}

}  // namespace nhwc::py
