// python/src/convert_padding.h -- from Python objects to the padding of a convolution
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "nhwc/conv_args.h"

namespace nhwc::py {

namespace nb = nanobind;

/// An int, one int per axis, one (low, high) per axis, or a word.
Padding to_padding(nb::handle o, const char* who);
/// conv_general's forms: an int; one symmetric value per axis; or a pair (lows, highs) of sequences.
std::pair<Ints, Ints> to_lows_and_highs(nb::handle o, const char* who);
/// That of a transposed convolution: an int, or one per axis.
Ints to_symmetric_padding(nb::handle o, const char* who);

}  // namespace nhwc::py
