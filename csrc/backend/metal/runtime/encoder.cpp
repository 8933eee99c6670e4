// csrc/backend/metal/runtime/encoder.cpp -- encodes dispatches
#include "backend/metal/runtime/encoder.h"

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {
namespace {

constexpr int kMostParams = 4096;  // bytes that setBytes takes

[[noreturn]] void refuse(const GpuLaunch& launch, const std::string& why) {
  fail(GpuStatus::failed, std::string("GPU kernel '") + launch.kernel + "' " + why);
}

MTL::Size size_of(const uint32_t n[3]) { return MTL::Size(n[0], n[1], n[2]); }

}  // namespace

void bind(Bindings& bindings, const GpuLaunch& launch, const Pipeline& pipeline, const Memory& memory) {
  if (launch.operand_count > Bindings::kMost)
    refuse(launch, "has " + std::to_string(launch.operand_count) + " operands; at most " +
                       std::to_string(Bindings::kMost) + " can be bound");
  if (launch.params && (launch.params_bytes <= 0 || launch.params_bytes > kMostParams))
    refuse(launch, "has " + std::to_string(launch.params_bytes) + " bytes of parameters; 1 to 4096 can be bound");
  const uint64_t threads = uint64_t(launch.threads[0]) * launch.threads[1] * launch.threads[2];
  if (threads == 0 || threads > pipeline.max_threads)
    refuse(launch, "was given " + std::to_string(threads) + " threads per threadgroup; on this GPU it can have 1 to " +
                       std::to_string(pipeline.max_threads));
  for (int i = 0; i < launch.operand_count; ++i) {
    const GpuOperand& operand = launch.operands[i];
    Place& place = bindings.places[i];
    place = operand.data ? memory.find(operand.data) : Place{};
    if (!operand.data) continue;
    if (!place.buffer) refuse(launch, "has an operand " + std::to_string(i) + " outside of the GPU's memory");
    if (operand.bytes > place.bytes - place.offset)
      refuse(launch, "has an operand " + std::to_string(i) + " of " + std::to_string(operand.bytes) +
                         " bytes, of which its block holds " + std::to_string(place.bytes - place.offset));
  }
}

Encoder::Encoder(MTL::CommandBuffer* commands, MTL::Fence* fence) : fence_(fence) {
  MTL::ComputeCommandEncoder* encoder = commands->computeCommandEncoder(MTL::DispatchTypeConcurrent);
  if (!encoder) fail(GpuStatus::failed, "Metal gave no command encoder");
  encoder_ = NS::RetainPtr(encoder);
  encoder_->waitForFence(fence_);
}

Encoder::~Encoder() {
  encoder_->updateFence(fence_);
  encoder_->endEncoding();
}

void Encoder::dispatch(const GpuLaunch& launch, const Pipeline& pipeline, const Bindings& bindings) {
  if (hazards_.conflict(launch.operands, launch.operand_count)) {
    encoder_->memoryBarrier(MTL::BarrierScopeBuffers);
    hazards_.clear();
  }
  hazards_.add(launch.operands, launch.operand_count);
  if (pipeline_ != &pipeline) encoder_->setComputePipelineState(pipeline.state.get());
  pipeline_ = &pipeline;
  for (int i = 0; i < launch.operand_count; ++i)
    encoder_->setBuffer(bindings.places[i].buffer, bindings.places[i].offset, NS::UInteger(i));
  if (launch.params)
    encoder_->setBytes(launch.params, NS::UInteger(launch.params_bytes), NS::UInteger(launch.operand_count));
  encoder_->dispatchThreadgroups(size_of(launch.groups), size_of(launch.threads));
}

}  // namespace nhwc::metal
