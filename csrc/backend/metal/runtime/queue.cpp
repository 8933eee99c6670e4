// csrc/backend/metal/runtime/queue.cpp -- command buffers, commits, waits, order between queues
#include "backend/metal/runtime/queue.h"

#include <algorithm>

#include "backend/metal/runtime/failure.h"

namespace nhwc::metal {
namespace {

constexpr uint64_t kWaryBatches = 100;

template <class T>
NS::SharedPtr<T> need(T* created, const char* what) {
  if (!created) fail(GpuStatus::failed, std::string("Metal gave no ") + what);
  return NS::TransferPtr(created);
}

}  // namespace

Queue::Queue(const Device& device, int number, Memory& memory)
    : queue_(need(device.metal->newCommandQueue(), "command queue")),
      fence_(need(device.metal->newFence(), "fence")),
      event_(need(device.metal->newSharedEvent(), "shared event")),
      memory_(memory) {
  queue_->setLabel(ns_string("nhwc " + std::to_string(number)));
  memory_.attach(queue_.get());
}

void Queue::open_commands() {
  if (!commands_) {
    auto descriptor = NS::TransferPtr(MTL::CommandBufferDescriptor::alloc()->init());
    descriptor->setRetainedReferences(false);  // the caller keeps memory, the process all else
    descriptor->setErrorOptions(MTL::CommandBufferErrorOptionEncoderExecutionStatus);
    MTL::CommandBuffer* commands = queue_->commandBuffer(descriptor.get());
    if (!commands) fail(GpuStatus::failed, "Metal gave no command buffer");
    commands_ = NS::RetainPtr(commands);
  }
  if (!waits_.empty()) encoder_.reset();
  for (const Wait& wait : waits_) commands_->encodeWait(wait.event.get(), wait.batch);
  waits_.clear();
}

void Queue::encode(const GpuLaunch& launch, const Pipeline& pipeline, bool timed) {
  Bindings bindings;
  bind(bindings, launch, pipeline, memory_);
  if (launch.groups[0] == 0 || launch.groups[1] == 0 || launch.groups[2] == 0) return;  // Metal takes no empty grid

  if (timed && !names_.empty()) hand_over(false, false, false);
  open_commands();
  if (wary()) encoder_.reset();
  if (!encoder_) {
    encoder_ = std::make_unique<Encoder>(commands_.get(), fence_.get());
    names_.emplace_back();
  }
  encoder_->dispatch(launch, pipeline, bindings);
  names_.back().push_back(pipeline.kernel.c_str());
  batch_open_ = true;
  if (timed) hand_over(false, true, false);
}

/// Whether each dispatch gets an encoder of its own, as for some time after an error: Metal says which encoder faulted,
/// so a second error names the kernel.
bool Queue::wary() const {
  const uint64_t failed = in_flight_.last_failed();
  return failed > 0 && committed_ < failed + kWaryBatches;
}

void Queue::hand_over(bool ends_batch, bool timed, bool signal) {
  encoder_.reset();
  Commands record;
  record.batch = committed_ + 1;
  record.ends_batch = ends_batch;
  record.timed = timed;
  record.encoders = std::exchange(names_, {});
  Commands* const kept = in_flight_.add(std::move(record));

  memory_.make_resident();
  if (signal && ends_batch) commands_->encodeSignalEvent(event_.get(), kept->batch);
  commands_->addCompletedHandler([this, kept](MTL::CommandBuffer* completed) {
    Pool pool;
    in_flight_.finish(kept, completed);
    signal_finished();
  });
  commands_->commit();
  commands_.reset();
}

/// A batch that failed, or that was committed before there was a second queue, is not signalled by the GPU.
void Queue::signal_finished() {
  std::lock_guard lock(signal_mutex_);
  const uint64_t reached = finished();
  if (event_->signaledValue() < reached) event_->setSignaledValue(reached);
}

uint64_t Queue::commit(bool signal) {
  if (!batch_open_) return committed_;
  if (!commands_) open_commands();  // after timed dispatches an empty one, which ends the batch
  hand_over(true, false, signal);
  batch_open_ = false;
  return ++committed_;
}

GpuStatus Queue::wait(uint64_t batch, int32_t milliseconds, GpuError* error, std::vector<TimedDispatch>& times) {
  return in_flight_.wait(std::min(batch, committed_), milliseconds, error, times);
}

void Queue::run_after(const Queue& other) {
  if (&other == this || other.committed_ <= other.finished()) return;
  waits_.push_back({other.event_, other.committed_});
}

}  // namespace nhwc::metal
