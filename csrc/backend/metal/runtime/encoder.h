// csrc/backend/metal/runtime/encoder.h -- dispatches of one encoder, with barriers where they depend on each other
#pragma once

#include "backend/metal/runtime/hazards.h"
#include "backend/metal/runtime/memory.h"
#include "backend/metal/runtime/pipeline.h"

namespace nhwc::metal {

/// Where the operands of a launch lie; made before anything is encoded, so that a bad launch leaves nothing behind.
struct Bindings {
  static constexpr int kMost = 30;  // of 31 buffer indices, the last operand's successor holds the parameters
  Place places[kMost];
};
/// Fails on operands outside the blocks of `memory`, on too many of them, on too many threads.
void bind(Bindings& bindings, const GpuLaunch& launch, const Pipeline& pipeline, const Memory& memory);

/// A compute pass whose dispatches may run at once. Runs after the queue's encoders before it, which `fence` orders.
class Encoder {
 public:
  Encoder(MTL::CommandBuffer* commands, MTL::Fence* fence);
  ~Encoder();
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;

  void dispatch(const GpuLaunch& launch, const Pipeline& pipeline, const Bindings& bindings);

 private:
  NS::SharedPtr<MTL::ComputeCommandEncoder> encoder_;
  MTL::Fence* fence_;
  Hazards hazards_;
  const Pipeline* pipeline_ = nullptr;  // that is set
};

}  // namespace nhwc::metal
