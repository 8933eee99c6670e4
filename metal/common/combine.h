// metal/common/combine.h -- sums, products and extrema of two values
#pragma once

#include <metal_stdlib>

/// The numbers of nhwc::ReduceKind; `all` and `any` are extrema of truth values.
namespace fold {
enum : int { sum, prod, max, min };
}

/// NaN wins over any number. `kind` is a function constant.
template <class A>
inline A combine(A a, A b, int kind) {
  switch (kind) {
    case fold::sum:
      return a + b;
    case fold::prod:
      return a * b;
    case fold::max:
      return a != a || a > b ? a : b;
    default:
      return a != a || a < b ? a : b;
  }
}

/// What combines with any value to that value.
template <class A>
inline A identity_of(int kind) {
  switch (kind) {
    case fold::sum:
      return A(0);
    case fold::prod:
      return A(1);
    case fold::max:
      return metal::numeric_limits<A>::lowest();
    default:
      return metal::numeric_limits<A>::max();
  }
}
template <>
inline float identity_of<float>(int kind) {
  switch (kind) {
    case fold::sum:
      return 0.0f;
    case fold::prod:
      return 1.0f;
    case fold::max:
      return -INFINITY;
    default:
      return INFINITY;
  }
}
