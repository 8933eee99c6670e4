// tests/apple/standin/metal/heap.cpp -- MTLHeap: first fit, with tight bounds for the address sanitizer; residency sets
#include <algorithm>
#include <cstring>
#include <iterator>

#include "standin/debug/report.h"
#include "standin/metal/device.h"
#include "standin/metal/memory.h"

// Weak: null unless the process was started with the sanitizer's runtime.
extern "C" {
__attribute__((weak)) void __asan_poison_memory_region(const volatile void*, size_t);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void*, size_t);
}

namespace standin {
namespace {

void poison(const void* p, UInteger bytes) {
  if (__asan_poison_memory_region) __asan_poison_memory_region(p, bytes);
}
void unpoison(const void* p, UInteger bytes) {
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(p, bytes);
}

UInteger round_up(UInteger value, UInteger unit) { return (value + unit - 1) / unit * unit; }

using D = HeapDescriptor;
const bool defined_descriptor = define_class(
    "MTLHeapDescriptor",
    {getter<&D::size>("size"), setter<&D::size>("setSize:"), getter<&D::storage>("storageMode"),
     setter<&D::storage>("setStorageMode:"), getter<&D::cache_mode>("cpuCacheMode"),
     setter<&D::cache_mode>("setCpuCacheMode:"), getter<&D::tracking>("hazardTrackingMode"),
     setter<&D::tracking>("setHazardTrackingMode:"), getter<&D::type>("type"), setter<&D::type>("setType:"),
     method<&D::options>("resourceOptions"), method<&D::set_options>("setResourceOptions:")},
    {allocates<D>()});

using H = Heap;
const bool defined_heap = define_class(
    "MTLHeap",
    {method<&H::length>("size"), method<&H::heap_type>("type"), method<&H::used_size>("usedSize"),
     method<&H::length>("currentAllocatedSize"), method<&H::max_available>("maxAvailableSizeWithAlignment:"),
     method<&H::new_buffer>("newBufferWithLength:options:"),
     method<&H::new_buffer_at>("newBufferWithLength:options:offset:")},
    {}, "MTLAllocation");

}  // namespace

void HeapDescriptor::set_options(UInteger options) {
  cache_mode = options & 15;
  storage = storage_of(options);
  tracking = tracking_of(options);
}

Heap* new_heap(Device* device, HeapDescriptor* asked) {
  if (asked->size == 0) {
    report("argument", "a heap of 0 bytes");
    return nullptr;
  }
  char* const data = new_memory(device, asked->size);
  if (!data) return nullptr;
  poison(data, asked->size);
  Heap* const made = create<Heap>();
  made->device = device;
  made->data = data;
  made->bytes = asked->size;
  made->options = asked->options();
  made->default_tracking = HazardTracking::untracked;
  made->type = asked->type;
  made->gaps[0] = made->bytes;
  return made;
}

Heap::~Heap() {
  unpoison(data, bytes);
  free_memory(device, data, bytes);
}

UInteger Heap::used_size() {
  std::lock_guard lock(mutex);
  UInteger sum = 0;
  for (const auto& [offset, length] : used) sum += round_up(length, kBufferAlignment);
  return sum;
}

UInteger Heap::max_available(UInteger alignment) {
  std::lock_guard lock(mutex);
  UInteger most = 0;
  for (const auto& [offset, length] : gaps) {
    const UInteger lost = round_up(offset, alignment ? alignment : 1) - offset;
    if (length > lost) most = std::max(most, length - lost);
  }
  return most;
}

bool Heap::take_space(UInteger length, UInteger* offset) {
  const auto gap = std::find_if(gaps.begin(), gaps.end(), [&](const auto& g) { return g.second >= length; });
  if (gap == gaps.end()) return false;
  const auto [start, free] = *gap;
  const UInteger taken = std::min(round_up(length, kBufferAlignment), free);
  gaps.erase(gap);
  if (free > taken) gaps[start + taken] = free - taken;
  *offset = start;
  return true;
}

Buffer* Heap::make(UInteger length, UInteger asked, UInteger offset) {
  if (storage_of(asked) != storage()) report("argument", "a buffer of a heap has the heap's storage mode");
  Buffer* const made = create<Buffer>();
  made->device = device;
  made->data = data + offset;
  made->bytes = length;
  made->options = options;  // a heap decides how its resources are tracked
  made->default_tracking = HazardTracking::untracked;
  made->heap = this;
  made->heap_offset = offset;
  unpoison(made->data, length);
  std::memset(made->data, 0xff, length);
  return made;
}

Buffer* Heap::new_buffer(UInteger length, UInteger asked) {
  std::lock_guard lock(mutex);
  UInteger offset;
  if (type != kHeapAutomatic) report("argument", "newBufferWithLength:options: of a placement heap");
  if (length == 0 || !take_space(length, &offset)) return nullptr;
  used[offset] = length;
  return make(length, asked, offset);
}

Buffer* Heap::new_buffer_at(UInteger length, UInteger asked, UInteger offset) {
  std::lock_guard lock(mutex);
  if (type != kHeapPlacement)
    report("argument", "newBufferWithLength:options:offset: of a heap that is not of placement");
  if (offset % kBufferAlignment) report("argument", format("offset %lu in a heap is not aligned", offset));
  if (length == 0 || offset + length > bytes) return nullptr;
  // Buffers of a placement heap may lie over each other: that is the host's business, and hazards show it.
  used[offset] = std::max(used[offset], length);
  return make(length, asked, offset);
}

void Heap::give_back(UInteger offset) {
  std::lock_guard lock(mutex);
  const auto it = used.find(offset);
  if (it == used.end()) return;
  if (type == kHeapAutomatic) {
    UInteger length = std::min(round_up(it->second, kBufferAlignment), bytes - offset);
    poison(data + offset, length);
    auto next = gaps.lower_bound(offset);
    if (next != gaps.end() && next->first == offset + length) {
      length += next->second;
      next = gaps.erase(next);
    }
    if (next != gaps.begin() && std::prev(next)->first + std::prev(next)->second == offset)
      std::prev(next)->second += length;
    else
      gaps[offset] = length;
  }
  used.erase(it);
}

}  // namespace standin
