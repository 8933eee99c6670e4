// tests/ops/ops_testing.h -- what the tests of the operations share
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "nhwc/nhwc.h"

namespace nhwc::testing {

/// A float32 array of the given values.
inline Array floats(const std::vector<float>& v, const Shape& shape) {
  return Array::copy_of(v.data(), shape, Dtype::float32);
}
inline Array floats(const std::vector<float>& v) { return floats(v, {static_cast<int64_t>(v.size())}); }
inline Array ints(const std::vector<int32_t>& v, const Shape& shape) {
  return Array::copy_of(v.data(), shape, Dtype::int32);
}
inline Array ints(const std::vector<int32_t>& v) { return ints(v, {static_cast<int64_t>(v.size())}); }

/// The elements in row-major order, as doubles.
inline std::vector<double> values(const Array& a) {
  const Array c = contiguous(astype(a, Dtype::float64));
  eval({c});
  const double* p = c.data<double>();
  return {p, p + c.size()};
}

/// What f() throws as an E, or "" where it throws none.
template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

using V = std::vector<double>;

}  // namespace nhwc::testing
