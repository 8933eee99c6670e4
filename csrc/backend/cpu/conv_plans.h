// csrc/backend/cpu/conv_plans.h -- the plans of recent convolutions, by problem
#pragma once

#include <array>
#include <memory>

#include "kernels/conv.h"

namespace nhwc::cpu {

/// A plan, and what follows from it alone.
struct PlannedConv {
  PlannedConv(const ConvProblem& q, const DeviceFacts& facts);
  CpuPlan plan;
  size_t packed_bytes;
  uint64_t packed_key[3];
};

/// Planning costs microseconds, a tiny convolution less. Direct-mapped, so nothing need be evicted. Not synchronised.
class ConvPlans {
 public:
  /// With `packs_weights` plans are for weights that are packed in every call.
  explicit ConvPlans(bool packs_weights = false) : packs_weights_(packs_weights) {}
  /// The plan for `q` under the present facts and tuning. The reference lasts until the next call.
  const std::shared_ptr<const PlannedConv>& find(const ConvProblem& q);

 private:
  struct Entry {
    DeviceFacts facts;
    uint64_t tuning = 0;
    std::shared_ptr<const PlannedConv> planned;
  };
  std::array<Entry, 256> entries_;
  bool packs_weights_;
};

}  // namespace nhwc::cpu
