// csrc/include/nhwc/conv_args.h -- what a convolution is asked for, with or without arrays
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "nhwc/shape.h"

namespace nhwc {

using Ints = Dims;  // one value for all spatial axes, or one per axis
/// Padding as a user may give it: numbers (one for all axes or one per axis), (low, high) pairs per axis, or a word:
/// "valid", "same", in one dimension "causal".
using Padding = std::variant<Ints, std::vector<std::pair<int64_t, int64_t>>, std::string>;

enum class Activation : uint8_t { none, relu, relu6, leaky_relu, silu, gelu, tanh, sigmoid };

}  // namespace nhwc
