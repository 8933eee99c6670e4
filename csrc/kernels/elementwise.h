// csrc/kernels/elementwise.h -- kernels over contiguous runs for everything but convolution: the tables of one
// instruction set
#pragma once

#include <cstdint>

#include "base/kinds.h"
#include "nhwc/dtype.h"

namespace nhwc {

inline constexpr int kUnaryCount = static_cast<int>(UnaryKind::gelu) + 1;
inline constexpr int kBinaryCount = static_cast<int>(BinaryKind::bitwise_xor) + 1;
/// Sum, prod, max and min have kernels; all and any are min and max of bytes that are 0 or 1.
inline constexpr int kReduceKernels = static_cast<int>(ReduceKind::min) + 1;

/// The type a reduction adds up in: sums and products of float32 in double, so that their order matters little.
constexpr Dtype accumulator(ReduceKind kind, Dtype t) {
  return t == Dtype::float32 && (kind == ReduceKind::sum || kind == ReduceKind::prod) ? Dtype::float64 : t;
}

/// Null where a kind does not exist for a dtype. Kernels read n elements and write n; y may be x, a or b themselves,
/// but must not overlap them otherwise. No alignment is needed.
struct ElementwiseKernels {
  using Unary = void (*)(const void* x, void* y, int64_t n);
  using Binary = void (*)(const void* a, const void* b, void* y, int64_t n);
  using Select = void (*)(const void* condition, const void* a, const void* b, void* y, int64_t n);
  /// y[r] = combination of the n elements at x + r * row_step (elements), of the accumulator's type.
  using ReduceRows = void (*)(const void* x, int64_t row_step, int64_t rows, int64_t n, void* y);
  /// acc[j] = acc[j] combined with x[r * row_step + j] for all rows; acc is of the accumulator's type.
  using ReduceColumns = void (*)(const void* x, int64_t row_step, int64_t rows, int64_t n, void* acc);

  Unary unary[kUnaryCount][kDtypeCount];
  Binary binary[kBinaryCount][kDtypeCount];
  Binary scalar_left[kBinaryCount][kDtypeCount];   // a is one element; float32 only, the others repeat the scalar
  Binary scalar_right[kBinaryCount][kDtypeCount];  // b is one element; float32 only
  Select select[4];                                // by log2 of the element size; the condition is bytes 0 or 1
  Unary cast[kDtypeCount][kDtypeCount];            // [from][to]
  ReduceRows rows[kReduceKernels][kDtypeCount];    // no half types: cast to float32 first
  ReduceColumns columns[kReduceKernels][kDtypeCount];
  Unary softmax[kDtypeCount];  // one row of n; float32 and float64
};

}  // namespace nhwc
