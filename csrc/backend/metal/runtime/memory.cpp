// csrc/backend/metal/runtime/memory.cpp -- heaps for small blocks, buffers for large ones, and the map of addresses
#include "backend/metal/runtime/memory.h"

#include <algorithm>
#include <mutex>

#include "backend/metal/runtime/failure.h"
#include "backend/metal/runtime/forks.h"

namespace nhwc::metal {
namespace {

constexpr uint64_t kAlignment = 256;  // what allocate() promises; also the widest that a binding needs
// A buffer of its own takes whole pages of 16 KiB and a call of the kernel: from here on neither matters.
constexpr uint64_t kLargestInHeap = 256 << 10;
constexpr uint64_t kHeapBytes = 8 << 20;  // 32 of the largest blocks
// The runtime orders dispatches itself, so Metal need not look at what each one touches.
constexpr MTL::ResourceOptions kOptions = MTL::ResourceStorageModeShared | MTL::ResourceHazardTrackingModeUntracked;

uint64_t round_up(uint64_t bytes) { return (std::max<uint64_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment; }

bool aligned(MTL::Buffer* buffer) { return reinterpret_cast<uintptr_t>(buffer->contents()) % kAlignment == 0; }

}  // namespace

Memory::Memory(const Device& device)
    : device_(device.metal),
      largest_(device.facts.max_buffer),
      residency_(device.metal.get(), device.facts.working_set) {}

void* Memory::allocate(uint64_t bytes) {
  const uint64_t size = bytes <= largest_ ? round_up(bytes) : bytes;
  if (size > largest_)
    fail(GpuStatus::out_of_memory, "a buffer of " + std::to_string(bytes) +
                                       " bytes is larger than this GPU's largest, " + std::to_string(largest_));
  std::unique_lock lock(mutex_);
  Block block = size <= kLargestInHeap ? small_block(size) : Block{};
  if (!block.buffer) block = own_block(size);
  if (!block.buffer)
    fail(GpuStatus::out_of_memory, "Metal cannot give " + std::to_string(bytes) +
                                       " bytes: " + std::to_string(device_->currentAllocatedSize()) + " are in use, " +
                                       std::to_string(device_->recommendedMaxWorkingSetSize()) + " are advised");
  void* data = block.buffer->contents();
  blocks_.emplace(reinterpret_cast<uintptr_t>(data), std::move(block));
  return data;
}

Memory::Block Memory::small_block(uint64_t bytes) {
  Heap* from = heap_for(bytes);
  if (!from) return {};
  auto buffer = NS::TransferPtr(from->heap->newBuffer(bytes, kOptions));
  if (!buffer || !aligned(buffer.get())) return {};
  ++from->blocks;
  return {std::move(buffer), bytes, from->heap.get()};
}

Memory::Block Memory::own_block(uint64_t bytes) {
  auto buffer = NS::TransferPtr(device_->newBuffer(bytes, kOptions));
  if (!buffer || !aligned(buffer.get())) return {};
  residency_.add(buffer.get(), bytes);
  return {std::move(buffer), bytes, nullptr};
}

/// A heap with room, the last one first; null where Metal gives none.
Memory::Heap* Memory::heap_for(uint64_t bytes) {
  const MTL::SizeAndAlign need = device_->heapBufferSizeAndAlign(bytes, kOptions);
  for (size_t i = heaps_.size(); i-- > 0;) {
    if (heaps_[i].heap->maxAvailableSize(need.align) < need.size) continue;
    std::swap(heaps_[i], heaps_.back());
    return &heaps_.back();
  }
  auto descriptor = NS::TransferPtr(MTL::HeapDescriptor::alloc()->init());
  descriptor->setStorageMode(MTL::StorageModeShared);
  descriptor->setHazardTrackingMode(MTL::HazardTrackingModeUntracked);
  descriptor->setSize(kHeapBytes);
  auto heap = NS::TransferPtr(device_->newHeap(descriptor.get()));
  if (!heap) return nullptr;
  residency_.add(heap.get(), kHeapBytes);
  heaps_.push_back({std::move(heap), 0});
  return &heaps_.back();
}

bool Memory::release(void* data) {
  std::unique_lock lock(mutex_);
  const auto it = blocks_.find(reinterpret_cast<uintptr_t>(data));
  if (it == blocks_.end()) return false;
  if (forked()) {
    it->second.buffer.detach();  // the parent's
    blocks_.erase(it);
    return true;
  }
  MTL::Heap* heap = it->second.heap;
  if (!heap) residency_.remove(it->second.buffer.get(), it->second.bytes);
  blocks_.erase(it);
  if (heap) leave_heap(heap);
  return true;
}

/// Gives an empty heap back, but for one: the next small block should not need a new one.
void Memory::leave_heap(MTL::Heap* heap) {
  const auto at = std::find_if(heaps_.begin(), heaps_.end(), [&](const Heap& h) { return h.heap.get() == heap; });
  if (--at->blocks > 0) return;
  const auto empty = std::count_if(heaps_.begin(), heaps_.end(), [](const Heap& h) { return h.blocks == 0; });
  if (empty < 2) return;
  residency_.remove(heap, kHeapBytes);
  heaps_.erase(at);
}

Place Memory::find(const void* data) const {
  const auto address = reinterpret_cast<uintptr_t>(data);
  std::shared_lock lock(mutex_);
  auto it = blocks_.upper_bound(address);
  if (it == blocks_.begin()) return {};
  --it;
  const uint64_t offset = address - it->first;
  if (offset >= it->second.bytes) return {};
  return {it->second.buffer.get(), offset, it->second.bytes};
}

void Memory::make_resident() {
  std::unique_lock lock(mutex_);
  residency_.flush();
}

void Memory::attach(MTL::CommandQueue* queue) {
  std::unique_lock lock(mutex_);
  residency_.attach(queue);
}

}  // namespace nhwc::metal
