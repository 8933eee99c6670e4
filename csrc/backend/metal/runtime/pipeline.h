// csrc/backend/metal/runtime/pipeline.h -- compute pipelines by library, kernel and function constants
#pragma once

#include <string>
#include <unordered_map>

#include "backend/metal/runtime/archive.h"
#include "backend/metal/runtime/library.h"

namespace nhwc::metal {

/// Lives as long as the process.
struct Pipeline {
  NS::SharedPtr<MTL::ComputePipelineState> state;
  std::string kernel;
  uint32_t max_threads;  // per threadgroup; fewer than the device's where the kernel needs many registers
};

class Pipelines {
 public:
  explicit Pipelines(const Device& device);

  /// Compiled at the first call; fails with no_function.
  const Pipeline& get(const GpuLaunch& launch);
  void save();

 private:
  Pipeline build(const GpuLaunch& launch);

  NS::SharedPtr<MTL::Device> device_;
  Libraries libraries_;
  Archive archive_;
  std::unordered_map<std::string, Pipeline> pipelines_;
  std::string library_key_, key_;  // kept from call to call for their storage
};

}  // namespace nhwc::metal
