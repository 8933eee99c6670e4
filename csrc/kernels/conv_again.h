// csrc/kernels/conv_again.h -- images whose sums are not finite, where a method gives these otherwise than the
// definition
#pragma once

#include <atomic>

#include "base/allocator.h"
#include "kernels/conv.h"

namespace nhwc {

class NotFinite {
 public:
  explicit NotFinite(int64_t images);
  /// Image n met one; from any thread.
  void add(int64_t n) { found_.as<std::atomic<bool>>()[n].store(true, std::memory_order_relaxed); }
  /// Computes those images once more, as the definition has it.
  void run_again(const CpuPlan& plan, const ConvOperands& a) const;

 private:
  int64_t images_;
  Scratch found_;
};

}  // namespace nhwc
