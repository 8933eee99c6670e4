// tests/grad/cases.h -- functions over every primitive, with arguments: gradients, vmap and compile are tested on all
// of them
#pragma once

#include <string>
#include <vector>

#include "nhwc/nhwc.h"

namespace nhwc::testing {

struct Case {
  std::string name;
  Function f;
  Arrays arguments;  // float64, or integers that have no gradient
};
/// Small arguments away from kinks.
const std::vector<Case>& cases();

/// Reproducible float64 values in [low, high).
Array random64(const Shape& shape, double low = -1, double high = 1, unsigned seed = 1);
Array of64(const std::vector<double>& values, const Shape& shape);
Array of64(const std::vector<double>& values);
Array of_ints(const std::vector<int>& values, const Shape& shape);
/// All elements, row-major, as doubles.
std::vector<double> values(const Array& a);
/// "" where all elements agree to `tolerance` (absolute below 1, relative above), shapes and dtypes too; else what
/// differs.
std::string difference(const Array& a, const Array& b, double tolerance);
std::string difference(const Arrays& a, const Arrays& b, double tolerance);

}  // namespace nhwc::testing
