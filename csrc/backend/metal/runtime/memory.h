// csrc/backend/metal/runtime/memory.h -- memory that CPU and GPU share, found again by its address
#pragma once

#include <cstdint>
#include <map>
#include <shared_mutex>
#include <vector>

#include "backend/metal/runtime/device.h"
#include "backend/metal/runtime/residency.h"

namespace nhwc::metal {

/// Where an address lies. Without a buffer: in no block.
struct Place {
  MTL::Buffer* buffer = nullptr;
  uint64_t offset = 0, bytes = 0;  // from the block's start; of the block
};

/// Small blocks come from heaps, which spares a call of the kernel and a page each; large ones are buffers of their
/// own. Freed blocks are not kept: the library's allocator does that. Any thread may call.
class Memory {
 public:
  explicit Memory(const Device& device);

  /// Aligned to kGpuAlignment; fails with out_of_memory.
  void* allocate(uint64_t bytes);
  /// False where `data` is not a block's start. In a forked child the block is only forgotten.
  bool release(void* data);
  Place find(const void* data) const;

  void make_resident();
  void attach(MTL::CommandQueue* queue);
  /// Held across a fork, so that the child does not inherit it locked by a thread it has not.
  std::shared_mutex& mutex() { return mutex_; }

 private:
  struct Heap {
    NS::SharedPtr<MTL::Heap> heap;
    uint32_t blocks = 0;
  };
  struct Block {
    NS::SharedPtr<MTL::Buffer> buffer;
    uint64_t bytes;
    MTL::Heap* heap;  // null: a buffer of its own
  };

  Block small_block(uint64_t bytes);
  Block own_block(uint64_t bytes);
  Heap* heap_for(uint64_t bytes);
  void leave_heap(MTL::Heap* heap);

  NS::SharedPtr<MTL::Device> device_;
  uint64_t largest_;
  mutable std::shared_mutex mutex_;
  std::map<uintptr_t, Block> blocks_;  // by the first byte
  std::vector<Heap> heaps_;            // the one that had room last is last
  Residency residency_;
};

}  // namespace nhwc::metal
