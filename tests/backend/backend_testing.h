// tests/backend/backend_testing.h -- ready arrays with awkward strides, and running one primitive on them
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "backend/cpu/run.h"
#include "base/visit_dtype.h"
#include "nhwc/error.h"

namespace nhwc::testing {

using Values = std::vector<double>;
inline const std::vector<Dtype> kAllDtypes = {
    Dtype::bool_, Dtype::uint8, Dtype::uint16,  Dtype::uint32,   Dtype::uint64,  Dtype::int8,   Dtype::int16,
    Dtype::int32, Dtype::int64, Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64};

/// v as an array of type t holds it.
inline double stored(double v, Dtype t) {
  double r = 0;
  visit_dtype(t, [&]<class T>(T*) { r = convert<double>(convert<T>(v)); });
  return r;
}

/// Elements in row-major order.
inline Values values(const Array& a) {
  const Node& n = *a.node();
  Values v;
  const int64_t total = size_of(n.shape);
  Dims at(n.shape.size(), 0);
  visit_dtype(n.dtype, [&]<class T>(T*) {
    for (int64_t i = 0; i < total; ++i) {
      int64_t offset = 0;
      for (size_t d = 0; d < at.size(); ++d) offset += at[d] * n.strides[d];
      v.push_back(convert<double>(reinterpret_cast<const T*>(n.data())[offset]));
      for (size_t d = at.size(); d-- > 0;) {
        if (++at[d] < n.shape[d]) break;
        at[d] = 0;
      }
    }
  });
  return v;
}

enum class Layout { row_major, offset, transposed, reversed, stepped, broadcast_first, broadcast_last };
inline constexpr int kLayouts = 7;

/// A leaf of that layout; element i in row-major order is value(i) (broadcast axes repeat an earlier one).
inline Array leaf(const Shape& shape, Dtype t, Layout layout, const std::function<double(int64_t)>& value) {
  Array a = make_node(Data{}, shape, t, {}, 0);
  Node& n = *a.node();
  const int rank = static_cast<int>(shape.size());
  Shape block = shape;
  if (layout == Layout::stepped)
    for (auto& d : block) d = d * 2 + 1;
  n.strides = contiguous_strides(block);
  int64_t offset = layout == Layout::offset ? 3 : 0;
  if (layout == Layout::transposed) {
    int64_t step = 1;
    for (int d = 0; d < rank; step *= shape[static_cast<size_t>(d++)]) n.strides[static_cast<size_t>(d)] = step;
  }
  for (size_t d = 0; d < shape.size(); ++d) {
    if (layout == Layout::reversed && shape[d] > 0) {
      offset += (shape[d] - 1) * n.strides[d];
      n.strides[d] = -n.strides[d];
    }
    if (layout == Layout::stepped) n.strides[d] *= 2;
  }
  if (rank > 0 && layout == Layout::broadcast_first) n.strides[0] = 0;
  if (rank > 0 && layout == Layout::broadcast_last) n.strides.back() = 0;
  n.buffer = allocate(static_cast<size_t>((size_of(block) + 8)) * size_of(t));
  n.offset = offset * static_cast<int64_t>(size_of(t));
  n.row_major = is_row_major(shape, n.strides);
  Dims at(shape.size(), 0);
  visit_dtype(t, [&]<class T>(T*) {
    std::vector<bool> written(static_cast<size_t>(size_of(block) + 8), false);
    for (int64_t i = 0; i < size_of(shape); ++i) {
      int64_t place = 0;
      for (size_t d = 0; d < at.size(); ++d) place += at[d] * n.strides[d];
      if (!written[static_cast<size_t>(place + offset)]) reinterpret_cast<T*>(n.data())[place] = convert<T>(value(i));
      written[static_cast<size_t>(place + offset)] = true;
      for (size_t d = at.size(); d-- > 0;) {
        if (++at[d] < shape[d]) break;
        at[d] = 0;
      }
    }
  });
  n.ready = true;
  return a;
}

/// Small whole numbers that every dtype holds; negative ones where it can.
inline Array random_leaf(std::mt19937& rng, const Shape& shape, Dtype t, Layout layout, int least = -9, int most = 9) {
  std::uniform_int_distribution<int> pick(is_floating(t) || is_signed_integer(t) ? least : std::max(least, 0), most);
  return leaf(shape, t, layout, [&](int64_t) { return t == Dtype::bool_ ? pick(rng) & 1 : pick(rng); });
}
inline Layout random_layout(std::mt19937& rng) { return static_cast<Layout>(rng() % kLayouts); }
inline Array of(const Shape& shape, Dtype t, const Values& v) {
  return leaf(shape, t, Layout::row_major, [&](int64_t i) { return v[static_cast<size_t>(i)]; });
}

/// Runs one primitive and marks the result ready.
template <class P>
Array run(const P& p, const Shape& shape, Dtype t, NodeInputs inputs, bool may_reuse = false) {
  Array a = make_node(p, shape, t, std::move(inputs), 0);
  cpu::run(p, *a.node(), may_reuse);
  CHECK(a.node()->row_major == is_row_major(shape, a.node()->strides));
  a.node()->ready = true;
  return a;
}

inline bool same(double a, double b) { return a == b || (a != a && b != b); }
/// Equal to within `relative` of the larger and `absolute`.
inline void check_close(const Values& got, const Values& want, double relative, double absolute = 0) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double bound = relative * std::max(std::fabs(got[i]), std::fabs(want[i])) + absolute;
    if (same(got[i], want[i]) || std::fabs(got[i] - want[i]) <= bound) continue;
    CAPTURE(i);
    CHECK(got[i] == want[i]);
    return;
  }
}
/// The rounding of one operation.
inline double epsilon(Dtype t) {
  switch (t) {
    case Dtype::float16:
      return 0x1p-10;
    case Dtype::bfloat16:
      return 0x1p-7;
    case Dtype::float32:
      return 0x1p-22;
    case Dtype::float64:
      return 0x1p-50;
    default:
      return 0;
  }
}

}  // namespace nhwc::testing
