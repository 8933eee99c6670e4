// tests/apple/standin/metal/queue.cpp -- MTLCommandQueue, and the thread that runs its command buffers in order
#include "standin/metal/queue.h"

#include <algorithm>
#include <thread>

#include "standin/debug/faults.h"
#include "standin/debug/hazards.h"
#include "standin/debug/report.h"

namespace standin {
namespace {

using Q = Queue;
const bool defined_queue = define_class(
    "MTLCommandQueue",
    {getter<&Q::device>("device"), getter<&Q::label>("label"), setter<&Q::label>("setLabel:"),
     method<&Q::command_buffer>("commandBuffer"),
     method<&Q::unretained_command_buffer>("commandBufferWithUnretainedReferences"),
     method<&Q::described_command_buffer>("commandBufferWithDescriptor:"),
     method<&Q::add_residency>("addResidencySet:"), method<&Q::add_residencies>("addResidencySets:count:"),
     method<&Q::remove_residency>("removeResidencySet:"), method<&Q::remove_residencies>("removeResidencySets:count:"),
     method<&Q::boundary>("insertDebugCaptureBoundary")});

const bool defined_descriptor =
    define_class("MTLCommandQueueDescriptor",
                 {getter<&QueueDescriptor::max_command_buffers>("maxCommandBufferCount"),
                  setter<&QueueDescriptor::max_command_buffers>("setMaxCommandBufferCount:")},
                 {allocates<QueueDescriptor>()});

Queue* new_queue_of(Device* device, Selector, UInteger max) {
  return fault_hits("queue") ? nullptr : create<Queue>(device, max);
}
Queue* new_queue(Device* device, Selector selector) { return new_queue_of(device, selector, 64); }
Queue* new_queue_described(Device* device, Selector selector, QueueDescriptor* asked) {
  check_argument(asked);
  return new_queue_of(device, selector, asked->max_command_buffers);
}

template <auto function>
Method plain(const char* selector) {
  return {selector, reinterpret_cast<Function>(function)};
}
const bool defined_device =
    define_class("MTLDevice", {plain<&new_queue>("newCommandQueue"),
                               plain<&new_queue_of>("newCommandQueueWithMaxCommandBufferCount:"),
                               plain<&new_queue_described>("newCommandQueueWithDescriptor:")});

}  // namespace

void Lane::run() {
  for (;;) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] {
      return (closed && order.empty()) || (!order.empty() && order.front()->status == CommandStatus::committed);
    });
    if (order.empty()) return;
    CommandBuffer* next = order.front().get();
    lock.unlock();
    {
      PoolScope pool;
      next->execute();
    }
    // Who waits sees it finished only when this thread's reference is gone too.
    lock.lock();
    Ref<CommandBuffer> finished = std::move(order.front());
    order.pop_front();
    finished->handlers_done = true;
    --outstanding;
    changed.notify_all();
    finished = nullptr;
  }
}

Queue::Queue(Device* of, UInteger max) : device(of), max_command_buffers(max), lane(std::make_shared<Lane>()) {
  timeline = new_timeline();
  std::thread([lane = lane] { lane->run(); }).detach();
}

Queue::~Queue() {
  std::lock_guard lock(lane->mutex);
  lane->closed = true;
  lane->changed.notify_all();
}

CommandBuffer* Queue::make(bool retained, UInteger error_options) {
  {
    std::unique_lock lock(lane->mutex);
    const auto room = [this] { return lane->outstanding < static_cast<int>(max_command_buffers); };
    const bool progress = std::any_of(lane->order.begin(), lane->order.end(),
                                      [](const auto& c) { return c->status >= CommandStatus::committed; });
    if (!room() && !progress) {
      lock.unlock();
      report("encoding",
             format("commandBuffer would wait forever: %lu are made and none is committed", max_command_buffers));
      return nullptr;
    }
    lane->changed.wait(lock, room);
    ++lane->outstanding;
  }
  auto* made = create_autoreleased<CommandBuffer>();
  made->queue = this;
  made->lane = lane;
  made->retained = retained;
  made->error_options = error_options;
  return made;
}

CommandBuffer* Queue::command_buffer() { return make(true, 0); }
CommandBuffer* Queue::unretained_command_buffer() { return make(false, 0); }
CommandBuffer* Queue::described_command_buffer(CommandBufferDescriptor* asked) {
  return make(asked->retained, asked->error_options);
}

void Queue::add_residency(ResidencySet* set) {
  std::lock_guard lock(lane->mutex);
  residency.push_back(set);
}
void Queue::add_residencies(ResidencySet* const* sets, UInteger count) {
  for (UInteger i = 0; i < count; ++i) add_residency(sets[i]);
}
void Queue::remove_residency(ResidencySet* set) {
  std::lock_guard lock(lane->mutex);
  std::erase_if(residency, [set](const auto& held) { return held.get() == set; });
}
void Queue::remove_residencies(ResidencySet* const* sets, UInteger count) {
  for (UInteger i = 0; i < count; ++i) remove_residency(sets[i]);
}

}  // namespace standin
