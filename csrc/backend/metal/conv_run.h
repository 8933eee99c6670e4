// csrc/backend/metal/conv_run.h -- what convolutions and matrix products share: facts, sums in parts, counts of blocks
#pragma once

#include <algorithm>

#include "backend/metal/launch.h"
#include "params/conv.h"
#include "plan/metal_plan.h"

namespace nhwc::metal {

/// An operand as a kernel sees it.
struct Seen {
  const void* low = nullptr;
  size_t bytes = 0;
  int64_t first = 0;  // elements from `low` to the first
  Strides strides;
  /// Whether channels are adjacent and every pixel begins at a multiple of `vector` elements.
  bool aligned(int vector, size_t item) const {
    const auto address = reinterpret_cast<uintptr_t>(low) + static_cast<uintptr_t>(first) * item;
    return strides.back() == 1 && address % (static_cast<size_t>(vector) * item) == 0 &&
           std::all_of(strides.begin(), strides.end() - 1, [vector](int64_t s) { return s % vector == 0; });
  }
};

/// What one convolution reads and writes; of a weight gradient, w is gy. Bias and residual (of y's shape) are
/// row-major, or there is none; weights are, but for those of `strided`.
struct Operands {
  Seen x, w, bias, residual;
  Activation activation;
  const Node& y;
  const Node* strided = nullptr;
};

/// Binds bias and residual, where they are and wanted, and says which, and the activation.
Launch& bind_epilogue(Launch& l, const Operands& a, bool wanted);

/// What the planner may know of this GPU now; `taken` bytes of the workspace are in use.
MetalFacts facts_now(size_t taken = 0);

/// Scratch for the partial sums of a plan that splits them; null where it does not.
float* scratch_of(const MetalPlan& plan);
/// The index of partial sums, where there are any, and whether.
Launch& bind_sums(Launch& l, float* sums, const MetalPlan& plan);
/// y = the sum of `parts` partial sums, each of y's shape, one after another; zero where there are none.
void sum_parts(const float* sums, int64_t parts, const Node& y);

/// A forward problem in tiles of 4x4 outputs; `p` holds the geometry and where x begins.
void run_winograd(const MetalPlan& plan, const Operands& a, const ConvParams& p);

/// Threads of a threadgroup, of kernels with a thread per element.
inline constexpr uint32_t kThreads = 256;
/// Threadgroups of `size` that `count` takes.
uint32_t blocks(int64_t count, int64_t size);

}  // namespace nhwc::metal
