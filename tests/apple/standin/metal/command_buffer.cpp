// tests/apple/standin/metal/command_buffer.cpp -- MTLCommandBuffer as the host sees it; execute.cpp runs it
#include "standin/debug/hazards.h"
#include "standin/debug/report.h"
#include "standin/metal/encoder.h"
#include "standin/metal/event.h"
#include "standin/metal/queue.h"
#include "standin/metal/sampling.h"

namespace standin {
namespace {

using C = CommandBuffer;
const bool defined =
    define_class("MTLCommandBuffer", {method<&C::device>("device"),
                                      method<&C::of_queue>("commandQueue"),
                                      getter<&C::label>("label"),
                                      setter<&C::label>("setLabel:"),
                                      getter<&C::retained>("retainedReferences"),
                                      getter<&C::error_options>("errorOptions"),
                                      method<&C::compute_encoder>("computeCommandEncoder"),
                                      method<&C::compute_encoder_of>("computeCommandEncoderWithDispatchType:"),
                                      method<&C::compute_encoder_described>("computeCommandEncoderWithDescriptor:"),
                                      method<&C::blit_encoder>("blitCommandEncoder"),
                                      method<&C::signal_event>("encodeSignalEvent:value:"),
                                      method<&C::wait_event>("encodeWaitForEvent:value:"),
                                      method<&C::use_residency>("useResidencySet:"),
                                      method<&C::use_residencies>("useResidencySets:count:"),
                                      method<&C::add_scheduled>("addScheduledHandler:"),
                                      method<&C::add_completed>("addCompletedHandler:"),
                                      method<&C::enqueue>("enqueue"),
                                      method<&C::commit>("commit"),
                                      method<&C::wait_scheduled>("waitUntilScheduled"),
                                      method<&C::wait_completed>("waitUntilCompleted"),
                                      method<&C::current_status>("status"),
                                      method<&C::current_error>("error"),
                                      method<&C::gpu_start_time>("GPUStartTime"),
                                      method<&C::gpu_end_time>("GPUEndTime"),
                                      getter<&C::kernel_start>("kernelStartTime"),
                                      getter<&C::kernel_end>("kernelEndTime"),
                                      method<&C::group>("pushDebugGroup:"),
                                      method<&C::end_group>("popDebugGroup")});

using D = CommandBufferDescriptor;
const bool defined_descriptor =
    define_class("MTLCommandBufferDescriptor",
                 {getter<&D::retained>("retainedReferences"), setter<&D::retained>("setRetainedReferences:"),
                  getter<&D::error_options>("errorOptions"), setter<&D::error_options>("setErrorOptions:")},
                 {allocates<D>()});

}  // namespace

CommandBuffer::~CommandBuffer() {
  land();
  if (!lane || handlers_done) return;
  std::lock_guard lock(lane->mutex);
  --lane->outstanding;
  lane->changed.notify_all();
}

std::string CommandBuffer::describe() const {
  return label ? "command buffer '" + label->text + "'" : format("command buffer %lu", serial);
}

bool CommandBuffer::writable(const char* what) {
  std::unique_lock lock(lane->mutex);
  const CommandStatus now = status;
  lock.unlock();
  if (now < CommandStatus::committed) return true;
  report("encoding", format("%s of a %s that was committed", what, describe().c_str()));
  return false;
}

void CommandBuffer::use(Object* object) {
  if (retained && object) kept.push_back(object);
}

void CommandBuffer::use_buffer(Buffer* buffer) {
  if (retained) {
    kept.push_back(buffer);
  } else if (unretained.insert(buffer).second) {
    ++*buffer->in_flight;
    flights.push_back(buffer->in_flight);
  }
}

void CommandBuffer::land() {
  for (const auto& count : flights) --*count;
  flights.clear();
}

ComputeEncoder* CommandBuffer::compute_encoder_of(DispatchType type) {
  if (!writable("computeCommandEncoder")) return nullptr;
  if (open_encoder) {
    report("encoding", "a second encoder while one of the command buffer is open");
    return nullptr;
  }
  auto* made = create_autoreleased<ComputeEncoder>();
  made->type = type;
  made->begin(this);
  return made;
}

ComputeEncoder* CommandBuffer::compute_encoder_described(ComputePassDescriptor* asked) {
  ComputeEncoder* made = compute_encoder_of(asked->type);
  if (made) asked->attach(made->pass.get(), this);
  return made;
}

BlitEncoder* CommandBuffer::blit_encoder() {
  if (!writable("blitCommandEncoder")) return nullptr;
  if (open_encoder) {
    report("encoding", "a second encoder while one of the command buffer is open");
    return nullptr;
  }
  auto* made = create_autoreleased<BlitEncoder>();
  made->begin(this);
  return made;
}

void CommandBuffer::signal_event(Event* event, uint64_t value) {
  if (!writable("encodeSignalEvent:")) return;
  if (open_encoder) return report("encoding", "encodeSignalEvent: while an encoder is open");
  kept.push_back(event);
  items.push_back(Signal{event, value});
}

void CommandBuffer::wait_event(Event* event, uint64_t value) {
  if (!writable("encodeWaitForEvent:")) return;
  if (open_encoder) return report("encoding", "encodeWaitForEvent: while an encoder is open");
  kept.push_back(event);
  items.push_back(Wait{event, value});
}

void CommandBuffer::use_residencies(ResidencySet* const* sets, UInteger count) {
  for (UInteger i = 0; i < count; ++i) use_residency(sets[i]);
}

void CommandBuffer::add_scheduled(void (^handler)(CommandBuffer*)) {
  if (writable("addScheduledHandler:")) scheduled_handlers.emplace_back(handler);
}
void CommandBuffer::add_completed(void (^handler)(CommandBuffer*)) {
  if (writable("addCompletedHandler:")) completed_handlers.emplace_back(handler);
}

void CommandBuffer::enqueue() {
  std::unique_lock lock(lane->mutex);
  if (status == CommandStatus::not_enqueued) {
    status = CommandStatus::enqueued;
    lane->order.push_back(this);
    return;
  }
  lock.unlock();
  report("encoding", "enqueue of a " + describe() + " that was enqueued or committed");
}

void CommandBuffer::commit() {
  if (open_encoder) return report("encoding", "commit with an encoder that has not ended");
  std::unique_lock lock(lane->mutex);
  if (status >= CommandStatus::committed) {
    lock.unlock();
    return report("encoding", "commit of a " + describe() + " that was committed");
  }
  if (status == CommandStatus::not_enqueued) lane->order.push_back(this);
  lock.unlock();
  check_residency();
  mark = log_commands(queue->timeline, items);
  injected = injected_error();
  lock.lock();
  status = CommandStatus::committed;
  lane->changed.notify_all();
}

void CommandBuffer::check_residency() {
  std::unique_lock lock(lane->mutex);
  std::vector<Ref<ResidencySet>> sets = queue->residency;
  lock.unlock();
  sets.insert(sets.end(), residency.begin(), residency.end());
  if (sets.empty()) return;
  const auto check = [&](Object* object) {
    if (!object->isa->derives_from(Buffer::kClass)) return;
    auto* buffer = static_cast<Buffer*>(object);
    UInteger held = 0;
    for (const auto& set : sets) {
      if (set->holds(buffer)) return;
      held += set->bytes();
    }
    // A host may leave out what would not fit the working set; Metal then brings it in for each command buffer.
    if (held + buffer->bytes <= buffer->device->working_set()) {
      report("residency", format("%s is bound and in no residency set of the queue", buffer->describe().c_str()));
    }
  };
  for (const auto& object : kept) check(object.get());
  for (Buffer* buffer : unretained) {
    if (check_object(buffer, Buffer::kClass, "a buffer of a command buffer that keeps no references")) check(buffer);
  }
}

bool CommandBuffer::wait_until(CommandStatus least) {
  std::unique_lock lock(lane->mutex);
  if (status < CommandStatus::committed) {
    lock.unlock();
    report("encoding", "wait for a " + describe() + " that was not committed");
    return false;
  }
  lane->changed.wait(lock, [&] { return least < CommandStatus::completed ? status >= least : handlers_done; });
  return true;
}

void CommandBuffer::wait_scheduled() { wait_until(CommandStatus::scheduled); }

void CommandBuffer::wait_completed() {
  if (wait_until(CommandStatus::completed)) observe_finished(queue->timeline, mark);
}

CommandStatus CommandBuffer::current_status() {
  std::unique_lock lock(lane->mutex);
  const CommandStatus now = status;
  lock.unlock();
  if (now >= CommandStatus::completed) observe_finished(queue->timeline, mark);
  return now;
}

Error* CommandBuffer::current_error() {
  std::lock_guard lock(lane->mutex);
  return error.get();
}

double CommandBuffer::gpu_start_time() {
  std::lock_guard lock(lane->mutex);
  return gpu_start;
}

double CommandBuffer::gpu_end_time() {
  std::lock_guard lock(lane->mutex);
  return gpu_end;
}

}  // namespace standin
