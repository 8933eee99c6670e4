// python/src/bind_shapes.cpp -- functions that move elements
#include <nanobind/stl/variant.h>

#include "bind_ops.h"

namespace nhwc::py {
namespace {

std::vector<int> to_axis_list(nb::handle o, const char* who) {
  const Ints v = to_ints(o, who, "axis");
  return std::vector<int>(v.begin(), v.end());
}

// Widths of pad: an int, (before, after) for all axes, or one pair per axis; ((w,),) counts as both.
std::vector<std::pair<int64_t, int64_t>> to_widths(nb::handle o, int ndim) {
  auto pair_of = [](nb::handle p) -> std::pair<int64_t, int64_t> {
    const Ints v = to_ints(p, "pad", "pad_width");
    if (v.size() == 1) return {v[0], v[0]};
    if (v.size() != 2) raise<ValueError>("[pad] got ", v.size(), " widths for an axis; expected (before, after)");
    return {v[0], v[1]};
  };
  const bool nested =
      (PyList_Check(o.ptr()) || PyTuple_Check(o.ptr())) && nb::len(o) > 0 && !PyLong_Check(nb::object(o[0]).ptr());
  if (!nested) return std::vector<std::pair<int64_t, int64_t>>(ndim, pair_of(o));
  std::vector<std::pair<int64_t, int64_t>> out;
  for (nb::handle p : o) out.push_back(pair_of(p));
  if (out.size() == 1) out.resize(ndim, out[0]);
  return out;
}

void bind_axes(nb::module_& m) {
  m.def(
      "reshape",
      [](const Array& a, nb::object shape, const StreamOrDevice& s) {
        OnStream scope(s, "reshape");
        return reshape(a, to_dims(shape, "reshape", "shape"));
      },
      nb::arg(), nb::arg("shape"), NHWC_STREAM_ARG,
      nb::sig("def reshape(a: array, /, shape: int | Sequence[int], " NHWC_STREAM_SIG " -> array"),
      "The same elements in another shape, in row-major order.\n\nArgs:\n    a (array): any shape.\n"
      "    shape (tuple): one size may be ``-1``: what is left.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: ``shape``.\n\nRaises:\n    ValueError: another number of elements.\n" NHWC_EXAMPLE
      "mx.reshape(mx.arange(4), (2, -1)).tolist()\n    [[0, 1], [2, 3]]\n");
  m.def(
      "flatten",
      [](const Array& a, int start_axis, int end_axis, const StreamOrDevice& s) {
        OnStream scope(s, "flatten");
        return flatten(a, start_axis, end_axis);
      },
      nb::arg(), nb::arg("start_axis") = 0, nb::arg("end_axis") = -1, NHWC_STREAM_ARG,
      nb::sig("def flatten(a: array, /, start_axis: int = 0, end_axis: int = -1, " NHWC_STREAM_SIG " -> array"),
      "A range of axes made one.\n\nArgs:\n    a (array): any shape.\n    start_axis, end_axis (int): the first and "
      "the last. Default: all axes.\n" NHWC_STREAM_DOC "\nReturns:\n    array: fewer axes.\n" NHWC_EXAMPLE
      "mx.flatten(mx.ones((2, 3, 4)), 1).shape\n    (2, 12)\n");
  m.def(
      "unflatten",
      [](const Array& a, int axis, nb::object shape, const StreamOrDevice& s) {
        OnStream scope(s, "unflatten");
        return unflatten(a, axis, to_dims(shape, "unflatten", "shape"));
      },
      nb::arg(), nb::arg("axis"), nb::arg("shape"), NHWC_STREAM_ARG,
      nb::sig("def unflatten(a: array, /, axis: int, shape: Sequence[int], " NHWC_STREAM_SIG " -> array"),
      "One axis made several.\n\nArgs:\n    a (array): any shape.\n    axis (int): which.\n    shape (tuple): its new "
      "sizes; one may be ``-1``.\n" NHWC_STREAM_DOC "\nReturns:\n    array: more axes.\n" NHWC_EXAMPLE
      "mx.unflatten(mx.ones((6, 2)), 0, (2, 3)).shape\n    (2, 3, 2)\n");
  auto transposed = [](const Array& a, nb::object axes, const StreamOrDevice& s) {
    OnStream scope(s, "transpose");
    return transpose(a, to_axes(axes, "transpose"));
  };
  for (const char* name : {"transpose", "permute_dims"})
    m.def(
        name, transposed, nb::arg(), nb::arg("axes") = nb::none(), NHWC_STREAM_ARG,
        nb::sig(std::string_view(name) == "transpose"
                    ? "def transpose(a: array, /, axes: Sequence[int] | None = None, " NHWC_STREAM_SIG " -> array"
                    : "def permute_dims(a: array, /, axes: Sequence[int] | None = None, " NHWC_STREAM_SIG " -> array"),
        "The axes in another order.\n\nArgs:\n    a (array): any shape.\n    axes (tuple, optional): axis i of the "
        "result is axis ``axes[i]``. Default: reversed.\n" NHWC_STREAM_DOC
        "\nReturns:\n    array: the sizes in that order.\n\nRaises:\n    ValueError: not a permutation.\n" NHWC_EXAMPLE
        "mx.transpose(mx.ones((2, 3, 4)), (0, 2, 1)).shape\n    (2, 4, 3)\n");
  m.def(
      "swapaxes",
      [](const Array& a, int axis1, int axis2, const StreamOrDevice& s) {
        OnStream scope(s, "swapaxes");
        return swapaxes(a, axis1, axis2);
      },
      nb::arg(), nb::arg("axis1"), nb::arg("axis2"), NHWC_STREAM_ARG,
      nb::sig("def swapaxes(a: array, /, axis1: int, axis2: int, " NHWC_STREAM_SIG " -> array"),
      "Two axes exchanged.\n\nArgs:\n    a (array): any shape.\n    axis1, axis2 (int): which.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the sizes exchanged.\n" NHWC_EXAMPLE
      "mx.swapaxes(mx.ones((2, 3)), 0, 1).shape\n    (3, 2)\n");
  m.def(
      "moveaxis",
      [](const Array& a, int source, int destination, const StreamOrDevice& s) {
        OnStream scope(s, "moveaxis");
        return moveaxis(a, source, destination);
      },
      nb::arg(), nb::arg("source"), nb::arg("destination"), NHWC_STREAM_ARG,
      nb::sig("def moveaxis(a: array, /, source: int, destination: int, " NHWC_STREAM_SIG " -> array"),
      "One axis moved; the others keep their order.\n\nArgs:\n    a (array): any shape.\n    source, destination "
      "(int): from and to.\n" NHWC_STREAM_DOC "\nReturns:\n    array: the sizes moved.\n" NHWC_EXAMPLE
      "mx.moveaxis(mx.ones((2, 3, 4)), 0, 2).shape\n    (3, 4, 2)\n");
  m.def(
      "squeeze",
      [](const Array& a, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "squeeze");
        return squeeze(a, to_axes(axis, "squeeze"));
      },
      nb::arg(), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def squeeze(a: array, /, axis: int | Sequence[int] | None = None, " NHWC_STREAM_SIG " -> array"),
      "Axes of size 1 removed.\n\nArgs:\n    a (array): any shape.\n    axis (int | tuple, optional): which. Default: "
      "all of size 1.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: fewer axes.\n\nRaises:\n    ValueError: an axis of another size.\n" NHWC_EXAMPLE
      "mx.squeeze(mx.ones((1, 3, 1))).shape\n    (3,)\n");
  m.def(
      "expand_dims",
      [](const Array& a, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "expand_dims");
        return expand_dims(a, to_axis_list(axis, "expand_dims"));
      },
      nb::arg(), nb::arg("axis"), NHWC_STREAM_ARG,
      nb::sig("def expand_dims(a: array, /, axis: int | Sequence[int], " NHWC_STREAM_SIG " -> array"),
      "Axes of size 1 added.\n\nArgs:\n    a (array): any shape.\n    axis (int | tuple): where they are in the "
      "result.\n" NHWC_STREAM_DOC "\nReturns:\n    array: more axes.\n" NHWC_EXAMPLE
      "mx.expand_dims(mx.ones((3,)), 0).shape\n    (1, 3)\n");
  m.def(
      "broadcast_to",
      [](const ScalarOrArray& a, nb::object shape, const StreamOrDevice& s) {
        OnStream scope(s, "broadcast_to");
        return broadcast_to(to_array(a), to_dims(shape, "broadcast_to", "shape"));
      },
      nb::arg(), nb::arg("shape"), NHWC_STREAM_ARG,
      nb::sig("def broadcast_to(a: " NHWC_SCALAR_SIG ", /, shape: int | Sequence[int], " NHWC_STREAM_SIG " -> array"),
      "The array repeated along axes of size 1, without a copy.\n\nArgs:\n    a (array): any shape.\n    shape "
      "(tuple): the shape wanted.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: ``shape``.\n\nRaises:\n    ValueError: sizes that are neither equal nor 1.\n" NHWC_EXAMPLE
      "mx.broadcast_to(mx.array([1, 2]), (2, 2)).tolist()\n    [[1, 2], [1, 2]]\n");
}

void bind_joining(nb::module_& m) {
  m.def(
      "broadcast_arrays",
      [](nb::args arrays, const StreamOrDevice& s) {
        OnStream scope(s, "broadcast_arrays");
        nb::list out;
        for (const Array& a : broadcast_arrays(to_array_list(arrays, "broadcast_arrays"))) out.append(wrap(a));
        return nb::tuple(out);
      },
      nb::arg("arrays"), nb::arg("stream") = nb::none(),
      nb::sig("def broadcast_arrays(*arrays: array, stream: Stream | Device | DeviceType | None = None) -> "
              "tuple[array, ...]"),
      "Arrays repeated to one shape, without copies.\n\nArgs:\n    *arrays: shapes that broadcast.\n" NHWC_STREAM_DOC
      "\nReturns:\n    tuple of arrays: the broadcast shape.\n\nRaises:\n    ValueError: shapes that do not "
      "broadcast.\n" NHWC_EXAMPLE
      "[a.shape for a in mx.broadcast_arrays(mx.ones((2, 1)), mx.ones(3))]\n    [(2, 3), (2, 3)]\n");
  auto joined = [](nb::object arrays, nb::object axis, const StreamOrDevice& s) {
    OnStream scope(s, "concatenate");
    const Arrays list = to_array_list(arrays, "concatenate");
    if (!axis.is_none()) return concatenate(list, static_cast<int>(to_int(axis, "concatenate", "axis")));
    Arrays flat;
    for (const Array& a : list) flat.push_back(flatten(a));
    return concatenate(flat, 0);
  };
  for (const char* name : {"concatenate", "concat"})
    m.def(name, joined, nb::arg("arrays"), nb::arg("axis").none() = 0, NHWC_STREAM_ARG,
          nb::sig(std::string_view(name) == "concat"
                      ? "def concat(arrays: list[array], axis: int | None = 0, " NHWC_STREAM_SIG " -> array"
                      : "def concatenate(arrays: list[array], axis: int | None = 0, " NHWC_STREAM_SIG " -> array"),
          "Arrays one after another along an axis.\n\nArgs:\n    arrays (list): equal in all other sizes.\n"
          "    axis (int, optional): which; ``None`` flattens first. Default: ``0``.\n" NHWC_STREAM_DOC
          "\nReturns:\n    array: the sizes along the axis added up, the promoted dtype.\n\nRaises:\n    ValueError: "
          "no arrays, or other sizes.\n" NHWC_EXAMPLE
          "mx.concatenate([mx.array([1]), mx.array([2, 3])]).tolist()\n    [1, 2, 3]\n");
  m.def(
      "stack",
      [](nb::object arrays, int axis, const StreamOrDevice& s) {
        OnStream scope(s, "stack");
        return stack(to_array_list(arrays, "stack"), axis);
      },
      nb::arg("arrays"), nb::arg("axis") = 0, NHWC_STREAM_ARG,
      nb::sig("def stack(arrays: list[array], axis: int | None = 0, " NHWC_STREAM_SIG " -> array"),
      "Arrays side by side along a new axis.\n\nArgs:\n    arrays (list): of one shape.\n    axis (int): where the new "
      "axis is. Default: ``0``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: one axis more.\n\nRaises:\n    ValueError: no arrays, or other shapes.\n" NHWC_EXAMPLE
      "mx.stack([mx.array([1, 2]), mx.array([3, 4])], axis=1).tolist()\n    [[1, 3], [2, 4]]\n");
  m.def(
      "split",
      [](const Array& a, nb::object where, int axis, const StreamOrDevice& s) {
        OnStream scope(s, "split");
        if (PyLong_Check(where.ptr())) return split(a, to_int(where, "split", "sections"), axis);
        return split_at(a, to_dims(where, "split", "indices"), axis);
      },
      nb::arg(), nb::arg("indices_or_sections"), nb::arg("axis") = 0, NHWC_STREAM_ARG,
      nb::sig("def split(a: array, /, indices_or_sections: int | Sequence[int], axis: int = 0, " NHWC_STREAM_SIG
              " -> list[array]"),
      "Pieces of an array along an axis.\n\nArgs:\n    a (array): any shape.\n"
      "    indices_or_sections (int | tuple): the number of equal pieces, or where to cut.\n    axis (int): which. "
      "Default: ``0``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    list of arrays: the pieces.\n\nRaises:\n    ValueError: a number that does not divide the "
      "size.\n" NHWC_EXAMPLE "[p.tolist() for p in mx.split(mx.arange(4), 2)]\n    [[0, 1], [2, 3]]\n");
  m.def(
      "repeat",
      [](const ScalarOrArray& a, nb::object repeats, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "repeat");
        return repeat(to_array(a), to_int(repeats, "repeat", "repeats"), to_axis(axis, "repeat"));
      },
      nb::arg("array"), nb::arg("repeats"), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def repeat(array: array, repeats: int, axis: int | None = None, " NHWC_STREAM_SIG " -> array"),
      "Every element several times.\n\nArgs:\n    array (array): any shape.\n    repeats (int): how often.\n"
      "    axis (int, optional): along which. Default: of the flattened array.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the size of the axis times ``repeats``.\n" NHWC_EXAMPLE
      "mx.repeat(mx.array([1, 2]), 2).tolist()\n    [1, 1, 2, 2]\n");
  m.def(
      "tile",
      [](const Array& a, nb::object reps, const StreamOrDevice& s) {
        OnStream scope(s, "tile");
        return tile(a, to_dims(reps, "tile", "reps"));
      },
      nb::arg(), nb::arg("reps"), NHWC_STREAM_ARG,
      nb::sig("def tile(a: array, reps: int | Sequence[int], /, " NHWC_STREAM_SIG " -> array"),
      "The whole array several times along its axes.\n\nArgs:\n    a (array): any shape.\n    reps (int | tuple): how "
      "often, the last axis last.\n" NHWC_STREAM_DOC "\nReturns:\n    array: the sizes times ``reps``.\n" NHWC_EXAMPLE
      "mx.tile(mx.array([1, 2]), 2).tolist()\n    [1, 2, 1, 2]\n");
}

PadMode to_pad_mode(const std::string& mode) {
  constexpr std::string_view names[] = {"constant", "edge", "reflect", "symmetric"};
  for (int i = 0; i < 4; ++i)
    if (mode == names[i]) return static_cast<PadMode>(i);
  raise<ValueError>("[pad] got mode=\"", mode, "\"; expected \"constant\", \"edge\", \"reflect\" or \"symmetric\"");
}

void bind_moving(nb::module_& m) {
  m.def(
      "pad",
      [](const Array& a, nb::object width, const std::string& mode, const ScalarOrArray& value,
         const StreamOrDevice& s) {
        OnStream scope(s, "pad");
        return pad(a, to_widths(width, a.ndim()), to_array(value), to_pad_mode(mode));
      },
      nb::arg("a"), nb::arg("pad_width"), nb::arg("mode") = "constant", nb::arg("constant_values") = 0, NHWC_STREAM_ARG,
      nb::sig("def pad(a: array, pad_width: int | tuple[int] | tuple[int, int] | list[tuple[int, int]], mode: str = "
              "'constant', "
              "constant_values: " NHWC_SCALAR_SIG " = 0, " NHWC_STREAM_SIG " -> array"),
      "The array with a border.\n\nArgs:\n    a (array): any shape.\n    pad_width (int | tuple | list): for all "
      "sides, (before, after) for all axes, or one pair per axis.\n"
      "    mode (str): ``\"constant\"``; ``\"edge\"``: the outermost values repeated; ``\"reflect\"`` and "
      "``\"symmetric\"``: mirrored, without and with the outermost again. Default: ``\"constant\"``.\n   "
      " constant_values (array): the border's value. Default: ``0``.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the sizes plus the widths.\n\nRaises:\n    ValueError: a negative width, an unknown "
      "mode.\n" NHWC_EXAMPLE "mx.pad(mx.array([1, 2]), (1, 0)).tolist()\n    [0, 1, 2]\n");
  m.def(
      "roll",
      [](const Array& a, nb::object shift, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "roll");
        return roll(a, to_dims(shift, "roll", "shift"), to_axes(axis, "roll"));
      },
      nb::arg("a"), nb::arg("shift"), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def roll(a: array, shift: int | Sequence[int], axis: int | Sequence[int] | None = None, " NHWC_STREAM_SIG
              " -> array"),
      "The elements moved round along axes.\n\nArgs:\n    a (array): any shape.\n    shift (int | tuple): by how many "
      "places.\n"
      "    axis (int | tuple, optional): along which. Default: of the flattened array.\n" NHWC_STREAM_DOC
      "\nReturns:\n    array: the shape of ``a``.\n" NHWC_EXAMPLE
      "mx.roll(mx.array([1, 2, 3]), 1).tolist()\n    [3, 1, 2]\n");
  m.def(
      "flip",
      [](const Array& a, nb::object axis, const StreamOrDevice& s) {
        OnStream scope(s, "flip");
        return flip(a, to_axes(axis, "flip"));
      },
      nb::arg(), nb::arg("axis") = nb::none(), NHWC_STREAM_ARG,
      nb::sig("def flip(a: array, /, axis: int | Sequence[int] | None = None, " NHWC_STREAM_SIG " -> array"),
      "The elements in reverse along axes, without a copy.\n\nArgs:\n    a (array): any shape.\n    axis (int | tuple, "
      "optional): which. Default: all.\n" NHWC_STREAM_DOC "\nReturns:\n    array: the shape of ``a``.\n" NHWC_EXAMPLE
      "mx.flip(mx.array([1, 2, 3])).tolist()\n    [3, 2, 1]\n");
  m.def(
      "contiguous",
      [](const Array& a, bool, const StreamOrDevice& s) {
        OnStream scope(s, "contiguous");
        return contiguous(a);
      },
      nb::arg(), nb::arg("allow_col_major") = false, NHWC_STREAM_ARG,
      nb::sig("def contiguous(a: array, /, allow_col_major: bool = False, " NHWC_STREAM_SIG " -> array"),
      "The same values, row-major in memory; a copy only where they are not.\n\nArgs:\n    a (array): any shape.\n"
      "    allow_col_major (bool): accepted for MLX's sake; the result is row-major. Default: "
      "``False``.\n" NHWC_STREAM_DOC "\nReturns:\n    array: equal to ``a``.\n" NHWC_EXAMPLE
      "mx.contiguous(mx.ones((2, 3)).T).shape\n    (3, 2)\n");
  m.def(
      "astype",
      [](const Array& a, Dtype dtype, const StreamOrDevice& s) {
        OnStream scope(s, "astype");
        return astype(a, dtype);
      },
      nb::arg(), nb::arg("dtype"), NHWC_STREAM_ARG,
      nb::sig("def astype(a: array, /, dtype: Dtype, " NHWC_STREAM_SIG " -> array"),
      "The values converted to a dtype.\n\nArgs:\n    a (array): any shape.\n    dtype (Dtype): "
      "which.\n" NHWC_STREAM_DOC "\nReturns:\n    array: the shape of ``a``.\n" NHWC_EXAMPLE
      "mx.astype(mx.array([1.7]), mx.int32).tolist()\n    [1]\n");
}

}  // namespace

void bind_shapes(nb::module_& m) {
  bind_axes(m);
  bind_joining(m);
  bind_moving(m);
}

}  // namespace nhwc::py
