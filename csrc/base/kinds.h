// csrc/base/kinds.h -- the enums made from kinds.inc
#pragma once

#include <cstdint>

namespace nhwc {

enum class UnaryKind : uint8_t {
#define NHWC_UNARY(n) n,
#include "nhwc/kinds.inc"
};
enum class BinaryKind : uint8_t {
#define NHWC_BINARY(n) n,
#include "nhwc/kinds.inc"
};
enum class ReduceKind : uint8_t {
#define NHWC_REDUCE(n) n,
#include "nhwc/kinds.inc"
};

inline const char* name(UnaryKind k) {
  static constexpr const char* names[] = {
#define NHWC_UNARY(n) #n,
#include "nhwc/kinds.inc"
  };
  return names[static_cast<int>(k)];
}
inline const char* name(BinaryKind k) {
  static constexpr const char* names[] = {
#define NHWC_BINARY(n) #n,
#include "nhwc/kinds.inc"
  };
  return names[static_cast<int>(k)];
}
inline const char* name(ReduceKind k) {
  static constexpr const char* names[] = {
#define NHWC_REDUCE(n) #n,
#include "nhwc/kinds.inc"
  };
  return names[static_cast<int>(k)];
}

/// Comparisons and logical kinds: bool whatever the inputs are.
constexpr bool gives_bool(UnaryKind k) {
  return k == UnaryKind::logical_not || k == UnaryKind::isnan || k == UnaryKind::isinf || k == UnaryKind::isfinite;
}
constexpr bool gives_bool(BinaryKind k) { return k >= BinaryKind::equal && k <= BinaryKind::logical_or; }

}  // namespace nhwc
