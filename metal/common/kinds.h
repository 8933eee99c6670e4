// metal/common/kinds.h -- which function a kind's number stands for
#pragma once

#include "common/binary.h"

enum UnaryKind {
#define NHWC_UNARY(name) unary_##name,
#include "csrc/include/nhwc/kinds.inc"
};
enum BinaryKind {
#define NHWC_BINARY(name) binary_##name,
#include "csrc/include/nhwc/kinds.inc"
};

// `kind` is a function constant in all callers, so that one case is left. Kinds that give bool are apart.

inline float apply_unary(int kind, float x) {
  switch (kind) {
#define NHWC_UNARY(name) \
  case unary_##name:     \
    return op::name(x);
#include "csrc/include/nhwc/kinds.inc"
  }
  return x;
}
/// Integers and bool: those that ops/ does not cast to float first.
template <typename T>
inline T apply_unary(int kind, T x) {
  switch (kind) {
    case unary_abs:
      return op::abs(x);
    case unary_negative:
      return op::negative(x);
    case unary_sign:
      return op::sign(x);
    case unary_square:
      return op::square(x);
    case unary_relu:
      return op::relu(x);
    case unary_relu6:
      return op::relu6(x);
    case unary_bitwise_invert:
      return op::bitwise_invert(x);
  }
  return x;
}
template <typename T>
inline bool apply_predicate(int kind, T x) {
  switch (kind) {
    case unary_logical_not:
      return op::logical_not(x);
    case unary_isnan:
      return op::isnan(x);
    case unary_isinf:
      return op::isinf(x);
  }
  return op::isfinite(x);
}

inline float apply_binary(int kind, float a, float b) {
  switch (kind) {
    case binary_add:
      return op::add(a, b);
    case binary_subtract:
      return op::subtract(a, b);
    case binary_multiply:
      return op::multiply(a, b);
    case binary_divide:
      return op::divide(a, b);
    case binary_floor_divide:
      return op::floor_divide(a, b);
    case binary_remainder:
      return op::remainder(a, b);
    case binary_power:
      return op::power(a, b);
    case binary_maximum:
      return op::maximum(a, b);
    case binary_minimum:
      return op::minimum(a, b);
    case binary_logaddexp:
      return op::logaddexp(a, b);
  }
  return op::arctan2(a, b);
}
template <typename T>
inline T apply_binary(int kind, T a, T b) {
  switch (kind) {
    case binary_add:
      return op::add(a, b);
    case binary_subtract:
      return op::subtract(a, b);
    case binary_multiply:
      return op::multiply(a, b);
    case binary_floor_divide:
      return op::floor_divide(a, b);
    case binary_remainder:
      return op::remainder(a, b);
    case binary_power:
      return op::power(a, b);
    case binary_maximum:
      return op::maximum(a, b);
    case binary_minimum:
      return op::minimum(a, b);
    case binary_bitwise_and:
      return op::bitwise_and(a, b);
    case binary_bitwise_or:
      return op::bitwise_or(a, b);
  }
  return op::bitwise_xor(a, b);
}
template <typename T>
inline bool apply_comparison(int kind, T a, T b) {
  switch (kind) {
    case binary_equal:
      return op::equal(a, b);
    case binary_not_equal:
      return op::not_equal(a, b);
    case binary_less:
      return op::less(a, b);
    case binary_less_equal:
      return op::less_equal(a, b);
    case binary_greater:
      return op::greater(a, b);
    case binary_greater_equal:
      return op::greater_equal(a, b);
    case binary_logical_and:
      return op::logical_and(a, b);
  }
  return op::logical_or(a, b);
}
