// csrc/backend/metal/runtime/residency.h -- keeps the library's memory resident, where macOS has residency sets (15)
#pragma once

#include <cstdint>

#include "backend/metal/runtime/metal.h"

namespace nhwc::metal {

/// Every heap and large buffer is named once, instead of for each encoder that binds it. Not thread-safe.
class Residency {
 public:
  /// What is beyond `limit` bytes stays out: a set larger than the working set could not be made resident as a whole,
  /// while single buffers are paged in by the commands that bind them.
  Residency(MTL::Device* device, uint64_t limit);

  void add(const MTL::Allocation* allocation, uint64_t bytes);
  /// Before the allocation is released.
  void remove(const MTL::Allocation* allocation, uint64_t bytes);
  /// Makes additions known to the GPU; before work that uses them is committed.
  void flush();
  void attach(MTL::CommandQueue* queue);

 private:
  NS::SharedPtr<MTL::ResidencySet> set_;
  uint64_t limit_, held_ = 0;
  bool changed_ = false;
};

}  // namespace nhwc::metal
