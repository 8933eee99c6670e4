// tests/apple/programs/hazards.cpp -- programs in which the GPU's order or an object's life is left to luck
#include <thread>

#include "programs/program.h"

using namespace program;

// The comment before a case is what test_standin.py expects in the report; "nothing" where the program is right.

/// x -> y -> z in one encoder; `between` may order the two.
static void chain(MTL::DispatchType type, MTL::ResourceOptions options,
                  void (*between)(MTL::ComputeCommandEncoder*, MTL::Buffer* x, MTL::Buffer* y)) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  auto x = gpu.buffer(32, 1, options), y = gpu.buffer(32, 0, options), z = gpu.buffer(32, 0, options);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder(type);
  scale(encoder, pipeline.get(), x.get(), y.get(), 32, 2);
  if (between) between(encoder, x.get(), y.get());
  scale(encoder, pipeline.get(), y.get(), z.get(), 32, 3);
  finish(commands, encoder);
}

// hazard: scale reads MTLBuffer of 128 bytes, which scale, dispatched before it without a barrier in between, writes
CASE(no_barrier) { chain(MTL::DispatchTypeConcurrent, kUntracked, nullptr); }

// hazard: scale reads MTLBuffer of 128 bytes, which scale, dispatched before it without a barrier in between, writes
CASE(no_barrier_tracked) { chain(MTL::DispatchTypeConcurrent, kTracked, nullptr); }

// hazard: scale reads MTLBuffer of 128 bytes, which scale, dispatched before it
CASE(barrier_for_another_resource) {
  chain(MTL::DispatchTypeConcurrent, kUntracked, [](MTL::ComputeCommandEncoder* e, MTL::Buffer* x, MTL::Buffer*) {
    const MTL::Resource* resources[] = {x};
    e->memoryBarrier(resources, 1);
  });
}

// nothing
CASE(barrier_for_the_resource) {
  chain(MTL::DispatchTypeConcurrent, kUntracked, [](MTL::ComputeCommandEncoder* e, MTL::Buffer*, MTL::Buffer* y) {
    const MTL::Resource* resources[] = {y};
    e->memoryBarrier(resources, 1);
  });
}

// nothing
CASE(barrier_for_all_buffers) {
  chain(MTL::DispatchTypeConcurrent, kUntracked,
        [](MTL::ComputeCommandEncoder* e, MTL::Buffer*, MTL::Buffer*) { e->memoryBarrier(MTL::BarrierScopeBuffers); });
}

// nothing
CASE(serial_encoder) { chain(MTL::DispatchTypeSerial, kUntracked, nullptr); }

/// Two dispatches beside each other that write into one buffer, `apart` floats from each other.
static void write_both(int apart) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  auto x = gpu.buffer(32, 1), y = gpu.buffer(128, 0);
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder(MTL::DispatchTypeConcurrent);
  scale(encoder, pipeline.get(), x.get(), y.get(), 32, 2);
  scale(encoder, pipeline.get(), x.get(), y.get(), 32, 3, NS::UInteger(apart) * sizeof(float));
  finish(commands, encoder);
  EXPECT(floats(y)[0] == 2 && floats(y)[apart] == 3);
}

// hazard: scale writes MTLBuffer of 512 bytes, which scale, dispatched before it without a barrier in between, writes
CASE(overlapping_writes) { write_both(16); }

// nothing
CASE(writes_side_by_side) { write_both(32); }

/// Two encoders of one command buffer, x -> y and y -> z, perhaps with a fence.
static void two_passes(MTL::ResourceOptions options, bool fenced) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  auto fence = NS::TransferPtr(gpu.device->newFence());
  auto x = gpu.buffer(32, 1, options), y = gpu.buffer(32, 0, options), z = gpu.buffer(32, 0, options);
  auto* commands = gpu.queue->commandBuffer();
  auto* first = commands->computeCommandEncoder();
  scale(first, pipeline.get(), x.get(), y.get(), 32, 2);
  if (fenced) first->updateFence(fence.get());
  first->endEncoding();
  auto* second = commands->computeCommandEncoder();
  if (fenced) second->waitForFence(fence.get());
  scale(second, pipeline.get(), y.get(), z.get(), 32, 3);
  finish(commands, second);
  EXPECT(floats(z)[31] == 6);
}

// hazard: scale reads MTLBuffer of 128 bytes, which scale of an earlier pass writes: no fence, event or wait orders
// them
CASE(no_fence) { two_passes(kUntracked, false); }

// nothing
CASE(fence) { two_passes(kUntracked, true); }

// nothing
CASE(tracked_passes) { two_passes(kTracked, false); }

/// A second command buffer that overwrites what the first reads, after `wait` was done with the first.
static void reuse(bool wait) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  auto x = gpu.buffer(32, 1, kUntracked), y = gpu.buffer(32, 0, kUntracked);
  for (bool forth : {true, false}) {
    auto* commands = gpu.queue->commandBuffer();
    auto* encoder = commands->computeCommandEncoder();
    scale(encoder, pipeline.get(), forth ? x.get() : y.get(), forth ? y.get() : x.get(), 32, 2);
    encoder->endEncoding();
    commands->commit();
    if (wait || !forth) commands->waitUntilCompleted();
  }
  EXPECT(floats(x)[0] == 4);
}

