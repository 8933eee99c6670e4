// csrc/base/divide.h -- divisions of counts and positions that round up or down
#pragma once

#include <cstdint>

namespace nhwc {

/// a / b rounded up; a of either sign, b > 0.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }
/// a / b rounded down; a of either sign, b > 0.
constexpr int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }
/// The least multiple of b that is not below a; a of either sign, b > 0.
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace nhwc
