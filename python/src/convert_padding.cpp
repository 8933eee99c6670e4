// python/src/convert_padding.cpp -- from Python objects to the padding of a convolution
#include "convert_padding.h"

#include "convert.h"

namespace nhwc::py {
namespace {

bool is_sequence(nb::handle o) { return PyList_Check(o.ptr()) || PyTuple_Check(o.ptr()); }

std::pair<int64_t, int64_t> to_pair(nb::handle o, const char* who) {
  if (!is_sequence(o) || nb::len(o) != 2)
    throw nb::type_error(
        message("[", who, "] padding must be an int, one int per axis, one (low, high) pair per axis, or a word; got ",
                nb::cast<std::string>(nb::repr(o)), " where a pair was expected")
            .c_str());
  return {to_int(nb::object(o[0]), who, "padding"), to_int(nb::object(o[1]), who, "padding")};
}

}  // namespace

Padding to_padding(nb::handle o, const char* who) {
  if (PyLong_CheckExact(o.ptr())) return to_ints(o, who, "padding");  // most often
  if (nb::isinstance<nb::str>(o)) return nb::cast<std::string>(o);
  if (!is_sequence(o) || nb::len(o) == 0 || !is_sequence(nb::object(o[0]))) return to_ints(o, who, "padding");
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (nb::handle item : o) pairs.push_back(to_pair(item, who));
  return pairs;
}

std::pair<Ints, Ints> to_lows_and_highs(nb::handle o, const char* who) {
  if (is_sequence(o) && nb::len(o) == 2 && is_sequence(nb::object(o[0])) && is_sequence(nb::object(o[1])))
    return {to_ints(nb::object(o[0]), who, "padding"), to_ints(nb::object(o[1]), who, "padding")};
  const Ints both = to_ints(o, who, "padding");
  return {both, both};
}

Ints to_symmetric_padding(nb::handle o, const char* who) {
  if (nb::isinstance<nb::str>(o))
    raise<ValueError>("[", who, "] got padding=", nb::cast<std::string>(nb::repr(o)),
                      "; a transposed convolution takes ints only");
  if (is_sequence(o) && nb::len(o) > 0 && is_sequence(nb::object(o[0])))
    raise<ValueError>("[", who, "] got pairs as padding; a transposed convolution takes one symmetric int per axis");
  return to_ints(o, who, "padding");
}

}  // namespace nhwc::py
