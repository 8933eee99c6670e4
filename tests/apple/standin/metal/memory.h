// tests/apple/standin/metal/memory.h -- buffers, heaps and residency sets
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "standin/metal/types.h"

namespace standin {

struct Device;
struct Heap;

/// What MTLBuffer and MTLHeap share as MTLAllocation and MTLResource.
struct Allocation : Object {
  static constexpr const char* kClass = "MTLAllocation";
  Device* device = nullptr;  // not retained: the system's devices outlive everything
  Ref<String> label;
  UInteger options = 0;
  UInteger bytes = 0;

  UInteger length() { return bytes; }
  UInteger resource_options() { return options; }
  UInteger cache_mode() { return options & 15; }
  StorageMode storage() { return storage_of(options); }
  HazardTracking tracking();
  UInteger set_purgeable(UInteger state) { return state == 1 ? 2 : state; }
  std::string describe() const override;

  HazardTracking default_tracking = HazardTracking::tracked;  // for options that do not say; a heap's are untracked
};

struct Buffer : Allocation {
  static constexpr const char* kClass = "MTLBuffer";
  char* data = nullptr;
  Ref<Heap> heap;
  UInteger heap_offset = 0;
  // Command buffers without references of their own that are not finished and use it.
  std::shared_ptr<std::atomic<int>> in_flight = std::make_shared<std::atomic<int>>(0);
  void (^deallocator)(void*, UInteger) = nullptr;
  bool owns_data = false, aliasable = false;

  ~Buffer() override;
  void* contents();
  uint64_t gpu_address() { return reinterpret_cast<uint64_t>(data); }
  Heap* of_heap() { return heap.get(); }
  void did_modify(Range) {}
  void make_aliasable();
  bool is_aliasable() { return aliasable; }
};

struct HeapDescriptor : Object {
  static constexpr const char* kClass = "MTLHeapDescriptor";
  UInteger size = 0;
  StorageMode storage = StorageMode::private_;
  UInteger cache_mode = 0;
  HazardTracking tracking = HazardTracking::automatic;
  Integer type = kHeapAutomatic;

  UInteger options() { return cache_mode | static_cast<UInteger>(storage) << 4 | static_cast<UInteger>(tracking) << 8; }
  void set_options(UInteger options);
};

struct Heap : Allocation {
  static constexpr const char* kClass = "MTLHeap";
  char* data = nullptr;
  Integer type = kHeapAutomatic;
  std::mutex mutex;
  std::map<UInteger, UInteger> used;  // offset -> bytes, of buffers that are not aliasable
  std::map<UInteger, UInteger> gaps;  // offset -> bytes of what is free between them; an automatic heap's

  ~Heap() override;
  Integer heap_type() { return type; }
  UInteger used_size();
  UInteger max_available(UInteger alignment);
  Buffer* new_buffer(UInteger length, UInteger options);
  Buffer* new_buffer_at(UInteger length, UInteger options, UInteger offset);
  void give_back(UInteger offset);

 private:
  /// Takes so many bytes out of the first gap that has them; false where there is none.
  bool take_space(UInteger length, UInteger* offset);
  Buffer* make(UInteger length, UInteger options, UInteger offset);
};

struct ResidencySetDescriptor : Object {
  static constexpr const char* kClass = "MTLResidencySetDescriptor";
  Ref<String> label;
  UInteger capacity = 0;
};

struct ResidencySet : Object {
  static constexpr const char* kClass = "MTLResidencySet";
  Device* device = nullptr;
  Ref<String> label;
  std::map<Allocation*, Ref<Allocation>> pending, resident;  // what commit() will make so, and what is

  void add(Allocation* allocation) { pending[allocation] = allocation; }
  void add_all(Allocation* const* allocations, UInteger count);
  void remove(Allocation* allocation) { pending.erase(allocation); }
  void remove_all_of(Allocation* const* allocations, UInteger count);
  void remove_all() { pending.clear(); }
  bool contains(const Allocation* allocation) { return pending.count(const_cast<Allocation*>(allocation)) > 0; }
  void commit();
  void request() {}
  void end() {}
  UInteger size() { return pending.size(); }
  UInteger bytes();
  Array* all();
  /// Whether the GPU may reach `buffer` by it.
  bool holds(const Buffer* buffer) const;

  std::mutex mutex;
};

/// Null where there is no memory. The bytes are not zero, as a heap's are not.
Buffer* new_device_buffer(Device* device, UInteger length, UInteger options);
/// Around memory of the host's; `deallocator` may be null.
Buffer* new_wrapping_buffer(Device* device, void* data, UInteger length, UInteger options,
                            void (^deallocator)(void*, UInteger));
Heap* new_heap(Device* device, HeapDescriptor* asked);

/// Memory as the device counts it; null where it has no more.
char* new_memory(Device* device, UInteger bytes);
void free_memory(Device* device, char* data, UInteger bytes);

constexpr UInteger kBufferAlignment = 256;

}  // namespace standin
