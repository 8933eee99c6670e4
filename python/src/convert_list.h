// python/src/convert_list.h -- nested lists and Python numbers; inside convert only
#pragma once

#include "convert.h"

namespace nhwc::py {

/// An array of a nested list or tuple of numbers, or of a list that holds arrays: those are stacked.
Array from_list(nb::handle list, std::optional<Dtype> dtype);

bool is_number(nb::handle o);  // bool, int or float, or a subclass: numpy.float64 is one
/// The value of an int, as the bits of an int64; ValueError where it does not fit `t`.
int64_t int_value(nb::handle o, Dtype t);
double double_value(nb::handle o);
/// int32, or the 64-bit type that holds it.
Dtype default_int_type(nb::handle o);

}  // namespace nhwc::py
