// python/src/array_reductions.cpp -- the methods of `array` that work along axes: reductions, softmax, sums so far
#include "array_class.h"

namespace nhwc::py {
namespace {

#define NHWC_STREAM "stream: Stream | Device | DeviceType | None = None) -> array"
#define NHWC_AXES "axis: int | Sequence[int] | None = None, "

template <Array (*Op)(const Array&, const Axes&, bool)>
Array reduce(const Array& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
  OnStream scope(s, "array");
  return Op(a, to_axes(axis, "array"), keepdims);
}

template <Array (*Op)(const Array&, std::optional<int>, bool)>
Array arg_reduce(const Array& a, nb::object axis, bool keepdims, const StreamOrDevice& s) {
  OnStream scope(s, "array");
  return Op(a, to_axis(axis, "array"), keepdims);
}

template <Array (*Op)(const Array&, std::optional<int>, bool, bool)>
Array scan(const Array& a, nb::object axis, bool reverse, bool inclusive, const StreamOrDevice& s) {
  OnStream scope(s, "array");
  return Op(a, to_axis(axis, "array"), reverse, inclusive);
}

template <Array (*Op)(const Array&, const Axes&, bool, int)>
Array moment(const Array& a, nb::object axis, bool keepdims, int ddof, std::optional<int> correction,
             const StreamOrDevice& s) {
  OnStream scope(s, "array");
  return Op(a, to_axes(axis, "array"), keepdims, correction.value_or(ddof));
}

void define_plain(ArrayClass& c) {
#define NHWC_METHOD(n, doc)                                                                             \
  c.def(#n, &reduce<nhwc::n>, nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::kw_only(), \
        nb::arg("stream") = nb::none(),                                                                 \
        nb::sig("def " #n "(self, " NHWC_AXES "keepdims: bool = False, *, " NHWC_STREAM),               \
        doc " over all axes or some. See :func:`" #n "`.")
  NHWC_METHOD(all, "Whether all elements are true,");
  NHWC_METHOD(any, "Whether some element is true,");
  NHWC_METHOD(sum, "The sum");
  NHWC_METHOD(prod, "The product");
  NHWC_METHOD(mean, "The mean");
  NHWC_METHOD(max, "The greatest element");
  NHWC_METHOD(min, "The least element");
  NHWC_METHOD(logsumexp, "The logarithm of the sum of the exponentials");
#undef NHWC_METHOD
}

void define_moments(ArrayClass& c) {
#define NHWC_METHOD(n, doc)                                                                                   \
  c.def(#n, &moment<nhwc::n>, nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::arg("ddof") = 0, \
        nb::kw_only(), nb::arg("correction") = nb::none(), nb::arg("stream") = nb::none(),                    \
        nb::sig("def " #n "(self, " NHWC_AXES                                                                 \
                "keepdims: bool = False, ddof: int = 0, *, correction: int | None = None, " NHWC_STREAM),     \
        doc " over all axes or some; ``correction`` is another name for ``ddof``. See :func:`" #n "`.")
  NHWC_METHOD(var, "The variance");
  NHWC_METHOD(std, "The standard deviation");
#undef NHWC_METHOD
}

void define_along_one_axis(ArrayClass& c) {
#define NHWC_METHOD(n, doc)                                                                                 \
  c.def(#n, &arg_reduce<nhwc::n>, nb::arg("axis") = nb::none(), nb::arg("keepdims") = false, nb::kw_only(), \
        nb::arg("stream") = nb::none(),                                                                     \
        nb::sig("def " #n "(self, axis: int | None = None, keepdims: bool = False, *, " NHWC_STREAM),       \
        doc " See :func:`" #n "`.")
  NHWC_METHOD(argmax, "The index of the greatest element along an axis, or of the flattened array.");
  NHWC_METHOD(argmin, "The index of the least element along an axis, or of the flattened array.");
#undef NHWC_METHOD
#define NHWC_METHOD(n, doc)                                                                                        \
  c.def(#n, &scan<nhwc::n>, nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("reverse") = false,               \
        nb::arg("inclusive") = true, nb::arg("stream") = nb::none(),                                               \
        nb::sig("def " #n                                                                                          \
                "(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, " NHWC_STREAM), \
        doc " See :func:`" #n "`.")
  NHWC_METHOD(cumsum, "The sums of the elements so far along an axis, or of the flattened array.");
  NHWC_METHOD(cumprod, "The products of the elements so far along an axis, or of the flattened array.");
#undef NHWC_METHOD
  c.def(
      "softmax",
      [](const Array& a, nb::object axis, bool precise, const StreamOrDevice& s) {
        OnStream scope(s, "softmax");
        return softmax(a, to_axes(axis, "softmax"), precise);
      },
      nb::arg("axis") = nb::none(), nb::kw_only(), nb::arg("precise") = false, nb::arg("stream") = nb::none(),
      nb::sig("def softmax(self, " NHWC_AXES "*, precise: bool = False, " NHWC_STREAM),
      "The exponentials divided by their sum, over all axes or some. See :func:`softmax`.");
}

#undef NHWC_STREAM
#undef NHWC_AXES

}  // namespace

void define_reductions(ArrayClass& c) {
  define_plain(c);
  define_moments(c);
  define_along_one_axis(c);
}

}  // namespace nhwc::py
