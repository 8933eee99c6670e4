// csrc/backend/metal/runtime/device.h -- which GPU the runtime drives, and what it is
#pragma once

#include "backend/metal/runtime/metal.h"
#include "base/gpu_runtime.h"

namespace nhwc::metal {

struct Device {
  NS::SharedPtr<MTL::Device> metal;
  GpuFacts facts;
};

/// The default GPU. Fails where there is none, or where the kernels were not made for it or for this macOS.
Device open_device();

/// GPU cores as the I/O registry counts them; 0 where it does not say.
int count_gpu_cores();

}  // namespace nhwc::metal
