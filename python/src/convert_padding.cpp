// python/src/convert_padding.cpp -- from Python objects to the padding of a convolution
#include "convert_padding.h"

#include "convert.h"

namespace nhwc::py {
namespace {

bool is_sequence(nb::handle o) { return PyList_Check(o.ptr()) || PyTuple_Check(o.ptr()); }

/// The items of a sequence; none of anything else.
Py_ssize_t length(nb::handle o) { return is_sequence(o) ? PySequence_Size(o.ptr()) : 0; }
nb::object item(nb::handle o, Py_ssize_t i) {
  nb::object found = nb::steal(PySequence_GetItem(o.ptr(), i));
  if (!found.is_valid()) nb::raise_python_error();  // __index__ of another item may have made it shorter
  return found;
}

std::pair<int64_t, int64_t> to_pair(nb::handle o, const char* who) {
  if (length(o) != 2)
    throw nb::type_error(
        message("[", who, "] padding must be an int, one int per axis, one (low, high) pair per axis, or a word; got ",
                nb::cast<std::string>(nb::repr(o)), " where a pair was expected")
            .c_str());
  return {to_int(item(o, 0), who, "padding"), to_int(item(o, 1), who, "padding")};
}

}  // namespace

Padding to_padding(nb::handle o, const char* who) {
  if (PyLong_CheckExact(o.ptr())) return to_ints(o, who, "padding");  // most often
  if (nb::isinstance<nb::str>(o)) return nb::cast<std::string>(o);
  const Py_ssize_t n = length(o);
  if (n == 0 || !is_sequence(item(o, 0))) return to_ints(o, who, "padding");
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (Py_ssize_t i = 0; i < n; ++i) pairs.push_back(to_pair(item(o, i), who));
  return pairs;
}

std::pair<Ints, Ints> to_lows_and_highs(nb::handle o, const char* who) {
  if (length(o) == 2 && is_sequence(item(o, 0)) && is_sequence(item(o, 1)))
    return {to_ints(item(o, 0), who, "padding"), to_ints(item(o, 1), who, "padding")};
  const Ints both = to_ints(o, who, "padding");
  return {both, both};
}

Ints to_symmetric_padding(nb::handle o, const char* who) {
  if (nb::isinstance<nb::str>(o))
    raise<ValueError>("[", who, "] got padding=", nb::cast<std::string>(nb::repr(o)),
                      "; a transposed convolution takes ints only");
  if (length(o) > 0 && is_sequence(item(o, 0)))
    raise<ValueError>("[", who, "] got pairs as padding; a transposed convolution takes one symmetric int per axis");
  return to_ints(o, who, "padding");
}

}  // namespace nhwc::py
