// csrc/backend/metal/lay_out.h -- kernels over all elements of a shape: where operands lie, and how many threads go
#pragma once

#include <functional>
#include <initializer_list>

#include "backend/metal/launch.h"
#include "backend/views.h"
#include "params/elementwise.h"

namespace nhwc::metal {

/// An operand over a shape: its strides, and the place of its first element in what is bound.
struct Lying {
  Strides strides;
  int64_t first;
};
inline Lying lying(const Node& x) { return {x.strides, reach_of(x).first}; }

/// What a kernel is told of its operands.
struct Layout {
  ElementwiseParams params;
  bool strided;  // else all lie in a row or are one element: step says which
  bool wide;     // 64-bit arithmetic
  int step[kElementwiseOperands];
};

/// Calls f(layout, done) for a loop over `shape`: once, or, where axes are left that a kernel cannot take, for each of
/// its parts, of which `done` elements come before. Not at all where there is no element.
void lay_out(const Shape& shape, std::initializer_list<Lying> operands,
             const std::function<void(const Layout&, int64_t done)>& f);

/// Runs `launch` with `threads` threads, by position in a grid of two dimensions.
void run_threads(Launch& launch, int64_t threads);
/// The same for kernels that divide their elements by share_of().
inline void run_elements(Launch& launch, int64_t size, size_t item) {
  const int each = elements_per_thread(static_cast<int>(item));
  run_threads(launch, (size + each - 1) / each);
}

}  // namespace nhwc::metal