// hazard: scale reads MTLBuffer of 128 bytes, which scale of an earlier pass writes
CASE(reused_without_waiting) { reuse(false); }

// nothing
CASE(reused_after_waiting) { reuse(true); }

/// Two queues, x -> y on one and y -> z on the other, perhaps with an event.
static void two_queues(bool event_between) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  auto other = NS::TransferPtr(gpu.device->newCommandQueue());
  auto event = NS::TransferPtr(gpu.device->newEvent());
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0), z = gpu.buffer(32, 0);
  auto* first = gpu.queue->commandBuffer();
  auto* encoder = first->computeCommandEncoder();
  scale(encoder, pipeline.get(), x.get(), y.get(), 32, 2);
  encoder->endEncoding();
  if (event_between) first->encodeSignalEvent(event.get(), 1);
  first->commit();
  auto* second = other->commandBuffer();
  if (event_between) second->encodeWait(event.get(), 1);
  encoder = second->computeCommandEncoder();
  scale(encoder, pipeline.get(), y.get(), z.get(), 32, 3);
  finish(second, encoder);
  first->waitUntilCompleted();
  EXPECT(!event_between || floats(z)[31] == 6);
}

// hazard: scale reads MTLBuffer of 128 bytes, which scale of an earlier pass writes on another queue
CASE(queues_without_event) { two_queues(false); }

// nothing
CASE(queues_with_event) { two_queues(true); }

// event: command buffer 'lost' waited 1 s for value 7 of an event that nothing signals
CASE(event_never_signalled) {
  Gpu gpu;
  auto event = NS::TransferPtr(gpu.device->newSharedEvent());
  auto* commands = gpu.queue->commandBuffer();
  commands->setLabel(text("lost"));
  commands->encodeWait(event.get(), 7);
  commands->commit();
  commands->waitUntilCompleted();
}

/// A command buffer that keeps no references, whose buffer is released before (or after) it has run.
static void unretained(bool early) {
  Gpu gpu;
  auto pipeline = gpu.pipeline("scale");
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0);
  auto event = NS::TransferPtr(gpu.device->newSharedEvent());
  auto* commands = gpu.queue->commandBufferWithUnretainedReferences();
  commands->encodeWait(event.get(), 1);
  auto* encoder = commands->computeCommandEncoder();
  scale(encoder, pipeline.get(), x.get(), y.get(), 32, 2);
  encoder->endEncoding();
  commands->commit();
  if (early) x.reset();
  event->setSignaledValue(1);
  commands->waitUntilCompleted();
  EXPECT(floats(y)[0] == 2);
}

// lifetime: MTLBuffer of 128 bytes is deallocated while a command buffer without references of its own uses it
CASE(released_in_flight) { unretained(true); }

// nothing
CASE(released_after_flight) { unretained(false); }

// lifetime: receiver of length is a deallocated MTLBuffer
CASE(use_after_release) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  MTL::Buffer* dangling = x.get();
  x.reset();
  (void)dangling->length();
}

// lifetime: argument is a deallocated MTLBuffer
CASE(dead_argument) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  MTL::Buffer* dangling = x.get();
  x.reset();
  auto* commands = gpu.queue->commandBuffer();
  commands->computeCommandEncoder()->setBuffer(dangling, 0, 0);
}

// lifetime: receiver of release is a deallocated MTLBuffer
CASE(released_twice) {
  Gpu gpu;
  auto x = gpu.buffer(32, 1);
  x->release();
}

// lifetime: receiver of release is a deallocated MTLCommandBuffer
CASE(autoreleased_and_released) {
  Gpu gpu;
  auto* pool = NS::AutoreleasePool::alloc()->init();
  gpu.queue->commandBuffer()->release();
  pool->release();
}

// lifetime: autorelease pools are drained out of order
CASE(pools_out_of_order) {
  auto* outer = NS::AutoreleasePool::alloc()->init();
  NS::AutoreleasePool::alloc()->init();
  outer->release();
}

// lifetime: a NSString is autoreleased with no pool in place, so it leaks
CASE(no_pool) {
  std::thread([] { text("lost"); }).join();
}

// event: an event goes back from 5 to 3
CASE(event_goes_back) {
  Gpu gpu;
  auto event = NS::TransferPtr(gpu.device->newSharedEvent());
  event->setSignaledValue(5);
  event->setSignaledValue(3);
}

// residency: MTLBuffer of 128 bytes is bound and in no residency set of the queue
CASE(not_resident) {
  Gpu gpu;
  NS::Error* error = nullptr;
  auto descriptor = NS::TransferPtr(MTL::ResidencySetDescriptor::alloc()->init());
  auto set = NS::TransferPtr(gpu.device->newResidencySet(descriptor.get(), &error));
  auto x = gpu.buffer(32, 1), y = gpu.buffer(32, 0);
  set->addAllocation(x.get());
  set->commit();
  set->addAllocation(y.get());  // and no commit
  gpu.queue->addResidencySet(set.get());
  auto* commands = gpu.queue->commandBuffer();
  auto* encoder = commands->computeCommandEncoder();
  scale(encoder, gpu.pipeline("scale").get(), x.get(), y.get(), 32, 2);
  finish(commands, encoder);
}

// alive: 1 MTLBuffer
CASE(leak) {
  Gpu gpu;
  gpu.buffer(32, 1)->retain();
}
