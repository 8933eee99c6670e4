// csrc/kernels/conv.h -- runs a planned convolution on plain memory: what backend/cpu calls
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "plan/conv_plan.h"

namespace nhwc {

/// Operands of a forward-like problem. Strides count elements; channels are adjacent (stride 1) in x and y.
struct ConvOperands {
  const void* x = nullptr;   // (batch, in..., groups * c)
  int64_t x_stride[4] = {};  // batch and the three spatial axes
  const void* w = nullptr;   // row-major (groups * o, taps..., c), or (groups * c, taps..., o) where problem.swapped;
                             // of a folded problem as fold_outputs has it
  const void* packed = nullptr;  // what pack_conv_weights made of w; nullptr: packed into scratch in blocks. With it w
                                 // may be null, unless reads_weights(plan): a part may be computed again
  std::optional<Dtype> weights_dtype;  // of w, where that is not the problem's
  const void* bias = nullptr;          // (groups * o / fold), the problem's dtype, where has_bias
  void* y = nullptr;                   // row-major (batch, out..., groups * o)
  struct CallSink* sink = nullptr;     // is given the calls of kernels instead (conv_calls.h)
  int64_t residual_from_y = 0;  // where not 0: what lies so many elements behind an output is added to it before the
                                // activation; float32 and float64 only
};

/// Operands of a weight-gradient problem: dw = sum over batch and positions of x times gy.
struct ConvWeightGradOperands {
  const void* x = nullptr;
  int64_t x_stride[4] = {};
  const void* gy = nullptr;
  int64_t gy_stride[4] = {};
  void* dw = nullptr;  // row-major (groups * o, taps..., c)
};

/// Bytes pack_conv_weights writes, and the key of the format: equal keys mean equal packed bytes for the same weight.
size_t packed_weight_bytes(const CpuPlan& plan);
void packed_weight_key(const CpuPlan& plan, uint64_t key[3]);
void pack_conv_weights(const CpuPlan& plan, const void* w, void* packed);
/// Whether the weights themselves are read beside the packed ones.
inline bool reads_weights(const CpuPlan& plan) {
  return is_winograd(plan.algorithm) || is_amx(plan.algorithm) || plan.algorithm == ConvAlgorithm::fft;
}

void run_conv(const CpuPlan& plan, const ConvOperands& a);
void run_conv_weight_grad(const CpuPlan& plan, const ConvWeightGradOperands& a);

/// Row-major (or strided) matrix product on the same micro-kernels: c (m, n) = a (m, k) * b (k, n) for float types,
/// accumulating half types in float32. Strides in elements: a[i * a_row + j * a_col] and so on; c is row-major.
void run_gemm(Dtype dtype, int64_t m, int64_t n, int64_t k, const void* a, int64_t a_row, int64_t a_col, const void* b,
              int64_t b_row, int64_t b_col, void* c);

}  // namespace nhwc
