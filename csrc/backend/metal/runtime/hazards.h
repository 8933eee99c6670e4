// csrc/backend/metal/runtime/hazards.h -- which dispatches must not run at once; pure
#pragma once

#include <cstdint>
#include <vector>

#include "base/gpu_runtime.h"

namespace nhwc::metal {

/// The bytes that were read and written since the last barrier.
class Hazards {
 public:
  /// Whether a dispatch with these operands must wait: it touches what was written, or writes what was read.
  bool conflict(const GpuOperand* operands, int count) const;
  void add(const GpuOperand* operands, int count);
  void clear();

 private:
  struct Range {
    uintptr_t begin, end;
  };
  static Range range(const GpuOperand& operand);
  static bool meets(const std::vector<Range>& ranges, Range r);

  std::vector<Range> read_, written_;
};

}  // namespace nhwc::metal
